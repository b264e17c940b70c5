// A control group of threads and of other groups: it has one entity on each pCPU, which competes
// with its siblings in the queue of the group above, and a queue below it. Linux struct task_group;
// fair.c, calc_group_shares.

import { type Entity, type EntityState, newEntityState } from './entity.ts';
import type { ClassQueue } from './entity-queue.ts';
import { IDLE_WEIGHT, virtualRuntimeOf } from './weights.ts';

/** An entity's weight is at least so much. */
const MIN_SHARES = 2;

/** Plain data, saved and hashed as it is. */
export interface GroupEntityState extends EntityState {
  weight: number;
  /** Threads that run or wait below, those of throttled groups left out. Linux h_nr_running. */
  threadCount: number;
  /** Out of run time: it does not compete above. */
  isThrottled: boolean;
  /** Since when, in ns of its pCPU's clock. */
  throttledSinceNs: number;
  /** What is left of the run time that it took from the group's, in ns; negative for a debt. */
  runtimeNs: number;
}

/** What limits the run time of a group. Linux struct cfs_bandwidth. */
export interface RuntimeLimit {
  /** A group has run for so many ns on a pCPU: false if it has to stop. */
  charge(entity: GroupEntity, ns: number): boolean;
  /** It stops running, or is about to compete: true if it is throttled from here on. */
  throttles(entity: GroupEntity): boolean;
  /** Nobody runs or waits in it any more: it keeps little. */
  giveBack(entity: GroupEntity): void;
}

/** A group on one pCPU. */
export class GroupEntity implements Entity {
  readonly id: number;
  readonly group: ThreadGroup;
  /** Of the group above; null if that is the root. */
  readonly parent: GroupEntity | null;
  readonly queue: ClassQueue;
  /** Index of its pCPU. */
  readonly pcpu: number;
  state: GroupEntityState;

  constructor(group: ThreadGroup, parent: GroupEntity | null, queue: ClassQueue, pcpu: number) {
    this.id = idOfGroup(group.index);
    this.group = group;
    this.parent = parent;
    this.queue = queue;
    this.pcpu = pcpu;
    this.state = {
      ...newEntityState(),
      weight: group.shares,
      threadCount: 0,
      isThrottled: false,
      throttledSinceNs: 0,
      runtimeNs: 0,
    };
  }

  get weight(): number {
    return this.state.weight;
  }

  get isIdle(): boolean {
    return this.group.isIdle;
  }

  toVirtual(ns: number): number {
    return virtualRuntimeOf(ns, this.state.weight);
  }
}

/** Entities of groups have ids from -2 down. */
export function idOfGroup(index: number): number {
  return -2 - index;
}

export interface GroupConfig {
  readonly name: string;
  /** See {@link sharesOfWeight}. */
  readonly shares: number;
  /** The group that it is in; without one the root. */
  readonly parent?: ThreadGroup | undefined;
  /** cpu.idle: all of it is as SCHED_IDLE to its siblings, whatever its shares. */
  readonly isIdle?: boolean;
}

export class ThreadGroup {
  readonly index: number;
  readonly name: string;
  /** Weight among threads of weight 1024 and other groups, on all pCPUs together. */
  readonly shares: number;
  readonly parent: ThreadGroup | null;
  readonly isIdle: boolean;
  /** Levels above it, the root left out. */
  readonly depth: number;
  /** By pCPU. */
  readonly entities: GroupEntity[] = [];
  /** What limits its run time, or null; part of how it is wired, not of its state. */
  limit: RuntimeLimit | null = null;

  constructor(index: number, { name, shares, parent, isIdle }: GroupConfig) {
    this.index = index;
    this.name = name;
    this.isIdle = isIdle === true;
    this.shares = this.isIdle ? IDLE_WEIGHT : shares;
    this.parent = parent ?? null;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
  }

  /** The weight of the group where a part of its load is. */
  weightOf(load: number): number {
    let total = 0;
    for (const { queue } of this.entities) total += queue.line.load;
    if (total === 0) return this.shares;
    const part = Math.floor((this.shares * load) / total);
    return Math.min(Math.max(part, MIN_SHARES), this.shares);
  }
}

/**
 * The shares of a cgroup with a `cpu.weight`, 1 to 10000, 100 by default. Linux
 * sched_weight_from_cgroup.
 */
export function sharesOfWeight(weight: number): number {
  return Math.max(MIN_SHARES, Math.round((weight * 1024) / 100));
}
