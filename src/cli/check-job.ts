// One run of `vmxlab check`: a file, which of its configurations, and a seed. Jobs and what comes
// of them are plain data, for they go to worker threads and back.

import { type Expectations, runChecked, type Verdict } from '../check/index.ts';
import { readCheckedFile } from './check-plan.ts';
import { loadExpected, settingOf } from './expected.ts';
import { Failure } from './failure.ts';
import { POLICY_LIMIT_MS, runWatched } from './policies.ts';
import type { AssemblyOptions } from './program.ts';

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

/**
 * Do a job. Wrong input comes back as an error; whatever else is thrown is ours.
 * @param policyLimitMs real time after which a policy that does not return ends the run
 */
export function runCheckJob(job: CheckJob, policyLimitMs = POLICY_LIMIT_MS): CheckOutcome {
  try {
    const { plan } = readCheckedFile(job.path);
    const expectations = plan?.expectations[job.index];
    if (expectations === undefined) throw new Failure(`${job.path}: has changed meanwhile`);
    return runJob(job, expectations, policyLimitMs);
  } catch (thrown) {
    if (thrown instanceof Failure) return { kind: 'error', lines: thrown.lines };
    throw thrown;
  }
}

function runJob(
  { path, seed, flags, assembly }: CheckJob,
  expectations: Expectations,
  policyLimitMs: number,
) {
  const given = flags.map(([flag, value]) => settingOf(flag, value));
  const input = loadExpected(path, { ...assembly, flags: given }, expectations, seed);
  const { scenario, ...options } = input;
  const verdict = runChecked(scenario, options, expectations, (machine) =>
    runWatched(machine, options.policies, policyLimitMs),
  );
  return { kind: 'verdict', verdict, seed: scenario.seed } as const;
}
