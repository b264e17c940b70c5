// Experiments that are programs: a definition as a plain object, and an analysis in TypeScript
// where tables of cells are not all that is to be said.

import type { DefinitionDocument } from './definition.ts';
import { type Report, standardReport } from './report.ts';
import type { Results } from './results.ts';

export interface Experiment {
  /** As a definition file; its `scenario` is inline, with programs relative to the package. */
  readonly definition: DefinitionDocument & { readonly name: string };
  /**
   * What the runs say, for instance {@link standardReport} of results with further outputs
   * (`results.withOutput`), tables and verdicts of its own added. That report itself if there is
   * no such function.
   */
  readonly report?: (results: Results) => Report;
}

/** What an experiment says of its results. */
export function reportOn({ report }: Pick<Experiment, 'report'>, results: Results): Report {
  return (report ?? standardReport)(results);
}
