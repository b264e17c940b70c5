// Events outside 64-bit mode: the interrupt vector table, gates of 16 and 32 bits, stacks from the
// TSS, virtual-8086 mode, and compatibility mode. SDM 2, "INT n/INTO/INT3/INT1 - Call to Interrupt
// Procedure"; SDM 3, "Exception- or Interrupt-Handler Procedures", "Virtual-8086 Mode", "Stack
// Switching".

import { describe, expect, test } from 'vitest';
import { ModeBench, type ModeStart, Place, Sel } from '../support/mode-bench.ts';
import { type Descriptor, Type } from '../support/protection-bench.ts';

const HANDLER = Place.HANDLERS + 0x100;
const VECTOR = 0x30;
const PROTECTED: ModeStart = { mode: 'protected' };
const USER: ModeStart = { mode: 'protected', cpl: 3 };
const VIRTUAL: ModeStart = { mode: 'virtual8086' };
const IF = 0x200;
/** TF, IF, NT and RF, beside the bit that is always set. */
const BUSY_FLAGS = 0x4302;
const IOPL_3 = 0x3000;
const VM = 0x20000;
const AC = 0x40000;

/** With a gate for VECTOR that programs may use. */
function withGate(start: ModeStart, change: Parameters<ModeBench['gate']>[1] = {}): ModeBench {
  const bench = new ModeBench(start);
  bench.gate(VECTOR, { dpl: 3, offset: HANDLER, ...change });
  return bench;
}

const INT = `int ${VECTOR}`;

describe('real mode', () => {
  test('pushes FLAGS, CS and IP, and clears IF, TF and AC', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.writeAll(VECTOR * 4, 2, [0x1234, 0x5678]);
    bench.set('rflags', IF | AC | 0x87);
    expect(bench.run(INT)).toBe('');
    expect(bench.values('rip', 'rsp', 'rflags')).toEqual([0x1234, Place.STACK - 6, 0x86 | 1]);
    expect(bench.segment('cs')).toEqual([0x5678, 0x56780, 0xffff, 0x93]);
    expect(bench.readAll(Place.STACK - 6, 2, 3)).toEqual([Place.CODE + 2, 0, IF | 0x87]);
  });

  test('the table lies where IDTR says', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.set('idtrBase', Place.DATA);
    bench.writeAll(Place.DATA + VECTOR * 4, 2, [0x1234, 0x5678]);
    expect(bench.run(INT)).toBe('');
    expect(bench.get('rip')).toBe(0x1234);
    bench.set('idtrLimit', VECTOR * 4 + 2);
    expect(bench.get('activity')).toBe(0);
  });

  test('a fault has no error code', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.writeAll(13 * 4, 2, [0x1234, 0x5678]);
    expect(bench.run('mov ax, [0xffff]')).toBe('');
    expect(bench.values('rip', 'rsp')).toEqual([0x1234, Place.STACK - 6]);
    expect(bench.read(Place.STACK - 6, 2)).toBe(Place.CODE);
  });

  test('a vector beyond the limit is #GP, and then a double fault', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.writeAll(13 * 4, 2, [0x1111, 0x2222]);
    bench.set('idtrLimit', VECTOR * 4 + 2);
    expect(bench.run(INT)).toBe('');
    expect(bench.get('rip')).toBe(0x1111);
    const other = new ModeBench({ mode: 'real' });
    other.writeAll(8 * 4, 2, [0x3333, 0x4444]);
    other.set('idtrLimit', 13 * 4 + 2);
    expect(other.run('ud2\nmov ax, [0xffff]')).toBe('');
    other.set('rip', Place.CODE + 2);
    expect(other.run('mov ax, [0xffff]')).toBe('');
    expect(other.get('rip')).toBe(0x3333);
  });

  test('without room on the stack and without vectors it shuts down', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.set('rsp', 1);
    bench.run('push ax');
    expect(bench.get('activity')).toBe(2);
  });

  test('the return address is that of the fault, or behind INT', () => {
    const bench = new ModeBench({ mode: 'real' });
    bench.writeAll(4 * 4, 2, [0x1234, 0]);
    bench.set('rflags', 0x802);
    expect(bench.run('into')).toBe('');
    expect(bench.read(Place.STACK - 6, 2)).toBe(Place.CODE + 1);
    expect(new ModeBench({ mode: 'real' }).execute('into')).toBe('');
    bench.writeAll(5 * 4, 2, [0x4321, 0]);
    bench.writeAll(Place.DATA, 2, [1, 2]);
    bench.load('cs', { selector: 0, base: 0 });
    expect(bench.run(`bound ax, [${Place.DATA}]`)).toBe('');
    expect([bench.get('rip'), bench.read(bench.get('rsp'), 2)]).toEqual([0x4321, Place.CODE]);
  });
});

describe('protected mode, without a change of privilege', () => {
  test.each([
    // [type of the gate, bytes of an item, flags afterwards]
    [14, 4, 0x2],
    [15, 4, 0x2 | IF],
    [6, 2, 0x2],
    [7, 2, 0x2 | IF],
  ] as const)('gate of type %i', (type, bytes, flags) => {
    const bench = withGate(PROTECTED, { type });
    bench.set('rflags', BUSY_FLAGS);
    expect(bench.run(INT)).toBe('');
    const top = Place.STACK - 3 * bytes;
    expect(bench.values('rip', 'rsp', 'rflags')).toEqual([HANDLER, top, flags]);
    expect(bench.readAll(top, bytes, 3)).toEqual([Place.CODE + 2, Sel.CODE_32, BUSY_FLAGS]);
  });

  test('a 16-bit gate has 16 bits of offset', () => {
    const bench = withGate(PROTECTED, { type: 6, offset: 0x12340000 + HANDLER });
    expect(bench.run(INT)).toBe('');
    expect(bench.get('rip')).toBe(HANDLER);
  });

  test('a fault pushes its error code', () => {
    const bench = new ModeBench(PROTECTED);
    bench.gate(13);
    bench.set('rax', Sel.OWN + 3);
    expect(bench.run('mov ds, eax')).toBe('');
    const frame = bench.readAll(bench.get('rsp'), 4, 4);
    expect(frame).toEqual([Sel.OWN, Place.CODE, Sel.CODE_32, 0x10002]);
  });

  test('conforming code keeps the privilege level', () => {
    const bench = withGate(USER, { selector: Sel.OWN });
    bench.describe(Sel.OWN, { type: Type.CONFORMING, long: false, db: true });
    expect(bench.run(INT)).toBe('');
    expect([bench.processor.state.cpl, bench.get('csSelector')]).toEqual([3, Sel.OWN + 3]);
    expect(bench.get('rsp')).toBe(Place.STACK - 12);
  });

  test.each<[string, Parameters<ModeBench['gate']>[1], Descriptor, string]>([
    ['wrong type', { type: 12 }, {}, '#GP(182)'],
    ['not present', { present: false }, {}, '#NP(182)'],
    ['null selector', { selector: 0 }, {}, '#GP(0)'],
    ['selector beyond the GDT', { selector: 0x80 }, {}, '#GP(80)'],
    ['data', { selector: Sel.DATA_32 }, {}, '#GP(10)'],
    ['less privileged code', { selector: Sel.USER_CODE_32 }, {}, '#GP(18)'],
    ['code not present', { selector: Sel.OWN }, { present: false }, '#NP(60)'],
    ['offset beyond the limit', { selector: Sel.OWN }, { granular: false, limit: 99 }, '#GP(0)'],
    ['a task gate', { type: 5 }, {}, '#GP(8)'],
  ])('%s', (_what, change, descriptor, fault) => {
    const bench = withGate(PROTECTED, change);
    bench.describe(Sel.OWN, { long: false, ...descriptor });
    expect(bench.execute(INT)).toBe(fault);
    expect(bench.get('rsp')).toBe(Place.STACK);
  });

  test('the DPL of the gate is for programs', () => {
    expect(withGate(USER, { dpl: 0 }).execute(INT)).toBe('#GP(182)');
    const bench = new ModeBench(USER);
    bench.gate(6, { dpl: 0 });
    expect(bench.run('ud2')).toBe('');
    expect(bench.processor.state.cpl).toBe(0);
  });

  test('the limit of the IDT', () => {
    const bench = withGate(PROTECTED);
    bench.set('idtrLimit', VECTOR * 8 + 6);
    expect(bench.execute(INT)).toBe('#GP(182)');
    bench.set('idtrLimit', VECTOR * 8 + 7);
    expect(bench.execute(INT)).toBe('');
  });

  test('room on the stack', () => {
    const bench = withGate(PROTECTED);
    bench.load('ss', { limit: 0xffff, rights: 0x4093 });
    bench.set('rsp', 8);
    expect(bench.execute(INT)).toBe('#SS(0)');
    bench.set('rsp', 12);
    expect(bench.execute(INT)).toBe('');
  });
});

describe('protected mode, inward', () => {
  test.each([
    // [type of the gate, bytes of an item]
    [14, 4],
    [6, 2],
  ] as const)('gate of type %i', (type, bytes) => {
    const bench = withGate(USER, { type });
    bench.set('rflags', 0x202);
    expect(bench.run(INT)).toBe('');
    const top = Place.STACK_0 - 5 * bytes;
    expect(bench.values('rip', 'rsp', 'csSelector')).toEqual([HANDLER, top, Sel.CODE_32]);
    expect(bench.segment('ss')).toEqual([Sel.DATA_32, 0, 0xffffffff, 0xc093]);
    const code = Sel.USER_CODE_32 + 3;
    const stack = [Place.STACK, Sel.USER_DATA_32 + 3];
    expect(bench.readAll(top, bytes, 5)).toEqual([Place.CODE + 2, code, 0x202, ...stack]);
    expect(bench.processor.state.cpl).toBe(0);
  });

  test('a 16-bit TSS has 16-bit stack pointers', () => {
    const bench = withGate(USER);
    bench.load('tr', { rights: 0x83, limit: 0x2b });
    bench.writeAll(Place.TSS, 2, [0, 0xd800, Sel.DATA_16]);
    expect(bench.run(INT)).toBe('');
    expect(bench.values('rsp', 'ssSelector')).toEqual([0xd800 - 20, Sel.DATA_16]);
  });

  test.each<[string, (bench: ModeBench) => void, string]>([
    ['TSS too short', (b) => b.set('trLimit', 8), '#TS(40)'],
    ['TSS just long enough', (b) => b.set('trLimit', 9), ''],
    ['null SS', (b) => b.write(Place.TSS + 8, 2, 0), '#TS(0)'],
    ['SS beyond the GDT', (b) => b.write(Place.TSS + 8, 2, 0x80), '#TS(80)'],
    ['RPL of SS', (b) => b.write(Place.TSS + 8, 2, Sel.DATA_32 + 1), '#TS(10)'],
    ['DPL of SS', (b) => b.write(Place.TSS + 8, 2, Sel.USER_DATA_32), '#TS(20)'],
    ['code for SS', (b) => b.write(Place.TSS + 8, 2, Sel.CODE_32), '#TS(8)'],
    ['SS not present', (b) => stackOf(b, { present: false }), '#SS(60)'],
    ['no room', (b) => stackOf(b, { granular: false, limit: 0xcfeb }), '#SS(60)'],
    ['room', (b) => stackOf(b, { granular: false, limit: 0xcfff }), ''],
  ])('%s', (_what, change, fault) => {
    const bench = withGate(USER);
    change(bench);
    const before = bench.values('rsp', 'csSelector', 'ssSelector');
    expect(bench.execute(INT)).toBe(fault);
    if (fault !== '') expect(bench.values('rsp', 'csSelector', 'ssSelector')).toEqual(before);
  });

  function stackOf(bench: ModeBench, descriptor: Descriptor): void {
    bench.describe(Sel.OWN, { type: Type.WRITABLE, db: true, ...descriptor });
    bench.write(Place.TSS + 8, 2, Sel.OWN);
  }

  test('room on the stack is looked at before the offset', () => {
    const bench = withGate(USER, { selector: Sel.OWN });
    bench.describe(Sel.OWN, { long: false, db: true, granular: false, limit: 9 });
    expect(bench.execute(INT)).toBe('#GP(0)');
    bench.describe(Sel.OWN_STACK, { type: Type.WRITABLE, granular: false, limit: 0xcfeb });
    bench.write(Place.TSS + 8, 2, Sel.OWN_STACK);
    expect(bench.execute(INT)).toBe('#SS(68)');
  });

  test('faults of an event from outside have EXT set', () => {
    const bench = new ModeBench(USER);
    bench.gate(6);
    bench.gate(10);
    bench.write(Place.TSS + 8, 2, 0x80);
    bench.describe(Sel.OWN, { type: Type.CONFORMING, long: false, db: true });
    bench.gate(10, { selector: Sel.OWN });
    expect(bench.run('ud2')).toBe('');
    expect(bench.read(bench.get('rsp'), 4)).toBe(0x81);
  });
});

describe('out of virtual-8086 mode', () => {
  test.each([
    [14, 4],
    [6, 2],
  ] as const)('gate of type %i', (type, bytes) => {
    const bench = withGate(VIRTUAL, { type });
    bench.set('rflags', VM | IOPL_3 | IF | 2);
    for (const [i, name] of ['es', 'ds', 'fs', 'gs'].entries()) {
      bench.load(name, { selector: 0x1111 * (i + 1) });
    }
    expect(bench.run(INT)).toBe('');
    const top = Place.STACK_0 - 9 * bytes;
    expect(bench.values('rip', 'rsp', 'rflags')).toEqual([HANDLER, top, IOPL_3 | 2]);
    const flags = bytes === 4 ? VM | IOPL_3 | IF | 2 : IOPL_3 | IF | 2;
    const frame = [Place.CODE + 2, 0, flags, Place.STACK, 0, 0x1111, 0x2222, 0x3333, 0x4444];
    expect(bench.readAll(top, bytes, 9)).toEqual(frame);
    for (const name of ['es', 'ds', 'fs', 'gs']) {
      expect(bench.values(`${name}Selector`, `${name}Rights`)).toEqual([0, 0x10000]);
    }
    expect(bench.processor.mode).toBe('protected');
  });

  test('INT n takes IOPL 3, exceptions do not', () => {
    const bench = withGate(VIRTUAL);
    expect(bench.execute(INT)).toBe('#GP(0)');
    bench.gate(3, { dpl: 3 });
    expect(bench.execute('int3')).toBe('');
    const other = new ModeBench(VIRTUAL);
    other.gate(6);
    expect(other.run('ud2')).toBe('');
    expect(other.get('csSelector')).toBe(Sel.CODE_32);
  });

  test.each<[string, Descriptor]>([
    ['conforming', { type: Type.CONFORMING }],
    ['DPL 3', { dpl: 3 }],
    ['DPL 1', { dpl: 1 }],
  ])('the handler must be of privilege level 0: %s', (_what, descriptor) => {
    const bench = withGate(VIRTUAL, { selector: Sel.OWN });
    bench.set('rflags', VM | IOPL_3 | 2);
    bench.describe(Sel.OWN, { long: false, db: true, ...descriptor });
    expect(bench.execute(INT)).toBe('#GP(60)');
  });
});

describe('compatibility mode', () => {
  test.each([0, 3] as const)('events enter 64-bit mode, from CPL %i', (cpl) => {
    const bench = withGate({ mode: 'compatibility', cpl });
    bench.set('rsp', Place.STACK + 4);
    expect(bench.run(INT)).toBe('');
    expect(bench.processor.mode).toBe('64-bit');
    const top = (cpl === 0 ? Place.STACK : Place.STACK_0) - 40;
    expect(bench.values('rip', 'rsp', 'csSelector')).toEqual([HANDLER, top, Sel.CODE_64]);
    const code = cpl === 0 ? Sel.CODE_32 : Sel.USER_CODE_32 + 3;
    const stack = cpl === 0 ? Sel.DATA_32 : Sel.USER_DATA_32 + 3;
    expect(bench.readAll(top, 8, 5)).toEqual([Place.CODE + 2, code, 2, Place.STACK + 4, stack]);
    if (cpl === 3) expect(bench.values('ssSelector', 'ssRights')).toEqual([0, 0x10000]);
  });

  test('handlers are 64-bit code', () => {
    expect(withGate({ mode: 'compatibility' }, { selector: Sel.CODE_32 }).execute(INT)).toBe(
      '#GP(8)',
    );
  });
});

describe('single steps', () => {
  test.each<[ModeStart, number]>([
    [{ mode: 'real' }, 0x102],
    [PROTECTED, 0x102],
    [VIRTUAL, VM | 0x102],
    [{ mode: 'compatibility' }, 0x102],
  ])('in $mode mode', (start, flags) => {
    const bench = new ModeBench(start);
    if (start.mode === 'real') bench.writeAll(4, 2, [HANDLER, 0]);
    else bench.gate(1, { offset: HANDLER });
    bench.place('nop\nnop');
    bench.write(HANDLER, 1, 0xf4);
    bench.set('rflags', flags);
    bench.processor.stateChanged();
    bench.letEventsThrough();
    expect(bench.processor.run(bench.processor.clock + 100).kind).toBe('inactive');
    expect(bench.get('rip')).toBe(HANDLER + 1);
    expect(bench.read(bench.get('rsp'), 2)).toBe(Place.CODE + 1);
    expect(bench.get('dr6') & 0x4000).toBe(0x4000);
  });
});
