// The wire format of Protocol Buffers, as much of it as traces need: varints, 64-bit words, and
// what comes behind its length. protobuf.dev, "Encoding".

import { encodeUtf8 } from '../sim/index.ts';

const WireType = { VARINT: 0, FIXED64: 1, LENGTH_DELIMITED: 2 } as const;

/** Fields come out in the order in which they go in. */
export class ProtobufWriter {
  private bytes = new Uint8Array(1024);
  private length = 0;

  /** A whole number from 0 to 2^53. */
  uint(field: number, value: number): void {
    this.tag(field, WireType.VARINT);
    this.varint(value);
  }

  fixed64(field: number, value: number): void {
    this.tag(field, WireType.FIXED64);
    for (let i = 0; i < 8; i++) this.push(Math.floor(value / 2 ** (8 * i)) % 256);
  }

  text(field: number, value: string): void {
    this.message(field, () => {
      for (let i = 0; i < value.length; i++) {
        const code = value.charCodeAt(i);
        if (code < 0x80) this.push(code);
        else {
          for (const byte of encodeUtf8(value.slice(i))) this.push(byte);
          return;
        }
      }
    });
  }

  /** Fields that were written already. */
  fields(bytes: Uint8Array): void {
    this.reserve(this.length + bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** What `write` writes becomes one field, with its length before it. */
  message(field: number, write: () => void): void {
    this.tag(field, WireType.LENGTH_DELIMITED);
    const at = this.length;
    this.push(0);
    write();
    const end = this.length;
    const size = end - at - 1;
    // There is room for a length below 128; others need more.
    this.length = at;
    if (size < 0x80) this.push(size);
    else {
      const more = size < 0x4000 ? 1 : size < 0x200000 ? 2 : 3;
      this.reserve(end + more);
      this.bytes.copyWithin(at + 1 + more, at + 1, end);
      this.varint(size);
    }
    this.length += size;
  }

  /** What was written, and begin anew. */
  take(): Uint8Array {
    const taken = this.bytes.slice(0, this.length);
    this.length = 0;
    return taken;
  }

  private tag(field: number, type: number): void {
    this.varint(field * 8 + type);
  }

  private varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.push((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.push(rest);
  }

  private push(byte: number): void {
    if (this.length === this.bytes.length) this.reserve(this.length + 1);
    this.bytes[this.length++] = byte;
  }

  private reserve(lengthBytes: number): void {
    if (lengthBytes <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(lengthBytes, 2 * this.bytes.length));
    larger.set(this.bytes);
    this.bytes = larger;
  }
}
