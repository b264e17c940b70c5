// A control group of threads: it has one entity on each pCPU, which competes there with threads and
// other groups, and a queue below it. Linux struct task_group; fair.c, calc_group_shares.
//
// Deviation: the kernel weighs pCPUs by load averages (PELT), which follow the load with a half
// life of 32 ms; here it is the load itself, so that the parts always add up to the whole.

import { type Entity, type EntityState, newEntityState } from './entity.ts';
import type { ClassQueue } from './entity-queue.ts';
import { virtualRuntimeOf } from './weights.ts';

/** An entity's weight is at least so much. */
const MIN_SHARES = 2;

/** Plain data, saved and hashed as it is. */
export interface GroupEntityState extends EntityState {
  weight: number;
}

/** A group on one pCPU. */
export class GroupEntity implements Entity {
  readonly id: number;
  readonly group: ThreadGroup;
  readonly queue: ClassQueue;
  state: GroupEntityState;

  constructor(group: ThreadGroup, queue: ClassQueue) {
    this.id = idOfGroup(group.index);
    this.group = group;
    this.queue = queue;
    this.state = { ...newEntityState(), weight: group.shares };
  }

  get weight(): number {
    return this.state.weight;
  }

  toVirtual(ns: number): number {
    return virtualRuntimeOf(ns, this.state.weight);
  }
}

/** Entities of groups have ids from -2 down. */
export function idOfGroup(index: number): number {
  return -2 - index;
}

export class ThreadGroup {
  readonly index: number;
  readonly name: string;
  /** Weight among threads of weight 1024 and other groups, on all pCPUs together. */
  readonly shares: number;
  /** By pCPU. */
  readonly entities: GroupEntity[] = [];

  constructor(index: number, name: string, shares: number) {
    this.index = index;
    this.name = name;
    this.shares = shares;
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
