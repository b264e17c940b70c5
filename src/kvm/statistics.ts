// Counters under the names that kvm_stat shows, and the time of each exit as perf kvm stat sums it
// up: from the exit to the same vCPU's next entry, sleep included.

import Long from 'long';
import { asDouble } from '../sim/index.ts';
import { InternalError, type KvmExit } from './kvm-exit.ts';

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
  /** Halts that were polled for, and those of them that ended before the window. */
  halt_attempted_poll: number;
  halt_successful_poll: number;
  /** Time in ns of polling that was of use, of polling that was not, and asleep. */
  halt_poll_success_ns: number;
  halt_poll_fail_ns: number;
  halt_wait_ns: number;
  hypercalls: number;
  irq_injections: number;
  nmi_injections: number;
  insn_emulation: number;
  insn_emulation_fail: number;
  invlpg: number;
  /** EPT violations, and what came of them: a page mapped, or an access to a device. */
  pf_taken: number;
  pf_fixed: number;
  pf_emulate: number;
  /** Pages that exit as EPT misconfigurations from then on. */
  pf_mmio_spte_created: number;
  /** Of all translations, for the vCPU has come to another pCPU. */
  tlb_flush: number;
  req_event: number;
  signal_exits: number;
  /** Returns to user space because the guest can take an interrupt. */
  request_irq_exits: number;
  /** Times that the host's MSRs were loaded again: switched out, or back in user space. */
  host_state_reload: number;
  /** The same of the x87 and SSE registers: back in user space. */
  fpu_reload: number;
  directed_yield_attempted: number;
  directed_yield_successful: number;
  /** Switched out while runnable, and marked so for the guest; or not, in the middle of an exit. */
  preemption_reported: number;
  preemption_other: number;
  /** Directed yields out of PAUSE-loop exits, which the kernel does not count. */
  ple_yield_attempted: number;
  ple_yield_successful: number;
  /** Preemptions that were put off (PREEMPT_GRANT), and those of them that came in the end. */
  preempt_grants: number;
  preempt_grants_exceeded: number;
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
    halt_attempted_poll: 0,
    halt_successful_poll: 0,
    halt_poll_success_ns: 0,
    halt_poll_fail_ns: 0,
    halt_wait_ns: 0,
    hypercalls: 0,
    irq_injections: 0,
    nmi_injections: 0,
    insn_emulation: 0,
    insn_emulation_fail: 0,
    invlpg: 0,
    pf_taken: 0,
    pf_fixed: 0,
    pf_emulate: 0,
    pf_mmio_spte_created: 0,
    tlb_flush: 0,
    req_event: 0,
    signal_exits: 0,
    request_irq_exits: 0,
    host_state_reload: 0,
    fpu_reload: 0,
    directed_yield_attempted: 0,
    directed_yield_successful: 0,
    preemption_reported: 0,
    preemption_other: 0,
    ple_yield_attempted: 0,
    ple_yield_successful: 0,
    preempt_grants: 0,
    preempt_grants_exceeded: 0,
  };
}

/** KVM_RUN returns. Linux arch/x86/kvm/x86.c, vcpu_run, kvm_put_guest_fpu. */
export function countReturn(counters: VcpuCounters, exit: KvmExit): void {
  counters.fpu_reload++;
  if (exit.reason === 'INTR' && exit.cause === 'signal') counters.signal_exits++;
  if (exit.reason === 'IRQ_WINDOW_OPEN') counters.request_irq_exits++;
  const isInternal = exit.reason === 'INTERNAL_ERROR';
  if (isInternal && exit.suberror === InternalError.EMULATION) counters.insn_emulation_fail++;
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
export interface ExitStatisticsState {
  /** By basic exit reason number. */
  readonly byReason: Readonly<Record<number, ExitTimes>>;
  /** Oldest first. */
  readonly recent: readonly RecentExit[];
  /** The exit that has not been followed by an entry yet: reason (-1 for none) and time. */
  readonly openReason: number;
  readonly openSince: number;
}

/** What is noted at an exit; text is made of it when somebody asks. */
class NotedExit {
  time = asDouble(0);
  reason = 0;
  ripLow = 0;
  ripHigh = 0;
  qualificationLow = 0;
  qualificationHigh = 0;
}

class Sums implements ExitTimes {
  count: number;
  total: number;
  min: number;
  max: number;
  squares: number;

  constructor({ count, total, min, max, squares }: ExitTimes) {
    this.count = count;
    this.total = asDouble(total);
    this.min = asDouble(min);
    this.max = asDouble(max);
    this.squares = asDouble(squares);
  }

  add(cycles: number): void {
    this.count++;
    this.total += cycles;
    if (cycles < this.min) this.min = cycles;
    if (cycles > this.max) this.max = cycles;
    this.squares += cycles * cycles;
  }
}

/** The exits of a vCPU. Noting one and its end allocates nothing: it happens at every exit. */
export class ExitStatistics {
  /** Time of the exit that was noted last. */
  openSince = asDouble(0);
  private openReason = -1;
  private sums: (Sums | undefined)[] = [];
  /** A ring, in which `next` is the oldest once it is full. */
  private noted: NotedExit[] = [];
  private next = 0;

  /** An exit begins at a time in cycles; addresses and qualification as two halves. */
  open(
    time: number,
    reason: number,
    ripLow: number,
    ripHigh: number,
    qualificationLow: number,
    qualificationHigh: number,
  ): void {
    this.openReason = reason;
    this.openSince = time;
    if (this.next === this.noted.length) this.noted.push(new NotedExit());
    const exit = this.noted[this.next];
    exit.time = time;
    exit.reason = reason;
    exit.ripLow = ripLow;
    exit.ripHigh = ripHigh;
    exit.qualificationLow = qualificationLow;
    exit.qualificationHigh = qualificationHigh;
    this.next = (this.next + 1) % RECENT_COUNT;
  }

  /** The vCPU enters the guest (or ends): the exit is complete. */
  close(now: number): void {
    const { openReason } = this;
    if (openReason < 0) return;
    const cycles = now - this.openSince;
    const sums = this.sums[openReason];
    if (sums === undefined) this.sums[openReason] = new Sums(firstOf(cycles));
    else sums.add(cycles);
    this.openReason = -1;
  }

  /** Times by basic exit reason number. */
  get byReason(): Readonly<Record<number, ExitTimes>> {
    return Object.fromEntries(
      this.sums.flatMap((sums, reason) => (sums === undefined ? [] : [[reason, { ...sums }]])),
    );
  }

  /** Oldest first. */
  get recent(): readonly RecentExit[] {
    const { noted, next } = this;
    const ordered =
      noted.length < RECENT_COUNT ? noted : [...noted.slice(next), ...noted.slice(0, next)];
    return ordered.map(
      ({ time, reason, ripLow, ripHigh, qualificationLow, qualificationHigh }) => ({
        time,
        reason,
        rip: hexadecimal(ripLow, ripHigh),
        qualification: hexadecimal(qualificationLow, qualificationHigh),
      }),
    );
  }

  get state(): ExitStatisticsState {
    const { byReason, recent, openReason, openSince } = this;
    return { byReason, recent, openReason, openSince };
  }

  set state(saved: ExitStatisticsState) {
    this.openReason = saved.openReason;
    this.openSince = saved.openSince;
    this.sums = [];
    for (const [reason, times] of Object.entries(saved.byReason)) {
      this.sums[Number(reason)] = new Sums(times);
    }
    this.noted = saved.recent.map(({ time, reason, rip, qualification }) => {
      const at = Long.fromString(rip, true, 16);
      const detail = Long.fromString(qualification, true, 16);
      return Object.assign(new NotedExit(), {
        time,
        reason,
        ripLow: at.low,
        ripHigh: at.high,
        qualificationLow: detail.low,
        qualificationHigh: detail.high,
      });
    });
    this.next = this.noted.length % RECENT_COUNT;
  }

  /** Times by reason, as if the exit that is open ended at `now`. */
  timesAt(now: number): ReadonlyMap<number, ExitTimes> {
    const times = new Map<number, ExitTimes>(
      Object.entries(this.byReason).map(([reason, item]) => [Number(reason), item]),
    );
    const { openReason, openSince } = this;
    if (openReason >= 0) {
      const open = firstOf(Math.max(0, now - openSince));
      times.set(openReason, addTimes(times.get(openReason), open));
    }
    return times;
  }
}

function hexadecimal(low: number, high: number): string {
  return Long.fromBits(low, high, true).toString(16);
}

/** Times of a single exit. */
function firstOf(cycles: number): ExitTimes {
  return { count: 1, total: cycles, min: cycles, max: cycles, squares: cycles * cycles };
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
