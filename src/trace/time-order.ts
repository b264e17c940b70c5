// Events in order of time. A pCPU may be ahead of the others by a lookahead and by what it does
// without looking, so a run tells of events that are a little out of order across pCPUs; the
// kernel's text is in order, and among equal times the lower pCPU comes first.

import type { TraceRecord, TraceSink } from './tracepoints.ts';

/** Events that are this much older than the newest one are passed on: no pCPU is so far ahead. */
const HORIZON_NS = 1_000_000;

/** More are not kept, however close together they are. */
const MOST_WAITING = 100_000;

export class TimeOrder implements TraceSink {
  private readonly next: TraceSink;
  /** A binary heap, the earliest first. */
  private readonly heap: { readonly record: TraceRecord; readonly sequence: number }[] = [];
  private latestNs = 0;
  private count = 0;

  constructor(next: TraceSink) {
    this.next = next;
  }

  record(record: TraceRecord): void {
    this.latestNs = Math.max(this.latestNs, record.timeNs);
    this.push(record);
    const isDue = () =>
      this.heap[0].record.timeNs < this.latestNs - HORIZON_NS || this.heap.length > MOST_WAITING;
    while (this.heap.length > 0 && isDue()) this.pass();
  }

  /** Pass on what still waits. */
  flush(): void {
    while (this.heap.length > 0) this.pass();
  }

  private push(record: TraceRecord): void {
    const { heap } = this;
    let at = heap.push({ record, sequence: this.count++ }) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.isBefore(at, parent)) break;
      this.swap(at, parent);
      at = parent;
    }
  }

  private pass(): void {
    const { heap } = this;
    this.swap(0, heap.length - 1);
    const first = heap.pop();
    let at = 0;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && this.isBefore(child, least)) least = child;
      }
      if (least === at) break;
      this.swap(at, least);
      at = least;
    }
    if (first !== undefined) this.next.record(first.record);
  }

  private isBefore(a: number, b: number): boolean {
    const one = this.heap[a];
    const other = this.heap[b];
    const order =
      one.record.timeNs - other.record.timeNs ||
      one.record.pcpu - other.record.pcpu ||
      one.sequence - other.sequence;
    return order < 0;
  }

  private swap(a: number, b: number): void {
    const { heap } = this;
    [heap[a], heap[b]] = [heap[b], heap[a]];
  }
}
