// Counters under the names that kvm_stat shows, and the time of each exit as perf kvm stat sums it
// up: from the exit to the same vCPU's next entry, sleep included.

/** Counters of one vCPU. Linux arch/x86/include/asm/kvm_host.h, struct kvm_vcpu_stat. */
export interface VcpuCounters {
  exits: number;
  io_exits: number;
  mmio_exits: number;
  irq_exits: number;
  irq_window_exits: number;
  nmi_window_exits: number;
  halt_exits: number;
  halt_wakeup: number;
  hypercalls: number;
  irq_injections: number;
  nmi_injections: number;
  insn_emulation: number;
  req_event: number;
  signal_exits: number;
  directed_yield_attempted: number;
  directed_yield_successful: number;
  /** Directed yields out of PAUSE-loop exits, which the kernel does not count. */
  ple_yield_attempted: number;
  ple_yield_successful: number;
}

export function newCounters(): VcpuCounters {
  return {
    exits: 0,
    io_exits: 0,
    mmio_exits: 0,
    irq_exits: 0,
    irq_window_exits: 0,
    nmi_window_exits: 0,
    halt_exits: 0,
    halt_wakeup: 0,
    hypercalls: 0,
    irq_injections: 0,
    nmi_injections: 0,
    insn_emulation: 0,
    req_event: 0,
    signal_exits: 0,
    directed_yield_attempted: 0,
    directed_yield_successful: 0,
    ple_yield_attempted: 0,
    ple_yield_successful: 0,
  };
}

/** Times of the exits of one reason, in cycles. */
export interface ExitTimes {
  readonly count: number;
  readonly total: number;
  readonly min: number;
  readonly max: number;
  /** Sum of squares, for the standard error. */
  readonly squares: number;
}

/** An exit of the recent past, for reports. */
export interface RecentExit {
  /** Cycles. */
  readonly time: number;
  readonly reason: number;
  /** Hexadecimal, without prefix. */
  readonly rip: string;
  readonly qualification: string;
}

const RECENT_COUNT = 16;

/** Plain data, saved and hashed with its vCPU. */
export interface ExitStatistics {
  /** By basic exit reason number. */
  readonly byReason: Record<number, ExitTimes>;
  /** Oldest first. */
  readonly recent: RecentExit[];
  /** The exit that has not been followed by an entry yet: reason (-1 for none) and time. */
  openReason: number;
  openSince: number;
}

export function newExitStatistics(): ExitStatistics {
  return { byReason: {}, recent: [], openReason: -1, openSince: 0 };
}

/** An exit begins. */
export function openExit(statistics: ExitStatistics, exit: RecentExit): void {
  statistics.openReason = exit.reason;
  statistics.openSince = exit.time;
  statistics.recent.push(exit);
  if (statistics.recent.length > RECENT_COUNT) statistics.recent.shift();
}

/** The vCPU enters the guest (or ends): the exit is complete. */
export function closeExit(statistics: ExitStatistics, now: number): void {
  const { openReason, byReason } = statistics;
  if (openReason < 0) return;
  byReason[openReason] = withExit(byReason[openReason], now - statistics.openSince);
  statistics.openReason = -1;
}

function withExit(times: ExitTimes | undefined, cycles: number): ExitTimes {
  return {
    count: (times?.count ?? 0) + 1,
    total: (times?.total ?? 0) + cycles,
    min: Math.min(times?.min ?? cycles, cycles),
    max: Math.max(times?.max ?? cycles, cycles),
    squares: (times?.squares ?? 0) + cycles * cycles,
  };
}

/** Times by reason, as if the exit that is open ended at `now`. */
export function exitTimes(statistics: ExitStatistics, now: number): ReadonlyMap<number, ExitTimes> {
  const times = new Map(
    Object.entries(statistics.byReason).map(([reason, item]) => [Number(reason), item]),
  );
  const { openReason, openSince } = statistics;
  if (openReason >= 0) {
    times.set(openReason, withExit(times.get(openReason), Math.max(0, now - openSince)));
  }
  return times;
}

/** The sum of two sets of times. */
export function addTimes(a: ExitTimes | undefined, b: ExitTimes): ExitTimes {
  if (a === undefined) return b;
  return {
    count: a.count + b.count,
    total: a.total + b.total,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    squares: a.squares + b.squares,
  };
}
