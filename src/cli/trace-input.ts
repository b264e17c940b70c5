// Traces that are read: trace.dat or text, whichever the file turns out to be.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import {
  type ByteSource,
  DAT_MAGIC,
  openDat,
  openText,
  type ReadTrace,
  TraceError,
  type TraceFormat,
  type TraceRecord,
} from '../trace/index.ts';
import { Failure } from './failure.ts';
import { asFailure } from './files.ts';

/** A trace in a file; a generator of its events and what is known beforehand. */
export interface TraceInput {
  readonly pcpuCount: number;
  /** What traces of its kernel look like. */
  readonly format: TraceFormat;
  /** The events. Throws {@link Failure} where the file is damaged. */
  records(): Generator<TraceRecord>;
  /** Say what was left out, and let go of the file. */
  close(): void;
}

/** Throws {@link Failure} if the file is not there or is no trace. */
export function openTrace(path: string): TraceInput {
  return explained(path, () => {
    const file = openSync(path, 'r');
    const stats = fstatSync(file);
    if (stats.isDirectory()) throw new Failure(`${path}: is a directory, not a file`);
    if (!stats.isFile()) throw new Failure(`${path}: is not an ordinary file`);
    const source = sourceOf(file, stats.size);
    const trace = traceIn(path, source);
    return {
      pcpuCount: trace.pcpuCount,
      format: trace.format,
      records: () => explainedRecords(path, trace),
      close: () => {
        closeSync(file);
        sayLeftOut(path, trace.leftOut);
      },
    };
  });
}

function sourceOf(file: number, sizeBytes: number): ByteSource {
  return {
    sizeBytes,
    read: (offset, lengthBytes) => {
      const bytes = new Uint8Array(lengthBytes);
      const count = readSync(file, bytes, 0, lengthBytes, offset);
      return bytes.subarray(0, count);
    },
  };
}

const LOOKED_AT_BYTES = 4096;

function traceIn(path: string, source: ByteSource): ReadTrace {
  const start = source.read(0, Math.min(LOOKED_AT_BYTES, source.sizeBytes));
  if (start.length === 0) throw new Failure(`${path}: is empty`);
  if (DAT_MAGIC.every((byte, i) => start[i] === byte)) return openDat(source);
  const isText = start.every((byte) => byte >= 0x20 || byte === 9 || byte === 10 || byte === 13);
  if (isText) return openText(() => linesOf(source));
  throw new Failure(
    `${path}: offset 0x0: expected trace.dat or text; Perfetto's traces are written, not read`,
  );
}

const CHUNK_BYTES = 2 ** 16;

/** The lines of a text, a piece of the file at a time. */
function* linesOf(source: ByteSource): Generator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for (let at = 0; at < source.sizeBytes; at += CHUNK_BYTES) {
    const bytes = source.read(at, Math.min(CHUNK_BYTES, source.sizeBytes - at));
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

function* explainedRecords(path: string, trace: ReadTrace): Generator<TraceRecord> {
  const records = trace.records();
  for (;;) {
    const next = explained(path, () => records.next());
    if (next.done) return;
    yield next.value;
  }
}

/** What went wrong with a file, with its name. */
function explained<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof TraceError) throw new Failure(`${path}: ${thrown.message}`);
    throw asFailure(thrown, path);
  }
}

function sayLeftOut(path: string, leftOut: ReadonlyMap<string, number>): void {
  if (leftOut.size === 0) return;
  const kinds = [...leftOut].map(([name, count]) => `${name} (${count})`).join(', ');
  process.stderr.write(`${path}: left out, for there are no such tracepoints here: ${kinds}\n`);
}
