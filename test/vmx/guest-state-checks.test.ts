// VM-entry checks on guest non-register state: activity, interruptibility, pending debug
// exceptions, link pointer. SDM 3, "Checks on Guest Non-Register State". Entry failure, reason 33.

import Long from 'long';
import { describe } from 'vitest';
import { type AcceptedCase, accepts, type RefusedCase, refuses } from '../support/entry-outcome.ts';
import type { FieldValues } from '../support/vmx-bench.ts';

const REFUSED = 'exit 33, qualification 0';

const HLT: FieldValues = { GUEST_ACTIVITY_STATE: 1 };
const STI: FieldValues = { GUEST_INTERRUPTIBILITY_INFO: 1, GUEST_RFLAGS: 0x202 };
const MOV_SS: FieldValues = { GUEST_INTERRUPTIBILITY_INFO: 2 };
const BLOCKED_NMI: FieldValues = { GUEST_INTERRUPTIBILITY_INFO: 8 };

const USER: FieldValues = {
  GUEST_CS_SELECTOR: 0x23,
  GUEST_CS_AR_BYTES: 0xa0fb,
  GUEST_SS_SELECTOR: 0x1b,
  GUEST_SS_AR_BYTES: 0xc0f3,
};

const ERROR_CODE = 0x800;
const inject = (type: number, vector: number, more = 0): FieldValues => ({
  VM_ENTRY_INTR_INFO_FIELD: 2 ** 31 + type * 256 + vector + more,
  VM_ENTRY_INSTRUCTION_LEN: 1,
});

describe('activity state', () => {
  const halted = /into HLT only/;
  const asleep = /into shutdown only NMIs and #MC/;
  const SHUTDOWN = { GUEST_ACTIVITY_STATE: 2 };
  const SIPI_WAIT = { GUEST_ACTIVITY_STATE: 3 };
  refuses(REFUSED, [
    ...[4, 0x80000000].map((state): RefusedCase => {
      return [`state ${state}`, { GUEST_ACTIVITY_STATE: state }, /one of 0 to 3/];
    }),
    ['HLT at CPL 3', { ...USER, ...HLT }, /HLT only with CPL 0/],
    ['shutdown under blocking by STI', { ...SHUTDOWN, ...STI }, /outside the active state/],
    ['wait for SIPI under MOV SS', { ...SIPI_WAIT, ...MOV_SS }, /outside the active state/],
    ['shutdown with #DB', { ...SHUTDOWN, ...inject(3, 1) }, asleep],
    ['shutdown with an interrupt', { ...SHUTDOWN, ...inject(0, 32), GUEST_RFLAGS: 0x202 }, asleep],
    ['wait for SIPI with an NMI', { ...SIPI_WAIT, ...inject(2, 2) }, asleep],
    ['wait for SIPI with #MC', { ...SIPI_WAIT, ...inject(3, 18) }, asleep],
    ['HLT under blocking by STI', { ...HLT, ...STI }, /no blocking by STI or MOV SS outside/],
    ['HLT under blocking by MOV SS', { ...HLT, ...MOV_SS }, /no blocking by STI or MOV SS outside/],
    ...[0, 3, 6, 14].map((vector): RefusedCase => {
      const change = { ...HLT, ...inject(3, vector, vector === 14 ? ERROR_CODE : 0) };
      return [`HLT with exception ${vector}`, change, halted];
    }),
    ...[4, 5, 6].map((type): RefusedCase => {
      return [`HLT with type ${type}`, { ...HLT, ...inject(type, 3) }, halted];
    }),
  ]);
  accepts([
    ['HLT', HLT],
    ['HLT with an external interrupt', { ...HLT, ...inject(0, 32), GUEST_RFLAGS: 0x202 }],
    ['HLT with an NMI', { ...HLT, ...inject(2, 2) }],
    ['shutdown', SHUTDOWN],
    ['shutdown at CPL 3', { ...USER, ...SHUTDOWN }],
    ['shutdown with an NMI', { ...SHUTDOWN, ...inject(2, 2) }],
    ['shutdown with #MC', { ...SHUTDOWN, ...inject(3, 18) }],
    ['the wait for a start-up IPI', SIPI_WAIT],
    ['HLT with a pending MTF exit', { ...HLT, ...inject(7, 0) }],
    ['HLT with #DB', { ...HLT, ...inject(3, 1) }],
    ['HLT with #MC', { ...HLT, ...inject(3, 18) }],
    ['HLT under blocking by NMI', { ...HLT, ...BLOCKED_NMI }],
  ]);
});

describe('interruptibility', () => {
  // SMIs (2) are blocked in system-management mode only, and there are no enclaves (4).
  const reserved = [2, ...Array.from({ length: 28 }, (_, i) => 4 + i)];
  const noVirtualNmis = { PIN_BASED_VM_EXEC_CONTROL: 0x1f };
  refuses(REFUSED, [
    ...reserved.map((bit): RefusedCase => {
      return [`bit ${bit}`, { GUEST_INTERRUPTIBILITY_INFO: 2 ** bit }, /no reserved bit/];
    }),
    ['STI and MOV SS', { ...STI, GUEST_INTERRUPTIBILITY_INFO: 3 }, /excludes that by MOV SS/],
    ['STI with IF 0', { ...STI, GUEST_RFLAGS: 2 }, /blocking by STI needs RFLAGS.IF/],
    ['STI with an external interrupt', { ...STI, ...inject(0, 32) }, /external interrupt/],
    [
      'MOV SS with an external interrupt',
      { ...MOV_SS, ...inject(0, 32), GUEST_RFLAGS: 0x202 },
      /external interrupt/,
    ],
    ['MOV SS with an NMI', { ...MOV_SS, ...inject(2, 2) }, /when an NMI is injected/],
    [
      'blocking by virtual NMI with an NMI',
      { ...BLOCKED_NMI, ...inject(2, 2) },
      /when an NMI is injected/,
    ],
  ]);
  accepts([
    ['STI', STI],
    ['MOV SS', MOV_SS],
    ['NMI', BLOCKED_NMI],
    ['STI with an exception', { ...STI, ...inject(3, 6) }],
    ['MOV SS with an exception', { ...MOV_SS, ...inject(3, 6) }],
    ['MOV SS with a software interrupt', { ...MOV_SS, ...inject(4, 0x80) }],
    [
      'blocking by NMI with an NMI, without virtual NMIs',
      { ...BLOCKED_NMI, ...inject(2, 2), ...noVirtualNmis },
    ],
    [
      'blocking by NMI with an external interrupt',
      { ...BLOCKED_NMI, ...inject(0, 32), GUEST_RFLAGS: 0x202 },
    ],
  ]);
});

describe('pending debug exceptions', () => {
  const BS = 2 ** 14;
  const pending = (bits: number | Long): FieldValues => ({ GUEST_PENDING_DBG_EXCEPTIONS: bits });
  const TF = 0x100;
  const defined = [0, 1, 2, 3, 12, 14];
  const reserved = Array.from({ length: 64 }, (_, bit) => bit).filter((b) => !defined.includes(b));
  const states: readonly (readonly [string, FieldValues])[] = [
    ['blocking by STI', STI],
    ['blocking by MOV SS', { ...MOV_SS, GUEST_RFLAGS: 2 }],
    ['HLT', { ...HLT, GUEST_RFLAGS: 2 }],
  ];
  const stepping = (state: FieldValues): FieldValues => ({
    ...state,
    GUEST_RFLAGS: (state.GUEST_RFLAGS as number) | TF,
  });
  refuses(REFUSED, [
    ...reserved.map((bit): RefusedCase => {
      return [`bit ${bit}`, pending(Long.ONE.shl(bit)), /pending debug exceptions/];
    }),
    ...states.flatMap(([name, state]): RefusedCase[] => [
      [`${name}: TF without BS`, stepping(state), /pending debug exceptions|BS/],
      [`${name}: BS without TF`, { ...state, ...pending(BS) }, /BS/],
    ]),
  ]);
  accepts([
    ...states.flatMap(([name, state]): AcceptedCase[] => [
      [`${name}: TF with BS`, { ...stepping(state), ...pending(BS) }],
      [`${name}: neither`, state],
    ]),
    ['BS without TF and without blocking', pending(BS)],
    ['TF without BS and without blocking', { GUEST_RFLAGS: 2 | TF }],
    ['all defined bits', pending(BS | 0x100f)],
  ]);
});

describe('VMCS link pointer', () => {
  refuses('exit 33, qualification 4', [
    ['0, where no VMCS lies', { VMCS_LINK_POINTER: 0 }, /link pointer/],
    ['a misaligned address', { VMCS_LINK_POINTER: 0x1001 }, /link pointer/],
    ['an address beyond the width', { VMCS_LINK_POINTER: 2 ** 46 }, /link pointer/],
    ['all ones but one', { VMCS_LINK_POINTER: Long.NEG_ONE.sub(1) }, /link pointer/],
  ]);
});
