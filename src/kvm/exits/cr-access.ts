// MOV to a control register in a way that the host wants to know of. Linux
// arch/x86/kvm/vmx/vmx.c, handle_cr, and x86.c, kvm_set_cr0 and kvm_set_cr4.

import Long from 'long';
import { Cr0, Cr4, isControlValueLegal, Vector, Word } from '../../cpu/index.ts';
import { CR0_FIXED_1, CR4_FIXED_1, fieldIndex } from '../../vmx/index.ts';
import { InternalError } from '../kvm-exit.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler } from './handler.ts';

const QUALIFICATION = fieldIndex('EXIT_QUALIFICATION');

export const crAccess: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const qualification = vcpu.virtual.vmcs.get32(QUALIFICATION);
  const number = qualification & 15;
  const isWrite = (qualification & 0x30) === 0;
  const register = (qualification >> 8) & 15;
  const { state } = vcpu.virtual.processor;
  const type = (qualification >> 4) & 3;
  if (type === CLTS || type === LMSW) {
    const status = type === CLTS ? null : qualification >>> 16;
    const value = partlyWritten(vcpu, status);
    // The kernel shows LMSW as if it could clear PE.
    const shown = status === null ? value : value.and(~Cr0.PE).or(status & Cr0.PE);
    if (pcpu.traced) pcpu.trace('kvm_cr', { write: true, number: 0, value: shown });
    write(vcpu, 0, value);
  } else if (isWrite) {
    const value = state.get64(2 * register);
    if (pcpu.traced) pcpu.trace('kvm_cr', { write: true, number, value });
    if (!write(vcpu, number, value)) {
      vcpu.queueException(Vector.GP, 0);
      return 'resume';
    }
  } else if (number === 8) {
    const value = Long.fromInt(vcpu.lapic.state.taskPriority >> 4);
    if (pcpu.traced) pcpu.trace('kvm_cr', { write: false, number, value });
    state.set64(2 * register, value);
  } else {
    const message = `exit for a read of CR${number}, which was not asked for`;
    return { reason: 'INTERNAL_ERROR', suberror: InternalError.UNEXPECTED_EXIT, message };
  }
  vcpu.skipInstruction();
  return 'resume';
};

const CLTS = 2;
const LMSW = 3;
const MACHINE_STATUS = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS;

/** CR0 after CLTS, or after LMSW of a status, which cannot clear PE. */
function partlyWritten(vcpu: Vcpu, status: number | null): Long {
  const { processor } = vcpu.virtual;
  const old = vcpu.virtual.readControl(0, processor.state.get64(Word.CR0)).low;
  if (status === null) return Long.fromInt(old & ~Cr0.TS, true);
  const kept = old & ~(MACHINE_STATUS & ~Cr0.PE);
  return Long.fromInt(kept | (status & MACHINE_STATUS), true);
}

/** Bits of CR0 that exist; writes to the others are ignored, and ET is always 1. */
const CR0_BITS = Long.fromInt(
  Object.values(Cr0).reduce((bits, bit) => bits | bit, 0),
  true,
);

/** False for #GP. */
function write(vcpu: Vcpu, number: number, value: Long): boolean {
  const { vmcs } = vcpu.virtual;
  switch (number) {
    case 0: {
      if (!isControlValueLegal(0, value)) return false;
      const written = value.and(CR0_BITS).or(Cr0.ET);
      vmcs.write('CR0_READ_SHADOW', written);
      vmcs.write('GUEST_CR0', written.or(Long.fromInt(CR0_FIXED_1, true)));
      return true;
    }
    case 4:
      // VMX is not offered to guests.
      if (!isControlValueLegal(4, value) || (value.low & Cr4.VMXE) !== 0) return false;
      vmcs.write('CR4_READ_SHADOW', value);
      vmcs.write('GUEST_CR4', value.or(CR4_FIXED_1));
      return true;
    case 8:
      if (!isControlValueLegal(8, value)) return false;
      vcpu.lapic.state.taskPriority = (value.low & 15) << 4;
      vcpu.requestEvent();
      return true;
    default:
      return false;
  }
}
