// The line in which entities of one level wait on one pCPU, ordered by virtual run time, with the
// one that runs, which is not in it. What both fair classes have in common. Linux struct cfs_rq.

import type { Entity } from './entity.ts';

/** Ids of entities, -1 for none. Plain data, saved and hashed as it is. */
export interface EntityQueueState {
  /** Who waits, in order. */
  queued: number[];
  current: number;
  next: number;
  last: number;
  skip: number;
  minVruntime: number;
  /** EEVDF: deadline that the running entity had when it was picked. */
  pickedDeadline: number;
  /** EEVDF: the running entity has used up its slice, and nobody has acted on it yet. */
  isSliceOver: boolean;
}

/** How an entity comes into a queue. */
export type Arrival = 'new' | 'woken' | 'moved';

/** One level of the fair class on one pCPU. Knows entities and times in ns, not pCPUs. */
export interface ClassQueue {
  readonly line: EntityLine;
  /** Charge the running entity up to `nowNs`; returns the ns charged. fair.c, update_curr. */
  update(nowNs: number): number;
  enqueue(entity: Entity, how: Arrival): void;
  /** Take out one that waits; it goes to another queue if `moves`, else its group is empty. */
  dequeue(entity: Entity, moves: boolean): void;
  /** The running entity stops running; it waits again unless it blocks. */
  putPrevious(runnable: boolean): void;
  /**
   * Choose and take the entity to run next, and make it current.
   * @param previous who ran until now; picked again it goes on with its slice
   * @param promised who waits, and is chosen whatever the class says; null for nobody
   */
  pickNext(nowNs: number, previous: Entity | null, promised?: Entity | null): Entity | null;
  /** At the tick: whether the running entity should make way. */
  tickPreempts(): boolean;
  /**
   * Whether one that was woken should replace the running one now.
   * @param leafCount entities in the queue of the running thread
   */
  wakeupPreempts(woken: Entity, leafCount: number): boolean;
  /** What is left at `nowNs` of the running entity's slice, in ns; 0 while nothing runs. */
  restOfSlice(nowNs: number): number;
  /** The running thread gives way. */
  yieldCurrent(nowNs: number): void;
  /** The running entity is the group of a thread that gives way. */
  yieldGroup(): void;
  /** Prefer an entity at the next pick. */
  setNext(entity: Entity): void;
}

export class EntityLine {
  state: EntityQueueState = {
    queued: [],
    current: -1,
    next: -1,
    last: -1,
    skip: -1,
    minVruntime: 0,
    pickedDeadline: 0,
    isSliceOver: false,
  };
  private readonly entityOf: (id: number) => Entity;

  constructor(entityOf: (id: number) => Entity) {
    this.entityOf = entityOf;
  }

  entity(id: number): Entity {
    return this.entityOf(id);
  }

  get current(): Entity | null {
    return this.state.current === -1 ? null : this.entityOf(this.state.current);
  }

  /** Who runs or waits here. */
  get count(): number {
    return this.state.queued.length + (this.state.current === -1 ? 0 : 1);
  }

  get waiting(): readonly Entity[] {
    return this.state.queued.map((id) => this.entityOf(id));
  }

  /** Sum of the weights of all that run or wait. */
  get load(): number {
    let sum = this.current?.weight ?? 0;
    for (const id of this.state.queued) sum += this.entityOf(id).weight;
    return sum;
  }

  /** All that run or wait are of SCHED_IDLE; true if there are none. */
  get isAllIdle(): boolean {
    const { current } = this;
    if (current !== null && !current.isIdle) return false;
    return this.state.queued.every((id) => this.entityOf(id).isIdle);
  }

  isWaiting({ id }: Entity): boolean {
    return this.state.queued.includes(id);
  }

  isHere(entity: Entity): boolean {
    return this.state.current === entity.id || this.isWaiting(entity);
  }

  /** Charge the running entity up to `nowNs`; returns the ns charged. */
  charge(nowNs: number): number {
    const { current } = this;
    if (current === null) return 0;
    const { state } = current;
    const delta = nowNs - state.execStartNs;
    if (delta <= 0) return 0;
    state.execStartNs = nowNs;
    state.sumExecNs += delta;
    state.vruntime += current.toVirtual(delta);
    this.raiseMinimum();
    return delta;
  }

  /** min_vruntime follows the earlier of the running and the first waiting one, never back. */
  raiseMinimum(): void {
    const { state, current } = this;
    const first = state.queued[0];
    let least = current?.state.vruntime ?? Number.POSITIVE_INFINITY;
    if (first !== undefined) least = Math.min(least, this.entityOf(first).state.vruntime);
    if (least !== Number.POSITIVE_INFINITY) state.minVruntime = Math.max(state.minVruntime, least);
  }

  /** Equal virtual run times keep their order of arrival. */
  insert(entity: Entity): void {
    const { queued } = this.state;
    const { vruntime } = entity.state;
    let at = queued.length;
    while (at > 0 && this.entityOf(queued[at - 1]).state.vruntime > vruntime) at--;
    queued.splice(at, 0, entity.id);
  }

  remove(entity: Entity): void {
    this.clearBuddies(entity);
    this.state.queued.splice(this.state.queued.indexOf(entity.id), 1);
    this.raiseMinimum();
  }

  /** Take one that waits, and make it current. */
  take(entity: Entity, nowNs: number): void {
    this.state.queued.splice(this.state.queued.indexOf(entity.id), 1);
    this.state.current = entity.id;
    entity.state.execStartNs = nowNs;
  }

  clearBuddies({ id }: Entity): void {
    const { state } = this;
    if (state.next === id) state.next = -1;
    if (state.last === id) state.last = -1;
    if (state.skip === id) state.skip = -1;
  }
}
