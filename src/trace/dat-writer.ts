// trace.dat, version 6: the file of trace-cmd and KernelShark. A head that describes every event,
// then the pages of each pCPU one after the other. trace-cmd.dat.v6(5). How many pages there are is
// known at the end only, so whoever writes the file keeps the pages until then; here are only
// bytes.

import { encodeUtf8 } from '../sim/index.ts';
import { EVENT_IDS, formatFile } from './event-format.ts';
import { EventMemo } from './event-memo.ts';
import { HEADER_EVENT, HEADER_PAGE, PAGE_BYTES, PageWriter } from './ring-buffer.ts';
import { type EventLayout, NEWEST_FORMAT, PerEvent, type TraceFormat } from './trace-format.ts';
import { flagsOf, type TraceRecord, type TraceSink } from './tracepoints.ts';

/** Bits of common_flags. Linux include/linux/trace_events.h, enum trace_flag_type. */
export const CommonFlag = {
  IRQS_OFF: 1,
  NEED_RESCHED: 4,
  HARDIRQ: 8,
  SOFTIRQ: 16,
  PREEMPT_RESCHED: 32,
} as const;

/** Options of the file: nothing more, and what `uname -a` says. */
export const DatOption = { DONE: 0, UNAME: 5 } as const;

/** How the name of a task is cut: TASK_COMM_LEN, with a final NUL. */
export const COMM_LENGTH = 15;

const LITTLE_ENDIAN = 0;
const LONG_BYTES = 8;

/** Where the pages of a pCPU lie in the file. */
interface Section {
  readonly offset: number;
  readonly lengthBytes: number;
}

/**
 * Takes events and hands on full pages, with the number of the pCPU; the bytes are only lent. There
 * may turn out to be more pCPUs than `pcpuCount`. Events of a pCPU have to come in order of time.
 */
export class DatWriter implements TraceSink {
  private readonly emit: (pcpu: number, page: Uint8Array) => void;
  private readonly pages: PageWriter[] = [];
  private readonly pageCounts: number[] = [];
  private readonly tasks = new Map<number, string>();
  private readonly format: TraceFormat;
  private readonly events: PerEvent<DatEvent>;

  constructor(
    pcpuCount: number,
    emit: (pcpu: number, page: Uint8Array) => void,
    format = NEWEST_FORMAT,
  ) {
    this.emit = emit;
    this.format = format;
    this.events = new PerEvent(format, datEvent);
    for (let i = 0; i < pcpuCount; i++) this.addPcpu();
  }

  record(record: TraceRecord): void {
    const event = this.events.of(record.name);
    if (event === null) return;
    const { pid } = record;
    while (record.pcpu >= this.pages.length) this.addPcpu();
    const page = this.pages[record.pcpu];
    const at = page.append(record.timeNs, event.sizeBytes);
    page.bytes.set(event.records.bytesOf(record.fields), at);
    page.view.setInt32(at + 4, pid, true);
    if (!this.tasks.has(pid)) this.tasks.set(pid, record.comm);
  }

  /** Hand on the pages that are not full. */
  flush(): void {
    for (const page of this.pages) page.flush();
  }

  /** What the file begins with, now that all pages are out; the sections of each pCPU follow. */
  head(): Uint8Array {
    const before = this.description();
    const size = before.length + this.pages.length * 16;
    let offset = Math.ceil(size / PAGE_BYTES) * PAGE_BYTES;
    const sections = this.pageCounts.map((count): Section => {
      const section = { offset, lengthBytes: count * PAGE_BYTES };
      offset += section.lengthBytes;
      return section;
    });
    const table = sections.flatMap(({ offset: start, lengthBytes }) => [
      ...word(start, 8),
      ...word(lengthBytes, 8),
    ]);
    const bytes = new Uint8Array(Math.ceil(size / PAGE_BYTES) * PAGE_BYTES);
    bytes.set(before);
    bytes.set(table, before.length);
    return bytes;
  }

  private addPcpu(): void {
    const pcpu = this.pages.length;
    this.pageCounts.push(0);
    this.pages.push(new PageWriter((page) => this.full(pcpu, page)));
  }

  private full(pcpu: number, page: Uint8Array): void {
    this.pageCounts[pcpu]++;
    this.emit(pcpu, page);
  }

  /** Everything before the table of sections. */
  private description(): Uint8Array {
    const tasks = [...this.tasks]
      .map(([pid, name]) => `${pid} ${name.slice(0, COMM_LENGTH)}\n`)
      .join('');
    return Uint8Array.from([
      ...[0x17, 0x08, 0x44],
      ...encodeUtf8('tracing6\0'),
      ...[LITTLE_ENDIAN, LONG_BYTES],
      ...word(PAGE_BYTES, 4),
      ...encodeUtf8('header_page\0'),
      ...sized(HEADER_PAGE, 8),
      ...encodeUtf8('header_event\0'),
      ...sized(HEADER_EVENT, 8),
      // No formats of ftrace's own events.
      ...word(0, 4),
      ...eventFormats(this.format),
      // No names of kernel functions, no formats of trace_printk.
      ...sized('', 4),
      ...sized('', 4),
      ...sized(tasks, 8),
      ...word(this.pages.length, 4),
      ...encodeUtf8('options  \0'),
      ...word(DatOption.UNAME, 2),
      ...sized(`Linux vmxlab ${this.format.kernel} x86_64`, 4),
      ...word(DatOption.DONE, 2),
      ...encodeUtf8('flyrecord\0'),
    ]);
  }
}

/** An event as it is in the file. */
interface DatEvent {
  readonly sizeBytes: number;
  /** Records, of no task. */
  readonly records: EventMemo;
}

function datEvent({ name, tracepoint }: EventLayout): DatEvent {
  const { sizeBytes, ways } = tracepoint;
  const [irqs, , , depth] = flagsOf(name);
  const write = (fields: unknown) => {
    const view = new DataView(new ArrayBuffer(sizeBytes));
    view.setUint16(0, EVENT_IDS.get(name) ?? 0, true);
    view.setUint8(2, irqs === 'd' ? CommonFlag.IRQS_OFF : 0);
    view.setUint8(3, depth === '.' ? 0 : Number.parseInt(depth, 16));
    tracepoint.encode(fields, view, 0);
    return new Uint8Array(view.buffer);
  };
  return { sizeBytes, records: new EventMemo(ways, write) };
}

function eventFormats({ events }: TraceFormat): number[] {
  const systems = [...new Set(events.map(({ tracepoint }) => tracepoint.system))];
  return [
    ...word(systems.length, 4),
    ...systems.flatMap((system) => {
      const own = events.filter(({ tracepoint }) => tracepoint.system === system);
      const files = own.map(({ name, event, tracepoint }) =>
        formatFile(event, EVENT_IDS.get(name) ?? 0, tracepoint),
      );
      return [
        ...encodeUtf8(`${system}\0`),
        ...word(own.length, 4),
        ...files.flatMap((file) => sized(file, 8)),
      ];
    }),
  ];
}

/** A text behind its length. */
function sized(text: string, lengthBytes: 4 | 8): number[] {
  const bytes = [...encodeUtf8(text)];
  return [...word(bytes.length, lengthBytes), ...bytes];
}

/** A whole number below 2^53, in little-endian order. */
function word(value: number, lengthBytes: 2 | 4 | 8): number[] {
  return Array.from({ length: lengthBytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}
