// The files that an experiment's report is written to.

import { join } from 'node:path';
import {
  cyclictestText,
  experimentCsv,
  experimentDocument,
  experimentHtml,
  experimentMarkdown,
  labelOf,
  type Report,
  type Results,
} from '../experiment/index.ts';
import { commitOf, PACKAGE_FOLDER } from './code-version.ts';
import { writeOutput } from './files.ts';
import { VERSION } from './version.ts';

/** A report and what made it. */
export interface MadeReport {
  readonly results: Results;
  readonly report: Report;
  readonly commandLine: string;
  /** Digest of the code that ran it. */
  readonly code: string;
}

/** By the ending of their names. */
const WRITERS: Readonly<Record<string, (made: MadeReport) => string>> = {
  md: (made) => experimentMarkdown(made.report, Object.values(provenanceOf(made))),
  csv: ({ results }) => experimentCsv(results),
  json: documentText,
  html: (made) => experimentHtml(made.report, Object.values(provenanceOf(made))),
};

/** Bins of cyclictest's files at most, as `cyclictest -h` has them. */
const MAX_BINS = 1_000_000;

/**
 * Write a file of each kind, named after the experiment, and for each output that is a histogram
 * one as cyclictest's, with a column for each cell.
 */
export function writeReports(folder: string, made: MadeReport): void {
  const { results, report } = made;
  for (const { name } of results.study.outputs.filter(({ kind }) => kind === 'histogram')) {
    const columns = results.study.cells.map((cell) => ({
      name: labelOf(cell.levels),
      histogram: results.histogram(cell, name),
    }));
    const values = columns.map(({ histogram }) => histogram.at(-1)?.[0] ?? 0);
    const bins = Math.min(Math.max(...values) + 1, MAX_BINS);
    writeOutput(join(folder, `${report.name}.${name}.hist`), cyclictestText(columns, bins));
  }
  for (const [ending, write] of Object.entries(WRITERS)) {
    writeOutput(join(folder, `${made.report.name}.${ending}`), write(made));
  }
}

export function documentText(made: MadeReport): string {
  const { results, report } = made;
  return `${JSON.stringify(experimentDocument(results, report, provenanceOf(made)), null, 2)}\n`;
}

function provenanceOf({ commandLine, code }: MadeReport): Record<string, string> {
  const commit = commitOf(PACKAGE_FOLDER);
  const words = [
    `vmxlab ${VERSION}`,
    ...(commit === null ? [] : [`commit ${commit}`]),
    `code ${code.slice(0, 16)}`,
  ];
  return { vmxlab: words.join(', '), command: commandLine };
}
