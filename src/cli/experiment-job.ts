// One run of an experiment, on a worker thread: the scenario of a cell on a seed. Its report goes
// to the store from here, so that it is safe before anybody is told.

import {
  Machine,
  printPath,
  type RunReport,
  reportOf,
  type ScenarioDocument,
} from '../machine/index.ts';
import { Failure } from './failure.ts';
import { runWatched } from './policies.ts';
import { type Input, loadDocument, NO_INPUT_OPTIONS } from './program.ts';
import { keyOf, ResultStore } from './result-store.ts';

export interface ExperimentJob {
  readonly document: ScenarioDocument;
  /** Where its programs are. */
  readonly folder: string;
  /** Under which its report is stored. */
  readonly key: string;
  /** Digest of the code. */
  readonly code: string;
  /** Folder of the store. */
  readonly store: string;
}

export type ExperimentJobOutcome =
  | { readonly kind: 'stored' }
  | { readonly kind: 'failed'; readonly lines: readonly string[] };

/** Do a job. Wrong input comes back as a failure; whatever else is thrown is ours. */
export function runExperimentJob(job: ExperimentJob): ExperimentJobOutcome {
  try {
    const input = loadRun(job.document, job.folder);
    if (keyOf(input, job.folder, job.code) !== job.key) {
      throw new Failure('a program or a policy has changed meanwhile');
    }
    new ResultStore(job.store).write(job.key, runToEnd(input));
    return { kind: 'stored' };
  } catch (thrown) {
    if (thrown instanceof Failure) return { kind: 'failed', lines: thrown.lines };
    throw thrown;
  }
}

/** Load the scenario of a run, with messages by places in the scenario. */
export function loadRun(document: ScenarioDocument, folder: string): Input {
  return loadDocument(document, folder, NO_INPUT_OPTIONS, ({ path, message }) => {
    return `${printPath(path)}: ${message}`;
  });
}

function runToEnd({ scenario, policies, ...parts }: Input): RunReport {
  const { programs, modules, symbols } = parts;
  const machine = new Machine(scenario, { programs, modules, symbols, policies });
  return reportOf(machine, runWatched(machine, policies) ?? unfinished());
}

function unfinished(): never {
  throw new Error('a run without a limit has not ended');
}
