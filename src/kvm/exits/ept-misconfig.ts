// EPT misconfiguration: KVM makes such entries for pages that are known to be a device's. Linux
// arch/x86/kvm/vmx/vmx.c, handle_ept_misconfig, and mmu.c, handle_mmio_page_fault. Deviation: an
// event that any write signals (KVM_FAST_MMIO_BUS) is found by emulating the write, too.

import { fieldIndex } from '../../vmx/index.ts';
import { emulateInstruction } from '../emulate.ts';
import { mapsAccessPage } from '../flexpriority.ts';
import type { ExitHandler } from './handler.ts';

const GUEST_PHYSICAL = fieldIndex('GUEST_PHYSICAL_ADDRESS');

export const eptMisconfig: ExitHandler = (vcpu, pcpu) => {
  const gpa = vcpu.virtual.vmcs.get64(GUEST_PHYSICAL).toNumber();
  // The local APIC has come back since.
  if (mapsAccessPage(vcpu, gpa)) return 'resume';
  return emulateInstruction(vcpu, pcpu) ?? 'resume';
};
