// What the workers of `vmxlab fuzz` do: load the program once, and run cases. Setups, cases and
// what comes of them are plain data, for they go to worker threads and back.

import type { Strategy } from '../fuzz/index.ts';
import { Executor, type FuzzCase, type FuzzTarget, type Outcome } from '../fuzz/index.ts';
import { expectationsOf, loadExpected, settingOf } from './expected.ts';
import { runWatched } from './policies.ts';
import type { AssemblyOptions, Input } from './program.ts';

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
  const expectations = expectationsOf(file, setup.configuration);
  const flags = setup.flags.map(([flag, value]) => settingOf(flag, value));
  const input = loadExpected(file, { ...assembly, flags }, expectations, null);
  const { scenario, programs, modules, symbols, policies } = input;
  const target = {
    // Only the interpreter can be told of every block.
    scenario: { ...scenario, engine: 'interpreter' as const },
    options: { programs, modules, symbols, policies },
    ...{ expectations, strategy, storeBuffers, limit },
  };
  return { input, target };
}

/** Runs cases of a target, and looks after its policies. */
export function executorFor(target: FuzzTarget): Executor {
  const policies = target.options.policies ?? new Map();
  return new Executor(target, (machine) => runWatched(machine, policies));
}

/** The one of this thread, and what it is for. */
let prepared: { readonly key: string; readonly executor: Executor } | null = null;

/** Run cases one after the other. */
export function runFuzzJob({ setup, cases }: FuzzJob): Outcome[] {
  const key = JSON.stringify(setup);
  if (prepared?.key !== key) {
    prepared = { key, executor: executorFor(loadTarget(setup).target) };
  }
  const { executor } = prepared;
  return cases.map((one) => executor.run(one));
}
