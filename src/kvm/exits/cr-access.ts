// MOV to a control register in a way that the host wants to know of. Linux
// arch/x86/kvm/vmx/vmx.c, handle_cr.

import Long from 'long';
import { Cr0, Vector } from '../../cpu/index.ts';
import type { Pcpu } from '../../host/index.ts';
import { fieldIndex } from '../../vmx/index.ts';
import { guestControl, writeGuestCr0, writeGuestCr4 } from '../control-registers.ts';
import { emulateInstruction } from '../emulate.ts';
import { unexpectedExit } from '../internal-error.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler, HandlerResult } from './handler.ts';

const QUALIFICATION = fieldIndex('EXIT_QUALIFICATION');

export const crAccess: ExitHandler = (vcpu, pcpu) => {
  const qualification = vcpu.virtual.vmcs.get32(QUALIFICATION);
  const number = qualification & 15;
  const isWrite = (qualification & 0x30) === 0;
  if (number === 3) return accessCr3(vcpu, pcpu, isWrite, (qualification >> 8) & 15);
  pcpu.spend(vcpu.vm.costs.kvm.handler);
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
    const value = vcpu.register(register);
    if (pcpu.traced) pcpu.trace('kvm_cr', { write: true, number, value });
    const priority = vcpu.lapic.taskPriority;
    if (!write(vcpu, number, value)) {
      vcpu.queueException(Vector.GP, 0);
      return 'resume';
    }
    // Whose APIC it is has to know that more may be delivered.
    if (number === 8 && !vcpu.vm.hasIrqchip && vcpu.lapic.taskPriority < priority) {
      vcpu.skipInstruction();
      return { reason: 'SET_TPR' };
    }
  } else if (number === 8) {
    const value = Long.fromInt(vcpu.lapic.taskPriority >> 4);
    if (pcpu.traced) pcpu.trace('kvm_cr', { write: false, number, value });
    state.set64(2 * register, value);
  } else {
    const message = `exit for a read of CR${number}, which was not asked for`;
    return unexpectedExit(vcpu, message);
  }
  vcpu.skipInstruction();
  return 'resume';
};

/** CR3 belongs to the guest with EPT, but somebody may want to see it (kvm_set_cr3). */
function accessCr3(vcpu: Vcpu, pcpu: Pcpu, isWrite: boolean, register: number): HandlerResult {
  if (pcpu.traced) {
    const value = isWrite ? vcpu.register(register) : vcpu.virtual.vmcs.read('GUEST_CR3');
    pcpu.trace('kvm_cr', { write: isWrite, number: 3, value });
  }
  return emulateInstruction(vcpu, pcpu) ?? 'resume';
}

const CLTS = 2;
const LMSW = 3;
const MACHINE_STATUS = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS;

/** CR0 after CLTS, or after LMSW of a status, which cannot clear PE. */
function partlyWritten(vcpu: Vcpu, status: number | null): Long {
  const old = guestControl(vcpu, 0).low;
  if (status === null) return Long.fromInt(old & ~Cr0.TS, true);
  const kept = old & ~(MACHINE_STATUS & ~Cr0.PE);
  return Long.fromInt(kept | (status & MACHINE_STATUS), true);
}

/** False for #GP. */
function write(vcpu: Vcpu, number: number, value: Long): boolean {
  if (number === 0) return writeGuestCr0(vcpu, value);
  if (number === 4) return writeGuestCr4(vcpu, value);
  // CR8; CR3 belongs to the guest.
  if (number !== 8 || value.high !== 0 || (value.low & ~15) !== 0) return false;
  vcpu.lapic.taskPriority = value.low << 4;
  vcpu.requestEvent();
  return true;
}
