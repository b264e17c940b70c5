// Which registers a block or a way out gives new values.

import { isLocal } from './locals.ts';
import type { Node } from './nodes.ts';

/** New values of the registers that change, by number. */
export function changes(registers: readonly Node[]): [number, Node][] {
  return registers.flatMap((value, number): [number, Node][] =>
    isLocal(value, number) ? [] : [[number, value]],
  );
}
