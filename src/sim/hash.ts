// MurmurHash3, x86 128-bit variant (Austin Appleby, public domain algorithm), in a form that takes
// its input piece by piece. It identifies machine states; it is not meant to resist an adversary.

import { encodeUtf8 } from './text.ts';

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

/** Accumulates bytes and yields a 128-bit digest. */
export class Hash {
  private readonly h = new Uint32Array(4);
  private readonly tail = new Uint8Array(16);
  private readonly tailWords = new DataView(this.tail.buffer);
  private tailLength = 0;
  private lengthBytes = 0;

  constructor(seed = 0) {
    this.h.fill(seed);
  }

  /** Add bytes. Splitting the same bytes over several calls does not change the digest. */
  bytes(data: Uint8Array): this {
    this.lengthBytes += data.length;
    let at = 0;
    while (at < data.length) {
      const take = Math.min(16 - this.tailLength, data.length - at);
      this.tail.set(data.subarray(at, at + take), this.tailLength);
      this.tailLength += take;
      at += take;
      if (this.tailLength === 16) {
        this.block(this.tailWords);
        this.tailLength = 0;
      }
    }
    return this;
  }

  /** Add a string as UTF-8, preceded by its length so that adjacent strings do not run together. */
  text(value: string): this {
    const bytes = encodeUtf8(value);
    return this.number(bytes.length).bytes(bytes);
  }

  /** Add a number as the eight bytes of a double. */
  number(value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    return this.bytes(bytes);
  }

  /** The digest so far, as 32 hexadecimal digits; more input may follow. */
  digest(): string {
    const h = Uint32Array.from(this.h);
    const k = [0, 0, 0, 0];
    for (let i = this.tailLength - 1; i >= 0; i--) {
      k[i >> 2] = ((k[i >> 2] << 8) | this.tail[i]) >>> 0;
    }
    h[3] ^= Math.imul(rotl(Math.imul(k[3], C4), 18), C1);
    h[2] ^= Math.imul(rotl(Math.imul(k[2], C3), 17), C4);
    h[1] ^= Math.imul(rotl(Math.imul(k[1], C2), 16), C3);
    h[0] ^= Math.imul(rotl(Math.imul(k[0], C1), 15), C2);
    for (let i = 0; i < 4; i++) h[i] ^= this.lengthBytes;
    mixLanes(h);
    for (let i = 0; i < 4; i++) h[i] = finalize(h[i]);
    mixLanes(h);
    return [...h].map((word) => word.toString(16).padStart(8, '0')).join('');
  }

  private block(words: DataView): void {
    const h = this.h;
    const k1 = Math.imul(rotl(Math.imul(words.getInt32(0, true), C1), 15), C2);
    h[0] = Math.imul(rotl(h[0] ^ k1, 19) + h[1], 5) + 0x561ccd1b;
    const k2 = Math.imul(rotl(Math.imul(words.getInt32(4, true), C2), 16), C3);
    h[1] = Math.imul(rotl(h[1] ^ k2, 17) + h[2], 5) + 0x0bcaa747;
    const k3 = Math.imul(rotl(Math.imul(words.getInt32(8, true), C3), 17), C4);
    h[2] = Math.imul(rotl(h[2] ^ k3, 15) + h[3], 5) + 0x96cd1c35;
    const k4 = Math.imul(rotl(Math.imul(words.getInt32(12, true), C4), 18), C1);
    h[3] = Math.imul(rotl(h[3] ^ k4, 13) + h[0], 5) + 0x32ac3b17;
  }
}

function mixLanes(h: Uint32Array): void {
  h[0] += h[1] + h[2] + h[3];
  for (let i = 1; i < 4; i++) h[i] += h[0];
}

function finalize(word: number): number {
  let h = word ^ (word >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function rotl(x: number, count: number): number {
  return (x << count) | (x >>> (32 - count));
}
