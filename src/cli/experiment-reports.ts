// The files that an experiment's report is written to.

import { join } from 'node:path';
import {
  experimentCsv,
  experimentDocument,
  experimentMarkdown,
  type Report,
  type Results,
} from '../experiment/index.ts';
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
};

/** Write a file of each kind, named after the experiment. */
export function writeReports(folder: string, made: MadeReport): void {
  for (const [ending, write] of Object.entries(WRITERS)) {
    writeOutput(join(folder, `${made.report.name}.${ending}`), write(made));
  }
}

export function documentText(made: MadeReport): string {
  const { results, report } = made;
  return `${JSON.stringify(experimentDocument(results, report, provenanceOf(made)), null, 2)}\n`;
}

function provenanceOf({ commandLine, code }: MadeReport): Record<string, string> {
  return { vmxlab: `vmxlab ${VERSION}, code ${code.slice(0, 16)}`, command: commandLine };
}
