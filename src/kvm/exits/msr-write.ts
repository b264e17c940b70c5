// WRMSR of an MSR that is not passed through. Linux arch/x86/kvm/x86.c, kvm_emulate_wrmsr.

import Long from 'long';
import { Vector } from '../../cpu/index.ts';
import { Gpr } from '../../isa/index.ts';
import { isMsrAllowed, msrExit } from '../msr-exits.ts';
import { writeGuestMsr } from '../msrs.ts';
import type { ExitHandler } from './handler.ts';

export const msrWrite: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const { state } = vcpu.virtual.processor;
  const index = state.get64(2 * Gpr.RCX).low >>> 0;
  const value = Long.fromBits(state.get64(2 * Gpr.RAX).low, state.get64(2 * Gpr.RDX).low);
  const isAllowed = isMsrAllowed(vcpu.vm.msrFilter, index, true);
  const fault = !isAllowed || !writeGuestMsr(vcpu, index, value, pcpu);
  const exit = fault ? msrExit(vcpu, pcpu, index, value.toUnsigned()) : null;
  if (exit !== null) return exit;
  if (pcpu.traced) pcpu.trace('kvm_msr', { write: true, index, value, fault });
  if (fault) vcpu.queueException(Vector.GP, 0);
  else vcpu.skipInstruction();
  return 'resume';
};
