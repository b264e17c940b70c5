// Reading and writing files, with messages that name the file and what is wrong with it.

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { Failure } from './failure.ts';

/** Larger files are not read: nothing that vmxlab works with is. */
const MAX_BYTES = 2 ** 31;

/** A text has to fit a string; assembly is written by people and macros. */
const MAX_TEXT_BYTES = 2 ** 28;
const MAX_SOURCE_BYTES = 2 ** 22;

/** The bytes of a file. Throws {@link Failure} if it cannot be read, or has more than `most`. */
export function readBytes(path: string, most = MAX_BYTES): Uint8Array {
  try {
    const size = sizeOf(path);
    if (size > most) {
      const limit = gibibytes(most);
      throw new Failure(`${path}: is too large (${gibibytes(size)}; at most ${limit} are read)`);
    }
    return readFileSync(path);
  } catch (thrown) {
    throw asFailure(thrown, path);
  }
}

/** Size of a file in bytes, before it is read. Throws {@link Failure} if it is not a file. */
export function sizeOf(path: string): number {
  try {
    const stats = statSync(path);
    if (stats.isDirectory()) throw new Failure(`${path}: is a directory, not a file`);
    return stats.size;
  } catch (thrown) {
    throw asFailure(thrown, path);
  }
}

/**
 * The first bytes of a file; none if it cannot be read, or if it is no ordinary file, where reading
 * would take them away.
 */
export function firstBytes(path: string, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  try {
    if (!statSync(path).isFile()) return bytes.subarray(0, 0);
    const file = openSync(path, 'r');
    const read = readSync(file, bytes, 0, count, 0);
    closeSync(file);
    return bytes.subarray(0, read);
  } catch {
    return bytes.subarray(0, 0);
  }
}

/** Text that somebody wrote, or we for somebody. */
export function readText(
  path: string,
  kind: 'scenario' | 'source' | 'command file' | 'fuzz case',
): string {
  const most = kind === 'source' ? MAX_SOURCE_BYTES : MAX_TEXT_BYTES;
  const bytes = readBytes(path, most);
  if (bytes.includes(0)) throw new Failure(`${path}: is not a text file`);
  return new TextDecoder().decode(bytes);
}

/** True if there is something by that name that is no directory. */
export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
}

/** True if both names are of one file, which exists. */
export function isSameFile(a: string, b: string): boolean {
  try {
    return realpathSync(a) === realpathSync(b);
  } catch {
    return false;
  }
}

/** Write a file, or standard output for `-`. */
export function writeOutput(path: string, data: Uint8Array | string): void {
  if (path === '-') {
    process.stdout.write(data);
    return;
  }
  try {
    writeFileSync(path, data);
  } catch (thrown) {
    throw asWriteFailure(thrown, path);
  }
}

/** Throws the {@link Failure} of {@link writeOutput} beforehand, as far as it can be known. */
export function checkWritable(path: string): void {
  try {
    accessSync(existsSync(path) ? path : dirname(path), constants.W_OK);
  } catch (thrown) {
    throw asWriteFailure(thrown, path);
  }
}

/** As people write sizes: 3.0 GiB. */
export function gibibytes(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes >= size) return `${(bytes / size).toFixed(1)} ${unit}`;
  }
  return `${bytes} bytes`;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'is a directory, not a file',
  ENOTDIR: 'a part of the path is not a directory',
  ENOSPC: 'no space left on the device',
  EROFS: 'the file system is read-only',
};

/** What a system error says, in words. */
export function reasonOf(error: NodeJS.ErrnoException): string {
  return REASONS[error.code ?? ''] ?? error.code ?? error.message;
}

/** A system error as a message that names the file; anything else as it is. */
export function asFailure(thrown: unknown, path: string): unknown {
  return isSystemError(thrown) ? new Failure(`${path}: ${reasonOf(thrown)}`) : thrown;
}

/** The same for a file that was to be written. */
export function asWriteFailure(thrown: unknown, path: string): unknown {
  if (!isSystemError(thrown)) return thrown;
  const reason = thrown.code === 'ENOENT' ? 'no such folder' : reasonOf(thrown);
  return new Failure(`cannot write ${path}: ${reason}`);
}

function isSystemError(thrown: unknown): thrown is NodeJS.ErrnoException {
  return thrown instanceof Error && 'code' in thrown;
}
