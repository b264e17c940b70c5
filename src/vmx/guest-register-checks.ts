// Checks on guest control registers, debug registers and MSRs. SDM 3, "Checks on the Guest-State
// Area".

import { Cr0, Cr4, Efer, isCanonical, isPatValid, PHYSICAL_ADDRESS_BITS } from '../cpu/index.ts';
import { check, type EntryCheck, entryControls, implies, wide } from './check.ts';
import { EntryControl } from './controls.ts';
import { isCr0Supported, isCr4Supported, isEferDefined } from './fixed-bits.ts';

const SECTION = 'Checks on Guest Control Registers, Debug Registers, and MSRs';

const guestCr0 = wide('GUEST_CR0');
const guestCr4 = wide('GUEST_CR4');
const guestEfer = wide('GUEST_IA32_EFER');

export const GUEST_REGISTER_CHECKS: readonly EntryCheck[] = [
  check('guest', SECTION, 'CR0 has the fixed bits', ['GUEST_CR0'], (v) =>
    isCr0Supported(guestCr0(v)),
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
    'with "load IA32_EFER", LMA equals "IA-32e mode guest" and LME, and reserved bits are 0',
    ['GUEST_IA32_EFER', 'VM_ENTRY_CONTROLS'],
    (v) => {
      if ((entryControls(v) & EntryControl.LOAD_IA32_EFER) === 0) return true;
      const efer = guestEfer(v);
      const long = (entryControls(v) & EntryControl.IA32E_MODE) !== 0;
      const isActive = (efer.low & Efer.LMA) !== 0;
      const isEnabled = (efer.low & Efer.LME) !== 0;
      return isEferDefined(efer) && isActive === long && isEnabled === long;
    },
  ),
];
