// `vmxlab check`: run programs and scenarios, and compare with what they say they do.

import {
  type CheckResult,
  type Expectations,
  groupLines,
  isBad,
  junitText,
  resultsJson,
  summaryLine,
  tapText,
} from '../check/index.ts';
import type { GivenSetting } from '../machine/index.ts';
import type { CheckJob, CheckOutcome } from './check-job.ts';
import { type CheckedFile, findFiles, readCheckedFile, saysNothing } from './check-plan.ts';
import { runJobs } from './check-pool.ts';
import { type Judged, resultHead, resultOfVerdict } from './check-result.ts';
import { type GoldenUpdate, updateGolden } from './check-update.ts';
import { EXIT_BAD_INPUT, EXIT_UNEXPECTED, Failure } from './failure.ts';
import { defaultJobCount } from './job-pool.ts';
import type { AssemblyOptions } from './program.ts';
import { paintFor } from './terminal.ts';

export const CHECK_FORMATS = ['text', 'tap', 'junit', 'json'] as const;

export type CheckFormat = (typeof CHECK_FORMATS)[number];

export interface CheckOptions extends AssemblyOptions {
  readonly paths: readonly string[];
  readonly flags: readonly GivenSetting[];
  readonly format: CheckFormat;
  /** Runs at a time, or null for as many as there are processors. */
  readonly jobs: number | null;
  /** Only names that contain this. */
  readonly filter: string | null;
  /** Take golden lines as they come out. */
  readonly update: boolean;
}

/** A configuration of a file, with its runs. */
interface Group {
  readonly file: CheckedFile;
  readonly expectations: Expectations | null;
  /** {@link CheckResult}'s. */
  readonly configuration: string;
  readonly jobs: readonly CheckJob[];
  /** What is known without running anything. */
  readonly known: readonly CheckResult[];
}

/** Check, print, and return the exit code. */
export async function checkCommand(options: CheckOptions): Promise<number> {
  const named = new Set(options.paths);
  const files = findFiles(options.paths).map(readCheckedFile);
  const silent = files.find(({ path, plan }) => named.has(path) && plan?.isEmpty === true);
  if (silent !== undefined) throw saysNothing(silent.path);
  const groups = files.flatMap((file) => groupsOf(file, options));
  if (groups.length === 0) throw new Failure(`--filter: no name contains '${options.filter}'`);
  const outcomes = new Map<CheckJob, CheckOutcome>();
  const results: (readonly CheckResult[])[] = [];
  const paint = paintFor(process.stdout);
  const finish = () => {
    for (let next = groups[results.length]; next !== undefined; next = groups[results.length]) {
      if (next.jobs.some((job) => !outcomes.has(job))) return;
      const found = resultsOf(next, options, outcomes);
      results.push(found);
      const text = options.format === 'text' ? `${groupLines(found, paint).join('\n')}\n` : '';
      process.stdout.write(text);
    }
  };
  finish();
  const jobs = groups.flatMap((group) => group.jobs);
  await runJobs(jobs, options.jobs ?? defaultJobCount(), (outcome, i) => {
    outcomes.set(jobs[i], outcome);
    // What an update is about is decided when all runs are known.
    if (!options.update) finish();
  });
  if (options.update) {
    writeUpdates(groups, outcomes);
    finish();
  }
  printAll(results, options.format);
  const all = results.flat();
  if (all.some(({ status }) => status === 'error')) return EXIT_BAD_INPUT;
  return all.some(isBad) ? EXIT_UNEXPECTED : 0;
}

function printAll(groups: readonly (readonly CheckResult[])[], format: CheckFormat): void {
  const results = groups.flat();
  switch (format) {
    case 'text':
      process.stdout.write(`${summaryLine(groups)}\n`);
      return;
    case 'tap':
      process.stdout.write(tapText(results));
      return;
    case 'junit':
      process.stdout.write(junitText(results));
      return;
    case 'json':
      process.stdout.write(resultsJson(results));
      return;
  }
}

function groupsOf(file: CheckedFile, options: CheckOptions): Group[] {
  const { filter } = options;
  const isWanted = (name: string) => filter === null || name.includes(filter);
  const { path, plan } = file;
  if (plan === null || plan.isEmpty) {
    if (!isWanted(path)) return [];
    const status = plan === null ? 'error' : 'skip';
    const reason = plan === null ? file.problems : ['no expectations'];
    const known = [
      { ...resultHead(judgedOf(path, '', null, options, null)), status, reason } as const,
    ];
    return [{ file, expectations: null, configuration: '', jobs: [], known }];
  }
  return plan.expectations.flatMap((expectations, index): Group[] => {
    const { name, seeds } = expectations.configuration;
    const configuration = name ?? (plan.expectations.length > 1 ? `run${index + 1}` : '');
    if (!isWanted(`${path} ${configuration}`)) return [];
    const base = { file, expectations, configuration };
    if (expectations.skip !== null) {
      const head = resultHead(judgedOf(path, configuration, null, options, null));
      const known = [{ ...head, status: 'skip', reason: [expectations.skip] } as const];
      return [{ ...base, jobs: [], known }];
    }
    // A seed of the command line is the only one.
    const isGiven = options.flags.some(({ setting }) => setting.flag === 'seed');
    const runs = isGiven || seeds.length === 0 ? [null] : seeds;
    const jobs = runs.map((seed) => jobOf(path, index, seed, options));
    return [{ ...base, jobs, known: [] }];
  });
}

function jobOf(path: string, index: number, seed: number | null, options: CheckOptions): CheckJob {
  const { flags, defines, includes, syntax, linked } = options;
  return {
    path,
    index,
    seed,
    flags: flags.map(({ setting, value }) => [setting.flag, value] as const),
    assembly: { defines, includes, syntax, linked },
  };
}

function resultsOf(
  group: Group,
  options: CheckOptions,
  outcomes: ReadonlyMap<CheckJob, CheckOutcome>,
): readonly CheckResult[] {
  const found = group.jobs.map((job) => {
    const outcome = outcomes.get(job);
    if (outcome === undefined) throw new Error('a job has not been done');
    return resultOf(group, job, outcome, options);
  });
  return [...group.known, ...found];
}

function resultOf(
  { file, configuration, expectations }: Group,
  { seed }: CheckJob,
  outcome: CheckOutcome,
  options: CheckOptions,
): CheckResult {
  const judged = judgedOf(file.path, configuration, seed, options, expectations);
  if (outcome.kind === 'verdict') {
    return resultOfVerdict({ ...judged, seed: outcome.seed }, outcome.verdict);
  }
  return { ...resultHead(judged), status: 'error', reason: outcome.lines };
}

function judgedOf(
  path: string,
  configuration: string,
  seed: number | null,
  options: CheckOptions,
  expectations: Expectations | null,
): Judged {
  const filter = configuration === '' ? [] : ['--filter', configuration];
  const again = ['vmxlab', 'check', path, ...filter];
  return { path, configuration, seed, options, expectations, again };
}

/**
 * Golden lines become those of the first run that is about them; that run and all that agree with
 * it hold then.
 */
function writeUpdates(groups: readonly Group[], outcomes: Map<CheckJob, CheckOutcome>): void {
  const byPath = new Map<string, Map<number, GoldenUpdate>>();
  for (const { file, expectations, jobs } of groups) {
    const updates = byPath.get(file.path) ?? new Map<number, GoldenUpdate>();
    byPath.set(file.path, updates);
    for (const job of jobs) {
      const outcome = outcomes.get(job);
      if (outcome?.kind !== 'verdict' || expectations === null) continue;
      const settled = expectations.goldens.map((golden, i) => {
        const lines = outcome.verdict.goldenLines[i];
        const chosen = updates.get(golden.line) ?? { golden, lines };
        updates.set(golden.line, chosen);
        return JSON.stringify(chosen.lines) === JSON.stringify(lines);
      });
      outcomes.set(job, withoutSettled(outcome, expectations, settled));
    }
  }
  for (const [path, updates] of byPath) {
    if (updates.size > 0 && updateGolden(path, [...updates.values()])) {
      process.stderr.write(`updated ${path}\n`);
    }
  }
}

/** The outcome without failures about golden lines that are now what came out. */
function withoutSettled(
  outcome: Extract<CheckOutcome, { kind: 'verdict' }>,
  { goldens }: Expectations,
  settled: readonly boolean[],
): CheckOutcome {
  const failures = outcome.verdict.failures.filter(
    ({ golden }) => golden === null || !settled[goldens.findIndex(({ line }) => line === golden)],
  );
  return { ...outcome, verdict: { ...outcome.verdict, failures, holds: failures.length === 0 } };
}
