// What has happened up to now: trace records, newest last, with what was known when they came. It
// goes back and forth with the machine, so that it always tells the past of the place where the
// machine is. What lies ahead is kept, as it will happen again.

import type { TraceRecord } from '../trace/index.ts';
import type { Moment } from './moment.ts';

/** Entries that are kept; older ones are forgotten. */
const CAPACITY = 100_000;

export interface JournalEntry {
  readonly record: TraceRecord;
  /** Of exits, entries and ends of halts. */
  readonly moment: Moment | null;
}

/** A copy of the past, to return to. */
export interface Past {
  readonly first: number;
  readonly entries: readonly JournalEntry[];
}

export class Journal {
  /** Records since the beginning of the run, forgotten ones included. */
  count = 0;
  /** The number of the first entry that is kept. */
  private first = 0;
  private kept: JournalEntry[] = [];

  add(record: TraceRecord, moment: Moment | null = null): void {
    this.kept[this.count - this.first] = { record, moment };
    this.count++;
    const surplus = this.count - this.first - 2 * CAPACITY;
    if (surplus > 0) this.drop(CAPACITY);
  }

  private drop(count: number): void {
    this.kept = this.kept.slice(count);
    this.first += count;
  }

  /** Go to when there were `count` records. What is not known between is forgotten. */
  rewind(count: number): void {
    if (count < this.first || !this.reaches(count)) {
      this.first = count;
      this.kept = [];
    }
    this.count = count;
  }

  /** Whether all is known up to a number of records, forgotten ones apart. */
  reaches(count: number): boolean {
    return count <= this.first + this.kept.length;
  }

  /** What comes behind `count` records may be something else now. */
  forgetBehind(count: number): void {
    this.kept.length = Math.min(this.kept.length, Math.max(0, count - this.first));
  }

  get past(): Past {
    return { first: this.first, entries: this.kept.slice(0, this.count - this.first) };
  }

  set past({ first, entries }: Past) {
    this.first = first;
    this.kept = [...entries];
    this.count = first + entries.length;
  }

  /** The newest entries that are known, oldest first. */
  entries(most: number): readonly JournalEntry[] {
    const end = this.count - this.first;
    return most <= 0 ? [] : this.kept.slice(Math.max(0, end - most), end);
  }

  /** The newest records that are known, oldest first. */
  recent(most: number): readonly TraceRecord[] {
    return this.entries(most).map(({ record }) => record);
  }

  /** Known records behind the first `count` ones. */
  since(count: number): readonly TraceRecord[] {
    return this.recent(this.count - count);
  }

  /** The newest entry, at or before an index counted from the beginning, that is one. */
  findLast(isOne: (entry: JournalEntry) => boolean, from = this.count - 1): number {
    for (let i = Math.min(from, this.count - 1); i >= this.first; i--) {
      if (isOne(this.kept[i - this.first])) return i;
    }
    return -1;
  }

  /** By its number, counted from the beginning; undefined if it is not known. */
  entry(index: number): JournalEntry | undefined {
    return index < this.count ? this.kept[index - this.first] : undefined;
  }
}
