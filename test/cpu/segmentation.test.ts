// Accesses outside 64-bit mode: limits, types, unusable segments, bases, and addresses that wrap
// around. SDM 3, "Limit Checking", "Type Checking", "Null Segment Selector Checking"; SDM 1,
// "Memory Organization"; SDM 2, the exception lists of MOV and PUSH for each mode.

import { describe, expect, test } from 'vitest';
import { type Bits, ModeBench, type ModeStart, Place, Sel } from '../support/mode-bench.ts';
import { type Descriptor, Type } from '../support/protection-bench.ts';

const PROTECTED: ModeStart = { mode: 'protected' };
const EXPAND_DOWN = 7;
const READ_ONLY_DOWN = 5;

/** A bench with a descriptor loaded into FS by the instruction that does so. */
function withFs(start: ModeStart, descriptor: Descriptor): ModeBench {
  const bench = new ModeBench(start);
  bench.describe(Sel.OWN, { type: Type.WRITABLE, ...descriptor });
  bench.set('rax', Sel.OWN);
  expect(bench.execute('mov fs, eax')).toBe('');
  return bench;
}

const SMALL = { base: Place.DATA, limit: 0xff, granular: false } as const;
const DOWN = { type: EXPAND_DOWN, granular: false, limit: 0xff } as const;

describe.each<[string, ModeStart]>([
  ['protected mode', PROTECTED],
  ['compatibility mode', { mode: 'compatibility' }],
])('limits in %s', (_mode, start) => {
  test.each<[string, Descriptor, string, string]>([
    // [what, descriptor of FS, instruction, fault or '']
    ['last byte', SMALL, 'mov al, [fs:0xff]', ''],
    ['byte behind', SMALL, 'mov al, [fs:0x100]', '#GP(0)'],
    ['last dword', SMALL, 'mov eax, [fs:0xfc]', ''],
    ['dword across the end', SMALL, 'mov eax, [fs:0xfd]', '#GP(0)'],
    ['store across the end', SMALL, 'mov [fs:0xff], ax', '#GP(0)'],
    ['read-modify-write behind', SMALL, 'inc byte [fs:0x100]', '#GP(0)'],
    ['far offset', SMALL, 'mov al, [fs:0xffffffff]', '#GP(0)'],
    ['granular limit, last', { limit: 0xe, granular: true }, 'mov al, [fs:0xefff]', ''],
    ['granular limit, behind', { limit: 0xe, granular: true }, 'mov al, [fs:0xf000]', '#GP(0)'],
    ['expand-down, below', DOWN, 'mov al, [fs:0xff]', '#GP(0)'],
    ['expand-down, lowest', DOWN, 'mov al, [fs:0x100]', ''],
    ['expand-down, across', DOWN, 'mov ax, [fs:0xff]', '#GP(0)'],
    ['expand-down, B = 0, top', DOWN, 'mov al, [fs:0xffff]', ''],
    ['expand-down, B = 0, above', DOWN, 'mov al, [fs:0x10000]', '#GP(0)'],
    ['expand-down, B = 0, across the top', DOWN, 'mov ax, [fs:0xffff]', '#GP(0)'],
    ['expand-down, B = 1, above 64K', { ...DOWN, db: true }, 'mov al, [fs:0x10000]', ''],
    ['expand-down, B = 1, below', { ...DOWN, db: true }, 'mov al, [fs:0]', '#GP(0)'],
  ])('%s', (_what, descriptor, source, fault) => {
    expect(withFs(start, descriptor).execute(source)).toBe(fault);
  });

  test.each<[string, number, string, string]>([
    // [what, type of FS, instruction, fault or '']
    ['read read-only data', Type.READ_ONLY, 'mov al, [fs:0]', ''],
    ['write read-only data', Type.READ_ONLY, 'mov [fs:0], al', '#GP(0)'],
    ['write read-only expand-down', READ_ONLY_DOWN, 'mov [fs:0xfffff000], al', '#GP(0)'],
    ['modify read-only data', Type.READ_ONLY, 'inc byte [fs:0]', '#GP(0)'],
    ['read readable code', Type.READABLE_CODE, 'mov al, [fs:0]', ''],
    ['write readable code', Type.READABLE_CODE, 'mov [fs:0], al', '#GP(0)'],
  ])('%s', (_what, type, source, fault) => {
    expect(withFs(start, { type, long: false }).execute(source)).toBe(fault);
  });

  test('execute-only code is not read, even through CS', () => {
    const bench = new ModeBench(start);
    expect(bench.execute('mov al, [cs:0]')).toBe('');
    expect(bench.execute('mov [cs:0], al')).toBe('#GP(0)');
    bench.load('cs', { rights: 0xc099 });
    expect(bench.execute('mov al, [cs:0]')).toBe('#GP(0)');
  });

  test('a null segment faults when it is used, not when it is loaded', () => {
    const bench = new ModeBench(start);
    expect(bench.execute('mov fs, eax')).toBe('');
    expect(bench.execute('mov al, [fs:0]')).toBe('#GP(0)');
    expect(bench.execute('mov [fs:0], al')).toBe('#GP(0)');
    expect(bench.execute('lea eax, [fs:0]')).toBe('');
  });

  test('the stack answers with #SS', () => {
    const bench = new ModeBench(start);
    bench.load('ss', { limit: 0xfff, rights: 0x4093 });
    bench.set('rsp', 0x1000);
    bench.set('rbp', 0xffd);
    expect(bench.execute('push eax')).toBe('');
    expect(bench.get('rsp')).toBe(0xffc);
    expect(bench.execute('mov eax, [ebp]')).toBe('#SS(0)');
    expect(bench.execute('mov eax, [ebp - 1]')).toBe('');
    expect(bench.execute('mov eax, [ds:ebp]')).toBe('');
    bench.set('rsp', 0x1001);
    expect(bench.execute('push ax')).toBe('#SS(0)');
    bench.set('rsp', 0xffe);
    expect(bench.execute('pop eax')).toBe('#SS(0)');
    expect(bench.get('rsp')).toBe(0xffe);
    bench.set('rsp', 0);
    expect(bench.execute('push eax')).toBe('#SS(0)');
  });

  test('base and offset add up modulo 4 GiB', () => {
    const bench = withFs(start, { base: 0xfffff000 });
    bench.write(Place.DATA, 4, 0x12345678);
    expect(bench.execute(`mov eax, [fs:${Place.DATA + 0x1000}]`)).toBe('');
    expect(bench.get('rax')).toBe(0x12345678);
    // Only 32 bits of the addresses in registers count.
    bench.set('rbx', 0xf_00000000 + Place.DATA + 0x1000);
    expect(bench.execute('mov ecx, [fs:ebx]')).toBe('');
    expect(bench.get('rcx')).toBe(0x12345678);
  });

  test('16-bit addresses wrap around at 64 KiB, and 32-bit ones do not', () => {
    const bench = new ModeBench(start);
    bench.write(0x0e00, 2, 0x1234);
    bench.set('rbx', 0x1_f000);
    bench.set('rsi', 0x1e00);
    expect(bench.execute('mov ax, [bx + si]')).toBe('');
    expect(bench.get('rax')).toBe(0x1234);
    bench.write(0x4000, 2, 0x5678);
    expect(bench.execute('mov ax, [bx + 0x5000]')).toBe('');
    expect(bench.get('rax')).toBe(0x5678);
    bench.write(0x20e00, 2, 0x9abc);
    expect(bench.execute('mov ax, [ebx + esi]')).toBe('');
    expect(bench.get('rax')).toBe(0x9abc);
  });
});

describe.each<[string, ModeStart, boolean]>([
  ['real mode', { mode: 'real' }, true],
  ['virtual-8086 mode', { mode: 'virtual8086' }, false],
])('%s', (_mode, start, isReal) => {
  const code = isReal ? '' : '(0)';

  test.each([
    // [instruction, SP, fault or '']
    ['mov al, [0xffff]', 0x1000, ''],
    ['mov ax, [0xffff]', 0x1000, `#GP${code}`],
    ['mov [0xffff], ax', 0x1000, `#GP${code}`],
    ['mov eax, [0xfffd]', 0x1000, `#GP${code}`],
    ['mov ax, [ss:0xffff]', 0x1000, `#SS${code}`],
    ['push ax', 1, `#SS${code}`],
    ['push ax', 0, ''],
    ['pop ax', 0xffff, `#SS${code}`],
    ['mov [cs:0xf000], al', 0x1000, ''],
  ])('%s, SP %i', (source, rsp, fault) => {
    const bench = new ModeBench(start);
    bench.set('rsp', rsp);
    expect(bench.execute(source)).toBe(fault);
  });

  test('offsets of 32 bits are checked, too', () => {
    const bench = new ModeBench(start);
    bench.set('rbx', 0x10000);
    expect(bench.execute('mov al, [ebx]')).toBe(`#GP${code}`);
    expect(bench.execute('mov al, [bx]')).toBe('');
  });

  test('the stack pointer has 16 bits', () => {
    const bench = new ModeBench(start);
    bench.set('rsp', 0x12340000);
    bench.set('rax', 0xabcd);
    expect(bench.execute('push ax')).toBe('');
    expect(bench.get('rsp')).toBe(0x1234fffe);
    expect(bench.read(0xfffe, 2)).toBe(0xabcd);
  });

  test('linear addresses go beyond 1 MiB', () => {
    const bench = new ModeBench(start);
    // There is no memory there, so that all ones are read.
    bench.load('ds', { selector: 0xffff, base: 0xffff0 });
    expect(bench.execute('mov al, [0x10]')).toBe('');
    expect(bench.get('rax')).toBe(0xff);
    expect(bench.execute('mov al, [0xf]')).toBe('');
    expect(bench.get('rax')).toBe(0);
  });
});

test('an access wraps around at 4 GiB, as the segment does', () => {
  const bench = new ModeBench(PROTECTED);
  bench.write(Place.TOP + 0xffe, 2, 0x5678);
  bench.write(0, 2, 0x1234);
  expect(bench.execute('mov eax, [0xfffffffe]')).toBe('');
  expect(bench.get('rax')).toBe(0x12345678);
  bench.set('rcx', 0x87654321);
  expect(bench.execute('mov [0xffffffff], ecx')).toBe('');
  expect([bench.read(Place.TOP + 0xfff, 1), bench.read(0, 4)]).toEqual([0x21, 0x876543]);
});

test('unreal mode: a limit from protected mode stays in real mode', () => {
  const bench = new ModeBench({ mode: 'real' });
  bench.load('ds', { limit: 0xffffffff, rights: 0xcf93 });
  bench.write(0x12340, 4, 0x55667788);
  bench.set('rbx', 0x12340);
  expect(bench.execute('mov eax, [ebx]')).toBe('');
  expect(bench.get('rax')).toBe(0x55667788);
  bench.set('rax', 0x1000);
  expect(bench.execute('mov ds, ax')).toBe('');
  expect(bench.segment('ds')).toEqual([0x1000, 0x10000, 0xffffffff, 0xcf93]);
  bench.set('rbx', 0x2340);
  expect(bench.execute('mov ecx, [ebx]')).toBe('');
  expect(bench.get('rcx')).toBe(0x55667788);
});

test('real mode looks at no types', () => {
  const bench = new ModeBench({ mode: 'real' });
  bench.load('ds', { rights: 0x9b });
  expect(bench.execute('mov [0x8000], al')).toBe('');
  bench.load('ds', { rights: 0x10093 });
  expect(bench.execute('mov [0x8000], al')).toBe('');
});

describe('64-bit mode looks at no segment', () => {
  test.each(['mov al, [0x100]', 'mov [cs:0x100], al', 'mov al, [fs:0x100]', 'push rax'])(
    '%s',
    (source) => {
      const bench = new ModeBench({ mode: '64-bit' });
      for (const name of ['ds', 'es', 'ss', 'fs']) {
        bench.load(name, { limit: 0, rights: 0x10000 });
      }
      expect(bench.execute(source)).toBe('');
    },
  );
});

describe('the width of the stack is that of SS', () => {
  test.each<[Bits, number, number]>([
    // [bits of code, rights of SS, ESP after PUSH EAX from 1_0002H]
    [32, 0x4093, 0xfffe],
    [32, 0x0093, 0x1fffe],
    [16, 0x4093, 0xfffe],
    [16, 0x0093, 0x1fffe],
  ])('%i-bit code, SS %i', (bits, rights, rsp) => {
    const bench = new ModeBench({ mode: 'protected', bits });
    bench.load('ss', { limit: 0xfffff, rights });
    bench.set('rsp', 0x10002);
    expect(bench.execute('push eax')).toBe('');
    expect(bench.get('rsp')).toBe(rsp);
    expect(bench.execute('pop eax')).toBe('');
    expect(bench.get('rsp')).toBe(0x10002);
  });

  test('a load of SS changes it at once', () => {
    const bench = new ModeBench(PROTECTED);
    bench.set('rax', Sel.DATA_16);
    bench.set('rsp', 0x12340000);
    expect(bench.run('mov ss, eax\npush eax', 2)).toBe('');
    expect(bench.get('rsp')).toBe(0x1234fffc);
  });
});
