// RDPMC: there is no performance-monitoring unit, so no counter has a number that is legal. Linux
// arch/x86/kvm/x86.c, kvm_emulate_rdpmc.

import { Vector } from '../../cpu/index.ts';
import type { ExitHandler } from './handler.ts';

export const rdpmc: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  vcpu.queueException(Vector.GP, 0);
  return 'resume';
};
