// Far JMP, CALL and RET: which code segments they reach from which privilege level, what they push
// and pop, and which faults they raise in which order. SDM 2, "JMP - Jump" and "CALL - Call
// Procedure" (CONFORMING-CODE-SEGMENT, NONCONFORMING-CODE-SEGMENT), and "RET - Return From
// Procedure" (IA-32E-MODE-RETURN-...).

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  type Descriptor,
  OPERANDS,
  OWN,
  OWN_LOCAL,
  ProtectionBench,
  STACK,
  Type,
} from '../support/protection-bench.ts';
import { At, Selector } from '../support/vmx-bench.ts';

type Cpl = 0 | 1 | 2 | 3;

const TARGET = 0x12345678;
const UNUSABLE = 0x10000;
const { EXECUTE_ONLY, READABLE_CODE, CONFORMING, READABLE_CONFORMING, WRITABLE } = Type;
const STACK_PAGE_BELOW = 0x80000;

/** A far pointer in memory. */
function pointTo(bench: ProtectionBench, selector: number, offset = Long.fromInt(TARGET)): void {
  bench.bare.write64(OPERANDS, offset.low, offset.high);
  bench.write16(OPERANDS + 8, selector);
}

const JUMP = `jmp far qword [${OPERANDS}]`;
const CALL = `call far qword [${OPERANDS}]`;

describe('JMP and CALL to code segments', () => {
  test.each<[string, Cpl, number, Descriptor, string]>([
    // [what, CPL, RPL, descriptor, fault or '']
    ['same privilege', 0, 0, {}, ''],
    ['same privilege', 2, 2, { dpl: 2 }, ''],
    ['same privilege', 3, 3, { dpl: 3 }, ''],
    ['execute-only', 0, 0, { type: EXECUTE_ONLY }, ''],
    ['RPL below CPL', 3, 0, { dpl: 3 }, ''],
    ['RPL above CPL', 0, 1, {}, '#GP(50)'],
    ['RPL above CPL', 2, 3, { dpl: 2 }, '#GP(50)'],
    ['inward', 3, 0, {}, '#GP(50)'],
    ['outward', 0, 3, { dpl: 3 }, '#GP(50)'],
    ['outward', 0, 0, { dpl: 3 }, '#GP(50)'],
    ['conforming, same privilege', 0, 0, { type: CONFORMING }, ''],
    ['conforming, more privileged', 3, 3, { type: CONFORMING }, ''],
    ['conforming, more privileged', 3, 0, { type: READABLE_CONFORMING, dpl: 2 }, ''],
    ['conforming, RPL is not looked at', 0, 3, { type: CONFORMING }, ''],
    ['conforming, less privileged', 0, 3, { type: CONFORMING, dpl: 3 }, '#GP(50)'],
    ['conforming, less privileged', 2, 2, { type: CONFORMING, dpl: 3 }, '#GP(50)'],
    ['data', 0, 0, { type: WRITABLE }, '#GP(50)'],
    ['an LDT', 0, 0, { type: 2, isSystem: true }, '#GP(50)'],
    // There is no task switching in 64-bit mode.
    ['a TSS', 0, 0, { type: 9, isSystem: true }, '#GP(50)'],
    ['a task gate', 0, 0, { type: 5, isSystem: true }, '#GP(50)'],
    ['an interrupt gate', 0, 0, { type: 14, isSystem: true }, '#GP(50)'],
    ['not present', 0, 0, { present: false }, '#NP(50)'],
    ['conforming, not present', 3, 3, { type: CONFORMING, present: false }, '#NP(50)'],
    ['privilege before presence', 3, 3, { present: false }, '#GP(50)'],
    ['both L and D', 0, 0, { db: true }, '#GP(50)'],
    ['both L and D before presence', 0, 0, { db: true, present: false }, '#GP(50)'],
    ['compatibility mode, 16 bits', 0, 0, { long: false }, ''],
    ['compatibility mode, 32 bits', 3, 3, { long: false, db: true, dpl: 3 }, ''],
    ['compatibility mode, beyond the limit', 0, 0, { long: false, granular: false }, '#GP(0)'],
  ])('%s: CPL %i, RPL %i, %o', (_what, cpl, rpl, descriptor, fault) => {
    for (const selector of [OWN, OWN_LOCAL]) {
      for (const branch of [JUMP, CALL]) {
        const bench = new ProtectionBench(cpl);
        bench.describe(selector, descriptor);
        pointTo(bench, selector + rpl);
        const before = bench.values('csSelector', 'rsp', 'ssSelector', 'csRights');
        const outcome = bench.execute(branch) ?? '';
        expect(outcome).toBe(fault.replace('50', selector.toString(16)));
        const after = bench.values('csSelector', 'rsp', 'ssSelector', 'csRights');
        if (fault !== '') {
          expect([...after, bench.bare.get('rip')]).toEqual([...before, At.CODE]);
          continue;
        }
        // The RPL of CS becomes CPL, whatever the selector said.
        const pushed = branch === CALL ? 16 : 0;
        expect(after.slice(0, 3)).toEqual([selector + cpl, STACK - pushed, before[2]]);
        const { type = READABLE_CODE, dpl = 0, long = true, db = false } = descriptor;
        const size = (long ? 0x2000 : 0) | (db ? 0x4000 : 0);
        const rights = 0x8090 | type | (dpl << 5) | size;
        expect(bench.values('rip', 'csRights', 'csLimit')).toEqual([TARGET, rights, 0xffffffff]);
      }
    }
  });

  test.each<[string, number, string]>([
    ['null', 0, '#GP(0)'],
    ['null with an RPL', 3, '#GP(0)'],
    ['beyond the GDT', 0xa0, '#GP(a0)'],
    ['beyond the GDT, with an RPL', 0xfffb, '#GP(fff8)'],
    ['beyond the LDT', 0x24, '#GP(24)'],
  ])('selector: %s', (_what, selector, fault) => {
    for (const branch of [JUMP, CALL]) {
      const bench = new ProtectionBench();
      pointTo(bench, selector);
      expect(bench.execute(branch)).toBe(fault);
    }
  });

  test.each([
    // [target, fault or '']
    ['7fffffffffff', ''],
    ['ffff800000000000', ''],
    ['800000000000', '#GP(0)'],
    ['ffff7fffffffffff', '#GP(0)'],
  ])('offset %s', (digits, fault) => {
    const offset = Long.fromString(digits, true, 16);
    for (const branch of [JUMP, CALL]) {
      const bench = new ProtectionBench();
      bench.describe(OWN, { type: 10 });
      pointTo(bench, OWN, offset);
      expect(bench.execute(branch) ?? '').toBe(fault);
      if (fault === '') expect(bench.wide('rip').eq(offset)).toBe(true);
      // A descriptor is marked accessed by a branch that gets there.
      expect(bench.accessByte(OWN)).toBe(fault === '' ? 0x9b : 0x9a);
    }
  });

  test.each([
    // [operand, where the selector is, target]
    ['word', 2, 0x9abc],
    ['dword', 4, 0x89abcdef],
    ['qword', 8, 0x1234_89abcdef],
  ])('a %s of offset', (size, selectorAt, target) => {
    for (const branch of ['jmp', 'call']) {
      const bench = new ProtectionBench();
      bench.bare.write64(OPERANDS + 8, -1, -1);
      bench.bare.write64(OPERANDS, (target % 2 ** 32) | 0, Math.floor(target / 2 ** 32));
      bench.write16(OPERANDS + selectorAt, Selector.CODE);
      expect(bench.execute(`${branch} far ${size} [${OPERANDS}]`)).toBe(null);
      expect(bench.values('rip', 'csSelector')).toEqual([target, Selector.CODE]);
    }
  });
});

describe('what CALL pushes', () => {
  test.each([
    // [operand, bytes of a push]
    ['qword', 8],
    ['dword', 4],
    ['word', 2],
  ])('far %s', (size, bytes) => {
    const bench = new ProtectionBench(3);
    bench.bare.write64(STACK - 16, -1, -1);
    bench.bare.write64(STACK - 8, -1, -1);
    bench.bare.write64(OPERANDS, 0, 0);
    bench.write16(OPERANDS + bytes, Selector.USER_CODE);
    const source = `call far ${size} [${OPERANDS}]\nbehind: nop`;
    const behind = bench.bare.load(source).get('behind') ?? 0;
    expect(bench.execute(source)).toBe(null);
    expect(bench.bare.get('rsp')).toBe(STACK - 2 * bytes);
    const { view } = bench.bare.machine.memory;
    const at = bench.bare.hpa(STACK - 2 * bytes);
    const read = (where: number) =>
      Number(
        { 2: view.getUint16(where, true), 4: view.getUint32(where, true) }[bytes] ??
          view.getBigUint64(where, true),
      );
    expect([read(at), read(at + bytes)]).toEqual([behind % 2 ** (8 * bytes), Selector.USER_CODE]);
    if (bytes < 8) expect(view.getUint8(at - 1)).toBe(0xff);
  });

  test.each([
    ['not canonical', Long.ONE.shl(47).add(8), '#SS(0)'],
    ['not mapped', Long.fromInt(STACK_PAGE_BELOW), '#PF(2)'],
  ])('on a stack that is %s: %s', (_what, rsp, fault) => {
    const bench = new ProtectionBench();
    pointTo(bench, Selector.CODE);
    bench.setWide('rsp', rsp);
    expect(bench.execute(CALL)).toBe(fault);
    expect(bench.wide('rsp').eq(rsp)).toBe(true);
    expect(bench.values('rip', 'csSelector')).toEqual([At.CODE, Selector.CODE]);
  });
});

/** What RETF finds on the stack, in 64-bit items, with released bytes in between. */
interface Frame {
  readonly cs: number;
  readonly rip?: Long;
  readonly ss?: number;
  readonly rsp?: number;
  readonly released?: number;
}

const OUTER_STACK = 0x23450;

function withFrame(bench: ProtectionBench, frame: Frame): string {
  const { cs, rip = Long.fromInt(TARGET), ss = 0, rsp = OUTER_STACK, released = 0 } = frame;
  bench.bare.write64(STACK, rip.low, rip.high);
  // The upper 48 bits of selectors are thrown away.
  bench.bare.write64(STACK + 8, cs | 0x7654_0000, -1);
  bench.bare.write64(STACK + 16 + released, rsp);
  bench.bare.write64(STACK + 24 + released, ss | 0x7654_0000, -1);
  return released === 0 ? 'retfq' : `retfq ${released}`;
}

describe('RET within a privilege level', () => {
  test.each<[string, Cpl, number, Descriptor, string]>([
    // [what, CPL, RPL, descriptor, fault or '']
    ['same', 0, 0, {}, ''],
    ['same', 1, 1, { dpl: 1 }, ''],
    ['same', 3, 3, { dpl: 3 }, ''],
    ['conforming', 3, 3, { type: CONFORMING }, ''],
    ['conforming, DPL above RPL', 1, 1, { type: CONFORMING, dpl: 2 }, '#GP(50)'],
    ['inward', 3, 0, {}, '#GP(50)'],
    ['inward', 3, 2, { dpl: 2 }, '#GP(50)'],
    ['inward, conforming', 3, 0, { type: CONFORMING }, '#GP(50)'],
    ['DPL below RPL', 3, 3, { dpl: 2 }, '#GP(50)'],
    ['DPL above RPL', 0, 0, { dpl: 3 }, '#GP(50)'],
    ['data', 0, 0, { type: WRITABLE }, '#GP(50)'],
    // There are no returns through gates.
    ['a call gate', 0, 0, { type: 12, isSystem: true }, '#GP(50)'],
    ['not present', 0, 0, { present: false }, '#NP(50)'],
    ['privilege before presence', 3, 0, { present: false }, '#GP(50)'],
    ['both L and D', 0, 0, { db: true }, '#GP(50)'],
    ['both L and D before presence', 0, 0, { db: true, present: false }, '#GP(50)'],
    ['compatibility mode', 0, 0, { long: false }, ''],
    ['compatibility mode, beyond the limit', 0, 0, { long: false, granular: false }, '#GP(0)'],
  ])('%s: CPL %i, RPL %i, %o', (_what, cpl, rpl, descriptor, fault) => {
    for (const released of [0, 0x40]) {
      const bench = new ProtectionBench(cpl);
      bench.describe(OWN, descriptor);
      bench.bare.set('dsSelector', Selector.DATA);
      const source = withFrame(bench, { cs: OWN + rpl, released });
      expect(bench.execute(source) ?? '').toBe(fault);
      const ends = bench.values('rip', 'rsp', 'csSelector', 'dsSelector');
      if (fault !== '') expect(ends.slice(0, 2)).toEqual([At.CODE, STACK]);
      else expect(ends).toEqual([TARGET, STACK + 16 + released, OWN + rpl, Selector.DATA]);
    }
  });

  test.each<[string, Frame, string]>([
    ['null CS', { cs: 0 }, '#GP(0)'],
    ['null CS with an RPL', { cs: 3 }, '#GP(0)'],
    ['CS beyond the GDT', { cs: 0xa3 }, '#GP(a0)'],
    ['CS in the LDT', { cs: OWN_LOCAL }, ''],
    ['a target that is not canonical', { cs: OWN, rip: Long.ONE.shl(47) }, '#GP(0)'],
  ])('%s', (_what, frame, fault) => {
    const bench = new ProtectionBench();
    bench.describe(OWN, {});
    bench.describe(OWN_LOCAL, {});
    expect(bench.execute(withFrame(bench, frame)) ?? '').toBe(fault);
  });

  test.each([
    // [instruction, bytes of an item, released]
    ['retf', 4, 0],
    ['retf 6', 4, 6],
    ['retfw', 2, 0],
    ['retfw 0xfffe', 2, 0xfffe],
    ['retfq 0xffff', 8, 0xffff],
  ])('%s', (source, bytes, released) => {
    const bench = new ProtectionBench(3);
    const { view } = bench.bare.machine.memory;
    const at = bench.bare.hpa(STACK);
    view.setBigUint64(at, 0xffffffff_89abcdefn, true);
    if (bytes === 8) view.setBigUint64(at, 0x89abcdefn, true);
    view.setUint16(at + bytes, Selector.USER_CODE, true);
    expect(bench.execute(source)).toBe(null);
    const target = bytes === 2 ? 0xcdef : 0x89abcdef;
    expect(bench.values('rip', 'rsp')).toEqual([target, STACK + 2 * bytes + released]);
  });
});

describe('RET outward', () => {
  const USER: Frame = { cs: Selector.USER_CODE, ss: Selector.USER_DATA };

  test.each([0, 8, 0x30])('releases %i bytes of both stacks', (released) => {
    const bench = new ProtectionBench();
    const source = withFrame(bench, { ...USER, released });
    expect(bench.execute(source)).toBe(null);
    expect(bench.values('rip', 'rsp', 'csSelector', 'ssSelector')).toEqual([
      TARGET,
      OUTER_STACK + released,
      Selector.USER_CODE,
      Selector.USER_DATA,
    ]);
    // Privilege has gone.
    expect(bench.cpl).toBe(3);
    expect(bench.execute('hlt')).toBe('#GP(0)');
  });

  test('leaves flags alone, unlike IRET', () => {
    const bench = new ProtectionBench();
    bench.bare.set('rflags', 0x246);
    expect(bench.execute(withFrame(bench, USER))).toBe(null);
    expect(bench.bare.get('rflags')).toBe(0x246);
  });

  test.each<[string, Frame, string]>([
    // The descriptor at OWN is data of DPL 3 that is not present, the one in the LDT 64-bit code of
    // DPL 3, conforming.
    ['null SS for CPL 3', { ...USER, ss: 3 }, '#GP(0)'],
    ['null SS with RPL 0 for CPL 3', { ...USER, ss: 0 }, '#GP(0)'],
    ['null SS for CPL 1', { cs: 0x61, ss: 1 }, ''],
    ['null SS with another RPL for CPL 1', { cs: 0x61, ss: 2 }, ''],
    ['SS beyond the GDT', { ...USER, ss: 0xa3 }, '#GP(a0)'],
    ['SS with another RPL', { ...USER, ss: 0x18 }, '#GP(18)'],
    ['SS with another DPL', { ...USER, ss: 0x13 }, '#GP(10)'],
    ['code in SS', { ...USER, ss: Selector.USER_CODE }, '#GP(20)'],
    ['SS not present', { ...USER, ss: OWN + 3 }, '#SS(50)'],
    ['conforming code of DPL 0', { cs: 0x6b, ss: Selector.USER_DATA }, ''],
    ['SS before the target', { ...USER, ss: 0x13, rip: Long.ONE.shl(47) }, '#GP(10)'],
    ['a target that is not canonical', { ...USER, rip: Long.ONE.shl(47) }, '#GP(0)'],
    ['CS before SS', { cs: 0x0b, ss: 0xa3 }, '#GP(8)'],
  ])('%s', (_what, frame, fault) => {
    const bench = new ProtectionBench();
    bench.describe(OWN, { type: WRITABLE, dpl: 3, present: false });
    bench.describe(0x60, { dpl: 1 });
    bench.describe(0x68, { type: CONFORMING });
    expect(bench.execute(withFrame(bench, frame)) ?? '').toBe(fault);
    const ends = bench.values('rip', 'rsp', 'csSelector');
    if (fault === '') expect(ends).toEqual([TARGET, OUTER_STACK, frame.cs]);
    else expect(ends).toEqual([At.CODE, STACK, Selector.CODE]);
  });

  test('a stack that ends before SS', () => {
    const bench = new ProtectionBench();
    // Return address and CS are the last of what is mapped.
    bench.bare.write64(0x3fff8, Selector.USER_CODE);
    bench.bare.set('rsp', 0x3fff0);
    expect([bench.execute('retfq'), bench.bare.get('rsp')]).toEqual(['#PF(0)', 0x3fff0]);
  });

  test.each<[string, number, boolean]>([
    // [what is loaded, access rights, whether the register is nulled on the way to CPL 3]
    ['data of DPL 0', 0xc093, true],
    ['data of DPL 2', 0xc0d3, true],
    ['data of DPL 3', 0xc0f3, false],
    ['code of DPL 0', 0xa09b, true],
    ['code of DPL 3', 0xa0fb, false],
    ['conforming code of DPL 0', 0xa09f, false],
  ])('%s', (_what, rights, isNulled) => {
    const names = ['ds', 'es', 'fs', 'gs'];
    const bench = new ProtectionBench();
    for (const name of names) {
      bench.bare.set(`${name}Selector`, 0x77);
      bench.bare.set(`${name}Rights`, rights);
    }
    expect(bench.execute(withFrame(bench, USER))).toBe(null);
    const expected = isNulled ? [0, UNUSABLE] : [0x77, rights];
    for (const name of names) {
      expect(bench.values(`${name}Selector`, `${name}Rights`)).toEqual(expected);
    }
  });

  test('to CPL 2 data of DPL 2 stays', () => {
    const bench = new ProtectionBench();
    bench.describe(OWN, { dpl: 2 });
    bench.describe(0x58, { type: WRITABLE, dpl: 2 });
    bench.bare.set('dsRights', 0xc0d3);
    bench.bare.set('esRights', 0xc0b3);
    expect(bench.execute(withFrame(bench, { cs: OWN + 2, ss: 0x5a }))).toBe(null);
    expect(bench.values('dsSelector', 'esSelector')).toEqual([Selector.DATA, 0]);
    expect(bench.cpl).toBe(2);
  });
});

describe('IRETQ and the code segment', () => {
  test.each<[string, Descriptor, Long, string]>([
    ['both L and D', { db: true }, Long.ONE, '#GP(50)'],
    ['compatibility mode', { long: false }, Long.ONE, ''],
    ['compatibility mode, beyond the limit', { long: false, limit: 0 }, Long.ONE.shl(16), '#GP(0)'],
    ['a target that is not canonical', {}, Long.ONE.shl(47), '#GP(0)'],
    // Compatibility mode takes 32 bits of it.
    ['the same in compatibility mode', { long: false }, Long.ONE.shl(47), ''],
  ])('%s', (_what, descriptor, rip, fault) => {
    const bench = new ProtectionBench();
    bench.describe(OWN, descriptor);
    bench.bare.write64(STACK, rip.low, rip.high);
    bench.bare.write64(STACK + 8, OWN);
    bench.bare.write64(STACK + 32, Selector.DATA);
    expect(bench.execute('iretq') ?? '').toBe(fault);
  });
});
