// Messages about sources in GAS syntax: where they point, what they say, what they expect; and that
// nothing a source says can throw or hang.

import { describe, expect, test } from 'vitest';
import { assemble, formatDiagnostic } from '../../src/asm/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { readFixture } from './snippets.ts';

function messages(text: string): string[] {
  const assembled = assemble({ name: 'test.s', text }, { readFile: readFixture });
  const errors = assembled.kind === 'errors' ? assembled.errors : [];
  return errors.map(({ line, column, message, expected }) => {
    const hint = expected.length === 0 ? '' : ` (${expected.join(', ')})`;
    return `${line}:${column}: ${message}${hint}`;
  });
}

test.each([
  ['nop\n  mvo %rax, %rbx', "2:3: unknown instruction 'mvo' (mov)"],
  ['movlq %eax, %rbx', "1:1: unknown instruction 'movlq' (movl)"],
  ['.code32\nmovq $5, %rax', "2:1: register 'rax' exists in 64-bit mode only"],
  ['.code32\nmovl x(%rip), %eax', '2:8: addresses relative to RIP exist in 64-bit mode only'],
  ['.code32\nmovabs $5, %eax', "2:1: 'movabs' does not exist in 32-bit code (mov)"],
  ['.code32\njmpl x', '2:1: a jump to a place has no suffix'],
  ['.code32\ndata32 nop', "2:1: prefix 'data32' says what 32-bit code is"],
  ['.code32\nrex nop', '2:5: REX exists in 64-bit mode only'],
  [
    '.code16\nmovw (%bx,%bp), %ax',
    '2:11: this register cannot be the index of an address (%si or %di)',
  ],
  ['.code16\nmovw (%sp), %ax', '2:7: this register cannot be the base of an address (%bx or %bp)'],
  ['.uleb128 5', "1:1: '.uleb128' is not supported"],
  ['.altmacro', "1:1: '.altmacro' is not supported"],
  ['.aling 4', "1:1: unknown directive '.aling' (.align)"],
  [
    'add $1, (%rax)',
    '1:1: operation size not specified (a suffix b, w, l or q; in Intel syntax dword ptr and so on)',
  ],
  [
    'movl %rax, %ebx',
    '1:1: invalid combination of instruction and operands (MOV r/m32, r32, MOV r32, r/m32, MOV r32, imm32, MOV r/m32, imm32, MOV r32, Sreg)',
  ],
  ['mov %ymm0, %rax', "1:5: register 'ymm0' is not supported here"],
  ['mov %foo, %rax', "1:5: there is no register 'foo'"],
  [
    'mov (%rax,%rsp), %eax',
    '1:11: this register cannot be the index of an address (any other register)',
  ],
  ['mov (%rax,%rbx,3), %eax', '1:16: 3 is no scale (1, 2, 4 or 8)'],
  [
    'mov x@GOTPCREL(%rip), %rax',
    "1:5: relocation '@GOTPCREL' is not supported: a flat binary has none",
  ],
  ['call nowhere', "1:6: 'nowhere' is not defined"],
  ['start: jmp strat', "1:12: 'strat' is not defined (start)"],
  ['jmp 1f', "1:5: there is no label '1:' after this"],
  ['jmp 1b', "1:5: there is no label '1:' before this"],
  ['x:\nx:', "2:1: 'x' is already defined at test.s:1"],
  ['.byte 1.5', '1:7: floating-point constants are not supported'],
  ['.ascii "abc', '1:8: the string does not end (a closing ")'],
  ['.if 1\nnop', '1:1: this .if has no .endif before the end of the file'],
  ['.macro m\nnop', '1:1: this .macro has no end (.endm)'],
  ['.endr', '1:1: .endr without a .rept before it'],
  ['.macro m a:req\n.endm\nm', "3:1: macro 'm' needs a value for 'a'"],
  ['.include "nothing.s"', "1:10: cannot read file 'nothing.s'"],
  ['.error "stop here"', '1:1: stop here'],
  [
    '.if later\n.endif\nlater = 1',
    "1:5: 'later' has no value here (a number, a constant that is defined above)",
  ],
  [
    'x: .skip y-x\n nop\ny:',
    "1:10: a count cannot depend on 'y', which is defined below (a number, what is defined above)",
  ],
  ['.bss\n.byte 5', '2:1: section .bss has no bytes that could be set (resb, another section)'],
  ['.intel_syntax noprefix\nmov eax, [rax+rbx+rcx]', '2:19: an address has at most two registers'],
  ['.intel_syntax noprefix\nmov eax, [rax', "2:14: the line ends here (']')"],
  [
    'addr32 mov (%rax), %ecx',
    "1:12: prefix 'addr32' does not go with this address (32-bit registers)",
  ],
])('%s', (text, expected) => {
  expect(messages(text)).toEqual([expected]);
});

test('a message from inside a macro shows the way there', () => {
  const text = '.macro load value\n  movb $\\value, %al\n.endm\nnop\nload 5\nload 300\n';
  const assembled = assemble({ name: 'test.s', text });
  const errors = assembled.kind === 'errors' ? assembled.errors : [];
  expect(errors.map(formatDiagnostic)).toEqual([
    [
      'test.s:2:9: error: 300 does not fit the operand',
      '  movb $\\value, %al',
      '        ^',
      'expected: MOV r8, imm8, MOV r/m8, imm8',
      "  in macro 'load' called from test.s:6:1",
    ].join('\n'),
  ]);
});

test('the line map leads to the call of a macro, and the listing shows its lines', () => {
  const text = '.macro m a\n.byte \\a\n.endm\nm 5; nop\n.rept 2\nret\n.endr\n# end\n';
  const assembled = assemble({ name: 'test.s', text });
  if (assembled.kind === 'errors') throw new Error('errors');
  expect(assembled.lineMap.map(({ line, macro }) => `${line} ${macro?.line ?? '-'}`)).toEqual([
    '4 2',
    '4 -',
    '6 -',
    '6 -',
  ]);
  const lines = assembled.listing().split('\n');
  expect(lines.map((line) => line.replace(/\s+/g, ' ').trim())).toEqual([
    ...[
      '1 .macro m a',
      '2 .byte \\a',
      '3 .endm',
      '4 00000001 90 m 5; nop',
      '2 00000000 05 <1> .byte 5',
    ],
    ...[
      '5 .rept 2',
      '6 ret',
      '7 .endr',
      '6 00000002 C3 <1> ret',
      '6 00000003 C3 <1> ret',
      '8 # end',
      '',
    ],
  ]);
});

describe('whatever a source says', () => {
  const WORDS = [
    ...['mov', 'movl', 'call', 'rep', 'lock', 'movs', '%rax', '%al', '(', ')', ',', '$', '5', '1f'],
    ...[
      '"a"',
      "'",
      "'a",
      '.macro m a',
      '.endm',
      'm',
      '\\a',
      '\\@',
      '.rept 3',
      '.endr',
      '.if 1',
      '.else',
    ],
    ...[
      '.endif',
      '.irp x,1,2',
      '.byte',
      '.long',
      '.align',
      '.org',
      '.fill',
      '.skip',
      'x',
      'x:',
      '1:',
    ],
    ...[
      '=',
      '.',
      '+',
      '-',
      '*',
      '~',
      '!',
      '<<',
      '[',
      ']',
      'rax',
      'dword ptr',
      'offset',
      ';',
      '\n',
      '\n',
    ],
    ...[
      '.intel_syntax noprefix',
      '.att_syntax',
      '.section .data',
      '.bss',
      '.comm x,8',
      '.set x,',
      '@',
    ],
    ...[
      '.include "inc.s"',
      '.pushsection .bss',
      '.popsection',
      '#',
      '/*',
      '*/',
      '//',
      '0x',
      '.globl x',
    ],
  ];

  test('it comes to an end without throwing', () => {
    const prng = new Prng(7);
    let accepted = 0;
    for (let i = 0; i < 4000; i++) {
      const length = 1 + prng.below(30);
      const words = Array.from({ length }, () => WORDS[prng.below(WORDS.length)]);
      const text = words.join(prng.below(4) === 0 ? '' : ' ');
      if (assemble({ name: 'a.s', text }, { readFile: readFixture }).kind === 'ok') accepted++;
    }
    expect(accepted).toBeGreaterThan(100);
  });

  test.each([
    ['macros that call themselves', '.macro m\nm\n.endm\nm'],
    ['many repetitions', '.rept 1000000\n.rept 1000000\n.endr\n.endr'],
    ['a file that includes itself', '.include "self.s"'],
    ['deep expressions', `.quad ${'('.repeat(10_000)}1${')'.repeat(10_000)}`],
    ['much space', '.skip 0x7fffffffffffffff'],
    ['deep conditions', '.if 1\n'.repeat(20_000)],
  ])('%s', (_, text) => {
    const readFile = () => text;
    expect(assemble({ name: 'self.s', text }, { readFile }).kind).toBe('errors');
  });
});
