// What an exploration looks for in each state: endings that should not be, two vCPUs in a section
// of code at once, output that is not what it should be.

import type Long from 'long';
import { decodeUtf8 } from '../sim/index.ts';
import type { World } from './world.ts';

export type ViolationKind = 'ending' | 'deadlock' | 'livelock' | 'exclusion' | 'output';

export interface Violation {
  readonly kind: ViolationKind;
  /** A sentence without a full stop. */
  readonly message: string;
}

/** Code that at most one vCPU may be in: unsigned linear addresses, the end not included. */
export interface Section {
  readonly name: string;
  readonly start: Long;
  readonly end: Long;
}

export interface Expectations {
  readonly exclusive: readonly Section[];
  /** What the guest has printed in the end; null for anything. */
  readonly output: string | null;
}

/** In a state on the way: two vCPUs in an exclusive section. */
export function violationOnTheWay(world: World, { exclusive }: Expectations): Violation | null {
  for (const { name, start, end } of exclusive) {
    const inside = world.vcpus.filter((vcpu) => isWithin(vcpu.linearRip, { start, end }));
    if (inside.length < 2) continue;
    const who = inside.map(({ index }) => `vCPU ${index}`).join(' and ');
    return { kind: 'exclusion', message: `${who} are in ${name} at the same time` };
  }
  return null;
}

/** In a state in which nothing can happen any more. */
export function violationAtTheEnd(world: World, { output }: Expectations): Violation | null {
  const { ending } = world;
  if (ending === null) {
    return { kind: 'deadlock', message: 'nothing can happen any more, but no vCPU has ended' };
  }
  if (ending.status === 'deadlock') return { kind: 'deadlock', message: ending.message };
  // The guest says by 0 that all is well.
  const isGood =
    ending.status === 'halted' || (ending.status === 'exited' && ending.exitCode === 1);
  if (!isGood) return { kind: 'ending', message: ending.message };
  const printed = outputOf(world);
  if (output !== null && printed.trimEnd() !== output.trimEnd()) {
    const message = `the guest printed ${JSON.stringify(printed)}, not ${JSON.stringify(output)}`;
    return { kind: 'output', message };
  }
  return null;
}

/** What the guest has printed on its debug console. */
export function outputOf({ machine }: World): string {
  return decodeUtf8(Uint8Array.from(machine.devices[0].state.console.output));
}

export function isWithin(address: Long, { start, end }: Pick<Section, 'start' | 'end'>): boolean {
  const unsigned = address.toUnsigned();
  return unsigned.gte(start) && unsigned.lt(end);
}
