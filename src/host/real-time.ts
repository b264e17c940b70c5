// Threads of one pCPU that run before all others: SCHED_FIFO with one priority. In order of
// arrival, without slices, and nobody else runs meanwhile. Linux kernel/sched/rt.c.

import type { Thread } from './thread.ts';

/** Plain data, saved and hashed as it is. */
export interface RealTimeQueueState {
  /** Ids of threads that wait, in order. */
  waiting: number[];
  /** Id of the one that runs, or -1. */
  current: number;
}

export class RealTimeQueue {
  state: RealTimeQueueState = { waiting: [], current: -1 };

  /** Threads that run or wait. */
  get count(): number {
    return this.state.waiting.length + (this.state.current < 0 ? 0 : 1);
  }

  get isRunning(): boolean {
    return this.state.current >= 0;
  }

  enqueue({ id }: Thread): void {
    this.state.waiting.push(id);
  }

  /** The running thread stops running; one that was interrupted is the first again. */
  putPrevious(runnable: boolean): void {
    const { current, waiting } = this.state;
    if (runnable) waiting.unshift(current);
    this.state.current = -1;
  }

  /** Take the first that waits, and make it current: its id, or null. */
  pickNext(): number | null {
    const first = this.state.waiting.shift();
    if (first === undefined) return null;
    this.state.current = first;
    return first;
  }
}
