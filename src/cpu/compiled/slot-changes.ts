// Which registers a block or a way out gives new values.

import { isLocal } from './locals.ts';
import type { Node } from './nodes.ts';

/** New values of the registers that change, by number. */
export function changes(registers: readonly Node[]): [number, Node][] {
  const changed: [number, Node][] = [];
  // Every way out asks: no closure and no array for each register.
  for (let number = 0; number < registers.length; number++) {
    const value = registers[number];
    if (!isLocal(value, number)) changed.push([number, value]);
  }
  return changed;
}
