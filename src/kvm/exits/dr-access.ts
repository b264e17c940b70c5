// MOV to or from a debug register: the first one gives them to the guest, until the next exit.
// Linux arch/x86/kvm/vmx/vmx.c, handle_dr and vmx_sync_dirty_debug_regs.

import Long from 'long';
import { Cr4, Dr7, Vector, Word } from '../../cpu/index.ts';
import { fieldIndex, Primary } from '../../vmx/index.ts';
import { guestControl } from '../control-registers.ts';
import { guestBreakpoints, setGuestBreakpoints } from '../user-control.ts';
import type { Vcpu } from '../vcpu.ts';
import type { ExitHandler } from './handler.ts';

const F = {
  QUALIFICATION: fieldIndex('EXIT_QUALIFICATION'),
  PRIMARY: fieldIndex('CPU_BASED_VM_EXEC_CONTROL'),
} as const;

/** Debug register access detected. */
const DR6_BD = 1 << 13;

export const drAccess: ExitHandler = (vcpu, pcpu) => {
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  const { vmcs, processor } = vcpu.virtual;
  const number = vmcs.get32(F.QUALIFICATION) & 7;
  const isAlias = number === 4 || number === 5;
  if (isAlias && (guestControl(vcpu, 4).low & Cr4.DE) !== 0) vcpu.queueException(Vector.UD);
  else if (vcpu.cpl > 0) vcpu.queueException(Vector.GP, 0);
  else if (vcpu.user !== null && vcpu.user.guestBreakpoints !== null) accessAside(vcpu);
  else if ((processor.state.words[Word.DR7] & Dr7.GD) !== 0) vcpu.queueDebugException(DR6_BD);
  else vmcs.set32(F.PRIMARY, vmcs.get32(F.PRIMARY) & ~Primary.MOV_DR_EXITING);
  return 'resume';
};

/** A debugger has its breakpoints in the registers: the guest gets at its own, put aside. */
function accessAside(vcpu: Vcpu): void {
  const { vmcs, processor } = vcpu.virtual;
  const qualification = vmcs.get32(F.QUALIFICATION);
  const number = qualification & 7;
  const register = 2 * ((qualification >> 8) & 15);
  const isRead = (qualification & DIRECTION) !== 0;
  const own = guestBreakpoints(vcpu);
  const value = vcpu.register(register / 2);
  if (number < 4) {
    if (isRead) processor.state.set64(register, own.addresses[number]);
    else {
      const [a, b, c, d] = own.addresses.map((old, i) => (i === number ? value : old));
      setGuestBreakpoints(vcpu, { ...own, addresses: [a, b, c, d] });
    }
  } else if (isRead) {
    const dr6 = processor.state.get64(Word.DR6);
    processor.state.set64(register, number % 2 === 0 ? dr6 : own.dr7);
  } else if (value.high !== 0) {
    vcpu.queueException(Vector.GP, 0);
    return;
  } else if (number % 2 === 0) {
    const dr6 = (value.low & ~DR6_CLEAR) | DR6_FIXED;
    processor.state.set64(Word.DR6, Long.fromBits(dr6, 0));
  } else {
    const dr7 = (value.low & ~DR7_CLEAR) | DR7_FIXED;
    setGuestBreakpoints(vcpu, { ...own, dr7: Long.fromBits(dr7, 0) });
  }
  vcpu.skipInstruction();
}

/** MOV from a debug register. */
const DIRECTION = 1 << 4;
/** Bits that are always 0, and always 1. */
const DR6_CLEAR = 0x1000;
const DR6_FIXED = 0xffff0ff0 | 0;
const DR7_CLEAR = 0xd000;
const DR7_FIXED = 0x400;

/** After an exit: the debug registers are the host's again. */
export function takeDebugRegisters(vcpu: Vcpu): void {
  const { vmcs } = vcpu.virtual;
  const controls = vmcs.get32(F.PRIMARY);
  if ((controls & Primary.MOV_DR_EXITING) !== 0) return;
  vmcs.set32(F.PRIMARY, controls | Primary.MOV_DR_EXITING);
}
