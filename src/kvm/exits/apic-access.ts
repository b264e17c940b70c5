// An access to the APIC-access page: emulated, but for writes of EOI, whose value nobody looks at.
// Linux arch/x86/kvm/vmx/vmx.c, handle_apic_access (with the parameter fasteoi).

import { ApicRegister } from '../../trace/index.ts';
import { fieldIndex } from '../../vmx/index.ts';
import { writeLapicRegister } from '../apic-access.ts';
import { emulateInstruction } from '../emulate.ts';
import type { ExitHandler } from './handler.ts';

const QUALIFICATION = fieldIndex('EXIT_QUALIFICATION');
const OFFSET = 0xfff;
const LINEAR_WRITE = 1 << 12;

export const apicAccess: ExitHandler = (vcpu, pcpu) => {
  const qualification = vcpu.virtual.vmcs.get32(QUALIFICATION);
  if (qualification !== (LINEAR_WRITE | (ApicRegister.EOI & OFFSET))) {
    return emulateInstruction(vcpu, pcpu) ?? 'resume';
  }
  pcpu.spend(vcpu.vm.costs.kvm.handler);
  writeLapicRegister(vcpu, ApicRegister.EOI, 0, pcpu);
  vcpu.skipInstruction();
  return 'resume';
};
