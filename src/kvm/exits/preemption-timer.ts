// VMX-preemption timer: the guest's LAPIC timer is due. Linux arch/x86/kvm/vmx/vmx.c,
// handle_fastpath_preemption_timer. The interrupt is injected by the run loop.

import type { ExitHandler } from './handler.ts';

export const preemptionTimer: ExitHandler = (vcpu, pcpu) => {
  // Without a deadline the timer ran with the largest value; its expiry means nothing.
  if (vcpu.timer.state.hvDeadline !== null) vcpu.timer.fired(pcpu, 'preemptionTimer');
  return 'resume';
};
