// The packets of gdb's remote serial protocol: `$text#checksum`, acknowledged by `+` or `-`, and a
// bare 03 byte for Ctrl-C. gdb's manual, "Remote Protocol", sections "Overview", "Packet
// Acknowledgment" and "Interrupts". A text here has one character, up to U+00FF, for each byte.

/** What came in. */
export type Incoming =
  | { readonly kind: 'packet'; readonly text: string }
  /** A packet with a wrong checksum, or too long. */
  | { readonly kind: 'damaged' }
  | { readonly kind: 'ack' }
  | { readonly kind: 'nack' }
  /** Ctrl-C. */
  | { readonly kind: 'interrupt' };

/** Bytes of the longest packet that either side may send, as `qSupported` tells it. */
export const PACKET_BYTES = 0x8000;

const INTERRUPT = 3;
const ACK = 0x2b;
const NACK = 0x2d;
const START = 0x24;
const END = 0x23;
const ESCAPE = 0x7d;
const ESCAPED_BY = 0x20;

/** Cuts a stream of bytes into packets. What stands between them and means nothing is dropped. */
export class PacketReader {
  /** False once acknowledgments are switched off: then checksums do not count. */
  checksChecksums = true;
  private state: 'between' | 'text' | 'escaped' | 'checksum' = 'between';
  private text: string[] = [];
  private sum = 0;
  private checksum = '';

  /** Take bytes, and give what is complete by now. */
  *receive(bytes: Uint8Array): Iterable<Incoming> {
    for (const byte of bytes) {
      const complete = this.take(byte);
      if (complete !== null) yield complete;
    }
  }

  private take(byte: number): Incoming | null {
    if (this.state === 'between') return this.takeBetween(byte);
    if (this.state === 'checksum') {
      this.checksum += String.fromCharCode(byte);
      return this.checksum.length === 2 ? this.finish() : null;
    }
    if (byte === START) {
      // It is escaped within a packet: the end of the last one was lost.
      this.begin();
    } else if (byte === END) {
      this.state = 'checksum';
    } else {
      this.sum += byte;
      if (this.state === 'escaped') this.add(byte ^ ESCAPED_BY);
      else if (byte !== ESCAPE) this.add(byte);
      this.state = byte === ESCAPE && this.state === 'text' ? 'escaped' : 'text';
    }
    return null;
  }

  private takeBetween(byte: number): Incoming | null {
    switch (byte) {
      case START:
        this.begin();
        return null;
      case ACK:
        return { kind: 'ack' };
      case NACK:
        return { kind: 'nack' };
      case INTERRUPT:
        return { kind: 'interrupt' };
      default:
        return null;
    }
  }

  private begin(): void {
    this.state = 'text';
    this.text = [];
    this.sum = 0;
    this.checksum = '';
  }

  private add(byte: number): void {
    if (this.text.length <= PACKET_BYTES) this.text.push(String.fromCharCode(byte));
  }

  private finish(): Incoming {
    this.state = 'between';
    const isRight = /^[\da-f]{2}$/i.test(this.checksum)
      ? Number.parseInt(this.checksum, 16) === (this.sum & 0xff)
      : false;
    const isTooLong = this.text.length > PACKET_BYTES;
    if (isTooLong || (this.checksChecksums && !isRight)) return { kind: 'damaged' };
    return { kind: 'packet', text: this.text.join('') };
  }
}

/** A packet as bytes; what would end it is escaped. */
export function encodePacket(text: string): Uint8Array {
  const bytes = [START];
  let sum = 0;
  const put = (byte: number) => {
    bytes.push(byte);
    sum += byte;
  };
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i);
    if (byte === START || byte === END || byte === ESCAPE || byte === REPEAT) {
      put(ESCAPE);
      put(byte ^ ESCAPED_BY);
    } else put(byte);
  }
  const digits = (sum & 0xff).toString(16).padStart(2, '0');
  return Uint8Array.of(...bytes, END, digits.charCodeAt(0), digits.charCodeAt(1));
}

/** Would begin a run length, which this side does not use. */
const REPEAT = 0x2a;
