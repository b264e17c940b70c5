// TPR below threshold: an interrupt that waits may be deliverable now, which is looked at before
// the next entry. Linux arch/x86/kvm/vmx/vmx.c, handle_tpr_below_threshold.

import type { ExitHandler } from './handler.ts';

export const tprBelowThreshold: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  vcpu.requestEvent();
  return 'resume';
};
