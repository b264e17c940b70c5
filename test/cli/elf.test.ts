// ELF images and names of addresses on the command line: what is recognised as what, exit codes,
// disassemblies with labels, and the same bytes from every run.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildCommand, type Finished, folderWith, vmxlabMany } from '../support/command-line.ts';
import { Ehdr, edited, elf32Image, elfImage, Phdr } from '../support/elf-image.ts';
import { assembleText } from '../support/guest-run.ts';

const CODE = 0x200000;

/** Prints E. */
const CODE_BYTES = assembleText(`
    call print
    jmp stop
    db 0x48, 0x8d, 0xff         ; no instruction
print:                          ; at 10
    mov al, 'E'
    out 0xe9, al
    ret
    db 0xcc
stop:                           ; at 16
    cli
    hlt`);

const GOOD = elfImage({
  code: CODE_BYTES,
  codeAddress: CODE,
  symbols: [
    ['start', 0, 10],
    ['print', 10, 5],
    ['stop', 16, 2],
  ],
});

const TRAP = assembleText('ud2');

const FILES: Readonly<Record<string, Uint8Array>> = {
  good: GOOD,
  'good.asm': GOOD,
  'good.json': GOOD,
  'trap.elf': elfImage({ code: TRAP, codeAddress: CODE, symbols: [['trap', 0, 2]] }),
  // The same bytes mean the same in 32-bit code.
  'i386.elf': elf32Image({ code: CODE_BYTES, codeAddress: CODE, symbols: [['start', 0, 10]] }),
  'x32.elf': edited(GOOD, [[Ehdr.CLASS, 1, 1]]),
  'arm.elf': edited(GOOD, [[Ehdr.MACHINE, 2, 183]]),
  'cut.elf': GOOD.slice(0, 300),
  'high.elf': edited(GOOD, [[Phdr.PADDR, 8, 0x1000000]]),
  'stripped.elf': edited(GOOD, [[Ehdr.SHNUM, 2, 0]]),
  'nasm.asm': Buffer.from("bits 64\ndb 0x7f, 'ELF'\n"),
  'trap.asm': Buffer.from('bits 64\nstart: nop\n.wrong:\n  ud2\n'),
  'image.yaml': Buffer.from(`vms: [{ image: ${Buffer.from(GOOD).toString('base64')} }]\n`),
  'broken.yaml': Buffer.from('vms: [{ image: f0VMRg== }]\n'),
};

let folder = '';
let finished: ReadonlyMap<string, Finished> = new Map();

const CASES: readonly (readonly [
  command: string,
  status: number,
  stdout: RegExp,
  stderr: string,
])[] = [
  ['run good -q', 0, /^E\n$/, ''],
  ['run good.asm -q', 0, /^E\n$/, ''],
  ['run good.json -q', 0, /^E\n$/, ''],
  ['run image.yaml -q', 0, /^E\n$/, ''],
  ['run stripped.elf -q', 0, /^E\n$/, ''],
  ['run good -q --vcpus 2', 0, /^EE\n$/, ''],
  ['run i386.elf -q', 0, /^E\n$/, ''],
  [
    'disasm i386.elf --length 5',
    0,
    /^00200000 <start>:\n00200000 {2}E805000000 +call 0x20000a\n$/,
    '',
  ],
  [
    'run x32.elf',
    2,
    /^$/,
    'vmxlab: x32.elf: is an x32 program (ELF32 for x86-64); expected ELF64, or ELF32 for i386\n',
  ],
  [
    'run arm.elf',
    2,
    /^$/,
    'vmxlab: arm.elf: is an ELF file for AArch64 (e_machine 183); expected x86-64 (62)\n',
  ],
  ['run cut.elf', 2, /^$/, `vmxlab: cut.elf: has section headers at offset`],
  [
    'run high.elf',
    2,
    /^$/,
    'vmxlab: high.elf: segment 0, at 0x1000000 to 0x1000012, is not within 16M of memory; --memory gives more\n',
  ],
  [
    'run high.elf --memory 17M',
    2,
    /^$/,
    'vmxlab: high.elf: the entry point 0x200000 is in none of its segments\n',
  ],
  [
    'run nasm.asm',
    2,
    /^$/,
    'vmxlab: nasm.asm: is an ELF file that ends within its header (4 of 64 bytes)\n',
  ],
  [
    'run broken.yaml',
    2,
    /^$/,
    'vmxlab: image: is an ELF file that ends within its header (4 of 64 bytes)\n',
  ],
  [
    'disasm good --origin 0x1000',
    2,
    /^$/,
    'vmxlab: --origin: good is an ELF file, which says itself where it lies\n',
  ],
  ['disasm good --skip 18', 2, /^$/, 'vmxlab: --skip 18 leaves nothing: there are 18 bytes\n'],
  ['run trap.elf', 6, /\n> 0x200000 <trap> {2}ud2\n/, ''],
  [
    'run trap.asm',
    6,
    /\n {2}0x100000 <start> trap\.asm:2 {8}nop\n> 0x100001 <start\.wrong> trap\.asm:4 {2}ud2\n/,
    '',
  ],
];

/** Run for what they print. */
const MORE = ['disasm good', 'disasm good --json', 'disasm stripped.elf --skip 10 --length 2'];
const TWICE = ['run trap.elf --json', 'run trap.asm --json'];

beforeAll(async () => {
  buildCommand();
  folder = folderWith({});
  for (const [name, bytes] of Object.entries(FILES)) writeFileSync(join(folder, name), bytes);
  const lines = [...CASES.map(([line]) => line), ...MORE, ...TWICE];
  const results = await vmxlabMany(
    folder,
    lines.map((line) => line.split(' ')),
  );
  finished = new Map(lines.map((line, i) => [line, results[i] as Finished]));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const printedBy = (line: string) => (finished.get(line) as Finished).stdout;

test.each(CASES)('vmxlab %s', (line, status, stdout, stderr) => {
  const result = finished.get(line) as Finished;
  expect(result.status).toBe(status);
  expect(result.stdout).toMatch(stdout);
  if (stderr.endsWith('\n') || stderr === '') expect(result.stderr).toBe(stderr);
  else expect(result.stderr).toContain(stderr);
  if (line === 'run cut.elf') expect(result.stderr).toMatch(/ends at 0x12c: it is truncated\n$/);
});

test('a disassembly stops at labels, and names what is called', () => {
  expect(printedBy('disasm good')).toBe(`\
00200000 <start>:
00200000  E805000000            call 0x20000a  ; <print>
00200005  EB09                  jmp 0x200010  ; <stop>
00200007  48                    db 0x48
00200008  8D                    db 0x8d
00200009  FF                    db 0xff

0020000a <print>:
0020000a  B045                  mov al, 0x45
0020000c  E6E9                  out 0xe9, al
0020000e  C3                    ret
0020000f  CC                    int3

00200010 <stop>:
00200010  FA                    cli
00200011  F4                    hlt
`);
});

test('as a document it has labels and targets beside what every program has', () => {
  const { instructions } = JSON.parse(printedBy('disasm good --json'));
  expect(instructions.slice(0, 3)).toEqual([
    {
      address: '200000',
      bytes: 'E805000000',
      text: 'call 0x20000a',
      label: 'start',
      target: 'print',
    },
    { address: '200005', bytes: 'EB09', text: 'jmp 0x200010', target: 'stop' },
    { address: '200007', bytes: '48', text: 'db 0x48' },
  ]);
});

test('without section headers, executable segments are disassembled', () => {
  expect(printedBy('disasm stripped.elf --skip 10 --length 2')).toBe(
    '0020000a  B045                  mov al, 0x45\n',
  );
});

test('names are in the document, and every run gives the same bytes', async () => {
  const again = await vmxlabMany(
    folder,
    TWICE.map((line) => line.split(' ')),
  );
  expect(again.map(({ stdout }) => stdout)).toEqual(TWICE.map(printedBy));
  const [elf, assembled] = TWICE.map((line) => JSON.parse(printedBy(line)).vcpus[0].symbols);
  expect(elf).toEqual({ '0x200000': { symbol: 'trap', source: null } });
  expect(assembled).toEqual({
    '0x100000': { symbol: 'start', source: 'trap.asm:2' },
    '0x100001': { symbol: 'start.wrong', source: 'trap.asm:4' },
  });
});
