// Traces as bytes of a file, for tests: trace.dat files that were never on a disk.

import {
  type ByteSource,
  DatWriter,
  NEWEST_FORMAT,
  reportHeader,
  reportLine,
  TimeOrder,
  type TraceRecord,
} from '../../src/trace/index.ts';
import { KVM_LINES, SCHED_LINES } from './event-lines.ts';

/** Every tracepoint with every text that it can have, some far apart in time, on 3 pCPUs. */
export const EVERY_EVENT: readonly TraceRecord[] = [...KVM_LINES, ...SCHED_LINES].map(
  ([name, , fields], i) =>
    ({
      timeNs: i ** 6,
      pcpu: i % 3,
      comm: `vcpu${i % 5}`,
      pid: 1000 + (i % 5),
      name,
      fields,
    }) as unknown as TraceRecord,
);

/** The events in order of time, as our report shows them. */
export function report(
  records: readonly TraceRecord[],
  pcpuCount: number,
  unit: 'us' | 'ns',
  format = NEWEST_FORMAT,
): string {
  const lines: (string | null)[] = [];
  const order = new TimeOrder({
    record: (record) => void lines.push(reportLine(record, unit, format)),
  });
  for (const record of records) order.record(record);
  order.flush();
  const shown = lines.filter((line) => line !== null);
  return reportHeader(pcpuCount) + shown.map((line) => `${line}\n`).join('');
}

/** A whole trace.dat. */
export function datFile(
  records: readonly TraceRecord[],
  pcpuCount: number,
  format = NEWEST_FORMAT,
): Buffer {
  const pages: Buffer[][] = [];
  const emit = (pcpu: number, page: Uint8Array) => {
    pages[pcpu] ??= [];
    pages[pcpu].push(Buffer.from(page));
  };
  const writer = new DatWriter(pcpuCount, emit, format);
  for (const record of records) writer.record(record);
  writer.flush();
  return Buffer.concat([writer.head(), ...pages.flat()]);
}

/** Bytes to be read. */
export function sourceOf(bytes: Uint8Array): ByteSource {
  return {
    sizeBytes: bytes.length,
    read: (offset, lengthBytes) => bytes.slice(offset, offset + lengthBytes),
  };
}
