// What has happened up to now: trace records, newest last. It goes back and forth with the machine,
// so that it always tells the past of the place where the machine is.

import type { TraceRecord } from '../trace/index.ts';

/** Records that are kept; older ones are forgotten. */
const CAPACITY = 100_000;

export class Journal {
  /** Records since the beginning of the run, forgotten ones included. */
  count = 0;
  private kept: TraceRecord[] = [];

  add(record: TraceRecord): void {
    this.kept.push(record);
    this.count++;
    if (this.kept.length > 2 * CAPACITY) this.kept = this.kept.slice(-CAPACITY);
  }

  /** Go back to when there were `count` records. */
  rewind(count: number): void {
    const first = this.count - this.kept.length;
    this.kept.length = Math.max(0, count - first);
    this.count = count;
  }

  /** The newest records that are known, oldest first. */
  recent(most: number): readonly TraceRecord[] {
    return most <= 0 ? [] : this.kept.slice(-most);
  }

  /** Known records behind the first `count` ones. */
  since(count: number): readonly TraceRecord[] {
    return this.recent(this.count - count);
  }
}
