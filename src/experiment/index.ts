// experiment: factors and seeds multiplied out into scenarios, and what their runs say together.
// Knows nothing of files, clocks and processes: who runs the cells hands in their reports.
//
//   import { checkDefinition, studyOf } from 'vmxlab/experiment';
//   const scenario = { vms: [{ program: 'halt.bin' }] };
//   const outputs = { exits: 'sum(exits[*].count)' };
//   const document = { scenario, outputs, factors: { vcpus: [1, 2] }, seeds: 3 };
//   const { definition } = checkDefinition(document);
//   const { study } = studyOf(definition, scenario);
//   study.cells.map((cell) => cell.document.vms[0].vcpus); // [1, 2]

export {
  checkDefinition,
  DEFINITION,
  type Definition,
  type DefinitionDocument,
  definitionSchema,
  MAX_SEEDS,
} from './definition.ts';
export { type Experiment, reportOn } from './experiment.ts';
export { cyclictestText, type Histogram } from './histogram.ts';
export { PUBLISHED } from './published/index.ts';
export type { Report } from './report.ts';
export { experimentCsv, experimentDocument } from './report-data.ts';
export { experimentHtml } from './report-html.ts';
export { experimentMarkdown, experimentText } from './report-text.ts';
export { Results, type Run, type RunId, type RunOutcome, runOf } from './results.ts';
export {
  compareDifferences,
  compareRatios,
  jainIndex,
  kendallTau,
  type Paired,
  quantileOf,
  type Summary,
  summarize,
  totalVariation,
  tQuantile,
} from './statistics.ts';
export {
  type Cell,
  type Levels,
  labelOf,
  placeInDefinition,
  type Study,
  type StudyOptions,
  studyOf,
} from './study.ts';
