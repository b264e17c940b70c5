// Several files as one program: symbols across files, sections joined, and what goes wrong. Bytes
// are those of GNU as and ld where both can be had.

import { beforeEach, describe, expect, test } from 'vitest';
import { type Assembled, assembleFiles, formatDiagnostic } from '../../src/asm/index.ts';
import { missing } from '../support/outside-tools.ts';
import { runGnu } from './gnu-as.ts';
import { hex } from './snippets.ts';

const noAs = missing('as');

/** Files by their names, with `bits 64` where NASM wants it. */
function assembled(files: Readonly<Record<string, string>>): Assembled {
  return assembleFiles(
    Object.entries(files).map(([name, text]) => ({
      name,
      text: name.endsWith('.asm') ? `bits 64\n${text}\n` : `${text}\n`,
    })),
  );
}

function bytesOf(files: Readonly<Record<string, string>>): string {
  const result = assembled(files);
  return result.kind === 'ok' ? hex(result.bytes) : result.errors.map(formatDiagnostic).join('\n');
}

const NASM_LIBRARY = 'global twice\ntwice: add edi, edi\nret';
const GAS_LIBRARY = '.globl twice\ntwice: add %edi, %edi\nret';

// call +0, over the hlt: e8 01000000 f4, then 01ff c3.
test.each([
  ['NASM calls NASM', { 'a.asm': 'extern twice\ncall twice\nhlt', 'b.asm': NASM_LIBRARY }],
  ['NASM calls GAS', { 'a.asm': 'extern twice\ncall twice\nhlt', 'b.s': GAS_LIBRARY }],
  ['GAS calls NASM', { 'a.S': 'call twice\nhlt', 'b.nasm': `bits 64\n${NASM_LIBRARY}` }],
  ['a label of its own in each file', { 'a.s': 'call twice\nx: hlt', 'b.s': `x: ${GAS_LIBRARY}` }],
])('%s', (_, files) => {
  expect(bytesOf(files)).toBe('e801000000f401ffc3');
});

test('NASM in 32-bit code', () => {
  const files = {
    'a.asm': 'bits 32\nextern twice\ncall twice\njmp 8:twice\ndd twice',
    'b.asm': `bits 32\n${NASM_LIBRARY}`,
  };
  // call +11 over the far jump and the number; both have the address 10h.
  expect(bytesOf(files)).toBe('e80b000000ea100000000800' + '10000000' + '01ffc3');
});

test('code sizes end with their files', () => {
  expect(bytesOf({ 'a.s': '.code16\nmov $1, %eax', 'b.s': 'push %rax' })).toBe('66b80100000050');
});

const LINKED: readonly (readonly [name: string, files: Readonly<Record<string, string>>])[] = [
  ['constants', { 'a.s': 'mov $five, %eax\n.byte five', 'b.s': '.globl five\nfive = 5' }],
  [
    'data after code',
    {
      'a.s': 'mov x(%rip), %eax\n.data\n.byte 1',
      'b.s': '.data\n.globl x\nx: .byte 2\n.text\nret',
    },
  ],
  ['backwards', { 'a.s': '.globl f\nf: ret', 'b.s': 'jmp f\nlea f(%rip), %rax\n.quad f' }],
  [
    'alignment of pieces',
    { 'a.s': 'ret\n.data\n.byte 1', 'b.s': 'nop\n.p2align 3\nret\n.data\n.p2align 4\n.byte 2' },
  ],
  [
    'one common symbol',
    {
      'a.s': '.comm x, 4, 4\nmov x(%rip), %eax',
      'b.s': '.comm x, 8, 8\nmov x(%rip), %rax\n.comm y, 2\nmov y, %al',
    },
  ],
  [
    'a common symbol that is defined',
    { 'a.s': '.comm x, 4, 4\nmov x(%rip), %eax', 'b.s': '.data\n.globl x\nx: .long 5' },
  ],
  [
    '32-bit code',
    {
      'a.s': '.code32\ncall f\nmov $x, %eax\nmov x, %ecx\n.long f, x\nljmp $8, $f',
      'b.s': '.code32\n.globl f, x\nnop\nf: lea x(,%eax,4), %edx\njmp f\n.data\nx: .long f',
    },
  ],
  [
    '16-bit code',
    {
      'a.s': '.code16\ncall f\nmov $x, %ax\nmov x, %cx\n.word f, x\nljmpl $8, $f\nljmp $8, $f',
      'b.s': '.code16\n.globl f, x\nnop\nf: lea x(%bx), %dx\njz f\njmp f\n.data\nx: .word f',
    },
  ],
  [
    'three files',
    { 'a.s': '.quad b, c', 'b.s': '.globl b\nb: .quad a, c', 'c.s': '.globl a, c\nc: ret\na: ret' },
  ],
];

describe('with GNU as and ld', () => {
  beforeEach((context) => {
    if (noAs !== null) context.skip(noAs);
  });

  test.each(LINKED)('the same bytes: %s', (_, files) => {
    const [result] = runGnu([Object.values(files).map((text) => `${text}\n`)]);
    expect(result?.messages).toBe('');
    expect(bytesOf(files)).toBe(hex(result?.bytes ?? new Uint8Array(0)));
  });
});

test.each([
  [
    'undefined in GAS',
    { 'a.s': 'nop\n  call nowhere', 'b.s': 'nop' },
    ["a.s:2:8: error: 'nowhere' is not defined"],
  ],
  [
    'extern that nobody has',
    { 'a.asm': 'extern nowhere\ncall nowhere' },
    ["a.asm:2:8: error: 'nowhere' is global in none of the files"],
  ],
  [
    'a name that is not global',
    { 'a.s': 'call hidden', 'b.s': 'hidden: ret' },
    ["a.s:1:6: error: 'hidden' is not defined"],
  ],
  [
    'NASM without extern',
    { 'a.asm': 'call f', 'b.asm': 'global f\nf: ret' },
    ["a.asm:2:6: error: 'f' is not defined"],
  ],
  [
    'global twice',
    { 'a.s': '.globl f\nf: ret', 'b.asm': 'global f\nnop\nf: ret' },
    ["b.asm:4:1: error: 'f' is already global, defined at a.s:2"],
  ],
  [
    'errors of several files, in their order',
    { 'b.s': 'foo', 'a.s': 'mov $5', 'c.asm': 'bar 5' },
    [
      "b.s:1:1: error: unknown instruction 'foo'",
      'a.s:1:1: error: invalid combination of instruction and operands',
      "c.asm:2:1: error: unknown instruction 'bar'",
    ],
  ],
  [
    'two origins',
    { 'a.asm': 'org 0x1000\nnop', 'b.asm': 'org 0x2000\nnop' },
    ['b.asm:2:5: error: the origin is already 0x1000'],
  ],
])('errors: %s', (_, files: Readonly<Record<string, string>>, expected) => {
  const result = assembled(files);
  const errors = result.kind === 'errors' ? result.errors.map(formatDiagnostic) : [];
  expect(errors.map((text) => text.split('\n')[0])).toEqual(expected);
});

test('the line map and the symbols name their files', () => {
  const result = assembled({ 'a.asm': 'extern f\ncall f', 'b.s': '.globl f\nf: ret\n' });
  if (result.kind === 'errors') throw new Error('errors');
  expect(result.lineMap.map(({ file, line, address }) => `${address} ${file}:${line}`)).toEqual([
    '0 a.asm:3',
    '5 b.s:2',
  ]);
  expect(result.symbols.map(({ name, value, global }) => [name, Number(value), global])).toEqual([
    ['f', 5, true],
  ]);
});
