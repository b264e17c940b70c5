// `vmxlab experiment`: multiply out an experiment, run what has not been run, and say what comes of
// it.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  experimentText,
  PUBLISHED,
  Results,
  type Run,
  reportOn,
  type Study,
} from '../experiment/index.ts';
import { nearest } from '../sim/index.ts';
import { comparedCells, explainCells, levelsOf } from './experiment-explain.ts';
import { writeFailedRuns } from './experiment-failures.ts';
import { documentText, writeReports } from './experiment-reports.ts';
import { collectAll, type RunTotals, runAll } from './experiment-run.ts';
import { submitToSlurm } from './experiment-slurm.ts';
import { type LoadedStudy, loadStudy, type PlannedRun } from './experiment-study.ts';
import { EXIT_INTERRUPTED, EXIT_UNEXPECTED, Failure } from './failure.ts';
import { asWriteFailure } from './files.ts';
import { defaultJobCount } from './job-pool.ts';
import { ResultStore } from './result-store.ts';
import { paintFor } from './terminal.ts';

export const DEFAULT_STORE = join('.vmxlab', 'results');

export interface ExperimentOptions {
  /** What stands behind the command: a name, or merge and more. */
  readonly words: readonly string[];
  readonly list: boolean;
  readonly quick: boolean;
  /** Say where the time went in the cells, instead of what came of them. */
  readonly explain: boolean;
  /** The same of two cells, or null. */
  readonly compare: readonly [string, string] | null;
  readonly json: boolean;
  /** Runs at a time, or null for as many as there are processors. */
  readonly jobs: number | null;
  readonly seeds: readonly number[] | null;
  /** `FACTOR=LEVEL`, each. */
  readonly cells: readonly string[];
  /** Folder for reports, or undefined. */
  readonly output: string | undefined;
  readonly store: string;
  readonly shard: Shard | null;
  /** Shards to submit, or null. */
  readonly shards: number | null;
  /** Options for sbatch. */
  readonly sbatch: readonly string[];
  readonly dryRun: boolean;
  /** As the user typed it. */
  readonly commandLine: string;
}

/** Every so many-th run, from the first on. */
export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly count: number;
}

/** Run, print, and return the exit code. */
export async function experimentCommand(options: ExperimentOptions): Promise<number> {
  if (options.list) return listExperiments();
  const [first, ...rest] = options.words;
  if (first === 'submit') return submitCommand(rest, options);
  checkNotForSubmit(options);
  if (first === 'merge') return mergeCommand(rest, options);
  if (first === undefined) throw new Failure('experiment needs a name or a file, or --list');
  if (rest.length > 0) throw new Failure(`unexpected argument '${rest[0]}'`);
  const loaded = load(first, options);
  const { compare, json } = options;
  if (compare !== null) return explainCells(loaded, comparedCells(loaded, compare), json);
  if (options.explain) return explainCells(loaded, loaded.study.cells, json);
  const store = new ResultStore(options.store);
  store.open();
  const most = options.jobs ?? defaultJobCount();
  const { shard } = options;
  const runs = loaded.runs.filter((_, i) => shard === null || i % shard.count === shard.index - 1);
  const totals = await runAll(loaded, runs, store, most);
  if (totals.interrupted) {
    const done = totals.runs.filter(({ isMissing }) => !isMissing).length;
    const text = `${done} of ${runs.length} runs are done; the same command goes on from there`;
    process.stderr.write(`vmxlab: interrupted: ${text}\n`);
    return EXIT_INTERRUPTED;
  }
  return shard === null
    ? finish(loaded, totals, options)
    : finishShard(loaded, totals, shard, options);
}

/** Without `submit`, the experiment would be run here and now. */
function checkNotForSubmit({ dryRun, shards, sbatch }: ExperimentOptions): void {
  const given = { 'dry-run': dryRun, shards: shards !== null, sbatch: sbatch.length > 0 };
  for (const [flag, isGiven] of Object.entries(given)) {
    if (isGiven) throw new Failure(`--${flag}: is for 'vmxlab experiment submit'`);
  }
}

function listExperiments(): number {
  const width = Math.max(0, ...PUBLISHED.map(({ definition }) => definition.name.length));
  for (const { definition } of PUBLISHED) {
    const { name, title = '' } = definition;
    process.stdout.write(`${name.padEnd(width)}  ${String(title)}\n`);
  }
  return 0;
}

function load(what: string, options: ExperimentOptions): LoadedStudy {
  const only: Record<string, string[]> = {};
  for (const cell of options.cells) {
    for (const [factor, level] of levelsOf('--cell', cell)) {
      only[factor] = [...(only[factor] ?? []), level];
    }
  }
  const { quick, seeds } = options;
  return loadStudy(what, { quick, seeds, only }, (study) => checkCells(study, only));
}

/** A factor that is not there chooses nothing, and a level that is not there leaves nothing. */
function checkCells(study: Study, only: Readonly<Record<string, readonly string[]>>): void {
  const names = study.factors.map(({ name }) => name);
  for (const [name, levels] of Object.entries(only)) {
    const factor = study.factors.find((one) => one.name === name);
    if (factor === undefined) {
      const near = nearest(name, names);
      const hint = near === null ? `known: ${names.join(', ')}` : `did you mean '${near}'?`;
      throw new Failure(`--cell: there is no factor '${name}'; ${hint}`);
    }
    const missing = levels.find((level) => !factor.levels.includes(level));
    if (missing === undefined) continue;
    throw new Failure(`--cell: there is no level '${missing}' of ${name} in this study`);
  }
  if (study.cells.length === 0) throw new Failure('no cell is left to run');
}

/** Take over what other stores have, and report on everything; nothing is run. */
function mergeCommand(words: readonly string[], options: ExperimentOptions): number {
  const [what, ...stores] = words;
  if (what === undefined) {
    throw new Failure('merge needs an experiment, and stores unless all shards share one');
  }
  if (options.shard !== null) throw new Failure('--shard: merge is of all shards');
  const loaded = load(what, options);
  const store = new ResultStore(options.store);
  store.open();
  for (const folder of stores) {
    const other = new ResultStore(folder);
    other.check();
    for (const { key } of loaded.runs) {
      if (store.read(key).kind !== 'report') store.take(key, other);
    }
  }
  return finish(loaded, collectAll(loaded, store), options);
}

/** Hand the runs to a cluster. */
function submitCommand(words: readonly string[], options: ExperimentOptions): number {
  const [what, more] = words;
  if (what === undefined) throw new Failure('submit needs an experiment');
  if (more !== undefined) throw new Failure(`unexpected argument '${more}'`);
  if (options.shard !== null) throw new Failure('--shard: submit makes the shards, --shards many');
  const { runs, study } = load(what, options);
  const shards = options.shards ?? Math.min(DEFAULT_SHARDS, runs.length);
  if (shards > runs.length) {
    throw new Failure(`--shards: there are only ${runs.length} runs`);
  }
  return submitToSlurm({ what, name: study.name, shards, options });
}

/** Tasks of a job array, if nobody says how many. */
const DEFAULT_SHARDS = 16;

function finishShard(
  loaded: LoadedStudy,
  { runs, fromStore }: RunTotals,
  { index, count }: Shard,
  options: ExperimentOptions,
): number {
  const bad = runs.filter(({ problem }) => problem !== null);
  const failed = bad.length === 0 ? '' : `, ${bad.length} failed`;
  const text = `${runs.length} runs, ${fromStore} of them before${failed}`;
  process.stdout.write(`${loaded.study.name}, shard ${index} of ${count}: ${text}\n`);
  sayFailures(loaded, bad, options);
  return bad.length === 0 ? 0 : EXIT_UNEXPECTED;
}

function finish(loaded: LoadedStudy, { runs }: RunTotals, options: ExperimentOptions): number {
  const results = new Results(loaded.study, runs);
  const report = reportOn(loaded.experiment, results);
  const made = { results, report, commandLine: options.commandLine, code: loaded.code };
  if (options.output !== undefined) {
    makeFolder(options.output);
    writeReports(options.output, made);
  }
  const text = options.json
    ? documentText(made)
    : `${experimentText(report, paintFor(process.stdout)).join('\n')}\n`;
  process.stdout.write(text);
  sayFailures(loaded, results.failures, options);
  const isMissed = report.verdicts.some(({ holds, isOptional }) => holds === false && !isOptional);
  return report.problems.length > 0 || isMissed ? EXIT_UNEXPECTED : 0;
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (thrown) {
    throw asWriteFailure(thrown, path);
  }
}

/** Each failed run as a scenario of its own, and the command that repeats it. */
function sayFailures(loaded: LoadedStudy, bad: readonly Run[], options: ExperimentOptions): void {
  const planned = bad.flatMap((run): PlannedRun[] => {
    const found = loaded.runs.find(({ cell, seed }) => cell === run.cell && seed === run.seed);
    return found === undefined || run.isMissing ? [] : [found];
  });
  if (planned.length === 0) return;
  const lines = writeFailedRuns(planned, loaded, join(options.store, 'failed'));
  process.stderr.write(`To repeat what failed:\n${lines.map((line) => `  ${line}\n`).join('')}`);
}
