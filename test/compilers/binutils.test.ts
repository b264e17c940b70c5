// What is read out of an ELF file, beside what the tools of binutils read: names of addresses
// (nm), their source lines (addr2line), labels of a disassembly (objdump), and which kinds of file
// that gcc makes can be run.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Long from 'long';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codeOf, type ElfImage, elfOf, SymbolMap } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { buildGuest, C_PROGRAMS, FLOATING_PROGRAMS, printedBy } from '../support/c-programs.ts';
import { bash, buildCommand, vmxlab } from '../support/command-line.ts';
import { missing } from '../support/outside-tools.ts';

const noTools = missing('gcc') ?? missing('objdump');
if (noTools !== null) console.log(`comparison with binutils is skipped: ${noTools}`);

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmxlab-elf-'));
  buildCommand();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function imageOf(bytes: Uint8Array): ElfImage {
  const image = elfOf(bytes);
  if (image?.kind === 'image') return image;
  throw new Error(image?.message ?? 'no ELF file');
}

const INTEGER_PROGRAMS = C_PROGRAMS.filter((program) => !FLOATING_PROGRAMS.includes(program));

const DWARF = ['-gdwarf-3', '-gdwarf-4', '-gdwarf-5'];

/** Programs, each at another version of DWARF and another level. */
const BUILDS = ([64, 32] as const).flatMap((bits) => {
  const programs = bits === 64 ? C_PROGRAMS : INTEGER_PROGRAMS;
  return programs
    .slice(0, bits === 64 ? 4 : 3)
    .map((program, i) => [program, DWARF[i % 3], ['-O0', '-O2', '-Os', '-Og'][i], bits] as const);
});

describe.skipIf(noTools !== null).each(BUILDS)(
  '%s %s %s, %i bits',
  (program, dwarf, level, bits) => {
    let file = '';
    let symbols = SymbolMap.EMPTY;
    let addresses: number[] = [];

    beforeAll(async () => {
      file = await buildGuest(folder, program, [dwarf, level], bits);
      const image = imageOf(readFileSync(file));
      symbols = SymbolMap.ofElf(image);
      addresses = codeOf(image).flatMap(({ address, bytes }) =>
        Array.from(bytes, (_, i) => address.toNumber() + i),
      );
    });

    const nameOf = (address: number) => symbols.nameOf(Long.fromNumber(address));

    test('symbols with sizes are those of nm', async () => {
      const printed = await printedBy('nm', ['-S', '--defined-only', file]);
      const lines = [...printed.matchAll(/^([\da-f]{8,16}) ([\da-f]{8,16}) \w (\S+)$/gm)];
      expect(lines.length).toBeGreaterThan(5);
      for (const [, value, size, name] of lines) {
        const start = Number.parseInt(value, 16);
        const last = Number.parseInt(size, 16) - 1;
        expect(nameOf(start)?.symbol).toBe(name);
        if (last > 0) expect(nameOf(start + last)?.symbol).toBe(`${name}+0x${last.toString(16)}`);
      }
    });

    test('lines are those of addr2line', () => {
      const input = addresses.map((address) => `0x${address.toString(16)}\n`).join('');
      const printed = execFileSync('addr2line', ['-e', file], { input, encoding: 'utf8' });
      const theirs = printed
        .trimEnd()
        .split('\n')
        .map((line) => line.replace(/ \(discriminator \d+\)$/, '').replace(/^.*\//, ''));
      expect(theirs.filter((line) => /\.[ch]:\d+$/.test(line)).length).toBeGreaterThan(300);
      const different = addresses.flatMap((address, i) => {
        const name = nameOf(address);
        // Between functions there are no names, and so no lines either.
        if (name === null) return [];
        const ours = name.source?.replace(/^.*\//, '') ?? null;
        const expected = theirs[i].includes('?') ? null : theirs[i];
        return ours === expected ? [] : [`${address.toString(16)}: ${ours}, not ${expected}`];
      });
      expect(different).toEqual([]);
      const nameless = addresses.filter((address) => nameOf(address) === null);
      expect(nameless.length).toBeLessThan(addresses.length / 5);
    });

    test('a disassembly has the labels and instructions of objdump', async () => {
      const printed = await printedBy('objdump', ['-d', '--insn-width=15', file]);
      const { stdout } = await vmxlab(folder, ['disasm', file]);
      const all = (text: string, pattern: RegExp) =>
        [...text.matchAll(pattern)].map(([, address, rest]) => `${address} ${rest}`);
      // What stands before the first symbol, a multiboot header, has no name of its own.
      const labels = all(printed, /^0*([\da-f]+) <([^\s-]+)>:$/gm);
      expect(all(stdout, /^0*([\da-f]+) <(\S+)>:$/gm)).toEqual(labels);
      expect(labels.length).toBeGreaterThan(5);
      const instructions = all(printed, /^ *([\da-f]+):\t((?:[\da-f]{2} )+)/gm).map((line) => {
        const [address, ...bytes] = line.trim().split(' ');
        return `${address} ${bytes.join('').toUpperCase()}`;
      });
      expect(all(stdout, /^0*([\da-f]+) {2}([\dA-F]+) /gm)).toEqual(instructions);
    });

    test('broken debug information is no obstacle', () => {
      const bytes = readFileSync(file);
      const printed = execFileSync('readelf', ['-SW', file], { encoding: 'utf8' });
      const range = /\.debug_line\s+PROGBITS\s+\w+ (\w+) (\w+)/.exec(printed) ?? [];
      const [offset, size] = range.slice(1).map((digits) => Number.parseInt(digits, 16));
      const chance = new Prng(1);
      const [first] = addresses;
      for (let i = 0; i < 100; i++) {
        const copy = Uint8Array.from(bytes);
        for (let j = 0; j < 3; j++) copy[offset + chance.below(size)] = chance.below(256);
        const name = SymbolMap.ofElf(imageOf(copy)).nameOf(Long.fromNumber(first));
        expect(name?.symbol).toBe(nameOf(first)?.symbol);
      }
    });
  },
);

const CRASH = `
static const char *const words[] = {"one ", "two\\n"};

static void put(char c) { __asm__ volatile("outb %0, $0xe9" : : "a"(c)); }

__attribute__((noinline)) static void say(int i) {
  for (const char *p = words[i]; *p != 0; p++) put(*p);
}

void _start(void) {
  say(0);
  say(1);
  __builtin_trap();
}
`;

const COMMON =
  '-O1 -ffreestanding -mno-red-zone -mgeneral-regs-only -nostdlib -fcf-protection=none';

/** Kinds of file that gcc makes of one program, and what becomes of them. */
const KINDS: readonly (readonly [options: string, status: number, said: string])[] = [
  // Where ld puts programs: 0x400000.
  ['-fno-pic -no-pie -static', 6, '<_start+0x'],
  ['-fno-pic -no-pie -static -g', 6, '> crash.c:13  ud2'],
  ['-fno-pic -no-pie -static -s', 6, '>  ud2'],
  ['-fpie -static-pie', 2, 'vmxlab: crash: has relocations (DT_RELASZ); link it with -static'],
  ['-fpie -pie', 2, 'vmxlab: crash: needs the dynamic linker /'],
  ['-fno-pic -c', 2, 'vmxlab: crash: is an ELF file, but an object file that has not been linked'],
  ['-fno-pic -no-pie -static -Wl,-Ttext=0x10000', 2, 'lies where the loader puts stacks'],
  ['-fno-pic -no-pie -static -Wl,-Ttext=0x40000000', 2, 'is not within 16M of memory'],
];

describe.skipIf(noTools !== null)('a program built with', () => {
  beforeAll(() => writeFileSync(join(folder, 'crash.c'), CRASH));

  test.each(KINDS)('%s', async (options, status, said) => {
    const build = `gcc ${COMMON} ${options} crash.c -o crash 2>build.txt || exit 99`;
    const run = await bash(folder, `${build}\nvmxlab run crash`);
    // The address depends on gcc, and how much of _start is before it.
    const text = (run.stdout + run.stderr).replace(/^> 0x[\da-f]+( <.*>)?/gm, '>');
    expect([run.status, text]).toEqual([status, expect.stringContaining(said)]);
    expect(text).not.toMatch(/\n +at /);
    if (status === 6) expect(text).toMatch(/^one two\n/);
  });
});
