// ELF images: where the loader puts them, what a guest finds, and every way in which a file can be
// wrong. Field offsets and meanings are the gABI's; test/compilers has what real tools make.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { elfOf, loadProblem, Machine, reportText, SymbolMap } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { type Edit, Ehdr, edited, elfImage, little, Phdr } from '../support/elf-image.ts';
import { assembleText, runGuest, scenarioOf } from '../support/guest-run.ts';
import { lineTable } from '../support/line-table.ts';

const MEMORY = 2 ** 22;
const CODE = 0x200000;

/** Position-independent: it is assembled for 1 MiB. */
const CODE_BYTES = assembleText(`
  mov rax, [0x300000]
  mov rbx, [0x300008]
  mov rcx, [0x300ff8]
  cli
  hlt`);

const IMAGE = elfImage({
  code: CODE_BYTES,
  codeAddress: CODE,
  data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  dataMemory: 0x1000,
  symbols: [['main', 0, CODE_BYTES.length]],
});

/** A guest of 4 MiB. */
const SETUP = { vm: { memory: '4M' } } as const;

function problemOf(bytes: Uint8Array): string | null {
  return loadProblem(bytes, { name: 'test', append: '', modules: [] }, MEMORY);
}

describe('a loaded image', () => {
  test('starts at its entry point, with what every guest finds', () => {
    const setup = { vcpus: 3, vm: { memory: '4M' } };
    const machine = new Machine(scenarioOf(setup), { programs: [IMAGE] });
    const registers = machine.vms[0].vcpus.map(({ virtual }) =>
      ['rip', 'rsp', 'rdi', 'rsi', 'rdx', 'rax'].map((name) =>
        virtual.processor.state.get(name).toString(16),
      ),
    );
    // docs/guest-programs.md, "At the first instruction".
    expect(registers).toEqual([
      ['200000', '12000', '0', '3', '400000', '0'],
      ['200000', '14000', '1', '3', '400000', '0'],
      ['200000', '16000', '2', '3', '400000', '0'],
    ]);
  });

  test('has its data, and zeros behind them, whatever follows in the file', () => {
    const { report } = runGuest(IMAGE, SETUP);
    expect(report.vcpus[0].registers).toMatchObject({
      rax: '807060504030201',
      rbx: '0',
      rcx: '0',
    });
  });

  test('may begin elsewhere than at its first byte', () => {
    const bytes = edited(IMAGE, [[Ehdr.ENTRY, 8, CODE + CODE_BYTES.length - 2]]);
    const { report } = runGuest(bytes, SETUP);
    const end = (CODE + CODE_BYTES.length).toString(16);
    expect(report.vcpus[0].registers).toMatchObject({ rax: '0', rip: end });
  });

  test('lies where its physical addresses say, not its virtual ones', () => {
    const bytes = edited(IMAGE, [[Phdr.VADDR, 8, 0x80000000]]);
    expect(runGuest(bytes, SETUP).report.status).toBe('halted');
  });

  test('of type ET_DYN is moved to 1 MiB, symbols and all', () => {
    const code = assembleText('cli\nhlt');
    const sections = { '.debug_line': lineTable(4, { start: 0x40 }) };
    const linked = elfImage({ code, codeAddress: 0x40, symbols: [['f', 0, 2]], sections });
    const bytes = edited(linked, [
      [Ehdr.TYPE, 2, 3],
      [Phdr.NEXT + Phdr.MEMSZ, 8, 0],
    ]);
    const image = elfOf(bytes);
    if (image?.kind !== 'image') throw new Error(image?.message);
    expect(image.entry.toNumber()).toBe(0x100040);
    expect(image.segments.map(({ physical }) => physical)).toEqual([0x100040]);
    expect(SymbolMap.ofElf(image).nameOf(Long.fromNumber(0x100041))).toEqual({
      symbol: 'f+0x1',
      source: 'src/lib.c:10',
    });
    const map = SymbolMap.ofElf(image);
    expect(map.addressOf('f')?.toNumber()).toBe(0x100040);
    expect(map.addressOf('g')).toBeNull();
    // The line table ends where its sequence does, not where the next row would be.
    const lines = map.lines.map(({ address, lengthBytes, file, line }) => {
      return `${address.toString(16)}+${lengthBytes} ${file}:${line}`;
    });
    expect(lines).toEqual([
      '100040+8 src/lib.c:10',
      '100048+8 src/lib.c:12',
      '100050+272 src/lib.c:9',
    ]);
    expect(runGuest(bytes, SETUP).report.vcpus[0].registers).toMatchObject({ rip: '100042' });
  });

  test('of type ET_DYN keeps an alignment of more than 1 MiB', () => {
    const bytes = edited(IMAGE, [
      [Ehdr.TYPE, 2, 3],
      [Phdr.PADDR, 8, 0x1000],
      [Phdr.ALIGN, 8, 0x200000],
    ]);
    const image = elfOf(bytes);
    expect(image?.kind === 'image' && image.segments[0].physical).toBe(0x201000);
  });

  test('can be saved and restored, and gives the same state', () => {
    const machine = new Machine(scenarioOf(SETUP), { programs: [IMAGE] });
    const saved = machine.snapshot();
    machine.run();
    const hash = machine.stateHash();
    const other = new Machine(scenarioOf(SETUP), { programs: [IMAGE] });
    other.restore(saved);
    other.run();
    expect(other.stateHash()).toBe(hash);
  });
});

const second = (field: number) => field + Phdr.NEXT;

/** PT_INTERP and PT_DYNAMIC in place of the data segment, whose contents they get. */
const withSpecial = (type: number, contents: readonly number[]) =>
  edited(elfImage({ code: CODE_BYTES, codeAddress: CODE, data: Uint8Array.from(contents) }), [
    [second(Phdr.TYPE), 4, type],
  ]);

const dynamic = (...entries: readonly (readonly [tag: number, value: number])[]) =>
  withSpecial(
    2,
    [...entries, [0, 0]].flatMap(([tag, value]) => [...little(tag, 8), ...little(value, 8)]),
  );

const STATIC = 'link it with -static -no-pie -nostdlib';
const END = `0x${IMAGE.length.toString(16)}`;
const SHOFF = Number(new DataView(IMAGE.buffer).getBigUint64(Ehdr.SHOFF, true));

describe('wrong images', () => {
  test.each<readonly [what: string, edits: readonly Edit[], message: string]>([
    ['class 0', [[Ehdr.CLASS, 1, 0]], 'is an ELF file of class 0; expected ELF32 (1) or ELF64 (2)'],
    [
      'ELF64 for i386',
      [[Ehdr.MACHINE, 2, 3]],
      'is an ELF file for i386 (e_machine 3); expected x86-64 (62)',
    ],
    [
      'x32',
      [[Ehdr.CLASS, 1, 1]],
      'is an x32 program (ELF32 for x86-64); expected ELF64, or ELF32 for i386',
    ],
    [
      'big-endian',
      [[Ehdr.DATA, 1, 2]],
      'is an ELF file of data encoding 2; expected little-endian (1)',
    ],
    ['version', [[Ehdr.IDENT_VERSION, 1, 0]], 'is an ELF file of version 0; expected 1'],
    [
      'AArch64',
      [[Ehdr.MACHINE, 2, 183]],
      'is an ELF file for AArch64 (e_machine 183); expected x86-64 (62)',
    ],
    [
      'ELF32 Arm',
      [
        [Ehdr.CLASS, 1, 1],
        [Ehdr.MACHINE, 2, 40],
      ],
      'is an ELF file for Arm (e_machine 40); expected i386 (3)',
    ],
    ['machine', [[Ehdr.MACHINE, 2, 999]], 'is an ELF file for e_machine 999; expected x86-64 (62)'],
    [
      'object file',
      [[Ehdr.TYPE, 2, 1]],
      'is an ELF file, but an object file that has not been linked; link it with ld or gcc',
    ],
    ['core dump', [[Ehdr.TYPE, 2, 4]], 'is an ELF file, but a core dump, not a program'],
    [
      'type',
      [[Ehdr.TYPE, 2, 0xfe00]],
      'is an ELF file, but of type 65024; expected ET_EXEC (2) or ET_DYN (3)',
    ],
    ['header size', [[Ehdr.EHSIZE, 2, 52]], 'has an ELF header of 52 bytes; expected 64'],
    ['no program headers', [[Ehdr.PHNUM, 2, 0]], 'has no program headers, so nothing to load'],
    ['too many', [[Ehdr.PHNUM, 2, 0xffff]], 'has too many program headers'],
    [
      'program header size',
      [[Ehdr.PHENTSIZE, 2, 32]],
      'has program headers of 32 bytes; expected 56',
    ],
    [
      'section header size',
      [[Ehdr.SHENTSIZE, 2, 40]],
      'has section headers of 40 bytes; expected 64',
    ],
    [
      'over the header',
      [[Ehdr.PHOFF, 8, 32]],
      'has program headers at offset 0x20, over the ELF header',
    ],
    [
      'over each other',
      [[Ehdr.SHOFF, 8, 100]],
      'has program headers and section headers that overlap',
    ],
    [
      'program headers cut',
      [[Ehdr.PHOFF, 8, IMAGE.length - 100]],
      `has program headers at offset 0x${(IMAGE.length - 100).toString(16)}, 2 of 56 bytes, but ends at ${END}: it is truncated`,
    ],
    [
      'section headers cut',
      [[Ehdr.SHNUM, 2, 7]],
      `has section headers at offset 0x${SHOFF.toString(16)}, 7 of 64 bytes, but ends at ${END}: it is truncated`,
    ],
    [
      'far away',
      [[Ehdr.SHOFF, 8, 2 ** 63]],
      `has section headers at offset 0x8000000000000000, 6 of 64 bytes, but ends at ${END}: it is truncated`,
    ],
    [
      'nothing to load',
      [
        [Phdr.TYPE, 4, 4],
        [second(Phdr.TYPE), 4, 4],
      ],
      'has no segments to load',
    ],
    [
      'segment cut',
      [[Phdr.FILESZ, 8, 0x5000]],
      `has 20480 bytes at offset 0xb0 in segment 0, but ends at ${END}: it is truncated`,
    ],
    [
      'segment far away',
      [[Phdr.OFFSET, 8, 2 ** 62]],
      `has ${CODE_BYTES.length} bytes at offset 0x4000000000000000 in segment 0, but ends at ${END}: it is truncated`,
    ],
    [
      'more file than memory',
      [[second(Phdr.MEMSZ), 8, 4]],
      'has 8 bytes in segment 1, which takes 4 bytes of memory',
    ],
    [
      'beyond all RAM',
      [[Phdr.PADDR, 8, 2 ** 63]],
      `has ${CODE_BYTES.length} bytes at 0x8000000000000000 in segment 0, which is beyond all RAM`,
    ],
    [
      'segments overlap',
      [[second(Phdr.PADDR), 8, CODE - 0xfff]],
      'has segments 0 and 1 that overlap in memory',
    ],
    [
      'beyond RAM',
      [[second(Phdr.MEMSZ), 8, 0x100001]],
      'segment 1, at 0x300000 to 0x400001, is not within 4M of memory; --memory gives more',
    ],
    [
      'page tables',
      [[second(Phdr.PADDR), 8, 0x7fff]],
      'segment 1, at 0x7fff to 0x8fff, lies where the loader puts page tables and GDT (0x1000 to 0x8000); link it at 0x100000 or higher',
    ],
    [
      'stacks',
      [[second(Phdr.PADDR), 8, 0x8f001]],
      'segment 1, at 0x8f001 to 0x90001, lies where the loader puts stacks (0x10000 to 0x90000); link it at 0x100000 or higher',
    ],
    [
      'entry point',
      [[Ehdr.ENTRY, 8, CODE - 1]],
      'the entry point 0x1fffff is in none of its segments',
    ],
    [
      'entry point high',
      [[Ehdr.ENTRY, 8, 2 ** 63]],
      'the entry point 0x8000000000000000 is in none of its segments',
    ],
  ])('%s', (_, edits, message) => {
    const bytes = edited(IMAGE, edits);
    expect(problemOf(bytes)).toBe(message);
    expect(() => new Machine(scenarioOf(SETUP), { programs: [bytes] })).toThrow(message);
  });

  test.each<readonly [what: string, bytes: Uint8Array, message: string]>([
    [
      'interpreter',
      withSpecial(3, [...Buffer.from('/lib/ld\x1b.so\0')]),
      `needs the dynamic linker /lib/ld?.so; ${STATIC}`,
    ],
    ['shared libraries', dynamic([1, 0]), `needs shared libraries; ${STATIC}`],
    ['RELA', dynamic([7, 0x1000], [8, 24]), `has relocations (DT_RELASZ); ${STATIC}`],
    ['REL', dynamic([18, 16]), `has relocations (DT_RELSZ); ${STATIC}`],
    ['RELR', dynamic([35, 8]), `has relocations (DT_RELRSZ); ${STATIC}`],
    ['PLT', dynamic([2, 24]), `has relocations (DT_PLTRELSZ); ${STATIC}`],
    [
      'dynamic section cut',
      withSpecial(2, [1, 0, 0]),
      'has a dynamic section of 3 bytes; expected a multiple of 16',
    ],
  ])('%s', (_, bytes, message) => {
    expect(problemOf(bytes)).toBe(message);
  });

  test('allowed: a dynamic section without relocations, and segments beside the tables', () => {
    expect(problemOf(dynamic([8, 0], [21, 0]))).toBeNull();
    expect(problemOf(edited(IMAGE, [[second(Phdr.PADDR), 8, 0]]))).toBeNull();
    expect(problemOf(edited(IMAGE, [[second(Phdr.PADDR), 8, 0x8000]]))).toBeNull();
    expect(problemOf(edited(IMAGE, [[second(Phdr.PADDR), 8, 0x90000]]))).toBeNull();
    expect(problemOf(edited(IMAGE, [[second(Phdr.MEMSZ), 8, 0x100000]]))).toBeNull();
  });
});

describe('whatever the bytes are', () => {
  /** The bytes load, or there is a message; nothing else is thrown. */
  function expectVerdict(bytes: Uint8Array): 'loaded' | 'refused' {
    const problem = problemOf(bytes);
    if (problem !== null) {
      expect(problem).toMatch(/^[\x20-\x7e]+$/);
      return 'refused';
    }
    const image = elfOf(bytes);
    if (image?.kind === 'image') SymbolMap.ofElf(image).nameOf(image.entry);
    return 'loaded';
  }

  test('cut short anywhere', () => {
    for (let length = 4; length < IMAGE.length; length++) {
      expect(expectVerdict(IMAGE.slice(0, length))).toBe('refused');
    }
    expect(expectVerdict(IMAGE)).toBe('loaded');
  });

  const lined = elfImage({
    code: CODE_BYTES,
    codeAddress: CODE,
    symbols: [
      ['main', 0, 8],
      ['rest', 8, 0],
    ],
    sections: { '.debug_line': lineTable(4), '.debug_line_str': Uint8Array.of(65, 0) },
  });

  // Bytes that are more likely to be on an edge than others.
  const EDGES = [0, 1, 0x7f, 0x80, 0xff];

  test.each([1, 2, 3, 4])('changed at random, seed %i', (seed) => {
    const chance = new Prng(seed);
    const verdicts = { loaded: 0, refused: 0 };
    for (let i = 0; i < 5000; i++) {
      const bytes = lined.slice();
      for (let edits = 1 + chance.below(4); edits > 0; edits--) {
        const value = chance.below(2) === 0 ? EDGES[chance.below(5)] : chance.below(256);
        bytes[4 + chance.below(bytes.length - 4)] = value;
      }
      verdicts[expectVerdict(bytes)]++;
    }
    // Neither everything nor nothing.
    expect(Math.min(verdicts.loaded, verdicts.refused)).toBeGreaterThan(500);
  });
});

describe('names of addresses', () => {
  const mapOf = (sections: Readonly<Record<string, Uint8Array>>) => {
    const image = elfOf(
      elfImage({
        code: new Uint8Array(300),
        codeAddress: CODE,
        symbols: [
          ['alias', 0, 0],
          ['sized', 0, 8],
          ['open', 16, 0],
          ['small', 32, 4],
          ['undefined', 40, 0, 0],
          ['number', 41, 8, 0xfff1],
          ['last', 280, 0],
        ],
        sections,
      }),
    );
    if (image?.kind !== 'image') throw new Error(image?.message);
    return SymbolMap.ofElf(image);
  };

  test.each<readonly [offset: number, name: string | null]>([
    [-1, null],
    [0, 'sized'],
    [7, 'sized+0x7'],
    [8, null],
    [16, 'open'],
    [31, 'open+0xf'],
    [32, 'small'],
    [35, 'small+0x3'],
    [36, null],
    [40, null],
    [41, null],
    [299, 'last+0x13'],
    [300, null],
  ])('at offset %i: %s', (offset, name) => {
    expect(mapOf({}).symbolAt(Long.fromNumber(CODE + offset))).toBe(name);
  });

  test.each([
    [2, false],
    [4, false],
    [4, true],
    [5, false],
    [5, true],
  ] as const)('lines of DWARF %i, 64-bit format %j', (version, is64) => {
    // What comes before is of a version that nobody knows, and passed over.
    const line = Uint8Array.from([...[2, 0, 0, 0, 9, 0], ...lineTable(version, { is64 })]);
    const map = mapOf({ '.debug_line': line });
    const sources = [0, 7, 16, 31, 287, 288].map((offset) =>
      map.nameOf(Long.fromNumber(CODE + offset)),
    );
    expect(sources).toEqual([
      { symbol: 'sized', source: 'src/lib.c:10' },
      { symbol: 'sized+0x7', source: 'src/lib.c:10' },
      { symbol: 'open', source: 'src/lib.c:9' },
      { symbol: 'open+0xf', source: 'src/lib.c:9' },
      { symbol: 'last+0x7', source: 'src/lib.c:9' },
      { symbol: 'last+0x8', source: null },
    ]);
  });

  test('in the report of a run that went wrong', () => {
    const code = assembleText('nop\nnop\nud2');
    const bytes = elfImage({
      code,
      codeAddress: CODE,
      symbols: [['main', 0, code.length]],
      sections: { '.debug_line': lineTable(5) },
    });
    const { report } = runGuest(bytes, SETUP);
    expect(report.vcpus[0].symbols).toEqual({
      '0x200000': { symbol: 'main', source: 'src/lib.c:10' },
      '0x200001': { symbol: 'main+0x1', source: 'src/lib.c:10' },
      '0x200002': { symbol: 'main+0x2', source: 'src/lib.c:10' },
    });
    const lines = reportText(report);
    expect(lines.slice(lines.indexOf('Last instructions:') + 1)).toEqual([
      '  0x200000 <main> lib.c:10      nop',
      '  0x200001 <main+0x1> lib.c:10  nop',
      '> 0x200002 <main+0x2> lib.c:10  ud2',
      '',
    ]);
    expect(lines.filter((line) => line.includes('qualification'))).toEqual([
      expect.stringMatching(/EXCEPTION_NMI +rip 0x200002 <main\+0x2> lib\.c:10 qualification 0x0$/),
      expect.stringMatching(/TRIPLE_FAULT +rip 0x200002 <main\+0x2> lib\.c:10 qualification 0x0$/),
    ]);
  });
});
