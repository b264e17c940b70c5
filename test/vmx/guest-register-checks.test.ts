// VM-entry checks on guest registers: entry failure, exit reason 33, qualification 0. SDM 3,
// "Checks on Guest Control Registers, Debug Registers, and MSRs" and "Checks on Guest RIP and
// RFLAGS".

import Long from 'long';
import { describe } from 'vitest';
import { EntryControl, vmxCapabilityMsrs } from '../../src/vmx/index.ts';
import { type AcceptedCase, accepts, type RefusedCase, refuses } from '../support/entry-outcome.ts';
import { Controls } from '../support/valid-vmcs.ts';

const REFUSED = 'exit 33, qualification 0';

const bit = (number: number) => Long.ONE.shl(number);
const loading = (control: number) => ({ VM_ENTRY_CONTROLS: Controls.ENTRY | control });
const CR0 = 0x80010033;
const CR4 = 0x2020;

describe('control registers', () => {
  const allowedCr4 = vmxCapabilityMsrs().get(0x489) ?? Long.ZERO;
  const forbiddenCr4 = Array.from({ length: 64 }, (_, number) => number).filter((number) =>
    allowedCr4.and(bit(number)).isZero(),
  );
  refuses(REFUSED, [
    ...[0, 5, 31].map((number): RefusedCase => {
      const GUEST_CR0 = Long.fromNumber(CR0).and(bit(number).not());
      return [`CR0 without bit ${number}`, { GUEST_CR0 }, /CR0 has the fixed bits/];
    }),
    ...[32, 63].map((number): RefusedCase => {
      return [`CR0 with bit ${number}`, { GUEST_CR0: bit(number).or(CR0) }, /CR0 has the fixed/];
    }),
    ['CR4 without VMXE', { GUEST_CR4: CR4 & ~0x2000 }, /CR4 has the fixed bits/],
    ...forbiddenCr4.map((number): RefusedCase => {
      return [`CR4 with bit ${number}`, { GUEST_CR4: bit(number).or(CR4) }, /CR4 has the fixed/];
    }),
    ['IA-32e mode without CR4.PAE', { GUEST_CR4: CR4 & ~0x20 }, /IA-32e mode guest has/],
    ...[46, 51, 52, 63].map((number): RefusedCase => {
      return [`CR3 with bit ${number}`, { GUEST_CR3: bit(number) }, /CR3/];
    }),
  ]);
  accepts([
    ['CR0 with CD and NW', { GUEST_CR0: CR0 + 0x60000000 }],
    ['CR0 with NW alone', { GUEST_CR0: CR0 + 0x20000000 }],
    ['CR0 with all low bits', { GUEST_CR0: 0xffffffff }],
    ['CR4 with every bit that may be 1', { GUEST_CR4: allowedCr4 }],
    ['CR3 with all its bits, the low ones ignored', { GUEST_CR3: 2 ** 46 - 1 }],
  ]);
});

describe('DR7 and DEBUGCTL', () => {
  const load = loading(EntryControl.LOAD_DEBUG_CONTROLS);
  refuses(REFUSED, [
    ...[32, 47, 63].map((number): RefusedCase => {
      const GUEST_DR7 = bit(number).or(0x400);
      return [`DR7 with bit ${number}`, { ...load, GUEST_DR7 }, /DR7\[63:32\] is 0/];
    }),
    // Neither LBR (0) nor BTF (1) is offered.
    ...[0, 1, 2, 5, 13, 16, 31, 32, 63].map((number): RefusedCase => {
      const change = { ...load, GUEST_IA32_DEBUGCTL: bit(number) };
      return [`DEBUGCTL with bit ${number}`, change, /DEBUGCTL/];
    }),
  ]);
  accepts([
    ['DR7 with all low bits', { ...load, GUEST_DR7: 0xffffffff }],
    ['a bad DR7 that is not loaded', { GUEST_DR7: bit(32) }],
    ['a bad DEBUGCTL that is not loaded', { GUEST_IA32_DEBUGCTL: bit(63) }],
  ]);
});

describe('SYSENTER', () => {
  const fields = ['GUEST_SYSENTER_ESP', 'GUEST_SYSENTER_EIP'] as const;
  const FIRST_BAD = Long.fromBits(0, 0x8000);
  const LAST_BAD = Long.fromBits(-1, 0xffff7fff);
  refuses(
    REFUSED,
    fields.flatMap((field): RefusedCase[] => [
      [`${field} 0000800000000000`, { [field]: FIRST_BAD }, /canonical/],
      [`${field} FFFF7FFFFFFFFFFF`, { [field]: LAST_BAD }, /canonical/],
    ]),
  );
  accepts(
    fields.flatMap((field): AcceptedCase[] => [
      [`${field} 00007FFFFFFFFFFF`, { [field]: FIRST_BAD.sub(1) }],
      [`${field} FFFF800000000000`, { [field]: LAST_BAD.add(1) }],
    ]),
  );
});

describe('PAT', () => {
  const load = loading(EntryControl.LOAD_IA32_PAT);
  refuses(
    REFUSED,
    [2, 3, 8, 0xff].flatMap((type) =>
      [0, 24, 32, 56].map((at): RefusedCase => {
        const GUEST_IA32_PAT = Long.fromInt(type).shl(at);
        return [`type ${type} at bit ${at}`, { ...load, GUEST_IA32_PAT }, /memory types/];
      }),
    ),
  );
  accepts([
    ...[0, 1, 4, 5, 6, 7].map((type): AcceptedCase => {
      const all = Long.fromBits(type * 0x01010101, type * 0x01010101);
      return [`type ${type} everywhere`, { ...load, GUEST_IA32_PAT: all }];
    }),
    ['a bad PAT that is not loaded', { GUEST_IA32_PAT: 2 }],
  ]);
});

describe('EFER', () => {
  const load = loading(EntryControl.LOAD_IA32_EFER);
  const reserved = [1, 2, 7, 9, 12, 13, 14, 15, 16, 31, 32, 63];
  refuses(REFUSED, [
    ['LMA 0 in IA-32e mode', { ...load, GUEST_IA32_EFER: 0x100 }, /LMA equals/],
    ['LME 0 with paging in IA-32e mode', { ...load, GUEST_IA32_EFER: 0x400 }, /LMA equals/],
    ...reserved.map((number): RefusedCase => {
      const GUEST_IA32_EFER = bit(number).or(0x500);
      return [`reserved bit ${number}`, { ...load, GUEST_IA32_EFER }, /LMA equals|reserved/];
    }),
  ]);
  accepts([
    ['LMA and LME alone', { ...load, GUEST_IA32_EFER: 0x500 }],
    ['SCE and NXE too', { ...load, GUEST_IA32_EFER: 0xd01 }],
  ]);
});

describe('RFLAGS', () => {
  const upper = Array.from({ length: 42 }, (_, i) => 22 + i);
  refuses(REFUSED, [
    ['bit 1 clear', { GUEST_RFLAGS: 0 }, /bit 1 is 1/],
    ...[3, 5, 15, ...upper].map((number): RefusedCase => {
      return [`bit ${number}`, { GUEST_RFLAGS: bit(number).or(2) }, /reserved bits of RFLAGS/];
    }),
    ['VM in IA-32e mode', { GUEST_RFLAGS: 0x20002 }, /VM is 0/],
    [
      'IF 0 with an external interrupt to inject',
      { GUEST_RFLAGS: 2, VM_ENTRY_INTR_INFO_FIELD: 0x80000020 },
      /IF is 1/,
    ],
  ]);
  accepts([
    ['every other flag', { GUEST_RFLAGS: 0x3d7fd7 }],
    ['IF 0 with an NMI to inject', { GUEST_RFLAGS: 2, VM_ENTRY_INTR_INFO_FIELD: 0x80000202 }],
  ]);
});

describe('RIP', () => {
  const rule = /RIP/;
  const COMPATIBILITY = { GUEST_CS_AR_BYTES: 0xc09b };
  refuses(REFUSED, [
    ['bit 48 alone', { GUEST_RIP: bit(48) }, rule],
    ['bit 63 alone', { GUEST_RIP: bit(63) }, rule],
    ['bits 63:49', { GUEST_RIP: Long.fromBits(0, 0xfffe0000) }, rule],
    ['bit 32 outside 64-bit code', { ...COMPATIBILITY, GUEST_RIP: bit(32) }, rule],
    ['FFFFFFFF80000000 outside 64-bit code', { ...COMPATIBILITY, GUEST_RIP: -(2 ** 31) }, rule],
  ]);
  accepts([
    ['00007FFFFFFFFFFF', { GUEST_RIP: bit(47).sub(1) }],
    ['FFFF800000000000', { GUEST_RIP: Long.fromBits(0, 0xffff8000) }],
    // Bits 63:48 have to be equal; bit 47 is not looked at.
    ['0000800000000000, not canonical', { GUEST_RIP: bit(47) }],
    ['FFFF000000000000, not canonical', { GUEST_RIP: Long.fromBits(0, 0xffff0000) }],
    ['FFFFFFFF outside 64-bit code', { ...COMPATIBILITY, GUEST_RIP: 0xffffffff }],
  ]);
});
