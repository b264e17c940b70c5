// Exits that are due at the next instruction boundary because of something that has happened, not
// of what comes next: TPR below threshold, INIT and start-up IPIs, the monitor trap flag. SDM 3,
// "Priority Among Concurrent Events", "Other Causes of VM Exits", "Activity State".

import { Activity } from '../cpu/index.ts';
import { Exit } from './exit-reasons.ts';

/** Bits of what is due. */
export const Due = { TPR: 1 << 0, INIT: 1 << 1, SIPI: 1 << 2, MONITOR_TRAP: 1 << 3 } as const;

const NOWHERE = 1 + Math.max(...Object.values(Activity));

/** In the order of their priority; each is held back in activity states from some number on. */
const ORDER: readonly { readonly bit: number; readonly reason: number; readonly held: number }[] = [
  { bit: Due.TPR, reason: Exit.TPR_BELOW_THRESHOLD, held: Activity.SHUTDOWN },
  { bit: Due.INIT, reason: Exit.INIT_SIGNAL, held: Activity.WAIT_FOR_SIPI },
  { bit: Due.SIPI, reason: Exit.SIPI_SIGNAL, held: NOWHERE },
  { bit: Due.MONITOR_TRAP, reason: Exit.MONITOR_TRAP_FLAG, held: Activity.SHUTDOWN },
];

/** The reason of the exit that comes first in an activity state, or null if none may come yet. */
export function dueExit(due: number, activity: number): number | null {
  const first = ORDER.find(({ bit, held }) => (due & bit) !== 0 && activity < held);
  return first?.reason ?? null;
}

/** What is still due after an exit: INIT, unless it was the reason. */
export function dueAfter(due: number, reason: number): number {
  return reason === Exit.INIT_SIGNAL ? 0 : due & Due.INIT;
}
