// Places in a run. Every boundary at which a machine can pause has one, the same in every run of a
// scenario, and they are ordered by one number.

import type { PausePoint } from '../host/index.ts';
import type { Machine } from '../machine/index.ts';

/**
 * The boundary at which the clock of one pCPU first reached a time, in that pCPU's turn. Plain
 * data: it can be kept, sent and compared.
 */
export interface Position {
  /**
   * Orders positions: the clocks of all pCPUs together, in cycles. It grows with every step of any
   * of them.
   */
  readonly event: number;
  /** Virtual time on the pCPU, in cycles. */
  readonly time: number;
  /** Index of the pCPU, or -1 where nothing has been executed yet. */
  readonly pcpu: number;
  /**
   * The clock of the pCPU was there before, and others have moved since: the position is the one
   * to which the last of them came. For a while only; nobody outside of the room sees it.
   */
  readonly isUnmoved?: true;
  /** The run has ended there, which may be at no boundary at all. */
  readonly isEnd?: true;
}

/** Where to pause on the way to a position; null where the run ends by itself. */
export function pausePointAt({ pcpu, time, isEnd }: Position): PausePoint | null {
  return isEnd ? null : { pcpu, time };
}

/** The number that orders positions, of the state that a machine is in. */
export function eventOf(machine: Machine): number {
  return machine.host.pcpus.reduce((sum, { state }) => sum + state.now, 0);
}
