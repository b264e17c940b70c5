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
  const [eax, ebx, ecx, edx] = result;
  state.setLow(Gpr.RAX, eax);
  state.setLow(Gpr.RBX, ebx);
  state.setLow(Gpr.RCX, ecx);
  state.setLow(Gpr.RDX, edx);
  vcpu.skipInstruction();
  return 'resume';
};
