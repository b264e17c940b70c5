// All threads that run or wait on one pCPU: those of no group beside the groups' entities, a queue
// for each group, and before all of them those of real time. Linux struct rq; the walks over levels
// of fair.c's *_task_fair functions.

import { EevdfQueue } from './eevdf.ts';
import type { Entity } from './entity.ts';
import type { Arrival, ClassQueue, EntityQueueState } from './entity-queue.ts';
import { FairQueue, type QueueSurroundings } from './fair.ts';
import type { FairClass } from './parameters.ts';
import { RealTimeQueue, type RealTimeQueueState } from './real-time.ts';
import type { Thread } from './thread.ts';
import { GroupEntity, type GroupEntityState, idOfGroup, type ThreadGroup } from './thread-group.ts';
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
}

export class RunQueue {
  readonly root: ClassQueue;
  private readonly realTime = new RealTimeQueue();
  private readonly groups: GroupEntity[] = [];
  private readonly fairClass: FairClass;
  private readonly tunables: FairTunables;
  private readonly threads: readonly Thread[];

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

  /** A new group, which has the next index. */
  addGroup(group: ThreadGroup): GroupEntity {
    const queue = this.createQueue((ns) => this.shareOf(entity, ns));
    const entity = new GroupEntity(group, queue);
    this.groups.push(entity);
    return entity;
  }

  private shareOf(entity: GroupEntity, periodNs: number): number {
    const { line } = this.root;
    const load = line.load + (line.isHere(entity) ? 0 : entity.weight);
    return shareOfPeriod(periodNs, entity.weight, load);
  }

  get state(): RunQueueState {
    return {
      root: this.root.line.state,
      groups: this.groups.map(({ state, queue }) => ({ entity: state, queue: queue.line.state })),
      realTime: this.realTime.state,
    };
  }

  set state(saved: RunQueueState) {
    this.root.line.state = saved.root;
    this.realTime.state = saved.realTime;
    saved.groups.forEach(({ entity, queue }, i) => {
      this.groups[i].state = entity;
      this.groups[i].queue.line.state = queue;
    });
  }

  /** Threads that run or wait here. */
  get runningCount(): number {
    let count = this.root.line.count + this.realTime.count;
    for (const { queue } of this.groups) {
      if (queue.line.count > 0) count += queue.line.count - 1;
    }
    return count;
  }

  /** Waiting threads of the fair class: in order, group by group. */
  get waiting(): readonly Thread[] {
    const { line } = this.root;
    const { current } = line;
    const below = current instanceof GroupEntity ? current.queue.line.waiting : [];
    const waiting = line.waiting.flatMap((entity) =>
      entity instanceof GroupEntity ? entity.queue.line.waiting : [entity],
    );
    return [...below, ...waiting] as readonly Entity[] as readonly Thread[];
  }

  private groupOf({ group }: Thread): GroupEntity | null {
    return group === null ? null : this.groups[group.index];
  }

  private queueOf(thread: Thread): ClassQueue {
    return this.groupOf(thread)?.queue ?? this.root;
  }

  private get currentGroup(): GroupEntity | null {
    const { current } = this.root.line;
    return current instanceof GroupEntity ? current : null;
  }

  /** The smallest virtual run time where a thread would wait, in ns. */
  minVruntimeFor(thread: Thread): number {
    return this.queueOf(thread).line.state.minVruntime;
  }

  /** Charge the running thread up to `nowNs`; returns the ns charged. */
  update(nowNs: number): number {
    const charged = this.root.update(nowNs);
    this.currentGroup?.queue.update(nowNs);
    return charged;
  }

  /** The running thread is charged from here on. */
  beginCharging(nowNs: number): void {
    const group = this.currentGroup;
    for (const queue of group === null ? [this.root] : [this.root, group.queue]) {
      const { current } = queue.line;
      if (current !== null) current.state.execStartNs = nowNs;
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
    this.weigh(group);
    if (!this.root.line.isHere(group)) this.root.enqueue(group, 'woken');
  }

  /** Take a waiting thread out to move it to another pCPU. */
  takeForMove(thread: Thread): void {
    const group = this.groupOf(thread);
    if (group === null) {
      this.root.dequeue(thread, true);
      return;
    }
    group.queue.dequeue(thread, true);
    if (group.queue.line.count === 0) this.root.dequeue(group, false);
    else this.weigh(group);
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
    this.root.putPrevious(group.queue.line.count > 0);
    if (!runnable) this.weigh(group);
  }

  /**
   * Choose and take the thread to run next, and make it current. fair.c, pick_next_task_fair.
   * @param previous the thread that ran until now; picked again it goes on with its slice
   */
  pickNext(nowNs: number, previous: Thread | null): Thread | null {
    const first = this.realTime.pickNext();
    if (first !== null) return this.threads[first];
    const previousGroup = previous === null ? null : this.groupOf(previous);
    const chosen = this.root.pickNext(nowNs, previousGroup ?? previous);
    if (!(chosen instanceof GroupEntity)) return chosen as Thread | null;
    return chosen.queue.pickNext(nowNs, chosen === previousGroup ? previous : null) as Thread;
  }

  /** At the tick: whether the running thread should make way. */
  tickPreempts(): boolean {
    if (this.realTime.isRunning) return false;
    const group = this.currentGroup;
    if (group === null) return this.root.tickPreempts();
    this.weigh(group);
    // Both are asked: each may have buddies to clear.
    const inGroup = group.queue.tickPreempts();
    return this.root.tickPreempts() || inGroup;
  }

  /** Whether a woken thread should replace the running one: on the first level that they share. */
  wakeupPreempts(woken: Thread): boolean {
    if (woken.isRealTime || this.realTime.isRunning) return !this.realTime.isRunning;
    const running = this.currentGroup;
    const group = this.groupOf(woken);
    const leafCount = (running?.queue ?? this.root).line.count;
    if (running === null || running !== group) {
      return this.root.wakeupPreempts(group ?? woken, leafCount);
    }
    if (!group.queue.wakeupPreempts(woken, leafCount)) return false;
    this.root.setNext(group);
    return true;
  }

  /** The running thread gives way, and so does its group. fair.c, yield_task_fair. */
  yieldCurrent(nowNs: number): void {
    if (this.runningCount === 1) return;
    const group = this.currentGroup;
    if (group === null) {
      this.root.yieldCurrent(nowNs);
      return;
    }
    this.update(nowNs);
    group.queue.yieldCurrent(nowNs);
    this.root.yieldGroup();
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

  /** Prefer a waiting thread at the next pick, and its group; false if it does not wait here. */
  setNextBuddy(thread: Thread): boolean {
    const queue = this.queueOf(thread);
    if (!queue.line.isWaiting(thread)) return false;
    queue.setNext(thread);
    const group = this.groupOf(thread);
    if (group !== null) this.root.setNext(group);
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
