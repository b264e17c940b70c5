// Donated time: what a thread gives away by yielding. It is how long a thread that yields is
// runnable without running until it runs again, but no longer than the rest of its slice at the
// yield: behind that another one would have had the pCPU anyway.

import type { Thread } from './thread.ts';

/** Plain data, saved with its thread, once that has yielded. Times in cycles. */
export interface Donation {
  /** Donated in all, but for what is under way. */
  cycles: number;
  /** While it waits behind a yield: what was left of its slice; else 0. */
  rest: number;
}

/** A running thread yields with so much of its slice left, in cycles. */
export function beginDonation({ state }: Thread, rest: number): void {
  state.donation = { cycles: state.donation?.cycles ?? 0, rest };
}

/** A thread runs (again), having waited for so many cycles. */
export function endDonation({ state }: Thread, waited: number): void {
  const { donation } = state;
  if (donation === undefined) return;
  donation.cycles += Math.min(waited, donation.rest);
  donation.rest = 0;
}

/** What a thread has donated up to a time in cycles. */
export function donatedUpTo(now: number, { state }: Thread): number {
  const { donation, status, sinceCycles } = state;
  if (donation === undefined) return 0;
  if (status !== 'runnable') return donation.cycles;
  return donation.cycles + Math.min(Math.max(0, now - sinceCycles), donation.rest);
}
