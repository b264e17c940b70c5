// Caches are not modelled, so there is nothing to invalidate. Linux arch/x86/kvm/x86.c,
// kvm_emulate_invd.

import type { ExitHandler } from './handler.ts';

export const invd: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  vcpu.skipInstruction();
  return 'resume';
};
