// A relay: several runners that take turns in a fixed order, piece of time by piece, and are let
// run by somebody who does nothing else between two turns. Times are in cycles.

/** What those who let run are told. */
export interface RelayCourse {
  /** Where the relay begins: whole cycles, from which the others are counted. */
  readonly base: number;
  /** Place of the runner whose turn is the first, and how many turns there are in that piece. */
  readonly next: number;
  readonly turns: number;
  /** The end of that piece, cycles of each further one, and the end of the last. */
  readonly end: number;
  readonly lookahead: number;
  readonly lastEnd: number;
  /** The number that comes first in the order of that piece, and how many numbers there are. */
  readonly firstNumber: number;
  readonly numbers: number;
}

/** How a relay ended. */
export interface RelayFinish {
  /** A runner needs something else. */
  isStopped: boolean;
  /** The end of the piece in which that was. */
  end: number;
  /** Place of that runner, and of the one who had a turn last in that piece, or -1. */
  stopped: number;
  last: number;
  /** Turns that were begun. */
  turns: number;
}

export interface Relay {
  /** @param count of the runners that have joined */
  run(count: number, course: RelayCourse): RelayFinish;
}
