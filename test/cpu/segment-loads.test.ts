// Loading segment registers, LDTR and TR: which descriptors are taken, which fault is raised, and
// what the registers hold then. SDM 2, "MOV - Move", "POP", "LDS/LES/LFS/LGS/LSS", "LLDT" and
// "LTR"; SDM 3, "Segment Loading Instructions in IA-32e Mode".

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  type Descriptor,
  OPERANDS,
  OWN,
  OWN_LOCAL,
  ProtectionBench,
  STACK,
  SystemType,
  Type,
} from '../support/protection-bench.ts';
import { Selector } from '../support/vmx-bench.ts';

type Cpl = 0 | 1 | 2 | 3;

/** Registers of a segment: selector, base, limit, access rights as in a VMCS. */
function segment(bench: ProtectionBench, name: string): readonly number[] {
  return bench.values(`${name}Selector`, `${name}Base`, `${name}Limit`, `${name}Rights`);
}

const UNUSABLE = 0x10000;

/** The ways to load a data segment register from AX or from memory. */
const DATA_LOADS = ['ds', 'es', 'fs', 'gs'].map((name) => [name, `mov ${name}, eax`] as const);

describe('DS, ES, FS and GS', () => {
  // [what, CPL, RPL, descriptor, fault or '']
  const cases: readonly (readonly [string, Cpl, number, Descriptor, string])[] = [
    ['writable data', 0, 0, { type: Type.WRITABLE }, ''],
    ['read-only data', 0, 0, { type: Type.READ_ONLY }, ''],
    ['data that grows down', 0, 0, { type: 7 }, ''],
    ['readable code', 0, 0, { type: Type.READABLE_CODE }, ''],
    ['execute-only code', 0, 0, { type: Type.EXECUTE_ONLY }, '#GP(50)'],
    ['conforming execute-only code', 3, 3, { type: Type.CONFORMING }, '#GP(50)'],
    ['conforming readable code', 3, 3, { type: Type.READABLE_CONFORMING }, ''],
    ['data of DPL 0 for CPL 3', 3, 0, { type: Type.WRITABLE }, '#GP(50)'],
    ['data of DPL 0 by RPL 3', 0, 3, { type: Type.WRITABLE }, '#GP(50)'],
    ['data of DPL 2 for CPL 1 by RPL 3', 1, 3, { type: Type.WRITABLE, dpl: 2 }, '#GP(50)'],
    ['data of DPL 2 for CPL 3 by RPL 1', 3, 1, { type: Type.WRITABLE, dpl: 2 }, '#GP(50)'],
    ['data of DPL 2 for CPL 2 by RPL 2', 2, 2, { type: Type.WRITABLE, dpl: 2 }, ''],
    ['data of DPL 3 for CPL 0', 0, 3, { type: Type.WRITABLE, dpl: 3 }, ''],
    ['code of DPL 0 for CPL 3', 3, 0, { type: Type.READABLE_CODE }, '#GP(50)'],
    ['data not present', 0, 0, { type: Type.WRITABLE, present: false }, '#NP(50)'],
    ['privilege before presence', 3, 0, { type: Type.WRITABLE, present: false, dpl: 2 }, '#GP(50)'],
    ['a TSS', 0, 0, { type: SystemType.TSS, isSystem: true }, '#GP(50)'],
    ['an LDT not present', 0, 0, { type: 2, isSystem: true, present: false }, '#GP(50)'],
  ];

  test.each(cases)('%s: CPL %i, RPL %i', (_what, cpl, rpl, descriptor, fault) => {
    for (const [name, load] of DATA_LOADS) {
      const bench = new ProtectionBench(cpl);
      bench.describe(OWN, { granular: false, base: 0x12345678, limit: 0x54321, ...descriptor });
      const before = segment(bench, name);
      bench.bare.set('rax', OWN + rpl);
      expect(bench.execute(load) ?? '').toBe(fault);
      if (fault !== '') expect(segment(bench, name)).toEqual(before);
      else {
        const { type = 0, dpl = 0 } = descriptor;
        const isCode = (type & 8) !== 0;
        const rights = type | 0x90 | (dpl << 5) | (isCode ? 0x2000 : 0);
        expect(segment(bench, name)).toEqual([OWN + rpl, 0x12345678, 0x54321, rights]);
      }
    }
  });

  test.each([0, 1, 2, 3])('null with RPL %i makes them unusable, at any CPL', (rpl) => {
    for (const [name, load] of DATA_LOADS) {
      for (const cpl of [0, 3] as const) {
        const bench = new ProtectionBench(cpl);
        bench.bare.set('rax', rpl);
        bench.bare.set(`${name}Base`, 0x1234);
        expect(bench.execute(load)).toBe(null);
        // On Intel's processors the base becomes 0.
        expect(segment(bench, name)).toMatchObject([rpl, 0, 0, UNUSABLE]);
      }
    }
  });

  test.each([
    // [selector, fault or '']
    [OWN_LOCAL, ''],
    [0x24, '#GP(24)'],
    [0x27, '#GP(24)'],
    [0xa0, '#GP(a0)'],
    [0xfffb, '#GP(fff8)'],
  ])('selector %i', (selector, fault) => {
    for (const [, load] of DATA_LOADS) {
      const bench = new ProtectionBench();
      bench.describe(OWN_LOCAL, { type: Type.WRITABLE, dpl: 3 });
      bench.bare.set('rax', selector);
      expect(bench.execute(load) ?? '').toBe(fault);
    }
  });

  test('without an LDT its selectors fault', () => {
    const bench = new ProtectionBench();
    bench.describe(OWN_LOCAL, { type: Type.WRITABLE });
    bench.bare.set('ldtrRights', UNUSABLE);
    bench.bare.set('rax', OWN_LOCAL);
    expect(bench.execute('mov ds, eax')).toBe('#GP(14)');
  });

  test('the descriptor is marked as accessed, unless the load faults', () => {
    const bench = new ProtectionBench(3);
    for (const selector of [OWN, OWN_LOCAL]) {
      bench.describe(selector, { type: 2, dpl: 3 });
      bench.bare.set('rax', selector);
      expect(bench.execute('mov es, eax')).toBe(null);
      expect([bench.accessByte(selector), bench.bare.get('esRights')]).toEqual([0xf3, 0x80f3]);
      bench.describe(selector, { type: 2, dpl: 2 });
      bench.execute('mov es, eax');
      expect(bench.accessByte(selector)).toBe(0xd2);
    }
  });
});

describe('SS', () => {
  test.each<[string, Cpl, number, Descriptor, string]>([
    // [what, CPL, RPL, descriptor, fault or '']
    ['at CPL 0', 0, 0, { type: Type.WRITABLE }, ''],
    ['at CPL 2', 2, 2, { type: Type.WRITABLE, dpl: 2 }, ''],
    ['at CPL 3', 3, 3, { type: Type.WRITABLE, dpl: 3 }, ''],
    ['that grows down', 0, 0, { type: 7 }, ''],
    ['read-only', 0, 0, { type: Type.READ_ONLY }, '#GP(50)'],
    ['code', 0, 0, { type: Type.READABLE_CODE }, '#GP(50)'],
    ['a system segment', 0, 0, { type: SystemType.LDT, isSystem: true }, '#GP(50)'],
    ['RPL above CPL', 0, 3, { type: Type.WRITABLE }, '#GP(50)'],
    ['RPL below CPL', 3, 0, { type: Type.WRITABLE, dpl: 3 }, '#GP(50)'],
    ['DPL above CPL', 0, 0, { type: Type.WRITABLE, dpl: 3 }, '#GP(50)'],
    ['DPL below CPL', 3, 3, { type: Type.WRITABLE, dpl: 2 }, '#GP(50)'],
    ['not present', 0, 0, { type: Type.WRITABLE, present: false }, '#SS(50)'],
    ['RPL before presence', 0, 1, { type: Type.WRITABLE, present: false }, '#GP(50)'],
  ])('%s: CPL %i, RPL %i', (_what, cpl, rpl, descriptor, fault) => {
    for (const load of ['mov ss, eax', `lss rcx, [${OPERANDS}]`]) {
      const bench = new ProtectionBench(cpl);
      bench.describe(OWN, descriptor);
      bench.bare.set('rax', OWN + rpl);
      bench.write16(OPERANDS + 8, OWN + rpl);
      const before = segment(bench, 'ss');
      expect(bench.execute(load) ?? '').toBe(fault);
      if (fault !== '') expect(segment(bench, 'ss')).toEqual(before);
      else expect(bench.values('ssSelector', 'ssLimit')).toEqual([OWN + rpl, 0xffffffff]);
    }
  });

  test.each<[Cpl, number, string]>([
    // [CPL, RPL, fault or '']: null is a stack in 64-bit mode, but not at CPL 3.
    [0, 0, ''],
    [1, 1, ''],
    [2, 2, ''],
    [3, 3, '#GP(0)'],
    [0, 1, '#GP(0)'],
    [2, 0, '#GP(0)'],
    [3, 0, '#GP(0)'],
  ])('null at CPL %i with RPL %i', (cpl, rpl, fault) => {
    for (const load of ['mov ss, eax', `lss rcx, [${OPERANDS}]`]) {
      const bench = new ProtectionBench(cpl);
      bench.bare.set('rax', rpl);
      bench.write16(OPERANDS + 8, rpl);
      expect(bench.execute(load) ?? '').toBe(fault);
      // The privilege level stays in the DPL.
      const rights = bench.bare.get('ssRights');
      expect([rights & UNUSABLE, (rights >> 5) & 3]).toEqual([fault === '' ? UNUSABLE : 0, cpl]);
    }
  });
});

describe('LSS, LFS and LGS', () => {
  test.each([
    // [instruction, offset of the selector, RCX afterwards]
    ['lfs cx, [0x21000]', 2, 0x5555_5555_7788],
    ['lfs ecx, [0x21000]', 4, 0x55667788],
    ['lfs rcx, [0x21000]', 8, 0x112233_55667788],
    ['lgs cx, [0x21000]', 2, 0x5555_5555_7788],
    ['lgs rcx, [0x21000]', 8, 0x112233_55667788],
    ['lss ecx, [0x21000]', 4, 0x55667788],
    ['lss rcx, [0x21000]', 8, 0x112233_55667788],
  ])('%s', (instruction, selectorAt, rcx) => {
    const bench = new ProtectionBench();
    bench.bare.set('rcx', 0x5555_5555_5555);
    bench.bare.write64(OPERANDS, 0x55667788, 0x112233);
    bench.write16(OPERANDS + selectorAt, Selector.DATA);
    bench.bare.write64(OPERANDS + selectorAt + 2, -1, -1);
    expect(bench.execute(instruction)).toBe(null);
    const name = instruction.slice(1, 3);
    expect(bench.values('rcx', `${name}Selector`)).toEqual([rcx, Selector.DATA]);
  });

  test.each(['lss', 'lfs', 'lgs'])('%s that faults leaves the register alone', (name) => {
    const bench = new ProtectionBench();
    bench.bare.set('rcx', 0x77);
    bench.write16(OPERANDS + 8, 0xa0);
    expect(bench.execute(`${name} rcx, [${OPERANDS}]`)).toBe('#GP(a0)');
    // The selector lies on a page that is not there.
    expect(bench.execute(`${name} rcx, [0x3fff8]`)).toBe('#PF(0)');
    expect(bench.bare.get('rcx')).toBe(0x77);
  });

  test('LSS does not hold back interrupts as MOV to SS and POP SS do', () => {
    // SDM 3, "Masking Exceptions and Interrupts When Switching Stacks": LSS needs no such help.
    const bench = new ProtectionBench();
    bench.write16(OPERANDS + 8, Selector.DATA);
    bench.bare.set('rax', Selector.DATA);
    bench.execute(`lss rcx, [${OPERANDS}]`);
    expect(bench.bare.get('interruptibility')).toBe(0);
    bench.execute('mov ss, eax');
    expect(bench.bare.get('interruptibility')).toBe(2);
  });
});

describe('POP FS and GS', () => {
  test.each([
    // [instruction, bytes popped]
    ['pop fs', 8],
    ['pop gs', 8],
    ['db 0x66\npop fs', 2],
  ])('%s', (instruction, bytes) => {
    const bench = new ProtectionBench();
    bench.write16(STACK, Selector.DATA);
    expect(bench.execute(instruction)).toBe(null);
    expect(bench.bare.get('rsp')).toBe(STACK + bytes);
    bench.bare.set('rsp', STACK);
    bench.write16(STACK, 0xa0);
    expect([bench.execute(instruction), bench.bare.get('rsp')]).toEqual(['#GP(a0)', STACK]);
  });
});

/** A descriptor of 16 bytes at OWN. */
function describeWide(bench: ProtectionBench, low: Descriptor, upper: number, type = 0): void {
  bench.describe(OWN, { isSystem: true, base: 0x89abcdef, limit: 0x1234, ...low });
  bench.writeEntry(OWN + 8, upper, type);
}

describe.each([
  ['LLDT', 'ldtr', 'lldt', SystemType.LDT, 0x82, 0x82],
  ['LTR', 'tr', 'ltr', SystemType.TSS, 0x8b, 0x8b],
] as const)('%s', (_name, register, mnemonic, type, rights, memory) => {
  const load = `${mnemonic} ax`;

  test('takes a base of 64 bits', () => {
    const bench = new ProtectionBench();
    describeWide(bench, { type }, 0xffff8123 | 0);
    for (const from of [load, `${mnemonic} [${OPERANDS}]`]) {
      bench.describe(OWN, { isSystem: true, base: 0x89abcdef, limit: 0x1234, type });
      bench.bare.set('rax', OWN + 3);
      bench.write16(OPERANDS, OWN + 3);
      bench.setWide(`${register}Base`, Long.ZERO);
      expect(bench.execute(from)).toBe(null);
      expect(bench.wide(`${register}Base`).toString(16)).toBe('ffff812389abcdef');
      expect(bench.values(`${register}Selector`, `${register}Limit`, `${register}Rights`)).toEqual([
        OWN + 3,
        0x1234,
        rights,
      ]);
      // LTR marks the segment busy.
      expect(bench.accessByte(OWN)).toBe(memory);
    }
  });

  test.each<[string, number, (bench: ProtectionBench) => void, string]>([
    ['beyond the GDT', 0xa0, () => {}, '#GP(a0)'],
    ['in the LDT', OWN_LOCAL, (b) => b.describe(OWN_LOCAL, { type, isSystem: true }), '#GP(14)'],
    ['data', Selector.DATA, () => {}, '#GP(10)'],
    ['not present', OWN, (b) => describeWide(b, { type, present: false }, 0), '#NP(50)'],
    ['a call gate', OWN, (b) => describeWide(b, { type: 12 }, 0), '#GP(50)'],
    ['a busy TSS', OWN, (b) => describeWide(b, { type: 11 }, 0), '#GP(50)'],
    ['a 16-bit TSS', OWN, (b) => describeWide(b, { type: 1 }, 0), '#GP(50)'],
    [
      'type before presence',
      OWN,
      (b) => describeWide(b, { type: 5, present: false }, 0),
      '#GP(50)',
    ],
    // Both halves have to be within the table.
    ['a GDT that ends behind it', OWN, (b) => b.bare.set('gdtrLimit', OWN + 15), ''],
    ['a GDT that ends in its upper half', OWN, (b) => b.bare.set('gdtrLimit', OWN + 14), '#GP(50)'],
    ['a GDT that ends in the middle', OWN, (b) => b.bare.set('gdtrLimit', OWN + 7), '#GP(50)'],
    // The upper half has a type of its own, which is 0.
    ['bit 8 of the upper half', OWN, (b) => b.writeEntry(OWN + 8, 0, 0x100), '#GP(50)'],
    ['bit 12 of the upper half', OWN, (b) => b.writeEntry(OWN + 8, 0, 0x1000), '#GP(50)'],
    ['other bits of the upper half', OWN, (b) => b.writeEntry(OWN + 8, 0, ~0x1f00), ''],
    ['a base that is not canonical', OWN, (b) => b.writeEntry(OWN + 8, 0x8000, 0), '#GP(50)'],
  ])('%s', (_what, selector, change, fault) => {
    const bench = new ProtectionBench();
    describeWide(bench, { type }, 0);
    change(bench);
    bench.bare.set('rax', selector);
    const before = segment(bench, register);
    expect(bench.execute(load) ?? '').toBe(fault);
    if (fault !== '') expect(segment(bench, register)).toEqual(before);
  });

  test('at CPL 3 faults, whatever the selector', () => {
    for (const cpl of [1, 2, 3] as const) {
      const bench = new ProtectionBench(cpl);
      describeWide(bench, { type, dpl: 3 }, 0);
      bench.bare.set('rax', OWN);
      expect(bench.execute(load)).toBe('#GP(0)');
      expect(bench.execute(`${mnemonic} [0x80000]`)).toBe('#GP(0)');
    }
  });
});

test.each([0, 1, 2, 3])('LLDT of null with RPL %i leaves no LDT', (rpl) => {
  const bench = new ProtectionBench();
  bench.bare.set('rax', rpl);
  expect(bench.execute('lldt ax')).toBe(null);
  expect(bench.values('ldtrSelector', 'ldtrRights')).toEqual([rpl, UNUSABLE]);
  bench.describe(OWN_LOCAL, { type: Type.WRITABLE });
  bench.bare.set('rax', OWN_LOCAL);
  expect(bench.execute('mov ds, eax')).toBe('#GP(14)');
});

test.each([0, 3])('LTR of null with RPL %i faults', (rpl) => {
  const bench = new ProtectionBench();
  bench.bare.set('rax', rpl);
  expect(bench.execute('ltr ax')).toBe('#GP(0)');
});
