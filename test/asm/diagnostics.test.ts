// What the assembler says about sources that are wrong: message, place, and that nothing is said
// twice or only because of another error.

import { describe, expect, test } from 'vitest';
import { type AssembleOptions, assemble, formatDiagnostic } from '../../src/asm/index.ts';

/** Errors, then warnings, as `line:column: message (expected)`. */
function said(text: string, options: AssembleOptions = {}): string[] {
  const assembled = assemble({ name: 'test.asm', text: `bits 64\n${text}` }, options);
  const errors = assembled.kind === 'errors' ? assembled.errors : [];
  return [...errors, ...assembled.warnings].map(({ line, column, message, expected, severity }) => {
    const hints = expected.length === 0 ? '' : ` (${expected.join(', ')})`;
    return `${line - 1}:${column}: ${severity === 'warning' ? 'warning: ' : ''}${message}${hints}`;
  });
}

describe('one error each', () => {
  test.each<[source: string, ...said: string[]]>([
    // Lines.
    ['mvo rax, 1', "1:1: unknown instruction 'mvo' (mov)"],
    ['  movv rax, 1', "1:3: unknown instruction 'movv' (mov)"],
    ['hltt', "1:1: unknown instruction 'hltt' (hlt, a colon if this is a label)"],
    ['skinit', "1:1: unknown instruction 'skinit' (fninit, a colon if this is a label)"],
    ['start mvo rax, 1', "1:7: unknown instruction 'mvo' (mov)"],
    ['rax: nop', "1:1: 'rax' cannot be a label (a name)"],
    ['5: nop', "1:1: '5' cannot be a label (a name)"],
    ['mov rax, 1 # 2', "1:12: unexpected '#' (',', the end of the line)"],
    ['mov rax, \u00e9', "1:10: unexpected character '\u00e9'"],
    ["db 'abc", "1:4: the string does not end (a closing ')"],
    ['lock lock inc [rax]', "1:6: prefix 'lock' conflicts with one before"],
    ['rep db 1', '1:5: a prefix needs an instruction after it'],
    ['lock', '1:5: the line ends here (an instruction, a directive)'],
    ['times 2 times 3 nop', "1:9: 'times' twice on one line"],
    ['struc x', "1:1: 'struc' is not supported"],
    ['bnd jmp 5', "1:1: unexpected 'bnd' (an instruction, a directive)"],
    // Operands.
    ['mov rax, ', "1:10: the line ends here (a register, a number, '[' address ']')"],
    ['mov , rax', "1:5: unexpected ',' (a register, a number, '[' address ']')"],
    ['mov rax rbx', "1:9: unexpected 'rbx' (',', the end of the line)"],
    ['mov rax, [rbx', "1:14: the line ends here (']', an operator)"],
    [
      'mov eax, rbx',
      '1:1: invalid combination of instruction and operands (MOV r/m32, r32, MOV r32, r/m32, MOV r32, imm32, MOV r/m32, imm32, MOV EAX, moffs32, MOV r32, Sreg)',
    ],
    [
      'mov [rax], 5',
      '1:1: operation size not specified (byte, word, dword or qword before the operand)',
    ],
    ['mov al, 256', '1:9: 256 does not fit the operand (MOV r8, imm8, MOV r/m8, imm8)'],
    ['shl rax, 0x12345', '1:10: 0x12345 does not fit the operand (SHL r/m64, imm8)'],
    ['int 300', '1:5: 300 does not fit the operand (INT uimm8)'],
    ['add eax, word 5', '1:15: a number of 16 bits does not go with this (8 bits, 32 bits)'],
    ['mov eax, byte ebx', '1:10: the register has 32 bits, not 8'],
    ['mov byte word [rax], 5', '1:10: the size of this operand has been given already'],
    ['push strict 5', "1:6: 'strict' needs a size after it (byte, word, dword, qword)"],
    ['mov rax, qword ptr [rbx]', "1:16: NASM has no 'ptr' (the operand without 'ptr')"],
    ['mov rax, offset x', "1:10: NASM has no 'offset' (the operand without 'offset')"],
    ['mov rax, ymm0', "1:10: register 'ymm0' is not supported"],
    ['mov ah, r8b', '1:1: AH, BH, CH and DH cannot be used with a REX prefix'],
    ['mov rax, near 5', "1:10: 'near' belongs before the target of a branch"],
    ['o16 push rax', '1:1: a prefix does not go with these operands'],
    ['jmp far 5', "1:5: 'far' needs an address in brackets after it"],
    ['jmp dword x\nx:', "1:11: a branch target has no size ('short', 'near')"],
    ['loop near x\nx:', "1:11: this branch is always short; leave 'near' out"],
    [
      'jmp short x\ntimes 128 nop\nx:',
      "1:11: target is 128 bytes away; a short branch reaches -128 to 127 ('near', a target nearby)",
    ],
    // Addresses.
    ['mov rax, [rip+5]', "1:11: RIP is not a register of addresses ('[rel label]')"],
    ['mov rax, [rax+rbx+rcx]', '1:11: an address has at most two registers'],
    ['mov rax, [rax*4+rbx*4]', '1:11: only one of two registers can be multiplied'],
    ['mov rax, [rax*6]', "1:11: 'rax' is multiplied by what no address can hold (1, 2, 4 or 8)"],
    ['mov rax, [rsp*2]', "1:11: 'rsp' cannot be multiplied"],
    ['mov rax, [rsp+rsp]', "1:11: 'rsp' cannot be multiplied"],
    ['mov rax, [rax+2*rsp]', "1:11: 'rsp' cannot be an index"],
    ['mov rax, [rax+ebx]', '1:11: the registers of an address must have the same width'],
    ['mov rax, [al]', "1:11: 'al' cannot be part of an address (a 64-bit register)"],
    ['mov rax, [rax+0x80000000]', '1:11: displacement 0x80000000 does not fit 32 bits'],
    ['mov rax, [byte rax+200]', '1:16: displacement 200 does not fit one byte (-128 to 127)'],
    [
      'mov rax, [rel rax]',
      "1:15: an address relative to RIP has no other register ('abs', no register)",
    ],
    ['mov rax, [fs:gs:5]', '1:14: two segments for one address'],
    ['invlpg qword [rax]', '1:1: memory of no particular size has no size keyword'],
    ['org 0x100000000\nmov eax, x\nx:', '2:1: address 0x100000005 does not fit 32 bits'],
    // Expressions.
    ['db 5 / 0', '1:6: division by zero'],
    ['db (1+2', "1:8: the line ends here (')', an operator)"],
    ['db 1 + * 2', "1:8: unexpected '*' (a number, a symbol, an operator, '(')"],
    ['db 12b', "1:4: '12b' is not a number of radix 2"],
    ['db 0x10000000000000000', '1:4: 0x10000000000000000 does not fit 64 bits'],
    ['dd 1.5', '1:4: floating-point constants are not supported'],
    ["dq 'abcdefghi' + 1", '1:4: a character constant has at most 8 bytes'],
    ['dq x', "1:4: 'x' is not defined"],
    ['dq starts\nstart:', "1:4: 'starts' is not defined (start)"],
    [
      'x: dd x >> 4',
      "1:9: '>>' needs plain numbers; this is an address (a number, the difference of two labels of one section)",
    ],
    ['x: dd x == 4', "1:9: '==' cannot compare an address with a number (labels of one section)"],
    ['x: dd x + x', '1:7: this is neither a number nor an address'],
    ['x equ x + 1', "1:1: 'x' is defined in terms of itself"],
    ['db 1 2', "1:6: unexpected '2' (',', the end of the line)"],
    ['db 3 dup (1)', "1:6: 'dup' is not supported ('times' before the directive)"],
    // Counts.
    ['times -1 nop', '1:7: the count -1 is negative'],
    [
      'times x nop\nx:',
      "1:7: a count cannot depend on 'x', which is defined below (a number, what is defined above)",
    ],
    ['x: times x nop', '1:10: an address cannot be a count (a plain number)'],
    ['resb x', "1:6: 'x' is not defined"],
    ['times 0x10000000 dq 0', '1:1: the output is larger than 256 MiB'],
    ['section .bss\nresb 0x100000001', '2:6: 4294967297 is too many'],
    ['times 0x7fffffffffffffff nop', '1:7: 9223372036854775807 is too many'],
    [
      'x: times 100000 jmp x',
      '1:4: an instruction that depends on its place, more than 65536 times',
    ],
    // Symbols.
    ['x:\nx:', "2:1: 'x' is already defined at test.asm:2"],
    ['x equ 1\nx equ 2', "2:1: 'x' is already defined at test.asm:2"],
    ['equ 5', "1:1: 'equ' needs a label before it (a label)"],
    ['x equ rax', "1:7: register 'rax' has no place in a number"],
    ['extern x\ncall x', "1:8: 'x' is global in none of the files (a file that defines it)"],
    ['a: b: nop', "1:4: unknown instruction 'b'"],
    // Directives.
    ['bits 63', '1:6: there is no 63-bit code (16, 32, 64)'],
    ['cpu 687', "1:5: there is no processor '687' (386, 686, x64)"],
    // Other code sizes.
    ['bits 32\nmov rax, 5', "2:1: register 'rax' exists in 64-bit mode only"],
    ['bits 32\nmov eax, [r8d]', "2:1: register 'r8d' exists in 64-bit mode only"],
    ['bits 16\nmov sil, 5', "2:1: register 'sil' exists in 64-bit mode only"],
    ['bits 16\no64 nop', "2:1: 'o64' exists in 64-bit mode only"],
    ['bits 32\nswapgs', '2:1: SWAPGS does not exist in 32-bit code'],
    ['pusha', '1:1: PUSHA does not exist in 64-bit code'],
    ['push ds', '1:1: this form does not exist in 64-bit code'],
    ['a16 nop', '1:1: 16-bit addresses do not exist in 64-bit mode'],
    [
      'bits 16\nmov ax, [bx+bp]',
      '2:10: this is no 16-bit address (bx or bp, si or di, or one of each)',
    ],
    ['bits 16\nmov ax, [bx+esi]', '2:10: the registers of an address must have the same width'],
    ['bits 16\nmov ax, [0x10000]', '2:10: displacement 0x10000 does not fit 16 bits'],
    ['bits 16\nmov ax, [dword bx+5]', "2:16: a displacement beside 'bx' has 16 bits"],
    ['bits 32\nmov ax, [qword 5]', '2:10: 64-bit addresses exist in 64-bit mode only'],
    ['bits 16\njmp 8:0x10000', '2:1: number does not fit the operand (JMP ptr16:16, JMP ptr16:32)'],
    ['bits 16\njz word x\nx:', "2:9: a branch target has no size ('short', 'near')"],
    ['bits 16\njmp qword 8:5', '2:13: the offset of a far address has one size (word, dword)'],
    ['bits 16\njmp short 8:5', "2:5: 'short' does not go with a far address"],
    ['jmp 8:5', '1:1: this form does not exist in 64-bit code'],
    ['bits 16\norg 0x10000\nx: mov ax, x', '3:4: address 0x10000 does not fit 16 bits'],
    [
      'section .a start=5 follows=.text',
      "1:9: 'start' and 'follows' say the same thing (one of them)",
    ],
    ['section .a follows=.b', "1:20: unexpected '.b' (a section that stands above)"],
    ['section .a vstart=5\nsection .a vstart=6', '2:9: section .a has another vstart already'],
    ['org 8\nnop\nsection .a start=4\nnop', '3:9: section .a begins before the origin, 0x8'],
    ['dq 1\nsection .a start=4\nnop', '2:9: sections .text and .a overlap'],
    ['org 5\norg 6', '2:5: the origin is already 0x5'],
    ['org x', "1:5: 'x' has no value here (a number, a constant that is defined above)"],
    ['[foo]', "1:2: unknown directive 'foo'"],
    ['[secton .data]', "1:2: unknown directive 'secton' (section)"],
    ['[bits 64', "1:9: the line ends here (']')"],
    ['default foo', "1:9: unexpected 'foo' (rel, abs)"],
    ['section .text nobits', '1:9: section .text is already progbits'],
    [
      'section .text foo',
      "1:15: unknown section attribute 'foo' (align=N, nobits, progbits, start=, vstart=, follows=, vfollows=, valign=)",
    ],
    ['align 3', '1:7: cannot align to 3 (a power of two)'],
    [
      'section .bss\nnop',
      '2:1: section .bss has no bytes that could be set (resb, another section)',
    ],
    ['incbin "nofile"', "1:8: cannot read file 'nofile'"],
    ['incbin nofile', "1:8: unexpected 'nofile' (a file name in quotes)"],
    ['x: section .data', "1:4: a label cannot stand before 'section'"],
    // The preprocessor.
    ['%foo', "1:1: '%foo' is not supported"],
    ['%defin x 5', "1:1: '%defin' is not supported (%define)"],
    ['%define 5', "1:9: unexpected '5' (a name)"],
    ['%define f(x', "1:12: the line ends here (',', ')')"],
    ['%define f(x) x\ndb f(1,2)', "2:4: 'f' does not take 2 parameters (1 parameter)"],
    ['%define f(x) x\ndb f(1', "2:4: the parameters of 'f' do not end (')')"],
    ['%define f 1\n%define f(x) 2', "2:9: 'f' is already defined without parameters"],
    // As with -D of a name that the source has as a constant.
    [
      '%define ROUNDS 1\nROUNDS equ 200',
      "2:1: unexpected '1', which 'ROUNDS' stands for (an instruction, a directive)",
    ],
    [
      '%define here [rbx]\nadd rax here',
      "2:9: unexpected '[', which 'here' stands for (',', the end of the line)",
    ],
    ['%define here rcx\nadd rax rcx', "2:9: unexpected 'rcx' (',', the end of the line)"],
    ['db 1 %+', "1:6: nothing stands after '%+'"],
    ['%macro m 2\n%endmacro\nm 1', "3:1: macro 'm' does not take 1 parameter (2 parameters)"],
    [
      '%macro m 1-*\n%endmacro\nm',
      "3:1: macro 'm' does not take 0 parameters (1 or more parameters)",
    ],
    ['%macro m 2-1\n%endmacro', '1:10: the minimum is greater than the maximum'],
    ['nop\n%macro m 0\nnop', '2:1: %endmacro is missing (%endmacro)'],
    ['%rep 3\nnop', '1:1: %endrep is missing (%endrep)'],
    ['%rep -1\n%endrep', '1:1: cannot repeat -1 times (0 to 1000000)'],
    ['%if 1\nnop', '1:1: this %if has no %endif before the end of the file'],
    ['%else', '1:1: %else without an %if before it'],
    ['%endrep', '1:1: %endrep without a %rep before it'],
    ['%exitrep', '1:1: %exitrep outside of %rep'],
    ['%rotate 1', '1:1: %rotate outside of a macro'],
    ['db %1', "1:4: '%1' has a meaning only in a macro"],
    ['%if x\n%endif', "1:5: 'x' has no value here (a number, a constant that is defined above)"],
    [
      'x: nop\n%if x\n%endif',
      "2:5: 'x' is an address, which is not known yet here (a number, a constant that is defined above)",
    ],
    ['%if $ > 5\n%endif', '1:5: $ has no value in the preprocessor'],
    ['%ifidn a\n%endif', "1:9: the line ends here (',' between two texts)"],
    [
      '%ifidn a , a\n%endif',
      "1:10: the space before the comma makes the texts differ for NASM (',' without a space)",
    ],
    ['%error no way', '1:1: no way'],
    ["%error 'do not'", '1:1: do not'],
    ["%error don't", "1:1: don't"],
    ['%include "nofile"', "1:10: cannot read file 'nofile'"],
  ])('%s', (source, ...expected) => {
    expect(said(source)).toEqual(expected);
  });
});

describe('warnings', () => {
  test.each([
    ['db 256', '1:4: warning: 256 does not fit 8 bits; it is cut off'],
    ['db -257', '1:4: warning: -257 does not fit 8 bits; it is cut off'],
    ['resb 5', '1:1: warning: uninitialized space in section .text becomes zeros (section .bss)'],
    ['lock mov [rax], rbx', "1:1: warning: 'lock' makes this instruction undefined"],
    [
      'mov rax, [rel 5]',
      '1:15: warning: a plain number is no address; it stays absolute (a label)',
    ],
    ['%warning take care', '1:1: warning: take care'],
    ['db', '1:3: warning: there is nothing to store (a number)'],
  ])('%s', (source, expected) => {
    expect(said(source)).toEqual([expected]);
  });

  test('numbers that users mean stay without one', () => {
    expect(said('db 255, -128, -256\nmov al, -1\nmov al, 255\ndw 65535')).toEqual([]);
  });

  test('code without `bits 64`, once', () => {
    const { warnings } = assemble({ name: 'a', text: 'db 1\nnop\nnop' });
    expect(warnings.map(({ line, message }) => `${line}: ${message}`)).toEqual([
      "2: no 'bits 64' before the first instruction; NASM would assemble 16-bit code",
    ]);
  });
});

describe('several errors', () => {
  test('all are reported, in the order of the source, and none follows from another', () => {
    const source = [
      'mov rax, [', // 1
      'start: bad rax, 1', // 2: the label is defined all the same
      'jmp start',
      '%include "missing.inc"', // 4: after this, unknown names are no errors
      'call elsewhere',
      'frobnicate rax',
      'mov al, 300', // 7
      'x equ )', // 8
      'db x',
      'size: dw size >> 1', // 10
    ];
    expect(said(source.join('\n'))).toEqual([
      "1:11: the line ends here (a number, a symbol, an operator, '(')",
      "2:8: unknown instruction 'bad'",
      "4:10: cannot read file 'missing.inc'",
      '7:9: 300 does not fit the operand (MOV r8, imm8, MOV r/m8, imm8)',
      "8:7: unexpected ')' (a number, a symbol, an operator, '(')",
      "10:15: '>>' needs plain numbers; this is an address (a number, the difference of two labels of one section)",
    ]);
  });

  test('a symbol that is not defined is reported once', () => {
    expect(said('jmp x\njmp x\ncall y')).toEqual([
      "1:5: 'x' is not defined",
      "3:6: 'y' is not defined",
    ]);
  });

  test('the calls of a macro whose definition is wrong are not reported', () => {
    expect(said('%macro m x\nnop\n%endmacro\nm 5\nm 6')).toEqual([
      "1:10: unexpected 'x' (how many parameters: 2, 1-3, 1-*, 2+)",
    ]);
  });

  test('a wrong condition takes neither branch', () => {
    expect(said('%if foo\nbar:\n%else\nbaz:\n%endif\njmp bar')).toEqual([
      "1:5: 'foo' has no value here (a number, a constant that is defined above)",
    ]);
  });

  test('a wrong %assign leaves a number behind', () => {
    expect(said('%assign n foo\ndb n')).toEqual([
      "1:11: 'foo' has no value here (a number, a constant that is defined above)",
    ]);
  });

  test('there is an end to it', () => {
    const errors = said(Array.from({ length: 1000 }, (_, i) => `bad${i} rax`).join('\n'));
    expect(errors.length).toBe(201);
    expect(errors.at(-1)).toMatch(/too many errors/);
  });
});

describe('formatDiagnostic', () => {
  /** The first error or warning as text. */
  function formatted(text: string, options: AssembleOptions = {}): string {
    const assembled = assemble({ name: 'boot.asm', text }, options);
    const all = [...(assembled.kind === 'errors' ? assembled.errors : []), ...assembled.warnings];
    return all[0] === undefined ? '' : formatDiagnostic(all[0]);
  }

  test('shows the line, a caret and what is expected', () => {
    expect(formatted('bits 64\n    mvo rax, 1 ; comment')).toBe(
      [
        "boot.asm:2:5: error: unknown instruction 'mvo'",
        '    mvo rax, 1 ; comment',
        '    ^',
        'expected: mov',
      ].join('\n'),
    );
  });

  test('keeps tabs before the caret', () => {
    expect(formatted('bits 64\n\tmov\teax, x')).toBe(
      ["boot.asm:2:11: error: 'x' is not defined", '\tmov\teax, x', '\t   \t     ^'].join('\n'),
    );
  });

  test('follows macros, repetitions and includes back to the file', () => {
    const library =
      '%macro inner 1\n  mov al, %1\n%endmacro\n%macro outer 1\n%rep 2\n inner %1\n%endrep\n%endmacro';
    const main = 'bits 64\n%include "lib.inc"\nstart: outer 300';
    const readFile = (path: string) => (path === 'lib.inc' ? library : null);
    expect(formatted(main, { readFile })).toBe(
      [
        'lib.inc:2:11: error: 300 does not fit the operand',
        '  mov al, %1',
        '          ^',
        'expected: MOV r8, imm8, MOV r/m8, imm8',
        "  in macro 'inner' called from lib.inc:6:2",
        '  in repetition 1 of lib.inc:5:1',
        "  in macro 'outer' called from boot.asm:3:8",
      ].join('\n'),
    );
  });

  test('names the file that includes', () => {
    const readFile = () => 'nop\n foo rax';
    expect(formatted('bits 64\n%include "a.inc"', { readFile })).toBe(
      [
        "a.inc:2:2: error: unknown instruction 'foo'",
        ' foo rax',
        ' ^',
        '  included from boot.asm:2:1',
      ].join('\n'),
    );
  });

  test('columns count in the joined line of a continuation', () => {
    expect(formatted('bits 64\ndb 1, \\\n   foo')).toBe(
      ["boot.asm:3:4: error: 'foo' is not defined", '   foo', '   ^'].join('\n'),
    );
  });
});
