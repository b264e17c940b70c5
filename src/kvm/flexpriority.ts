// FlexPriority: the task priority in a virtual-APIC page, where CR8 is no exit, and an APIC-access
// page at the place of the xAPIC. Linux arch/x86/kvm/vmx/vmx.c, cpu_need_tpr_shadow,
// vmx_set_virtual_apic_mode, vmx_update_cr8_intercept; x86.c, update_cr8_intercept; lapic.c. As
// without APIC-register virtualization and virtual-interrupt delivery (enable_apicv=N).

import { PAGE_SIZE, type PhysicalMemory } from '../memory/index.ts';
import { type EptBuilder, fieldIndex, Secondary } from '../vmx/index.ts';
import { APIC_DEFAULT_GPA } from './lapic.ts';
import type { Vcpu } from './vcpu.ts';

const SECONDARY = fieldIndex('SECONDARY_VM_EXEC_CONTROL');
const THRESHOLD = fieldIndex('TPR_THRESHOLD');

/** The page that guests have at the address of the xAPIC; all vCPUs of a machine share it. */
export class ApicAccessPage {
  readonly hpa: number;
  private readonly ept: EptBuilder;

  constructor(memory: PhysicalMemory, ept: EptBuilder) {
    this.ept = ept;
    this.hpa = memory.allocatePages(1);
    // The tables on the way to it are there from the start; the entry comes when it is missed.
    this.map();
    ept.unmap(APIC_DEFAULT_GPA, PAGE_SIZE);
  }

  /** Pages of host memory that it needs, with the EPT tables on the way to it. */
  static readonly PAGES = 3;

  map(): void {
    this.ept.map(APIC_DEFAULT_GPA, this.hpa, PAGE_SIZE, undefined, false);
  }
}

/** The vCPU's APIC is used by way of its page, or off, and that is the APIC-access page. */
function usesAccessPage({ lapic, vm }: Vcpu): boolean {
  if (vm.apicAccess === null || lapic.isX2apic) return false;
  return lapic.isPresent || vm.parameters.apicOffExits;
}

/** "Virtualize APIC accesses" follows the mode of the APIC. */
export function followApicMode(vcpu: Vcpu): void {
  if (vcpu.vm.apicAccess === null) return;
  const { vmcs } = vcpu.virtual;
  const old = vmcs.get32(SECONDARY);
  const bit = Secondary.VIRTUALIZE_APIC_ACCESSES;
  const wanted = usesAccessPage(vcpu) ? old | bit : old & ~bit;
  if (wanted !== old) vmcs.set32(SECONDARY, wanted);
}

/** At an EPT violation: true if it was the APIC-access page that was missing. */
export function mapsAccessPage(vcpu: Vcpu, gpa: number): boolean {
  if (gpa - (gpa % PAGE_SIZE) !== APIC_DEFAULT_GPA || !usesAccessPage(vcpu)) return false;
  vcpu.vm.apicAccess?.map();
  return true;
}

/**
 * Before an entry: the guest exits when it lowers its priority so far that the best pending
 * interrupt can be delivered.
 */
export function updateTprThreshold({ lapic, virtual }: Vcpu): void {
  if (lapic.page === null) return;
  const pending = lapic.requestedVector >> 4;
  const isHeldBack = pending >= 0 && lapic.taskPriority >> 4 >= pending;
  const threshold = isHeldBack ? pending : 0;
  if (virtual.vmcs.get32(THRESHOLD) !== threshold) virtual.vmcs.set32(THRESHOLD, threshold);
}
