// Events are data in one queue, ordered by time and then by the order in which they were posted.
// They are never closures: a queue can be saved, compared and printed.

/** Something that happens at a moment of virtual time. */
export interface SimEvent<Kind extends string = string> {
  /** Cycles of virtual time at which it is due. */
  readonly time: number;
  /** Order of posting: breaks ties of `time`, and names the event for {@link EventQueue.cancel}. */
  readonly sequence: number;
  /** Whom it concerns; its meaning belongs to `kind`. */
  readonly target: number;
  readonly kind: Kind;
  /** One number more, if the kind needs it. */
  readonly detail: number;
}

/** The saved form of an {@link EventQueue}. */
export interface EventQueueState<Kind extends string = string> {
  readonly nextSequence: number;
  readonly events: readonly SimEvent<Kind>[];
}

/** A binary heap of events. Posting and taking are O(log n), cancelling is O(n). */
export class EventQueue<Kind extends string = string> {
  private heap: SimEvent<Kind>[] = [];
  private nextSequence = 0;

  get state(): EventQueueState<Kind> {
    return { nextSequence: this.nextSequence, events: [...this.heap].sort(compare) };
  }

  set state(saved: EventQueueState<Kind>) {
    this.nextSequence = saved.nextSequence;
    this.heap = [...saved.events];
  }

  get size(): number {
    return this.heap.length;
  }

  /** Enter an event and return its sequence number. */
  post(time: number, kind: Kind, target: number, detail = 0): number {
    const sequence = this.nextSequence++;
    this.heap.push({ time, sequence, target, kind, detail });
    this.siftUp(this.heap.length - 1);
    return sequence;
  }

  /** The earliest event, left in place. */
  peek(): SimEvent<Kind> | undefined {
    return this.heap[0];
  }

  /** The time of the earliest event, or Infinity. */
  get nextTime(): number {
    const first = this.heap[0];
    return first === undefined ? Number.POSITIVE_INFINITY : first.time;
  }

  /** Remove and return the earliest event. */
  take(): SimEvent<Kind> | undefined {
    const first = this.heap[0];
    if (first !== undefined) this.removeAt(0);
    return first;
  }

  /** Remove the event that {@link post} numbered so; false if it is no longer there. */
  cancel(sequence: number): boolean {
    const index = this.heap.findIndex((event) => event.sequence === sequence);
    if (index < 0) return false;
    this.removeAt(index);
    return true;
  }

  /** All waiting events in the order in which they will be taken. */
  list(): SimEvent<Kind>[] {
    return [...this.heap].sort(compare);
  }

  private removeAt(index: number): void {
    const last = this.heap.pop() as SimEvent<Kind>;
    if (index === this.heap.length) return;
    this.heap[index] = last;
    this.siftUp(index);
    this.siftDown(index);
  }

  private siftUp(start: number): void {
    const heap = this.heap;
    const event = heap[start];
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (compare(heap[parent], event) <= 0) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = event;
  }

  private siftDown(start: number): void {
    const heap = this.heap;
    const event = heap[start];
    let index = start;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && compare(heap[right], heap[child]) < 0) {
        child = right;
      }
      if (compare(event, heap[child]) <= 0) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = event;
  }
}

function compare(a: SimEvent, b: SimEvent): number {
  return a.time - b.time || a.sequence - b.sequence;
}
