// What the runs of a study have come to: outputs of each run, and what they say together.

import type { RunReport } from '../machine/index.ts';
import { evaluate, evaluateHistogram, NoValue } from './expression.ts';
import { type Histogram, pooled } from './histogram.ts';
import {
  compareDifferences,
  compareRatios,
  type Paired,
  type Summary,
  summarize,
} from './statistics.ts';
import { type Cell, isOn, type Levels, type Output, type Study } from './study.ts';

/** A run: a cell of the study on a seed. */
export interface RunId {
  readonly cell: Cell;
  readonly seed: number;
}

/** What became of a run. */
export type RunOutcome =
  | { readonly kind: 'done'; readonly report: RunReport }
  /** It could not be run, or vmxlab failed; the lines say why. */
  | { readonly kind: 'failed'; readonly lines: readonly string[] }
  /** It has not been run. */
  | { readonly kind: 'missing' };

/** A run with its outputs, by name. */
export interface Run extends RunId {
  readonly numbers: Readonly<Record<string, number>>;
  readonly histograms: Readonly<Record<string, Histogram>>;
  /** Why there are no outputs, or not all; null if they are all there. */
  readonly problem: string | null;
  readonly isMissing: boolean;
}

const NOTHING = { numbers: {}, histograms: {} };

/** The outputs of a run; never throws. */
export function runOf({ endings, outputs }: Study, id: RunId, outcome: RunOutcome): Run {
  const { cell, seed } = id;
  if (outcome.kind === 'missing') {
    return { cell, seed, ...NOTHING, problem: 'has not been run', isMissing: true };
  }
  const failed = { cell, seed, ...NOTHING, isMissing: false };
  if (outcome.kind === 'failed') return { ...failed, problem: outcome.lines.join('\n') };
  const { report } = outcome;
  if (!(endings as readonly string[]).includes(report.status)) {
    return { ...failed, problem: `${report.status}: ${report.message}` };
  }
  const numbers: Record<string, number> = {};
  const histograms: Record<string, Histogram> = {};
  for (const { name, kind, expression } of outputs) {
    if (expression === null) continue;
    try {
      const names = { report: { ...report }, outputs: numbers };
      if (kind === 'histogram') histograms[name] = evaluateHistogram(expression, names);
      else numbers[name] = evaluate(expression, names);
    } catch (thrown) {
      if (!(thrown instanceof NoValue)) throw thrown;
      return { ...failed, problem: `output ${name}: ${thrown.message}` };
    }
  }
  return { cell, seed, numbers, histograms, problem: null, isMissing: false };
}

export class Results {
  readonly study: Study;
  /** In the order of cells and seeds. */
  readonly runs: readonly Run[];
  private readonly byCell: readonly (readonly Run[])[];

  constructor(study: Study, runs: readonly Run[]) {
    this.study = study;
    this.runs = runs;
    const byCell: Run[][] = study.cells.map(() => []);
    for (const run of runs) byCell[run.cell.index].push(run);
    this.byCell = byCell;
  }

  runsOf(cell: Cell): readonly Run[] {
    return this.byCell[cell.index];
  }

  /** The cells on some levels. */
  cellsOn(levels: Levels): readonly Cell[] {
    return this.study.cells.filter((cell) => isOn(cell.levels, levels));
  }

  /** The cell that differs from another one in these levels; null if it is left out. */
  sibling(cell: Cell, levels: Levels): Cell | null {
    return this.cellsOn({ ...cell.levels, ...levels })[0] ?? null;
  }

  /** Values of an output in a cell, by seed; without those of failed runs. */
  valuesBySeed(cell: Cell, output: string): ReadonlyMap<number, number> {
    const known = this.runsOf(cell).flatMap(({ seed, numbers }) =>
      Object.hasOwn(numbers, output) ? [[seed, numbers[output]] as const] : [],
    );
    return new Map(known);
  }

  values(cell: Cell, output: string): readonly number[] {
    return [...this.valuesBySeed(cell, output).values()];
  }

  summary(cell: Cell, output: string): Summary {
    return summarize(this.values(cell, output));
  }

  /** All seeds of a cell together. */
  histogram(cell: Cell, output: string): Histogram {
    return pooled(this.runsOf(cell).map(({ histograms }) => histograms[output] ?? []));
  }

  /** What somebody has measured of an output in a cell; null if nothing was. */
  measured(cell: Cell, output: string): Study['measured'][number] | null {
    const isIt = (one: Study['measured'][number]) =>
      one.output === output && isOn(cell.levels, one.cell);
    return this.study.measured.find(isIt) ?? null;
  }

  /** Two cells on the seeds that both have: (from, to). */
  pairs(from: Cell, to: Cell, output: string): (readonly [number, number])[] {
    const others = this.valuesBySeed(to, output);
    return [...this.valuesBySeed(from, output)].flatMap(([seed, value]) => {
      const other = others.get(seed);
      return other === undefined ? [] : [[value, other] as const];
    });
  }

  compare(from: Cell, to: Cell, output: string, as: 'ratio' | 'difference'): Paired {
    const pairs = this.pairs(from, to, output);
    return as === 'ratio' ? compareRatios(pairs) : compareDifferences(pairs);
  }

  /** The same with another output, which every run has that gives a number for it. */
  withOutput(output: Output, outputOf: (run: Run) => number | null): Results {
    const runs = this.runs.map((run) => {
      const value = run.problem === null ? outputOf(run) : null;
      if (value === null || !Number.isFinite(value)) return run;
      return { ...run, numbers: { ...run.numbers, [output.name]: value } };
    });
    const outputs = [...this.study.outputs.filter(({ name }) => name !== output.name), output];
    const study = { ...this.study, outputs };
    return new Results(study, runs);
  }

  /** Runs without their outputs, and not for want of having been run. */
  get failures(): readonly Run[] {
    return this.runs.filter(({ problem, isMissing }) => problem !== null && !isMissing);
  }

  get missing(): readonly Run[] {
    return this.runs.filter(({ isMissing }) => isMissing);
  }
}
