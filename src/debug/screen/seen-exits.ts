// The VM exits around a place: those of the past, and, after going back, those that were seen
// before and will come again.

import type { TraceRecord } from '../../trace/index.ts';

export interface SeenExit {
  readonly timeNs: number;
  /** Of the vCPU's thread. */
  readonly pid: number;
  readonly comm: string;
  readonly reason: string;
  /** Guest RIP, and the exit qualification: hexadecimal with prefix. */
  readonly rip: string;
  readonly qualification: string;
}

/** Exits that are kept. */
const MOST = 1000;

export class SeenExits {
  private branch = 0;
  private known: readonly SeenExit[] = [];

  /**
   * The exits around the place at which the records end, oldest first, and how many of them are
   * past.
   * @param branch of history: what was seen on another one need not come
   */
  around(
    branch: number,
    records: readonly TraceRecord[],
  ): { readonly exits: readonly SeenExit[]; readonly pastCount: number } {
    const past = records.flatMap(exitOf).slice(-MOST);
    const future = branch === this.branch ? this.behind(past.at(-1), records.length > 0) : [];
    this.branch = branch;
    this.known = [...past, ...future].slice(-MOST);
    const pastCount = past.length - Math.max(0, past.length + future.length - MOST);
    return { exits: this.known, pastCount };
  }

  /** What is known to come behind an exit; behind the beginning if there was none. */
  private behind(last: SeenExit | undefined, hasPast: boolean): readonly SeenExit[] {
    if (last === undefined) return hasPast && this.known.length === MOST ? [] : this.known;
    const at = this.known.findLastIndex(
      ({ timeNs, pid, rip }) => timeNs === last.timeNs && pid === last.pid && rip === last.rip,
    );
    return at < 0 ? [] : this.known.slice(at + 1);
  }
}

function exitOf(record: TraceRecord): SeenExit[] {
  if (record.name !== 'kvm_exit') return [];
  const { timeNs, pid, comm } = record;
  const { reason, rip, info1 } = record.fields;
  const hex = (value: typeof rip) => `0x${value.toUnsigned().toString(16)}`;
  return [{ timeNs, pid, comm, reason, rip: hex(rip), qualification: hex(info1) }];
}
