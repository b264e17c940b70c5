// When a fault happens and how much it is: its own stream of chance, so that neither the run
// without it nor other faults draw otherwise for its sake.

import { Hash, Prng, type PrngState } from '../../sim/index.ts';
import type { DurationRange } from '../schema.ts';
import type { Fault } from './catalogue.ts';

/** Plain data. */
export interface ChanceState {
  readonly prng: PrngState;
  /** How often it could have happened. */
  readonly seen: number;
  /** How often it was to happen. */
  readonly decided: number;
  /** The next period of `every`, from 0. */
  readonly period: number;
}

export class Chance {
  private readonly fault: Fault;
  private readonly prng: Prng;
  private seen = 0;
  private decided = 0;
  private period = 0;

  /** @param index which of the scenario's faults it is */
  constructor(fault: Fault, index: number, seed: number) {
    this.fault = fault;
    const digest = new Hash().text('fault').number(seed).number(index).digest();
    this.prng = new Prng(Number.parseInt(digest.slice(0, 13), 16));
  }

  get state(): ChanceState {
    const { seen, decided, period } = this;
    return { prng: this.prng.state, seen, decided, period };
  }

  set state(saved: ChanceState) {
    this.prng.state = saved.prng;
    this.seen = saved.seen;
    this.decided = saved.decided;
    this.period = saved.period;
  }

  /** It could happen at a time in ns: whether it does. */
  decide(timeNs: number): boolean {
    const { from, until, nth, probability } = this.fault;
    if (timeNs < from || (until > 0 && timeNs > until) || this.isUsedUp) return false;
    this.seen++;
    if (nth > 0 && this.seen !== nth) return false;
    if (probability < 1 && this.prng.next() >= probability * 2 ** 32) return false;
    this.decided++;
    return true;
  }

  private get isUsedUp(): boolean {
    const { nth, count } = this.fault;
    return (count > 0 && this.decided >= count) || (nth > 0 && this.seen >= nth);
  }

  /** The time in ns at which it could happen next by `from` and `every`; null if at none. */
  nextMoment(): number | null {
    const { from, until, every } = this.fault;
    if (this.isUsedUp || (every === 0 && this.period > 0)) return null;
    const start = from + this.period * every;
    this.period++;
    if (until > 0 && start > until) return null;
    return every === 0 ? start : start + this.below(every);
  }

  /** A duration in ns. */
  draw({ leastNs, mostNs }: DurationRange): number {
    return leastNs === mostNs ? leastNs : leastNs + this.below(mostNs - leastNs + 1);
  }

  /** One of several. */
  pick<T>(all: readonly T[]): T {
    return all.length === 1 ? all[0] : all[this.below(all.length)];
  }

  /** A whole number below a bound, which may be more than 32 bits wide. */
  private below(bound: number): number {
    if (bound <= 2 ** 32) return this.prng.below(bound);
    return Math.floor((this.prng.next() / 2 ** 32) * bound);
  }
}
