// Traces as bytes of a file, for tests: trace.dat files that were never on a disk.

import { type ByteSource, DatWriter, type TraceRecord } from '../../src/trace/index.ts';

/** A whole trace.dat. */
export function datFile(records: readonly TraceRecord[], pcpuCount: number): Buffer {
  const pages: Buffer[][] = [];
  const writer = new DatWriter(pcpuCount, (pcpu, page) => {
    pages[pcpu] ??= [];
    pages[pcpu].push(Buffer.from(page));
  });
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
