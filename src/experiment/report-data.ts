// Reports for programs: CSV, a row for each run, and one JSON document.

import type { Report } from './report.ts';
import type { Results } from './results.ts';
import { labelOf, type Output } from './study.ts';

/** Changes whenever a reader of the document would have to change. */
export const EXPERIMENT_SCHEMA_VERSION = 1;

/** A row for each run: its levels, its seed, its outputs (histograms are in the JSON document). */
export function experimentCsv({ study, runs }: Results): string {
  const outputs = study.outputs.filter(({ kind }) => kind === 'number');
  const head = [
    ...study.factors.map(({ name }) => name),
    'seed',
    ...outputs.map(nameOf),
    'problem',
  ];
  const rows = runs.map(({ cell, seed, numbers, problem }) => [
    ...study.factors.map(({ name }) => cell.levels[name]),
    String(seed),
    ...outputs.map(({ name }) => (Object.hasOwn(numbers, name) ? String(numbers[name]) : '')),
    problem ?? '',
  ]);
  return [head, ...rows].map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

function nameOf({ name }: Output): string {
  return name;
}

/** RFC 4180: quotes around what has commas, quotes or line breaks. */
function field(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Everything there is, for programs: statistics of each cell, every run, the report. */
export function experimentDocument(
  results: Results,
  report: Report,
  provenance: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const { study, runs } = results;
  const { name, title, note, tables, verdicts, problems } = report;
  return {
    schemaVersion: EXPERIMENT_SCHEMA_VERSION,
    name,
    title,
    note,
    ...provenance,
    factors: study.factors,
    outputs: study.outputs.map(({ expression: _, ...output }) => output),
    cells: study.cells.map((cell) => ({
      cell: labelOf(cell.levels),
      levels: cell.levels,
      outputs: Object.fromEntries(
        study.outputs.map((output) => [
          output.name,
          output.kind === 'number'
            ? results.summary(cell, output.name)
            : { histogram: results.histogram(cell, output.name) },
        ]),
      ),
      measured: study.measured.filter((one) => results.measured(cell, one.output) === one),
    })),
    runs: runs.map(({ cell, seed, numbers, histograms, problem }) => {
      return { levels: cell.levels, seed, numbers, histograms, problem };
    }),
    tables,
    verdicts,
    problems,
  };
}
