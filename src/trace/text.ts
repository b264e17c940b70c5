// Traces as text: the lines of /sys/kernel/tracing/trace, as trace viewers and scripts read them
// (Linux kernel/trace/trace_output.c, trace_print_context, and print_func_help_header_irq), and the
// lines of `trace-cmd report`.

import { flagsOf, printPayload, type TraceRecord } from './tracepoints.ts';

/** Width of the line that holds the counts, which are only known at the end. */
const COUNTS_WIDTH = 79;

/** The comment lines at the top of a trace, each ended by a newline. */
export function textHeader(entries: number, pcpuCount: number): string {
  const counts = `# entries-in-buffer/entries-written: ${entries}/${entries}   #P:${pcpuCount}`;
  return [
    '# tracer: nop',
    '#',
    counts.padEnd(COUNTS_WIDTH),
    '#',
    '#                                _-----=> irqs-off/BH-disabled',
    '#                               / _----=> need-resched',
    '#                              | / _---=> hardirq/softirq',
    '#                              || / _--=> preempt-depth',
    '#                              ||| / _-=> migrate-disable',
    '#                              |||| /     delay',
    '#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION',
    '#              | |         |   |||||     |         |',
    '',
  ].join('\n');
}

/** Lines one after the other: what a line begins with is mostly the same as before. */
export class TextLines {
  /** By pCPU, who ran there last and what his lines begin with. */
  private readonly tasks: { comm: string; pid: number; text: string }[] = [];
  private second = -1;
  private secondText = '';

  /** One event as a line, without newline. */
  line(record: TraceRecord): string {
    const microseconds = Math.floor(record.timeNs / 1000);
    const second = Math.floor(microseconds / 1_000_000);
    if (second !== this.second) {
      this.second = second;
      this.secondText = String(second).padStart(5);
    }
    const fraction = String(microseconds - second * 1_000_000).padStart(6, '0');
    const { name } = record;
    const when = `${flagsOf(name)} ${this.secondText}.${fraction}`;
    return `${this.task(record)} ${when}: ${name}: ${printPayload(record)}`;
  }

  private task({ comm, pid, pcpu }: TraceRecord): string {
    const known = this.tasks[pcpu];
    if (known !== undefined && known.comm === comm && known.pid === pid) return known.text;
    const task = `${comm.slice(0, 15).padStart(16)}-${String(pid).padEnd(7)}`;
    const text = `${task} [${String(pcpu).padStart(3, '0')}]`;
    this.tasks[pcpu] = { comm, pid, text };
    return text;
  }
}

/** One event as a line, without newline. */
export function textLine(record: TraceRecord): string {
  return new TextLines().line(record);
}

/** What `trace-cmd report` begins with, newline included. */
export function reportHeader(pcpuCount: number): string {
  return `cpus=${pcpuCount}\n`;
}

/** Characters that the name of an event and its colon take there. */
const NAME_WIDTH = 21;

/**
 * One event as `trace-cmd report` shows it without plugins, without newline.
 * @param unit microseconds, which are rounded there, or nanoseconds (`-t`)
 */
export function reportLine(record: TraceRecord, unit: 'us' | 'ns'): string {
  const task = `${record.comm.slice(0, 15).padStart(16)}-${String(record.pid).padEnd(5)}`;
  const cpu = `[${String(record.pcpu).padStart(3, '0')}]`;
  const perSecond = unit === 'ns' ? 1e9 : 1e6;
  const time = unit === 'ns' ? record.timeNs : Math.floor((record.timeNs + 500) / 1000);
  const seconds = String(Math.floor(time / perSecond)).padStart(5);
  const fraction = String(time % perSecond).padStart(unit === 'ns' ? 9 : 6, '0');
  const name = `${record.name}:`.padEnd(NAME_WIDTH);
  return `${task} ${cpu} ${seconds}.${fraction}: ${name} ${printPayload(record)}`;
}
