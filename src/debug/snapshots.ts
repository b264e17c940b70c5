// Saved states along one branch of history, in order. Pages of memory that did not change are
// shared between them; when they take more than they may, the closest ones are thinned out, the
// older the sooner.

import type { MachineSnapshot } from '../machine/index.ts';

export interface SavedState {
  readonly event: number;
  /** Cycles that no pCPU is past. */
  readonly time: number;
  readonly machine: MachineSnapshot;
  /** Trace records before it. */
  readonly recordCount: number;
  /** Guest instructions before it. */
  readonly instructions: number;
  /** Never thinned out: where a branch begins. */
  readonly isPinned: boolean;
}

const PAGE_BYTES = 4096;

/** What a state takes beside pages: run queues, threads, vCPUs. A guess on the high side. */
const OTHER_BYTES = 32_768;

export class Snapshots {
  /** In order of event. */
  private readonly states: SavedState[] = [];
  /** How many states have each page. */
  private readonly uses = new Map<Uint8Array, number>();

  get count(): number {
    return this.states.length;
  }

  /** Bytes that all states take together. */
  get bytes(): number {
    return this.uses.size * PAGE_BYTES + this.states.length * OTHER_BYTES;
  }

  /** The latest state at or before an event, or null. */
  before(event: number): SavedState | null {
    return this.states[this.countUpTo(event) - 1] ?? null;
  }

  /** The latest state in which every pCPU is at or before a time in cycles, or null. */
  beforeTime(time: number): SavedState | null {
    return this.states.findLast((state) => state.time <= time) ?? null;
  }

  /** Enter a state; one at the same event stays instead. */
  add(state: SavedState): void {
    const at = this.countUpTo(state.event);
    if (this.states[at - 1]?.event === state.event) return;
    this.states.splice(at, 0, state);
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

function* pagesOf({ machine }: SavedState): Iterable<Uint8Array> {
  for (const pages of machine.memory) yield* pages.values();
}
