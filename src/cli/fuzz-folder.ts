// The folder of `vmxlab fuzz`: the cases that were kept, by the hash of their contents, seeds that
// somebody put there, and what was found.

import { mkdirSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  bytesOf,
  type Channel,
  type CorpusEntry,
  caseHash,
  caseText,
  channelsIn,
  type FuzzCase,
  parseCase,
  withBytes,
} from '../fuzz/index.ts';
import { Failure } from './failure.ts';
import { asFailure, asWriteFailure, readBytes, readText, writeOutput } from './files.ts';

/** Longer inputs are no seeds. */
const MOST_SEED_BYTES = 2 ** 20;

const EXTENSION = '.json';

/** Folder in the folder for what was found. */
const FINDINGS = 'findings';

export class FuzzFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get findings(): string {
    return join(this.path, FINDINGS);
  }

  /**
   * The cases that are there, in order of name: ours (.json), and other files as inputs. None if
   * there is no such folder.
   * @param channels by which bytes come to the program; by the first of them comes what is no case
   */
  read(channels: readonly Channel[], first: FuzzCase): FuzzCase[] {
    const [way = NO_WAY] = channels;
    return this.names().map((name) => {
      const path = join(this.path, name);
      if (name.endsWith(EXTENSION)) return checked(path, readCase(path), channels);
      const input = withBytes(first, way, readBytes(path, MOST_SEED_BYTES));
      return checked(path, input, channels);
    });
  }

  private names(): string[] {
    try {
      return readdirSync(this.path, { withFileTypes: true })
        .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
        .map(({ name }) => name)
        .sort();
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw asFailure(thrown, this.path);
    }
  }

  make(): void {
    makeFolder(this.path);
  }

  makeFindings(): void {
    makeFolder(this.findings);
  }

  keep(one: FuzzCase): void {
    writeOutput(join(this.path, `${caseHash(one)}${EXTENSION}`), caseText(one));
  }

  /** Keep these, and none of our other files. */
  replace(entries: readonly Pick<CorpusEntry, 'case'>[]): void {
    for (const name of this.names().filter((file) => /^[\da-f]{16}\.json$/.test(file))) {
      unlinkSync(join(this.path, name));
    }
    for (const entry of entries) this.keep(entry.case);
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (thrown) {
    throw asWriteFailure(thrown, path);
  }
}

/** The case in a file. Throws {@link Failure}. */
export function readCase(path: string): FuzzCase {
  const read = parseCase(readText(path, 'fuzz case'));
  if ('case' in read) return read.case;
  throw new Failure(`${path}: ${read.problem}`);
}

const NO_WAY = { kind: 'input', index: 0 } as const;

/** Why bytes of a case cannot come to the program. */
const NO_WAY_FOR: Readonly<Record<Channel['kind'], string>> = {
  input:
    'is an input, but the program has no label fuzz_input; --vary vms[].serial_input sends it to COM1',
  serial: 'has serial input; --vary vms[].serial_input sends it to COM1',
  module: 'has modules; --vary vms[].modules gives them to the program',
};

function checked(path: string, one: FuzzCase, channels: readonly Channel[]): FuzzCase {
  for (const { kind, index } of channelsIn(one)) {
    const way = channels.find((channel) => channel.kind === kind && channel.index === index);
    if (way === undefined) throw new Failure(`${path}: ${NO_WAY_FOR[kind]}`);
    const { length } = bytesOf(one, way);
    if (length <= way.roomBytes) continue;
    const room = `the program has room for ${way.roomBytes}`;
    throw new Failure(`${path}: has ${length} bytes of input, and ${room}`);
  }
  return one;
}
