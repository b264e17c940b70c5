// Traces as text: the lines of /sys/kernel/tracing/trace, as trace viewers and scripts read them
// (Linux kernel/trace/trace_output.c, trace_print_context, and print_func_help_header_irq), and the
// lines of `trace-cmd report`.

import { TextMemo } from './text-memo.ts';
import { type EventLayout, NEWEST_FORMAT, type TraceFormat } from './trace-format.ts';
import type { TracepointName, TraceRecord } from './tracepoints.ts';

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

/** Whole microseconds below a thousand, in three digits. */
const THREE_DIGITS = Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0'));

/** Lines one after the other: what a line begins and ends with is mostly the same as before. */
export class TextLines {
  private readonly format: TraceFormat;
  /** What an event is in text, by the name of the tracepoint; null: not in this kernel. */
  private readonly known = new Map<TracepointName, EventText | null>();

  constructor(format = NEWEST_FORMAT) {
    this.format = format;
  }

  /** One event as a line, without newline; null if the kernel does not have such events. */
  line(record: TraceRecord): string | null {
    const event = this.eventText(record.name);
    if (event === null) return null;
    const microseconds = Math.floor(record.timeNs / 1000);
    const second = Math.floor(microseconds / 1_000_000);
    const fraction = microseconds - second * 1_000_000;
    const thousands = Math.floor(fraction / 1000);
    const head = this.headOf(record, event, second);
    const time = THREE_DIGITS[thousands] + THREE_DIGITS[fraction - 1000 * thousands];
    return head + time + event.tails.textOf(record.fields);
  }

  private eventText(name: TracepointName): EventText | null {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    const layout = this.format.layoutOf(name);
    const text = layout === null ? null : this.textOf(layout);
    this.known.set(name, text);
    return text;
  }

  private textOf({ event, tracepoint }: EventLayout): EventText {
    const { latencyColumns } = this.format.style;
    const flags = tracepoint.flags.slice(0, latencyColumns);
    const tail = (fields: unknown) => `: ${event}: ${tracepoint.print(fields)}`;
    return {
      flags: latencyColumns === 0 ? '' : `${flags} `,
      heads: [],
      tails: new TextMemo(tracepoint.getters, tail),
    };
  }

  /** Up to the point in the time. */
  private headOf({ comm, pid, pcpu }: TraceRecord, event: EventText, second: number): string {
    const { heads, flags } = event;
    const head = heads[pcpu];
    const isSame = head !== undefined && head.second === second && head.pid === pid;
    if (isSame && head.comm === comm) return head.text;
    const { pidWidth } = this.format.style;
    const task = `${comm.slice(0, 15).padStart(16)}-${String(pid).padEnd(pidWidth)}`;
    const cpu = String(pcpu).padStart(3, '0');
    const text = `${task} [${cpu}] ${flags}${String(second).padStart(5)}.`;
    heads[pcpu] = { comm, pid, second, text };
    return text;
  }
}

/** What the beginning of a line depends on, and the text. */
interface Head {
  readonly comm: string;
  readonly pid: number;
  readonly second: number;
  readonly text: string;
}

/** What of a line depends on its event alone. */
interface EventText {
  /** A space behind them. */
  readonly flags: string;
  /** By pCPU, what its last line of this kind began with. */
  readonly heads: (Head | undefined)[];
  /** What follows the time. */
  readonly tails: TextMemo;
}

/** One event as a line of the newest kernel, which has them all, without newline. */
export function textLine(record: TraceRecord): string {
  return new TextLines().line(record) ?? '';
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
