// GNU as and ld as the measure of GAS syntax: many sources in one go, linked into flat binaries at
// address 0, .text first.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SNIPPETS_FOLDER } from './snippets.ts';

export interface GnuResult {
  /** Null if there were errors. */
  readonly bytes: Uint8Array | null;
  /** Errors and warnings of both. */
  readonly messages: string;
}

const SECTION = /^\s*\.(?:(?:push)?section\s+([\w.]+)|(data|bss)\b)/gm;

/** A linker script with the sections as they lie here: as they appear, those without bytes last. */
function scriptFor(sources: readonly string[]): string {
  const names = sources.flatMap((source) =>
    [...source.matchAll(SECTION)].map(([, name, short]) => name ?? `.${short}`),
  );
  const isBss = (name: string) => name.startsWith('.bss');
  const loaded = [...new Set(['.text', ...names])].filter(
    (name) => !/^\.(note|com|deb)/.test(name),
  );
  const ordered = [...loaded.filter((name) => !isBss(name)), ...loaded.filter(isBss)];
  const lines = [...new Set([...ordered, '.bss'])].map(
    (name) => `  ${name} : { *(${name}) ${name === '.bss' ? '*(COMMON) ' : ''}}`,
  );
  const rest = '  /DISCARD/ : { *(.note*) *(.comment) *(.eh_frame) *(.debug*) }';
  return ['SECTIONS {', '  . = 0;', ...lines, rest, '}', ''].join('\n');
}

/** A source that begins with 16- or 32-bit code is one for `as --32`. */
function isNarrow(source: string): boolean {
  return /^\s*\.code(16|32)/.test(source);
}

/** Assemble and link each program, which is one source or several. */
export function runGnu(programs: readonly (readonly string[])[]): GnuResult[] {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-gas-'));
  try {
    cpSync(SNIPPETS_FOLDER, folder, { recursive: true });
    const lines = programs.map((sources, i) => {
      const objects = sources.map((source, j) => {
        writeFileSync(join(folder, `in${i}.${j}.s`), source);
        return `in${i}.${j}.o`;
      });
      writeFileSync(join(folder, `script${i}.ld`), scriptFor(sources));
      const machine = sources.some(isNarrow) ? '-m elf_i386' : '';
      const steps = [
        ...sources.map(
          (source, j) => `as ${isNarrow(source) ? '--32' : '--64'} -o in${i}.${j}.o in${i}.${j}.s`,
        ),
        `ld ${machine} -T script${i}.ld -e 0 --oformat binary -o out${i}.bin ${objects.join(' ')}`,
      ];
      return `( ${steps.join(' && ')} ) 2> messages${i}.txt`;
    });
    writeFileSync(join(folder, 'all.sh'), `${lines.join('\n')}\ntrue\n`);
    execFileSync('sh', ['all.sh'], { cwd: folder });
    return programs.map((_, i) => {
      const output = join(folder, `out${i}.bin`);
      return {
        bytes: existsSync(output) ? new Uint8Array(readFileSync(output)) : null,
        messages: readFileSync(join(folder, `messages${i}.txt`), 'utf8'),
      };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
