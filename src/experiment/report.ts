// What is said of an experiment's results, as data: tables, figures and verdicts. How that looks as
// text, Markdown, CSV, HTML or JSON is the business of the writers beside this file.

import type { Figure } from './figure.ts';
import { figuresOf } from './figures-of-study.ts';
import { histogramMean, histogramQuantile, totalOf } from './histogram.ts';
import { estimateText, numberText } from './number-text.ts';
import type { Results } from './results.ts';
import type { Paired } from './statistics.ts';
import { type Cell, labelOf, type Output } from './study.ts';

/** A mean, its 95 % interval and what it is of. */
export interface Estimate {
  readonly mean: number;
  readonly halfWidth: number | null;
  readonly sd: number | null;
  readonly count: number;
}

/** Null is nothing to show. */
export type Value = string | number | Estimate | null;

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Value[])[];
  /** Lines below it. */
  readonly notes: readonly string[];
}

/** Something that was claimed beforehand, and whether it is so. */
export interface Verdict {
  readonly claim: string;
  /** Null: not judged, for want of cells or of runs; `found` says why. */
  readonly holds: boolean | null;
  /** A miss that is wanted but not required. */
  readonly isOptional: boolean;
  /** What was found, in numbers. */
  readonly found: string;
}

export interface Report {
  readonly name: string;
  readonly title: string;
  readonly note: string;
  readonly tables: readonly Table[];
  readonly figures: readonly Figure[];
  readonly verdicts: readonly Verdict[];
  /** What went wrong, and in which runs. */
  readonly problems: readonly string[];
}

/** The report on any experiment: results, comparisons and figures as its definition has them. */
export function standardReport(results: Results): Report {
  const { name, title, note } = results.study;
  const comparisons = comparisonTable(results);
  const tables = [resultTable(results), ...(comparisons === null ? [] : [comparisons])];
  const figures = figuresOf(results);
  return { name, title, note, tables, figures, verdicts: [], problems: problemsOf(results) };
}

/** A value as people read it. */
export function valueText(value: Value): string {
  if (value === null) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value);
  return estimateText(value.mean, value.halfWidth);
}

/** What is wrong is often the same for many runs. */
function problemsOf({ failures, missing }: Results): string[] {
  const byProblem = new Map<string, string[]>();
  for (const { cell, seed, problem } of failures) {
    const run = `${labelOf(cell.levels)} seed=${seed}`;
    byProblem.set(problem ?? '', [...(byProblem.get(problem ?? '') ?? []), run]);
  }
  const failed = [...byProblem].map(([problem, runs]) => {
    const more = runs.length > 1 ? ` and ${runs.length - 1} more` : '';
    return `${runs[0]}${more}: ${problem}`;
  });
  return missing.length === 0 ? failed : [...failed, `${missing.length} runs are missing`];
}

/** A column of {@link resultTable}. */
interface Column {
  readonly title: string;
  readonly of: (cell: Cell) => Value;
}

/** A row for each cell. */
export function resultTable(results: Results): Table {
  const { study } = results;
  const columns: Column[] = [
    ...study.factors.map(({ name }) => ({
      title: name,
      of: (cell: Cell) => cell.levels[name],
    })),
    { title: 'runs', of: (cell) => countText(results, cell) },
    ...study.outputs.flatMap((output) => columnsOf(results, output)),
  ];
  return {
    title: 'Results',
    columns: columns.map(({ title }) => title),
    rows: study.cells.map((cell) => columns.map(({ of }) => of(cell))),
    notes: tableNotes(results),
  };
}

function tableNotes({ study }: Results): string[] {
  const isEstimate = study.outputs.some(({ kind }) => kind === 'number');
  const sources = [...new Set(study.measured.map(({ source }) => source))].filter(Boolean);
  return [
    ...(isEstimate ? ['± is half the 95 % t interval of the mean over seeds.'] : []),
    ...(sources.length > 0 ? [`Measured: ${sources.join('; ')}.`] : []),
  ];
}

/** `5`, or `4 of 5` if there are failures. */
function countText(results: Results, cell: Cell): Value {
  const runs = results.runsOf(cell);
  const good = runs.filter(({ problem }) => problem === null).length;
  return good === runs.length ? good : `${good} of ${runs.length}`;
}

function columnsOf(results: Results, output: Output): Column[] {
  const heading = output.unit === '' ? output.title : `${output.title}, ${output.unit}`;
  if (output.kind === 'histogram') return histogramColumns(results, output, heading);
  const column = { title: heading, of: (cell: Cell) => estimateOf(results, cell, output.name) };
  const isMeasured = results.study.measured.some((one) => one.output === output.name);
  if (!isMeasured) return [column];
  const of = (cell: Cell) => results.measured(cell, output.name)?.value ?? null;
  return [column, { title: 'measured', of }];
}

function histogramColumns(results: Results, { name }: Output, heading: string): Column[] {
  const column = (title: string, of: (histogram: ReturnType<Results['histogram']>) => number) => ({
    title: `${heading}: ${title}`,
    of: (cell: Cell) => {
      const histogram = results.histogram(cell, name);
      return histogram.length === 0 ? null : of(histogram);
    },
  });
  return [
    column('count', totalOf),
    column('mean', histogramMean),
    column('median', (histogram) => histogramQuantile(histogram, 0.5)),
    column('99 %', (histogram) => histogramQuantile(histogram, 0.99)),
    column('max', (histogram) => histogram.at(-1)?.[0] ?? 0),
  ];
}

/** Null if no run of the cell has the output. */
export function estimateOf(results: Results, cell: Cell, output: string): Estimate | null {
  const { mean, halfWidth, sd, count } = results.summary(cell, output);
  return mean === null ? null : { mean, halfWidth, sd, count };
}

/** A row for each comparison and combination of the other factors; null without comparisons. */
export function comparisonTable(results: Results): Table | null {
  const { study } = results;
  if (study.comparisons.length === 0) return null;
  const rows = study.comparisons.flatMap(({ factor, from, to, output, as }) =>
    results.cellsOn({ [factor]: from }).flatMap((cell): Value[][] => {
      const other = results.sibling(cell, { [factor]: to });
      if (other === null) return [];
      const effect = results.compare(cell, other, output, as);
      const { [factor]: _, ...rest } = cell.levels;
      const where = Object.keys(rest).length === 0 ? '' : labelOf(rest);
      const what = as === 'ratio' ? `${to} / ${from}` : `${to} - ${from}`;
      const better = study.outputs.find(({ name }) => name === output)?.better ?? 'neither';
      return [[output, where, what, ...effectValues(effect), wordFor(effect.sign, better)]];
    }),
  );
  return {
    title: 'Comparisons',
    columns: ['output', 'where', 'what', 'pairs', 'effect', '95 % from', 'to', 'says'],
    rows,
    notes: ['On the same seeds; ratios are geometric means. What an interval excludes is said.'],
  };
}

function effectValues({ count, effect, low, high }: Paired): Value[] {
  return [count, effect, low, high];
}

function wordFor(sign: -1 | 0 | 1, better: Output['better']): string {
  if (sign === 0) return 'no difference shown';
  const word = sign > 0 ? 'more' : 'less';
  if (better === 'neither') return word;
  return `${word}: ${(sign > 0) === (better === 'higher') ? 'better' : 'worse'}`;
}
