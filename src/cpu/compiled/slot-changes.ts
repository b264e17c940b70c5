// Which slots of a region a state gives new values.

import type { Exit } from './effects.ts';
import { isLocal } from './locals.ts';
import type { Node } from './nodes.ts';

/** New values of the slots, where they change. */
export function changes({ registers, flags }: Pick<Exit, 'registers' | 'flags'>): [number, Node][] {
  const { op, c, x, y, r } = flags.packed();
  const all = [...registers, op, c, x, y, r];
  return all.flatMap((value, slot): [number, Node][] =>
    value === null || isLocal(value, slot) ? [] : [[slot, value]],
  );
}
