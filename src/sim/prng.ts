// The only source of chance in the laboratory: xoshiro128** of Blackman and Vigna, seeded through
// SplitMix32, so that nearby seeds give unrelated streams. State is four plain 32-bit words.

/** The saved form of a {@link Prng}: four unsigned 32-bit words. */
export type PrngState = readonly [number, number, number, number];

/** A seeded stream of pseudo-random numbers; the same seed gives the same stream everywhere. */
export class Prng {
  private s0 = 0;
  private s1 = 0;
  private s2 = 0;
  private s3 = 0;

  /** @param seed any safe integer; its low and high 32 bits both count */
  constructor(seed: number) {
    let x = (seed ^ Math.trunc(seed / 2 ** 32)) >>> 0;
    const next = () => {
      x = (x + 0x9e3779b9) | 0;
      let z = x ^ (x >>> 16);
      z = Math.imul(z, 0x21f0aaad);
      z ^= z >>> 15;
      z = Math.imul(z, 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    this.state = [next(), next(), next(), next()];
  }

  get state(): PrngState {
    return [this.s0, this.s1, this.s2, this.s3];
  }

  set state(words: PrngState) {
    [this.s0, this.s1, this.s2, this.s3] = words;
  }

  /** The next word, 0 to 2^32 - 1. */
  next(): number {
    const scrambled = Math.imul(rotateLeft(Math.imul(this.s1, 5), 7), 9) >>> 0;
    const t = this.s1 << 9;
    this.s2 ^= this.s0;
    this.s3 ^= this.s1;
    this.s1 = (this.s1 ^ this.s2) >>> 0;
    this.s0 = (this.s0 ^ this.s3) >>> 0;
    this.s2 = (this.s2 ^ t) >>> 0;
    this.s3 = rotateLeft(this.s3, 11) >>> 0;
    return scrambled;
  }

  /** A whole number from 0 to `bound` - 1, without bias. `bound` is at most 2^32. */
  below(bound: number): number {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const word = this.next();
      if (word < limit) return word % bound;
    }
  }
}

function rotateLeft(x: number, count: number): number {
  return (x << count) | (x >>> (32 - count));
}
