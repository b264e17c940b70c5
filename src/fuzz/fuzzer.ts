// The fuzzer itself: makes cases of those that came by something new, in batches, and looks at what
// came of them in the order in which it made them. So how many run at once makes no difference.

import { Prng } from '../sim/index.ts';
import { caseHash, type FuzzCase } from './case.ts';
import { bytesOf, type Channel, withBytes } from './channel.ts';
import { Corpus } from './corpus.ts';
import { FEATURE_KINDS, kindOfFeature } from './coverage.ts';
import type { Domain } from './domain.ts';
import type { Outcome } from './executor.ts';
import type { Finding } from './finding.ts';
import { mutateCase } from './mutate.ts';
import type { Strategy } from './schedule-runner.ts';

export interface FuzzerOptions {
  readonly seed: number;
  /** By which bytes come to the program. */
  readonly channels: readonly Channel[];
  /** What the scenario gives by them. */
  readonly given: FuzzCase;
  readonly domains: readonly Domain[];
  readonly strategy: Strategy;
  /** Cases are made of those that came by something new; without, of the first ones only. */
  readonly isGuided: boolean;
}

/** A case that goes wrong in a way that none before it did. */
export interface FoundCase {
  readonly case: FuzzCase;
  readonly outcome: Outcome;
  readonly finding: Finding;
  /** Which run it was, from 1. */
  readonly run: number;
}

export interface FuzzStatistics {
  readonly runs: number;
  /** Cases whose values did not go together. */
  readonly rejected: number;
  /** Runs that were cut off, and might have ended. */
  readonly unfinished: number;
  readonly corpus: number;
  /** By kind, how many different ones were seen. */
  readonly features: Readonly<Record<string, number>>;
}

/** Cases of a batch: enough to keep workers busy, few enough to learn from them soon. */
export const BATCH = 64;

/** Bytes of the first inputs. */
const FIRST_LENGTHS = [0, 8];

export class Fuzzer {
  readonly corpus = new Corpus();
  readonly found: FoundCase[] = [];
  private readonly options: FuzzerOptions;
  private readonly prng: Prng;
  private readonly tokens = new Map<string, Uint8Array>();
  private readonly signatures = new Set<string>();
  private runs = 0;
  private rejected = 0;
  private unfinished = 0;

  constructor(options: FuzzerOptions) {
    this.options = options;
    this.prng = new Prng(options.seed);
  }

  /**
   * What to begin with: no input, and zeros, and what the scenario gives; modules, and every value,
   * as they are.
   */
  firstCases(): FuzzCase[] {
    const { channels, given, strategy, seed } = this.options;
    const schedule = strategy === 'time' ? null : { prefix: '', seed };
    const base = { ...given, schedule };
    const streams = channels.filter(({ kind }) => kind !== 'module');
    if (streams.length === 0) return [base];
    const cases = FIRST_LENGTHS.map((length) =>
      streams.reduce((one, channel) => {
        const bytes = new Uint8Array(Math.min(length, channel.roomBytes));
        return withBytes(one, channel, bytes);
      }, base),
    );
    const isGiven = streams.some((channel) => bytesOf(given, channel).length > 0);
    return isGiven ? [...cases, base] : cases;
  }

  /** The cases to be run next. The corpus must not be empty. */
  nextBatch(count = BATCH): FuzzCase[] {
    const { channels, domains, strategy } = this.options;
    const options = {
      channels,
      domains,
      hasSchedule: strategy !== 'time',
      tokens: [...this.tokens.values()],
    };
    return Array.from({ length: count }, () => {
      const one = this.corpus.pick(this.prng);
      const other = this.corpus.any(this.prng);
      return mutateCase(one.case, other.case, one.steps, options, this.prng);
    });
  }

  /**
   * What came of a case, in the order of the batch.
   * @param isFirst it was not made by us: it is kept, whatever it came by
   */
  note(one: FuzzCase, outcome: Outcome, isFirst = false): FoundCase | null {
    this.runs++;
    if (outcome.features.length === 0 && outcome.finding === null) this.rejected++;
    if (outcome.isUnfinished) this.unfinished++;
    const { isGuided } = this.options;
    if (isGuided) for (const token of outcome.tokens) this.addToken(token);
    // What goes wrong would only make more of what goes wrong.
    const isGood = outcome.finding === null;
    if ((isGuided && isGood) || isFirst) this.corpus.add(one, outcome);
    return this.foundElsewhere(one, outcome);
  }

  /** What another executor found in a case; null if it is nothing new. */
  foundElsewhere(one: FuzzCase, outcome: Outcome): FoundCase | null {
    const { finding } = outcome;
    if (finding === null || this.signatures.has(finding.signature)) return null;
    this.signatures.add(finding.signature);
    const found = { case: one, outcome, finding, run: this.runs };
    this.found.push(found);
    return found;
  }

  private addToken(token: readonly number[]): void {
    const bytes = Uint8Array.from(token);
    this.tokens.set(String(bytes), bytes);
  }

  get statistics(): FuzzStatistics {
    const features: Record<string, number> = Object.fromEntries(
      FEATURE_KINDS.map((kind) => [kind, 0]),
    );
    const places = new Set([...this.corpus.seen].map((feature) => feature >>> 3));
    for (const place of places) features[kindOfFeature(place * 8)]++;
    const { runs, rejected, unfinished } = this;
    return { runs, rejected, unfinished, corpus: this.corpus.entries.length, features };
  }
}

/** The name under which a finding is kept. */
export function findingName({ case: one, finding }: FoundCase): string {
  return `${finding.kind}-${caseHash(one)}`;
}
