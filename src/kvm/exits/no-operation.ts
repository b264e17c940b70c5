// Instructions that are nothing to a guest: caches are not modelled, and MONITOR and MWAIT are
// hints that guests are not offered. Linux arch/x86/kvm/x86.c, kvm_emulate_invd,
// kvm_emulate_wbinvd, kvm_emulate_monitor and kvm_emulate_mwait.

import type { ExitHandler } from './handler.ts';

export const noOperation: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  vcpu.skipInstruction();
  return 'resume';
};
