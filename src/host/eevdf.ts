// EEVDF, the fair class since Linux 6.6: among those that have not had more than their share, the
// one with the earliest virtual deadline runs. One level on one pCPU. 6.6 kernel/sched/fair.c, with
// its features PLACE_LAG, PLACE_DEADLINE_INITIAL and RUN_TO_PARITY, without NEXT_BUDDY: the
// next buddy is set, and nobody looks at it.

import type { Entity } from './entity.ts';
import { type Arrival, type ClassQueue, EntityLine } from './entity-queue.ts';
import type { FairTunables } from './tunables.ts';

export class EevdfQueue implements ClassQueue {
  readonly line: EntityLine;
  private readonly tunables: FairTunables;

  constructor(tunables: FairTunables, entityOf: (id: number) => Entity) {
    this.tunables = tunables;
    this.line = new EntityLine(entityOf);
  }

  /** The base slice in virtual time of an entity. */
  private slice(entity: Entity): number {
    return entity.toVirtual(this.tunables.minGranularityNs);
  }

  update(nowNs: number): number {
    const { line } = this;
    const charged = line.charge(nowNs);
    const { current } = line;
    if (charged > 0 && current !== null) this.renewDeadline(current);
    return charged;
  }

  /** A used-up slice is followed by another, after those that have an earlier deadline. */
  private renewDeadline(current: Entity): void {
    const { state } = current;
    if (state.vruntime < state.deadline) return;
    state.deadline = state.vruntime + this.slice(current);
    if (this.line.count <= 1) return;
    this.line.state.isSliceOver = true;
    this.line.clearBuddies(current);
  }

  /** Mean virtual run time by weight, relative to the minimum: the sums of fair.c, avg_vruntime. */
  private get sums(): { readonly key: number; readonly load: number } {
    const { line } = this;
    const { queued, minVruntime } = line.state;
    const { current } = line;
    let key = 0;
    let load = 0;
    const add = ({ weight, state }: Entity) => {
      key += weight * (state.vruntime - minVruntime);
      load += weight;
    };
    if (current !== null) add(current);
    for (const id of queued) add(line.entity(id));
    return { key, load };
  }

  private get average(): number {
    const { key, load } = this.sums;
    const { minVruntime } = this.line.state;
    return load === 0 ? minVruntime : minVruntime + Math.floor(key / load);
  }

  enqueue(entity: Entity, how: Arrival): void {
    const { line } = this;
    const { state } = entity;
    const { average } = this;
    let lag = 0;
    if (line.count > 0) {
      // Its own arrival moves the average towards it: the lag is stretched so that it stays.
      const { load } = this.sums;
      lag = Math.trunc((state.lag * (load + entity.weight)) / load);
    }
    state.vruntime = average - lag;
    const slice = this.slice(entity);
    state.deadline = state.vruntime + (how === 'new' ? Math.floor(slice / 2) : slice);
    line.insert(entity);
    line.raiseMinimum();
  }

  /** How far behind the average it is, within bounds, is what an entity keeps when it leaves. */
  private keepLag(entity: Entity): void {
    const { minGranularityNs, tickNs } = this.tunables;
    const limit = entity.toVirtual(Math.max(2 * minGranularityNs, tickNs));
    const lag = this.average - entity.state.vruntime;
    entity.state.lag = Math.max(-limit, Math.min(lag, limit));
  }

  dequeue(entity: Entity): void {
    this.keepLag(entity);
    this.line.remove(entity);
  }

  putPrevious(runnable: boolean): void {
    const { line } = this;
    const { current } = line;
    if (current === null) return;
    if (!runnable) {
      this.keepLag(current);
      line.clearBuddies(current);
    }
    line.state.current = -1;
    line.state.isSliceOver = false;
    if (runnable) line.insert(current);
    line.raiseMinimum();
  }

  /** fair.c, pick_eevdf: once picked, an entity keeps the pCPU for its slice while it is eligible. */
  pickNext(nowNs: number, previous: Entity | null, promised?: Entity | null): Entity | null {
    const { line } = this;
    const current = previous !== null && line.isWaiting(previous) ? previous : null;
    const chosen = promised ?? this.earliest(current);
    if (chosen === null) return null;
    line.take(chosen, nowNs);
    if (chosen !== previous) {
      line.clearBuddies(chosen);
      chosen.state.prevSumExecNs = chosen.state.sumExecNs;
    }
    line.state.pickedDeadline = chosen.state.deadline;
    return chosen;
  }

  /** @param current who runs, or ran until now; whether in line or not */
  private earliest(current: Entity | null): Entity | null {
    const { line } = this;
    const { queued, minVruntime, pickedDeadline } = line.state;
    const { key, load } = this.sums;
    const isEligible = ({ state }: Entity) => key >= (state.vruntime - minVruntime) * load;
    const running = current !== null && isEligible(current) ? current : null;
    if (running !== null && running.state.deadline === pickedDeadline) return running;
    let best: Entity | null = null;
    for (const id of queued) {
      const entity = line.entity(id);
      if (entity === current || !isEligible(entity)) continue;
      if (best === null || entity.state.deadline < best.state.deadline) best = entity;
    }
    if (best === null || (running !== null && running.state.deadline < best.state.deadline)) {
      best = running ?? best;
    }
    return best ?? (queued.length > 0 ? line.entity(queued[0]) : null);
  }

  tickPreempts(): boolean {
    const { state } = this.line;
    const isOver = state.isSliceOver;
    state.isSliceOver = false;
    return isOver;
  }

  wakeupPreempts(woken: Entity): boolean {
    const { current } = this.line;
    if (current === null) return false;
    return this.tickPreempts() || this.earliest(current) === woken;
  }

  /** Without charging it: to ask makes no difference. A slice ends at the deadline. */
  restOfSlice(nowNs: number): number {
    const { current } = this.line;
    if (current === null) return 0;
    const { vruntime, deadline, execStartNs } = current.state;
    const now = vruntime + current.toVirtual(Math.max(0, nowNs - execStartNs));
    const { minGranularityNs } = this.tunables;
    const rest = Math.max(0, deadline - now) / this.slice(current);
    return Math.floor(rest * minGranularityNs);
  }

  /** The deadline moves one slice further. */
  yieldCurrent(nowNs: number): void {
    const { line } = this;
    const { current } = line;
    if (current === null || line.count === 1) return;
    line.clearBuddies(current);
    this.update(nowNs);
    current.state.deadline += this.slice(current);
  }

  yieldGroup(): void {}

  setNext(entity: Entity): void {
    this.line.state.next = entity.id;
  }
}
