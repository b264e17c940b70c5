// Multiboot programs on the command line: what they are told, and what is wrong with what they are
// given.

import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildCommand, type Finished, folderWith, vmxlabMany } from '../support/command-line.ts';

/** Prints command line and modules on the debug console, a line each. */
const ECHO = `
; vmxlab: append="from the source"
bits 32
org 0x200000
image:
    dd 0x1badb002, 0x10003, -(0x1badb002 + 0x10003), image, image, 0, 0, start
start:
    mov esp, 0x80000
    mov esi, [ebx + 16]
    call print
    mov ebp, [ebx + 24]
    mov edi, [ebx + 20]
.next:
    sub edi, 1
    jb .end
    mov esi, [ebp + 8]
    call print
    mov esi, [ebp]              ; its contents, which end with a zero here
    call print
    add ebp, 16
    jmp .next
.end:
    cli
    hlt
print:
    lodsb
    test al, al
    jz .line
    out 0xe9, al
    jmp print
.line:
    mov al, 10
    out 0xe9, al
    ret
`;

const FILES = {
  'echo.asm': ECHO,
  'plain.asm': 'bits 64\ncli\nhlt\n',
  'narrow.asm':
    'bits 32\ninc eax\nmov ecx, cs\nmov ebx, edi\nbits 64\ncli\nbits 16\nmov ax, [si]\n',
  'real.asm': 'bits 16\ncli\nhlt\n',
  'nowhere.asm': 'bits 32\ndd 0x1badb002, 0, -0x1badb002\nhlt\n',
  one: 'first\0',
  'two.txt': 'second\0',
  'scenario.yaml': `
vms:
  - program: echo.asm
    append: from the scenario
    modules: [two.txt, one with words]
`,
  'long.yaml': 'vms: [{ program: echo.asm, modules: [7, ""] }]\n',
};

const CASES: readonly (readonly [words: string[], status: number, out: string, err: string])[] = [
  [['run', 'echo.asm', '-q'], 0, 'echo.asm from the source\n', ''],
  [['run', 'echo.asm', '-q', '--append', 'a  b'], 0, 'echo.asm a  b\n', ''],
  [
    ['run', 'echo.asm', '-q', '--module', 'one', '--module', 'two.txt x y'],
    0,
    'echo.asm from the source\none\nfirst\ntwo.txt x y\nsecond\n',
    '',
  ],
  [
    ['run', 'scenario.yaml', '-q'],
    0,
    'echo.asm from the scenario\ntwo.txt\nsecond\none with words\nfirst\n',
    '',
  ],
  [['run', 'scenario.yaml', '-q', '--module=one', '--append=c'], 0, 'echo.asm c\none\nfirst\n', ''],
  [['run', 'echo.asm', '--module', 'three x'], 2, '', 'vmxlab: three: no such file\n'],
  [['run', 'echo.asm', '--module', ' x'], 2, '', "vmxlab: --module: expected a file, not ' x'\n"],
  [
    ['run', 'echo.asm', '--append', 'a', '--append', 'b'],
    2,
    '',
    'vmxlab: --append is given 2 times\n',
  ],
  [
    ['run', 'plain.asm', '--append', 'a'],
    2,
    '',
    'vmxlab: plain.asm: has no multiboot header, so nobody would find a command line or modules\n',
  ],
  [
    ['run', 'plain.asm', '--module', 'one'],
    2,
    '',
    'vmxlab: plain.asm: has no multiboot header, so nobody would find a command line or modules\n',
  ],
  [
    ['run', 'nowhere.asm'],
    2,
    '',
    'vmxlab: nowhere.asm: has a multiboot header without address fields (bit 16 of its flags), and is no ELF image: nobody can know where it goes\n',
  ],
  [
    ['run', 'echo.asm', '--memory', '2M'],
    2,
    '',
    'vmxlab: echo.asm: the image, at 0x200000 to 0x20005d, is not within 2M of memory; --memory gives more\n',
  ],
  [
    ['run', 'long.yaml'],
    2,
    '',
    [
      "long.yaml:1:41: error: vms[0].modules[1]: expected a file, not ''",
      'vms: [{ program: echo.asm, modules: [7, ""] }]',
      `${' '.repeat(40)}^`,
      '',
    ].join('\n'),
  ],
  [
    ['disasm', 'echo.asm', '--bits', '16', '--skip', '32', '--length', '5'],
    0,
    '00200020 <start>:\n00200020  BC0000                mov sp, 0\n00200023  0800                  or [bx+si], al\n',
    '',
  ],
  [
    ['disasm', 'narrow.asm'],
    0,
    '00100000  40                    inc eax\n00100001  8CC9                  mov ecx, cs\n00100003  89FB                  mov ebx, edi\n00100005  FA                    cli\n00100006  8B04                  mov ax, [si]\n',
    '',
  ],
  [
    ['run', 'real.asm'],
    2,
    '',
    "vmxlab: real.asm: begins with 16-bit code, but programs start in 64-bit mode, or after 'bits 32' in 32-bit protected mode\n",
  ],
  [['disasm', 'echo.asm', '--bits', '8'], 2, '', "vmxlab: --bits: expected 16, 32, 64, not '8'\n"],
];

let folder = '';
let finished: Finished[] = [];

beforeAll(async () => {
  buildCommand();
  folder = folderWith(FILES);
  finished = await vmxlabMany(
    folder,
    CASES.map(([words]) => words),
  );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(CASES.map(([words, ...expected], i) => [words.join(' '), i, ...expected] as const))(
  'vmxlab %s',
  (_, i, status, stdout, stderr) => {
    expect(finished[i]).toEqual({ status, stdout, stderr });
  },
);
