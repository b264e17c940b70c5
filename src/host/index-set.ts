// A set of small numbers, such as pCPUs, in which the next one is found 32 at a time.

export class IndexSet {
  /** How many there are. */
  count = 0;
  private readonly words: Int32Array;

  /** @param size numbers from 0 on that may be in it */
  constructor(size: number) {
    this.words = new Int32Array((size + 31) >>> 5);
  }

  /** Put a number in, or take it out. */
  put(index: number, isIn: boolean): void {
    const { words } = this;
    const at = index >>> 5;
    const bit = 1 << (index & 31);
    const wasIn = (words[at] & bit) !== 0;
    if (wasIn === isIn) return;
    words[at] ^= bit;
    this.count += isIn ? 1 : -1;
  }

  /** The least that is not below `from`, or -1. */
  next(from: number): number {
    const { words } = this;
    let at = from >>> 5;
    if (at >= words.length) return -1;
    let word = words[at] & (-1 << (from & 31));
    while (word === 0) {
      if (++at === words.length) return -1;
      word = words[at];
    }
    return 32 * at + 31 - Math.clz32(word & -word);
  }
}
