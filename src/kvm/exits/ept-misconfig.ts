// EPT misconfiguration: KVM makes such entries for pages that are known to be a device's. Linux
// arch/x86/kvm/vmx/vmx.c, handle_ept_misconfig, and mmu.c, handle_mmio_page_fault. Where any write
// is a signal (KVM_FAST_MMIO_BUS), the instruction is not looked at: a read counts as well.

import { fieldIndex } from '../../vmx/index.ts';
import { emulateInstruction } from '../emulate.ts';
import { mapsAccessPage } from '../flexpriority.ts';
import { skipEmulated } from '../skip-emulated.ts';
import type { ExitHandler } from './handler.ts';

const GUEST_PHYSICAL = fieldIndex('GUEST_PHYSICAL_ADDRESS');

export const eptMisconfig: ExitHandler = (vcpu, pcpu) => {
  const gpa = vcpu.virtual.vmcs.get64(GUEST_PHYSICAL).toNumber();
  // The local APIC has come back since.
  if (mapsAccessPage(vcpu, gpa)) return 'resume';
  if (vcpu.vm.ioEvents.signalAny(gpa, pcpu)) {
    if (pcpu.traced) pcpu.trace('kvm_fast_mmio', { gpa });
    pcpu.spend(vcpu.vm.costs.kvm.handler);
    if (skipEmulated(vcpu)) return 'resume';
  }
  return emulateInstruction(vcpu, pcpu) ?? 'resume';
};
