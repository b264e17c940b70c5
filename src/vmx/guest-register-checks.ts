// Checks on guest control registers, debug registers and MSRs. SDM 3, "Checks on the Guest-State
// Area".

import {
  Cr0,
  Cr4,
  Efer,
  isCanonical,
  isPatValid,
  isPdpteLegal,
  PHYSICAL_ADDRESS_BITS,
} from '../cpu/index.ts';
import {
  check,
  type EntryCheck,
  entryControls,
  implies,
  isLongModeGuest,
  isPagingGuest,
  isUnrestricted,
  secondary,
  wide,
} from './check.ts';
import { EntryControl, Secondary } from './controls.ts';
import type { FieldName } from './fields.ts';
import {
  CR0_FIXED_1,
  isCr0Supported,
  isCr4Supported,
  isEferDefined,
  UNRESTRICTED_CR0_FIXED_1,
} from './fixed-bits.ts';
import type { Vmcs } from './vmcs.ts';

const SECTION = 'Checks on Guest Control Registers, Debug Registers, and MSRs';

const guestCr0 = wide('GUEST_CR0');
const guestCr4 = wide('GUEST_CR4');
const guestEfer = wide('GUEST_IA32_EFER');

const PDPTE_FIELDS = [
  'GUEST_PDPTR0',
  'GUEST_PDPTR1',
  'GUEST_PDPTR2',
  'GUEST_PDPTR3',
] as const satisfies readonly FieldName[];

/** Exit qualification of an entry that fails because of PDPTEs. */
const PDPTE_QUALIFICATION = 2;

export const GUEST_REGISTER_CHECKS: readonly EntryCheck[] = [
  check(
    'guest',
    SECTION,
    'CR0 has the fixed bits, of which PE and PG are free with "unrestricted guest"',
    ['GUEST_CR0', 'SECONDARY_VM_EXEC_CONTROL'],
    (v) => isCr0Supported(guestCr0(v), isUnrestricted(v) ? UNRESTRICTED_CR0_FIXED_1 : CR0_FIXED_1),
  ),
  check('guest', SECTION, 'CR0.PG needs CR0.PE', ['GUEST_CR0'], (v) =>
    implies(isPagingGuest(v), (guestCr0(v).low & Cr0.PE) !== 0),
  ),
  check('guest', SECTION, 'CR4 has the fixed bits', ['GUEST_CR4'], (v) =>
    isCr4Supported(guestCr4(v)),
  ),
  check(
    'guest',
    SECTION,
    'an IA-32e mode guest has CR0.PG and CR4.PAE set',
    ['VM_ENTRY_CONTROLS', 'GUEST_CR0', 'GUEST_CR4'],
    (v) =>
      implies(
        (entryControls(v) & EntryControl.IA32E_MODE) !== 0,
        (guestCr0(v).low & Cr0.PG) !== 0 && (guestCr4(v).low & Cr4.PAE) !== 0,
      ),
  ),
  check(
    'guest',
    SECTION,
    'CR4.PCIDE only in IA-32e mode',
    ['GUEST_CR4', 'VM_ENTRY_CONTROLS'],
    (v) => implies((guestCr4(v).low & Cr4.PCIDE) !== 0, isLongModeGuest(v)),
  ),
  check('guest', SECTION, 'CR3 is within the physical-address width', ['GUEST_CR3'], (v) =>
    v.read('GUEST_CR3').shru(PHYSICAL_ADDRESS_BITS).isZero(),
  ),
  check('guest', SECTION, 'with "load debug controls", DR7[63:32] is 0', ['GUEST_DR7'], (v) =>
    implies(
      (entryControls(v) & EntryControl.LOAD_DEBUG_CONTROLS) !== 0,
      v.read('GUEST_DR7').high === 0,
    ),
  ),
  check(
    'guest',
    SECTION,
    'with "load debug controls", DEBUGCTL is 0 (neither LBR nor BTF is offered)',
    ['GUEST_IA32_DEBUGCTL'],
    (v) =>
      implies(
        (entryControls(v) & EntryControl.LOAD_DEBUG_CONTROLS) !== 0,
        v.read('GUEST_IA32_DEBUGCTL').isZero(),
      ),
  ),
  ...(['GUEST_SYSENTER_ESP', 'GUEST_SYSENTER_EIP'] as const).map((name) =>
    check('guest', SECTION, 'the address is canonical', [name], (v) =>
      isCanonical(v.read(name).high),
    ),
  ),
  check('guest', SECTION, 'with "load IA32_PAT", memory types are valid', ['GUEST_IA32_PAT'], (v) =>
    implies(
      (entryControls(v) & EntryControl.LOAD_IA32_PAT) !== 0,
      isPatValid(v.read('GUEST_IA32_PAT')),
    ),
  ),
  check(
    'guest',
    SECTION,
    'with "load IA32_EFER", LMA equals "IA-32e mode guest", and LME with CR0.PG; reserved bits are 0',
    ['GUEST_IA32_EFER', 'VM_ENTRY_CONTROLS', 'GUEST_CR0'],
    (v) => {
      if ((entryControls(v) & EntryControl.LOAD_IA32_EFER) === 0) return true;
      const efer = guestEfer(v);
      const isActive = (efer.low & Efer.LMA) !== 0;
      const isEnabled = (efer.low & Efer.LME) !== 0;
      return (
        isEferDefined(efer) &&
        isActive === isLongModeGuest(v) &&
        implies(isPagingGuest(v), isEnabled === isActive)
      );
    },
  ),
  check(
    'guest',
    'Checks on Guest Page-Directory-Pointer-Table Entries',
    'with "enable EPT", PDPTEs of PAE paging that are present have no reserved bits',
    [...PDPTE_FIELDS, 'GUEST_CR0', 'GUEST_CR4', 'VM_ENTRY_CONTROLS'],
    (v) =>
      implies(
        usesPaePaging(v) && (secondary(v) & Secondary.ENABLE_EPT) !== 0,
        PDPTE_FIELDS.every((name) => isPdpteLegal(v.read(name).low, v.read(name).high)),
      ),
    PDPTE_QUALIFICATION,
  ),
];

/** The guest is to translate by PAE paging. */
function usesPaePaging(v: Vmcs): boolean {
  return !isLongModeGuest(v) && isPagingGuest(v) && (guestCr4(v).low & Cr4.PAE) !== 0;
}

/** Without EPT, entry loads the PDPTEs of PAE paging from memory. */
export function loadsPdptes(v: Vmcs): boolean {
  return usesPaePaging(v) && (secondary(v) & Secondary.ENABLE_EPT) === 0;
}

/** What fails if the PDPTEs in memory, which entry loads without EPT, have reserved bits. */
export const PDPTES_IN_MEMORY = check(
  'guest',
  'Checks on Guest Page-Directory-Pointer-Table Entries',
  'without "enable EPT", PDPTEs in memory that are present have no reserved bits',
  ['GUEST_CR3'],
  () => false,
  PDPTE_QUALIFICATION,
);
