// Saved states along one branch of history, in order. Pages of memory that did not change are
// shared between them; when they take more than they may, the closest ones are thinned out, the
// older the sooner.

import type { MachineSnapshot } from '../machine/index.ts';
import type { JournalMark } from './journal.ts';

export interface SavedState {
  readonly event: number;
  /** Cycles that no pCPU is past. */
  readonly time: number;
  readonly machine: MachineSnapshot;
  /** What had happened before it. */
  readonly mark: JournalMark;
  /** Guest instructions before it. */
  readonly instructions: number;
  /** Never thinned out: where a branch begins. */
  readonly isPinned: boolean;
  /** What it takes beside pages: run queues, threads, vCPUs. */
  readonly otherBytes: number;
}

/** With what there is around it. */
const PAGE_BYTES = 4096 + 256;

export class Snapshots {
  /** In order of event. */
  private readonly states: SavedState[] = [];
  /** How many states have each page. */
  private readonly uses = new Map<Uint8Array, number>();
  private otherBytes = 0;

  get count(): number {
    return this.states.length;
  }

  /** Bytes that all states take together. */
  get bytes(): number {
    return this.uses.size * PAGE_BYTES + this.otherBytes;
  }

  /** The latest state at or before an event, or null. */
  before(event: number): SavedState | null {
    return this.states[this.countUpTo(event) - 1] ?? null;
  }

  /** The latest state in which every pCPU is at or before a time in cycles, or null. */
  beforeTime(time: number): SavedState | null {
    return this.states.findLast((state) => state.time <= time) ?? null;
  }

  /** In order of event. */
  get list(): readonly SavedState[] {
    return this.states;
  }

  /** Enter a state; one at the same event stays instead, and is pinned if that one is to be. */
  add(state: SavedState): void {
    const at = this.countUpTo(state.event);
    const known = this.states[at - 1];
    if (known?.event === state.event) {
      this.states[at - 1] = { ...known, isPinned: known.isPinned || state.isPinned };
      return;
    }
    this.states.splice(at, 0, state);
    this.otherBytes += state.otherBytes;
    for (const page of pagesOf(state)) this.uses.set(page, (this.uses.get(page) ?? 0) + 1);
  }

  /** The state at an event may be thinned out from now on. */
  unpin(event: number): void {
    const at = this.countUpTo(event) - 1;
    const state = this.states[at];
    if (state?.event === event) this.states[at] = { ...state, isPinned: false };
  }

  /** Drop states until they take no more than `most` bytes, or none is left that may go. */
  thin(most: number): void {
    while (this.bytes > most) {
      const victim = this.leastUseful();
      if (victim < 0) return;
      const [state] = this.states.splice(victim, 1);
      this.otherBytes -= state.otherBytes;
      for (const page of pagesOf(state)) {
        const uses = (this.uses.get(page) as number) - 1;
        if (uses === 0) this.uses.delete(page);
        else this.uses.set(page, uses);
      }
    }
  }

  /** The state whose loss lengthens a replay least, compared with how long ago it was; or -1. */
  private leastUseful(): number {
    const { states } = this;
    const end = states[states.length - 1]?.event ?? 0;
    let victim = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 1; i < states.length - 1; i++) {
      if (states[i].isPinned) continue;
      const gap = states[i + 1].event - states[i - 1].event;
      const score = gap / (end - states[i].event + 1);
      if (score >= least) continue;
      least = score;
      victim = i;
    }
    return victim;
  }

  /** How many states are at or before an event. */
  private countUpTo(event: number): number {
    let low = 0;
    let high = this.states.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.states[middle].event <= event) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Memory that plain data takes in an engine of today, in bytes; measured, and on the high side. */
export function plainBytes(value: unknown): number {
  if (typeof value === 'number') return Number.isInteger(value) && value < 2 ** 30 ? 16 : 48;
  if (typeof value === 'string') return 80 + 2 * value.length;
  if (typeof value !== 'object' || value === null) return 16;
  if (value instanceof Uint8Array) return 256 + value.length;
  if (Array.isArray(value)) return value.reduce((sum, item) => sum + plainBytes(item), 80);
  const keys = Object.keys(value);
  // An object with many keys is a dictionary.
  const each = keys.length > 12 ? 96 : 16;
  const items = value as Readonly<Record<string, unknown>>;
  return keys.reduce((sum, key) => sum + each + plainBytes(items[key]), 128);
}

function* pagesOf({ machine }: SavedState): Iterable<Uint8Array> {
  for (const pages of machine.memory) yield* pages.values();
}
