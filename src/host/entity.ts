// What the fair class orders: a thread, or a group of threads on one pCPU. Linux struct
// sched_entity.

import { asDouble } from '../sim/index.ts';

/** Plain data, saved and hashed as it is. Times in ns. */
export interface EntityState {
  vruntime: number;
  sumExecNs: number;
  /** `sumExecNs` when it was last picked. */
  prevSumExecNs: number;
  /** Run-queue clock up to which it has been charged. */
  execStartNs: number;
  /** EEVDF: virtual time by which it should have had its slice. */
  deadline: number;
  /** EEVDF: how far it was behind the average when it left the queue, in virtual time. */
  lag: number;
}

export function newEntityState(): EntityState {
  return {
    vruntime: asDouble(0),
    sumExecNs: asDouble(0),
    prevSumExecNs: asDouble(0),
    execStartNs: asDouble(0),
    deadline: asDouble(0),
    lag: asDouble(0),
  };
}

export interface Entity {
  /** Threads from 0 on; groups from -2 down. */
  readonly id: number;
  readonly weight: number;
  /** Of SCHED_IDLE, or a group with cpu.idle: others of its level come first. Linux se_is_idle. */
  readonly isIdle: boolean;
  readonly state: EntityState;
  /** Virtual run time of `ns` nanoseconds. Linux calc_delta_fair. */
  toVirtual(ns: number): number;
}
