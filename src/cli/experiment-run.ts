// Running the runs of a study that the store does not have yet, on all processors.

import { type Run, type RunOutcome, runOf } from '../experiment/index.ts';
import type { ExperimentJob, ExperimentJobOutcome } from './experiment-job.ts';
import { Progress } from './experiment-progress.ts';
import type { LoadedStudy, PlannedRun } from './experiment-study.ts';
import { createPool, type JobPool } from './job-pool.ts';
import { ResultStore } from './result-store.ts';

const WORKER = { module: new URL('experiment-job.js', import.meta.url), name: 'runExperimentJob' };

export interface RunTotals {
  /** All of them, in order, whatever became of them. */
  readonly runs: readonly Run[];
  /** How many were in the store before. */
  readonly fromStore: number;
  readonly interrupted: boolean;
}

/** Outputs of runs by key; reports are large, and looked at one at a time. */
class Outcomes {
  private readonly loaded: LoadedStudy;
  private readonly byKey = new Map<string, Run>();

  constructor(loaded: LoadedStudy) {
    this.loaded = loaded;
  }

  has({ key }: PlannedRun): boolean {
    return this.byKey.has(key);
  }

  add(run: PlannedRun, outcome: RunOutcome): Run {
    const known = runOf(this.loaded.study, run, outcome);
    this.byKey.set(run.key, known);
    return known;
  }

  /** Several cells may come to the same scenario. */
  all(runs: readonly PlannedRun[]): Run[] {
    return runs.map((run) => {
      const known = this.byKey.get(run.key);
      if (known === undefined) return runOf(this.loaded.study, run, { kind: 'missing' });
      return { ...known, cell: run.cell, seed: run.seed };
    });
  }
}

function storedOutcomes(loaded: LoadedStudy, runs: readonly PlannedRun[], store: ResultStore) {
  const outcomes = new Outcomes(loaded);
  let count = 0;
  for (const run of runs) {
    if (outcomes.has(run)) continue;
    const stored = store.read(run.key);
    if (stored.kind === 'damaged') {
      process.stderr.write(`vmxlab: ${stored.path}: is damaged, and as good as not there\n`);
    }
    if (stored.kind !== 'report') continue;
    outcomes.add(run, { kind: 'done', report: stored.report });
    count++;
  }
  return { outcomes, count };
}

/** What the store has; nothing is run. */
export function collectAll(loaded: LoadedStudy, store: ResultStore): RunTotals {
  const { outcomes, count } = storedOutcomes(loaded, loaded.runs, store);
  return { runs: outcomes.all(loaded.runs), fromStore: count, interrupted: false };
}

/**
 * Run what is not in the store. Ctrl-C ends it; what is finished is kept.
 * @param runs some of the study's
 * @param most runs at a time
 */
export async function runAll(
  loaded: LoadedStudy,
  runs: readonly PlannedRun[],
  store: ResultStore,
  most: number,
): Promise<RunTotals> {
  const { outcomes, count: fromStore } = storedOutcomes(loaded, runs, store);
  const missing = runs.filter((run) => !outcomes.has(run));
  const todo = [...new Map(missing.map((run) => [run.key, run])).values()];
  if (todo.length === 0) return { runs: outcomes.all(runs), fromStore, interrupted: false };
  const threads = Math.min(most, todo.length);
  const pool = createPool<ExperimentJob, ExperimentJobOutcome>(WORKER, threads);
  const progress = new Progress(todo.length);
  let interrupted = false;
  let next = 0;
  const lane = async () => {
    while (!interrupted && next < todo.length) {
      const run = todo[next++];
      const { folder, code } = loaded;
      const { document, key } = run;
      const outcome = await outcomeOf(pool, { document, folder, key, code, store: store.folder });
      if (interrupted) return;
      progress.finished(outcomes.add(run, outcome).problem !== null);
    }
  };
  const interrupt = new Promise<void>((resolve) => {
    process.once('SIGINT', () => {
      interrupted = true;
      resolve();
    });
  });
  try {
    await Promise.race([Promise.all(Array.from({ length: threads }, lane)), interrupt]);
  } finally {
    progress.clear();
    await pool.end();
  }
  return { runs: outcomes.all(runs), fromStore, interrupted };
}

async function outcomeOf(
  pool: JobPool<ExperimentJob, ExperimentJobOutcome>,
  job: ExperimentJob,
): Promise<RunOutcome> {
  try {
    const outcome = await pool.run(job);
    if (outcome.kind === 'failed') return outcome;
    const store = new ResultStore(job.store);
    const stored = store.read(job.key);
    if (stored.kind === 'report') return { kind: 'done', report: stored.report };
    return { kind: 'failed', lines: [`${store.pathOf(job.key)}: is not as it was written`] };
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return { kind: 'failed', lines: [`vmxlab failed: ${message}`] };
  }
}
