// ELF32 images: how they start, and that whatever is read of ELF64 images is read of them. Field
// offsets and meanings are the gABI's; test/compilers has what real tools make.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { elfOf, loadProblem, SymbolMap } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { type Edit, Ehdr32, edited, elf32Image, little, Phdr32 } from '../support/elf-image.ts';
import { assembleText, runGuest } from '../support/guest-run.ts';
import { lineTable } from '../support/line-table.ts';

const MEMORY = 2 ** 22;
const CODE = 0x200000;
const SETUP = { vm: { memory: '4M' } } as const;

const CODE_BYTES = assembleText(`
  bits 32
  mov eax, [0x300000]
  mov ebx, [0x300ffc]
  mov ecx, cs
  str [esp - 2]             ; there is a stack
  cli
  hlt`);

const IMAGE = elf32Image({
  code: CODE_BYTES,
  codeAddress: CODE,
  data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  dataMemory: 0x1000,
  symbols: [
    ['main', 0, 8],
    ['rest', 8, 0],
  ],
});

const NOTHING = { name: 'test', append: '', modules: [] };
const problemOf = (bytes: Uint8Array) => loadProblem(bytes, NOTHING, MEMORY);

describe('a loaded image', () => {
  test('starts in protected mode, with what every guest finds', () => {
    const { report, machine } = runGuest(IMAGE, { ...SETUP, vcpus: 2 });
    expect(report.status).toBe('halted');
    expect(report.vcpus.map(({ registers }) => registers)).toMatchObject([
      { rax: '4030201', rbx: '0', rcx: '8', rdi: '0', rsi: '2', rdx: '400000', rsp: '12000' },
      { rax: '4030201', rbx: '0', rcx: '8', rdi: '1', rsi: '2', rdx: '400000', rsp: '14000' },
    ]);
    const { state } = machine.vcpus[0].virtual.processor;
    const rights = ['cs', 'ss', 'ds'].map((name) => state.get(`${name}Rights`).toString(16));
    expect(rights).toEqual(['c09b', 'c093', 'c093']);
  });

  test('can reload its segments: the loader has left a GDT', () => {
    const code = assembleText(`
      bits 32
      mov ax, 0x10
      mov ds, ax
      mov ss, ax
      jmp 8:${CODE + 14}
      hlt
      mov al, 7
      out 0xf4, al`);
    expect(runGuest(elf32Image({ code, codeAddress: CODE }), SETUP).ending.exitCode).toBe(15);
  });
});

test('a flat program can start in the same way', () => {
  const program = assembleText('bits 32\ninc eax\nmov ecx, cs\ncli\nhlt');
  const { report } = runGuest(program, { vm: { start: 'protected' } });
  expect(report.vcpus[0].registers).toMatchObject({
    rax: '1',
    rcx: '8',
    rip: '100005',
    cs: '8',
    ds: '10',
  });
});

const second = (field: number) => field + Phdr32.NEXT;
const END = `0x${IMAGE.length.toString(16)}`;

const withSpecial = (type: number, contents: readonly number[]) =>
  edited(elf32Image({ code: CODE_BYTES, codeAddress: CODE, data: Uint8Array.from(contents) }), [
    [second(Phdr32.TYPE), 4, type],
  ]);

describe('wrong images', () => {
  test.each<readonly [what: string, edits: readonly Edit[], message: string]>([
    ['MIPS', [[Ehdr32.MACHINE, 2, 8]], 'is an ELF file for MIPS (e_machine 8); expected i386 (3)'],
    ['version', [[Ehdr32.IDENT_VERSION, 1, 0]], 'is an ELF file of version 0; expected 1'],
    ['header size', [[Ehdr32.EHSIZE, 2, 51]], 'has an ELF header of 51 bytes; expected 52'],
    ['header sizes', [[Ehdr32.PHENTSIZE, 2, 31]], 'has program headers of 31 bytes; expected 32'],
    ['section sizes', [[Ehdr32.SHENTSIZE, 2, 39]], 'has section headers of 39 bytes; expected 40'],
    ['over', [[Ehdr32.PHOFF, 4, 51]], 'has program headers at offset 0x33, over the ELF header'],
    [
      'segment cut',
      [[Phdr32.FILESZ, 4, 0x5000]],
      `has 20480 bytes at offset 0x74 in segment 0, but ends at ${END}: it is truncated`,
    ],
    [
      'beyond RAM',
      [[second(Phdr32.MEMSZ), 4, 0x100001]],
      'segment 1, at 0x300000 to 0x400001, is not within 4M of memory; --memory gives more',
    ],
    [
      'entry point',
      [[Ehdr32.ENTRY, 4, 0xffffffff]],
      'the entry point 0xffffffff is in none of its segments',
    ],
  ])('%s', (_, edits, message) => {
    expect(problemOf(edited(IMAGE, edits))).toBe(message);
  });

  test('dynamic sections have entries of eight bytes', () => {
    const relocations = [...little(18, 4), ...little(16, 4), ...little(0, 8)];
    expect(problemOf(withSpecial(2, relocations))).toMatch(/^has relocations \(DT_RELSZ\)/);
    expect(problemOf(withSpecial(2, [1, 0, 0]))).toMatch(/expected a multiple of 8$/);
    expect(problemOf(withSpecial(3, [...Buffer.from('/lib/ld.so\0')]))).toMatch(/ld\.so/);
  });

  test('cut short anywhere', () => {
    for (let length = 4; length < IMAGE.length; length++) {
      expect(problemOf(IMAGE.slice(0, length))).toMatch(/^[\x20-\x7e]+$/);
    }
    expect(problemOf(IMAGE)).toBeNull();
  });

  test.each([1, 2])('changed at random, seed %i', (seed) => {
    const chance = new Prng(seed);
    const verdicts = [0, 0];
    for (let i = 0; i < 3000; i++) {
      const bytes = IMAGE.slice();
      for (let edits = 1 + chance.below(4); edits > 0; edits--) {
        bytes[5 + chance.below(bytes.length - 5)] = chance.below(256);
      }
      const image = elfOf(bytes);
      if (image?.kind === 'image') SymbolMap.ofElf(image).nameOf(image.entry);
      verdicts[problemOf(bytes) === null ? 0 : 1]++;
    }
    expect(Math.min(...verdicts)).toBeGreaterThan(300);
  });
});

test.each([2, 4, 5] as const)('symbols, and lines of DWARF %i', (version) => {
  const table = lineTable(version, { addressBytes: 4 });
  const sections = { '.debug_line': table };
  const symbols = [['f', 0, 300]] as const;
  const image = elfOf(
    elf32Image({ code: new Uint8Array(300), codeAddress: CODE, symbols, sections }),
  );
  if (image?.kind !== 'image') throw new Error(image?.message);
  const map = SymbolMap.ofElf(image);
  const named = [0, 7, 16, 288].map((offset) => map.nameOf(Long.fromNumber(CODE + offset)));
  expect(named).toEqual([
    { symbol: 'f', source: 'src/lib.c:10' },
    { symbol: 'f+0x7', source: 'src/lib.c:10' },
    { symbol: 'f+0x10', source: 'src/lib.c:9' },
    { symbol: 'f+0x120', source: null },
  ]);
});
