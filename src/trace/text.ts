// Traces as text: the lines of /sys/kernel/tracing/trace, as trace viewers and scripts read them
// (Linux kernel/trace/trace_output.c, trace_print_context, and print_func_help_header_irq), and the
// lines of `trace-cmd report`.

import { encodeUtf8 } from '../sim/index.ts';
import { EventMemo } from './event-memo.ts';
import {
  type EventLayout,
  type LineStyle,
  NEWEST_FORMAT,
  PerEvent,
  type TraceFormat,
} from './trace-format.ts';
import type { TraceRecord, TraceSink } from './tracepoints.ts';

/** Width of the line that holds the counts, which are only known at the end. */
const COUNTS_WIDTH = 79;

/** What the columns of a line are, by the number of latency columns. */
const LEGENDS = {
  0: [
    '#           TASK-PID    CPU#    TIMESTAMP  FUNCTION',
    '#              | |       |          |         |',
  ],
  4: [
    '#                              _-----=> irqs-off',
    '#                             / _----=> need-resched',
    '#                            | / _---=> hardirq/softirq',
    '#                            || / _--=> preempt-depth',
    '#                            ||| /     delay',
    '#           TASK-PID   CPU#  ||||    TIMESTAMP  FUNCTION',
    '#              | |       |   ||||       |         |',
  ],
  5: [
    '#                                _-----=> irqs-off/BH-disabled',
    '#                               / _----=> need-resched',
    '#                              | / _---=> hardirq/softirq',
    '#                              || / _--=> preempt-depth',
    '#                              ||| / _-=> migrate-disable',
    '#                              |||| /     delay',
    '#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION',
    '#              | |         |   |||||     |         |',
  ],
} as const;

/** The comment lines at the top of a trace, each ended by a newline. */
export function textHeader(entries: number, pcpuCount: number, format = NEWEST_FORMAT): string {
  const { latencyColumns } = format.style;
  const counts = `# entries-in-buffer/entries-written: ${entries}/${entries}   #P:${pcpuCount}`;
  // There were no counts before there were latency columns.
  const head = latencyColumns === 0 ? [] : [counts.padEnd(COUNTS_WIDTH), '#'];
  return ['# tracer: nop', '#', ...head, ...LEGENDS[latencyColumns], ''].join('\n');
}

/** Up to the point in the time, whole seconds before it. */
function headText(record: TraceRecord, { tracepoint }: EventLayout, style: LineStyle): string {
  const { comm, pid, pcpu, timeNs } = record;
  const { latencyColumns, pidWidth } = style;
  const task = `${comm.slice(0, 15).padStart(16)}-${String(pid).padEnd(pidWidth)}`;
  const flags = tracepoint.flags.slice(0, latencyColumns);
  const second = String(Math.floor(timeNs / 1e9)).padStart(5);
  return `${task} [${String(pcpu).padStart(3, '0')}] ${flags}${flags === '' ? '' : ' '}${second}.`;
}

/** What follows the time. */
function tailText({ event, tracepoint }: EventLayout, fields: unknown): string {
  return `: ${event}: ${tracepoint.print(fields)}`;
}

/** One event as a line, without newline; null if the kernel does not have such events. */
export function lineOf(record: TraceRecord, format: TraceFormat): string | null {
  const layout = format.layoutOf(record.name);
  if (layout === null) return null;
  const microseconds = Math.floor(record.timeNs / 1000) % 1_000_000;
  const head = headText(record, layout, format.style);
  return `${head}${String(microseconds).padStart(6, '0')}${tailText(layout, record.fields)}`;
}

/** One event as a line of the newest kernel, which has them all, without newline. */
export function textLine(record: TraceRecord): string {
  return lineOf(record, NEWEST_FORMAT) ?? '';
}

/** Bytes that are handed on at once. */
const PIECE_BYTES = 2 ** 16;

/** Digits of microseconds. */
const FRACTION_DIGITS = 6;

const DIGIT_0 = 0x30;

/**
 * Lines one after the other, as bytes, which are only lent: what a line begins and ends with is
 * mostly the same as before, and to copy bytes takes less than to join text.
 */
export class TextWriter implements TraceSink {
  /** Lines so far. */
  entries = 0;
  private readonly emit: (bytes: Uint8Array) => void;
  private readonly format: TraceFormat;
  private readonly texts: PerEvent<EventText>;
  private readonly waiting = new Uint8Array(PIECE_BYTES);
  private end = 0;

  constructor(emit: (bytes: Uint8Array) => void, format = NEWEST_FORMAT) {
    this.emit = emit;
    this.format = format;
    this.texts = new PerEvent(format, textOf);
  }

  record(record: TraceRecord): void {
    const event = this.texts.of(record.name);
    if (event === null) return;
    const microseconds = Math.floor(record.timeNs / 1000);
    const second = Math.floor(microseconds / 1_000_000);
    this.put(this.headOf(record, event, second));
    this.putFraction(microseconds - second * 1_000_000);
    this.put(event.tails.bytesOf(record.fields));
    this.entries++;
  }

  /** Hand on what waits. */
  flush(): void {
    this.emit(this.waiting.subarray(0, this.end));
    this.end = 0;
  }

  private put(bytes: Uint8Array): void {
    const { length } = bytes;
    if (this.end + length > PIECE_BYTES) this.flush();
    if (length > PIECE_BYTES) {
      this.emit(bytes);
      return;
    }
    this.waiting.set(bytes, this.end);
    this.end += length;
  }

  private putFraction(microseconds: number): void {
    if (this.end + FRACTION_DIGITS > PIECE_BYTES) this.flush();
    const { waiting } = this;
    let rest = microseconds;
    for (let at = this.end + FRACTION_DIGITS - 1; at >= this.end; at--) {
      const tenth = (rest / 10) | 0;
      waiting[at] = DIGIT_0 + rest - 10 * tenth;
      rest = tenth;
    }
    this.end += FRACTION_DIGITS;
  }

  private headOf(record: TraceRecord, { heads, layout }: EventText, second: number): Uint8Array {
    const { comm, pid, pcpu } = record;
    const head = heads[pcpu];
    const isSame = head !== undefined && head.second === second && head.pid === pid;
    if (isSame && head.comm === comm) return head.bytes;
    const bytes = encodeUtf8(headText(record, layout, this.format.style));
    heads[pcpu] = { comm, pid, second, bytes };
    return bytes;
  }
}

function textOf(layout: EventLayout): EventText {
  const tail = (fields: unknown) => encodeUtf8(`${tailText(layout, fields)}\n`);
  return { layout, heads: [], tails: new EventMemo(layout.tracepoint.ways, tail) };
}

/** What the beginning of a line depends on, and its bytes. */
interface Head {
  readonly comm: string;
  readonly pid: number;
  readonly second: number;
  readonly bytes: Uint8Array;
}

/** What is known of an event's lines. */
interface EventText {
  readonly layout: EventLayout;
  /** By pCPU, what its last line of this kind began with. */
  readonly heads: (Head | undefined)[];
  /** What follows the time, newline included. */
  readonly tails: EventMemo;
}

/** What `trace-cmd report` begins with, newline included. */
export function reportHeader(pcpuCount: number): string {
  return `cpus=${pcpuCount}\n`;
}

/** Characters that the name of an event and its colon take there. */
const NAME_WIDTH = 21;

/**
 * One event as `trace-cmd report` shows it without plugins, without newline; null if the kernel
 * does not have such events.
 * @param unit microseconds, which are rounded there, or nanoseconds (`-t`)
 */
export function reportLine(
  record: TraceRecord,
  unit: 'us' | 'ns',
  format = NEWEST_FORMAT,
): string | null {
  const layout = format.layoutOf(record.name);
  if (layout === null) return null;
  const task = `${record.comm.slice(0, 15).padStart(16)}-${String(record.pid).padEnd(5)}`;
  const cpu = `[${String(record.pcpu).padStart(3, '0')}]`;
  const perSecond = unit === 'ns' ? 1e9 : 1e6;
  const time = unit === 'ns' ? record.timeNs : Math.floor((record.timeNs + 500) / 1000);
  const seconds = String(Math.floor(time / perSecond)).padStart(5);
  const fraction = String(time % perSecond).padStart(unit === 'ns' ? 9 : 6, '0');
  const name = `${layout.event}:`.padEnd(NAME_WIDTH);
  return `${task} ${cpu} ${seconds}.${fraction}: ${name} ${layout.tracepoint.print(record.fields)}`;
}
