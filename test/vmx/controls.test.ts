// Control words and the capability MSRs that report them. SDM 3, "VM-Execution Control Fields",
// "VM-Exit Controls", "VM-Entry Controls", and "VMX Capability Reporting Facility".

import type Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  EntryControl,
  ExitControl,
  FIELDS,
  type FieldName,
  Pin,
  Primary,
  Secondary,
  vmxCapabilityMsrs,
} from '../../src/vmx/index.ts';
import { VmxBench } from '../support/vmx-bench.ts';

interface Word {
  readonly field: FieldName;
  /** Bits that are 1 by the MSR without TRUE in its name, and by the TRUE one. */
  readonly default1: number;
  readonly mustBe1: number;
  /** Bits that may be 1, beyond the default1 class. */
  readonly offered: readonly number[];
  /** Capability MSRs: old, TRUE. */
  readonly msrs: readonly [number, number];
}

const WORDS: readonly Word[] = [
  {
    field: 'PIN_BASED_VM_EXEC_CONTROL',
    default1: 0x00000016,
    mustBe1: 0x00000016,
    offered: [0, 3, 5, 6],
    msrs: [0x481, 0x48d],
  },
  {
    field: 'CPU_BASED_VM_EXEC_CONTROL',
    default1: 0x0401e172,
    mustBe1: 0x04006172,
    offered: [2, 3, 7, 9, 10, 11, 12, 15, 16, 19, 20, 21, 22, 23, 24, 25, 27, 28, 29, 30, 31],
    msrs: [0x482, 0x48e],
  },
  {
    field: 'SECONDARY_VM_EXEC_CONTROL',
    default1: 0,
    mustBe1: 0,
    offered: [0, 1, 2, 3, 5, 6, 7, 10, 12, 25],
    msrs: [0x48b, 0x48b],
  },
  {
    field: 'VM_EXIT_CONTROLS',
    default1: 0x00036dff,
    mustBe1: 0x00036dfb,
    offered: [2, 9, 15, 18, 19, 20, 21, 22],
    msrs: [0x483, 0x48f],
  },
  {
    field: 'VM_ENTRY_CONTROLS',
    default1: 0x000011ff,
    mustBe1: 0x000011fb,
    offered: [2, 9, 14, 15],
    msrs: [0x484, 0x490],
  },
];

/** Bit numbers of the SDM by Linux's names. */
const BITS: readonly (readonly [masks: Readonly<Record<string, number>>, numbers: object])[] = [
  [
    Pin,
    { EXT_INTR_MASK: 0, NMI_EXITING: 3, VIRTUAL_NMIS: 5, VMX_PREEMPTION_TIMER: 6, POSTED_INTR: 7 },
  ],
  [
    Primary,
    {
      ...{ INTR_WINDOW_EXITING: 2, USE_TSC_OFFSETTING: 3, HLT_EXITING: 7, INVLPG_EXITING: 9 },
      ...{ MWAIT_EXITING: 10, RDPMC_EXITING: 11, RDTSC_EXITING: 12, CR3_LOAD_EXITING: 15 },
      ...{ CR3_STORE_EXITING: 16, CR8_LOAD_EXITING: 19, CR8_STORE_EXITING: 20, TPR_SHADOW: 21 },
      ...{ NMI_WINDOW_EXITING: 22, MOV_DR_EXITING: 23, UNCOND_IO_EXITING: 24 },
      ...{ USE_IO_BITMAPS: 25, MONITOR_TRAP_FLAG: 27, USE_MSR_BITMAPS: 28, MONITOR_EXITING: 29 },
      ...{ PAUSE_EXITING: 30, ACTIVATE_SECONDARY_CONTROLS: 31 },
    },
  ],
  [
    Secondary,
    {
      ...{ VIRTUALIZE_APIC_ACCESSES: 0, ENABLE_EPT: 1, DESC: 2, ENABLE_RDTSCP: 3 },
      ...{ VIRTUALIZE_X2APIC_MODE: 4, ENABLE_VPID: 5, WBINVD_EXITING: 6, UNRESTRICTED_GUEST: 7 },
      ...{ PAUSE_LOOP_EXITING: 10, ENABLE_INVPCID: 12, TSC_SCALING: 25 },
    },
  ],
  [
    ExitControl,
    {
      ...{ SAVE_DEBUG_CONTROLS: 2, HOST_ADDR_SPACE_SIZE: 9, ACK_INTR_ON_EXIT: 15 },
      ...{ SAVE_IA32_PAT: 18, LOAD_IA32_PAT: 19, SAVE_IA32_EFER: 20, LOAD_IA32_EFER: 21 },
      SAVE_VMX_PREEMPTION_TIMER: 22,
    },
  ],
  [EntryControl, { LOAD_DEBUG_CONTROLS: 2, IA32E_MODE: 9, LOAD_IA32_PAT: 14, LOAD_IA32_EFER: 15 }],
];

test('controls have the bit numbers of the manual', () => {
  for (const [masks, numbers] of BITS) {
    const expected = Object.entries(numbers).map(([name, bit]) => [name, 1 << (bit as number)]);
    expect(masks).toEqual(Object.fromEntries(expected));
  }
});

const bitsOf = (numbers: readonly number[]) => numbers.reduce((mask, bit) => mask | (1 << bit), 0);
const hex = (value: number) => (value >>> 0).toString(16).padStart(8, '0');

const RESERVED_BITS_RULE = 'reserved bits have the values that the capability MSRs allow';

/** Whether entry refuses a control word for a bit that must be 1 or must be 0. */
function isRefused(field: FieldName, value: number): boolean {
  const bench = new VmxBench();
  bench.set({ [field]: value });
  const outcome = bench.tryToEnter();
  const isForBits =
    outcome.kind === 'failValid' &&
    outcome.check?.rule === RESERVED_BITS_RULE &&
    outcome.check.fields.join() === field;
  if (isForBits) expect([outcome.error, bench.field('VM_INSTRUCTION_ERROR')]).toEqual([7, 7]);
  return isForBits;
}

describe.each(WORDS.map((word) => [word.field, word] as const))('%s', (field, word) => {
  const { default1, mustBe1, offered } = word;

  test('entry wants every must-be-1 bit, and no bit that is not offered', () => {
    const base = new VmxBench().field(field);
    const refused: number[] = [];
    for (let bit = 0; bit < 32; bit++) {
      if (isRefused(field, (base ^ (1 << bit)) >>> 0)) refused.push(bit);
    }
    const expected = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => {
      const isRequired = ((mustBe1 >>> bit) & 1) === 1;
      const isAllowed = ((default1 >>> bit) & 1) === 1 || offered.includes(bit);
      return isRequired || !isAllowed;
    });
    expect(refused).toEqual(expected);
  });

  test('the capability MSRs say so: low half must be 1, high half may be 1', () => {
    const allowed1 = default1 | bitsOf(offered);
    const [old, precise] = word.msrs.map((index) => vmxCapabilityMsrs().get(index) as Long);
    expect([hex(old?.low ?? 0), hex(old?.high ?? 0)]).toEqual([hex(default1), hex(allowed1)]);
    expect([hex(precise?.low ?? 0), hex(precise?.high ?? 0)]).toEqual([
      hex(mustBe1),
      hex(allowed1),
    ]);
  });
});

test('secondary controls count as 0 while they are not activated', () => {
  const bench = new VmxBench();
  bench.remove('CPU_BASED_VM_EXEC_CONTROL', Primary.ACTIVATE_SECONDARY_CONTROLS);
  bench.set({ SECONDARY_VM_EXEC_CONTROL: 0xffffffff });
  expect(bench.tryToEnter().kind).toBe('entered');
});

describe('other capability MSRs', () => {
  const msr = (index: number) => vmxCapabilityMsrs().get(index) as Long;
  const bit = (index: number, number: number) => msr(index).shru(number).low & 1;

  test('IA32_VMX_BASIC: region size, write-back, TRUE MSRs, no relaxed error-code check', () => {
    expect(msr(0x480).low >>> 31).toBe(0);
    expect(msr(0x480).shru(32).low & 0x1fff).toBe(4096);
    expect(msr(0x480).shru(50).low & 15).toBe(6);
    expect([bit(0x480, 48), bit(0x480, 49), bit(0x480, 55), bit(0x480, 56)]).toEqual([0, 0, 1, 0]);
    // INS and OUTS have instruction information: intercepts.test.ts.
    expect(bit(0x480, 54)).toBe(1);
  });

  test('IA32_VMX_MISC: timer rate, all activity states, 4 CR3 targets', () => {
    expect(msr(0x485).low & 31).toBe(5);
    expect((vmxCapabilityMsrs(7).get(0x485)?.low ?? 0) & 31).toBe(7);
    expect([6, 7, 8].map((number) => bit(0x485, number))).toEqual([1, 1, 1]);
    expect((msr(0x485).low >> 16) & 0x1ff).toBe(4);
    // No VMWRITE to exit information, no injection with instruction length 0.
    expect([bit(0x485, 29), bit(0x485, 30)]).toEqual([0, 0]);
    expect(msr(0x485).high).toBe(0);
  });

  test('fixed bits of CR0 and CR4', () => {
    expect([0x486, 0x487, 0x488].map((index) => msr(index).toUnsigned().toString(16))).toEqual([
      '80000021',
      'ffffffff',
      '2000',
    ]);
    // What may be 1 in CR4 includes what must be.
    expect(msr(0x489).and(0x2020).low).toBe(0x2020);
    expect(msr(0x489).high).toBe(0);
  });

  test('IA32_VMX_VMCS_ENUM: the largest index of any field, in its place in an encoding', () => {
    const largest = Math.max(...FIELDS.map(({ encoding }) => encoding & 0x3fe));
    expect(msr(0x48a).toNumber()).toBe(largest);
    expect(largest).toBeGreaterThanOrEqual(0x2a);
  });

  test('IA32_VMX_EPT_VPID_CAP says what EPT here can do', () => {
    const names = { 0: 'X only', 6: '4 levels', 7: '5 levels', 8: 'UC', 14: 'WB', 21: 'A/D' };
    const has = Object.fromEntries(
      Object.entries(names).map(([number, name]) => [name, bit(0x48c, Number(number))]),
    );
    expect(has).toEqual({ 'X only': 0, '4 levels': 1, '5 levels': 0, UC: 1, WB: 1, 'A/D': 0 });
    expect([bit(0x48c, 16), bit(0x48c, 17)]).toEqual([1, 1]);
  });

  test('there are no others', () => {
    expect([...vmxCapabilityMsrs().keys()]).toEqual(
      Array.from({ length: 0x11 }, (_, i) => 0x480 + i),
    );
  });
});
