// Loading segment registers, LDTR and TR, and looking at descriptors, where that depends on the
// mode. SDM 2, "MOV", "LLDT", "LTR", "LAR", "LSL", "ARPL"; SDM 3, "Real-Address Mode Operation",
// "Virtual-8086 Mode", "Segment Selectors".

import { describe, expect, test } from 'vitest';
import { ModeBench, type ModeStart, Place, Sel } from '../support/mode-bench.ts';
import { type Descriptor, Type } from '../support/protection-bench.ts';

const PROTECTED: ModeStart = { mode: 'protected' };
const COMPATIBILITY: ModeStart = { mode: 'compatibility' };
const BOTH = [PROTECTED, COMPATIBILITY];

describe('paragraphs', () => {
  test('in real mode base follows the selector, limit and rights stay', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.load('es', { limit: 0x1234, rights: 0x4093 });
    bench.set('rax', 0xfedc);
    expect(bench.execute('mov es, ax')).toBe('');
    expect(bench.segment('es')).toEqual([0xfedc, 0xfedc0, 0x1234, 0x4093]);
  });

  test('in real mode a segment that was null becomes usable', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.load('es', { limit: 0, rights: 0x10000 });
    expect(bench.execute('mov es, ax')).toBe('');
    expect(bench.segment('es')).toEqual([0, 0, 0xffff, 0x93]);
  });

  test('in virtual-8086 mode everything is given', () => {
    const bench = new ModeBench({ mode: 'virtual8086' });
    bench.set('rax', 0x1234);
    expect(bench.execute('mov ds, ax')).toBe('');
    expect(bench.segment('ds')).toEqual([0x1234, 0x12340, 0xffff, 0xf3]);
    expect(bench.execute('mov ss, ax')).toBe('');
    expect(bench.segment('ss')).toEqual([0x1234, 0x12340, 0xffff, 0xf3]);
    expect(bench.get('interruptibility')).toBe(2);
  });

  test.each(['real', 'virtual8086'] as const)('LDS and POP in %s mode', (mode) => {
    const bench = new ModeBench({ mode });
    bench.writeAll(Place.DATA, 2, [0x1111, 0x2222]);
    expect(bench.execute(`lds si, [${Place.DATA}]`)).toBe('');
    expect(bench.values('rsi', 'dsSelector', 'dsBase')).toEqual([0x1111, 0x2222, 0x22220]);
    bench.write(Place.STACK, 2, 0x3333);
    expect(bench.execute('pop es')).toBe('');
    expect(bench.values('rsp', 'esBase')).toEqual([Place.STACK + 2, 0x33330]);
  });
});

describe.each(BOTH)('SS in $mode mode', (start) => {
  test.each<[string, number, Descriptor, string]>([
    ['writable data', Sel.OWN, { type: Type.WRITABLE, db: true }, ''],
    ['null', 0, {}, '#GP(0)'],
    ['RPL above CPL', Sel.OWN + 3, { type: Type.WRITABLE, dpl: 3 }, '#GP(60)'],
    ['DPL above CPL', Sel.OWN, { type: Type.WRITABLE, dpl: 3 }, '#GP(60)'],
    ['read-only data', Sel.OWN, { type: Type.READ_ONLY }, '#GP(60)'],
    ['code', Sel.OWN, {}, '#GP(60)'],
    ['not present', Sel.OWN, { type: Type.WRITABLE, present: false }, '#SS(60)'],
    ['beyond the GDT', 0x80, {}, '#GP(80)'],
  ])('%s', (_what, selector, descriptor, fault) => {
    const bench = new ModeBench(start);
    bench.describe(Sel.OWN, descriptor);
    bench.set('rax', selector);
    const before = bench.segment('ss');
    expect(bench.execute('mov ss, eax')).toBe(fault);
    if (fault === '') expect(bench.segment('ss')).toEqual([Sel.OWN, 0, 0xffffffff, 0xc093]);
    else expect(bench.segment('ss')).toEqual(before);
  });
});

describe.each(BOTH)('DS in $mode mode', (start) => {
  test.each<[string, 0 | 3, number, Descriptor, string]>([
    ['data', 0, Sel.OWN, { type: Type.READ_ONLY }, ''],
    ['readable code', 0, Sel.OWN, { type: Type.READABLE_CODE }, ''],
    ['execute-only code', 0, Sel.OWN, { type: Type.EXECUTE_ONLY }, '#GP(60)'],
    ['conforming code of DPL 0 at CPL 3', 3, Sel.OWN, { type: Type.READABLE_CONFORMING }, ''],
    ['data of DPL 0 at CPL 3', 3, Sel.OWN, { type: Type.WRITABLE }, '#GP(60)'],
    ['RPL above DPL', 0, Sel.OWN + 3, { type: Type.WRITABLE }, '#GP(60)'],
    ['not present', 0, Sel.OWN, { type: Type.WRITABLE, present: false }, '#NP(60)'],
    ['a TSS', 0, Sel.OWN, { type: 9, isSystem: true }, '#GP(60)'],
    ['from the LDT', 0, Sel.OWN_LOCAL, { type: Type.WRITABLE }, ''],
    ['beyond the LDT', 0, 0x24, {}, '#GP(24)'],
  ])('%s', (_what, cpl, selector, descriptor, fault) => {
    const bench = new ModeBench({ ...start, cpl });
    bench.describe(selector & 0xfffc, descriptor);
    bench.set('rax', selector);
    expect(bench.execute('mov ds, eax')).toBe(fault);
  });

  test('a descriptor is marked as accessed', () => {
    const bench = new ModeBench(start);
    bench.describe(Sel.OWN, { type: Type.WRITABLE - 1 });
    bench.set('rax', Sel.OWN);
    expect(bench.execute('mov ds, eax')).toBe('');
    expect([bench.accessByte(Sel.OWN), bench.get('dsRights')]).toEqual([0x93, 0x8093]);
  });
});

describe('LTR and LLDT', () => {
  const tss = (type: number): Descriptor => ({ type, isSystem: true, base: 0x89abcdef });

  test.each<[ModeStart, number, string]>([
    [PROTECTED, 9, ''],
    [PROTECTED, 1, ''],
    [PROTECTED, 11, '#GP(60)'],
    [PROTECTED, 3, '#GP(60)'],
    [COMPATIBILITY, 9, ''],
    [COMPATIBILITY, 1, '#GP(60)'],
  ])('LTR in $mode mode of type %i', (start, type, fault) => {
    const bench = new ModeBench(start);
    bench.describe(Sel.OWN, tss(type));
    bench.describeRaw(Sel.OWN_STACK, 0x1234, 0);
    bench.set('rax', Sel.OWN);
    expect(bench.execute('ltr ax')).toBe(fault);
    if (fault !== '') return;
    // Outside IA-32e mode the descriptor has 8 bytes.
    const wide = start.mode === 'compatibility' ? 0x1234 * 2 ** 32 : 0;
    expect(bench.values('trBase', 'trRights')).toEqual([wide + 0x89abcdef, 0x80 | type | 2]);
    expect(bench.accessByte(Sel.OWN)).toBe(0x80 | type | 2);
  });

  test.each(BOTH)('LLDT in $mode mode', (start) => {
    const bench = new ModeBench(start);
    bench.describe(Sel.OWN, tss(2));
    bench.describeRaw(Sel.OWN_STACK, 0x1234, 0);
    bench.set('rax', Sel.OWN);
    expect(bench.execute('lldt ax')).toBe('');
    const wide = start.mode === 'compatibility' ? 0x1234 * 2 ** 32 : 0;
    expect(bench.values('ldtrBase', 'ldtrRights')).toEqual([wide + 0x89abcdef, 0x82]);
  });
});

describe('LAR and LSL of system descriptors', () => {
  // SDM 2, the tables of types on the pages of LAR and LSL.
  const LAR = { protected: [1, 2, 3, 4, 5, 9, 11, 12], compatibility: [2, 9, 11, 12] };
  const LSL = { protected: [1, 2, 3, 9, 11], compatibility: [2, 9, 11] };
  const TYPES = Array.from({ length: 16 }, (_, type) => type);

  test.each(['protected', 'compatibility'] as const)('in %s mode', (mode) => {
    const valid = (source: string) =>
      TYPES.filter((type) => {
        const bench = new ModeBench({ mode });
        bench.describe(Sel.OWN, { type, isSystem: true });
        bench.set('rcx', Sel.OWN);
        expect(bench.execute(source)).toBe('');
        return (bench.get('rflags') & 0x40) !== 0;
      });
    expect(valid('lar eax, ecx')).toEqual(LAR[mode]);
    expect(valid('lsl eax, ecx')).toEqual(LSL[mode]);
  });
});

describe('instructions that only protected mode has', () => {
  test.each(['sldt ax', 'str ax', 'lldt ax', 'ltr ax', 'lar ax, ax', 'lsl ax, ax', 'verr ax'])(
    '%s',
    (source) => {
      expect(new ModeBench({ mode: 'real' }).execute(source)).toBe('#UD');
      expect(new ModeBench({ mode: 'virtual8086' }).execute(source)).toBe('#UD');
      expect(new ModeBench(PROTECTED).execute(source)).not.toBe('#UD');
    },
  );

  test('ARPL', () => {
    expect(new ModeBench({ mode: 'real' }).execute('arpl ax, cx')).toBe('#UD');
    expect(new ModeBench({ mode: 'virtual8086' }).execute('arpl ax, cx')).toBe('#UD');
    const bench = new ModeBench(PROTECTED);
    bench.set('rax', 0x11);
    bench.set('rcx', 0x3);
    expect(bench.execute('arpl ax, cx')).toBe('');
    expect(bench.get('rax')).toBe(0x13);
  });
});
