// One instruction under the monitor trap flag: KVM sets it only for hypervisors in guests, and goes
// on. Linux arch/x86/kvm/vmx/vmx.c, handle_monitor_trap.

import type { ExitHandler } from './handler.ts';

export const monitorTrap: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  return 'resume';
};
