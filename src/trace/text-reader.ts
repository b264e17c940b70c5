// Reads traces that are text: ftrace's own, and what `trace-cmd report` prints. A line is a task,
// its pid, a pCPU in brackets, latency columns (or none), a time in seconds, and an event.

import type { ReadTrace } from './dat-reader.ts';
import { TraceError } from './trace-error.ts';
import {
  type EventLayout,
  NEWEST_FORMAT,
  TRACE_FORMATS,
  type TraceFormat,
} from './trace-format.ts';
import { type TraceRecord, tracepointOf } from './tracepoints.ts';

const LINE = new RegExp(
  [
    /^\s*(?<comm>.+)-(?<pid>\d+)\s+(?:\(\s*[-\d]+\)\s+)?/,
    /\[(?<pcpu>\d{1,4})\]\s+(?:[a-zA-Z0-9.]{4,5}\s+)?/,
    /(?<seconds>\d{1,9})\.(?<fraction>\d{6}|\d{9}): +(?<name>\w+): *(?<payload>.*)$/,
  ]
    .map(({ source }) => source)
    .join(''),
);

/** @param lines without their newlines; gone through once */
export function openText(lines: () => Iterable<string>): ReadTrace {
  const leftOut = new Map<string, number>();
  return {
    pcpuCount: pcpuCountOf(lines()),
    format: formatOf(lines()),
    leftOut,
    records: () => recordsOf(lines(), leftOut),
  };
}

/** Lines that are enough to tell what kernel it is. */
const TELLING_LINES = 10_000;

/** The newest kernel that writes such lines. */
function formatOf(lines: Iterable<string>): TraceFormat {
  let possible: readonly TraceFormat[] = TRACE_FORMATS;
  let count = 0;
  for (const line of lines) {
    // The lines of `trace-cmd report` have no latency columns, whatever the kernel, and no legend.
    const [, marks] = /^# +TASK-PID +CPU#([ |]+)TIMESTAMP/.exec(line) ?? [];
    if (marks !== undefined) {
      const columns = marks.trim().length;
      const left = possible.filter(({ style }) => style.latencyColumns === columns);
      if (left.length > 0) possible = left;
    }
    const { name, payload } = LINE.exec(line)?.groups ?? {};
    if (name === undefined) continue;
    const left = possible.filter((format) => {
      const layout = format.layoutOfEvent(name);
      return layout !== null && layout.tracepoint.parse(payload) !== null;
    });
    if (left.length > 0) possible = left;
    if (possible.length === 1 || ++count === TELLING_LINES) break;
  }
  return possible[0] ?? NEWEST_FORMAT;
}

const HEAD_LINES = 20;

/** What the head says, or 1. */
function pcpuCountOf(lines: Iterable<string>): number {
  let count = 0;
  for (const line of lines) {
    const [, found] = /(?:#P:|^cpus=)(\d+)\s*$/.exec(line) ?? [];
    if (found !== undefined) return Number(found);
    if (++count === HEAD_LINES) break;
  }
  return 1;
}

function* recordsOf(lines: Iterable<string>, leftOut: Map<string, number>): Generator<TraceRecord> {
  let number = 0;
  let found = 0;
  let expected = 0;
  const latest = new Map<number, number>();
  for (const line of lines) {
    number++;
    const [, written] = /^# entries-in-buffer\/entries-written: \d+\/(\d+)/.exec(line) ?? [];
    if (written !== undefined) expected = Number(written);
    if (line === '' || line.startsWith('#') || /^cpus=\d+$/.test(line)) continue;
    found++;
    const record = recordOf(line, number);
    if ('fields' in record) {
      const { pcpu, timeNs } = record;
      if (timeNs < (latest.get(pcpu) ?? 0)) {
        throw TraceError.atLine(number, `is earlier than the event before it on CPU ${pcpu}`);
      }
      latest.set(pcpu, timeNs);
      yield record;
    } else leftOut.set(record.unknown, (leftOut.get(record.unknown) ?? 0) + 1);
  }
  if (number === 0) throw TraceError.atLine(1, 'expected a trace, found nothing');
  if (found < expected) {
    throw TraceError.atLine(
      number + 1,
      `expected more events: the head says ${expected}, but there are ${found}; it is not whole`,
    );
  }
}

function recordOf(line: string, number: number): TraceRecord | { readonly unknown: string } {
  const { groups } = LINE.exec(line) ?? {};
  if (groups === undefined) {
    const example = 'task-pid [cpu] flags seconds.microseconds: event: ...';
    throw TraceError.atLine(number, `expected '${example}', found ${shortened(line)}`);
  }
  const { comm, pid, pcpu, seconds, fraction, name: event, payload } = groups;
  const layouts = layoutsOf(event);
  if (layouts.length === 0) return { unknown: event };
  for (const { name, tracepoint } of layouts) {
    const told = tracepoint.parse(payload);
    if (told === null) continue;
    const fields = tracepointOf(name).complete(told);
    const timeNs = Number(seconds) * 1e9 + Number(fraction.padEnd(9, '0'));
    return { timeNs, pcpu: Number(pcpu), comm, pid: Number(pid), name, fields } as TraceRecord;
  }
  throw TraceError.atLine(number, `expected the text of ${event}, found ${shortened(payload)}`);
}

const LAYOUTS = new Map<string, readonly EventLayout[]>();

/** What kernels call so, the newest first. */
function layoutsOf(event: string): readonly EventLayout[] {
  const known = LAYOUTS.get(event);
  if (known !== undefined) return known;
  const all = TRACE_FORMATS.flatMap((format) => format.layoutOfEvent(event) ?? []);
  const seen = new Set<unknown>();
  const layouts = all.filter(({ tracepoint }) => {
    const isNew = !seen.has(tracepoint);
    seen.add(tracepoint);
    return isNew;
  });
  LAYOUTS.set(event, layouts);
  return layouts;
}

function shortened(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
