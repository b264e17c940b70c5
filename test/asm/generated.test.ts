// Generated sources against NASM: instructions with all kinds of operands, addresses, numbers of
// all sizes, expressions, and programs whose branches push each other. Many lines go into one file.

import { beforeEach, describe, expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import { CODE_SIZES, type CodeSize, mnemonics } from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { missing } from '../support/outside-tools.ts';
import { branchProgram } from './branch-program.ts';
import { runNasm } from './nasm.ts';
import { hex } from './snippets.ts';

const noNasm = missing('nasm');

/** What stands before the lines. */
function headOf(codeSize: CodeSize): string {
  return `bits ${codeSize}\nlab:\n`;
}

/** What we make of a single line, or null. */
function alone(line: string, codeSize: CodeSize): string | null {
  const assembled = assemble({ name: 'line.asm', text: `${headOf(codeSize)}${line}\n` });
  return assembled.kind === 'ok' ? hex(assembled.bytes) : null;
}

interface Verdict {
  /** Indexes of the lines that NASM refuses. */
  readonly refused: ReadonlySet<number>;
  /** Indexes of those that it cuts numbers off in. */
  readonly warned: ReadonlySet<number>;
}

/** What NASM says of each line. It stops at the first kind of error; so it goes in rounds. */
function judgedByNasm(lines: readonly string[], codeSize: CodeSize): Verdict {
  const refused = new Set<number>();
  for (let round = 0; round < 10; round++) {
    const kept = lines.map((_, i) => i).filter((i) => !refused.has(i));
    const [result] = runNasm([`${headOf(codeSize)}${kept.map((i) => lines[i]).join('\n')}\n`]);
    const messages = result?.messages ?? '';
    const said = (what: string) =>
      [...messages.matchAll(new RegExp(`asm:(\\d+): ${what}`, 'g'))].map(
        ([, line]) => kept[Number(line) - 3] as number,
      );
    if (result?.bytes) return { refused, warned: new Set(said('warning')) };
    for (const i of said('error')) refused.add(i);
  }
  throw new Error('NASM still finds errors');
}

/** Assemble the lines as one source with both, and compare the bytes line by line. */
function expectSameBytes(lines: readonly string[], codeSize: CodeSize): void {
  const text = `${headOf(codeSize)}${lines.join('\n')}\n`;
  const assembled = assemble({ name: 'lines.asm', text });
  if (assembled.kind === 'errors') {
    throw new Error(assembled.errors.map((e) => `${e.sourceLine}: ${e.message}`).join('\n'));
  }
  const [result] = runNasm([text]);
  const theirs = result?.bytes ?? null;
  if (theirs === null) throw new Error(`NASM: ${result?.messages}`);
  for (const { address, lengthBytes, line } of assembled.lineMap) {
    const at = address.toNumber();
    const ours = hex(assembled.bytes.subarray(at, at + lengthBytes));
    expect(`${lines[line - 3]}: ${ours}`).toBe(
      `${lines[line - 3]}: ${hex(theirs.subarray(at, at + lengthBytes))}`,
    );
  }
  expect(theirs.length).toBe(assembled.bytes.length);
}

/** What both accept has the same bytes; nothing that NASM refuses is accepted here. */
function expectSameOnesAndBytes(
  lines: readonly string[],
  codeSize: CodeSize,
  fewest: number,
): void {
  const { refused } = judgedByNasm(lines, codeSize);
  const ours = lines.map((line) => alone(line, codeSize));
  expect(lines.filter((_, i) => refused.has(i) && ours[i] !== null)).toEqual([]);
  const accepted = lines.filter((_, i) => !refused.has(i) && ours[i] !== null);
  expect(accepted.length).toBeGreaterThan(fewest);
  expectSameBytes(accepted, codeSize);
}

const SHAPES_64 = [
  ...['al', 'ah', 'r9b', 'ax', 'r11d', 'rax', 'rcx', 'cl', 'fs', 'cr8', 'dr7', '[rbx]', '5'],
  ...['byte [rbx]', 'word [r13]', 'dword [rsp+8]', 'qword [rax+r12*4+0x1234]', '-0x12345678'],
];

const SHAPES_32 = [
  ...['al', 'ax', 'esi', 'eax', 'cl', 'ds', 'cr0', '[bx]', '5', 'byte [ebx]', 'word [bp+si]'],
  ...['dword [eax+ebp*4+0x1234]', '-0x12345678', '[ebx]', 'word 5', 'dword 8:5', '8:lab'],
  ...['word [0x1234]', 'far [ebx]', 'dword lab', 'ah', 'fs', 'dr7'],
];

const SHAPES = { 16: SHAPES_32, 32: SHAPES_32, 64: SHAPES_64 } as const;

/** A 64-bit program with other registers. */
function inCode(codeSize: CodeSize, program: string): string {
  if (codeSize === 64) return program;
  return program.replace('bits 64', `bits ${codeSize}`).replace(/\br(?=[abcd]x)/g, 'e');
}

/** One of each family of condition codes stands for the others. */
const OTHER_CONDITION = /^(j|set|cmov)(?!z$|mp$|e?rcxz$|ecxz$)/;

/** Where the table allows more than NASM. */
const LAXER = /^(movzx|movsx|movsxd) ax|^movsxd r11d|^bswap ax|^(enter|out) .*word 5/;

/**
 * Memory without a size, which NASM takes from a number with one, and other freedoms of its own.
 */
const STRICTER =
  /^(loop|j.?cxz).* -0x|^salc$|^mov qword .*, fs|^mov (fs|cr8|dr7), (qword|.*\[)|^mov (fs), |^mov(zx|sx) ax, \[rbx\]|^lea .*, (-?[05]|far|word 5|dword lab)|^mov(zx|sx) ax, \[e?bx\]|^\w+ \[e?bx\], word 5|^(j\w+|call) -0x|^sys(call|ret)$|^mwait eax/;

describe('against NASM', () => {
  beforeEach((context) => {
    if (noNasm !== null) context.skip(noNasm);
  });

  test.each(CODE_SIZES)('every instruction with every kind of operands, %i-bit', (codeSize) => {
    const lines: string[] = [];
    const all = SHAPES[codeSize];
    // What 16- and 32-bit code has in common with the other needs no second look.
    const pairs = codeSize === 64 ? all : all.slice(0, 15);
    const few = codeSize === 64 ? ['rax', '[rbx]', '5'] : ['eax', '[ebx]', '5'];
    for (const mnemonic of mnemonics()) {
      const name = mnemonic.toLowerCase();
      lines.push(name, ...all.map((first) => `${name} ${first}`));
      const shapes = OTHER_CONDITION.test(name) ? few : pairs;
      for (const first of shapes) {
        for (const second of shapes) lines.push(`${name} ${first}, ${second}`);
      }
    }
    const { refused, warned } = judgedByNasm(lines, codeSize);
    const ours = lines.map((line) => alone(line, codeSize));
    const laxer = lines.filter(
      (line, i) => refused.has(i) && ours[i] !== null && !LAXER.test(line),
    );
    const stricter = lines.filter(
      (line, i) => !(refused.has(i) || warned.has(i) || STRICTER.test(line)) && ours[i] === null,
    );
    expect({ laxer, stricter }).toEqual({ laxer: [], stricter: [] });
    const accepted = lines.filter((_, i) => ours[i] !== null && !refused.has(i));
    expect(accepted.length).toBeGreaterThan(1500);
    expectSameBytes(
      accepted.filter((line) => !/^(loop|j.?cxz)/.test(line)),
      codeSize,
    );
  });

  test('addresses of all shapes, 64-bit', () => {
    const prng = new Prng(2);
    const pick = <T>(from: readonly T[]): T => from[prng.below(from.length)] as T;
    const wide = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
    const narrow = wide.map((name) => (/\d/.test(name) ? `${name}d` : name.replace('r', 'e')));
    const numbers = ['0', '1', '-1', '127', '128', '-128', '-129', '0x12345678', '-0x80000000'];
    const lines: string[] = [];
    for (let i = 0; i < 6000; i++) {
      const registers = pick([wide, wide, narrow]);
      const index = `${pick(registers)}*${pick(['1', '2', '3', '4', '5', '8', '9'])}`;
      const pieces = pick([
        [pick(registers)],
        [pick(registers), `${pick(registers)}*${pick(['1', '2', '4', '8'])}`],
        [pick(registers), pick(registers)],
        [index],
        [pick(numbers)],
        [`lab+${prng.below(300)}`],
      ]);
      const number = pick(['', '', `${pick(numbers)}`, `${pick(numbers)}+${prng.below(9)}`, 'lab']);
      const sum = (prng.below(2) ? [...pieces, number] : [number, ...pieces]).filter(
        (x) => x !== '',
      );
      const keyword = pick(['', '', '', 'dword ', 'fs:', 'es:', 'abs ']);
      const text = pick(['mov rax, ', 'add r9, ', 'lea ecx, ', 'mov al, ']);
      lines.push(`${text}[${keyword}${sum.join('+')}]`);
    }
    expectSameOnesAndBytes(lines, 64, 4000);
  });

  test.each([16, 32] as const)('addresses of all shapes, %i-bit', (codeSize) => {
    const prng = new Prng(5);
    const pick = <T>(from: readonly T[]): T => from[prng.below(from.length)] as T;
    const wide = 'eax ecx edx ebx esp ebp esi edi'.split(' ');
    const narrow = 'bx bp si di'.split(' ');
    const numbers = ['0', '1', '-1', '127', '128', '-128', '-129', '0x1234', '-0x8000', '0xb8000'];
    const lines = Array.from({ length: 6000 }, () => {
      const registers = pick([wide, narrow]);
      const scale = registers === narrow ? '' : `*${pick(['1', '2', '3', '4', '5', '8', '9'])}`;
      const index = `${pick(registers)}${scale}`;
      const pieces = pick([
        [pick(registers)],
        [pick(registers), index],
        [pick(registers), pick(registers)],
        [index],
        [pick(numbers)],
        [`lab+${prng.below(300)}`],
      ]);
      const number = pick(['', '', `${pick(numbers)}`, `${pick(numbers)}+${prng.below(9)}`, 'lab']);
      const sum = (prng.below(2) ? [...pieces, number] : [number, ...pieces]).filter(
        (x) => x !== '',
      );
      const keyword = pick(['', '', '', 'word ', 'dword ', 'byte ', 'fs:', 'es:', 'ds:', 'ss:']);
      const text = pick(['mov eax, ', 'add cx, ', 'lea ecx, ', 'mov al, ', 'a32 mov bl, ']);
      return `${text}[${keyword}${sum.join('+')}]`;
    });
    expectSameOnesAndBytes(lines, codeSize, 2500);
  });

  test.each(CODE_SIZES)('numbers of all sizes, %i-bit', (codeSize) => {
    const lines: string[] = [];
    const places = ['al', 'bl', 'ax', 'bx', 'eax', 'ebx', 'dword [ecx]'];
    if (codeSize === 64) places.push('rax', 'rbx', 'qword [rcx]');
    const sizes = ['', 'byte ', 'word ', 'dword ', 'qword ', 'strict byte ', 'strict dword '];
    const numbers = ['1', '5', '-3', '127', '128', '-129', '0xff', '0x1234', '0x7fffffff', '-1'];
    for (const name of ['add', 'mov', 'test', 'cmp', 'imul', 'shl', 'bt']) {
      for (const place of places) {
        for (const size of sizes) {
          for (const number of numbers) lines.push(`${name} ${place}, ${size}${number}`);
        }
      }
    }
    for (const size of sizes) for (const number of numbers) lines.push(`push ${size}${number}`);
    expectSameOnesAndBytes(lines, codeSize, 1000);
  });

  test('expressions', () => {
    const prng = new Prng(3);
    const pick = <T>(from: readonly T[]): T => from[prng.below(from.length)] as T;
    const operators = '|| ^^ && = == != <> < <= > >= | ^ & << >> <<< >>> + - * / // % %%'.split(
      ' ',
    );
    const leaf = () =>
      pick([
        '0',
        '1',
        '-1',
        '0x7fffffffffffffff',
        '255',
        "('ab')",
        '1000b',
        '($-lab)',
        `${prng.next()}`,
      ]);
    const expression = (depth: number): string => {
      const left = depth > 0 && prng.below(3) ? expression(depth - 1) : leaf();
      if (prng.below(4) === 0) return pick([`(${left})`, `-${left}`, `~${left}`, `!(${left})`]);
      const operator = pick(operators);
      const right = depth > 0 && prng.below(3) ? expression(depth - 1) : leaf();
      // No division by zero, nor the one that overflows, on which NASM crashes.
      return /[/%]/.test(operator)
        ? `(${left}) ${operator} ((${right}) & 0xffff | 1)`
        : `${left} ${operator} ${right}`;
    };
    expectSameBytes(
      Array.from({ length: 3000 }, () => `dq ${expression(4)}`),
      64,
    );
  });

  test('branches that push each other, alone and in one file', () => {
    const prng = new Prng(4);
    const programs = Array.from({ length: 150 }, (_, i) =>
      inCode(CODE_SIZES[i % 3] as CodeSize, branchProgram(prng)),
    );
    const results = runNasm(programs);
    let comparedCount = 0;
    programs.forEach((text, i) => {
      const theirs = results[i]?.bytes;
      // A few have sizes that go round in circles for NASM.
      if (theirs === undefined || theirs === null) return;
      const assembled = assemble({ name: `program${i}.asm`, text });
      const ours = assembled.kind === 'ok' ? hex(assembled.bytes) : 'errors';
      expect(ours === hex(theirs) ? '' : text).toBe('');
      comparedCount++;
    });
    expect(comparedCount).toBeGreaterThan(140);
  });
});
