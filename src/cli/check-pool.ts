// Where the jobs of `vmxlab check` run: on worker threads, or here if there is nothing to be gained
// by that. Results come in the order of the jobs.

import { type CheckJob, type CheckOutcome, runCheckJob } from './check-job.ts';
import { createPool } from './job-pool.ts';

const WORKER = { module: new URL('check-job.js', import.meta.url), name: 'runCheckJob' };

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
  const pool = createPool<CheckJob, CheckOutcome>(WORKER, count);
  try {
    const outcomes = jobs.map((job) => pool.run(job));
    // One that fails early is looked at in its turn.
    for (const outcome of outcomes) outcome.catch(() => undefined);
    for (const [i, outcome] of outcomes.entries()) done(await outcome, i);
  } finally {
    await pool.end();
  }
}
