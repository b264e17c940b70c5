// EPT violation: the guest touched an address that no memory slot backs, so a device is meant.
// Linux arch/x86/kvm/vmx/vmx.c, handle_ept_violation, and mmu.c, kvm_mmu_page_fault.

import { fieldIndex } from '../../vmx/index.ts';
import { emulateInstruction } from '../emulate.ts';
import { InternalError } from '../kvm-exit.ts';
import type { ExitHandler } from './handler.ts';

const GUEST_PHYSICAL = fieldIndex('GUEST_PHYSICAL_ADDRESS');

export const eptViolation: ExitHandler = (vcpu, pcpu) => {
  const { vmcs } = vcpu.virtual;
  const gpa = vmcs.get64(GUEST_PHYSICAL).toNumber();
  if (pcpu.traced) {
    const errorCode = vmcs.read('EXIT_QUALIFICATION');
    pcpu.trace('kvm_page_fault', { vcpu: vcpu.index, rip: vcpu.rip, gpa, errorCode });
  }
  if (vcpu.vm.ramAt(gpa) !== null) {
    const message = `EPT violation in RAM, at guest-physical 0x${gpa.toString(16)}`;
    return { reason: 'INTERNAL_ERROR', suberror: InternalError.UNEXPECTED_EXIT, message };
  }
  return emulateInstruction(vcpu, pcpu) ?? 'resume';
};
