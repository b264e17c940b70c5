// kvm: virtual machines on a host, in the manner of Linux's KVM. Knows nothing of scenarios or
// tools. `Vm` is the whole; how a machine is wired around it, see machine/machine.ts.
//
//   import { DEFAULT_PARAMETERS, grownWindow, shrunkWindow } from 'vmxlab/kvm';
//   grownWindow(4096, DEFAULT_PARAMETERS); // 8192
//   shrunkWindow(8192, DEFAULT_PARAMETERS); // 4096

export { readLapicRegister, writeLapicRegister } from './apic-access.ts';
export { awaitInit } from './apic-events.ts';
export { deliver } from './apic-ipi.ts';
export type { KvmCosts } from './costs.ts';
export type { CpuidEntry, CpuidResult } from './cpuid.ts';
export type { Disturbance, SentInterrupt } from './disturbance.ts';
export type { ExitHandler, HandlerResult } from './exits/handler.ts';
export { EXIT_HANDLERS, type ExitHandlers, handlerName } from './exits/handlers.ts';
export { readGuestBytes, writeGuestBytes } from './guest-memory.ts';
export { grownPoll, shrunkPoll } from './halt-poll.ts';
export { FORWARDABLE_HYPERCALLS } from './hypercall-exit.ts';
export { isHypercallAt } from './hypercall-opcodes.ts';
export { takeQueuedNmis } from './inject.ts';
export { EventBus, type IoEvent, type IoSpace } from './io-events.ts';
export { DEFAULT_ROUTES, type IrqRoute, MAX_IRQ_ROUTES, routingMistake } from './irq-routing.ts';
export { IRQCHIP_PORTS, Irqchip, type IrqchipState, IrqSource } from './irqchip.ts';
export { InternalError, KVM_EXIT_NUMBERS, type KvmExit, type KvmExitReason } from './kvm-exit.ts';
export { LOCK_WAIT_ACTIONS, type LockWaitAction } from './lock-wait.ts';
export { type MemorySlot, MemorySlots, type MemorySlotsState, SlotFlag } from './memory-slots.ts';
export {
  isMsrAllowed,
  MsrExitReason,
  type MsrFilter,
  MsrFilterFlag,
  type MsrFilterRange,
} from './msr-exits.ts';
export { moveTsc, readGuestMsr, writeGuestMsr } from './msrs.ts';
export {
  DEFAULT_PARAMETERS,
  DISABLE_EXITS,
  type DisabledExit,
  HV_TIMERS,
  type KvmParameters,
  SPIN_HANDLERS,
} from './parameters.ts';
export { type CounterState as PitCounterState, PIT_UNSET_MODE } from './pit.ts';
export { grownWindow, shrunkWindow } from './ple-window.ts';
export {
  type Decisions,
  decisionsOf,
  type ExitPolicy,
  type HaltPollPolicy,
  type SpinPolicy,
  type VmPolicies,
  type YieldCandidatePolicy,
} from './policies.ts';
export { BOOT_TIME_SECONDS, updateClock } from './pv-clock.ts';
export {
  HYPERCALL_OPCODES,
  Hypercall,
  KvmMsr,
  PREEMPTED_FLAGS,
  PV_FEATURE_LIST,
  PV_FEATURES,
  type PvFeature,
  type PvFeatureName,
  type PvFeatures,
  type PvParameters,
} from './pv-features.ts';
export {
  addTimes,
  type ExitStatistics,
  type ExitStatisticsState,
  type ExitTimes,
  type RecentExit,
  type VcpuCounters,
} from './statistics.ts';
export {
  GuestDebug,
  guestBreakpoints,
  isReadyForInterrupt,
  lendBreakpoints,
  newUserControl,
  setGuestBreakpoints,
  type UserControl,
} from './user-control.ts';
export { Vcpu, type VcpuSnapshot } from './vcpu.ts';
export { type UserSpace, Vm, type VmConfig, type VmCosts, type VmSnapshot } from './vm.ts';
