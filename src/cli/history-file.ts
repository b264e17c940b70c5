// Lines that were typed into the debugger, from one session to the next: a file in the user's state
// directory. https://specifications.freedesktop.org/basedir-spec

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { MOST_LINES } from '../debug/index.ts';

function pathOf(): string {
  const { XDG_STATE_HOME = '' } = process.env;
  // The specification has relative paths ignored.
  const state = isAbsolute(XDG_STATE_HOME) ? XDG_STATE_HOME : join(homedir(), '.local/state');
  return join(state, 'vmxlab/debug-history');
}

/** Oldest first; none if there is no such file, or it cannot be read. */
export function readHistory(): readonly string[] {
  try {
    const lines = readFileSync(pathOf(), 'utf8').split('\n');
    return lines.filter((line) => line !== '').slice(-MOST_LINES);
  } catch {
    return [];
  }
}

/** Add lines to what other sessions have added. Where that cannot be, nothing depends on it. */
export function addToHistory(added: readonly string[]): void {
  if (added.length === 0) return;
  const path = pathOf();
  const lines = [...readHistory(), ...added].slice(-MOST_LINES);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // Whoever reads meanwhile finds the old lines or the new ones.
    const scratch = `${path}.${process.pid}`;
    writeFileSync(scratch, `${lines.join('\n')}\n`, { mode: 0o600 });
    renameSync(scratch, path);
  } catch {
    // A read-only home is no reason to complain.
  }
}
