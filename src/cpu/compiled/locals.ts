// What a region keeps in locals: the general registers, and what the status flags follow from
// beside these. Every block finds it there, and leaves it there.

import { Type } from './module.ts';
import { Node, Pseudo } from './nodes.ts';

/**
 * Numbers of the parts of a flag record, behind the general registers: those that cannot be had
 * from registers. And which of several records it is, see flag-flow.ts.
 */
export const Slot = { OPERATION: 16, GIVEN: 17, X: 18, Y: 19, RESULT: 20, WHICH: 21 } as const;

const SLOT_COUNT = 22;

const WORDS: readonly number[] = [Slot.OPERATION, Slot.GIVEN, Slot.WHICH];

/** Types of the slots: some are words. */
export function slotType(slot: number) {
  return WORDS.includes(slot) ? Type.I32 : Type.I64;
}

/** What a slot holds, of which so many bits may be 1. */
export function localOf(slot: number, bits: number): Node {
  const local = new Node(Pseudo.LOCAL, slotType(slot), [], bits);
  local.local = slot;
  return local;
}

/** What the slots hold at the start of a block. */
export const LOCALS: readonly Node[] = Array.from({ length: SLOT_COUNT }, (_, slot) =>
  localOf(slot, slotType(slot) === Type.I32 ? 32 : 64),
);
