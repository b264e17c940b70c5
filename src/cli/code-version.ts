// Which code it is that runs machines: a digest of the compiled modules that a run depends on. Two
// builds with the same digest give the same results. And the commit, for people.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `machine` and what it is built on; the assembler's work is in the programs' bytes. */
const ROOMS = ['sim', 'memory', 'isa', 'cpu', 'vmx', 'trace', 'host', 'kvm', 'machine'];

const DISTRIBUTION = new URL('..', import.meta.url);

export function codeVersion(): string {
  const digest = createHash('sha256');
  for (const room of ROOMS) {
    const folder = new URL(`${room}/`, DISTRIBUTION);
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    // Maps and declarations change with comments.
    for (const name of names.filter((one) => one.endsWith('.js')).sort()) {
      const text = readFileSync(new URL(name, folder));
      digest.update(`${room}/${name} ${text.length}\n`).update(text);
    }
  }
  return digest.digest('hex');
}

/** The folder of the package: where the programs of experiments that come with it are. */
export const PACKAGE_FOLDER = fileURLToPath(new URL('../', DISTRIBUTION));

/**
 * The commit of the working tree that this is, or null for an installed package, or without git.
 * Says so if something in it has changed since.
 */
export function commitOf(folder: string): string | null {
  if (!existsSync(join(folder, '.git'))) return null;
  const git = (...words: readonly string[]) => {
    const { status, stdout } = spawnSync('git', ['-C', folder, ...words], { encoding: 'utf8' });
    return status === 0 ? stdout.trim() : null;
  };
  const commit = git('rev-parse', '--short=12', 'HEAD');
  if (commit === null) return null;
  return git('status', '--porcelain', '--untracked-files=no') === ''
    ? commit
    : `${commit}, changed`;
}
