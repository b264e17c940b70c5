// What a region keeps in locals: the general registers, and the record that the status flags follow
// from. Every block finds it there, and leaves it there.

import { Type } from './module.ts';
import { Node, Pseudo } from './nodes.ts';

/** Numbers of the parts of the flag record, behind the general registers. */
export const Slot = { OPERATION: 16, GIVEN: 17, X: 18, Y: 19, RESULT: 20 } as const;

export const SLOT_COUNT = 21;

/** Types of the slots: two of the record are words. */
export function slotType(slot: number) {
  return slot === Slot.OPERATION || slot === Slot.GIVEN ? Type.I32 : Type.I64;
}

/** What the slots hold at the start of a block. */
export const LOCALS = locals(64);

/** The same outside 64-bit mode, where the upper halves of registers are 0. */
export const NARROW_LOCALS = locals(32);

/** @param registerBits of the general registers that may be 1 */
function locals(registerBits: 32 | 64): readonly Node[] {
  return Array.from({ length: SLOT_COUNT }, (_, slot) => {
    const type = slotType(slot);
    const isRegister = slot < Slot.OPERATION;
    const bits = type === Type.I32 ? 32 : isRegister ? registerBits : 64;
    const local = new Node(Pseudo.LOCAL, type, [], bits);
    local.local = slot;
    return local;
  });
}

/** Whether a value is what a slot holds at the start of a block. */
export function isLocal(x: Node, slot: number): boolean {
  return x.op === Pseudo.LOCAL && x.local === slot;
}
