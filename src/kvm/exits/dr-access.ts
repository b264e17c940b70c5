// MOV to or from a debug register: the first one gives them to the guest, until the next exit.
// Linux arch/x86/kvm/vmx/vmx.c, handle_dr and vmx_sync_dirty_debug_regs.

import { Cr4, Dr7, Vector, Word } from '../../cpu/index.ts';
import { fieldIndex, Primary } from '../../vmx/index.ts';
import { guestControl } from '../control-registers.ts';
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
  else if ((processor.state.words[Word.DR7] & Dr7.GD) !== 0) vcpu.queueDebugException(DR6_BD);
  else vmcs.set32(F.PRIMARY, vmcs.get32(F.PRIMARY) & ~Primary.MOV_DR_EXITING);
  return 'resume';
};

/** After an exit: the debug registers are the host's again. */
export function takeDebugRegisters(vcpu: Vcpu): void {
  const { vmcs } = vcpu.virtual;
  const controls = vmcs.get32(F.PRIMARY);
  if ((controls & Primary.MOV_DR_EXITING) !== 0) return;
  vmcs.set32(F.PRIMARY, controls | Primary.MOV_DR_EXITING);
}
