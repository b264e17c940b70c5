// WRMSR of an MSR that is not passed through. Linux arch/x86/kvm/x86.c, kvm_emulate_wrmsr.

import Long from 'long';
import { Vector } from '../../cpu/index.ts';
import { Gpr } from '../../isa/index.ts';
import { writeGuestMsr } from '../msrs.ts';
import type { ExitHandler } from './handler.ts';

export const msrWrite: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const { state } = vcpu.virtual.processor;
  const index = state.get64(2 * Gpr.RCX).low >>> 0;
  const value = Long.fromBits(state.get64(2 * Gpr.RAX).low, state.get64(2 * Gpr.RDX).low);
  const fault = !writeGuestMsr(vcpu, index, value, pcpu);
  if (pcpu.traced) pcpu.trace('kvm_msr', { write: true, index, value, fault });
  if (fault) vcpu.queueException(Vector.GP, 0);
  else vcpu.skipInstruction();
  return 'resume';
};
