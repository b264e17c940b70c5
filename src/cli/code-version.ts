// Which code it is that runs machines: a digest of the compiled modules that a run depends on. Two
// builds with the same digest give the same results.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
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
