// What one run of a region has left behind of itself, read: how far it came, and by which way.

import type { BlockLog, LoggedCode } from '../block-log.ts';
import { countIn, cyclesIn, LOGGED_INSTRUCTIONS, PATH_WORDS, TrailOffset } from './left-behind.ts';

/** What is known of a region's stretches, by their numbers. */
export interface StretchTables extends LoggedCode {
  /** Instructions of each. */
  readonly lengths: Int32Array;
  /** Cycles of the last of them, 0 if its block was left before; -1 if the stretch is empty. */
  readonly lastCycles: Int32Array;
  /** The one before it if none was noted there, or -1. */
  readonly quietBefore: Int32Array;
}

export class Trail {
  private readonly words: Int32Array;
  /** Index of its first word. */
  private readonly at: number;

  constructor(words: Int32Array, at: number) {
    this.words = words;
    this.at = at;
  }

  /** To be called before the region is. */
  begin(hasDelays: boolean, hasWaits: boolean): void {
    const { words, at } = this;
    if (hasDelays) words[at + SKIPPED] = words[at + SKIPPED + 1] = 0;
    if (hasWaits) words[at + WAITED] = words[at + WAITED + 1] = 0;
    words[at + REPEATED] = -1;
  }

  get cyclesLeft(): number {
    const { words, at } = this;
    return cyclesIn(words[at + LEFT], words[at + LEFT + 1]);
  }

  get instructions(): number {
    return countIn(this.words[this.at + LEFT]);
  }

  /** Of delay loops that were not executed. */
  get skippedCycles(): number {
    const { words, at } = this;
    return cyclesIn(words[at + SKIPPED], words[at + SKIPPED + 1]);
  }

  get skippedInstructions(): number {
    return countIn(this.words[this.at + SKIPPED]);
  }

  /** Of loops that waited. */
  get waitedCycles(): number {
    const { words, at } = this;
    return cyclesIn(words[at + WAITED], words[at + WAITED + 1]);
  }

  get waitedInstructions(): number {
    return countIn(this.words[this.at + WAITED]);
  }

  /** Cycles of the instruction that the run ended with. */
  lastCycles(region: StretchTables): number {
    const { instructions } = this;
    const { lastCycles } = region;
    const stretch = this.words[this.at + STRETCH];
    const last = lastCycles[stretch];
    if (last >= 0) return last;
    // Left where a block begins that ways meet at: by one of them, or for another iteration.
    const came = this.isRepeatedAt(instructions)
      ? this.words[this.at + REPEATED]
      : this.stretchBefore(region, stretch, instructions);
    return came < 0 ? 0 : Math.max(0, lastCycles[came]);
  }

  /** Where the code came by: back from the end, by the count of instructions. */
  tell(log: BlockLog, region: StretchTables): void {
    const { words, at, instructions } = this;
    const { lengths, stretches } = region;
    log.ranCompiled(region);
    const last = words[at + STRETCH];
    log.cameBy(last);
    let next = last;
    let before = instructions - lengths[last];
    // Of an instruction that is repeated the last iterations count for none.
    if (this.isRepeatedAt(before)) {
      const repeated = words[at + REPEATED];
      if (stretches[last][0]?.start !== stretches[repeated][0].start) log.cameBy(repeated);
    }
    const enough = Math.max(0, instructions - LOGGED_INSTRUCTIONS);
    while (before > enough) {
      next = this.stretchBefore(region, next, before);
      log.cameBy(next);
      before -= lengths[next];
    }
  }

  /** The stretch that ended at a count of instructions, before another one; -1 if there is none. */
  private stretchBefore({ quietBefore }: StretchTables, stretch: number, count: number): number {
    const { words, at } = this;
    const place = count & (PATH_WORDS - 1);
    const isNoted = countIn(words[at + PATH_LEFT + place]) === count;
    return isNoted ? words[at + PATH + place] : quietBefore[stretch];
  }

  /** The last iteration of an instruction that is not done began at a count of instructions. */
  private isRepeatedAt(count: number): boolean {
    const { words, at } = this;
    return words[at + REPEATED] >= 0 && countIn(words[at + REPEATED_LEFT]) === count;
  }
}

const LEFT = TrailOffset.LEFT / 4;
const SKIPPED = TrailOffset.SKIPPED / 4;
const WAITED = TrailOffset.WAITED / 4;
const STRETCH = TrailOffset.STRETCH / 4;
const REPEATED = TrailOffset.REPEATED / 4;
const REPEATED_LEFT = TrailOffset.REPEATED_LEFT / 4;
const PATH = TrailOffset.PATH / 4;
const PATH_LEFT = TrailOffset.PATH_LEFT / 4;
