// Whether it is worth while to keep what happens. Where little happens it costs nothing, and all of
// it is kept. Where a program does little but exit, the records of it cost more than the run: after
// some milliseconds of that they are left out, but for a look every now and then, as what
// has happened last is soon found out by running it again.

/** Records that are told anyhow since a motion began: they take some milliseconds. */
const ALWAYS_TOLD = 2000;

/** Keeping a record takes about as long as interpreting so many instructions. */
const INSTRUCTIONS_PER_RECORD = 20;

/** What telling may cost, to what the run costs. */
const MOST_SHARE = 0.03;

/** Chunks of a run that are left out before the next one that is told. */
const LEFT_OUT = 128;

export class Attention {
  /** Records since the motion began. */
  private done = 0;
  private isDear = false;
  private left = 0;

  /** A motion begins, or it goes on from elsewhere. */
  begin(): void {
    this.done = 0;
    this.isDear = false;
  }

  /** Whether the next chunk may be left out. */
  get mayLeaveOut(): boolean {
    return this.isDear && this.done > ALWAYS_TOLD && this.left > 0;
  }

  /** A chunk was run that took as long as interpreting so many instructions. */
  told(instructions: number, records: number): void {
    this.done += records;
    this.isDear = records * INSTRUCTIONS_PER_RECORD > MOST_SHARE * instructions;
    this.left = LEFT_OUT;
  }

  leftOut(): void {
    this.left--;
  }
}
