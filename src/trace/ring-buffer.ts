// The kernel's ring buffer, a page at a time: a time stamp, the number of bytes that follow, and
// entries that begin with a word of 5 bits of type or length and 27 bits of time since the entry
// before. Linux include/linux/ring_buffer.h; the texts are what
// /sys/kernel/tracing/events/header_page and header_event say of it.

import Long from 'long';
import { TraceError } from './trace-error.ts';

export const PAGE_BYTES = 4096;
const HEADER_BYTES = 16;

/** Types of entries that are not lengths in words of 4 bytes. */
const EntryType = { LONG: 0, PADDING: 29, TIME_EXTEND: 30, TIME_STAMP: 31 } as const;

/** More than this does not fit the time of an entry. */
const MAX_DELTA = 2 ** 27 - 1;

/** The part of a page's second word that counts its bytes; the rest tells of lost entries. */
const COMMIT_MASK = 0xfffff;

export const HEADER_PAGE = [
  '\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;',
  '\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;',
  '\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;',
  `\tfield: char data;\toffset:16;\tsize:${PAGE_BYTES - HEADER_BYTES};\tsigned:1;`,
  '',
].join('\n');

export const HEADER_EVENT = [
  '# compressed entry header',
  '\ttype_len    :    5 bits',
  '\ttime_delta  :   27 bits',
  '\tarray       :   32 bits',
  '',
  `\tpadding     : type == ${EntryType.PADDING}`,
  `\ttime_extend : type == ${EntryType.TIME_EXTEND}`,
  `\ttime_stamp : type == ${EntryType.TIME_STAMP}`,
  '\tdata max type_len  == 28',
  '',
].join('\n');

/** Fills pages of one pCPU and hands each on when it is full; the bytes are only lent. */
export class PageWriter {
  /** Of the page that is being filled. */
  readonly bytes = new Uint8Array(PAGE_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  private readonly emit: (page: Uint8Array) => void;
  private end = HEADER_BYTES;
  private lastNs = 0;

  constructor(emit: (page: Uint8Array) => void) {
    this.emit = emit;
  }

  /**
   * Make room for an entry's data at a time not before the last one's, and return where it
   * goes; the room is filled with zeros.
   */
  append(timeNs: number, lengthBytes: number): number {
    const isFirst = this.end === HEADER_BYTES;
    const delta = isFirst ? 0 : timeNs - this.lastNs;
    const needed = (delta > MAX_DELTA ? 8 : 0) + 4 + lengthBytes;
    if (this.end + needed > PAGE_BYTES) {
      this.flush();
      return this.append(timeNs, lengthBytes);
    }
    if (isFirst) this.writeTime(timeNs);
    if (delta > MAX_DELTA) this.extendTime(delta);
    this.word(delta > MAX_DELTA ? 0 : delta, lengthBytes / 4);
    this.lastNs = timeNs;
    const at = this.end;
    this.end += lengthBytes;
    return at;
  }

  /** Hand on what there is. */
  flush(): void {
    if (this.end === HEADER_BYTES) return;
    this.view.setUint32(8, this.end - HEADER_BYTES, true);
    this.emit(this.bytes);
    this.bytes.fill(0);
    this.end = HEADER_BYTES;
  }

  private word(delta: number, type: number): void {
    this.view.setUint32(this.end, delta * 32 + type, true);
    this.end += 4;
  }

  private extendTime(delta: number): void {
    this.word(delta % 2 ** 27, EntryType.TIME_EXTEND);
    this.view.setUint32(this.end, Math.floor(delta / 2 ** 27), true);
    this.end += 4;
  }

  private writeTime(timeNs: number): void {
    this.view.setUint32(0, timeNs % 2 ** 32, true);
    this.view.setUint32(4, Math.floor(timeNs / 2 ** 32), true);
  }
}

/** The data of an entry. */
export interface RingEntry {
  readonly timeNs: number;
  /** Where the data begins in the page, and how long it is. */
  readonly at: number;
  readonly lengthBytes: number;
}

/**
 * The entries of a page that begins at `offset` in its file.
 * Throws {@link TraceError} for one that goes on beyond its end.
 */
export function* entriesOf(page: Uint8Array, offset: number): Generator<RingEntry> {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const commit = view.getUint32(8, true) & COMMIT_MASK;
  const end = HEADER_BYTES + commit;
  if (end > page.length) {
    throw TraceError.atOffset(
      offset + 8,
      `the page says that it holds ${commit} bytes; at most ${page.length - HEADER_BYTES} fit`,
    );
  }
  let time = Long.fromBits(view.getInt32(0, true), view.getInt32(4, true)).toNumber();
  let at = HEADER_BYTES;
  while (at < end) {
    const entry = entryAt(view, at, end, offset);
    time = entry.absolute ? entry.time : time + entry.time;
    at = entry.next;
    if (entry.data !== null) yield { timeNs: time, ...entry.data };
  }
}

interface Entry {
  readonly time: number;
  /** The time is not one since the last entry. */
  readonly absolute: boolean;
  readonly data: { readonly at: number; readonly lengthBytes: number } | null;
  readonly next: number;
}

function entryAt(view: DataView, at: number, end: number, offset: number): Entry {
  const need = (count: number, what: string) => {
    if (at + count <= end) return;
    const left = end - at;
    throw TraceError.atOffset(offset + at, `${what} of ${count} bytes, of which ${left} are there`);
  };
  need(4, 'an entry begins');
  const word = view.getUint32(at, true);
  const type = word & 31;
  const delta = word >>> 5;
  const isWide = type === EntryType.LONG || type >= EntryType.PADDING;
  // The last padding of a page has no length.
  if (type === EntryType.PADDING && delta === 0) {
    return { time: 0, absolute: false, data: null, next: end };
  }
  if (isWide) need(8, 'an entry');
  const more = isWide ? view.getUint32(at + 4, true) : 0;
  switch (type) {
    case EntryType.PADDING:
      need(4 + more, 'padding');
      return { time: delta, absolute: false, data: null, next: at + 4 + more };
    case EntryType.TIME_EXTEND:
    case EntryType.TIME_STAMP: {
      const absolute = type === EntryType.TIME_STAMP;
      return { time: more * 2 ** 27 + delta, absolute, data: null, next: at + 8 };
    }
    default: {
      const isLong = type === EntryType.LONG;
      const start = isLong ? 8 : 4;
      const lengthBytes = isLong ? Math.ceil(Math.max(0, more - 4) / 4) * 4 : type * 4;
      need(start + lengthBytes, 'an entry');
      const data = { at: at + start, lengthBytes };
      return { time: delta, absolute: false, data, next: at + start + lengthBytes };
    }
  }
}
