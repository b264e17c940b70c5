// check: what a run must do, written beside the program in the manner of LLVM's FileCheck, and
// properties over time; and whether it does. Knows nothing of files and workers.
//
//   import { matchLines } from 'vmxlab/check';
//   const output = ['tick 1', 'tick 2', 'done'];
//   const notes = ['OUTPUT-COUNT-2: tick', 'OUTPUT-NEXT: done', 'OUTPUT-NOT: {{.+}}'];
//   matchLines(notes, 'output', output); // []
//   matchLines(['OUTPUT: tick 3'], 'output', output)[0].message; // 'OUTPUT: not found'

export {
  CheckedRun,
  type Failure,
  observerFor,
  runChecked,
  type ShownLine,
  type Verdict,
} from './checked-run.ts';
export { StreamCollector, stateLines } from './collect.ts';
export type { Directive, Place, Problem } from './directive.ts';
export type { EventPattern } from './event-pattern.ts';
export { type GuestObserver, PlaceError, placesOfProperties } from './guest-observer.ts';
export { matchLines } from './match-lines.ts';
export {
  type CheckPlan,
  type Configuration,
  type Expectations,
  type Golden,
  readPlan,
  type Sheet,
  sheetOfSection,
  sheetOfSource,
} from './plan.ts';
export { type Claim, event, type Property, property, type Span } from './property.ts';
export { PropertyChecker, type Violation } from './property-checker.ts';
export { type PropertyProblem, parseProperty } from './property-grammar.ts';
export { type CheckResult, detailLines, isBad, type ResultStatus } from './result.ts';
export { junitText, resultDocument, resultsJson, tapText } from './result-formats.ts';
export { groupLines, summaryLine } from './result-text.ts';
export { STREAMS, type Stream, type StreamName } from './stream.ts';
