// The completely fair scheduler, one level on one pCPU: virtual run time, slices, wake-up
// preemption, next, last and skip buddies. Linux kernel/sched/fair.c.

import type { Entity } from './entity.ts';
import { type Arrival, type ClassQueue, EntityLine } from './entity-queue.ts';
import type { FairTunables } from './tunables.ts';
import { NICE_0_WEIGHT, shareOfPeriod } from './weights.ts';

/** Least slice of SCHED_IDLE beside others, in ns. Linux sysctl_sched_idle_min_granularity. */
const IDLE_MIN_GRANULARITY_NS = 750_000;

/** What a queue has to know of the others on its pCPU. */
export interface QueueSurroundings {
  /** Threads that run or wait on the pCPU, in all groups. */
  threadCount(): number;
  /** The part of a period in ns that belongs to the queue's group. */
  shareOfGroup(periodNs: number): number;
}

export class FairQueue implements ClassQueue {
  readonly line: EntityLine;
  private readonly tunables: FairTunables;
  private readonly around: QueueSurroundings;

  /** @param around by default there are no groups */
  constructor(
    tunables: FairTunables,
    entityOf: (id: number) => Entity,
    around?: QueueSurroundings,
  ) {
    this.tunables = tunables;
    this.line = new EntityLine(entityOf);
    this.around = around ?? { threadCount: () => this.line.count, shareOfGroup: (ns) => ns };
  }

  update(nowNs: number): number {
    return this.line.charge(nowNs);
  }

  enqueue(entity: Entity, how: Arrival): void {
    const { line, tunables } = this;
    const { minVruntime } = line.state;
    const { state } = entity;
    if (how === 'new') {
      const start = minVruntime + entity.toVirtual(this.sliceWith(entity));
      state.vruntime = Math.max(state.vruntime, start);
    } else if (how === 'woken') {
      // Half of the latency is a sleeper's credit (GENTLE_FAIR_SLEEPERS).
      const { latencyNs, minGranularityNs } = tunables;
      const credit = entity.isIdle ? minGranularityNs : latencyNs;
      const credited = minVruntime - Math.floor(credit / 2);
      state.vruntime = Math.max(state.vruntime, credited);
    } else state.vruntime += minVruntime;
    line.insert(entity);
    line.raiseMinimum();
  }

  /** The virtual run time of who moves becomes relative. */
  dequeue(entity: Entity, moves: boolean): void {
    this.line.remove(entity);
    if (moves) entity.state.vruntime -= this.line.state.minVruntime;
  }

  putPrevious(runnable: boolean): void {
    const { line } = this;
    const { current } = line;
    if (current === null) return;
    line.state.current = -1;
    if (runnable) line.insert(current);
    else line.clearBuddies(current);
    line.raiseMinimum();
  }

  /** fair.c, pick_next_entity. Who is picked again keeps its buddies too. */
  pickNext(nowNs: number, previous: Entity | null, promised?: Entity | null): Entity | null {
    const { line } = this;
    const { state } = line;
    const leftId = state.queued[0];
    if (leftId === undefined) return null;
    const left = line.entity(leftId);
    let chosen = left;
    if (state.skip === left.id) {
      const second = state.queued[1];
      if (second !== undefined && this.isNear(line.entity(second), left)) {
        chosen = line.entity(second);
      }
    }
    for (const buddy of [state.last, state.next]) {
      if (!state.queued.includes(buddy)) continue;
      if (this.isNear(line.entity(buddy), left)) chosen = line.entity(buddy);
    }
    chosen = promised ?? chosen;
    line.take(chosen, nowNs);
    if (chosen !== previous) {
      line.clearBuddies(chosen);
      chosen.state.prevSumExecNs = chosen.state.sumExecNs;
    }
    return chosen;
  }

  /** Not further behind `left` in line than the wake-up granularity. */
  private isNear(candidate: Entity, left: Entity): boolean {
    return this.compare(candidate, left) < 1;
  }

  /** -1, 0 or 1: before, after but within the granularity of `b`, further after. */
  private compare(a: Entity, b: Entity): number {
    const difference = a.state.vruntime - b.state.vruntime;
    if (difference <= 0) return -1;
    const { wakeupGranularityNs } = this.tunables;
    const granularity =
      b.weight === NICE_0_WEIGHT ? wakeupGranularityNs : b.toVirtual(wakeupGranularityNs);
    return difference > granularity ? 1 : 0;
  }

  /** The time that an entity may run before another has its turn. fair.c, sched_slice. */
  private sliceOf(entity: Entity, threadCount: number, load: number): number {
    const { latencyNs, minGranularityNs, nrLatency } = this.tunables;
    const period = threadCount <= nrLatency ? latencyNs : threadCount * minGranularityNs;
    const share = this.around.shareOfGroup(shareOfPeriod(period, entity.weight, load));
    const isBeside = entity.isIdle && !this.line.isAllIdle;
    return Math.max(share, isBeside ? IDLE_MIN_GRANULARITY_NS : minGranularityNs);
  }

  private sliceWith(entity: Entity): number {
    const load = this.line.load + entity.weight;
    return this.sliceOf(entity, this.around.threadCount() + 1, load);
  }

  /** Without charging it: to ask makes no difference. */
  restOfSlice(nowNs: number): number {
    const { current, load } = this.line;
    if (current === null) return 0;
    const { sumExecNs, prevSumExecNs, execStartNs } = current.state;
    const ran = sumExecNs - prevSumExecNs + Math.max(0, nowNs - execStartNs);
    return Math.max(0, this.sliceOf(current, this.around.threadCount(), load) - ran);
  }

  /** fair.c, check_preempt_tick. */
  tickPreempts(): boolean {
    const { line } = this;
    const { current, state } = line;
    const first = state.queued[0];
    if (current === null || first === undefined) return false;
    const ran = current.state.sumExecNs - current.state.prevSumExecNs;
    const slice = this.sliceOf(current, this.around.threadCount(), line.load);
    if (ran > slice) {
      line.clearBuddies(current);
      return true;
    }
    if (ran < this.tunables.minGranularityNs) return false;
    return current.state.vruntime - line.entity(first).state.vruntime > slice;
  }

  /** fair.c, check_preempt_wakeup. */
  wakeupPreempts(woken: Entity, leafCount: number): boolean {
    const { line } = this;
    const { current } = line;
    if (current === null) return false;
    if (this.compare(current, woken) !== 1) return false;
    line.state.next = woken.id;
    // A thread's caches are warm: it goes on if the woken one soon blocks.
    if (current.id >= 0 && leafCount >= this.tunables.nrLatency) line.state.last = current.id;
    return true;
  }

  /** The running thread asks to be passed over once. fair.c, yield_task_fair. */
  yieldCurrent(nowNs: number): void {
    if (this.line.count === 1) return;
    this.update(nowNs);
    this.yieldGroup();
  }

  yieldGroup(): void {
    const { line } = this;
    const { current } = line;
    if (current === null || line.count === 1) return;
    line.clearBuddies(current);
    if (this.tunables.hasSkipBuddy) line.state.skip = current.id;
  }

  setNext(entity: Entity): void {
    this.line.state.next = entity.id;
  }
}
