// RDMSR of an MSR that is not passed through. Linux arch/x86/kvm/x86.c, kvm_emulate_rdmsr.

import Long from 'long';
import { Vector } from '../../cpu/index.ts';
import { Gpr } from '../../isa/index.ts';
import { isMsrAllowed, msrExit } from '../msr-exits.ts';
import { readGuestMsr } from '../msrs.ts';
import type { ExitHandler } from './handler.ts';

export const msrRead: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const { state } = vcpu.virtual.processor;
  const index = state.get64(2 * Gpr.RCX).low >>> 0;
  const isAllowed = isMsrAllowed(vcpu.vm.msrFilter, index, false);
  const value = isAllowed ? readGuestMsr(vcpu, index, pcpu) : null;
  const exit = value === null ? msrExit(vcpu, pcpu, index, null) : null;
  if (exit !== null) return exit;
  if (pcpu.traced) {
    pcpu.trace('kvm_msr', {
      write: false,
      index,
      value: value ?? Long.ZERO,
      fault: value === null,
    });
  }
  if (value === null) {
    vcpu.queueException(Vector.GP, 0);
    return 'resume';
  }
  state.set64(2 * Gpr.RAX, Long.fromBits(value.low, 0));
  state.set64(2 * Gpr.RDX, Long.fromBits(value.high, 0));
  vcpu.skipInstruction();
  return 'resume';
};
