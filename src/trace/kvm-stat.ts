// What `perf kvm stat` makes of a trace: how often each exit (or access to memory, ports, MSRs)
// happened, and how long it took. Linux tools/perf/util/kvm-stat.c and
// tools/perf/arch/x86/util/kvm-stat.c: an event ends with the same thread's next entry.

import type { TraceRecord, TraceSink } from './tracepoints.ts';

/** What is counted: every exit, MMIO, port accesses, accesses to MSRs. */
export type StatEvent = 'vmexit' | 'mmio' | 'ioport' | 'msr';

export const STAT_EVENTS: readonly StatEvent[] = ['vmexit', 'mmio', 'ioport', 'msr'];

/** A line of the table: one kind of event. */
export interface StatRow {
  readonly name: string;
  readonly count: number;
  /** Nanoseconds. */
  readonly totalNs: number;
  readonly minNs: number;
  readonly maxNs: number;
  readonly meanNs: number;
  /** Standard error of the mean, in percent of it. */
  readonly meanErrorPercent: number;
}

/** Times of one kind of event, in any unit. */
interface Times {
  readonly count: number;
  readonly total: number;
  readonly min: number;
  readonly max: number;
  /** Sum of squares, for the standard error. */
  readonly squares: number;
}

/** perf's `rel_stddev_stats` of the mean. */
export function meanErrorPercent({ count, total, squares }: Omit<Times, 'min' | 'max'>): number {
  if (count < 2 || total === 0) return 0;
  const variance = Math.max(0, (squares - (total * total) / count) / (count - 1));
  return (100 * Math.sqrt(variance / count)) / (total / count);
}

/** What a thread is at. */
interface Open {
  readonly vcpu: number;
  /** The event that the next entry ends, or null. */
  name: string | null;
  sinceNs: number;
}

export class KvmStat implements TraceSink {
  private readonly event: StatEvent;
  private readonly vcpu: number | null;
  private readonly threads = new Map<number, Open>();
  private readonly times = new Map<string, Times>();

  /** @param vcpu only events of this one, or null for all */
  constructor(event: StatEvent, vcpu: number | null) {
    this.event = event;
    this.vcpu = vcpu;
  }

  record(record: TraceRecord): void {
    const { pid, timeNs } = record;
    if (record.name === 'kvm_entry') {
      this.ended(pid, timeNs);
      this.threads.set(pid, { vcpu: record.fields.vcpu, name: null, sinceNs: timeNs });
      return;
    }
    // A thread is not known before its first entry.
    const open = this.threads.get(pid);
    if (open === undefined) return;
    // A read from a device takes from the exit to the answer.
    if (record.name === 'kvm_exit') open.sinceNs = timeNs;
    const name = this.nameOf(record);
    if (name === null) return;
    if (this.event !== 'vmexit' && !isRead(record)) open.sinceNs = timeNs;
    open.name = name;
    if (isRead(record)) this.ended(pid, timeNs);
  }

  /** The vCPUs that have entered their guests, in order, whichever is looked at. */
  vcpus(): number[] {
    const all = new Set([...this.threads.values()].map(({ vcpu }) => vcpu));
    return [...all].sort((a, b) => a - b);
  }

  /** Everything that was counted and has ended, the most frequent first. */
  result(): StatRow[] {
    return [...this.times]
      .map(([name, times]) => ({
        name,
        count: times.count,
        totalNs: times.total,
        minNs: times.min,
        maxNs: times.max,
        meanNs: times.total / times.count,
        meanErrorPercent: meanErrorPercent(times),
      }))
      .sort((a, b) => b.count - a.count || b.totalNs - a.totalNs || (a.name < b.name ? -1 : 1));
  }

  private ended(pid: number, timeNs: number): void {
    const open = this.threads.get(pid);
    if (open === undefined || open.name === null) return;
    const { name, sinceNs, vcpu } = open;
    open.name = null;
    if (this.vcpu !== null && this.vcpu !== vcpu) return;
    const took = timeNs - sinceNs;
    const before = this.times.get(name);
    this.times.set(name, {
      count: (before?.count ?? 0) + 1,
      total: (before?.total ?? 0) + took,
      min: Math.min(before?.min ?? took, took),
      max: Math.max(before?.max ?? took, took),
      squares: (before?.squares ?? 0) + took * took,
    });
  }

  /** What the event is counted as, or null if it is not. */
  private nameOf(record: TraceRecord): string | null {
    switch (record.name) {
      case 'kvm_exit':
        return this.event === 'vmexit' ? record.fields.reason : null;
      case 'kvm_mmio': {
        if (this.event !== 'mmio' || record.fields.kind === 'unsatisfied-read') return null;
        return `${hex(record.fields.gpa)}:${record.fields.kind === 'write' ? 'W' : 'R'}`;
      }
      case 'kvm_pio':
        if (this.event !== 'ioport') return null;
        return `${hex(record.fields.port)}:${record.fields.write ? 'POUT' : 'PIN'}`;
      case 'kvm_msr':
        if (this.event !== 'msr') return null;
        return `${hex(record.fields.index)}:${record.fields.write ? 'W' : 'R'}`;
      default:
        return null;
    }
  }
}

function isRead(record: TraceRecord): boolean {
  return record.name === 'kvm_mmio' && record.fields.kind === 'read';
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** How often each tracepoint was met, as kvm_stat counts them: exits once more by their reason. */
export class EventCounts implements TraceSink {
  private readonly counts = new Map<string, number>();

  record(record: TraceRecord): void {
    this.add(record.name);
    if (record.name === 'kvm_exit' || record.name === 'kvm_userspace_exit') {
      this.add(`${record.name}(${record.fields.reason})`);
    }
  }

  /** By name. */
  result(): readonly (readonly [name: string, count: number])[] {
    return [...this.counts].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  private add(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }
}
