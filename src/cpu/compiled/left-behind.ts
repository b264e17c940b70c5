// What compiled code leaves behind in the words at COMPILED_WORD, and says when it returns: the
// interface between regions and the engine that runs them.

import { COMPILED_WORD } from '../state.ts';
import { Slot } from './locals.ts';

/** Why a region was left. */
export const Left = {
  /** RIP is at code that is not part of it. */
  CHAIN: 0,
  /** The next block does not fit into the cycles left. */
  BUDGET: 1,
  /**
   * The next instruction is one for the interpreter. With it comes, from bit {@link PARTIAL_SHIFT}
   * on, how many instructions of the block were completed.
   */
  INTERPRET: 2,
} as const;

export const PARTIAL_SHIFT = 2;

/** A path goes back at least so many instructions, or to where the region was entered. */
export const LOGGED_INSTRUCTIONS = 9;

/** Bits by which a path, the numbers of the blocks that were entered last, grows with each. */
export const PATH_BITS = 6;
export const PATH_MASK = (1n << BigInt(PATH_BITS)) - 1n;

/** Offsets in bytes from the state. */
export const CompiledOffset = {
  OPERATION: 4 * COMPILED_WORD,
  GIVEN: 4 * COMPILED_WORD + 4,
  X: 4 * COMPILED_WORD + 8,
  Y: 4 * COMPILED_WORD + 16,
  RESULT: 4 * COMPILED_WORD + 24,
  LEFT: 4 * COMPILED_WORD + 32,
  INSTRUCTIONS: 4 * COMPILED_WORD + 36,
  PATH: 4 * COMPILED_WORD + 40,
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
