// Bytes of a few instructions, for 16-bit, 32-bit and 64-bit code.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const known = new Map<string, Uint8Array>();

export function codeBytes(bits: 16 | 32 | 64, origin: number, source: string): Uint8Array {
  const text = `bits ${bits}\norg ${origin}\n${source}\n`;
  const old = known.get(text);
  if (old !== undefined) return old;
  const folder = mkdtempSync(join(tmpdir(), 'cpu-segments-'));
  writeFileSync(join(folder, 'a.asm'), text);
  execFileSync('nasm', ['-w-all', '-f', 'bin', '-o', join(folder, 'a.bin'), join(folder, 'a.asm')]);
  const bytes = new Uint8Array(readFileSync(join(folder, 'a.bin')));
  rmSync(folder, { recursive: true });
  known.set(text, bytes);
  return bytes;
}
