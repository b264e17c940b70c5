// One run of `vmxlab check`: a file, which of its configurations, and a seed. Jobs and what comes
// of them are plain data, for they go to worker threads and back.

import { type Expectations, PlaceError, runChecked, type Verdict } from '../check/index.ts';
import { type GivenSetting, SETTINGS } from '../machine/index.ts';
import { readCheckedFile } from './check-plan.ts';
import { Failure } from './failure.ts';
import { readText } from './files.ts';
import { type AssemblyOptions, loadInput, pointAt } from './program.ts';

export interface CheckJob {
  readonly path: string;
  /** Which of the file's configurations, from 0. */
  readonly index: number;
  /** The seed of this run, or null for that of the scenario. */
  readonly seed: number | null;
  /** Flags of the command line, by name; they outdo the configuration's settings. */
  readonly flags: readonly (readonly [flag: string, value: string])[];
  readonly assembly: AssemblyOptions;
}

export type CheckOutcome =
  | { readonly kind: 'verdict'; readonly verdict: Verdict; readonly seed: number }
  /** It could not be run; the lines say why. */
  | { readonly kind: 'error'; readonly lines: readonly string[] };

/** Do a job. Wrong input comes back as an error; whatever else is thrown is ours. */
export function runCheckJob(job: CheckJob): CheckOutcome {
  try {
    const { plan } = readCheckedFile(job.path);
    const expectations = plan?.expectations[job.index];
    if (expectations === undefined) throw new Failure(`${job.path}: has changed meanwhile`);
    return runJob(job, expectations);
  } catch (thrown) {
    if (thrown instanceof Failure) return { kind: 'error', lines: thrown.lines };
    throw thrown;
  }
}

function runJob(job: CheckJob, expectations: Expectations): CheckOutcome {
  const { configuration } = expectations;
  const seed: readonly GivenSetting[] = job.seed === null ? [] : [settingOf('seed', job.seed)];
  const flags = [
    ...configuration.settings,
    ...seed,
    ...job.flags.map(([flag, value]) => settingOf(flag, value)),
  ];
  const defines = { ...configuration.defines, ...job.assembly.defines };
  try {
    const input = loadInput(job.path, { ...job.assembly, defines, flags });
    const { scenario, ...options } = input;
    const verdict = runChecked(scenario, options, expectations);
    return { kind: 'verdict', verdict, seed: scenario.seed };
  } catch (thrown) {
    if (thrown instanceof PlaceError) throw misplaced(thrown, job, expectations);
    throw thrown instanceof Failure ? placed(thrown, job, expectations) : thrown;
  }
}

function settingOf(flag: string, value: string | number): GivenSetting {
  const setting = SETTINGS.find((candidate) => candidate.flag === flag);
  if (setting === undefined) throw new Error(`there is no setting ${flag}`);
  return { setting, value: String(value) };
}

/** A property names a place that the program does not have. */
function misplaced(
  { property, message }: PlaceError,
  { path }: CheckJob,
  { properties }: Expectations,
): Failure {
  const stated = properties.find((candidate) => candidate.property === property);
  if (stated === undefined) return new Failure(`${path}: ${message}`);
  return new Failure(pointAt(path, readText(path, 'source'), { ...stated, message }));
}

/** What is wrong with a setting is shown where the RUN line gives it. */
function placed(failure: Failure, job: CheckJob, { configuration }: Expectations): Failure {
  const lines = failure.lines.map((line) => {
    const [, flag, message] = /^vmxlab: --([\w-]+): (.*)$/.exec(line) ?? [];
    const given = configuration.settings.find(({ setting }) => setting.flag === flag);
    if (given === undefined || job.flags.some(([name]) => name === flag)) return line;
    const text = readText(job.path, 'source');
    return pointAt(job.path, text, { ...given, message: `${flag}: ${message}` });
  });
  return new Failure(lines, failure.exitCode);
}
