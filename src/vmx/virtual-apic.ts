// The virtual-APIC page, of which the task priority is what "use TPR shadow" needs, and the
// APIC-access page. SDM 3, "Virtualizing CR8-Based TPR Accesses", "Virtualizing Memory-Mapped APIC
// Accesses", "TPR Virtualization". APIC-register virtualization and virtual-interrupt delivery are
// not offered.

import { Access, type AccessKind } from '../cpu/index.ts';
import { check, type EntryCheck } from './check.ts';
import { Primary } from './controls.ts';
import { fieldIndex } from './fields.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

const VIRTUAL_APIC = fieldIndex('VIRTUAL_APIC_PAGE_ADDR');
const APIC_ACCESS = fieldIndex('APIC_ACCESS_ADDR');
const THRESHOLD = fieldIndex('TPR_THRESHOLD');

/** Offset of the task priority. */
const VTPR = 0x80;
/** So many bytes of 16 are a register. */
export const REGISTER_BYTES = 4;

export function hasTprShadow(owner: VirtualProcessor): boolean {
  return (owner.primary & Primary.TPR_SHADOW) !== 0;
}

/** VTPR, of which bits 7:4 are what CR8 shows. */
export function virtualTaskPriority({ memory, vmcs }: VirtualProcessor): number {
  return memory.bytes[vmcs.address(VIRTUAL_APIC) + VTPR];
}

/** Write VTPR; what lies above its lowest byte becomes 0. True if it is below the threshold now. */
export function writeTaskPriority(owner: VirtualProcessor, value: number): boolean {
  const { memory, vmcs } = owner;
  memory.write(vmcs.address(VIRTUAL_APIC) + VTPR, Uint8Array.of(value & 0xff, 0, 0, 0));
  return isBelowThreshold(owner);
}

export function isBelowThreshold(owner: VirtualProcessor): boolean {
  const threshold = owner.vmcs.get32(THRESHOLD) & 15;
  return threshold > 0 && virtualTaskPriority(owner) >> 4 < threshold;
}

/** It reads memory, so that every entry makes it anew. */
export const THRESHOLD_CHECK: EntryCheck = check(
  'controls',
  'VM-Execution Control Fields',
  'with "use TPR shadow" alone, the TPR threshold is at most bits 7:4 of VTPR',
  ['CPU_BASED_VM_EXEC_CONTROL', 'SECONDARY_VM_EXEC_CONTROL', 'TPR_THRESHOLD'],
  () => true,
);

/** Whether a host-physical address lies in the APIC-access page, where there is one. */
export function isApicAccess(owner: VirtualProcessor, hpa: number): boolean {
  return hpa - (hpa & 4095) === owner.vmcs.address(APIC_ACCESS);
}

/** Types of access in the qualification of an APIC-access exit. */
const AccessType = { LINEAR_DELIVERY: 3, PHYSICAL_DELIVERY: 10, PHYSICAL: 15 } as const;

const LINEAR_TYPES: Readonly<Record<AccessKind, number>> = {
  [Access.READ]: 0,
  [Access.WRITE]: 1,
  [Access.EXECUTE]: 2,
};

/**
 * The qualification of the exit.
 * @param isLinear it is the access itself, not one to a paging structure on the way to it
 */
export function apicAccessQualification(
  offset: number,
  access: AccessKind,
  isLinear: boolean,
  isDelivery: boolean,
): number {
  const physical = isDelivery ? AccessType.PHYSICAL_DELIVERY : AccessType.PHYSICAL;
  const linear = isDelivery ? AccessType.LINEAR_DELIVERY : LINEAR_TYPES[access];
  return offset | ((isLinear ? linear : physical) << 12);
}

/** Whether an access to an offset of the APIC-access page may turn out to be virtualized. */
export function mayBeVirtualized(
  owner: VirtualProcessor,
  offset: number,
  access: AccessKind,
): boolean {
  return offset === VTPR && access !== Access.EXECUTE && hasTprShadow(owner);
}
