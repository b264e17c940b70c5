// Part of `npm run bench`: two guests of 28 vCPUs that compile on the same 28 pCPUs, as in the
// experiment x2, by the built command: CPU time of a virtual second, and what went by in it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Cell,
  checkDefinition,
  labelOf,
  PUBLISHED,
  studyOf,
} from '../src/experiment/index.ts';
import { timed } from './child.ts';
import { inFolder } from './folder.ts';
import { ROOT } from './images.ts';
import { launcher } from './ours.ts';
import { type Figures, figures } from './statistics.ts';

const EXPERIMENT = 'x2';
const PARTIES = 'guest+guest';

/** Virtual time of two runs, in seconds: what is between them is without the start. */
const [SHORT, LONG] = [4, 10];

export interface ContendedCosts {
  /** Of the cell of the experiment. */
  readonly lock: string;
  /** CPU seconds of a virtual second. */
  readonly secondsPerSecond: Figures;
  /** In a virtual second of the longer run. */
  readonly lockOperations: number;
  readonly executedInstructions: number;
  /** Of all pCPUs, by the rule that left them out. */
  readonly skippedCycles: Readonly<Record<'delays' | 'waits' | 'idle', number>>;
}

/** What is read of the command's JSON. */
interface RunReport {
  readonly vms: readonly { readonly results: { readonly lock_operations: readonly number[] } }[];
  readonly stats: {
    readonly engine: {
      readonly compiledInstructions: number;
      readonly interpretedInstructions: number;
      readonly skipped: Readonly<Record<'delays' | 'waits', { readonly cycles: number }>>;
      readonly idleCycles: number;
    };
  };
}

/** The cells of the experiment with two guests, one for each lock. */
export function contendedCells(): readonly Cell[] {
  const definition = PUBLISHED.find((each) => each.definition.name === EXPERIMENT)?.definition;
  const checked = checkDefinition(definition);
  if ('issues' in checked) throw new Error(checked.issues[0].message);
  const { scenario } = checked.definition;
  const expanded = studyOf(checked.definition, scenario as Readonly<Record<string, unknown>>, {
    ...{ quick: false, seeds: [1], only: { parties: [PARTIES] } },
  });
  if ('issues' in expanded) throw new Error(expanded.issues[0].message);
  return expanded.study.cells;
}

/** So many runs of each length, in turn, for each lock. */
export function measureContended(runs: number): ContendedCosts[] {
  return contendedCells().map(({ levels, document }) => {
    console.error(`${EXPERIMENT}, ${labelOf(levels)}`);
    return inFolder((folder) => costsOf(levels.lock, document, folder, runs));
  });
}

function costsOf(lock: string, document: object, folder: string, runs: number): ContendedCosts {
  const text = JSON.stringify({ vmxlab: 1, ...document });
  const programs = text.replaceAll('"guest-programs/', `"${join(ROOT, 'guest-programs')}/`);
  writeFileSync(join(folder, 'machine.yaml'), programs);
  const words = ['run', 'machine.yaml', '--json', '--stats', 'engine'];
  const run = (seconds: number) => {
    const args = [launcher(ROOT), ...words, '--until', `${seconds}s`];
    return timed({ program: process.execPath, args, folder });
  };
  const pairs = Array.from({ length: runs }, () => ({ short: run(SHORT), long: run(LONG) }));
  const costs = pairs.map(
    ({ short, long }) => (long.cpuSeconds - short.cpuSeconds) / (LONG - SHORT),
  );
  // The same each time.
  const report = JSON.parse(pairs[0].long.stdout) as RunReport;
  const { engine } = report.stats;
  const operations = report.vms.flatMap(({ results }) => results.lock_operations);
  return {
    lock,
    secondsPerSecond: figures(costs),
    lockOperations: operations.reduce((sum, each) => sum + each, 0) / LONG,
    executedInstructions: (engine.compiledInstructions + engine.interpretedInstructions) / LONG,
    skippedCycles: {
      delays: engine.skipped.delays.cycles / LONG,
      waits: engine.skipped.waits.cycles / LONG,
      idle: engine.idleCycles / LONG,
    },
  };
}
