// All threads that run or wait on one pCPU: those of no group beside the groups' entities, a queue
// for each group, in which other groups may compete as well, and before all of them threads of real
// time. Linux struct rq; the walks over levels of fair.c's *_task_fair functions.

import { EevdfQueue } from './eevdf.ts';
import type { Entity } from './entity.ts';
import type { Arrival, ClassQueue, EntityLine, EntityQueueState } from './entity-queue.ts';
import { FairQueue, type QueueSurroundings } from './fair.ts';
import type { FairClass } from './parameters.ts';
import { RealTimeQueue, type RealTimeQueueState } from './real-time.ts';
import type { Thread } from './thread.ts';
import {
  GroupEntity,
  type GroupEntityState,
  idOfGroup,
  type RuntimeLimit,
  type ThreadGroup,
} from './thread-group.ts';
import type { FairTunables } from './tunables.ts';
import { shareOfPeriod } from './weights.ts';

/** Plain data, saved and hashed as it is. */
export interface RunQueueState {
  readonly root: EntityQueueState;
  readonly groups: readonly {
    readonly entity: GroupEntityState;
    readonly queue: EntityQueueState;
  }[];
  readonly realTime: RealTimeQueueState;
  /** Id of the thread that runs next, whoever waits; left out for none. */
  readonly promised?: number;
}

export class RunQueue {
  readonly root: ClassQueue;
  private readonly realTime = new RealTimeQueue();
  private readonly groups: GroupEntity[] = [];
  private readonly fairClass: FairClass;
  private readonly tunables: FairTunables;
  private readonly threads: readonly Thread[];
  /** A group is out of run time, and nobody has asked yet. */
  private hasRunOut = false;
  private promised: number | null = null;

  /** @param threads all threads of the host by id */
  constructor(fairClass: FairClass, tunables: FairTunables, threads: readonly Thread[]) {
    this.fairClass = fairClass;
    this.tunables = tunables;
    this.threads = threads;
    this.root = this.createQueue((ns) => ns);
  }

  private createQueue(shareOfGroup: QueueSurroundings['shareOfGroup']): ClassQueue {
    const entityOf = (id: number) => (id >= 0 ? this.threads[id] : this.groups[idOfGroup(id)]);
    if (this.fairClass === 'eevdf') return new EevdfQueue(this.tunables, entityOf);
    const around = { threadCount: () => this.runningCount, shareOfGroup };
    return new FairQueue(this.tunables, entityOf, around);
  }

  /** A new group, which has the next index, on the pCPU of that index. */
  addGroup(group: ThreadGroup, pcpu: number): GroupEntity {
    const parent = group.parent === null ? null : this.groups[group.parent.index];
    const queue = this.createQueue((ns) => this.shareOf(entity, ns));
    const entity = new GroupEntity(group, parent, queue, pcpu);
    this.groups.push(entity);
    return entity;
  }

  /** The part of a period that is a group's, level by level. fair.c, sched_slice. */
  private shareOf(entity: GroupEntity, ns: number): number {
    let share = ns;
    for (let at: GroupEntity | null = entity; at !== null; at = at.parent) {
      const { line } = this.above(at);
      const load = line.load + (line.isHere(at) ? 0 : at.weight);
      share = shareOfPeriod(share, at.weight, load);
    }
    return share;
  }

  /** The queue in which a group competes. */
  private above({ parent }: GroupEntity): ClassQueue {
    return parent === null ? this.root : parent.queue;
  }

  get state(): RunQueueState {
    return {
      root: this.root.line.state,
      groups: this.groups.map(({ state, queue }) => ({ entity: state, queue: queue.line.state })),
      realTime: this.realTime.state,
      ...(this.promised === null ? {} : { promised: this.promised }),
    };
  }

  set state(saved: RunQueueState) {
    this.root.line.state = saved.root;
    this.realTime.state = saved.realTime;
    this.promised = saved.promised ?? null;
    saved.groups.forEach(({ entity, queue }, i) => {
      this.groups[i].state = entity;
      this.groups[i].queue.line.state = queue;
    });
  }

  /** Threads that run or wait here, those of throttled groups left out. */
  get runningCount(): number {
    let count = this.root.line.count + this.realTime.count;
    for (const { parent, state, queue } of this.groups) {
      if (parent !== null || state.isThrottled) continue;
      if (queue.line.count > 0) count += state.threadCount - 1;
    }
    return count;
  }

  /** Somebody runs or waits here, and all who do are of SCHED_IDLE. Linux sched_idle_rq. */
  get isAllIdle(): boolean {
    const { line } = this.root;
    if (line.count === 0 || this.realTime.count > 0) return false;
    return isAllIdle(line);
  }

  /** Sum of the weights of all that compete here, groups as a whole. */
  get load(): number {
    return this.root.line.load;
  }

  /** The part of the load that is a thread's. fair.c, task_h_load. */
  loadOf(thread: Thread): number {
    const group = this.groupOf(thread);
    if (group === null) return thread.weight;
    const load = thread.weight * this.hierarchicalLoad(group);
    return Math.trunc(load / Math.max(group.queue.line.load, 1));
  }

  /** The part of the load that is a group's. fair.c, update_cfs_rq_h_load. */
  private hierarchicalLoad({ parent, weight }: GroupEntity): number {
    if (parent === null) return weight;
    const load = weight * this.hierarchicalLoad(parent);
    return Math.trunc(load / Math.max(parent.queue.line.load, 1));
  }

  /** Somebody wants it to run next. */
  isBuddy(thread: Thread): boolean {
    const { next, last } = this.queueOf(thread).line.state;
    return next === thread.id || last === thread.id;
  }

  /** Waiting threads of the fair class: in order, group by group. */
  get waiting(): readonly Thread[] {
    const threads: Thread[] = [];
    collectWaiting(this.root.line, threads);
    return threads;
  }

  private groupOf({ group }: Thread): GroupEntity | null {
    return group === null ? null : this.groups[group.index];
  }

  private queueOf(thread: Thread): ClassQueue {
    return this.groupOf(thread)?.queue ?? this.root;
  }

  /** The group that the running thread is in. */
  private get currentGroup(): GroupEntity | null {
    let group: GroupEntity | null = null;
    let { current } = this.root.line;
    while (current instanceof GroupEntity) {
      group = current;
      current = group.queue.line.current;
    }
    return group;
  }

  /** The smallest virtual run time where a thread would wait, in ns. */
  minVruntimeFor(thread: Thread): number {
    return this.queueOf(thread).line.state.minVruntime;
  }

  /**
   * Charge the running thread and its groups up to `nowNs`; returns the ns charged. If a group is
   * out of run time, {@link takeRunOut} says so.
   */
  update(nowNs: number): number {
    const charged = this.root.update(nowNs);
    let { current } = this.root.line;
    while (current instanceof GroupEntity) {
      const { queue, group } = current;
      const ns = queue.update(nowNs);
      if (group.limit !== null && ns > 0 && !group.limit.charge(current, ns)) this.hasRunOut = true;
      current = queue.line.current;
    }
    return charged;
  }

  /** Whether the last update has found a group out of run time: somebody has to reschedule. */
  takeRunOut(): boolean {
    const { hasRunOut } = this;
    this.hasRunOut = false;
    return hasRunOut;
  }

  /** The running thread is charged from here on. */
  beginCharging(nowNs: number): void {
    let { current } = this.root.line;
    while (current !== null) {
      current.state.execStartNs = nowNs;
      current = current instanceof GroupEntity ? current.queue.line.current : null;
    }
  }

  enqueue(thread: Thread, how: Arrival): void {
    if (thread.isRealTime) {
      this.realTime.enqueue(thread);
      return;
    }
    const group = this.groupOf(thread);
    if (group === null) {
      this.root.enqueue(thread, how);
      return;
    }
    group.queue.enqueue(thread, how);
    this.arrived(group, 1);
  }

  /** So many threads more run or wait in a group, which competes from now on if it did not. */
  private arrived(group: GroupEntity, threads: number): void {
    for (let at: GroupEntity | null = group; at !== null; at = at.parent) {
      at.state.threadCount += threads;
      this.weigh(at);
      if (at.state.isThrottled) return;
      const above = this.above(at);
      if (above.line.isHere(at)) continue;
      // fair.c, check_enqueue_throttle.
      const limit: RuntimeLimit | null = at.group.limit;
      if (limit !== null && !limit.charge(at, 0) && limit.throttles(at)) return;
      above.enqueue(at, 'woken');
    }
  }

  /** A group that was throttled competes again. fair.c, unthrottle_cfs_rq. */
  unthrottle(entity: GroupEntity): void {
    const { state, queue, parent } = entity;
    state.isThrottled = false;
    if (queue.line.count === 0) return;
    this.above(entity).enqueue(entity, 'woken');
    if (parent !== null) this.arrived(parent, state.threadCount);
  }

  /** Take a waiting thread out to move it to another pCPU. */
  takeForMove(thread: Thread): void {
    this.take(thread, true);
  }

  /** Take a waiting thread out; its virtual run time becomes relative if it moves. */
  take(thread: Thread, moves: boolean): void {
    const group = this.groupOf(thread);
    if (group === null) {
      this.root.dequeue(thread, moves);
      return;
    }
    group.queue.dequeue(thread, moves);
    for (let at: GroupEntity | null = group; at !== null; at = at.parent) {
      at.state.threadCount--;
      const isEmpty = at.queue.line.count === 0;
      if (isEmpty) at.group.limit?.giveBack(at);
      if (at.state.isThrottled) return;
      if (isEmpty) this.above(at).dequeue(at, false);
      else this.weigh(at);
    }
  }

  /** The running thread stops running; it waits again unless it blocks. */
  putPrevious(runnable: boolean): void {
    if (this.realTime.isRunning) {
      this.realTime.putPrevious(runnable);
      return;
    }
    const group = this.currentGroup;
    if (group === null) {
      this.root.putPrevious(runnable);
      return;
    }
    group.queue.putPrevious(runnable);
    let isChanged = !runnable;
    // Threads that those above have no more.
    let lost = runnable ? 0 : 1;
    for (let at: GroupEntity | null = group; at !== null; at = at.parent) {
      const { state, queue } = at;
      const limit: RuntimeLimit | null = at.group.limit;
      state.threadCount -= lost;
      const isEmpty = queue.line.count === 0;
      if (isEmpty) limit?.giveBack(at);
      const isThrottled = limit?.throttles(at) === true;
      if (isThrottled) lost += state.threadCount;
      const stays = !isEmpty && !isThrottled;
      this.above(at).putPrevious(stays);
      if (isChanged) this.weigh(at);
      isChanged = isChanged || !stays;
    }
  }

  /**
   * Choose and take the thread to run next, and make it current. fair.c, pick_next_task_fair.
   * @param previous the thread that ran until now; picked again it goes on with its slice
   */
  pickNext(nowNs: number, previous: Thread | null): Thread | null {
    const first = this.realTime.pickNext();
    if (first !== null) return this.threads[first];
    const promised = this.takePromised();
    let queue = this.root;
    let group: GroupEntity | null = null;
    for (;;) {
      const wanted = this.entityIn(group, promised);
      const chosen = queue.pickNext(nowNs, this.entityIn(group, previous), wanted);
      if (!(chosen instanceof GroupEntity)) return chosen as Thread | null;
      group = chosen;
      queue = chosen.queue;
    }
  }

  /** At the next switch a waiting thread runs, whoever waits beside it. */
  promise({ id }: Thread): void {
    this.promised = id;
  }

  get isPromised(): boolean {
    return this.promised !== null;
  }

  /** Who was promised to run next, if it waits here still. */
  private takePromised(): Thread | null {
    if (this.promised === null) return null;
    const thread = this.threads[this.promised];
    this.promised = null;
    const isHere = this.queueOf(thread).line.isWaiting(thread) && !this.isThrottled(thread);
    return isHere ? thread : null;
  }

  /** The virtual run time that all who compete here have had, in ns. Linux min_vruntime. */
  get virtualNow(): number {
    return this.root.line.state.minVruntime;
  }

  /** So much more than that a thread here has had, or its group; in ns. */
  leadOf(thread: Thread): number {
    const { state } = this.entityIn(null, thread) as Entity;
    return Math.max(0, state.vruntime - this.virtualNow);
  }

  /** What stands for a thread in the queue of a group, or of the root; null if it is not below. */
  private entityIn(group: GroupEntity | null, thread: Thread | null): Entity | null {
    if (thread === null) return null;
    let entity: Entity = thread;
    let above = this.groupOf(thread);
    while (above !== null && above !== group) {
      entity = above;
      above = above.parent;
    }
    return above === group ? entity : null;
  }

  /** At the tick: whether the running thread should make way. */
  tickPreempts(): boolean {
    if (this.realTime.isRunning) return false;
    let preempts = false;
    for (let at = this.currentGroup; at !== null; at = at.parent) {
      this.weigh(at);
      // All levels are asked: each may have buddies to clear.
      preempts = at.queue.tickPreempts() || preempts;
    }
    return this.root.tickPreempts() || preempts;
  }

  /**
   * Whether a woken thread should replace the running one: on the first level that they share.
   * fair.c, check_preempt_wakeup.
   */
  wakeupPreempts(woken: Thread): boolean {
    if (woken.isRealTime || this.realTime.isRunning) return !this.realTime.isRunning;
    const running = this.currentGroup;
    const leaf = (running?.queue ?? this.root).line;
    if (leaf.current === null || this.isThrottled(woken)) return false;
    if (leaf.current.isIdle && !woken.isIdle) return true;
    if (woken.policy !== 'normal') return false;
    let common = running;
    let group = this.groupOf(woken);
    while (common !== group) {
      if ((common?.group.depth ?? -1) >= (group?.group.depth ?? -1))
        common = common?.parent ?? null;
      else group = group?.parent ?? null;
    }
    const queue = common?.queue ?? this.root;
    const { current } = queue.line;
    const entity = this.entityIn(common, woken);
    if (current === null || entity === null) return false;
    if (current.isIdle !== entity.isIdle) return current.isIdle;
    if (!queue.wakeupPreempts(entity, leaf.count)) return false;
    for (let at = common; at !== null; at = at.parent) {
      this.above(at).setNext(at);
      if (queue.line.state.last === current.id) this.above(at).line.state.last = at.id;
    }
    return true;
  }

  /** It is in a group that does not compete. Linux throttled_hierarchy. */
  private isThrottled(thread: Thread): boolean {
    for (let at = this.groupOf(thread); at !== null; at = at.parent) {
      if (at.state.isThrottled) return true;
    }
    return false;
  }

  /** What is left at `nowNs` of the running thread's slice, in ns. */
  restOfSlice(nowNs: number): number {
    return (this.currentGroup?.queue ?? this.root).restOfSlice(nowNs);
  }

  /** The running thread gives way, and so do its groups. fair.c, yield_task_fair. */
  yieldCurrent(nowNs: number): void {
    if (this.runningCount === 1) return;
    const group = this.currentGroup;
    if (group === null) {
      this.root.yieldCurrent(nowNs);
      return;
    }
    this.update(nowNs);
    group.queue.yieldCurrent(nowNs);
    for (let at: GroupEntity | null = group; at !== null; at = at.parent) {
      this.above(at).yieldGroup();
    }
  }

  /**
   * The running thread goes behind all that wait beside it. Linux 2.6.35 kernel/sched_fair.c,
   * yield_task_fair with sysctl_sched_compat_yield.
   */
  yieldToLast(nowNs: number): void {
    this.update(nowNs);
    const { line } = this.currentGroup?.queue ?? this.root;
    const { current } = line;
    const last = line.waiting.at(-1);
    if (current === null || last === undefined) return;
    line.clearBuddies(current);
    current.state.vruntime = Math.max(current.state.vruntime, last.state.vruntime + 1);
  }

  /** Prefer a waiting thread at the next pick, and its groups; false if it does not wait here. */
  setNextBuddy(thread: Thread): boolean {
    const queue = this.queueOf(thread);
    if (!queue.line.isWaiting(thread) || this.isThrottled(thread)) return false;
    if (thread.isIdle) return true;
    queue.setNext(thread);
    for (let at = this.groupOf(thread); at !== null && !at.isIdle; at = at.parent) {
      this.above(at).setNext(at);
    }
    return true;
  }

  /** Give a group the part of its shares that its load here asks for. */
  private weigh(entity: GroupEntity): void {
    const { state, group, queue } = entity;
    const old = state.weight;
    state.weight = group.weightOf(queue.line.load);
    // Of EEVDF's slice the same part is left.
    state.deadline =
      state.vruntime + Math.trunc(((state.deadline - state.vruntime) * old) / state.weight);
  }
}

/** Those that wait in a queue and below it: first those beside the running one. */
function collectWaiting(line: EntityLine, threads: Thread[]): void {
  const { current } = line;
  if (current instanceof GroupEntity) collectWaiting(current.queue.line, threads);
  for (const id of line.state.queued) {
    const entity = line.entity(id);
    if (entity instanceof GroupEntity) collectWaiting(entity.queue.line, threads);
    else threads.push(entity as Entity as Thread);
  }
}

function isAllIdle({ current, waiting }: EntityLine): boolean {
  const all = current === null ? waiting : [current, ...waiting];
  return all.every(
    (entity) => entity.isIdle || (entity instanceof GroupEntity && isAllIdle(entity.queue.line)),
  );
}
