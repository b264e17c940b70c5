// The PAUSE-loop detector. SDM 3, "PAUSE-Loop Exiting": a PAUSE at CPL 0 that follows another
// within PLE_Gap belongs to the same loop; a loop that has lasted longer than PLE_Window exits.
// Both comparisons are strict. Times are in ticks of the physical TSC's rate, no offset or
// multiplier.

import { asDouble } from '../sim/index.ts';

export interface PauseLoopState {
  /** Time of the PAUSE that began the loop. */
  first: number;
  /** Time of the latest PAUSE, or -1 if there was none since VM entry. */
  last: number;
}

/** A class of its own, for V8 keeps what it knows of a field for all literals with its name. */
export class PauseTimes implements PauseLoopState {
  first = asDouble(0);
  last = asDouble(-1);
}

export class PauseLoopDetector {
  readonly state = new PauseTimes();

  /** A VM entry: what was before does not count. */
  enter(): void {
    this.state.last = -1;
  }

  /**
   * A PAUSE at CPL 0, at time `now`. True if it exits; the state then stays as it is, for the next
   * entry starts afresh.
   * @param gap PLE_Gap, 0 to 2^32 - 1
   * @param window PLE_Window, 0 to 2^32 - 1
   */
  pause(now: number, gap: number, window: number): boolean {
    const { state } = this;
    if (state.last < 0 || now - state.last > gap) state.first = now;
    else if (now - state.first > window) return true;
    state.last = now;
    return false;
  }
}
