// Where the cases of `vmxlab fuzz` run: here, or on worker threads. Outcomes come in the order of
// the cases, so that it makes no difference.

import type { FuzzCase, Outcome } from '../fuzz/index.ts';
import { type FuzzJob, type FuzzSetup, runFuzzJob } from './fuzz-job.ts';
import { createPool } from './job-pool.ts';

const WORKER = { module: new URL('fuzz-job.js', import.meta.url), name: 'runFuzzJob' };

/** Cases that a worker takes at a time. */
const CASES_AT_A_TIME = 8;

export class FuzzPool {
  private readonly setup: FuzzSetup;
  private readonly pool: ReturnType<typeof createPool<FuzzJob, Outcome[]>> | null;

  /** @param jobs runs at a time; 1: in this thread */
  constructor(setup: FuzzSetup, jobs: number) {
    this.setup = setup;
    this.pool = jobs <= 1 ? null : createPool<FuzzJob, Outcome[]>(WORKER, jobs);
  }

  async run(cases: readonly FuzzCase[]): Promise<Outcome[]> {
    const { setup, pool } = this;
    if (pool === null) return runFuzzJob({ setup, cases });
    const parts: FuzzCase[][] = [];
    for (let at = 0; at < cases.length; at += CASES_AT_A_TIME) {
      parts.push(cases.slice(at, at + CASES_AT_A_TIME));
    }
    return (await Promise.all(parts.map((part) => pool.run({ setup, cases: part })))).flat();
  }

  async close(): Promise<void> {
    await this.pool?.end();
  }
}
