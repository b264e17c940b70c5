// What compiled code leaves behind in the words at COMPILED_WORD, and says when it returns: the
// interface between regions and the engine that runs them.

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

const at = (word: number) => 4 * (COMPILED_WORD + word);

/** Offsets in bytes from the state. */
export const CompiledOffset = {
  /** The flag record; status flags that are given one by one are in GIVEN. */
  OPERATION: at(0),
  GIVEN: at(1),
  X: at(2),
  Y: at(4),
  RESULT: at(6),
  /** Cycles left and instructions done. */
  LEFT: at(8),
  /** Number of the stretch of code at the end of which the region was left. */
  STRETCH: at(10),
  /** The last that began another iteration of an instruction, and what LEFT was then. */
  REPEATED: at(11),
  REPEATED_LEFT: at(12),
  /** Numbers of stretches by the count of instructions at their end. */
  PATH: at(16),
  /** What the lower half of LEFT was there: a word without it is an old one. */
  PATH_LEFT: at(44),
  /** Cycles and instructions of delay loops that were not executed, packed as in LEFT. */
  SKIPPED: at(60),
  /** 1 if PAUSE is watched as follows, 0 if it is the interpreter's. */
  PAUSES: at(32),
  /** As f64, in cycles: the clock when none are left, and a `PauseWatch`. */
  END: at(34),
  FIRST: at(36),
  LAST: at(38),
  GAP: at(40),
  WINDOW: at(42),
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
