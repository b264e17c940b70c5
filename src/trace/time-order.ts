// Events in order of time. A pCPU may be ahead of the others by a lookahead and by what it does
// without looking, so a run tells of events that are a little out of order across pCPUs; the
// kernel's text is in order, and among equal times the lower pCPU comes first.

import type { TraceRecord, TraceSink } from './tracepoints.ts';

/** Events that are this much older than the newest one are passed on: no pCPU is so far ahead. */
const HORIZON_NS = 1_000_000;

/** More are not kept, however close together they are. */
const MOST_WAITING = 20_000;

/** So many that were passed on are held: the more there are, the longer the collector copies them. */
const MOST_PASSED = 1000;

export class TimeOrder implements TraceSink {
  private readonly next: TraceSink;
  /** In order, from `first` on. */
  private waiting: TraceRecord[] = [];
  private first = 0;

  constructor(next: TraceSink) {
    this.next = next;
  }

  record(record: TraceRecord): void {
    const { waiting } = this;
    // Events are nearly in order, so the place is near the end.
    let at = waiting.length;
    while (at > this.first && isBefore(record, waiting[at - 1])) at--;
    if (at === waiting.length) waiting.push(record);
    else waiting.splice(at, 0, record);
    const due = waiting[waiting.length - 1].timeNs - HORIZON_NS;
    while (waiting[this.first].timeNs < due || waiting.length - this.first > MOST_WAITING) {
      this.next.record(waiting[this.first++]);
    }
    if (this.first >= MOST_PASSED) this.forget();
  }

  /** Pass on what still waits. */
  flush(): void {
    for (const record of this.waiting.slice(this.first)) this.next.record(record);
    this.waiting = [];
    this.first = 0;
  }

  private forget(): void {
    this.waiting.splice(0, this.first);
    this.first = 0;
  }
}

function isBefore(a: TraceRecord, b: TraceRecord): boolean {
  return a.timeNs < b.timeNs || (a.timeNs === b.timeNs && a.pcpu < b.pcpu);
}
