// What programs may look at without loading it: LAR, LSL, VERR, VERW for every type of descriptor
// and every combination of privileges, and the stored registers. SDM 2, the instructions' pages:
// tables "Segment and Gate Types" of LAR and LSL.

import { describe, expect, test } from 'vitest';
import {
  type Descriptor,
  descriptorHalves,
  OPERANDS,
  OWN,
  OWN_LOCAL,
  ProtectionBench,
} from '../support/protection-bench.ts';

const ZF = 0x40;
const PRIVILEGES = [0, 1, 2, 3] as const;

/** Run an instruction on AX = selector; ECX afterwards, or null if ZF is clear. */
function look(bench: ProtectionBench, instruction: string, selector: number): number | null {
  bench.bare.set('rax', selector);
  bench.bare.set('rcx', 0x5555);
  // ZF as it must not stay.
  bench.bare.set('rflags', 0x8d7);
  expect(bench.execute(instruction)).toBe(null);
  const flags = bench.bare.get('rflags');
  // No other flag changes.
  expect(flags | ZF).toBe(0x8d7);
  if ((flags & ZF) === 0) expect(bench.bare.get('rcx')).toBe(0x5555);
  return (flags & ZF) === 0 ? null : bench.bare.get('rcx');
}

const INSTRUCTIONS = { LAR: 'lar ecx, ax', LSL: 'lsl ecx, ax', VERR: 'verr ax', VERW: 'verw ax' };
type Name = keyof typeof INSTRUCTIONS;
const NAMES = Object.keys(INSTRUCTIONS) as readonly Name[];

/**
 * Which instruction may look at which type: of the system (0 to 15), and of code and data (16 to
 * 31). `*` stands for conforming code, to which privileges do not matter.
 */
const VISIBLE: Readonly<Record<Name, string>> = {
  //     system            data      code
  LAR: '..+......+.++...' + '++++++++' + '++++****',
  LSL: '..+......+.+....' + '++++++++' + '++++****',
  VERR: '................' + '++++++++' + '..++..**',
  VERW: '................' + '..++..++' + '........',
};

/** Pairs of DPL with the greater of CPL and RPL: what is inside may look. */
const isInside = (dpl: number, cpl: number, rpl: number) => dpl >= cpl && dpl >= rpl;

describe('every type of descriptor with every DPL, RPL and CPL', () => {
  test.each(NAMES.flatMap((name) => PRIVILEGES.map((cpl) => [name, cpl] as const)))(
    '%s at CPL %i',
    (name, cpl) => {
      const bench = new ProtectionBench(cpl);
      const wrong: string[] = [];
      for (let type = 0; type < 32; type++) {
        const mark = VISIBLE[name][type];
        for (const dpl of PRIVILEGES) {
          bench.describe(OWN, { type: type & 15, isSystem: type < 16, dpl, granular: false });
          for (const rpl of PRIVILEGES) {
            const expected = mark === '*' || (mark === '+' && isInside(dpl, cpl, rpl));
            const seen = look(bench, INSTRUCTIONS[name], OWN + rpl) !== null;
            if (seen !== expected) wrong.push(`type ${type} DPL ${dpl} RPL ${rpl}`);
          }
        }
      }
      expect(wrong).toEqual([]);
    },
  );
});

describe('where descriptors are found', () => {
  const readable: Descriptor = { type: 3, dpl: 3 };
  test.each<[string, number, (bench: ProtectionBench) => void, boolean]>([
    ['in the GDT', OWN, () => {}, true],
    ['in the LDT', OWN_LOCAL, () => {}, true],
    ['null', 0, () => {}, false],
    ['null with an RPL', 3, () => {}, false],
    ['beyond the GDT', 0xa0, () => {}, false],
    ['beyond the LDT', 0x24, () => {}, false],
    ['GDT that ends behind it', OWN, (b) => b.bare.set('gdtrLimit', OWN + 7), true],
    ['GDT that ends within it', OWN, (b) => b.bare.set('gdtrLimit', OWN + 6), false],
    ['LDT that ends behind it', OWN_LOCAL, (b) => b.bare.set('ldtrLimit', 0x17), true],
    ['LDT that ends within it', OWN_LOCAL, (b) => b.bare.set('ldtrLimit', 0x16), false],
    ['no LDT', OWN_LOCAL, (b) => b.bare.set('ldtrRights', 0x10000), false],
    // The first entry of an LDT is as good as any.
    ['first of the LDT', 0x04, (b) => b.describe(0x04, readable), true],
  ])('%s', (_what, selector, change, isFound) => {
    const bench = new ProtectionBench();
    bench.describe(OWN, readable);
    bench.describe(OWN_LOCAL, readable);
    change(bench);
    for (const name of NAMES) {
      expect(look(bench, INSTRUCTIONS[name], selector) !== null).toBe(isFound);
    }
  });

  test('a segment that is not present may be looked at', () => {
    const bench = new ProtectionBench();
    bench.describe(OWN, { type: 3, present: false });
    for (const name of NAMES) expect(look(bench, INSTRUCTIONS[name], OWN)).not.toBe(null);
  });

  test('a page fault of the table is raised', () => {
    const bench = new ProtectionBench(3);
    bench.bare.set('gdtrBase', 0x80000);
    bench.bare.set('rax', OWN);
    // By the processor itself: a supervisor access, of a page that is not present.
    for (const name of NAMES) expect(bench.execute(INSTRUCTIONS[name])).toBe('#PF(0)');
  });

  test('looking does not mark a descriptor as accessed', () => {
    const bench = new ProtectionBench();
    bench.describe(OWN, { type: 2 });
    for (const name of NAMES) look(bench, INSTRUCTIONS[name], OWN);
    expect(bench.accessByte(OWN)).toBe(0x92);
  });
});

describe('LAR', () => {
  // The upper half of the descriptor under 00FXFF00H, where X is undefined.
  test.each<[string, Descriptor, number]>([
    ['64-bit code', { type: 11, limit: 0 }, 0x00a09b00],
    ['data of DPL 3', { type: 3, dpl: 3, db: true, limit: 0 }, 0x00c0f300],
    ['not present, byte-granular', { type: 1, present: false, granular: false }, 0x00001100],
    ['a busy TSS', { type: 11, isSystem: true, base: 0xabcdef01 }, 0x00008b00],
    ['a call gate', { type: 12, isSystem: true, dpl: 2 }, 0x0000cc00],
    ['a base all over', { type: 3, base: 0xffffffff, limit: 0 }, 0x00809300],
  ])('%s', (_what, descriptor, rights) => {
    const bench = new ProtectionBench();
    bench.describe(OWN, descriptor);
    const seen = look(bench, 'lar ecx, ax', OWN) ?? 0;
    expect(seen & ~0xf0000).toBe(rights);
    // The bits that nobody defines are the descriptor's own, as on Intel's processors.
    expect(seen & 0xf0000).toBe(descriptorHalves(descriptor)[1] & 0xf0000);
  });

  test('AVL, bit 20 of the upper half, is among them', () => {
    const bench = new ProtectionBench();
    bench.writeEntry(OWN, 0, 0x00509300);
    expect(look(bench, 'lar ecx, ax', OWN)).toBe(0x00509300);
  });

  test.each([
    // [instruction, what RCX was, what it is]
    ['lar cx, ax', 0x1234567890ab, 0x12345678fb00],
    ['lar ecx, eax', 0x1234567890ab, 0x00affb00],
    ['lar rcx, rax', 0x1234567890ab, 0x00affb00],
  ])('%s', (instruction, before, after) => {
    const bench = new ProtectionBench();
    bench.describe(OWN, { type: 11, dpl: 3 });
    // Just 16 bits of the source count.
    bench.bare.set('rax', 0x770000 + OWN);
    bench.bare.set('rcx', before);
    expect(bench.execute(instruction)).toBe(null);
    expect(bench.bare.get('rcx')).toBe(after);
  });

  test('of memory reads 16 bits of it', () => {
    const bench = new ProtectionBench();
    bench.describe(OWN, { type: 11, dpl: 3 });
    // The last two bytes before a page that is not mapped.
    bench.write16(0x3fffe, OWN);
    expect(bench.execute('lar rcx, [0x3fffe]')).toBe(null);
    expect(bench.bare.get('rcx')).toBe(0x00affb00);
  });
});

describe('LSL', () => {
  test.each<[string, Descriptor, number]>([
    ['bytes', { type: 3, granular: false, limit: 0x12345 }, 0x12345],
    ['pages', { type: 3, limit: 0x12345 }, 0x12345fff],
    ['all pages', { type: 3 }, 0xffffffff],
    ['no page but the first', { type: 3, limit: 0 }, 0xfff],
    ['an LDT', { type: 2, isSystem: true, limit: 0x1f }, 0x1f],
    ['a TSS in pages', { type: 9, isSystem: true, limit: 1, granular: true }, 0x1fff],
    ['data that grows down', { type: 7, limit: 0x7ffff, db: true }, 0x7fffffff],
  ])('%s', (_what, descriptor, limit) => {
    const bench = new ProtectionBench();
    bench.describe(OWN, descriptor);
    expect(look(bench, 'lsl ecx, ax', OWN)).toBe(limit);
    expect(look(bench, 'lsl rcx, rax', OWN)).toBe(limit);
    expect(look(bench, 'lsl cx, ax', OWN)).toBe(limit & 0xffff);
  });
});

describe('SLDT, STR, SGDT and SIDT, at CPL 3 too', () => {
  function stored(): ProtectionBench {
    const bench = new ProtectionBench(3);
    bench.bare.set('ldtrSelector', 0xfabc);
    bench.bare.set('trSelector', 0xfdef);
    bench.bare.set('rcx', 0x1234567890ab);
    return bench;
  }

  test.each([
    // A 16-bit register keeps its upper part; wider ones are zero-extended.
    ['sldt cx', 0x12345678fabc],
    ['sldt ecx', 0xfabc],
    ['sldt rcx', 0xfabc],
    ['str cx', 0x12345678fdef],
    ['str ecx', 0xfdef],
    ['str rcx', 0xfdef],
  ])('%s', (instruction, rcx) => {
    const bench = stored();
    expect(bench.execute(instruction)).toBe(null);
    expect(bench.bare.get('rcx')).toBe(rcx);
  });

  test.each([
    ['sldt [0x21000]', 0xfabc],
    ['str [0x21000]', 0xfdef],
    ['db 0x66, 0x48, 0x0f, 0x00, 0x04, 0x25, 0x00, 0x10, 0x02, 0x00', 0xfabc],
  ])('%s writes 16 bits', (instruction, value) => {
    const bench = stored();
    bench.bare.write64(OPERANDS, -1, -1);
    expect(bench.execute(instruction)).toBe(null);
    expect(bench.bare.machine.memory.view.getBigUint64(bench.bare.hpa(OPERANDS), true)).toBe(
      0xffffffffffff0000n + BigInt(value),
    );
  });

  test.each([
    ['sgdt', 'gdtr'],
    ['sidt', 'idtr'],
  ])('%s writes 16 bits of limit and 64 of base, whatever the prefixes', (name, register) => {
    const bench = new ProtectionBench(3);
    for (const prefix of ['', 'db 0x66\n', 'db 0x48\n']) {
      bench.bare.write64(OPERANDS, -1, -1);
      bench.bare.write64(OPERANDS + 8, -1, -1);
      bench.bare.set(`${register}Base`, 0x123456789abc);
      bench.bare.set(`${register}Limit`, 0xfedc);
      expect(bench.execute(`${prefix}${name} [${OPERANDS}]`)).toBe(null);
      const { view } = bench.bare.machine.memory;
      const at = bench.bare.hpa(OPERANDS);
      expect([view.getUint16(at, true), view.getBigUint64(at + 2, true)]).toEqual([
        0xfedc,
        0x123456789abcn,
      ]);
      expect(view.getUint16(at + 10, true)).toBe(0xffff);
    }
  });

  test.each(['sgdt', 'sidt'])('%s that faults writes nothing', (name) => {
    const bench = new ProtectionBench(3);
    bench.bare.write64(0x3fff8, -1, -1);
    // The limit would fit into the page.
    expect(bench.execute(`${name} [0x3fffc]`)).toBe('#PF(6)');
    expect(bench.bare.read64(0x3fff8)).toBe(2 ** 64);
    expect(bench.bare.get('cr2')).toBe(0);
  });
});
