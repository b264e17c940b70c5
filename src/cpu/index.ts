// cpu: one logical processor. Knows nothing of who owns it, nor of VMX.
//
//   const memory = new PhysicalMemory(64 * PAGE_SIZE);
//   const cpu = new Processor({ memory, stateHpa: 0, costs, codeCache: new CodeCache(memory, costs),
//     virtualization: unvirtualized(memory), platform: EMPTY_PLATFORM });
//   enterLongMode(cpu.state, { cr3, rip, rsp });
//   cpu.run(1000); // { kind: 'limit' }

export { CodeCache, type InstructionCosts } from './code-cache.ts';
export { CR4_ALLOWED, isControlValueLegal } from './control-registers.ts';
export { deliver } from './delivery.ts';
export {
  type DeliveredEvent,
  type EventType,
  EventTypes,
  GuestFault,
  hasErrorCode,
  isSoftware,
  NotImplemented,
  OWNER_STOP,
  OwnerStop,
  VECTOR_NAMES,
  Vector,
} from './exceptions.ts';
export { enterLongMode, type LongModeStart } from './long-mode.ts';
export { isCanonical, PHYSICAL_ADDRESS_BITS } from './mmu.ts';
export { isPatValid, Msr, readMsr, writeMsr } from './msrs.ts';
export { type PortAccess, portAccess } from './port-access.ts';
export { Processor, type ProcessorParts, type ProcessorStop } from './processor.ts';
export {
  Activity,
  Blocking,
  Cr0,
  Cr4,
  Efer,
  PROCESSOR_BYTES,
  ProcessorState,
  Rflags,
  Rights,
  SEGMENT_WORDS,
  STATE_BYTES,
  STATE_ITEMS,
  Word,
  wordOf,
} from './state.ts';
export { EMPTY_PLATFORM, unvirtualized } from './unvirtualized.ts';
export {
  Access,
  type AccessKind,
  DEVICE,
  type Platform,
  type Virtualization,
} from './virtualization.ts';
