// IRET and far RET outside 64-bit mode, and from there to it: within a privilege level, outward, to
// and from virtual-8086 mode. SDM 2, "IRET/IRETD/IRETQ - Interrupt Return", "RET - Return From
// Procedure".

import { describe, expect, test } from 'vitest';
import { ModeBench, type ModeStart, Place, Sel } from '../support/mode-bench.ts';
import { type Descriptor, Type } from '../support/protection-bench.ts';

const PROTECTED: ModeStart = { mode: 'protected' };
const COMPATIBILITY: ModeStart = { mode: 'compatibility' };
const BOTH = [PROTECTED, COMPATIBILITY];
const VIRTUAL: ModeStart = { mode: 'virtual8086' };
const TARGET = 0x1234;
const USER = Sel.USER_CODE_32 + 3;
const USER_STACK = Sel.USER_DATA_32 + 3;
const VM = 0x20000;
const IOPL_3 = 0x3000;
const NT = 0x4000;

describe('real mode', () => {
  test.each([
    // [instruction, bytes of an item, flags on the stack, before, afterwards]
    ['iret', 2, 0xffff, 0x2, 0x7fd7],
    ['iret', 2, 0x0000, 0x240002, 0x240002],
    ['iretd', 4, 0x3fffff, 0x2, 0x257fd7],
    ['iretd', 4, 0, 0x257fd7, 0x2],
  ] as const)('%s: %i, %i, %i', (source, bytes, image, before, flags) => {
    const bench = new ModeBench({ mode: 'real' });
    bench.writeAll(Place.STACK, bytes, [TARGET, 0x5678, image]);
    bench.set('rflags', before);
    expect(bench.execute(source)).toBe('');
    const top = Place.STACK + 3 * bytes;
    expect(bench.values('rip', 'rsp', 'rflags')).toEqual([TARGET, top, flags]);
    expect(bench.segment('cs')).toEqual([0x5678, 0x56780, 0xffff, 0x93]);
  });

  test('a target beyond the limit', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.writeAll(Place.STACK, 4, [0x10000, 0x5678, 2]);
    expect(bench.execute('iretd')).toBe('#GP');
    expect(bench.execute('o32 retf')).toBe('#GP');
    expect(bench.values('rsp', 'csSelector')).toEqual([Place.STACK, 0]);
  });

  test.each([
    ['retf', 2, 0],
    ['retf 6', 2, 6],
    ['o32 retf', 4, 0],
  ] as const)('%s', (source, bytes, released) => {
    const bench = new ModeBench({ mode: 'real' });
    bench.writeAll(Place.STACK, bytes, [TARGET, 0x5678]);
    expect(bench.execute(source)).toBe('');
    const top = Place.STACK + 2 * bytes + released;
    expect(bench.values('rip', 'rsp', 'csBase')).toEqual([TARGET, top, 0x56780]);
  });
});

describe.each(BOTH)('within a privilege level, $mode mode', (start) => {
  test('IRET takes flags, and leaves the stack segment alone', () => {
    const bench = new ModeBench(start);
    bench.writeAll(Place.STACK, 4, [TARGET, Sel.CODE_16, 0x3fd7]);
    bench.describe(Sel.CODE_16, { long: false });
    expect(bench.execute('iretd')).toBe('');
    expect(bench.values('rip', 'rsp', 'rflags')).toEqual([TARGET, Place.STACK + 12, 0x3fd7]);
    expect(bench.values('csSelector', 'ssSelector')).toEqual([Sel.CODE_16, Sel.DATA_32]);
    expect(bench.processor.codeSize).toBe(16);
  });

  test('of words', () => {
    const bench = new ModeBench(start);
    bench.set('rflags', 0x250002);
    bench.writeAll(Place.STACK, 2, [TARGET, Sel.CODE_32, 0x7fd7]);
    expect(bench.execute('iretw')).toBe('');
    expect(bench.values('rip', 'rsp')).toEqual([TARGET, Place.STACK + 6]);
    expect(bench.get('rflags')).toBe(0x247fd7); // RF ends with any instruction.
  });

  test('VIF and VIP are changed at CPL 0 by doublewords', () => {
    const bench = new ModeBench(start);
    bench.writeAll(Place.STACK, 4, [TARGET, Sel.CODE_32, 0x180002]);
    expect(bench.execute('iretd')).toBe('');
    expect(bench.get('rflags')).toBe(0x180002);
    const user = new ModeBench({ ...start, cpl: 3 });
    user.writeAll(Place.STACK, 4, [TARGET, USER, 0x183202]);
    expect(user.execute('iretd')).toBe('');
    expect(user.get('rflags')).toBe(2);
  });

  test.each<[string, number, Descriptor, number, string]>([
    ['null', 0, {}, TARGET, '#GP(0)'],
    ['beyond the GDT', 0x80, {}, TARGET, '#GP(80)'],
    ['data', Sel.DATA_32, {}, TARGET, '#GP(10)'],
    ['DPL is not RPL', Sel.OWN + 3, {}, TARGET, '#GP(60)'],
    ['conforming, RPL above DPL', Sel.OWN + 3, { type: Type.CONFORMING }, TARGET, '#GP(0)'],
    ['not present', Sel.OWN, { present: false }, TARGET, '#NP(60)'],
    ['beyond the limit', Sel.OWN, { granular: false, limit: TARGET - 1 }, TARGET, '#GP(0)'],
    ['at the limit', Sel.OWN, { granular: false, limit: TARGET }, TARGET, ''],
  ])('%s', (_what, selector, descriptor, target, fault) => {
    for (const source of ['iretd', 'retf']) {
      const bench = new ModeBench(start);
      bench.describe(Sel.OWN, { long: false, ...descriptor });
      // Where it goes outward there is a null selector for SS.
      bench.writeAll(Place.STACK, 4, [target, selector, 2, 0, 0]);
      expect(bench.execute(source)).toBe(fault);
      if (fault !== '') expect(bench.values('rip', 'rsp')).toEqual([Place.CODE, Place.STACK]);
    }
  });

  test('of a 16-bit stack only the lower half moves', () => {
    const bench = new ModeBench(start);
    bench.load('ss', { limit: 0xffff, rights: 0x93 });
    bench.set('rsp', 0x12340000 + 0xfff8);
    bench.writeAll(0xfff8, 4, [TARGET, Sel.CODE_32]);
    expect(bench.execute('retf')).toBe('');
    expect(bench.values('rip', 'rsp')).toEqual([TARGET, 0x12340000]);
  });
});

describe.each(BOTH)('outward, $mode mode', (start) => {
  test.each(['iretd', 'retf', 'retf 8'])('%s', (source) => {
    const bench = new ModeBench(start);
    const released = source === 'retf 8' ? 8 : 0;
    bench.writeAll(Place.STACK, 4, [TARGET, USER]);
    const at = Place.STACK + 8 + released;
    if (source === 'iretd') bench.writeAll(at, 4, [0x202, 0x5678, USER_STACK]);
    else bench.writeAll(at, 4, [0x5678, USER_STACK]);
    expect(bench.execute(source)).toBe('');
    expect(bench.values('rip', 'rsp')).toEqual([TARGET, 0x5678 + released]);
    expect(bench.values('csSelector', 'ssSelector')).toEqual([USER, USER_STACK]);
    expect(bench.processor.state.cpl).toBe(3);
    // Data segments of DPL 0 are out of reach now.
    expect(bench.values('dsSelector', 'dsRights')).toEqual([0, 0x10000]);
    expect(bench.execute('hlt')).toBe('#GP(0)');
  });

  test('a 16-bit stack takes the lower half of the stack pointer only', () => {
    const bench = new ModeBench(start);
    bench.set('rsp', 0x50000 + Place.STACK);
    bench.writeAll(0x50000 + Place.STACK, 4, [TARGET, USER, 2, 0x89abcdef]);
    bench.write(0x50010 + Place.STACK, 4, Sel.USER_DATA_16 + 3);
    expect(bench.execute('iretd')).toBe('');
    expect(bench.get('rsp')).toBe(0x5cdef);
  });

  test.each<[string, number, Descriptor, string]>([
    ['null', 3, {}, '#GP(0)'],
    ['RPL', Sel.OWN, {}, '#GP(60)'],
    ['DPL', Sel.DATA_32 + 3, {}, '#GP(10)'],
    ['read-only', Sel.OWN + 3, { type: Type.READ_ONLY }, '#GP(60)'],
    // Unlike all other loads of SS, and RETF; SDM 2, "IRET", Protected Mode Exceptions.
    ['not present', Sel.OWN + 3, { present: false }, '#NP(60)'],
    ['beyond the GDT', 0x83, {}, '#GP(80)'],
  ])('SS: %s', (_what, selector, descriptor, fault) => {
    const bench = new ModeBench(start);
    bench.describe(Sel.OWN, { type: Type.WRITABLE, dpl: 3, ...descriptor });
    bench.writeAll(Place.STACK, 4, [TARGET, USER, 0x202, 0x5678, selector]);
    expect(bench.execute('iretd')).toBe(fault);
    expect(bench.values('rsp', 'csSelector')).toEqual([Place.STACK, Sel.CODE_32]);
  });
});

describe('NT', () => {
  test.each<[ModeStart, string]>([
    [PROTECTED, '#TS(0)'],
    [COMPATIBILITY, '#GP(0)'],
    [{ mode: '64-bit' }, '#GP(0)'],
    [{ mode: 'real' }, ''],
  ])('IRET in $mode mode', (start, outcome) => {
    const bench = new ModeBench(start);
    bench.set('rflags', NT | 2);
    expect(bench.execute('iret')).toBe(outcome);
  });
});

describe('virtual-8086 mode', () => {
  const FRAME = [
    TARGET,
    0x1111,
    VM | IOPL_3 | 0x202,
    0x8000,
    0x2222,
    0x3333,
    0x4444,
    0x5555,
    0x6666,
  ];

  test('IRETD at CPL 0 enters it', () => {
    const bench = new ModeBench(PROTECTED);
    bench.writeAll(Place.STACK, 4, FRAME);
    expect(bench.execute('iretd')).toBe('');
    expect(bench.processor.mode).toBe('virtual8086');
    expect(bench.values('rip', 'rsp', 'rflags')).toEqual([TARGET, 0x8000, VM | IOPL_3 | 0x202]);
    const names = ['cs', 'ss', 'es', 'ds', 'fs', 'gs'];
    expect(names.map((name) => bench.segment(name))).toEqual(
      [0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666].map((selector) => [
        selector,
        selector << 4,
        0xffff,
        0xf3,
      ]),
    );
    expect(bench.processor.state.cpl).toBe(3);
  });

  test('but not in compatibility mode, not at CPL 3, and not by words', () => {
    const bench = new ModeBench(COMPATIBILITY);
    bench.writeAll(Place.STACK, 4, [TARGET, Sel.CODE_32, VM | 2]);
    expect(bench.execute('iretd')).toBe('');
    expect(bench.values('rflags', 'csSelector')).toEqual([2, Sel.CODE_32]);
    const user = new ModeBench({ mode: 'protected', cpl: 3 });
    user.writeAll(Place.STACK, 4, [TARGET, USER, VM | 2]);
    expect(user.execute('iretd')).toBe('');
    expect(user.values('rflags', 'csSelector')).toEqual([2, USER]);
  });

  test('a target beyond 64 KiB', () => {
    const bench = new ModeBench(PROTECTED);
    bench.writeAll(Place.STACK, 4, [0x10000, ...FRAME.slice(1)]);
    expect(bench.execute('iretd')).toBe('#GP(0)');
    expect(bench.processor.mode).toBe('protected');
  });

  test.each([
    // [IOPL, instruction, fault or '']
    [3, 'iret', ''],
    [3, 'iretd', ''],
    [2, 'iret', '#GP(0)'],
    [0, 'iretd', '#GP(0)'],
  ])('in it, with IOPL %i: %s', (iopl, source, fault) => {
    const bench = new ModeBench(VIRTUAL);
    const before = VM | (iopl << 12) | 2;
    bench.set('rflags', before);
    const bytes = source === 'iret' ? 2 : 4;
    bench.writeAll(Place.STACK, bytes, [TARGET, 0x1111, 0x0ed7]);
    expect(bench.execute(source)).toBe(fault);
    if (fault !== '') return;
    // VM and IOPL stay as they are.
    expect(bench.values('rip', 'csBase')).toEqual([TARGET, 0x11110]);
    expect(bench.get('rflags')).toBe(VM | IOPL_3 | 0xed7);
  });
});

describe('between compatibility and 64-bit mode', () => {
  const LONG = { mode: '64-bit' } as const;

  test('IRETQ to compatibility mode', () => {
    const bench = new ModeBench(LONG);
    bench.writeAll(Place.STACK, 8, [0xf_00001234, USER, 0x202, 0xf_89abcdef, USER_STACK]);
    expect(bench.execute('iretq')).toBe('');
    expect(bench.processor.mode).toBe('compatibility');
    // 32 bits of everything.
    expect(bench.values('rip', 'rsp')).toEqual([TARGET, 0x89abcdef]);
  });

  test('IRETQ with a null SS only stays in 64-bit mode', () => {
    const bench = new ModeBench(LONG);
    bench.writeAll(Place.STACK, 8, [TARGET, Sel.CODE_64, 0x202, 0x5678, 0]);
    expect(bench.execute('iretq')).toBe('');
    expect(bench.values('ssSelector', 'ssRights')).toEqual([0, 0x10000]);
    bench.writeAll(0x5678, 8, [TARGET, Sel.CODE_32, 0x202, 0x5678, 0]);
    expect(bench.execute('iretq')).toBe('#GP(0)');
  });

  test('RETF back to 64-bit mode', () => {
    const bench = new ModeBench(COMPATIBILITY);
    bench.writeAll(Place.STACK, 4, [TARGET, Sel.CODE_64]);
    expect(bench.execute('retf')).toBe('');
    expect(bench.processor.mode).toBe('64-bit');
    expect(bench.values('rip', 'rsp')).toEqual([TARGET, Place.STACK + 8]);
  });

  test('IRETD in compatibility mode to 64-bit code', () => {
    const bench = new ModeBench(COMPATIBILITY);
    bench.writeAll(Place.STACK, 4, [TARGET, Sel.CODE_64, 0x202]);
    expect(bench.execute('iretd')).toBe('');
    expect(bench.values('rip', 'rsp', 'csRights')).toEqual([TARGET, Place.STACK + 12, 0xa09b]);
  });
});
