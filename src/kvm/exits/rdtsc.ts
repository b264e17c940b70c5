// RDTSC and RDTSCP, where somebody wants to see them: the guest gets the time stamp of the moment
// at which it is answered. Linux does so in arch/x86/kvm/emulate.c, em_rdtsc.

import Long from 'long';
import type { Pcpu } from '../../host/index.ts';
import { Gpr } from '../../isa/index.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler } from './handler.ts';

export const rdtsc: ExitHandler = (vcpu, pcpu) => {
  answer(vcpu, pcpu);
  return 'resume';
};

export const rdtscp: ExitHandler = (vcpu, pcpu) => {
  const { state } = vcpu.virtual.processor;
  answer(vcpu, pcpu);
  state.set64(2 * Gpr.RCX, Long.fromBits(state.get('tscAux').low, 0));
  return 'resume';
};

function answer(vcpu: Vcpu, pcpu: Pcpu): void {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const { state } = vcpu.virtual.processor;
  const { low, high } = vcpu.guestTsc(pcpu.now);
  state.set64(2 * Gpr.RAX, Long.fromBits(low, 0));
  state.set64(2 * Gpr.RDX, Long.fromBits(high, 0));
  vcpu.skipInstruction();
}
