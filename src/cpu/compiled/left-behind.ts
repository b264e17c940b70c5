// What compiled code leaves behind in the words at COMPILED_WORD and in its trail, and says when it
// returns: the interface between regions and the engine that runs them.

import { COMPILED_WORD } from '../state.ts';
import { Slot } from './locals.ts';

/** Why a region was left. */
export const Left = {
  /** RIP is at code that is not part of it. */
  CHAIN: 0,
  /** What comes next does not fit into the cycles left. */
  BUDGET: 1,
  /** The next instruction is one for the interpreter. */
  INTERPRET: 2,
} as const;

/** In place of these: the region is no more, and nothing was done. */
export const GONE = 3;

/**
 * Cycles left and instructions done, in one i64: these from bit 2, so that they index words, those
 * above. A region is entered for so few cycles that no more instructions are done.
 */
export const COUNT_SHIFT = 2;
export const CYCLES_SHIFT = 22;
export const MOST_CYCLES = 2 ** 19;

/** A path goes back at least so many instructions, or to where the region was entered. */
export const LOGGED_INSTRUCTIONS = 9;

/** Words of a path, which is found back from its end: more than are logged. */
export const PATH_WORDS = 16;

/** What cycles and instructions are packed into: its cycles. */
export function cyclesIn(low: number, high: number): number {
  return (high << (32 - CYCLES_SHIFT)) | (low >>> CYCLES_SHIFT);
}

/** And its instructions. */
export function countIn(low: number): number {
  return (low & COUNT_MASK) >>> COUNT_SHIFT;
}

export const COUNT_MASK = (1 << CYCLES_SHIFT) - 1;

/**
 * What a run leaves behind of itself: offsets in bytes from where the region is told to put it,
 * its trail. It is read as words.
 */
export const TrailOffset = {
  /** Cycles left and instructions done, as i64. */
  LEFT: 0,
  /** Number of the stretch of code at the end of which the region was left. */
  STRETCH: 8,
  /** The last that began another iteration of an instruction, or -1; and what LEFT was then. */
  REPEATED: 12,
  REPEATED_LEFT: 16,
  /** Cycles and instructions of delay loops that were not executed, packed as in LEFT. */
  SKIPPED: 24,
  /** The same of loops that wait. */
  WAITED: 32,
  /** Numbers of stretches by the count of instructions at their end. */
  PATH: 40,
  /** What the lower half of LEFT was there: a word without it is an old one. */
  PATH_LEFT: 40 + 4 * PATH_WORDS,
} as const;

export const TRAIL_BYTES = TrailOffset.PATH_LEFT + 4 * PATH_WORDS;

const at = (word: number) => 4 * (COMPILED_WORD + word);

/** Offsets in bytes from the state. */
export const CompiledOffset = {
  /** The flag record; status flags that are given one by one are in GIVEN. */
  OPERATION: at(0),
  GIVEN: at(1),
  X: at(2),
  Y: at(4),
  RESULT: at(6),
  /** The trail of a run by itself. */
  TRAIL: at(8),
  /** 1 if PAUSE is watched as follows, 0 if it is the interpreter's. */
  PAUSES: at(50),
  /** As f64, in cycles: the clock when none are left, and a `PauseWatch`. */
  END: at(52),
  FIRST: at(54),
  LAST: at(56),
  GAP: at(58),
  WINDOW: at(60),
} as const;

const SLOT_OFFSETS: ReadonlyMap<number, number> = new Map([
  [Slot.OPERATION, CompiledOffset.OPERATION],
  [Slot.GIVEN, CompiledOffset.GIVEN],
  [Slot.X, CompiledOffset.X],
  [Slot.Y, CompiledOffset.Y],
  [Slot.RESULT, CompiledOffset.RESULT],
]);

export function slotOffset(slot: number): number {
  return SLOT_OFFSETS.get(slot) ?? 8 * slot;
}
