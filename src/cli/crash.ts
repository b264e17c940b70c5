// When vmxlab itself fails: say how to report it, and leave a file that makes it happen again.

import { writeFileSync } from 'node:fs';
import type { Scenario } from '../machine/index.ts';
import { VERSION } from './version.ts';

/** The run that is under way, so that a failure can be repeated. */
export interface RunUnderWay {
  readonly scenario: Scenario;
  readonly programs: readonly Uint8Array[];
  readonly modules: readonly (readonly Uint8Array[])[];
}

let underWay: RunUnderWay | null = null;

/** Remember what is being run; null when nothing is. */
export function setRunUnderWay(run: RunUnderWay | null): void {
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
  try {
    writeFileSync(file, JSON.stringify(replayable(underWay, error), null, 2));
    return [...lines, `the file ${file}; 'vmxlab run ${file}' makes it happen again.`];
  } catch {
    return [...lines, 'this text (the replay file could not be written):', error.stack ?? ''];
  }
}

/** A scenario that contains its programs. */
function replayable({ scenario, programs, modules }: RunUnderWay, error: Error): object {
  return {
    ...scenario,
    note: `vmxlab ${VERSION}, Node ${process.version}: ${error.stack ?? error.message}`,
    limits: {
      time: `${scenario.limits.time}ns`,
      instructions: scenario.limits.instructions,
    },
    vms: scenario.vms.map((vm, i) => ({
      ...vm,
      image: base64(programs[i]),
      module_images: modules[i].map(base64),
    })),
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
