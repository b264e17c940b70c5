// This side of the images: a virtual machine around each, as `vmxlab run` makes it.

import { Machine } from '../../src/machine/index.ts';
import { runToEnd, scenarioOf } from '../support/guest-run.ts';
import { observations } from './emulators.ts';

export interface OwnRun {
  readonly lines: readonly string[];
  /** How the machine ended: `exited` if it was the image's own doing. */
  readonly status: string;
  readonly message: string;
}

/** The lines that an image prints here, and why it ended. */
export function runUnderOurs(image: Uint8Array, processors: number): OwnRun {
  const setup = { vcpus: processors, pcpus: processors, limits: { time: '2s' } };
  const scenario = scenarioOf({ ...setup, vm: { memory: '32M' } });
  const { ending, report } = runToEnd(new Machine(scenario, { programs: [image] }));
  return { lines: observations(report.output), status: ending.status, message: ending.message };
}
