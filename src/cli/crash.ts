// When vmxlab itself fails: say how to report it, and leave a file that makes it happen again.

import { writeFileSync } from 'node:fs';
import { type Contained, selfContained } from './self-contained.ts';
import { VERSION } from './version.ts';

/** The run that is under way, so that a failure can be repeated. */
let underWay: Contained | null = null;

/** Remember what is being run; null when nothing is. */
export function setRunUnderWay(run: Contained | null): void {
  underWay = run;
}

/** Lines to print about an unexpected error; writes the replayable file if a run was under way. */
export function crashLines(thrown: unknown): string[] {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const lines = [
    `vmxlab: internal error: ${error.message}`,
    `This is a fault of vmxlab ${VERSION}, not of your program. Please report it with`,
  ];
  if (underWay === null) {
    return [...lines, 'the command line and this text:', error.stack ?? ''];
  }
  const file = `vmxlab-crash-${process.pid}.json`;
  const note = `vmxlab ${VERSION}, Node ${process.version}: ${error.stack ?? error.message}`;
  try {
    writeFileSync(file, JSON.stringify({ ...selfContained(underWay), note }, null, 2));
    return [...lines, `the file ${file}; 'vmxlab run ${file}' makes it happen again.`];
  } catch {
    return [...lines, 'this text (the replay file could not be written):', error.stack ?? ''];
  }
}
