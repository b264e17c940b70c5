// HLT: the vCPU has nothing to do. Linux arch/x86/kvm/x86.c, kvm_emulate_halt. It sleeps in the run
// loop, unless there is a reason not to, or interrupts are user space's business altogether.

import type { ExitHandler } from './handler.ts';

export const hlt: ExitHandler = (vcpu) => {
  vcpu.skipInstruction();
  vcpu.counters.halt_exits++;
  if (!vcpu.vm.hasIrqchip) {
    // The exit takes the place of the trap of a single step.
    if (vcpu.user !== null) vcpu.user.stepped = false;
    return { reason: 'HLT' };
  }
  vcpu.state.mpState = 'halted';
  return 'resume';
};
