// Reading and writing files, with messages that name the file and what is wrong with it.

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { Failure } from './failure.ts';

/** Larger files are not read: nothing that vmxlab works with is. */
const MAX_BYTES = 2 ** 31;

/** The bytes of a file. Throws {@link Failure} if it cannot be read. */
export function readBytes(path: string): Uint8Array {
  try {
    const stats = statSync(path);
    if (stats.isDirectory()) throw new Failure(`${path}: is a directory, not a file`);
    if (stats.size > MAX_BYTES) throw new Failure(`${path}: ${gibibytes(stats.size)} is too large`);
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

export function readText(path: string): string {
  return new TextDecoder().decode(readBytes(path));
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
    throw asFailure(thrown, path);
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

/** A system error as a message that names the file; anything else as it is. */
export function asFailure(thrown: unknown, path: string): unknown {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : null;
  return code === null ? thrown : new Failure(`${path}: ${REASONS[code] ?? code}`);
}
