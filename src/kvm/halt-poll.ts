// How long a halted vCPU waits on its pCPU before it sleeps: the window follows how long the last
// waits took. Linux virt/kvm/kvm_main.c, kvm_vcpu_halt, grow_halt_poll_ns, shrink_halt_poll_ns.

import type { KvmParameters } from './parameters.ts';

/** A wait that is over, of one vCPU. Times in ns. */
export interface Halt {
  /** The window that held for it. */
  readonly windowNs: number;
  /** From the halt to its end, sleep included. */
  readonly haltNs: number;
}

/** The window in ns for the next halt, or null if there is no reason to change it. */
export type HaltPollFunction = (halt: Halt, parameters: KvmParameters) => number | null;

/** Grow after waits that were longer than the window, but within the ceiling; shrink beyond it. */
export const adaptedWindow: HaltPollFunction = ({ windowNs, haltNs }, parameters) => {
  const max = parameters.haltPollNs;
  if (haltNs <= windowNs) return null;
  if (windowNs > 0 && haltNs > max) return shrunkPoll(windowNs, parameters);
  if (windowNs < max && haltNs < max) return grownPoll(windowNs, parameters);
  return null;
};

/** A longer window; the ceiling is applied at the next halt. */
export function grownPoll(windowNs: number, parameters: KvmParameters): number {
  const { haltPollNsGrow, haltPollNsGrowStart } = parameters;
  if (haltPollNsGrow === 0) return windowNs;
  return Math.max(windowNs * haltPollNsGrow, haltPollNsGrowStart);
}

/** A shorter window, or none. */
export function shrunkPoll(windowNs: number, parameters: KvmParameters): number {
  const { haltPollNsShrink, haltPollNsGrowStart } = parameters;
  if (haltPollNsShrink === 0) return 0;
  const shrunk = Math.floor(windowNs / haltPollNsShrink);
  return shrunk < haltPollNsGrowStart ? 0 : shrunk;
}
