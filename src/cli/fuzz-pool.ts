// Where the cases of `vmxlab fuzz` run: here, or on worker threads. Outcomes come in the order of
// the cases, so that it makes no difference.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Piscina } from 'piscina';
import type { FuzzCase, Outcome } from '../fuzz/index.ts';
import { type FuzzJob, type FuzzSetup, runFuzzJob } from './fuzz-job.ts';

/** What the workers load: this project's own module, not the packed command. */
const WORKER = new URL('fuzz-job.js', import.meta.url);

/** Cases that a worker takes at a time. */
const CASES_AT_A_TIME = 8;

export class FuzzPool {
  private readonly setup: FuzzSetup;
  private readonly pool: Piscina<FuzzJob, Outcome[]> | null;

  /** @param jobs runs at a time; 1: in this thread */
  constructor(setup: FuzzSetup, jobs: number) {
    this.setup = setup;
    this.pool = jobs <= 1 ? null : createPool(jobs);
  }

  async run(cases: readonly FuzzCase[]): Promise<Outcome[]> {
    const { setup, pool } = this;
    if (pool === null) return runFuzzJob({ setup, cases });
    const parts: FuzzCase[][] = [];
    for (let at = 0; at < cases.length; at += CASES_AT_A_TIME) {
      parts.push(cases.slice(at, at + CASES_AT_A_TIME));
    }
    const outcomes = parts.map((part) => pool.run({ setup, cases: part }, { name: 'runFuzzJob' }));
    return (await Promise.all(outcomes)).flat();
  }

  async close(): Promise<void> {
    await this.pool?.destroy();
  }
}

/** Loaded only here: most commands have no use for it, and loading takes time. */
function createPool(maxThreads: number): Piscina<FuzzJob, Outcome[]> {
  const require = createRequire(import.meta.url);
  const { Piscina: Pool } = require('piscina') as typeof import('piscina');
  return new Pool({ filename: fileURLToPath(WORKER), minThreads: maxThreads, maxThreads });
}
