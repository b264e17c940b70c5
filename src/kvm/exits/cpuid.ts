// CPUID. Linux arch/x86/kvm/cpuid.c, kvm_emulate_cpuid.

import Long from 'long';
import { Gpr } from '../../isa/index.ts';
import type { ExitHandler } from './handler.ts';

export const cpuid: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const { state } = vcpu.virtual.processor;
  const leaf = state.get64(2 * Gpr.RAX).low >>> 0;
  const subleaf = state.get64(2 * Gpr.RCX).low >>> 0;
  const { result, found } = vcpu.vm.cpuid.query(vcpu, leaf, subleaf);
  if (pcpu.traced) pcpu.trace('kvm_cpuid', { leaf, subleaf, result, found });
  [Gpr.RAX, Gpr.RBX, Gpr.RCX, Gpr.RDX].forEach((register, i) => {
    state.set64(2 * register, Long.fromInt(result[i], true));
  });
  vcpu.skipInstruction();
  return 'resume';
};
