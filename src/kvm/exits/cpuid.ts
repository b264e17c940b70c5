// CPUID. Linux arch/x86/kvm/cpuid.c, kvm_emulate_cpuid.

import { Gpr } from '../../isa/index.ts';
import type { ExitHandler } from './handler.ts';

export const cpuid: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const { state } = vcpu.virtual.processor;
  const leaf = state.words[2 * Gpr.RAX] >>> 0;
  const subleaf = state.words[2 * Gpr.RCX] >>> 0;
  const { result, found } = vcpu.vm.cpuid.query(vcpu, leaf, subleaf);
  if (pcpu.traced) pcpu.trace('kvm_cpuid', { leaf, subleaf, result, found });
  state.setLow(Gpr.RAX, result[0]);
  state.setLow(Gpr.RBX, result[1]);
  state.setLow(Gpr.RCX, result[2]);
  state.setLow(Gpr.RDX, result[3]);
  vcpu.skipInstruction();
  return 'resume';
};
