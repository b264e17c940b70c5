// Whose turn it is. Virtual time is cut into windows of a lookahead, and also where an event is
// due; in each piece every busy pCPU has one turn, up to the first instruction boundary at or past
// the end of the piece. So where a pCPU stands when another writes does not depend on who else
// there is, and who comes next is found without a search. See docs/decisions/slices.md.

import type { Pcpu } from './pcpu.ts';

/** Plain data, saved and hashed as it is. */
export interface TurnsState {
  /** Every busy pCPU has come so far: where the piece begins, in cycles. */
  time: number;
  /** Where it ends. */
  end: number;
  /** How many places of the order have had their turn; that of the next may have begun. */
  rank: number;
}

export class Turns {
  state: TurnsState = { time: 0, end: 0, rank: 0 };
  /** Where the turn that is under way ends, in cycles. */
  limit = 0;
  private readonly pcpus: readonly Pcpu[];
  private readonly lookahead: number;
  /** Those that are busy, in order of index. */
  private busy: Pcpu[] = [];
  private isStale = true;
  /** Whose turn is under way, or was last. */
  private current: Pcpu | null = null;
  /** Index of the pCPU that is first in the order, and the place of the first busy one from it. */
  private firstIndex = 0;
  private first = 0;
  /** How many busy pCPUs have had their turn. */
  private past = 0;

  /** @param lookahead cycles of a window */
  constructor(pcpus: readonly Pcpu[], lookahead: number) {
    this.pcpus = pcpus;
    // Where there is but one, nobody can tell windows apart.
    this.lookahead = pcpus.length === 1 ? Number.MAX_SAFE_INTEGER : lookahead;
  }

  /** Go on from a saved state, which is taken over. */
  restore(state: TurnsState): void {
    this.state = state;
    this.limit = state.end;
    this.current = null;
    this.changed();
  }

  /** A pCPU has become busy or idle. */
  changed(): void {
    this.isStale = true;
  }

  /** The pCPU whose turn it is in this piece; null when the piece is over. */
  next(): Pcpu | null {
    if (this.isStale) this.refresh();
    const { busy, state, limit } = this;
    const count = busy.length;
    for (; this.past < count; this.past++) {
      const place = this.first + this.past;
      const pcpu = busy[place < count ? place : place - count];
      if (pcpu.state.now >= limit) continue;
      pcpu.boundary = pcpu.state.now;
      state.rank = this.rankOf(pcpu);
      if (limit > state.end) this.pin(pcpu);
      this.current = pcpu;
      return pcpu;
    }
    this.current = null;
    return null;
  }

  /** False if no pCPU has anything to do. */
  get hasBusy(): boolean {
    if (this.isStale) this.refresh();
    return this.busy.length > 0;
  }

  /** The piece is over, and no busy pCPU is earlier than a time either. */
  reach(time = 0): void {
    const { state } = this;
    state.time = Math.max(state.time, this.limit, time);
    state.end = state.time;
    this.limit = state.time;
  }

  /**
   * The next piece, from where the last one ended up to the end of the window or an event. Who is
   * busy alone goes on to the event: nobody could tell.
   */
  begin(eventTime: number): void {
    const { state, lookahead } = this;
    state.end = Math.min(windowOf(state.time, lookahead) + lookahead, eventTime);
    state.rank = 0;
    this.order();
    this.limit = this.busy.length === 1 ? eventTime : state.end;
  }

  /** An event was posted: the turns of this piece go no further than its time. */
  cut(time: number): void {
    if (time >= this.limit) return;
    this.pause();
    if (time < this.state.end) this.state.end = time;
    this.limit = time;
  }

  /** An event was cancelled: of pieces that have not begun, it is not the end any more. */
  extend(eventTime: number): void {
    this.pause();
    if (this.limit > this.state.end) this.limit = Math.max(this.state.end, eventTime);
  }

  /** Make the state say which piece the turn is in: alone, a pCPU goes through many of them. */
  pause(): void {
    if (this.current !== null && this.limit > this.state.end) this.pin(this.current);
  }

  /** The turn is over, or the host pauses in it. */
  settle(): void {
    this.pause();
    this.limit = this.state.end;
    this.current = null;
    this.changed();
  }

  private pin(pcpu: Pcpu): void {
    const { state, lookahead } = this;
    const begin = windowOf(pcpu.boundary, lookahead);
    state.time = Math.max(state.time, begin);
    state.end = Math.min(begin + lookahead, this.limit);
    this.order();
    state.rank = this.rankOf(pcpu);
  }

  private refresh(): void {
    this.isStale = false;
    this.busy = this.pcpus.filter(({ isIdle }) => !isIdle);
    // Who was alone may be so no longer.
    if (this.busy.length !== 1) {
      this.pause();
      this.limit = this.state.end;
    }
    this.order();
    const { rank } = this.state;
    this.past = this.busy.filter((pcpu) => this.rankOf(pcpu) < rank).length;
  }

  /** The order turns by one place with each window, so that nobody is always first. */
  private order(): void {
    const { pcpus, busy, lookahead } = this;
    this.firstIndex = Math.floor(this.state.time / lookahead) % pcpus.length;
    let low = 0;
    let high = busy.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (busy[middle].index < this.firstIndex) low = middle + 1;
      else high = middle;
    }
    this.first = low;
    this.past = 0;
  }

  private rankOf({ index }: Pcpu): number {
    const rank = index - this.firstIndex;
    return rank < 0 ? rank + this.pcpus.length : rank;
  }
}

function windowOf(time: number, lookahead: number): number {
  return Math.floor(time / lookahead) * lookahead;
}
