// Far JMP and CALL outside 64-bit mode, and call gates in every mode. SDM 2, "JMP - Jump", "CALL -
// Call Procedure"; SDM 3, "Call Gates", "Accessing a Code Segment Through a Call Gate", "Stack
// Switching", "Task Switching".

import { describe, expect, test } from 'vitest';
import { ModeBench, type ModeStart, Place, Sel } from '../support/mode-bench.ts';
import { type Descriptor, Type } from '../support/protection-bench.ts';

const PROTECTED: ModeStart = { mode: 'protected' };
const USER: ModeStart = { mode: 'protected', cpl: 3 };
const LONG: ModeStart = { mode: '64-bit' };
const TARGET = 0x1234;
const GATE = 0x70;

type Gate = Partial<Parameters<ModeBench['gateHalves']>[0]>;

/** With a call gate, of IA-32e mode with its upper half. */
function withGate(start: ModeStart, change: Gate = {}): ModeBench {
  const bench = new ModeBench(start);
  const isWide = start.mode === '64-bit' || start.mode === 'compatibility';
  const selector = isWide ? Sel.CODE_64 : Sel.CODE_32;
  const gate = { type: 12, dpl: 3, selector, offset: TARGET, ...change };
  bench.describeRaw(GATE, ...bench.gateHalves(gate));
  bench.describeRaw(GATE + 8, 0, 0);
  return bench;
}

describe('real and virtual-8086 mode', () => {
  test.each(['real', 'virtual8086'] as const)('JMP and CALL in %s mode', (mode) => {
    const bench = new ModeBench({ mode });
    expect(bench.execute(`jmp 0x5678:${TARGET}`)).toBe('');
    const rights = mode === 'real' ? 0x93 : 0xf3;
    expect(bench.segment('cs')).toEqual([0x5678, 0x56780, 0xffff, rights]);
    expect(bench.get('rip')).toBe(TARGET);
    const other = new ModeBench({ mode });
    expect(other.execute(`call 0x5678:${TARGET}`)).toBe('');
    expect(other.values('rip', 'rsp', 'csBase')).toEqual([TARGET, Place.STACK - 4, 0x56780]);
    expect(other.readAll(Place.STACK - 4, 2, 2)).toEqual([Place.CODE + 5, 0]);
  });

  test('through memory, and with 32 bits', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.writeAll(Place.DATA, 2, [TARGET, 0x5678]);
    expect(bench.execute(`jmp far [${Place.DATA}]`)).toBe('');
    expect(bench.values('rip', 'csSelector')).toEqual([TARGET, 0x5678]);
    bench.load('cs', { selector: 0, base: 0 });
    expect(bench.execute(`call dword 0x5678:${TARGET}`)).toBe('');
    expect(bench.readAll(Place.STACK - 8, 4, 2)).toEqual([Place.CODE + 8, 0]);
  });

  test('the offset must be within the limit', () => {
    const bench = new ModeBench({ mode: 'real' });
    for (const source of ['jmp dword 0x5678:0x10000', 'call dword 0x5678:0x10000']) {
      expect(bench.execute(source)).toBe('#GP');
      expect(bench.values('csSelector', 'rsp')).toEqual([0, Place.STACK]);
      expect(bench.read(Place.STACK - 8, 4)).toBe(0);
    }
    bench.set('rsp', 2);
    expect(bench.execute('call 0x5678:0')).toBe('#SS');
  });
});

describe.each<ModeStart>([PROTECTED, { mode: 'compatibility' }])('$mode mode', (start) => {
  test.each<[string, number, Descriptor, string]>([
    ['code', Sel.OWN, {}, ''],
    ['16-bit code', Sel.CODE_16, {}, ''],
    ['RPL above CPL', Sel.OWN + 3, {}, '#GP(60)'],
    ['conforming, whatever the RPL', Sel.OWN + 3, { type: Type.CONFORMING }, ''],
    ['less privileged', Sel.USER_CODE_32 + 3, {}, '#GP(18)'],
    ['data', Sel.DATA_32, {}, '#GP(10)'],
    ['not present', Sel.OWN, { present: false }, '#NP(60)'],
    ['beyond the limit', Sel.OWN, { granular: false, limit: TARGET - 1 }, '#GP(0)'],
    ['null', 0, {}, '#GP(0)'],
    ['an LDT', Sel.OWN, { type: 2, isSystem: true }, '#GP(60)'],
    ['an interrupt gate', Sel.OWN, { type: 14, isSystem: true }, '#GP(60)'],
  ])('%s', (_what, selector, descriptor, fault) => {
    for (const name of ['jmp', 'call']) {
      const bench = new ModeBench(start);
      bench.describe(Sel.OWN, { long: false, db: true, ...descriptor });
      expect(bench.execute(`${name} ${selector}:${TARGET}`)).toBe(fault);
      const pushed = name === 'call' && fault === '' ? 8 : 0;
      expect(bench.get('rsp')).toBe(Place.STACK - pushed);
      if (fault !== '') continue;
      expect(bench.values('rip', 'csSelector')).toEqual([TARGET, selector & 0xfffc]);
      if (name === 'call') {
        const frame = [Place.CODE + 7, Sel.CODE_32];
        expect(bench.readAll(Place.STACK - 8, 4, 2)).toEqual(frame);
      }
    }
  });

  test.each([1, 5, 9])('tasks: type %i', (type) => {
    const bench = new ModeBench(start);
    bench.describe(Sel.OWN, { type, isSystem: true });
    // The gate's selector is null, which names no TSS.
    const protectedOutcome = type === 5 ? '#GP(0)' : 'not implemented: task switch';
    const outcome = start.mode === 'protected' ? protectedOutcome : '#GP(60)';
    expect(bench.execute(`jmp ${Sel.OWN}:0`)).toBe(outcome);
    expect(bench.execute(`call ${Sel.OWN}:0`)).toBe(outcome);
  });
});

test('from compatibility to 64-bit mode and back', () => {
  const bench = new ModeBench({ mode: 'compatibility' });
  expect(bench.execute(`jmp ${Sel.CODE_64}:${TARGET}`)).toBe('');
  expect([bench.processor.mode, bench.processor.codeSize]).toEqual(['64-bit', 64]);
  const long = new ModeBench(LONG);
  long.writeAll(Place.DATA, 4, [TARGET, Sel.CODE_16]);
  expect(long.execute(`call far dword [${Place.DATA}]`)).toBe('');
  expect([long.processor.mode, long.processor.codeSize]).toEqual(['compatibility', 16]);
  expect(long.get('rsp')).toBe(Place.STACK - 8);
});

describe('call gates of the same privilege', () => {
  test.each([
    // [mode, type, bytes of an item]
    ['protected', 12, 4],
    ['protected', 4, 2],
    ['64-bit', 12, 8],
    ['compatibility', 12, 8],
  ] as const)('%s mode, type %i', (mode, type, bytes) => {
    const bench = withGate({ mode }, { type, count: 3 });
    bench.writeAll(Place.DATA, 4, [0x9999, GATE]);
    const operand = mode === '64-bit' ? `far dword [${Place.DATA}]` : `${GATE}:0x9999`;
    const length = bench.place(`call ${operand}`);
    expect(bench.execute(`call ${operand}`)).toBe('');
    const top = Place.STACK - 2 * bytes;
    const code = mode === '64-bit' ? Sel.CODE_64 : Sel.CODE_32;
    const target = mode === 'protected' ? Sel.CODE_32 : Sel.CODE_64;
    expect(bench.values('rip', 'rsp', 'csSelector')).toEqual([TARGET, top, target]);
    expect(bench.readAll(top, bytes, 2)).toEqual([Place.CODE + length, code]);
    const other = withGate({ mode }, { type });
    other.writeAll(Place.DATA, 4, [0x9999, GATE]);
    expect(other.execute(`jmp ${operand}`)).toBe('');
    expect(other.values('rip', 'rsp')).toEqual([TARGET, Place.STACK]);
  });

  test('the upper half of a gate in IA-32e mode', () => {
    const bench = withGate(LONG);
    bench.writeAll(Place.DATA, 4, [0, GATE]);
    bench.describeRaw(GATE + 8, 0x7fff, 0);
    expect(bench.execute(`jmp far dword [${Place.DATA}]`)).toBe('');
    expect(bench.get('rip')).toBe(0x7fff_00001234);
    bench.describeRaw(GATE + 8, 0x8000, 0);
    expect(bench.execute(`jmp far dword [${Place.DATA}]`)).toBe('#GP(0)');
    bench.describeRaw(GATE + 8, 0, 0x1000);
    expect(bench.execute(`jmp far dword [${Place.DATA}]`)).toBe('#GP(70)');
  });
});

describe('call gates inward', () => {
  const CALLER = [Sel.USER_CODE_32 + 3, Place.STACK, Sel.USER_DATA_32 + 3] as const;

  test.each([
    [12, 4],
    [4, 2],
  ] as const)('type %i copies parameters', (type, bytes) => {
    const bench = withGate(USER, { type, count: 3 });
    bench.writeAll(Place.STACK, bytes, [0x1111, 0x2222, 0x3333, 0x4444]);
    expect(bench.execute(`call ${GATE}:0`)).toBe('');
    const top = Place.STACK_0 - 7 * bytes;
    expect(bench.values('rip', 'rsp', 'csSelector')).toEqual([TARGET, top, Sel.CODE_32]);
    const [code, pointer, stack] = CALLER;
    const frame = [Place.CODE + 7, code, 0x1111, 0x2222, 0x3333, pointer, stack];
    expect(bench.readAll(top, bytes, 7)).toEqual(frame);
    expect([bench.processor.state.cpl, bench.get('ssSelector')]).toEqual([0, Sel.DATA_32]);
    // And back, releasing the parameters on both stacks.
    expect(bench.execute(`${bytes === 2 ? 'o16 ' : ''}retf ${3 * bytes}`)).toBe('');
    expect(bench.values('rip', 'rsp')).toEqual([Place.CODE + 7, Place.STACK + 3 * bytes]);
    expect(bench.values('csSelector', 'ssSelector')).toEqual([code, stack]);
  });

  test('in IA-32e mode SS becomes null and nothing is copied', () => {
    const bench = withGate({ mode: 'compatibility', cpl: 3 }, { count: 3 });
    expect(bench.execute(`call ${GATE}:0`)).toBe('');
    const top = Place.STACK_0 - 32;
    expect(bench.values('rip', 'rsp')).toEqual([TARGET, top]);
    expect(bench.values('csSelector', 'ssSelector', 'ssRights')).toEqual([Sel.CODE_64, 0, 0x10000]);
    expect(bench.readAll(top, 8, 4)).toEqual([Place.CODE + 7, ...CALLER]);
  });

  test('JMP does not go inward', () => {
    expect(withGate(USER).execute(`jmp ${GATE}:0`)).toBe('#GP(8)');
  });

  test('to conforming code the privilege level and the stack stay', () => {
    const bench = withGate(USER, { selector: Sel.OWN, count: 3 });
    bench.describe(Sel.OWN, { type: Type.CONFORMING, long: false, db: true });
    expect(bench.execute(`call ${GATE}:0`)).toBe('');
    expect([bench.processor.state.cpl, bench.get('rsp')]).toEqual([3, Place.STACK - 8]);
  });

  test.each<[string, ModeStart, Gate, number, Descriptor, string]>([
    ['DPL of the gate', USER, { dpl: 0 }, GATE, {}, '#GP(70)'],
    ['RPL for the gate', PROTECTED, { dpl: 0 }, GATE + 3, {}, '#GP(70)'],
    ['not present', USER, { present: false }, GATE, {}, '#NP(70)'],
    ['null target', USER, { selector: 0 }, GATE, {}, '#GP(0)'],
    ['target beyond the GDT', USER, { selector: 0x80 }, GATE, {}, '#GP(80)'],
    ['data for a target', USER, { selector: Sel.DATA_32 }, GATE, {}, '#GP(10)'],
    ['outward', PROTECTED, { selector: Sel.USER_CODE_32 }, GATE, {}, '#GP(18)'],
    ['target not present', USER, { selector: Sel.OWN }, GATE, { present: false }, '#NP(60)'],
    [
      'beyond the limit',
      USER,
      { selector: Sel.OWN },
      GATE,
      { limit: 9, granular: false },
      '#GP(0)',
    ],
    ['16-bit gate in IA-32e mode', { mode: 'compatibility' }, { type: 4 }, GATE, {}, '#GP(70)'],
    [
      '32-bit target in IA-32e mode',
      { mode: 'compatibility' },
      { selector: 8 },
      GATE,
      {},
      '#GP(8)',
    ],
  ])('%s', (_what, start, change, selector, descriptor, fault) => {
    const bench = withGate(start, change);
    bench.describe(Sel.OWN, { long: false, db: true, ...descriptor });
    expect(bench.execute(`call ${selector}:0`)).toBe(fault);
    expect(bench.get('rsp')).toBe(Place.STACK);
  });

  test('the stack of the TSS', () => {
    const bench = withGate(USER);
    bench.write(Place.TSS + 8, 2, Sel.USER_DATA_32);
    expect(bench.execute(`call ${GATE}:0`)).toBe('#TS(20)');
    bench.set('trLimit', 8);
    expect(bench.execute(`call ${GATE}:0`)).toBe('#TS(40)');
  });
});
