// Generated sources against NASM: instructions with all kinds of operands, addresses, numbers of
// all sizes, expressions, and programs whose branches push each other. Many lines go into one file.

import { beforeEach, describe, expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import { mnemonics } from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { missing } from '../support/outside-tools.ts';
import { branchProgram } from './branch-program.ts';
import { runNasm } from './nasm.ts';
import { hex } from './snippets.ts';

const noNasm = missing('nasm');

const HEAD = 'bits 64\nlab:\n';

/** What we make of a single line, or null. */
function alone(line: string): string | null {
  const assembled = assemble({ name: 'line.asm', text: `${HEAD}${line}\n` });
  return assembled.kind === 'ok' ? hex(assembled.bytes) : null;
}

interface Verdict {
  /** Indexes of the lines that NASM refuses. */
  readonly refused: ReadonlySet<number>;
  /** Indexes of those that it cuts numbers off in. */
  readonly warned: ReadonlySet<number>;
}

/** What NASM says of each line. It stops at the first kind of error; so it goes in rounds. */
function judgedByNasm(lines: readonly string[]): Verdict {
  const refused = new Set<number>();
  for (let round = 0; round < 10; round++) {
    const kept = lines.map((_, i) => i).filter((i) => !refused.has(i));
    const [result] = runNasm([`${HEAD}${kept.map((i) => lines[i]).join('\n')}\n`]);
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
function expectSameBytes(lines: readonly string[]): void {
  const text = `${HEAD}${lines.join('\n')}\n`;
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

const SHAPES = [
  ...['al', 'ah', 'r9b', 'ax', 'r11d', 'rax', 'rcx', 'cl', 'fs', 'cr8', 'dr7', '[rbx]', '5'],
  ...['byte [rbx]', 'word [r13]', 'dword [rsp+8]', 'qword [rax+r12*4+0x1234]', '-0x12345678'],
];

/** One of each family of condition codes stands for the others. */
const OTHER_CONDITION = /^(j|set|cmov)(?!z$|mp$|e?rcxz$|ecxz$)/;

/** Where the table allows more than NASM. */
const LAXER = /^(movzx|movsx|movsxd) ax|^movsxd r11d|^bswap ax/;

/**
 * Memory without a size, which NASM takes from a number with one, and other freedoms of its own.
 */
const STRICTER =
  /^(loop|j.?cxz).* -0x|^salc$|^mov qword .*, fs|^mov (fs|cr8|dr7), (qword|.*\[)|^mov (fs), |^mov(zx|sx) ax, \[rbx\]|^lea .*, -?[05]/;

describe('against NASM', () => {
  beforeEach((context) => {
    if (noNasm !== null) context.skip(noNasm);
  });

  test('every instruction with every kind of operands', () => {
    const lines: string[] = [];
    for (const mnemonic of mnemonics()) {
      const name = mnemonic.toLowerCase();
      lines.push(name, ...SHAPES.map((first) => `${name} ${first}`));
      const shapes = OTHER_CONDITION.test(name) ? ['rax', '[rbx]', '5'] : SHAPES;
      for (const first of shapes) {
        for (const second of shapes) lines.push(`${name} ${first}, ${second}`);
      }
    }
    const { refused, warned } = judgedByNasm(lines);
    const ours = lines.map(alone);
    const laxer = lines.filter(
      (line, i) => refused.has(i) && ours[i] !== null && !LAXER.test(line),
    );
    const stricter = lines.filter(
      (line, i) => !(refused.has(i) || warned.has(i) || STRICTER.test(line)) && ours[i] === null,
    );
    expect({ laxer, stricter }).toEqual({ laxer: [], stricter: [] });
    const accepted = lines.filter((_, i) => ours[i] !== null && !refused.has(i));
    expect(accepted.length).toBeGreaterThan(1500);
    expectSameBytes(accepted.filter((line) => !/^(loop|j.?cxz)/.test(line)));
  });

  test('addresses of all shapes', () => {
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
    const { refused } = judgedByNasm(lines);
    const accepted = lines.filter((line, i) => !refused.has(i) && alone(line) !== null);
    const laxer = lines.filter((line, i) => refused.has(i) && alone(line) !== null);
    expect(laxer).toEqual([]);
    expect(accepted.length).toBeGreaterThan(4000);
    expectSameBytes(accepted);
  });

  test('numbers of all sizes', () => {
    const lines: string[] = [];
    const places = [
      'al',
      'bl',
      'ax',
      'bx',
      'eax',
      'ebx',
      'rax',
      'rbx',
      'dword [rcx]',
      'qword [rcx]',
    ];
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
    const { refused } = judgedByNasm(lines);
    const laxer = lines.filter((line, i) => refused.has(i) && alone(line) !== null);
    expect(laxer).toEqual([]);
    expectSameBytes(lines.filter((line, i) => !refused.has(i) && alone(line) !== null));
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
    expectSameBytes(Array.from({ length: 3000 }, () => `dq ${expression(4)}`));
  });

  test('branches that push each other, alone and in one file', () => {
    const prng = new Prng(4);
    const programs = Array.from({ length: 150 }, () => branchProgram(prng));
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
