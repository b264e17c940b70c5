// Fetching outside 64-bit mode: the base and limit of CS, EIP and IP that wrap around, branch
// targets, decoded code of several sizes, and what becomes of CS when the mode changes. SDM 3,
// "Limit Checking", "Switching to Protected Mode"; SDM 2, "JMP", "CALL".

import { describe, expect, test } from 'vitest';
import { ModeBench, type ModeStart, Place, Sel } from '../support/mode-bench.ts';

const REAL: ModeStart = { mode: 'real' };
const PROTECTED: ModeStart = { mode: 'protected' };

describe('the limit of CS', () => {
  test.each([
    // [bytes of code that there are, instruction of 5 bytes, outcome]
    [5, ''],
    [4, '#GP(0)'],
    [1, '#GP(0)'],
    [0, '#GP(0)'],
  ])('%i bytes', (count, fault) => {
    const bench = new ModeBench(PROTECTED);
    bench.load('cs', { limit: Place.CODE + count - 1 });
    expect(bench.execute('mov eax, 0x12345678')).toBe(fault);
  });

  test('an undefined opcode within the limit is that, and beyond it is not looked at', () => {
    const bench = new ModeBench(PROTECTED);
    bench.load('cs', { limit: Place.CODE + 1 });
    expect(bench.execute('ud2')).toBe('#UD');
    bench.load('cs', { limit: Place.CODE });
    expect(bench.execute('ud2')).toBe('#GP(0)');
  });

  test('a block that has been decoded before does not run beyond it', () => {
    const bench = new ModeBench(PROTECTED);
    expect(bench.run('inc eax\ninc eax\ninc eax\nhlt', 3)).toBe('');
    bench.load('cs', { limit: Place.CODE + 1 });
    bench.processor.stateChanged();
    bench.set('rip', Place.CODE);
    bench.gate(13, { offset: Place.HANDLERS });
    bench.write(Place.HANDLERS, 1, 0xf4);
    expect(bench.processor.run(bench.processor.clock + 100).kind).toBe('inactive');
    expect(bench.get('rax')).toBe(5);
    expect(bench.readAll(bench.get('rsp'), 4, 2)).toEqual([0, Place.CODE + 2]);
  });

  test('branches beyond it fault before they happen', () => {
    const bench = new ModeBench(PROTECTED);
    bench.load('cs', { limit: 0x9fff });
    for (const source of ['jmp dword 0xa000', 'jz near 0xa000', 'call 0xa000']) {
      bench.set('rflags', 0x42);
      expect(bench.execute(source)).toBe('#GP(0)');
      expect(bench.values('rip', 'rsp')).toEqual([Place.CODE, Place.STACK]);
    }
    bench.set('rax', 0xa000);
    expect(bench.execute('jmp eax')).toBe('#GP(0)');
    bench.write(Place.STACK, 4, 0xa000);
    expect(bench.execute('ret')).toBe('#GP(0)');
    expect(bench.get('rsp')).toBe(Place.STACK);
    expect(bench.execute('jmp dword 0x9fff')).toBe('');
  });

  test('in real mode the word after FFFF is beyond it', () => {
    const bench = new ModeBench(REAL);
    bench.place('nop');
    bench.write(0xffff, 1, 0x90);
    bench.write(0x10000, 1, 0x90);
    bench.set('rip', 0xffff);
    expect(bench.processor.step()).toBe(null);
    expect(bench.get('rip')).toBe(0x10000);
    expect(() => bench.processor.step()).toThrow();
  });
});

describe('branches', () => {
  test('of 16 bits wrap around within 64 KiB', () => {
    const bench = new ModeBench(REAL);
    expect(bench.execute('jmp word $ - 0x9100')).toBe('');
    expect(bench.get('rip')).toBe(0xff00);
    const protectedBench = new ModeBench(PROTECTED);
    expect(protectedBench.execute('db 0x66, 0xe9, 0x00, 0x70')).toBe('');
    expect(protectedBench.get('rip')).toBe((Place.CODE + 4 + 0x7000) & 0xffff);
  });

  test('of 32 bits wrap around within 4 GiB', () => {
    const bench = new ModeBench(PROTECTED);
    expect(bench.execute('jmp dword $ - 0x10000')).toBe('');
    expect(bench.get('rip')).toBe(2 ** 32 + Place.CODE - 0x10000);
  });

  test('calls push as much as the operand size', () => {
    const bench = new ModeBench(PROTECTED);
    const length = 4;
    expect(bench.execute('call word 0x1234')).toBe('');
    expect(bench.values('rip', 'rsp')).toEqual([0x1234, Place.STACK - 2]);
    expect(bench.read(Place.STACK - 2, 2)).toBe(Place.CODE + length);
    const real = new ModeBench(REAL);
    expect(real.execute('call dword 0x1234')).toBe('');
    expect(real.values('rip', 'rsp')).toEqual([0x1234, Place.STACK - 4]);
  });
});

test('the base of CS counts, and linear addresses wrap around', () => {
  const bench = new ModeBench(PROTECTED);
  bench.load('cs', { base: 0xfffff000 });
  expect(bench.execute('call $')).toBe('');
  expect(bench.get('rip')).toBe(Place.CODE + 0x1000);
  expect(bench.read(bench.get('rsp'), 4)).toBe(Place.CODE + 0x1005);
});

test('the same bytes are other instructions in code of another size', () => {
  const bench = new ModeBench({ mode: 'compatibility' });
  const bytes = 'db 0x40, 0xb8, 1, 0, 2, 0';
  const outcome = (name: string, rights: number) => {
    bench.load('cs', { rights });
    bench.set('rax', 0);
    expect(bench.run(bytes)).toBe('');
    return [name, bench.get('rip') - Place.CODE, bench.get('rax')];
  };
  for (let round = 0; round < 2; round++) {
    // INC AX, INC EAX, and MOV EAX behind a REX prefix.
    expect(outcome('16', 0x809b)).toEqual(['16', 1, 1]);
    expect(outcome('32', 0xc09b)).toEqual(['32', 1, 1]);
    expect(outcome('64', 0xa09b)).toEqual(['64', 6, 0x20001]);
  }
  // Code that is written over is dropped in every size.
  const other = 'db 0x48';
  bench.load('cs', { rights: 0xc09b });
  bench.set('rax', 0);
  expect(bench.run(other)).toBe('');
  expect(bench.get('rax')).toBe(0xffffffff);
});

describe('instructions across a page boundary', () => {
  const place = (bench: ModeBench) => {
    bench.place('nop');
    // MOV EAX, 12345678H
    [0xb8, 0x78, 0x56, 0x34, 0x12].forEach((byte, i) => {
      bench.write(0xaffe + i, 1, byte);
    });
    bench.set('rip', 0xaffe);
  };

  test('are fetched from both', () => {
    const bench = new ModeBench(PROTECTED);
    place(bench);
    expect(bench.processor.step()).toBe(null);
    expect(bench.get('rax')).toBe(0x12345678);
  });

  test('are fetched from both ends of 4 GiB', () => {
    const bench = new ModeBench(PROTECTED);
    bench.place('nop');
    bench.writeAll(Place.TOP + 0xffe, 2, [0x78b8]);
    bench.write(0, 4, 0x00123456);
    bench.set('rip', 0xfffffffe);
    expect(bench.processor.step()).toBe(null);
    expect(bench.values('rip', 'rax')).toEqual([3, 0x12345678]);
  });

  test('end at the limit all the same', () => {
    const bench = new ModeBench(PROTECTED);
    place(bench);
    bench.load('cs', { limit: 0xb001 });
    expect(() => bench.processor.step()).toThrow();
    bench.load('cs', { limit: 0xb002 });
    expect(bench.processor.step()).toBe(null);
  });
});

describe('from real to protected mode', () => {
  test('CS stays as it is until the far jump', () => {
    const bench = new ModeBench(REAL);
    bench.set('gdtrBase', Place.GDT);
    bench.set('gdtrLimit', 0x7f);
    bench.describe(Sel.CODE_32, { db: true, long: false });
    bench.describe(Sel.DATA_32, { type: 3, db: true });
    const source = `mov eax, cr0\nor al, 1\nmov cr0, eax\nmov bx, ${Sel.DATA_32}\nmov ds, bx
      jmp ${Sel.CODE_32}:later\nbits 32\nlater: mov eax, 0x12345678`;
    expect(bench.run(source, 3)).toBe('');
    expect([bench.processor.mode, bench.processor.codeSize]).toEqual(['protected', 16]);
    expect(bench.run(source, 7)).toBe('');
    expect(bench.segment('cs')).toEqual([Sel.CODE_32, 0, 0xffffffff, 0xc09b]);
    expect(bench.segment('ds')).toEqual([Sel.DATA_32, 0, 0xffffffff, 0xc093]);
    expect([bench.processor.codeSize, bench.get('rax')]).toEqual([32, 0x12345678]);
  });

  test('and back: limits stay, also of the code', () => {
    const bench = new ModeBench({ mode: 'protected', bits: 16 });
    bench.load('ds', { limit: 0xffffffff, rights: 0xcf93 });
    const source = 'mov eax, cr0\nand al, 0xfe\nmov cr0, eax\njmp 0x900:0x15\nnop';
    expect(bench.run(source, 4)).toBe('');
    expect([bench.processor.mode, bench.get('rip')]).toEqual(['real', 0x15]);
    expect(bench.segment('cs')).toEqual([0x900, 0x9000, 0xffff, 0x9b]);
    expect(bench.segment('ds')).toEqual([Sel.DATA_16, 0, 0xffffffff, 0xcf93]);
  });
});
