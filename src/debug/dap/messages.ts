// The frames of the Debug Adapter Protocol: JSON behind a `Content-Length` header. DAP, "Base
// Protocol". What is no message is told and skipped; it never ends the stream.

import { decodeUtf8, encodeUtf8 } from '../../sim/index.ts';

/** What came in: a JSON object, or what was wrong with it. */
export type IncomingMessage =
  | { readonly kind: 'message'; readonly value: Readonly<Record<string, unknown>> }
  | { readonly kind: 'malformed'; readonly what: string };

/** Longer contents are not kept; a request of the protocol is some hundred bytes. */
const MAX_CONTENT_BYTES = 2 ** 24;
const MAX_HEADER_BYTES = 4096;

const NEWLINE = 10;

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  private header: number[] = [];
  private contentBytes = -1;
  private content = new Uint8Array();
  private filled = 0;
  /** Bytes of contents that are too long to be kept. */
  private skipping = 0;

  /** Take bytes, and give what is complete by now. */
  *receive(bytes: Uint8Array): Iterable<IncomingMessage> {
    let at = 0;
    while (at < bytes.length) {
      if (this.skipping > 0) {
        const skipped = Math.min(this.skipping, bytes.length - at);
        this.skipping -= skipped;
        at += skipped;
      } else if (this.contentBytes < 0) {
        const problem = this.takeHeader(bytes[at++]);
        if (problem !== null) yield { kind: 'malformed', what: problem };
      } else {
        const part = bytes.subarray(at, at + this.contentBytes - this.filled);
        this.content.set(part, this.filled);
        this.filled += part.length;
        at += part.length;
      }
      if (this.contentBytes >= 0 && this.filled === this.contentBytes) yield this.finish();
    }
  }

  /** What is wrong with the header that ends here, or null. */
  private takeHeader(byte: number): string | null {
    this.header.push(byte);
    const isEnd = byte === NEWLINE && isBlankLine(this.header);
    if (!isEnd && this.header.length < MAX_HEADER_BYTES) return null;
    const text = decodeUtf8(Uint8Array.from(this.header));
    this.header = [];
    if (!isEnd) return `no blank line within ${MAX_HEADER_BYTES} bytes of header`;
    if (text.trim() === '') return null;
    const length = /^content-length:[ \t]*(\d{1,15})[ \t]*\r?$/im.exec(text)?.[1];
    if (length === undefined) return 'no Content-Length in the header';
    const contentBytes = Number(length);
    if (contentBytes > MAX_CONTENT_BYTES) {
      this.skipping = contentBytes;
      return `${length} bytes of content; at most ${MAX_CONTENT_BYTES} are taken`;
    }
    this.contentBytes = contentBytes;
    this.content = new Uint8Array(contentBytes);
    this.filled = 0;
    return null;
  }

  private finish(): IncomingMessage {
    this.contentBytes = -1;
    try {
      const value: unknown = JSON.parse(decodeUtf8(this.content));
      if (isRecord(value)) return { kind: 'message', value };
      return { kind: 'malformed', what: 'not a JSON object' };
    } catch {
      return { kind: 'malformed', what: 'not JSON' };
    }
  }
}

/** True if bytes end in an empty line. */
function isBlankLine(bytes: readonly number[]): boolean {
  const at = bytes.at(-2) === 13 ? bytes.length - 3 : bytes.length - 2;
  return at < 0 || bytes[at] === NEWLINE;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A message as bytes. */
export function encodeMessage(message: object): Uint8Array {
  const content = encodeUtf8(JSON.stringify(message));
  const header = encodeUtf8(`Content-Length: ${content.length}\r\n\r\n`);
  const whole = new Uint8Array(header.length + content.length);
  whole.set(header);
  whole.set(content, header.length);
  return whole;
}
