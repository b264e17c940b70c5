// Checks on the controls of APIC virtualization. SDM 3, "VM-Execution Control Fields" under "Checks
// on VMX Controls". Controls that are not offered need no line: a reserved bit fails first.

import { check, type EntryCheck, implies, isPageAligned, primary, secondary } from './check.ts';
import { Primary, Secondary } from './controls.ts';
import type { FieldName } from './fields.ts';
import type { Vmcs } from './vmcs.ts';

const SECTION = 'VM-Execution Control Fields';

const hasShadow = (v: Vmcs) => (primary(v) & Primary.TPR_SHADOW) !== 0;

/**
 * "Virtualize APIC accesses". An entry that finds VTPR below its threshold is followed by an exit
 * then; else it fails.
 */
export function hasApicPage(v: Vmcs): boolean {
  return (secondary(v) & Secondary.VIRTUALIZE_APIC_ACCESSES) !== 0;
}

const PRIMARY: FieldName = 'CPU_BASED_VM_EXEC_CONTROL';
const SECONDARY: FieldName = 'SECONDARY_VM_EXEC_CONTROL';

export const VIRTUAL_APIC_CHECKS: readonly EntryCheck[] = [
  check(
    'controls',
    SECTION,
    'with "use TPR shadow", the virtual-APIC address is page-aligned and within the physical-address width',
    [PRIMARY, 'VIRTUAL_APIC_PAGE_ADDR'],
    (v) => implies(hasShadow(v), isPageAligned(v.read('VIRTUAL_APIC_PAGE_ADDR'))),
  ),
  check(
    'controls',
    SECTION,
    'with "use TPR shadow", bits 31:4 of the TPR threshold are 0',
    [PRIMARY, 'TPR_THRESHOLD'],
    (v) => implies(hasShadow(v), (v.read('TPR_THRESHOLD').low & ~15) === 0),
  ),
  check(
    'controls',
    SECTION,
    'with "virtualize APIC accesses", the APIC-access address is page-aligned and within the width',
    [PRIMARY, SECONDARY, 'APIC_ACCESS_ADDR'],
    (v) => implies(hasApicPage(v), isPageAligned(v.read('APIC_ACCESS_ADDR'))),
  ),
];
