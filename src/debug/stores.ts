// Who stored what to some memory, when: the last stores before here, found by going through the
// past once more. What they did to a lock's word is lock-kinds.ts's.

import type Long from 'long';
import type { History } from './history.ts';
import { pausePointAt } from './position.ts';
import type { Watcher } from './watcher.ts';

export interface Store {
  /** Index of the vCPU, or null if the host has written. */
  readonly vcpu: number | null;
  /** The instruction. */
  readonly rip: Long | null;
  /** Cycles, where the instruction began. */
  readonly time: number;
  /** All watched bytes before and behind it, little-endian. */
  readonly old: bigint;
  readonly new: bigint;
}

/** How far to look back first, in cycles, and how much farther each time. */
const FIRST_WINDOW = 16_384;
const WINDOW_FACTOR = 8;

export interface Stores {
  /** Oldest first. */
  readonly stores: readonly Store[];
  /** There are none before them on this branch of history. */
  readonly isAll: boolean;
}

/** The last stores that memory breakpoints see up to here. */
export function* storesBefore(
  history: History,
  watcher: Watcher,
  most: number,
): Generator<void, Stores> {
  const here = history.position;
  const { from } = history.branch;
  const found: Store[] = [];
  let isAll = false;
  for (let window = FIRST_WINDOW; !isAll && found.length < most; window *= WINDOW_FACTOR) {
    const time = Math.max(here.time - window, from.time);
    isAll = time === from.time;
    watcher.end();
    yield* history.goToTime(time, here);
    found.length = 0;
    const passOver = Number.MAX_SAFE_INTEGER;
    watcher.begin({ wanted: null, isCounting: false, isArmed: true, passOver });
    watcher.onStore = (store) => found.push(store);
    try {
      while (history.position.event < here.event) {
        if (history.advance(pausePointAt(here)) === 'ended') break;
        yield;
      }
    } finally {
      watcher.onStore = null;
      watcher.end();
    }
  }
  return { stores: found.slice(-most), isAll: isAll && found.length <= most };
}
