// A thread of the emulated host: what the scheduler knows of it. What it does is its body.

import { asDouble, type Relay } from '../sim/index.ts';
import type { Coschedule } from './coschedule.ts';
import type { Donation } from './donation.ts';
import { type Entity, type EntityState, newEntityState } from './entity.ts';
import type { Policy } from './parameters.ts';
import type { Pcpu } from './pcpu.ts';
import type { ThreadGroup } from './thread-group.ts';
import { virtualRuntime, virtualRuntimeOf } from './weights.ts';

export type ThreadStatus = 'running' | 'runnable' | 'blocked' | 'exited';

/** Why a body handed the pCPU back. */
export type BodyOutcome =
  /** The limit is reached. */
  | 'limit'
  /** Until `pcpu.quietUntil` nothing that it does can be seen. Only said if `pcpu.maySkip`. */
  | 'quiet'
  /** A point at which the scheduler may run, and a reschedule was asked for. */
  | 'resched'
  /** The same where the kernel was in the middle of something; switches show R+. */
  | 'preempt'
  /** The thread gives up the pCPU but stays runnable (yield_to, sched_yield). */
  | 'yield'
  /** The thread sleeps until it is woken. */
  | 'block'
  /** The thread is done. */
  | 'exit';

/** What a thread does. Time passes only by `pcpu.advanceTo` and `pcpu.spend`. */
export interface ThreadBody {
  /** Go on until the pCPU's clock has reached `pcpu.limit`, or something else is to be done. */
  run(pcpu: Pcpu): BodyOutcome;
  /**
   * An interrupt reached the pCPU while this thread runs. True if the body will see to it that
   * `pcpu.handleInterrupts` is called (it has to leave a guest first); false to have it called now.
   */
  interrupted(pcpu: Pcpu): boolean;
  /** Bring `pcpu.boundary` up to date, if it is not; asked while the thread runs. */
  look?(pcpu: Pcpu): void;
  /** It was paused where no turn ends, and goes on at once. */
  readonly isMidway?: boolean;
  /** The turn that is under way ends earlier: here, in cycles. */
  hurry?(limit: number): void;
  /** Who lets this thread and others like it take their turns in relays, or null. */
  readonly relay?: Relay | null;
  /**
   * Take part in one, at a place in its list; false if it cannot.
   * @param base where the relay begins, in cycles
   */
  joinRelay?(pcpu: Pcpu, base: number, place: number): boolean;
  /** Take over what was done in it; whether the thread has to go on with its turn by itself. */
  leaveRelay?(pcpu: Pcpu, base: number, isStopped: boolean): void;
  /** While it runs its pCPU does nothing else at all: no thread that waits there is moved away. */
  readonly isStopping?: boolean;
  /** The thread was switched in. Linux preempt notifiers, sched_in. */
  schedIn(pcpu: Pcpu): void;
  /** The thread is about to be switched out; `runnable` if it did not block. */
  schedOut(pcpu: Pcpu, runnable: boolean): void;
}

/** Cycles that a thread has spent in each way; they add up to its life. */
export interface ThreadTimes {
  /** Executing guest code. */
  guest: number;
  /** Executing anything else: user space, kernel, interrupts that came while it ran. */
  host: number;
  /** Runnable, waiting for a pCPU. */
  waiting: number;
  blocked: number;
}

/**
 * A class, not a literal: literals of one shape share what V8 knows of their fields, and where one
 * of them has texts, each number written to another becomes an object; that is several a VM exit.
 */
class NewTimes implements ThreadTimes {
  guest = asDouble(0);
  host = asDouble(0);
  waiting = asDouble(0);
  blocked = asDouble(0);
}

/** Plain data: saved, restored and hashed as it is. Times in ns, but where they say cycles. */
export interface ThreadState extends EntityState {
  status: ThreadStatus;
  /** pCPU it runs on, is queued at, or ran on last. */
  pcpu: number;
  /** Since when, in cycles, it has the status it has. */
  sinceCycles: number;
  /** Cumulative ns of being runnable without running; steal time is derived from it. */
  runDelayNs: number;
  readonly times: ThreadTimes;
  /** pCPUs it may run on, ascending, if they have been changed since it was created. */
  affinity?: readonly number[];
  /** What it has given away by yielding; left out until it yields. */
  donation?: Donation;
}

export interface ThreadConfig {
  readonly name: string;
  readonly nice: number;
  /** `normal` by default. */
  readonly policy?: Policy;
  /** pCPUs it may run on, ascending; at least one. */
  readonly affinity: readonly number[];
  readonly body: ThreadBody;
  /** The control group that it belongs to, if any. */
  readonly group?: ThreadGroup | undefined;
  /** SCHED_FIFO: it runs before every thread of the fair class; to be pinned, in no group. */
  readonly isRealTime?: boolean;
}

export class Thread implements Entity {
  readonly id: number;
  /** Process id as traces show it. */
  readonly pid: number;
  readonly name: string;
  readonly nice: number;
  readonly policy: Policy;
  readonly isIdle: boolean;
  readonly weight: number;
  private readonly ownAffinity: readonly number[];
  readonly body: ThreadBody;
  readonly group: ThreadGroup | null;
  readonly isRealTime: boolean;
  /** The set that it is scheduled with, or null; part of how it is wired, not of its state. */
  coschedule: Coschedule | null = null;
  state: ThreadState;

  constructor(id: number, pid: number, weight: number, config: ThreadConfig) {
    this.id = id;
    this.pid = pid;
    this.name = config.name;
    this.nice = config.nice;
    this.policy = config.policy ?? 'normal';
    this.isIdle = this.policy === 'idle';
    this.weight = weight;
    this.ownAffinity = config.affinity;
    this.body = config.body;
    this.group = config.group ?? null;
    this.isRealTime = config.isRealTime === true;
    this.state = {
      status: 'blocked',
      pcpu: config.affinity[0],
      ...newEntityState(),
      sinceCycles: asDouble(0),
      runDelayNs: asDouble(0),
      times: new NewTimes(),
    };
  }

  /** pCPUs it may run on, ascending. */
  get affinity(): readonly number[] {
    return this.state.affinity ?? this.ownAffinity;
  }

  /** It has been started: from then on its state has a beginning. */
  get hasBegun(): boolean {
    return this.state.status !== 'blocked' || this.state.sinceCycles > 0;
  }

  toVirtual(ns: number): number {
    return this.isIdle ? virtualRuntimeOf(ns, this.weight) : virtualRuntime(ns, this.nice);
  }

  /** It is runnable, and in no queue: co-scheduling has stopped it. */
  get isCoStopped(): boolean {
    return this.coschedule?.hasStopped(this) === true;
  }

  /** What traces say of it. */
  get traced(): { comm: string; pid: number; prio: number } {
    // Real-time priorities are below those of nice levels; ours is the best, 99 of SCHED_FIFO.
    return { comm: this.name, pid: this.pid, prio: this.isRealTime ? 0 : 120 + this.nice };
  }
}
