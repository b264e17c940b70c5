// When turns are tried in a relay. Nothing depends on it but speed.

/** Turns in which relays are not tried, at most, once they do not pay. */
const MOST_PATIENCE = 512;

export class RelayPolicy {
  /** Turns that go without a relay, at most, between two that are tried. */
  most = MOST_PATIENCE;
  /** So many turns to come go without. */
  private left = 0;
  private patience = 0;

  /** To be asked once before each turn. */
  isDue(): boolean {
    if (this.left === 0) return true;
    this.left--;
    return false;
  }

  /** A relay of so many turns has ended, or could not begin; one is as long as all have one. */
  ended(turns: number, count: number): void {
    this.patience = turns >= count ? 0 : Math.min(2 * this.patience + 1, this.most);
    this.left += this.patience;
  }

  /** The next turn is for whoever could not go on in a relay. */
  pass(): void {
    this.left++;
  }
}
