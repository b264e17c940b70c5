// Somebody who decides the order of everything, in the place of time: who replays a schedule.

import type { Pcpu } from './pcpu.ts';

export interface Order {
  /** Where the next thing happens; null if there is nothing left. */
  readonly next: Pcpu | null;
  /** Do it, by {@link Host.giveTurn} or {@link Host.happen}. It counts only if something happens. */
  take(): void;
  /** Plain data, part of snapshots. */
  state: unknown;
  /** Why there is nothing left, as a sentence without a full stop. */
  readonly end: string;
}
