// What has happened up to now: trace records, newest last, with what was known when they came. It
// goes back and forth with the machine, so that it always tells the past of the place where the
// machine is. What lies ahead is kept, as it will happen again. Where nobody was told what has
// happened, what is known begins anew.

import type { TraceRecord } from '../trace/index.ts';
import type { Moment } from './moment.ts';

/** Entries that are kept; older ones are forgotten. */
const CAPACITY = 100_000;

export interface JournalEntry {
  readonly record: TraceRecord;
  /** Of exits, entries and ends of halts. */
  readonly moment: Moment | null;
}

/** A place in what has happened. Two of one stretch are so many records apart. */
export interface JournalMark {
  /** A new one begins where something was left out: how many records is not known. */
  readonly stretch: number;
  /** Records since the beginning of the stretch, forgotten ones included. */
  readonly count: number;
}

/** A copy of the past, to return to. */
export interface Past {
  readonly mark: JournalMark;
  readonly records: readonly TraceRecord[];
  /** Beside the records: an object for each pair of them would take longer than the pair. */
  readonly moments: readonly (Moment | null)[];
  readonly since: number;
}

export class Journal {
  /** The event number from which on what happened is known. */
  since = 0;
  /** Records of this stretch up to here. */
  private count = 0;
  private stretch = 0;
  private stretches = 1;
  /** The number of the first entry that is kept. */
  private first = 0;
  private records: TraceRecord[] = [];
  private moments: (Moment | null)[] = [];

  add(record: TraceRecord, moment: Moment | null = null): void {
    const at = this.count - this.first;
    this.records[at] = record;
    this.moments[at] = moment;
    this.count++;
    if (at >= 2 * CAPACITY) this.drop(CAPACITY);
  }

  private drop(count: number): void {
    this.records = this.records.slice(count);
    this.moments = this.moments.slice(count);
    this.first += count;
  }

  /** What happened up to here was not told: what is known begins at this event. */
  leaveOut(event: number): void {
    this.stretch = this.stretches++;
    this.beginAt(0, event);
  }

  private beginAt(count: number, event: number): void {
    this.first = count;
    this.count = count;
    this.records = [];
    this.moments = [];
    this.since = event;
  }

  get mark(): JournalMark {
    return { stretch: this.stretch, count: this.count };
  }

  /** How many entries are known. */
  get known(): number {
    return this.count - this.first;
  }

  /** There is more to be known of what has happened before, and room for it. */
  get canKnowMore(): boolean {
    const isAll = this.stretch === 0 && this.first === 0;
    return !isAll && this.known < CAPACITY;
  }

  /** Go to a place with an event number. What is not known between is forgotten. */
  rewind({ stretch, count }: JournalMark, event: number): void {
    const isKnown =
      stretch === this.stretch && count >= this.first && count <= this.first + this.records.length;
    if (isKnown) this.count = count;
    else {
      this.stretch = stretch;
      this.beginAt(count, event);
    }
  }

  /** What comes behind a place may be something else now. */
  forgetBehind({ stretch, count }: JournalMark): void {
    const left = stretch === this.stretch ? Math.max(0, count - this.first) : this.known;
    if (this.records.length <= left) return;
    this.records.length = left;
    this.moments.length = left;
  }

  get past(): Past {
    const { mark, known, since } = this;
    const [records, moments] = [this.records.slice(0, known), this.moments.slice(0, known)];
    return { mark, records, moments, since };
  }

  set past({ mark, records, moments, since }: Past) {
    this.stretch = mark.stretch;
    this.count = mark.count;
    this.first = mark.count - records.length;
    this.records = [...records];
    this.moments = [...moments];
    this.since = since;
  }

  /** The newest records that are known, oldest first. */
  recent(most: number): readonly TraceRecord[] {
    return most <= 0 ? [] : this.records.slice(Math.max(0, this.known - most), this.known);
  }

  /** Known records behind a place that is not ahead. */
  after({ stretch, count }: JournalMark): readonly TraceRecord[] {
    return this.recent(stretch === this.stretch ? this.count - count : this.known);
  }

  /** The newest record, at or before an index among those that are known, that is one; or -1. */
  findLast(isOne: (record: TraceRecord) => boolean, from = this.known - 1): number {
    for (let i = Math.min(from, this.known - 1); i >= 0; i--) {
      if (isOne(this.records[i])) return i;
    }
    return -1;
  }

  /** By its index among those that are known; undefined if there is none. */
  entry(index: number): JournalEntry | undefined {
    const record = index < this.known ? this.records[index] : undefined;
    return record === undefined ? undefined : { record, moment: this.moments[index] };
  }
}
