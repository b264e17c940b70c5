// When turns are tried in a relay. Nothing depends on it but speed.

/** Turns in which relays are not tried, at most, once they do not pay. */
const MOST_PATIENCE = 512;

/** Turns that have to be gained for one try that does not pay, and for so many of them. */
const COST = 4;
const MOST_CREDIT = 16 * COST;

export class RelayPolicy {
  /** Turns that go without a relay, at most, between two that are tried. */
  most = MOST_PATIENCE;
  /** So many turns to come go without. */
  private left = 0;
  private patience = 0;
  /** What relays have gained lately: as long as there is some, they are tried with each turn. */
  private credit = 0;

  /** To be asked once before each turn. */
  isDue(): boolean {
    if (this.left === 0) return true;
    this.left--;
    return false;
  }

  /** A relay of so many turns has ended, or could not begin; one is as long as all have one. */
  ended(turns: number, count: number): void {
    if (turns >= count) {
      this.credit = Math.min(this.credit + turns, MOST_CREDIT);
      this.patience = 0;
    } else if (this.credit >= COST) this.credit -= COST;
    else {
      this.patience = Math.min(2 * this.patience + 1, this.most);
      this.left += this.patience;
    }
  }

  /** The next turn is for whoever could not go on in a relay. */
  pass(): void {
    this.left++;
  }
}
