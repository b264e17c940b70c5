// EPT violation: the guest touched an address that no memory slot backs, so a device is meant; or
// it wrote to a page whose first write is to be logged, or that is read-only, like a device.
// Linux arch/x86/kvm/vmx/vmx.c, handle_ept_violation, and mmu.c, kvm_mmu_page_fault.

import { fieldIndex } from '../../vmx/index.ts';
import { emulateInstruction } from '../emulate.ts';
import { mapsAccessPage } from '../flexpriority.ts';
import { unexpectedExit } from '../internal-error.ts';
import type { ExitHandler } from './handler.ts';

const GUEST_PHYSICAL = fieldIndex('GUEST_PHYSICAL_ADDRESS');
const QUALIFICATION = fieldIndex('EXIT_QUALIFICATION');
const WRITE = 1 << 1;

export const eptViolation: ExitHandler = (vcpu, pcpu) => {
  const { vmcs } = vcpu.virtual;
  const gpa = vmcs.get64(GUEST_PHYSICAL).toNumber();
  if (pcpu.traced) {
    const errorCode = vmcs.read('EXIT_QUALIFICATION');
    pcpu.trace('kvm_page_fault', { vcpu: vcpu.index, rip: vcpu.rip, gpa, errorCode });
  }
  const { counters } = vcpu;
  counters.pf_taken++;
  const isWrite = (vmcs.get32(QUALIFICATION) & WRITE) !== 0;
  if (vcpu.vm.slots.resolve(gpa, isWrite) || mapsAccessPage(vcpu, gpa)) {
    counters.pf_fixed++;
    return 'resume';
  }
  if (vcpu.vm.ramAt(gpa, isWrite) !== null) {
    const message = `EPT violation in RAM, at guest-physical 0x${gpa.toString(16)}`;
    return unexpectedExit(vcpu, message);
  }
  counters.pf_emulate++;
  const isCached = vcpu.vm.slots.at(gpa) === undefined && vcpu.vm.mmioPages?.mark(gpa) === true;
  if (isCached) counters.pf_mmio_spte_created++;
  return emulateInstruction(vcpu, pcpu) ?? 'resume';
};
