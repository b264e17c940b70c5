// The completely fair scheduler, one queue for each pCPU: virtual run time, slices, wake-up
// preemption, next, last and skip buddies. Linux kernel/sched/fair.c. Pure: knows threads and times
// in ns, not pCPUs. Equal virtual run times keep their order of arrival.

import { DEFAULT_SCHEDULER, type SchedulerParameters } from './parameters.ts';
import type { Thread } from './thread.ts';
import { NICE_0_WEIGHT, shareOfPeriod, virtualRuntime } from './weights.ts';

/** Scheduler tunables in ns, already scaled by the number of pCPUs. */
export interface FairTunables {
  readonly latencyNs: number;
  readonly minGranularityNs: number;
  readonly wakeupGranularityNs: number;
  /** Runnable threads beyond which the period grows. */
  readonly nrLatency: number;
  /** A thread that yields is passed over once; before Linux 2.6.39 it was only charged. */
  readonly hasSkipBuddy: boolean;
}

/** The kernel's base values times its factor: 1 + log2 of the pCPU count, at most 4. */
export function fairTunables(
  pcpuCount: number,
  parameters: SchedulerParameters = DEFAULT_SCHEDULER,
): FairTunables {
  const { fairClass, latencyNs, minGranularityNs, wakeupGranularityNs } = parameters;
  const factor = 1 + Math.floor(Math.log2(Math.min(pcpuCount, 8)));
  return {
    latencyNs: latencyNs * factor,
    minGranularityNs: minGranularityNs * factor,
    wakeupGranularityNs: wakeupGranularityNs * factor,
    nrLatency: Math.ceil(latencyNs / minGranularityNs),
    hasSkipBuddy: fairClass !== 'cfs-no-skip',
  };
}

/** Thread ids, -1 for none. */
export interface FairQueueState {
  /** Waiting threads, in the order in which they would run. */
  queued: number[];
  current: number;
  next: number;
  last: number;
  skip: number;
  minVruntime: number;
}

export class FairQueue {
  state: FairQueueState = {
    queued: [],
    current: -1,
    next: -1,
    last: -1,
    skip: -1,
    minVruntime: 0,
  };
  private readonly tunables: FairTunables;
  private readonly threads: readonly Thread[];

  /** @param threads all threads of the host by id */
  constructor(tunables: FairTunables, threads: readonly Thread[]) {
    this.tunables = tunables;
    this.threads = threads;
  }

  /** Threads that run or wait here. */
  get runningCount(): number {
    return this.state.queued.length + (this.state.current >= 0 ? 1 : 0);
  }

  /** Waiting threads, in order. */
  get waiting(): readonly Thread[] {
    return this.state.queued.map((id) => this.thread(id));
  }

  private thread(id: number): Thread {
    return this.threads[id];
  }

  private get current(): Thread | null {
    return this.state.current < 0 ? null : this.thread(this.state.current);
  }

  private get load(): number {
    const queued = this.state.queued.reduce((sum, id) => sum + this.thread(id).weight, 0);
    return queued + (this.current?.weight ?? 0);
  }

  /** Charge the running thread up to `nowNs`. fair.c, update_curr. Returns the ns charged. */
  update(nowNs: number): number {
    const { current } = this;
    if (current === null) return 0;
    const delta = nowNs - current.state.execStartNs;
    if (delta <= 0) return 0;
    current.state.execStartNs = nowNs;
    current.state.sumExecNs += delta;
    current.state.vruntime += virtualRuntime(delta, current.nice);
    this.raiseMinimum();
    return delta;
  }

  /** min_vruntime follows the earlier of the running and the first waiting thread, never back. */
  private raiseMinimum(): void {
    const { state, current } = this;
    const first = state.queued[0];
    let least = current?.state.vruntime ?? Number.POSITIVE_INFINITY;
    if (first !== undefined) least = Math.min(least, this.thread(first).state.vruntime);
    if (least !== Number.POSITIVE_INFINITY) state.minVruntime = Math.max(state.minVruntime, least);
  }

  /** Queue a thread that is new, or was woken, or comes from another queue. */
  enqueue(thread: Thread, how: 'new' | 'woken' | 'moved'): void {
    const { state, tunables } = this;
    if (how === 'new') {
      const start = state.minVruntime + virtualRuntime(this.sliceWith(thread), thread.nice);
      thread.state.vruntime = Math.max(thread.state.vruntime, start);
    } else if (how === 'woken') {
      // Half of the latency is a sleeper's credit (GENTLE_FAIR_SLEEPERS).
      const credited = state.minVruntime - Math.floor(tunables.latencyNs / 2);
      thread.state.vruntime = Math.max(thread.state.vruntime, credited);
    } else thread.state.vruntime += state.minVruntime;
    this.insert(thread);
    this.raiseMinimum();
  }

  /** Take a waiting thread out to move it; its virtual run time becomes relative. */
  takeForMove(thread: Thread): void {
    this.remove(thread);
    thread.state.vruntime -= this.state.minVruntime;
  }

  private insert(thread: Thread): void {
    const { queued } = this.state;
    let at = queued.length;
    while (at > 0 && this.vruntimeAt(at - 1) > thread.state.vruntime) at--;
    queued.splice(at, 0, thread.id);
  }

  private vruntimeAt(index: number): number {
    return this.thread(this.state.queued[index]).state.vruntime;
  }

  private remove(thread: Thread): void {
    this.clearBuddies(thread);
    this.state.queued.splice(this.state.queued.indexOf(thread.id), 1);
    this.raiseMinimum();
  }

  private clearBuddies(thread: Thread): void {
    if (this.state.next === thread.id) this.state.next = -1;
    if (this.state.last === thread.id) this.state.last = -1;
    if (this.state.skip === thread.id) this.state.skip = -1;
  }

  /** The running thread stops running; it waits again unless it blocks. */
  putPrevious(runnable: boolean): void {
    const { current } = this;
    if (current === null) return;
    this.state.current = -1;
    if (runnable) this.insert(current);
    else this.clearBuddies(current);
    this.raiseMinimum();
  }

  /**
   * Choose and take the thread to run next, and make it current. fair.c, pick_next_entity.
   * @param previous the thread that ran until now; picked again it keeps its buddies and its slice
   */
  pickNext(nowNs: number, previous: Thread | null): Thread | null {
    const { state } = this;
    const leftId = state.queued[0];
    if (leftId === undefined) return null;
    const left = this.thread(leftId);
    let chosen = left;
    if (state.skip === left.id) {
      const second = state.queued[1];
      if (second !== undefined && this.isNear(this.thread(second), left)) {
        chosen = this.thread(second);
      }
    }
    for (const buddy of [state.last, state.next]) {
      if (!state.queued.includes(buddy)) continue;
      if (this.isNear(this.thread(buddy), left)) chosen = this.thread(buddy);
    }
    state.queued.splice(state.queued.indexOf(chosen.id), 1);
    state.current = chosen.id;
    chosen.state.execStartNs = nowNs;
    if (chosen !== previous) {
      this.clearBuddies(chosen);
      chosen.state.prevSumExecNs = chosen.state.sumExecNs;
    }
    return chosen;
  }

  /** Not further behind `left` in line than the wake-up granularity. */
  private isNear(candidate: Thread, left: Thread): boolean {
    return this.compare(candidate, left) < 1;
  }

  /** -1, 0 or 1: before, after but within the granularity of `b`, further after. */
  private compare(a: Thread, b: Thread): number {
    const difference = a.state.vruntime - b.state.vruntime;
    if (difference <= 0) return -1;
    const granularity =
      b.weight === NICE_0_WEIGHT
        ? this.tunables.wakeupGranularityNs
        : virtualRuntime(this.tunables.wakeupGranularityNs, b.nice);
    return difference > granularity ? 1 : 0;
  }

  /** The time that a thread may run before another has its turn. fair.c, sched_slice. */
  private sliceOf(thread: Thread, count: number, load: number): number {
    const { latencyNs, minGranularityNs, nrLatency } = this.tunables;
    const period = count <= nrLatency ? latencyNs : count * minGranularityNs;
    return Math.max(shareOfPeriod(period, thread.weight, load), minGranularityNs);
  }

  private sliceWith(thread: Thread): number {
    return this.sliceOf(thread, this.runningCount + 1, this.load + thread.weight);
  }

  /** At the tick: whether the running thread should make way. fair.c, check_preempt_tick. */
  tickPreempts(): boolean {
    const { current, state } = this;
    const first = state.queued[0];
    if (current === null || first === undefined) return false;
    const ran = current.state.sumExecNs - current.state.prevSumExecNs;
    const slice = this.sliceOf(current, this.runningCount, this.load);
    if (ran > slice) {
      this.clearBuddies(current);
      return true;
    }
    if (ran < this.tunables.minGranularityNs) return false;
    return current.state.vruntime - this.thread(first).state.vruntime > slice;
  }

  /** Whether a woken thread should replace the running one now. fair.c, check_preempt_wakeup. */
  wakeupPreempts(woken: Thread): boolean {
    const { current } = this;
    if (current === null) return false;
    if (this.compare(current, woken) !== 1) return false;
    this.state.next = woken.id;
    // Its caches are warm: it goes on if the woken one soon blocks.
    if (this.runningCount >= this.tunables.nrLatency) this.state.last = current.id;
    return true;
  }

  /** The running thread asks to be passed over once. fair.c, yield_task_fair. */
  yieldCurrent(nowNs: number): void {
    const { current } = this;
    if (current === null || this.runningCount === 1) return;
    this.clearBuddies(current);
    this.update(nowNs);
    if (this.tunables.hasSkipBuddy) this.state.skip = current.id;
  }

  /** Prefer a waiting thread at the next pick; false if it does not wait here. */
  setNextBuddy(thread: Thread): boolean {
    if (!this.state.queued.includes(thread.id)) return false;
    this.state.next = thread.id;
    return true;
  }
}
