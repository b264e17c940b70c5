// What was left out because its outcome was known: how much of it, by the rule that found it out.
// No state: a report on how fast a run was. See docs/decisions/exact-skipping.md.

import { asDouble } from '../sim/index.ts';

/** `delays` count a register down, `waits` spin with PAUSE on what others write. */
export type SkipRule = 'delays' | 'waits';

/** An amount of guest code. */
export interface Work {
  readonly cycles: number;
  readonly instructions: number;
}

class Tally implements Work {
  cycles = asDouble(0);
  instructions = asDouble(0);
}

export class SkippedWork {
  private readonly delays = new Tally();
  private readonly waits = new Tally();

  add(rule: SkipRule, cycles: number, instructions: number): void {
    const tally = this.tally(rule);
    tally.cycles += cycles;
    tally.instructions += instructions;
  }

  by(rule: SkipRule): Work {
    const { cycles, instructions } = this.tally(rule);
    return { cycles, instructions };
  }

  /** All of them. */
  get instructions(): number {
    return this.delays.instructions + this.waits.instructions;
  }

  /** Not by the name: looking a name up takes as long as a short turn has for it. */
  private tally(rule: SkipRule): Tally {
    return rule === 'delays' ? this.delays : this.waits;
  }
}
