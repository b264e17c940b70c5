// VM-entry checks on the control fields and on event injection: VMfailValid 7.
// SDM 3, "Checks on VMX Controls". Bits of the control words themselves are in controls.test.ts.

import Long from 'long';
import { describe } from 'vitest';
import { ExitControl, Pin, Primary, Secondary } from '../../src/vmx/index.ts';
import { type AcceptedCase, accepts, type RefusedCase, refuses } from '../support/entry-outcome.ts';
import { Controls } from '../support/valid-vmcs.ts';
import type { FieldValues } from '../support/vmx-bench.ts';

/** MAXPHYADDR is 46. */
const BEYOND = [2 ** 46, 2 ** 51, 2 ** 52];
const LAST_PAGE = 2 ** 46 - 4096;

const primary = (...bits: number[]): FieldValues => ({
  CPU_BASED_VM_EXEC_CONTROL: bits.reduce((word, bit) => word | bit, Controls.PRIMARY),
});
const secondary = (...bits: number[]): FieldValues => ({
  SECONDARY_VM_EXEC_CONTROL: bits.reduce((word, bit) => word | bit, Controls.SECONDARY),
});

describe('APIC virtualization', () => {
  const shadow = primary(Primary.TPR_SHADOW);
  const apic = secondary(Secondary.VIRTUALIZE_APIC_ACCESSES);
  refuses('error 7', [
    ...[1, 0x800, ...BEYOND].flatMap((address): RefusedCase[] => [
      [
        `a virtual-APIC page at ${address.toString(16)}`,
        { ...shadow, VIRTUAL_APIC_PAGE_ADDR: address },
        /the virtual-APIC address/,
      ],
      [
        `an APIC-access page at ${address.toString(16)}`,
        { ...apic, APIC_ACCESS_ADDR: address },
        /the APIC-access address/,
      ],
    ]),
    ['threshold 16', { ...shadow, ...apic, TPR_THRESHOLD: 16 }, /bits 31:4 of the TPR threshold/],
    // VTPR is 0; with APIC accesses virtualized there is an exit instead: virtual-apic.test.ts.
    ['threshold 1 above VTPR', { ...shadow, TPR_THRESHOLD: 1 }, /at most bits 7:4 of VTPR/],
  ]);
  accepts([
    ['any address without TPR shadow', { VIRTUAL_APIC_PAGE_ADDR: 1, APIC_ACCESS_ADDR: 1 }],
    ['any threshold without TPR shadow', { TPR_THRESHOLD: 16 }],
    ['threshold 15 with APIC accesses', { ...shadow, ...apic, TPR_THRESHOLD: 15 }],
  ]);
});

describe('addresses of bitmaps', () => {
  const pages = [
    ['IO_BITMAP_A', Primary.USE_IO_BITMAPS],
    ['IO_BITMAP_B', Primary.USE_IO_BITMAPS],
    ['MSR_BITMAP', Primary.USE_MSR_BITMAPS],
  ] as const;
  const wrong = [1, 0x800, 0x1fff, ...BEYOND];
  refuses(
    'error 7',
    pages.flatMap(([field, control]) =>
      wrong.map((address): RefusedCase => {
        const change = { ...primary(control), [field]: address };
        return [`${field} at 0x${address.toString(16)}`, change, /page-aligned/];
      }),
    ),
  );
  accepts(
    pages.flatMap(([field, control]): AcceptedCase[] => [
      [`${field} in the last page`, { ...primary(control), [field]: LAST_PAGE }],
      [`a bad ${field} that is not used`, { [field]: 1 }],
    ]),
  );
});

describe('CR3 targets', () => {
  refuses('error 7', [
    ['5 CR3 targets', { CR3_TARGET_COUNT: 5 }, /CR3-target count is at most 4/],
    ['4294967295 CR3 targets', { CR3_TARGET_COUNT: 0xffffffff }, /CR3-target count/],
  ]);
  accepts([
    ['no CR3 target', { CR3_TARGET_COUNT: 0 }],
    ['4 CR3 targets', { CR3_TARGET_COUNT: 4 }],
  ]);
});

describe('NMIs', () => {
  const pin = (nmi: boolean, virtual: boolean): FieldValues => ({
    PIN_BASED_VM_EXEC_CONTROL:
      0x17 | (nmi ? Pin.NMI_EXITING : 0) | (virtual ? Pin.VIRTUAL_NMIS : 0),
  });
  const window = primary(Primary.NMI_WINDOW_EXITING);
  refuses('error 7', [
    ['virtual NMIs without NMI exiting', pin(false, true), /"virtual NMIs" needs "NMI exiting"/],
    [
      'NMI-window exiting without virtual NMIs',
      { ...pin(true, false), ...window },
      /"NMI-window exiting" needs "virtual NMIs"/,
    ],
    [
      'NMI-window exiting with neither',
      { ...pin(false, false), ...window },
      /"NMI-window exiting" needs "virtual NMIs"/,
    ],
  ]);
  accepts([
    ['neither NMI exiting nor virtual NMIs', pin(false, false)],
    ['NMI exiting alone', pin(true, false)],
    ['NMI-window exiting with virtual NMIs', { ...pin(true, true), ...window }],
  ]);
});

describe('VPID, EPT, TSC scaling', () => {
  const EPT_BASE = 0x10000;
  const ept = (change: number) => ({ EPT_POINTER: Long.fromNumber(EPT_BASE + change) });
  const rule = /EPT pointer/;
  refuses('error 7', [
    ['VPID 0', secondary(Secondary.ENABLE_VPID), /VPID is not 0/],
    ...[1, 2, 3, 4, 5, 7].map(
      (type): RefusedCase => [`EPT memory type ${type}`, ept(type + 0x18), rule],
    ),
    ...[0, 1, 2, 4, 5, 7].map(
      (levels): RefusedCase => [`EPT with ${levels + 1} levels`, ept(6 + levels * 8), rule],
    ),
    ['EPT accessed and dirty flags', ept(0x1e + 0x40), rule],
    ...[7, 8, 9, 10, 11].map(
      (bit): RefusedCase => [`EPT pointer bit ${bit}`, ept(0x1e + 2 ** bit), rule],
    ),
    ...BEYOND.map(
      (address): RefusedCase => [`EPT at 0x${address.toString(16)}`, ept(0x1e + address), rule],
    ),
    [
      'TSC multiplier 0',
      { ...secondary(Secondary.TSC_SCALING), TSC_MULTIPLIER: 0 },
      /multiplier is not 0/,
    ],
  ]);
  accepts([
    ['VPID 1', { ...secondary(Secondary.ENABLE_VPID), VIRTUAL_PROCESSOR_ID: 1 }],
    ['VPID FFFF', { ...secondary(Secondary.ENABLE_VPID), VIRTUAL_PROCESSOR_ID: 0xffff }],
    ['VPID 0 that is not used', { VIRTUAL_PROCESSOR_ID: 0 }],
    ['EPT memory type 0', ept(0x18)],
    ['EPT memory type 6', ept(0x1e)],
    ['EPT in the last page', { EPT_POINTER: LAST_PAGE + 0x1e }],
    ['a bad EPT pointer that is not used', { ...ept(1), SECONDARY_VM_EXEC_CONTROL: 0 }],
    ['TSC multiplier 1', { ...secondary(Secondary.TSC_SCALING), TSC_MULTIPLIER: 1 }],
    [
      'TSC multiplier 2^63',
      { ...secondary(Secondary.TSC_SCALING), TSC_MULTIPLIER: Long.MIN_VALUE },
    ],
    ['TSC multiplier 0 that is not used', { TSC_MULTIPLIER: 0 }],
  ]);
});

describe('exit and entry controls', () => {
  const save = { VM_EXIT_CONTROLS: Controls.EXIT | ExitControl.SAVE_VMX_PREEMPTION_TIMER };
  const timer = { PIN_BASED_VM_EXEC_CONTROL: Controls.PIN | Pin.VMX_PREEMPTION_TIMER };
  refuses('error 7', [
    [
      'saving the preemption timer that is not active',
      save,
      /"save VMX-preemption timer value" needs/,
    ],
    ...(['VM_EXIT_MSR_STORE', 'VM_EXIT_MSR_LOAD', 'VM_ENTRY_MSR_LOAD'] as const).flatMap((name) => {
      const lists = (address: number, count: number): RefusedCase => [
        `${name} of ${count} at ${address.toString(16)}`,
        { [`${name}_COUNT`]: count, [`${name}_ADDR`]: address },
        /an MSR list that is not empty/,
      ];
      // The last byte of the last one lies beyond the physical-address width.
      return [lists(8, 1), lists(2 ** 46, 1), lists(2 ** 46 - 16, 2)];
    }),
  ]);
  accepts([
    ['saving the active preemption timer', { ...save, ...timer }],
    ['the preemption timer without saving it', timer],
    ['addresses of empty MSR lists, whatever they are', { VM_EXIT_MSR_LOAD_ADDR: 1 }],
  ]);
});

describe('event injection', () => {
  const VALID = 2 ** 31;
  const HAS_ERROR = 1 << 11;
  /** A field of type and vector, with other bits on top. */
  const event = (type: number, vector: number, more = 0, rest: FieldValues = {}): FieldValues => ({
    VM_ENTRY_INTR_INFO_FIELD: VALID + type * 256 + vector + more,
    VM_ENTRY_INSTRUCTION_LEN: 1,
    GUEST_RFLAGS: 0x202,
    ...rest,
  });
  const WITH_ERROR_CODE = [8, 10, 11, 12, 13, 14, 17];
  const vectors = Array.from({ length: 32 }, (_, vector) => vector);

  refuses('error 7', [
    ['type 1', event(1, 0), /interruption type/],
    ['type 7 vector 1', event(7, 1), /other event/],
    ...[0, 1, 3, 255].map(
      (vector): RefusedCase => [`an NMI with vector ${vector}`, event(2, vector), /NMI has vector/],
    ),
    ...[32, 128, 255].map(
      (vector): RefusedCase => [`exception ${vector}`, event(3, vector), /at most 31/],
    ),
    ...vectors.map((vector): RefusedCase => {
      const has = WITH_ERROR_CODE.includes(vector);
      const what = `exception ${vector} ${has ? 'without' : 'with'} error code`;
      return [what, event(3, vector, has ? 0 : HAS_ERROR), /error code is delivered exactly/];
    }),
    ...[0, 2, 4, 5, 6].map((type): RefusedCase => {
      const vector = type === 2 ? 2 : 14;
      return [`an error code with type ${type}`, event(type, vector, HAS_ERROR), /error code/];
    }),
    ...Array.from({ length: 19 }, (_, i): RefusedCase => {
      return [`bit ${12 + i} of the field`, event(0, 0x20, 2 ** (12 + i)), /bits 30:12/];
    }),
    ...[16, 17, 31].map((bit): RefusedCase => {
      const change = event(3, 14, HAS_ERROR, { VM_ENTRY_EXCEPTION_ERROR_CODE: 2 ** bit });
      return [`an error code with bit ${bit}`, change, /error code has 16 bits/];
    }),
    ...[4, 5, 6].flatMap((type) =>
      [0, 16, 0x80000001].map((length): RefusedCase => {
        const change = event(type, 3, 0, { VM_ENTRY_INSTRUCTION_LEN: length });
        return [`type ${type} with length ${length}`, change, /instruction length/];
      }),
    ),
  ]);
  accepts([
    ['an NMI with vector 2', event(2, 2)],
    ['an external interrupt 255', event(0, 255)],
    ...vectors.map((vector): AcceptedCase => {
      const more = WITH_ERROR_CODE.includes(vector) ? HAS_ERROR : 0;
      return [`exception ${vector}`, event(3, vector, more)];
    }),
    ['an error code FFFF', event(3, 14, HAS_ERROR, { VM_ENTRY_EXCEPTION_ERROR_CODE: 0xffff })],
    ['an error code that is not delivered', event(3, 6, 0, { VM_ENTRY_EXCEPTION_ERROR_CODE: -1 })],
    ...[4, 5, 6].flatMap((type) =>
      [1, 15].map((length): AcceptedCase => {
        const change = event(type, 3, 0, { VM_ENTRY_INSTRUCTION_LEN: length });
        return [`type ${type} with length ${length}`, change];
      }),
    ),
    ...[0, 2, 3].map((type): AcceptedCase => {
      return [`type ${type} with length 0`, event(type, 2, 0, { VM_ENTRY_INSTRUCTION_LEN: 0 })];
    }),
    ['anything while bit 31 is 0', { VM_ENTRY_INTR_INFO_FIELD: 0x7fffffff }],
  ]);
});
