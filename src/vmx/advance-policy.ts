// When to run a guest ahead that does nothing but compute in registers, and how far. Nothing
// depends on it but speed.

import { asDouble } from '../sim/index.ts';

/** So many turns have to be left out, or it is not worth the while. */
export const LEAST_GAIN = 4;

/** Cycles of a stretch. */
const FIRST_STRETCH = 2 ** 14;
const LEAST_STRETCH = 2 ** 12;
const MOST_STRETCH = 2 ** 19;

/** Cycles in which it is not tried, after the first time in vain, and at most. */
const LEAST_PATIENCE = 500;
const MOST_PATIENCE = 2 ** 20;

export class AdvancePolicy {
  /** Of the next stretch, at most. */
  cycles = FIRST_STRETCH;
  /** Clock from which it is tried. */
  lookAt = asDouble(0);
  private patience = 0;

  /** There was nothing of that kind, at a time in cycles, or too little. */
  failed(clock: number): void {
    this.patience = Math.min(Math.max(2 * this.patience, LEAST_PATIENCE), MOST_PATIENCE);
    this.lookAt = clock + this.patience;
  }

  /** A stretch has come to pass. */
  kept(): void {
    this.patience = 0;
    this.cycles = Math.min(2 * this.cycles, MOST_STRETCH);
  }

  /** One ends earlier, and is executed again up to a limit, in cycles. */
  dropped(limit: number): void {
    this.cycles = Math.max(this.cycles / 2, LEAST_STRETCH);
    this.lookAt = limit;
  }
}
