// Reports of runs, kept by what decides them: the scenario with the bytes of its programs, and the
// code that runs it. A file is there as a whole or not at all, and tells whether it is intact: so
// whoever is killed at any time loses nothing that was finished and leaves nothing wrong.

import { createHash } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { gunzipSync, gzipSync } from 'node:zlib';
import { documentOf, type RunReport } from '../machine/index.ts';
import { Failure } from './failure.ts';
import { asFailure, asWriteFailure } from './files.ts';
import { policyTexts } from './policies.ts';
import type { Input } from './program.ts';

const FORMAT = 'vmxlab result 1';

/** Temporary files of who was killed are removed after this. */
const STALE_MS = 3_600_000;

const SUFFIX = '.json.gz';
const TEMPORARY = '.tmp';

/** What the store has of a run. */
export type Stored =
  | { readonly kind: 'report'; readonly report: RunReport }
  | { readonly kind: 'nothing' }
  /** There is a file that is not what was written. */
  | { readonly kind: 'damaged'; readonly path: string };

/** The name of a run: 64 hexadecimal digits. */
export function keyOf(
  { scenario, programs, modules, symbols }: Input,
  folder: string,
  code: string,
): string {
  const { note: _, check: __, ...document } = documentOf(scenario);
  const policies = policyTexts(scenario, folder);
  const parts = {
    format: FORMAT,
    code,
    document,
    programs: programs.map(digestOf),
    modules: modules.map((files) => files.map(digestOf)),
    // Parameters and results go by labels.
    names: symbols.map((map) => {
      return map?.names.map(({ name, start, end }) => `${name} ${start} ${end}`) ?? null;
    }),
    policies: policies.map(digestOf),
  };
  return digestOf(JSON.stringify(parts));
}

function digestOf(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

export class ResultStore {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Make the folder, and remove what somebody who was killed left half-written. */
  open(): void {
    try {
      mkdirSync(this.folder, { recursive: true });
      for (const name of readdirSync(this.folder)) {
        if (!name.endsWith(TEMPORARY)) continue;
        const path = join(this.folder, name);
        const since = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
        if (Date.now() - since > STALE_MS) rmSync(path, { force: true });
      }
    } catch (thrown) {
      throw asWriteFailure(thrown, this.folder);
    }
  }

  /** Throws {@link Failure} if there is no such folder. */
  check(): void {
    if (statSync(this.folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new Failure(`${this.folder}: no such folder`);
    }
  }

  pathOf(key: string): string {
    return join(this.folder, key.slice(0, 2), `${key.slice(2)}${SUFFIX}`);
  }

  read(key: string): Stored {
    const path = this.pathOf(key);
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(path);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'nothing' };
      throw asFailure(thrown, path);
    }
    const report = reportIn(bytes, key);
    return report === null ? { kind: 'damaged', path } : { kind: 'report', report };
  }

  /** Write a report: to a file of another name, on the disk, and only then under its own. */
  write(key: string, report: RunReport): void {
    const body = JSON.stringify(report);
    const text = `${FORMAT} ${key} ${digestOf(body)}\n${body}\n`;
    this.place(key, gzipSync(text, { level: 6 }));
  }

  /** Take over a result of another store. True if there was one, intact. */
  take(key: string, from: ResultStore): boolean {
    const stored = from.read(key);
    if (stored.kind !== 'report') return false;
    this.write(key, stored.report);
    return true;
  }

  private place(key: string, bytes: Uint8Array): void {
    const path = this.pathOf(key);
    const name = `${key}.${hostname()}.${process.pid}.${threadId}.${nextNumber++}${TEMPORARY}`;
    const temporary = join(this.folder, name);
    try {
      mkdirSync(dirname(path), { recursive: true });
      const file = openSync(temporary, 'w');
      try {
        writeFileSync(file, bytes);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, path);
    } catch (thrown) {
      rmSync(temporary, { force: true });
      throw asWriteFailure(thrown, path);
    }
  }
}

/** Of this thread's temporary files. */
let nextNumber = 0;

/** The report in a file, or null if the file is not as it was written. */
function reportIn(bytes: Uint8Array, key: string): RunReport | null {
  try {
    const text = gunzipSync(bytes).toString();
    const [, body = ''] = text.split('\n', 2);
    if (text !== `${FORMAT} ${key} ${digestOf(body)}\n${body}\n`) return null;
    return JSON.parse(body) as RunReport;
  } catch {
    return null;
  }
}
