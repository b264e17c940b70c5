// `vmxlab check --update`: golden lines are written into the files that they stand in.

import type { Golden } from '../check/index.ts';
import { Failure } from './failure.ts';
import { readText, writeOutput } from './files.ts';
import { isSource } from './program.ts';

/** A golden place, and what it has to say. */
export interface GoldenUpdate {
  readonly golden: Golden;
  readonly lines: readonly string[];
}

/** Rewrite the golden lines of a file. True if anything has changed. */
export function updateGolden(path: string, updates: readonly GoldenUpdate[]): boolean {
  const text = readText(path, isSource(path) ? 'source' : 'scenario');
  const lines = text.split('\n');
  // From the last on, so that places before it stay where they are.
  for (const { golden, lines: wanted } of [...updates].sort(byPlace)) {
    const head = lines[golden.line - 1] ?? '';
    const [, indent, marker] = /^(\s*)((?:;|#|\/\/)?)\s*GOLDEN\b/.exec(head) ?? [];
    if (indent === undefined || marker === undefined) {
      throw new Failure(`${path}:${golden.line}: GOLDEN has to stand on a line of its own`);
    }
    const made = wanted.map((line) => `${indent}${marker}| ${line}`.trimEnd());
    lines.splice(golden.line, golden.lines.length, ...made);
  }
  const changed = lines.join('\n');
  if (changed === text) return false;
  writeOutput(path, changed);
  return true;
}

function byPlace(a: GoldenUpdate, b: GoldenUpdate): number {
  return b.golden.line - a.golden.line;
}
