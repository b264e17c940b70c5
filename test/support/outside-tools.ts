// NASM, objdump, GNU as, gcc, gdb, trace-cmd and protoc as second opinions, `script` as a terminal.
// A test that needs one of them is skipped where it is not installed, and fails there instead if
// the environment says that it is a CI machine.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Long from 'long';
import type { CodeSize } from '../../src/isa/index.ts';

/** Instructions are laid out in slots of this size, so that no error shifts what follows. */
export const SLOT_BYTES = 32;
const INT3 = 0xcc;

/** Why tests with this tool are skipped, or null if they can run. Throws on a CI machine. */
export function missing(
  tool:
    | 'as'
    | 'gdb'
    | 'gcc'
    | 'nasm'
    | 'objdump'
    | 'protoc'
    | 'prove'
    | 'python3'
    | 'qemu-system-x86_64'
    | 'script'
    | 'munged'
    | 'sbatch'
    | 'trace-cmd'
    | 'xmllint',
): string | null {
  try {
    execFileSync(tool, ['--version'], { stdio: 'ignore' });
    return null;
  } catch (thrown) {
    // trace-cmd answers, but calls it a failure.
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') return null;
    if (process.env.CI) throw new Error(`${tool} must be installed here`);
    return `${tool} is not installed`;
  }
}

/** A slot that holds the bytes, filled up with INT3. */
export function slotOf(bytes: Uint8Array): Uint8Array {
  const slot = new Uint8Array(SLOT_BYTES).fill(INT3);
  slot.set(bytes);
  return slot;
}

/** Assemble lines, the n-th into the slot at address n * SLOT_BYTES. */
export function assembleWithNasm(lines: readonly string[], codeSize: CodeSize = 64): Uint8Array[] {
  const padTo = (end: number) => `times ${end}-($-$$) db ${INT3}`;
  const body = lines.flatMap((line, i) => [line, padTo((i + 1) * SLOT_BYTES)]);
  const bytes = assembleSourceWithNasm([`bits ${codeSize}`, ...body, ''].join('\n'));
  return lines.map((_, i) => bytes.subarray(i * SLOT_BYTES, (i + 1) * SLOT_BYTES));
}

/** What NASM makes of a source, warnings aside. */
export function assembleSourceWithNasm(source: string): Uint8Array {
  return inScratchFolder((folder) => {
    writeFileSync(join(folder, 'in.asm'), source);
    const options = ['-w-all', '-f', 'bin', '-o', join(folder, 'out.bin'), join(folder, 'in.asm')];
    execFileSync('nasm', options, { stdio: 'pipe' });
    return readFileSync(join(folder, 'out.bin'));
  });
}

const MACHINES = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' } as const;

/** So many slots fit a segment of 64 KiB; the first of them stay empty, so that no target wraps. */
const CHUNK_SLOTS = 1024;
const EMPTY_SLOTS = 64;

/** Where the n-th of many lines stands in {@link assembleInChunks}. */
export function slotAddress(i: number): Long {
  return Long.fromNumber(((i % CHUNK_SLOTS) + EMPTY_SLOTS) * SLOT_BYTES);
}

/** Assemble any number of lines, each at its {@link slotAddress}. */
export function assembleInChunks(lines: readonly string[], codeSize: CodeSize): Uint8Array[] {
  const empty = new Array<string>(EMPTY_SLOTS).fill('');
  const found: Uint8Array[] = [];
  for (let from = 0; from < lines.length; from += CHUNK_SLOTS) {
    const chunk = lines.slice(from, from + CHUNK_SLOTS);
    found.push(...assembleWithNasm([...empty, ...chunk], codeSize).slice(EMPTY_SLOTS));
  }
  return found;
}

export interface Disassembled {
  readonly lengthBytes: number;
  /** Prefixes, mnemonic and operands in objdump's Intel or AT&T syntax. */
  readonly text: string;
}

/** What objdump makes of the first instruction in each slot. */
export function disassembleWithObjdump(
  codes: readonly Uint8Array[],
  syntax: 'intel' | 'att' = 'intel',
  codeSize: CodeSize = 64,
): Disassembled[] {
  const listing = inScratchFolder((folder) => {
    const file = join(folder, 'in.bin');
    writeFileSync(file, Buffer.concat(codes.map(slotOf)));
    const options = [
      '-D',
      '-b',
      'binary',
      '-m',
      MACHINES[codeSize],
      '-M',
      syntax,
      '-w',
      '-z',
      file,
    ];
    return execFileSync('objdump', options, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  });
  const found: Disassembled[] = [];
  for (const line of listing.split('\n')) {
    const match = /^\s*([0-9a-f]+):\t([0-9a-f ]+)(?:\t(.*))?$/.exec(line);
    if (match === null) continue;
    const at = Number.parseInt(match[1], 16);
    if (at % SLOT_BYTES !== 0) continue;
    const lengthBytes = match[2].trim().split(/\s+/).length;
    found[at / SLOT_BYTES] = { lengthBytes, text: (match[3] ?? '').trim() };
  }
  return found;
}

function inScratchFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-test-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
