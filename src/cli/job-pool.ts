// Jobs on worker threads, as many at once as there are processors. A job and what comes of it are
// plain data; which function does it is named by its module.

import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Piscina } from 'piscina';

/** A function of one of this folder's modules. */
export interface Worker {
  /** This project's own module, not the packed command. */
  readonly module: URL;
  readonly name: string;
}

/** Where jobs run. */
export interface JobPool<Job, Outcome> {
  /** Do a job; rejected if the worker fails, or the pool has been ended. */
  readonly run: (job: Job) => Promise<Outcome>;
  /** Jobs that are under way are given up. */
  readonly end: () => Promise<void>;
}

export function defaultJobCount(): number {
  return availableParallelism();
}

/** Loaded only here: most commands have no use for it, and loading takes time. */
export function createPool<Job, Outcome>(
  { module, name }: Worker,
  maxThreads: number,
): JobPool<Job, Outcome> {
  const require = createRequire(import.meta.url);
  const { Piscina: Pool } = require('piscina') as typeof import('piscina');
  const filename = fileURLToPath(module);
  const pool: Piscina<Job, Outcome> = new Pool({ filename, minThreads: maxThreads, maxThreads });
  return { run: (job) => pool.run(job, { name }), end: () => pool.destroy() };
}
