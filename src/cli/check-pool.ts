// Where the jobs of `vmxlab check` run: on worker threads, as many at once as there are processors,
// or here if there is nothing to be gained by that. Results come in the order of the jobs.

import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Piscina } from 'piscina';
import { type CheckJob, type CheckOutcome, runCheckJob } from './check-job.ts';

/** What the workers load: this project's own module, not the packed command. */
const WORKER = new URL('check-job.js', import.meta.url);

export function defaultJobCount(): number {
  return availableParallelism();
}

/** Run jobs, so many at a time, and hand each outcome to `done`, in the order of the jobs. */
export async function runJobs(
  jobs: readonly CheckJob[],
  most: number,
  done: (outcome: CheckOutcome, index: number) => void,
): Promise<void> {
  const count = Math.min(most, jobs.length);
  if (count <= 1) {
    jobs.forEach((job, i) => {
      done(runCheckJob(job), i);
    });
    return;
  }
  const pool = createPool(count);
  try {
    const outcomes = jobs.map((job) => pool.run(job, { name: 'runCheckJob' }));
    // One that fails early is looked at in its turn.
    for (const outcome of outcomes) outcome.catch(() => undefined);
    for (const [i, outcome] of outcomes.entries()) done(await outcome, i);
  } finally {
    await pool.destroy();
  }
}

/** Loaded only here: most commands have no use for it, and loading takes time. */
function createPool(maxThreads: number): Piscina<CheckJob, CheckOutcome> {
  const require = createRequire(import.meta.url);
  const { Piscina: Pool } = require('piscina') as typeof import('piscina');
  return new Pool({ filename: fileURLToPath(WORKER), minThreads: maxThreads, maxThreads });
}
