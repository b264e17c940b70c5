// api: the KVM API as a library, by the names of its ioctls and structures, so that a program for
// /dev/kvm can be ported line by line. docs/kvm-api.md. Knows nothing of scenarios.
//
//   import { KVM_EXIT, openKvm } from 'vmxlab/api';
//   const vm = openKvm().createVm();
//   const memory = vm.mmap(0x1000);
//   memory.set([0xb0, 0x2a, 0xe6, 0x10, 0xf4]); // mov al, 42; out 0x10, al; hlt
//   vm.setUserMemoryRegion({
//     slot: 0, guestPhysAddr: 0x1000, memorySize: 0x1000, userspaceAddr: memory,
//   });
//   const vcpu = vm.createVcpu();
//   const sregs = vcpu.getSregs();
//   vcpu.setSregs({ ...sregs, cs: { ...sregs.cs, base: 0, selector: 0 } });
//   vcpu.setRegs({ rip: 0x1000, rflags: 2 });
//   const run = vcpu.run();
//   run.exitReason === KVM_EXIT.IO; // true
//   run.io.port; // 16
//   run.io.data[0]; // 42
//   vcpu.run().exitReasonName; // 'HLT'

export { type CapabilityName, KVM_CAP, MEMORY_SLOTS } from './capabilities.ts';
export { COALESCED_MMIO_MAX, CoalescedRing, type KvmCoalescedMmio } from './coalesced-ring.ts';
export { KVM_DIRTY_LOG, KVM_MSR_EXIT_REASON, KVM_X86_DISABLE_EXITS } from './enable-cap.ts';
export { Errno, type ErrnoName, KvmError } from './errors.ts';
export { KVM_IOEVENTFD_FLAG, KVM_IRQFD_FLAG } from './event-calls.ts';
export { Eventfd } from './eventfd.ts';
export { KVM_MSR_FILTER, type KvmMsrFilter, type KvmMsrFilterRange } from './msr-filter.ts';
export { KVM_PIT_FLAG, KVM_PIT_SPEAKER_DUMMY } from './pit-state.ts';
export {
  KVM_EXIT,
  KVM_EXIT_IO_IN,
  KVM_EXIT_IO_OUT,
  KvmRun,
  type RunIo,
  type RunMmio,
} from './run-page.ts';
export {
  KVM_IRQ_ROUTING,
  KVM_IRQCHIP,
  KVM_MP_STATE,
  type KvmClearDirtyLog,
  type KvmClockData,
  type KvmCoalescedMmioZone,
  type KvmDebugregs,
  type KvmDtable,
  type KvmFpu,
  type KvmGuestDebug,
  type KvmIoapicState,
  type KvmIoeventfd,
  type KvmIrqchip,
  type KvmIrqfd,
  type KvmIrqRoutingEntry,
  type KvmMsi,
  type KvmMsrEntry,
  type KvmPicState,
  type KvmPitChannelState,
  type KvmPitState2,
  type KvmRegs,
  type KvmRegsInput,
  type KvmReinjectControl,
  type KvmSegment,
  type KvmSregs,
  type KvmTranslation,
  type KvmUserspaceMemoryRegion,
  type KvmVcpuEvents,
  type U64,
} from './structures.ts';
export { KVM_SYNC_X86, type SyncRegs } from './sync-regs.ts';
export { KVM_API_VERSION, type Kvm, type KvmOptions, openKvm } from './system.ts';
export { KvmVcpu } from './vcpu.ts';
export { type Continuation, KvmVm } from './vm.ts';
