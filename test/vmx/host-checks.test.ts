// VM-entry checks on the host-state area: VMfailValid 8. SDM 3, "Checks on Host Control Registers,
// MSRs", "Checks on Host Segment and Descriptor-Table Registers", "Checks Related to Address-Space
// Size". The processor is in IA-32e mode when it enters.

import Long from 'long';
import { describe } from 'vitest';
import { ExitControl, type FieldName, vmxCapabilityMsrs } from '../../src/vmx/index.ts';
import { type AcceptedCase, accepts, type RefusedCase, refuses } from '../support/entry-outcome.ts';
import { Controls } from '../support/valid-vmcs.ts';

const bit = (number: number) => Long.ONE.shl(number);
const CR0 = 0x80050033;
const CR4 = 0x20a0;

describe('control registers', () => {
  const allowedCr4 = vmxCapabilityMsrs().get(0x489) ?? Long.ZERO;
  const forbiddenCr4 = Array.from({ length: 64 }, (_, number) => number).filter((number) =>
    allowedCr4.and(bit(number)).isZero(),
  );
  refuses('error 8', [
    ...[0, 5, 31].map((number): RefusedCase => {
      const value = Long.fromNumber(CR0).and(bit(number).not());
      return [`CR0 without bit ${number}`, { HOST_CR0: value }, /CR0 has the fixed bits/];
    }),
    ...[32, 63].map((number): RefusedCase => {
      return [
        `CR0 with bit ${number}`,
        { HOST_CR0: bit(number).or(CR0) },
        /CR0 has the fixed bits/,
      ];
    }),
    ['CR4 without VMXE', { HOST_CR4: CR4 & ~0x2000 }, /CR4 has the fixed bits/],
    ['CR4 without PAE', { HOST_CR4: CR4 & ~0x20 }, /CR4.PAE/],
    ...forbiddenCr4.map((number): RefusedCase => {
      return [
        `CR4 with bit ${number}`,
        { HOST_CR4: bit(number).or(CR4) },
        /CR4 has the fixed bits/,
      ];
    }),
    ...[46, 51, 52, 63].map((number): RefusedCase => {
      return [`CR3 with bit ${number}`, { HOST_CR3: bit(number) }, /CR3/];
    }),
  ]);
  accepts([
    ['CR0 with CD and NW', { HOST_CR0: CR0 + 0x60000000 }],
    ['CR0 with all low bits', { HOST_CR0: 0xffffffff }],
    ['CR4 with every bit that may be 1', { HOST_CR4: allowedCr4 }],
    ['CR3 with all its bits', { HOST_CR3: 2 ** 46 - 1 }],
  ]);
});

describe('canonical addresses', () => {
  const fields: readonly FieldName[] = [
    ...(['HOST_FS_BASE', 'HOST_GS_BASE', 'HOST_TR_BASE', 'HOST_GDTR_BASE'] as const),
    ...(['HOST_IDTR_BASE', 'HOST_IA32_SYSENTER_ESP', 'HOST_IA32_SYSENTER_EIP'] as const),
    'HOST_RIP',
  ];
  const FIRST_BAD = Long.fromBits(0, 0x8000);
  const LAST_BAD = Long.fromBits(-1, 0xffff7fff);
  refuses(
    'error 8',
    fields.flatMap((field): RefusedCase[] => [
      [`${field} 0000800000000000`, { [field]: FIRST_BAD }, /canonical/],
      [`${field} FFFF7FFFFFFFFFFF`, { [field]: LAST_BAD }, /canonical/],
    ]),
  );
  accepts([
    ...fields.flatMap((field): AcceptedCase[] => [
      [`${field} 00007FFFFFFFFFFF`, { [field]: FIRST_BAD.sub(1) }],
      [`${field} FFFF800000000000`, { [field]: LAST_BAD.add(1) }],
    ]),
    ['any RSP', { HOST_RSP: FIRST_BAD }],
  ]);
});

describe('selectors', () => {
  const names = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'TR'] as const;
  refuses('error 8', [
    ['CS 0', { HOST_CS_SELECTOR: 0 }, /selector is not 0/],
    ['TR 0', { HOST_TR_SELECTOR: 0 }, /selector is not 0/],
    ...names.flatMap((name) =>
      [1, 2, 4].map((bits): RefusedCase => {
        const change = { [`HOST_${name}_SELECTOR`]: 0x18 + bits };
        return [`${name} with ${bits === 4 ? 'TI' : `RPL ${bits}`}`, change, /RPL and TI/];
      }),
    ),
  ]);
  accepts([
    // SS may be null under a 64-bit host.
    ...(['ES', 'SS', 'DS', 'FS', 'GS'] as const).map((name): AcceptedCase => {
      return [`${name} 0`, { [`HOST_${name}_SELECTOR`]: 0 }];
    }),
    ...names.map((name): AcceptedCase => [`${name} FFF8`, { [`HOST_${name}_SELECTOR`]: 0xfff8 }]),
  ]);
});

describe('address-space size', () => {
  refuses('error 8', [
    [
      'a 64-bit host that does not return to 64-bit mode',
      { VM_EXIT_CONTROLS: Controls.EXIT & ~ExitControl.HOST_ADDR_SPACE_SIZE },
      /64-bit host/,
    ],
  ]);
});

describe('PAT', () => {
  const load = { VM_EXIT_CONTROLS: Controls.EXIT | ExitControl.LOAD_IA32_PAT };
  const places = [0, 24, 32, 56];
  refuses(
    'error 8',
    [2, 3, 8, 0x80].flatMap((type) =>
      places.map((at): RefusedCase => {
        const HOST_IA32_PAT = Long.fromInt(type).shl(at);
        return [`type ${type} at bit ${at}`, { ...load, HOST_IA32_PAT }, /memory types/];
      }),
    ),
  );
  accepts([
    ...[0, 1, 4, 5, 6, 7].map((type): AcceptedCase => {
      const all = Long.fromBits(type * 0x01010101, type * 0x01010101);
      return [`type ${type} everywhere`, { ...load, HOST_IA32_PAT: all }];
    }),
    ['a bad PAT that is not loaded', { HOST_IA32_PAT: 2 }],
  ]);
});

describe('EFER', () => {
  const load = { VM_EXIT_CONTROLS: Controls.EXIT | ExitControl.LOAD_IA32_EFER };
  const reserved = [1, 2, 7, 9, 12, 13, 14, 15, 16, 31, 32, 63];
  refuses('error 8', [
    ['LMA without LME', { ...load, HOST_IA32_EFER: 0x400 }, /LMA and LME are 1/],
    ['LME without LMA', { ...load, HOST_IA32_EFER: 0x100 }, /LMA and LME are 1/],
    ['neither LMA nor LME', { ...load, HOST_IA32_EFER: 0 }, /LMA and LME are 1/],
    ...reserved.map((number): RefusedCase => {
      const HOST_IA32_EFER = bit(number).or(0x500);
      return [`reserved bit ${number}`, { ...load, HOST_IA32_EFER }, /reserved/];
    }),
  ]);
  accepts([
    ['LMA and LME alone', { ...load, HOST_IA32_EFER: 0x500 }],
    ['SCE and NXE too', { ...load, HOST_IA32_EFER: 0xd01 }],
    ['a bad EFER that is not loaded', { HOST_IA32_EFER: 2 }],
  ]);
});
