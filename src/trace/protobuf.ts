// The wire format of Protocol Buffers, as much of it as traces need: varints, 64-bit words, and
// what comes behind its length. protobuf.dev, "Encoding".

import { encodeUtf8 } from '../sim/index.ts';

const WireType = { VARINT: 0, FIXED64: 1, LENGTH_DELIMITED: 2 } as const;

/** A message that is being put together; fields come out in the order in which they go in. */
export class Message {
  private readonly bytes: number[] = [];

  /** A whole number from 0 to 2^53. */
  uint(field: number, value: number): this {
    this.tag(field, WireType.VARINT);
    this.varint(value);
    return this;
  }

  fixed64(field: number, value: number): this {
    this.tag(field, WireType.FIXED64);
    for (let i = 0; i < 8; i++) this.bytes.push(Math.floor(value / 2 ** (8 * i)) % 256);
    return this;
  }

  text(field: number, value: string): this {
    return this.delimited(field, encodeUtf8(value));
  }

  message(field: number, inner: Message): this {
    return this.delimited(field, inner.bytes);
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }

  private delimited(field: number, bytes: ArrayLike<number>): this {
    this.tag(field, WireType.LENGTH_DELIMITED);
    this.varint(bytes.length);
    for (let i = 0; i < bytes.length; i++) this.bytes.push(bytes[i]);
    return this;
  }

  private tag(field: number, type: number): void {
    this.varint(field * 8 + type);
  }

  private varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.bytes.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.bytes.push(rest);
  }
}
