// The trace of a recorded run: its first records as text, hashes of what comes behind them, and the
// comparison of another run's trace with both. A record's text shows all that the record says, so
// that two records are the same if they are shown the same.

import { Hash } from '../sim/index.ts';
import { printPayload, type TraceRecord, type TraceSink } from '../trace/index.ts';

/** A record: nanoseconds since the one before (of another pCPU: maybe fewer), and its text. */
export type KeptRecord = readonly [sinceNs: number, text: string];

export interface RecordedTrace {
  /** The first ones. */
  readonly kept: readonly KeptRecord[];
  /** Records in all. */
  readonly count: number;
  /** Records between two marks behind those that are kept. */
  readonly stride: number;
  /** Of all records from there on, eight hexadecimal digits. */
  readonly marks: readonly string[];
  /** Of all of them. */
  readonly last: string;
}

/** Packed they take 13 KB where spinning guests exit, and 200 KB where little repeats itself. */
export const MOST_KEPT = 65_536;

/** With some 5 bytes for each, a recording takes no more than 40 KB for them. */
const MOST_MARKS = 8192;

/** Every other one, beginning with the second. */
export function halved<T>(list: readonly T[]): T[] {
  return list.filter((_, i) => i % 2 === 1);
}

function textOf(record: TraceRecord): string {
  const { comm, pid, pcpu, name } = record;
  const who = `[${String(pcpu).padStart(3, '0')}] ${comm}-${pid}`;
  return `${who} ${name}: ${printPayload(record)}`.replace(/[^ -~]/g, '?');
}

function markOf(hash: Hash): string {
  return hash.digest().slice(0, 8);
}

/** A record as a line. */
function lineOf(timeNs: number, text: string): string {
  const seconds = Math.floor(timeNs / 1e9);
  return `${seconds}.${String(timeNs - seconds * 1e9).padStart(9, '0')} ${text}`;
}

/** Keeps what a recording says of a trace; give it to the machine as its sink. */
export class TraceMarker implements TraceSink {
  private readonly hash = new Hash();
  private readonly kept: KeptRecord[] = [];
  private readonly most: number;
  private lastNs = 0;
  private stride = 1;
  private count = 0;
  private marks: string[] = [];

  /** @param most records that are kept */
  constructor(most = MOST_KEPT) {
    this.most = most;
  }

  record(record: TraceRecord): void {
    const text = textOf(record);
    this.count++;
    if (this.count <= this.most) {
      this.kept.push([record.timeNs - this.lastNs, text]);
      this.lastNs = record.timeNs;
      return;
    }
    this.hash.number(record.timeNs).text(text);
    if ((this.count - this.most) % this.stride !== 0) return;
    this.marks.push(markOf(this.hash));
    if (this.marks.length < MOST_MARKS) return;
    this.marks = halved(this.marks);
    this.stride *= 2;
  }

  get result(): RecordedTrace {
    const { kept, stride, count, marks } = this;
    return { kept, count, stride, marks, last: markOf(this.hash) };
  }
}

/** Where a trace is another one for the first time. */
export interface TraceDifference {
  /** The record is one of these, counted from 1. */
  readonly first: number;
  readonly last: number;
  /**
   * Event number of the run that was compared, at the record; where there is a choice of them, at
   * the last one.
   */
  readonly event: number;
  /** The last records that both have, as lines. */
  readonly before: readonly string[];
  /** From the first difference on; null if the recording has hashes of them only. */
  readonly recorded: readonly string[] | null;
  readonly now: readonly string[];
}

/** Lines that are shown before a difference, and from there on. */
const LINES_BEFORE = 2;
const LINES_BEHIND = 3;
/** Lines of a choice of records. */
const LINES_OF_CHOICE = 8;

/** Compares a trace with a recorded one; give it to the machine as its sink. */
export class TraceComparison implements TraceSink {
  /** Tells the event number of the machine. */
  eventNow: () => number = () => 0;
  private found: Omit<TraceDifference, 'now'> | null = null;
  private readonly expected: RecordedTrace;
  private readonly hash = new Hash();
  private count = 0;
  /** Of the last record that is the same. */
  private recordedNs = 0;
  private before: string[] = [];
  /** From the first one on that may differ. */
  private now: string[] = [];

  constructor(expected: RecordedTrace) {
    this.expected = expected;
  }

  get difference(): TraceDifference | null {
    return this.found && { ...this.found, now: this.now };
  }

  record(record: TraceRecord): void {
    const { kept } = this.expected;
    if (this.found !== null) {
      if (this.found.recorded === null || this.now.length >= LINES_BEHIND) return;
      this.now.push(lineOf(record.timeNs, textOf(record)));
      return;
    }
    this.count++;
    if (this.count <= kept.length) this.compareKept(record, kept[this.count - 1]);
    else if (kept.length === this.expected.count) this.differsAt(this.count, record);
    else this.compareMarks(record);
  }

  private compareKept(record: TraceRecord, [sinceNs, expected]: KeptRecord): void {
    const text = textOf(record);
    const time = this.recordedNs + sinceNs;
    if (text !== expected || record.timeNs !== time) {
      this.differsAt(this.count, record);
      return;
    }
    this.recordedNs = time;
    this.before.push(lineOf(time, text));
    if (this.before.length > LINES_BEFORE) this.before.shift();
  }

  private compareMarks(record: TraceRecord): void {
    const { stride, marks, kept } = this.expected;
    const text = textOf(record);
    this.hash.number(record.timeNs).text(text);
    if (this.now.length < LINES_OF_CHOICE) this.now.push(lineOf(record.timeNs, text));
    const behind = this.count - kept.length;
    if (behind % stride !== 0) return;
    if (marks[behind / stride - 1] === markOf(this.hash)) this.now = [];
    else this.differsUpTo(this.count);
  }

  /** The run has ended, and what has not come yet never will. */
  finish(): void {
    const { count, last, kept } = this.expected;
    if (this.found !== null) return;
    if (this.count < kept.length) this.differsAt(this.count + 1, null);
    else if (this.count !== count || markOf(this.hash) !== last) {
      this.differsUpTo(Math.max(this.count, kept.length + 1));
    }
  }

  /** Both sides are known. */
  private differsAt(number: number, record: TraceRecord | null): void {
    let time = this.recordedNs;
    const behind = this.expected.kept.slice(number - 1, number - 1 + LINES_BEHIND);
    const recorded = behind.map(([sinceNs, text]) => {
      time += sinceNs;
      return lineOf(time, text);
    });
    const { before } = this;
    this.found = { first: number, last: number, event: this.eventNow(), before, recorded };
    this.now = record === null ? [] : [lineOf(record.timeNs, textOf(record))];
  }

  private differsUpTo(last: number): void {
    const { stride, kept } = this.expected;
    const behind = last - kept.length;
    const first = kept.length + Math.floor((behind - 1) / stride) * stride + 1;
    this.found = { first, last, event: this.eventNow(), before: [], recorded: null };
  }
}
