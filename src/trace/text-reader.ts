// Reads traces that are text: ftrace's own, and what `trace-cmd report` prints. A line is a task,
// its pid, a pCPU in brackets, latency columns (or none), a time in seconds, and an event.

import type { ReadTrace } from './dat-reader.ts';
import { TraceError } from './trace-error.ts';
import { isTracepoint, type TraceRecord, tracepointOf } from './tracepoints.ts';

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
    leftOut,
    records: () => recordsOf(lines(), leftOut),
  };
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
  const { comm, pid, pcpu, seconds, fraction, name, payload } = groups;
  if (!isTracepoint(name)) return { unknown: name };
  const fields = tracepointOf(name).parse(payload);
  if (fields === null) {
    throw TraceError.atLine(number, `expected the text of ${name}, found ${shortened(payload)}`);
  }
  const timeNs = Number(seconds) * 1e9 + Number(fraction.padEnd(9, '0'));
  return { timeNs, pcpu: Number(pcpu), comm, pid: Number(pid), name, fields } as TraceRecord;
}

function shortened(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
