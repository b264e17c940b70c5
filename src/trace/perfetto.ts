// Traces as Perfetto shows them (ui.perfetto.dev): a track for each pCPU with who runs there, a
// track for each thread. On a vCPU's track the guest and the exits take turns, with what happens
// during an exit nested in it, sleep and waiting for a pCPU included. Arrows lead from a wake-up
// (or a kick) to where the thread goes on. Fields of protos/perfetto/trace/trace_packet.proto,
// TrackDescriptor and TrackEvent, which are Perfetto's stable interface.

import { EventMemo } from './event-memo.ts';
import { ProtobufWriter } from './protobuf.ts';
import { type EventLayout, NEWEST_FORMAT, PerEvent, type TraceFormat } from './trace-format.ts';
import type { TraceRecord, TraceSink } from './tracepoints.ts';

/** Field numbers, under the names of the .proto files. */
const Trace = { packet: 1 } as const;
const TracePacket = {
  timestamp: 8,
  trusted_packet_sequence_id: 10,
  track_event: 11,
  sequence_flags: 13,
  track_descriptor: 60,
} as const;
const TrackDescriptor = { uuid: 1, name: 2, parent_uuid: 5 } as const;
const TrackEvent = {
  debug_annotations: 4,
  type: 9,
  track_uuid: 11,
  name: 23,
  flow_ids: 47,
  terminating_flow_ids: 48,
} as const;
const DebugAnnotation = { string_value: 6, name: 10 } as const;

const Type = { SLICE_BEGIN: 1, SLICE_END: 2, INSTANT: 3 } as const;

/** SEQ_INCREMENTAL_STATE_CLEARED: what was said before does not count. */
const STATE_CLEARED = 1;

const SEQUENCE = 1;
const PCPUS = 1;
const THREADS = 2;
const FIRST_PCPU = 0x1000;
const FIRST_THREAD = 0x10000;

/** What is known of a thread. */
interface Thread {
  readonly track: number;
  /** Names of the slices that are open on its track, the outermost first. */
  readonly open: string[];
  /** The arrow that ends where it goes on, or null. */
  wakeFlow: number | null;
  /** It went on before the time at which it was woken: its pCPU lags behind the waker's. */
  isEarly: boolean;
}

interface EventDetails {
  readonly name?: string;
  /** The event whose properties are to be shown with it. */
  readonly about?: TraceRecord;
  readonly flow?: number;
  readonly endsFlow?: number;
}

/**
 * Takes events in order of time, and hands on packets; put one after the other they are the file.
 */
export class PerfettoWriter implements TraceSink {
  private readonly emit: (packet: Uint8Array) => void;
  private readonly out = new ProtobufWriter();
  private readonly threads = new Map<number, Thread>();
  /** Threads that run, by pCPU: the names of the open slices there. */
  private readonly running = new Map<number, string>();
  private readonly format: TraceFormat;
  private readonly annotations: PerEvent<EventMemo>;
  /** The event that arrows start from; sched_waking came late. */
  private readonly wakes: 'sched_waking' | 'sched_wakeup';
  private flows = 0;
  private lastNs = 0;

  constructor(pcpuCount: number, emit: (packet: Uint8Array) => void, format = NEWEST_FORMAT) {
    this.emit = emit;
    this.format = format;
    this.annotations = new PerEvent(format, annotationsOf);
    this.wakes = format.layoutOf('sched_waking') === null ? 'sched_wakeup' : 'sched_waking';
    this.packet(() => this.out.uint(TracePacket.sequence_flags, STATE_CLEARED));
    this.track(PCPUS, 'pCPUs');
    this.track(THREADS, 'Threads');
    for (let pcpu = 0; pcpu < pcpuCount; pcpu++) this.pcpuTrack(pcpu);
  }

  record(record: TraceRecord): void {
    if (this.format.layoutOf(record.name) === null) return;
    this.lastNs = Math.max(this.lastNs, record.timeNs);
    switch (record.name) {
      case 'sched_switch':
        this.switched(record);
        return;
      case 'kvm_entry':
        this.entered(record);
        return;
      case 'kvm_exit':
        this.exited(record);
        return;
      case 'sched_waking':
      case 'sched_wakeup':
        if (record.name === this.wakes) this.waking(record);
        else this.instant(record, this.placeOf(record));
        return;
      default:
        this.instant(record, this.placeOf(record));
    }
  }

  /** End what is still open. */
  close(): void {
    for (const { track, open } of this.threads.values()) {
      while (open.pop() !== undefined) this.event(this.lastNs, track, Type.SLICE_END);
    }
    for (const pcpu of this.running.keys()) {
      this.event(this.lastNs, FIRST_PCPU + pcpu, Type.SLICE_END);
    }
  }

  private switched(record: TraceRecord<'sched_switch'>): void {
    const { timeNs, pcpu } = record;
    const { prev, prevState, next } = record.fields;
    const track = this.pcpuTrack(pcpu);
    if (this.running.delete(pcpu)) this.event(timeNs, track, Type.SLICE_END);
    if (prev.pid !== 0) {
      const name = prevState.startsWith('R') ? 'waiting for a pCPU' : 'sleeping';
      this.begin(record, this.thread(prev.pid, prev.comm), name);
    }
    if (next.pid === 0) return;
    this.running.set(pcpu, next.comm);
    this.event(timeNs, track, Type.SLICE_BEGIN, { name: next.comm });
    this.resume(timeNs, this.thread(next.pid, next.comm), pcpu);
  }

  /** A thread goes on: its sleep ends, and the arrow of who woke it. */
  private resume(timeNs: number, thread: Thread, pcpu: number): void {
    const { open, wakeFlow, track } = thread;
    thread.isEarly = open.at(-1) === 'sleeping' && wakeFlow === null;
    if (open.at(-1) === 'sleeping' || open.at(-1) === 'waiting for a pCPU') {
      open.pop();
      this.event(timeNs, track, Type.SLICE_END);
    }
    const flow = wakeFlow === null ? {} : { endsFlow: wakeFlow };
    thread.wakeFlow = null;
    this.event(timeNs, track, Type.INSTANT, { name: `on pCPU ${pcpu}`, ...flow });
  }

  private entered(record: TraceRecord<'kvm_entry'>): void {
    const thread = this.thread(record.pid, record.comm);
    this.endAll(record.timeNs, thread);
    this.begin(record, thread, 'guest');
  }

  private exited(record: TraceRecord<'kvm_exit'>): void {
    const thread = this.thread(record.pid, record.comm);
    this.endAll(record.timeNs, thread);
    this.begin(record, thread, record.fields.reason);
  }

  private waking(record: TraceRecord<'sched_waking' | 'sched_wakeup'>): void {
    const { pid, comm } = record.fields;
    const flow = ++this.flows;
    const thread = this.thread(pid, comm);
    this.instant(record, this.placeOf(record), flow);
    thread.wakeFlow = thread.isEarly ? null : flow;
    if (!thread.isEarly) return;
    thread.isEarly = false;
    this.event(record.timeNs, thread.track, Type.INSTANT, { name: 'woken', endsFlow: flow });
  }

  /** The track of the thread that an event happens in, or of the pCPU if nobody runs there. */
  private placeOf({ pid, comm, pcpu }: TraceRecord): number {
    return pid === 0 ? this.pcpuTrack(pcpu) : this.thread(pid, comm).track;
  }

  private instant(record: TraceRecord, track: number, flow?: number): void {
    const { timeNs } = record;
    const name = this.format.layoutOf(record.name)?.event ?? record.name;
    const arrow = flow === undefined ? {} : { flow };
    this.event(timeNs, track, Type.INSTANT, { name, about: record, ...arrow });
  }

  private begin(record: TraceRecord, { track, open }: Thread, name: string): void {
    open.push(name);
    this.event(record.timeNs, track, Type.SLICE_BEGIN, { name, about: record });
  }

  private endAll(timeNs: number, { track, open }: Thread): void {
    while (open.pop() !== undefined) this.event(timeNs, track, Type.SLICE_END);
  }

  private thread(pid: number, comm: string): Thread {
    const known = this.threads.get(pid);
    if (known !== undefined) return known;
    const thread: Thread = { track: FIRST_THREAD + pid, open: [], wakeFlow: null, isEarly: false };
    this.threads.set(pid, thread);
    this.track(thread.track, `${comm} ${pid}`, THREADS);
    return thread;
  }

  private readonly pcpuTracks = new Set<number>();

  private pcpuTrack(pcpu: number): number {
    const track = FIRST_PCPU + pcpu;
    if (!this.pcpuTracks.has(pcpu)) {
      this.pcpuTracks.add(pcpu);
      this.track(track, `pCPU ${pcpu}`, PCPUS);
    }
    return track;
  }

  private track(uuid: number, name: string, parent?: number): void {
    const { out } = this;
    this.packet(() =>
      out.message(TracePacket.track_descriptor, () => {
        out.uint(TrackDescriptor.uuid, uuid);
        out.text(TrackDescriptor.name, name);
        if (parent !== undefined) out.uint(TrackDescriptor.parent_uuid, parent);
      }),
    );
  }

  private event(timeNs: number, track: number, type: number, details: EventDetails = {}): void {
    const { out } = this;
    const { name, about, flow, endsFlow } = details;
    this.packet(() => {
      out.uint(TracePacket.timestamp, timeNs);
      out.message(TracePacket.track_event, () => {
        out.uint(TrackEvent.type, type);
        out.uint(TrackEvent.track_uuid, track);
        if (name !== undefined) out.text(TrackEvent.name, name);
        if (about !== undefined) this.annotate(about);
        if (flow !== undefined) out.fixed64(TrackEvent.flow_ids, flow);
        if (endsFlow !== undefined) out.fixed64(TrackEvent.terminating_flow_ids, endsFlow);
      });
    });
  }

  private annotate({ name, fields }: TraceRecord): void {
    const known = this.annotations.of(name);
    if (known !== null) this.out.fields(known.bytesOf(fields));
  }

  private packet(write: () => void): void {
    this.out.message(Trace.packet, () => {
      write();
      this.out.uint(TracePacket.trusted_packet_sequence_id, SEQUENCE);
    });
    this.emit(this.out.take());
  }
}

/** Each property of an event, as Perfetto shows arguments. */
function annotationsOf({ tracepoint }: EventLayout): EventMemo {
  const out = new ProtobufWriter();
  return new EventMemo(tracepoint.ways, (fields) => {
    for (const [key, value] of tracepoint.describe(fields)) {
      out.message(TrackEvent.debug_annotations, () => {
        out.text(DebugAnnotation.name, key);
        out.text(DebugAnnotation.string_value, value);
      });
    }
    return out.take();
  });
}
