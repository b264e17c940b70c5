// fuzz: many runs of a program, each a change to one before that came by something new: its input,
// values of the scenario, the order of steps. Knows nothing of files and workers.
//
//   import { minimiseCase } from 'vmxlab/fuzz';
//   const input = Uint8Array.from('some VMX text', (character) => character.charCodeAt(0));
//   const one = { input, parameters: { seed: 3 }, schedule: null };
//   const holds = (smaller) => String.fromCharCode(...smaller.input).includes('VMX');
//   const smallest = minimiseCase(one, holds, 100);
//   String.fromCharCode(...smallest.input); // 'VMX'
//   smallest.parameters; // {}

export {
  type CaseSchedule,
  caseHash,
  caseText,
  type FuzzCase,
  type ParameterValue,
  parseCase,
} from './case.ts';
export {
  bytesOf,
  type Channel,
  channelsIn,
  givenBytes,
  type Places,
  parseChannels,
  withBytes,
} from './channel.ts';
export { type CorpusEntry, fewest } from './corpus.ts';
export { FEATURE_KINDS } from './coverage.ts';
export { type Domain, parseDomain } from './domain.ts';
export { Executor, type FuzzTarget, type Outcome } from './executor.ts';
export type { Finding, FindingKind } from './finding.ts';
export {
  BATCH,
  type FoundCase,
  Fuzzer,
  type FuzzerOptions,
  type FuzzStatistics,
  findingName,
} from './fuzzer.ts';
export { minimiseCase } from './minimise.ts';
export { FUZZ_STRATEGIES, type Strategy } from './schedule-runner.ts';
