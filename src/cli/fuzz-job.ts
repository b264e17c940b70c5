// What the workers of `vmxlab fuzz` do: load the program once, and run cases. Setups, cases and
// what comes of them are plain data, for they go to worker threads and back.

import type { Expectations } from '../check/index.ts';
import type { Strategy } from '../fuzz/index.ts';
import { Executor, type FuzzCase, type FuzzTarget, type Outcome } from '../fuzz/index.ts';
import { SETTINGS } from '../machine/index.ts';
import { emptyPlan, readCheckedFile } from './check-plan.ts';
import { Failure } from './failure.ts';
import {
  type AssemblyOptions,
  type Input,
  isElfFile,
  isScenario,
  isSource,
  loadInput,
} from './program.ts';

/** Everything that decides what a case does. */
export interface FuzzSetup {
  readonly file: string;
  /** Flags of the command line, by name. */
  readonly flags: readonly (readonly [flag: string, value: string])[];
  readonly assembly: AssemblyOptions;
  /** The configuration of the file's expectations; null for the first. */
  readonly configuration: string | null;
  readonly strategy: Strategy;
  readonly storeBuffers: boolean;
  /** See {@link FuzzTarget}. */
  readonly limit: number;
}

export interface FuzzJob {
  readonly setup: FuzzSetup;
  readonly cases: readonly FuzzCase[];
}

export interface LoadedTarget {
  readonly input: Input;
  readonly target: FuzzTarget;
}

/** Load what is fuzzed. Throws {@link Failure} with everything that is wrong. */
export function loadTarget(setup: FuzzSetup): LoadedTarget {
  const { file, assembly, strategy, storeBuffers, limit } = setup;
  const expectations = expectationsOf(setup);
  const { settings, defines } = expectations.configuration;
  const flags = [...settings, ...setup.flags.map(([flag, value]) => settingOf(flag, value))];
  const options = { ...assembly, defines: { ...defines, ...assembly.defines }, flags };
  const input = loadInput(file, options);
  const { scenario, programs, modules, symbols, policies } = input;
  const target = {
    // Only the interpreter can be told of every block.
    scenario: { ...scenario, engine: 'interpreter' as const },
    options: { programs, modules, symbols, policies },
    ...{ expectations, strategy, storeBuffers, limit },
  };
  return { input, target };
}

function expectationsOf({ file, configuration }: FuzzSetup): Expectations {
  const hasPlace = !isElfFile(file) && (isSource(file) || isScenario(file));
  const { plan, problems } = hasPlace ? readCheckedFile(file) : { plan: emptyPlan(), problems: [] };
  if (plan === null) throw new Failure(problems);
  const names = plan.expectations.map(({ configuration: { name } }) => name);
  const index = configuration === null ? 0 : names.indexOf(configuration);
  if (index >= 0) return plan.expectations[index];
  const known = names.filter((name) => name !== null);
  const list = known.length === 0 ? 'it names none' : `it has ${known.join(', ')}`;
  throw new Failure(`--configuration: ${file} has no RUN line named '${configuration}'; ${list}`);
}

function settingOf(flag: string, value: string) {
  const setting = SETTINGS.find((candidate) => candidate.flag === flag);
  if (setting === undefined) throw new Error(`there is no setting ${flag}`);
  return { setting, value };
}

/** The one of this thread, and what it is for. */
let prepared: { readonly key: string; readonly executor: Executor } | null = null;

/** Run cases one after the other. */
export function runFuzzJob({ setup, cases }: FuzzJob): Outcome[] {
  const key = JSON.stringify(setup);
  if (prepared?.key !== key) {
    prepared = { key, executor: new Executor(loadTarget(setup).target) };
  }
  const { executor } = prepared;
  return cases.map((one) => executor.run(one));
}
