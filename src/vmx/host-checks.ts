// Checks on the host-state area. SDM 3, "Checks on VMX Controls and Host-State Area".

import { Cr4, Efer, isCanonical, isPatValid, PHYSICAL_ADDRESS_BITS } from '../cpu/index.ts';
import { check, type EntryCheck, exitControls, implies } from './check.ts';
import { ExitControl } from './controls.ts';
import { CR0_FIXED_1, isCr0Supported, isCr4Supported, isEferDefined } from './fixed-bits.ts';

const HOST_SECTION = 'Checks on Host Control Registers, MSRs, and Segment Registers';
const SIZE_SECTION = 'Checks Related to Address-Space Size';

export const HOST_CHECKS: readonly EntryCheck[] = [
  check('host', HOST_SECTION, 'CR0 has the fixed bits', ['HOST_CR0'], (v) =>
    isCr0Supported(v.read('HOST_CR0'), CR0_FIXED_1),
  ),
  check('host', HOST_SECTION, 'CR4 has the fixed bits', ['HOST_CR4'], (v) =>
    isCr4Supported(v.read('HOST_CR4')),
  ),
  check('host', HOST_SECTION, 'CR3 is within the physical-address width', ['HOST_CR3'], (v) =>
    v.read('HOST_CR3').shru(PHYSICAL_ADDRESS_BITS).isZero(),
  ),
  ...(
    [
      'HOST_FS_BASE',
      'HOST_GS_BASE',
      'HOST_TR_BASE',
      'HOST_GDTR_BASE',
      'HOST_IDTR_BASE',
      'HOST_IA32_SYSENTER_ESP',
      'HOST_IA32_SYSENTER_EIP',
      'HOST_RIP',
    ] as const
  ).map((name) =>
    check('host', HOST_SECTION, 'the address is canonical', [name], (v) =>
      isCanonical(v.read(name).high),
    ),
  ),
  ...(['HOST_CS_SELECTOR', 'HOST_TR_SELECTOR'] as const).map((name) =>
    check('host', HOST_SECTION, 'the selector is not 0', [name], (v) => !v.read(name).isZero()),
  ),
  ...(['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'TR'] as const).map((segment) => {
    const name = `HOST_${segment}_SELECTOR` as const;
    return check(
      'host',
      HOST_SECTION,
      'RPL and TI of the selector are 0',
      [name],
      (v) => (v.read(name).low & 7) === 0,
    );
  }),
  check(
    'host',
    SIZE_SECTION,
    'a 64-bit host returns to 64-bit mode',
    ['VM_EXIT_CONTROLS'],
    (v) => (exitControls(v) & ExitControl.HOST_ADDR_SPACE_SIZE) !== 0,
  ),
  check(
    'host',
    SIZE_SECTION,
    'a 64-bit host has CR4.PAE',
    ['HOST_CR4'],
    (v) => (v.read('HOST_CR4').low & Cr4.PAE) !== 0,
  ),
  check(
    'host',
    HOST_SECTION,
    'with "load IA32_PAT", memory types are valid',
    ['HOST_IA32_PAT'],
    (v) =>
      implies(
        (exitControls(v) & ExitControl.LOAD_IA32_PAT) !== 0,
        isPatValid(v.read('HOST_IA32_PAT')),
      ),
  ),
  check(
    'host',
    HOST_SECTION,
    'with "load IA32_EFER", LMA and LME are 1 and reserved bits 0',
    ['HOST_IA32_EFER'],
    (v) => {
      const long = Efer.LMA | Efer.LME;
      const efer = v.read('HOST_IA32_EFER');
      return implies(
        (exitControls(v) & ExitControl.LOAD_IA32_EFER) !== 0,
        (efer.low & long) === long && isEferDefined(efer),
      );
    },
  ),
];
