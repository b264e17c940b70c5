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
export const LOCALS = locals(64);

/** The same outside 64-bit mode, where the upper halves of registers are 0. */
export const NARROW_LOCALS = locals(32);

/** @param registerBits of the general registers that may be 1 */
function locals(registerBits: 32 | 64): readonly Node[] {
  return Array.from({ length: SLOT_COUNT }, (_, slot) => {
    const isWord = slotType(slot) === Type.I32;
    return localOf(slot, isWord ? 32 : slot < Slot.OPERATION ? registerBits : 64);
  });
}

/** Whether a value is what a slot holds at the start of a block. */
export function isLocal(x: Node, slot: number): boolean {
  return x.op === Pseudo.LOCAL && x.local === slot;
}
