// Reads trace.dat, version 6, ours or trace-cmd's: the events that have a tracepoint here, with the
// columns where the file says that they lie. trace-cmd.dat.v6(5).

import Long from 'long';
import { decodeUtf8 } from '../sim/index.ts';
import { DatOption } from './dat-writer.ts';
import { type EventFormat, type FoundColumn, parseFormatFile } from './event-format.ts';
import type { Raw } from './property.ts';
import { entriesOf, type RingEntry } from './ring-buffer.ts';
import { TraceError } from './trace-error.ts';
import { type EventLayout, NEWEST_FORMAT, TRACE_FORMATS, TraceFormat } from './trace-format.ts';
import { type TraceRecord, tracepointOf } from './tracepoints.ts';

/** The bytes of a file, wherever they are. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** So many bytes from there on; only asked for what the file has. */
  read(offset: number, lengthBytes: number): Uint8Array;
}

/** What trace.dat files begin with. */
export const DAT_MAGIC: readonly number[] = [0x17, 0x08, 0x44];

/** A trace that can be gone through. */
export interface ReadTrace {
  readonly pcpuCount: number;
  /** What traces of its kernel look like, as far as it shows. */
  readonly format: TraceFormat;
  /** Events as they stand there. Throws {@link TraceError} where it is damaged. */
  records(): Generator<TraceRecord>;
  /** How many events of other kinds have been left out so far, by name. */
  readonly leftOut: ReadonlyMap<string, number>;
}

/** @throws TraceError if the file is not one, or not whole */
export function openDat(source: ByteSource): ReadTrace {
  const head = readHead(source);
  const leftOut = new Map<string, number>();
  return {
    pcpuCount: head.sections.length,
    format: head.format,
    leftOut,
    records: () => merged(head.sections.map((_, pcpu) => recordsOf(source, head, pcpu, leftOut))),
  };
}

/** An event of the file: how it lies there, and what it is here. */
interface FileEvent {
  readonly columns: EventFormat['columns'];
  readonly name: string;
  /** Null if there is no such tracepoint. */
  readonly layout: EventLayout | null;
}

interface Head {
  readonly pageBytes: number;
  readonly events: ReadonlyMap<number, FileEvent>;
  readonly format: TraceFormat;
  readonly tasks: ReadonlyMap<number, string>;
  readonly sections: readonly { readonly offset: number; readonly lengthBytes: number }[];
}

/** Reads one thing after the other. */
class Cursor {
  private readonly source: ByteSource;
  offset = 0;

  constructor(source: ByteSource) {
    this.source = source;
  }

  bytes(count: number, what: string): Uint8Array {
    const left = this.source.sizeBytes - this.offset;
    if (count > left) {
      const missing = `expected ${what}, ${count} bytes, but the file ends after ${left}`;
      throw TraceError.atOffset(this.offset, missing);
    }
    const bytes = this.source.read(this.offset, count);
    this.offset += count;
    return bytes;
  }

  number(size: 2 | 4 | 8, what: string): number {
    const bytes = this.bytes(size, what);
    return bytes.reduce((sum, byte, i) => sum + byte * 2 ** (8 * i), 0);
  }

  /** A text behind its length. */
  sized(size: 4 | 8, what: string): string {
    return decodeUtf8(this.bytes(this.number(size, `the size of ${what}`), what));
  }

  /** A text that ends with NUL. */
  terminated(what: string): string {
    const bytes: number[] = [];
    for (;;) {
      const [byte] = this.bytes(1, what);
      if (byte === 0) return decodeUtf8(Uint8Array.from(bytes));
      bytes.push(byte);
    }
  }

  /** A text that has to stand here. */
  expect(text: string): void {
    const start = this.offset;
    const found = decodeUtf8(this.bytes(text.length, printable(text)));
    if (found !== text) {
      throw TraceError.atOffset(start, `expected ${printable(text)}, found ${printable(found)}`);
    }
  }
}

function printable(text: string): string {
  return JSON.stringify(text.replace(/[\0 ]+$/, ''));
}

function readHead(source: ByteSource): Head {
  const cursor = new Cursor(source);
  const magic = cursor.bytes(3, 'the magic number');
  if (magic.some((byte, i) => byte !== DAT_MAGIC[i])) {
    throw TraceError.atOffset(0, 'expected the magic number 17 08 44 of trace.dat');
  }
  cursor.expect('tracing');
  readVersion(cursor);
  const pageBytes = cursor.number(4, 'the size of a page');
  if (pageBytes < 512 || pageBytes > 2 ** 20) {
    throw TraceError.atOffset(cursor.offset - 4, `a page of ${pageBytes} bytes is none`);
  }
  cursor.expect('header_page\0');
  cursor.sized(8, 'the format of a page');
  cursor.expect('header_event\0');
  cursor.sized(8, 'the format of an entry');
  const ftraceEvents = cursor.number(4, "the number of ftrace's own events");
  for (let i = 0; i < ftraceEvents; i++) cursor.sized(8, "one of ftrace's own events");
  const formats = readFormats(cursor);
  cursor.sized(4, 'the kernel functions');
  cursor.sized(4, 'the formats of trace_printk');
  const tasks = tasksOf(cursor.sized(8, 'the names of tasks'));
  const { sections, kernel } = readSections(cursor, source);
  return { pageBytes, ...understood(formats, kernel), tasks, sections };
}

/**
 * What its events are: the newest layouts with all of their columns.
 * @param kernel that the file names; else it is the newest with such events
 */
function understood(
  formats: ReadonlyMap<number, EventFormat>,
  kernel: string | null,
): Pick<Head, 'events' | 'format'> {
  const found = [...formats.values()];
  const fits = (format: TraceFormat) =>
    found.every(({ name, columns }) => {
      const layout = format.layoutOfEvent(name);
      if (layout === null) return !TRACE_FORMATS.some((other) => other.layoutOfEvent(name));
      return hasColumnsOf(layout, columns);
    });
  const layoutFor = ({ name, columns }: EventFormat) => {
    const formatsToTry =
      kernel === null ? TRACE_FORMATS : [TraceFormat.of(kernel), ...TRACE_FORMATS];
    const layouts = formatsToTry.flatMap((format) => format.layoutOfEvent(name) ?? []);
    return layouts.find((layout) => hasColumnsOf(layout, columns)) ?? layouts[0] ?? null;
  };
  const events = [...formats].map(([id, event]): [number, FileEvent] => {
    return [id, { name: event.name, columns: event.columns, layout: layoutFor(event) }];
  });
  const likely = () => TRACE_FORMATS.find(fits) ?? NEWEST_FORMAT;
  return { events: new Map(events), format: kernel === null ? likely() : TraceFormat.of(kernel) };
}

function hasColumnsOf({ tracepoint }: EventLayout, columns: EventFormat['columns']): boolean {
  return tracepoint.columns.every(({ name }) => columns.has(name));
}

function readVersion(cursor: Cursor): void {
  const start = cursor.offset;
  const version = cursor.terminated('the version');
  if (version !== '6') {
    const hint = "'trace-cmd convert --file-version 6' makes one of others";
    throw TraceError.atOffset(start, `expected version 6, found ${printable(version)}; ${hint}`);
  }
  const [endianness, longBytes] = cursor.bytes(2, 'byte order and size of a long');
  if (endianness !== 0) throw TraceError.atOffset(cursor.offset - 2, 'expected little endian');
  if (longBytes !== 8) throw TraceError.atOffset(cursor.offset - 1, 'expected longs of 8 bytes');
}

function readFormats(cursor: Cursor): Map<number, EventFormat> {
  const formats = new Map<number, EventFormat>();
  const systems = cursor.number(4, 'the number of systems');
  for (let i = 0; i < systems; i++) {
    const system = cursor.terminated('the name of a system');
    const events = cursor.number(4, `the number of events of ${system}`);
    for (let k = 0; k < events; k++) {
      const start = cursor.offset;
      const format = parseFormatFile(cursor.sized(8, `the format of an event of ${system}`));
      if (format === null) {
        throw TraceError.atOffset(start, `expected a format with name and ID in ${system}`);
      }
      formats.set(format.id, format);
    }
  }
  return formats;
}

/** `1000 vcpu0` a line. */
function tasksOf(text: string): Map<number, string> {
  const lines = text.split('\n').map((line) => /^(\d+) (.*)$/.exec(line));
  return new Map(lines.flatMap((match) => (match === null ? [] : [[Number(match[1]), match[2]]])));
}

function readSections(
  cursor: Cursor,
  source: ByteSource,
): Pick<Head, 'sections'> & { readonly kernel: string | null } {
  const count = cursor.number(4, 'the number of CPUs');
  let kernel: string | null = null;
  let kind = decodeUtf8(cursor.bytes(10, 'the kind of data'));
  if (kind === 'options  \0') {
    kernel = readOptions(cursor);
    kind = decodeUtf8(cursor.bytes(10, 'the kind of data'));
  }
  if (kind !== 'flyrecord\0') {
    const found = `expected "flyrecord", found ${printable(kind)}`;
    throw TraceError.atOffset(cursor.offset - 10, found);
  }
  const sections = Array.from({ length: count }, (_, pcpu) => {
    const start = cursor.offset;
    const offset = cursor.number(8, `where the data of CPU ${pcpu} lies`);
    const lengthBytes = cursor.number(8, `how long the data of CPU ${pcpu} is`);
    if (offset + lengthBytes > source.sizeBytes) {
      throw TraceError.atOffset(
        start,
        `the data of CPU ${pcpu} ends at 0x${(offset + lengthBytes).toString(16)}, ` +
          `but the file at 0x${source.sizeBytes.toString(16)}: it is not whole`,
      );
    }
    return { offset, lengthBytes };
  });
  return { sections, kernel };
}

/** The version of the kernel, if an option says it. */
function readOptions(cursor: Cursor): string | null {
  let kernel: string | null = null;
  for (;;) {
    const option = cursor.number(2, 'an option');
    if (option === DatOption.DONE) return kernel;
    const text = cursor.sized(4, 'an option');
    if (option !== DatOption.UNAME) continue;
    kernel = /^\S+ \S+ (\d+\.\d+(?:\.\d+)?)/.exec(text)?.[1] ?? null;
  }
}

/** The records of one pCPU. */
function* recordsOf(
  source: ByteSource,
  { pageBytes, events, tasks, sections }: Head,
  pcpu: number,
  leftOut: Map<string, number>,
): Generator<TraceRecord> {
  const { offset, lengthBytes } = sections[pcpu];
  for (let at = 0; at < lengthBytes; at += pageBytes) {
    const start = offset + at;
    if (lengthBytes - at < pageBytes) {
      throw TraceError.atOffset(start, `expected a page of ${pageBytes} bytes`);
    }
    const page = source.read(start, pageBytes);
    for (const entry of entriesOf(page, start)) {
      const record = recordOf(page, start, entry, events);
      if (record.fields === null) leftOut.set(record.name, (leftOut.get(record.name) ?? 0) + 1);
      else {
        const { pid } = record;
        const comm = pid === 0 ? '<idle>' : (tasks.get(pid) ?? '<...>');
        yield { ...record, pcpu, comm } as TraceRecord;
      }
    }
  }
}

const COMMON_BYTES = 8;

/** An event; without fields if there is no such tracepoint. */
function recordOf(
  page: Uint8Array,
  start: number,
  { timeNs, at, lengthBytes }: RingEntry,
  events: ReadonlyMap<number, FileEvent>,
) {
  const view = new DataView(page.buffer, page.byteOffset + at, lengthBytes);
  if (lengthBytes < COMMON_BYTES) {
    throw TraceError.atOffset(start + at, `an event of ${lengthBytes} bytes is too short`);
  }
  const id = view.getUint16(0, true);
  const event = events.get(id);
  if (event === undefined) {
    throw TraceError.atOffset(start + at, `the file describes no event with the number ${id}`);
  }
  const { layout, columns } = event;
  const pid = view.getInt32(4, true);
  if (layout === null) return { timeNs, pid, name: event.name, fields: null };
  const { name } = layout;
  const told = layout.tracepoint.decode((column) => {
    const found = columns.get(column);
    if (found === undefined) return 0;
    if (found.offset + found.sizeBytes > lengthBytes) {
      const end = `its ${lengthBytes} bytes end before ${column}`;
      throw TraceError.atOffset(start + at, `${name}: ${end}`);
    }
    return rawAt(view, found);
  });
  return { timeNs, pid, name, fields: tracepointOf(name).complete(told) };
}

function rawAt(view: DataView, { offset, sizeBytes, signed, isText }: FoundColumn): Raw {
  if (isText) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, sizeBytes);
    const end = bytes.indexOf(0);
    return decodeUtf8(end < 0 ? bytes : bytes.subarray(0, end));
  }
  switch (sizeBytes) {
    case 1:
      return signed ? view.getInt8(offset) : view.getUint8(offset);
    case 2:
      return signed ? view.getInt16(offset, true) : view.getUint16(offset, true);
    case 8:
      return Long.fromBits(view.getInt32(offset, true), view.getInt32(offset + 4, true), !signed);
    default:
      return signed ? view.getInt32(offset, true) : view.getUint32(offset, true);
  }
}

/** Several orders of time made one. */
function* merged(sources: readonly Generator<TraceRecord>[]): Generator<TraceRecord> {
  const heads = sources.map((source) => source.next());
  for (;;) {
    let least = -1;
    let leastNs = Number.POSITIVE_INFINITY;
    for (const [i, head] of heads.entries()) {
      if (head.done || head.value.timeNs >= leastNs) continue;
      least = i;
      leastNs = head.value.timeNs;
    }
    const chosen = heads[least];
    if (chosen === undefined || chosen.done) return;
    yield chosen.value;
    heads[least] = sources[least].next();
  }
}
