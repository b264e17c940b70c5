// cpu: one logical processor. Knows nothing of who owns it, nor of VMX.
//
//   import { CodeCache, EMPTY_PLATFORM } from 'vmxlab/cpu';
//   import { enterLongMode, Processor, unvirtualized } from 'vmxlab/cpu';
//   import { COST_PRESETS } from 'vmxlab/machine';
//   import { PhysicalMemory } from 'vmxlab/memory';
//   const memory = new PhysicalMemory(0x100000);
//   memory.write64(0x10000, 0x11003, 0); // a PML4 entry, to ...
//   memory.write64(0x11000, 0x00083, 0); // ... a PDPT entry that maps the first GiB
//   memory.write(0x20000, Uint8Array.of(0xff, 0xc0, 0xf4)); // inc eax; hlt
//   const costs = COST_PRESETS['e5-2660v4'].vm.instructions;
//   const codeCache = new CodeCache(memory, costs);
//   const virtualization = unvirtualized(memory);
//   const parts = { memory, stateHpa: 0, codeCache, costs, virtualization };
//   const cpu = new Processor({ ...parts, platform: EMPTY_PLATFORM });
//   const segments = { codeSelector: 8, dataSelector: 16, gdtBase: 0, gdtLimit: 0, cpl: 0 };
//   enterLongMode(cpu.state, { cr3: 0x10000, rip: 0x20000, rsp: 0x30000, ...segments });
//   cpu.stateChanged();
//   cpu.run(1000).kind; // 'inactive'
//   cpu.state.get('rax').toNumber(); // 1

export { tellBlocks } from './block-teller.ts';
export type { Block, Prepared } from './code-cache.ts';
export { CodeCache, type InstructionCosts } from './code-cache.ts';
export { type Attendant, CodeStops, type StopMet } from './code-stops.ts';
export { EngineDifference } from './compiled/check.ts';
export { type CompilableMemory, Compiler, compilableMemory } from './compiled/compiler.ts';
export { ENGINES, type Engine } from './compiled/engine.ts';
export type { EngineStatistics } from './compiled/engine-statistics.ts';
export {
  type ControlContext,
  CR4_ALLOWED,
  controlContext,
  followPaging,
  isControlValueLegal,
  loadPdptes,
  loadsPdptes,
} from './control-registers.ts';
export { type DataWatch, Dr7, recordDebugException } from './debug-registers.ts';
export { type Delay, passDelay } from './delay.ts';
export { deliver } from './delivery.ts';
export {
  type DeliveredEvent,
  type EventType,
  EventTypes,
  GuestFault,
  hasErrorCode,
  NotImplemented,
  OWNER_STOP,
  OwnerStop,
  returnsBehind,
  VECTOR_NAMES,
  Vector,
} from './exceptions.ts';
export { enterLongMode, type LongModeStart } from './long-mode.ts';
export { isCanonical, type Mmu } from './mmu.ts';
export { codeSizeOf, isIa32e, type Mode, modeOf, stackWidthOf } from './mode.ts';
export { isPatValid, Msr, readMsr, writeMsr } from './msrs.ts';
export {
  isPdpteLegal,
  lookUpLinear,
  type PagingMode,
  PHYSICAL_ADDRESS_BITS,
  pagingModeOf,
} from './page-tables.ts';
export { type PortAccess, portAccess } from './port-access.ts';
export { Processor } from './processor.ts';
export type { Observer, ProcessorParts, ProcessorStop } from './processor-parts.ts';
export { joinRelay, leaveRelay } from './relay.ts';
export {
  enterProtectedMode,
  initState,
  type ProtectedModeStart,
  resetState,
  startAtSipiVector,
} from './reset.ts';
export type { SkipRule, Work } from './skipped-work.ts';
export {
  Activity,
  Blocking,
  Cr0,
  Cr4,
  Efer,
  PendingDebug,
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
export {
  switchTask,
  TaskSource,
  type TaskSourceNumber,
  type TaskSwitch,
} from './task-switch.ts';
export { EMPTY_PLATFORM, unvirtualized } from './unvirtualized.ts';
export {
  Access,
  type AccessKind,
  type BoundaryOutcome,
  DEVICE,
  type PauseWatch,
  type Platform,
  STOPPED,
  type TranslationPurpose,
  type Virtualization,
} from './virtualization.ts';
