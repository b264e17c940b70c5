// NASM as the measure: many sources in one go.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SNIPPETS_FOLDER } from './snippets.ts';

export interface NasmResult {
  /** Null if NASM found errors. */
  readonly bytes: Uint8Array | null;
  /** Errors and warnings. */
  readonly messages: string;
  readonly listing: string;
}

/** Assemble each source with `nasm -f bin`, in a folder that has the snippets' fixtures. */
export function runNasm(sources: readonly string[]): NasmResult[] {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-asm-'));
  try {
    cpSync(SNIPPETS_FOLDER, folder, { recursive: true });
    sources.forEach((source, i) => {
      writeFileSync(join(folder, `in${i}.asm`), source);
    });
    // One shell for all of them: starting one for each would take longer than NASM does.
    const each = 'nasm -f bin -o out$i.bin -l list$i.txt in$i.asm 2> messages$i.txt';
    const loop = `i=0; while [ $i -lt ${sources.length} ]; do ${each}; i=$((i+1)); done; true`;
    execFileSync('sh', ['-c', loop], { cwd: folder });
    return sources.map((_, i) => ({
      bytes: readIfThere(join(folder, `out${i}.bin`)),
      messages: readFileSync(join(folder, `messages${i}.txt`), 'utf8'),
      listing: readIfThere(join(folder, `list${i}.txt`))?.toString() ?? '',
    }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readIfThere(path: string): Buffer | null {
  return existsSync(path) ? readFileSync(path) : null;
}
