// HLT: the vCPU has nothing to do. Linux arch/x86/kvm/x86.c, kvm_emulate_halt. It sleeps in the run
// loop, unless there is a reason not to.

import type { ExitHandler } from './handler.ts';

export const hlt: ExitHandler = (vcpu) => {
  vcpu.skipInstruction();
  vcpu.counters.halt_exits++;
  vcpu.state.mpState = 'halted';
  return 'resume';
};
