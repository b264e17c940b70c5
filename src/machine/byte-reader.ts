// Little-endian fields out of a file's bytes, one after the other, for formats that come from
// outside: whatever the bytes are, a read gives a value or throws Malformed.

import Long from 'long';
import { decodeUtf8 } from '../sim/index.ts';

/** Bytes that are not what their format says. Thrown, and caught by whoever reads the format. */
export class Malformed {
  /** What is wrong, as a sentence without a full stop. */
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export class ByteReader {
  readonly bytes: Uint8Array;
  /** Offset of the next field. */
  at: number;
  private readonly end: number;

  /** Reads from `at` up to `end`, both offsets into the bytes. */
  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = Math.min(end, bytes.length);
  }

  get isAtEnd(): boolean {
    return this.at >= this.end;
  }

  /** Pass over so many bytes; gives where they begin. */
  skip(count: number): number {
    const start = this.at;
    if (!(count >= 0 && count <= this.end - start)) throw new Malformed('the bytes end too early');
    this.at += count;
    return start;
  }

  u8(): number {
    return this.bytes[this.skip(1)];
  }

  i8(): number {
    return (this.u8() << 24) >> 24;
  }

  u16(): number {
    return this.u8() | (this.u8() << 8);
  }

  u32(): number {
    return (this.u16() | (this.u16() << 16)) >>> 0;
  }

  u64(): Long {
    const low = this.u32();
    return new Long(low | 0, this.u32() | 0, true);
  }

  /** An unsigned LEB128 number (DWARF 5, "Variable Length Data"); exact below 2^53. */
  uleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      if (scale > 2 ** 63) throw new Malformed('a LEB128 number is too long');
    }
  }

  /** A signed LEB128 number; exact within 53 bits. */
  sleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return byte & 0x40 ? value - scale * 128 : value;
      if (scale > 2 ** 63) throw new Malformed('a LEB128 number is too long');
    }
  }

  /** The text up to a zero byte, which is passed over. */
  text(): string {
    const zero = this.bytes.indexOf(0, this.at);
    if (zero < 0 || zero >= this.end) throw new Malformed('a string has no end');
    const text = decodeUtf8(this.bytes.subarray(this.at, zero));
    this.at = zero + 1;
    return text;
  }
}
