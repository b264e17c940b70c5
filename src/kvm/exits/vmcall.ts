// VMCALL: a hypercall.

import Long from 'long';
import { finishHypercall, forwardedHypercall } from '../hypercall-exit.ts';
import { hypercall } from '../hypercalls.ts';
import type { ExitHandler } from './handler.ts';

export const vmcall: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.hypercall);
  const forwarded = forwardedHypercall(vcpu);
  if (forwarded instanceof Long) {
    finishHypercall(vcpu, forwarded);
    return 'resume';
  }
  if (forwarded !== null) return forwarded;
  const yields = hypercall(vcpu, pcpu);
  vcpu.skipInstruction();
  return yields ? 'yield' : 'resume';
};
