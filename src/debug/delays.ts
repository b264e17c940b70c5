// Where the time of each vCPU went between two places: guest code, exits, run queue, sleep, and
// guest time that is lost to who has the lock. As the accounts of experiments, of a part of a run.

import { Accountant, type Machine, USE_NAMES, type Use } from '../machine/index.ts';
import type { History } from './history.ts';
import { type Position, pausePointAt } from './position.ts';

/** Looks at who waits for what, at least, and cycles between two of them, at least. */
const LOOKS = 4096;
const LEAST_STEP = 200;

export interface VcpuDelays {
  /** Name of its thread. */
  readonly name: string;
  /** Cycles between the two places; its uses add up to that. */
  readonly elapsed: number;
  readonly uses: Readonly<Record<Use, number>>;
}

export interface Delays {
  readonly from: Position;
  readonly to: Position;
  /** In the order of the session. */
  readonly vcpus: readonly VcpuDelays[];
  /** Whether the programs tell of their locks; else guest time is not divided. */
  readonly knowsLocks: boolean;
}

/** Goes to the second place by way of the first. */
export function* delaysBetween(
  machine: Machine,
  history: History,
  from: Position,
  to: Position,
): Generator<void, Delays> {
  yield* history.goTo(from);
  const step = Math.max(LEAST_STEP, Math.ceil((to.time - from.time) / LOOKS));
  const accountant = new Accountant(machine);
  const before = accountant.account(step).threads;
  for (let until = from.time + step; history.position.event < to.event; until += step) {
    const stop = history.advance(pausePointAt(to), until);
    accountant.look();
    if (stop === 'ended') break;
    yield;
  }
  const after = accountant.account(step).threads;
  const vcpus = machine.vcpus.map(({ thread: { name } }, i): VcpuDelays => {
    const uses = Object.fromEntries(
      USE_NAMES.map((use) => [use, after[i].uses[use] - before[i].uses[use]]),
    ) as Record<Use, number>;
    return { name, elapsed: after[i].elapsed - before[i].elapsed, uses };
  });
  return { from, to, vcpus, knowsLocks: accountant.knowsLocks };
}
