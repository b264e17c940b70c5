// INVLPG, where somebody wants to see it. Linux arch/x86/kvm/vmx/vmx.c, handle_invlpg. Translations
// are never older here than the entries that they come from, so none has to be dropped.

import type { ExitHandler } from './handler.ts';

export const invlpg: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  vcpu.counters.invlpg++;
  vcpu.skipInstruction();
  return 'resume';
};
