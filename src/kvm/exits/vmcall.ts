// VMCALL: a hypercall.

import { hypercall } from '../hypercalls.ts';
import type { ExitHandler } from './handler.ts';

export const vmcall: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.hypercall);
  const yields = hypercall(vcpu, pcpu);
  vcpu.skipInstruction();
  return yields ? 'yield' : 'resume';
};
