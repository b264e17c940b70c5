// kvm: virtual machines on a host, in the manner of Linux's KVM. Knows nothing of scenarios or
// tools.
//
//   const vm = new Vm({ id: 0, name: 'vm', host, memory, ramBytes, costs, userSpace });
//   const vcpu = vm.createVcpu([0, 1]);
//   // load a program, set registers, then:
//   vcpu.adoptControlRegisters();
//   host.scheduler.start(vcpu.thread);
//   host.run(host.frequency.toCycles(1_000_000));

export type { KvmCosts } from './costs.ts';
export type { ExitHandler, HandlerResult } from './exits/handler.ts';
export { EXIT_HANDLERS, type ExitHandlers } from './exits/handlers.ts';
export { readGuestBytes, writeGuestBytes } from './guest-memory.ts';
export { Hypercall } from './hypercalls.ts';
export { InternalError, KVM_EXIT_NUMBERS, type KvmExit, type KvmExitReason } from './kvm-exit.ts';
export { DEFAULT_PARAMETERS, type KvmParameters } from './parameters.ts';
export { grownWindow, shrunkWindow } from './ple-window.ts';
export {
  addTimes,
  type ExitStatistics,
  type ExitTimes,
  exitTimes,
  type RecentExit,
  type VcpuCounters,
} from './statistics.ts';
export { Vcpu, type VcpuSnapshot } from './vcpu.ts';
export { type UserSpace, Vm, type VmConfig, type VmCosts, type VmSnapshot } from './vm.ts';
