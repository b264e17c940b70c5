// Bytes one behind the other, and numbers as WebAssembly writes them. WebAssembly Core
// Specification, "Binary Format", Values.

export class ByteWriter {
  length = 0;
  private room: Uint8Array;

  /** @param expected so many bytes; it grows beyond */
  constructor(expected: number) {
    this.room = new Uint8Array(expected);
  }

  /** What was written; it stays as it is until something is appended. */
  get bytes(): Uint8Array {
    return this.room.subarray(0, this.length);
  }

  byte(value: number): void {
    if (this.length === this.room.length) this.grow(1);
    this.room[this.length++] = value;
  }

  append(bytes: ArrayLike<number>): void {
    if (this.length + bytes.length > this.room.length) this.grow(bytes.length);
    this.room.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** 32 bits, unsigned. */
  unsigned(value: number): void {
    let rest = value >>> 0;
    for (; rest >= 128; rest >>>= 7) this.byte((rest & 127) | 128);
    this.byte(rest);
  }

  /** 32 bits, signed. */
  signed(value: number): void {
    let rest = value;
    for (; rest < -64 || rest > 63; rest >>= 7) this.byte((rest & 127) | 128);
    this.byte(rest & 127);
  }

  /** 64 bits, signed. */
  long(value: bigint): void {
    let rest = value;
    for (; rest < -64n || rest > 63n; rest >>= 7n) this.byte(Number(rest & 127n) | 128);
    this.byte(Number(rest & 127n));
  }

  private grow(more: number): void {
    const larger = new Uint8Array(2 * this.room.length + more);
    larger.set(this.bytes);
    this.room = larger;
  }
}
