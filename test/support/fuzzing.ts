// Fuzzing of small programs, in this process.

import { readPlan, sheetOfSource } from '../../src/check/index.ts';
import {
  type Domain,
  Executor,
  Fuzzer,
  type FuzzTarget,
  givenBytes,
  type Outcome,
  type Places,
  parseChannels,
  parseDomain,
} from '../../src/fuzz/index.ts';
import { smallProgram } from './exploration.ts';

export interface SmallFuzz {
  readonly target: FuzzTarget;
  readonly places: Places;
}

/** A program with the expectations of its comments. */
export function smallFuzz(text: string, more: Partial<FuzzTarget> = {}, vcpus = 1): SmallFuzz {
  const { scenario, bytes, symbols } = smallProgram(text, vcpus);
  const read = readPlan(sheetOfSource(text));
  if (!('plan' in read)) throw new Error(read.problems[0].message);
  const target: FuzzTarget = {
    scenario: { ...scenario, engine: 'interpreter' },
    options: { programs: [bytes], symbols: [symbols] },
    expectations: read.plan.expectations[0],
    strategy: 'time',
    storeBuffers: false,
    limit: 100_000,
    ...more,
  };
  return { target, places: Executor.placesOf(target) };
}

export interface FuzzRun {
  readonly seed?: number;
  readonly runs: number;
  /** As with `--vary`: values of the scenario, and ways for bytes. */
  readonly vary?: readonly string[];
  readonly isGuided?: boolean;
  /** What becomes of an outcome before it is noted. */
  readonly seenAs?: (outcome: Outcome) => Outcome;
}

/** Up to the first finding, or so many runs. */
export function fuzzProgram(
  { target, places }: SmallFuzz,
  { seed = 1, runs, vary = [], isGuided = true, seenAs = (outcome) => outcome }: FuzzRun,
): Fuzzer {
  const { strategy } = target;
  const isInput = places.labelBytes !== null;
  const ways = [...(isInput ? ['vms[].input'] : []), ...vary].map((text) => ({
    text,
    parsed: parseChannels(text, places),
  }));
  const channels = ways.flatMap(({ parsed }) => {
    if (parsed !== null && 'problem' in parsed) throw new Error(parsed.problem);
    return parsed?.channels ?? [];
  });
  const values = ways.filter(({ parsed }) => parsed === null);
  const domains = values.map(({ text }) => domainOf(text, target));
  const given = givenBytes(channels, places);
  const fuzzer = new Fuzzer({ seed, channels, given, domains, strategy, isGuided });
  const executor = new Executor(target);
  for (const one of fuzzer.firstCases()) fuzzer.note(one, seenAs(executor.run(one)), true);
  while (fuzzer.found.length === 0 && executor.runs < runs) {
    for (const one of fuzzer.nextBatch()) fuzzer.note(one, seenAs(executor.run(one)));
  }
  return fuzzer;
}

export function domainOf(text: string, { scenario }: FuzzTarget): Domain {
  const parsed = parseDomain(text, scenario);
  if ('domain' in parsed) return parsed.domain;
  throw new Error(parsed.problem);
}
