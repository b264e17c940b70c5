// What was left out because its outcome was known: how much of it, by the rule that found it out.
// No state: a report on how fast a run was. See docs/decisions/exact-skipping.md.

/** `delays` count a register down, `waits` spin with PAUSE on what others write. */
export type SkipRule = 'delays' | 'waits';

/** An amount of guest code. */
export interface Work {
  readonly cycles: number;
  readonly instructions: number;
}

export class SkippedWork {
  private readonly cycles = { delays: 0, waits: 0 };
  private readonly counts = { delays: 0, waits: 0 };

  add(rule: SkipRule, cycles: number, instructions: number): void {
    this.cycles[rule] += cycles;
    this.counts[rule] += instructions;
  }

  by(rule: SkipRule): Work {
    return { cycles: this.cycles[rule], instructions: this.counts[rule] };
  }

  /** All of them. */
  get instructions(): number {
    return this.counts.delays + this.counts.waits;
  }
}
