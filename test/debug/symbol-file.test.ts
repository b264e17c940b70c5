// The ELF file with the symbols and lines of a program that is none: what readelf, objdump and gdb
// read in it.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Long from 'long';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import { symbolFileOf } from '../../src/debug/index.ts';
import { LOAD_ADDRESS, SymbolMap } from '../../src/machine/index.ts';
import { missing } from '../support/outside-tools.ts';

const SOURCE = `bits 64
start:
    mov eax, 1
    %macro twice 1
    inc %1
    inc %1
    %endmacro
    twice eax
    jmp start
table: dq 1, 2
room: resb 100
more:
    cli
    hlt
`;

const ENTRY = Long.fromNumber(LOAD_ADDRESS);

function symbolsOf(text: string): SymbolMap {
  const assembled = assemble({ name: 'lines.asm', text }, { origin: ENTRY });
  if (assembled.kind !== 'ok') throw new Error('does not assemble');
  return SymbolMap.ofAssembly(assembled);
}

const FILE = symbolFileOf(symbolsOf(SOURCE), ENTRY, String) as Uint8Array;

test('a program without names and lines has none', () => {
  expect(symbolFileOf(SymbolMap.EMPTY, ENTRY, String)).toBeNull();
});

const why = missing('gdb') ?? missing('objdump');
if (why !== null) console.log(`symbol files are not read by others: ${why}`);

describe.skipIf(why !== null)('others read it', () => {
  let folder = '';
  let path = '';

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vmxlab-elf-'));
    path = join(folder, 'program.elf');
    writeFileSync(path, FILE);
    writeFileSync(join(folder, 'lines.asm'), SOURCE);
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  const run = (tool: string, words: readonly string[]) =>
    execFileSync(tool, words, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });

  test('readelf without a complaint', () => {
    const options = ['-aW', path];
    expect(run('readelf', options)).not.toMatch(/warning|error/i);
    expect(run('readelf', ['-sW', path])).toMatch(/10000b +16 OBJECT +GLOBAL DEFAULT +2 table/);
  });

  test('objdump finds each line', () => {
    const text = run('objdump', ['--dwarf=decodedline', path]);
    const rows = [...text.matchAll(/lines\.asm +(\d+) +(0x[\da-f]+)/g)].map((row) => row.slice(1));
    // mov takes 5 bytes, inc 2, jmp 2; the table and the room come between.
    expect(rows).toEqual([
      ['3', '0x100000'],
      ['8', '0x100005'],
      ['8', '0x100007'],
      ['9', '0x100009'],
      ['13', '0x10007f'],
      ['14', '0x100080'],
    ]);
  });

  test('gdb sets breakpoints by name and line', () => {
    const commands = [
      ...['break start', 'break lines.asm:9', 'break more', 'info symbol 0x100013', 'list start'],
    ];
    const text = run('gdb', [
      ...['-nx', '-batch', '-ex', 'set width 0'],
      ...commands.flatMap((command) => ['-ex', command]),
      path,
    ]);
    expect(text).toContain('Breakpoint 1 at 0x100000: file lines.asm, line 3.');
    expect(text).toContain('Breakpoint 2 at 0x100009: file lines.asm, line 9.');
    expect(text).toContain('Breakpoint 3 at 0x10007f: file lines.asm, line 13.');
    expect(text).toContain('table + 8 in section .data');
    expect(text).toContain('3\t    mov eax, 1');
  });
});
