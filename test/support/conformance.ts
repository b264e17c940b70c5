// Recorded data that is too large for the repository lies beside it. Tests use it when it is there.

import { existsSync, readFileSync } from 'node:fs';

const ROOT = new URL('../../../shared/conformance/', import.meta.url);

/** The lines of a file of the conformance data, or null if it is not there. */
export function conformanceLines(path: string): string[] | null {
  const url = new URL(path, ROOT);
  if (!existsSync(url)) return null;
  return readFileSync(url, 'utf8').split('\n');
}

/** Why a test that needs such a file is skipped. */
export function absent(path: string): string {
  return `needs shared/conformance/${path} beside the repository`;
}
