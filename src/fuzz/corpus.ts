// The cases that are worth keeping: each came by something that none before it did.

import type { Prng } from '../sim/index.ts';
import { caseHash, type FuzzCase } from './case.ts';
import { bytesOf, channelsIn } from './channel.ts';
import type { Outcome } from './executor.ts';

export interface CorpusEntry {
  readonly case: FuzzCase;
  readonly hash: string;
  readonly features: readonly number[];
  readonly steps: string;
  /** Instructions, or steps, of its run. */
  readonly length: number;
  /** How often it was the beginning of another one. */
  picks: number;
}

export class Corpus {
  readonly entries: CorpusEntry[] = [];
  /** Everything that any of them came by. */
  readonly seen = new Set<number>();
  private readonly hashes = new Set<string>();

  /** Keep a case if it came by something new; true if so. */
  add(one: FuzzCase, { features, steps, length }: Outcome): boolean {
    const fresh = features.filter((feature) => !this.seen.has(feature));
    const hash = caseHash(one);
    if (fresh.length === 0 || this.hashes.has(hash)) return false;
    this.hashes.add(hash);
    for (const feature of fresh) this.seen.add(feature);
    this.entries.push({ case: one, hash, features, steps, length, picks: 0 });
    return true;
  }

  /** One to begin with: of two by chance, the one that was picked less often. */
  pick(prng: Prng): CorpusEntry {
    const one = this.any(prng);
    const two = this.any(prng);
    const picked = two.picks < one.picks ? two : one;
    picked.picks++;
    return picked;
  }

  any(prng: Prng): CorpusEntry {
    return this.entries[prng.below(this.entries.length)];
  }
}

/** Bytes that a case has: the fewer the better. */
function sizeOf(one: FuzzCase): number {
  const { serial, schedule, parameters } = one;
  const bytes = channelsIn(one).reduce((sum, way) => sum + bytesOf(one, way).length, 0);
  const prefix = schedule?.prefix.length ?? 0;
  return bytes + (serial?.pauses.length ?? 0) + prefix + Object.keys(parameters).length;
}

/**
 * Few entries that together come by all that all of them do: of those that have a feature that is
 * still missing, the smallest.
 */
export function fewest(entries: readonly CorpusEntry[]): CorpusEntry[] {
  const byFeature = new Map<number, CorpusEntry>();
  for (const entry of entries) {
    for (const feature of entry.features) {
      const best = byFeature.get(feature);
      if (best === undefined || isSmaller(entry, best)) byFeature.set(feature, entry);
    }
  }
  const covered = new Set<number>();
  const kept = new Set<CorpusEntry>();
  // What few have is decided first: it leaves no choice.
  const counts = new Map<number, number>();
  for (const { features } of entries) {
    for (const feature of features) counts.set(feature, (counts.get(feature) ?? 0) + 1);
  }
  const order = [...byFeature.keys()].sort(
    (a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0) || a - b,
  );
  for (const feature of order) {
    if (covered.has(feature)) continue;
    const entry = byFeature.get(feature) as CorpusEntry;
    kept.add(entry);
    for (const one of entry.features) covered.add(one);
  }
  return entries.filter((entry) => kept.has(entry));
}

function isSmaller(a: CorpusEntry, b: CorpusEntry): boolean {
  return (
    sizeOf(a.case) - sizeOf(b.case) < 0 || (sizeOf(a.case) === sizeOf(b.case) && a.hash < b.hash)
  );
}
