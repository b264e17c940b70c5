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
  /** Those that take turns, in order of index: busy, and not left out. */
  private active: Pcpu[] = [];
  /** Those that are busy, but do nothing that anyone could see; their turns are made up for. */
  private quiet: Pcpu[] = [];
  /** When the first of those may do something, or the host pauses, in cycles. */
  private quietUntil = Number.POSITIVE_INFINITY;
  private isStale = true;
  /** Who was paused where its turn cannot end goes on first; to be looked for after a pause. */
  private midway: Pcpu | null = null;
  private mayBeMidway = true;
  /** Whose turn is under way, or was last in this piece. */
  private current: Pcpu | null = null;
  /** Index of the pCPU that is first in the order, and the place of the first active one from it. */
  private firstIndex = 0;
  private first = 0;
  /** How many active pCPUs have had their turn. */
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
    this.mayBeMidway = true;
    this.changed();
  }

  /** A pCPU has become busy or idle. */
  changed(): void {
    this.isStale = true;
  }

  /** The pCPU whose turn it is in this piece; null when the piece is over. */
  next(): Pcpu | null {
    if (this.isStale) this.refresh();
    const { active, state, limit } = this;
    const count = active.length;
    for (; this.past < count; this.past++) {
      const place = this.first + this.past;
      const pcpu = active[place < count ? place : place - count];
      if (pcpu === this.midway) {
        // It has not looked since whether its turn is over.
        this.midway = null;
        pcpu.boundary = Math.min(pcpu.state.now, state.time);
      } else if (pcpu.state.now >= limit) continue;
      else pcpu.boundary = pcpu.state.now;
      state.rank = this.rankOf(pcpu);
      if (limit > state.end) this.pin(pcpu);
      this.current = pcpu;
      return pcpu;
    }
    this.current = null;
    return null;
  }

  /** Whoever chooses the order himself gives somebody a turn, up to a time in cycles. */
  give(limit: number): void {
    this.state.end = limit;
    this.limit = limit;
    this.current = null;
  }

  /** False if no pCPU has anything to do. */
  get hasBusy(): boolean {
    if (this.isStale) this.refresh();
    return this.active.length + this.quiet.length > 0;
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
   * alone goes on to the event, or to the window in which others have to take part again: nobody
   * could tell.
   * @param until where the host pauses, in cycles
   */
  begin(eventTime: number, until: number): void {
    const { state, lookahead } = this;
    state.end = Math.min(windowOf(state.time, lookahead) + lookahead, eventTime);
    state.rank = 0;
    this.quietUntil = this.quiet.reduce((least, pcpu) => Math.min(least, pcpu.quietUntil), until);
    if (this.quietUntil < state.end) this.recall(until);
    if (this.isStale) this.refresh();
    this.order();
    this.limit = Math.max(state.end, Math.min(eventTime, this.horizon));
  }

  /** How far one turn may go. */
  private get horizon(): number {
    if (this.active.length > 1) return this.state.end;
    if (this.quiet.length === 0) return Number.POSITIVE_INFINITY;
    return windowOf(this.quietUntil, this.lookahead);
  }

  /** Let those take part again that may do something in this piece. */
  private recall(until: number): void {
    const { end } = this.state;
    for (const pcpu of this.quiet) if (Math.min(pcpu.quietUntil, until) < end) this.stir(pcpu);
  }

  /** An event was posted: the turns of this piece go no further than its time. */
  cut(time: number): void {
    if (time >= this.limit) return;
    this.pause();
    const { state } = this;
    if (time < state.end) {
      // Who had his turn before went to where the piece ended then.
      for (const pcpu of this.quiet) pcpu.owed = this.dueFor(pcpu);
      state.end = time;
    }
    this.limit = time;
  }

  /** An event was cancelled: of pieces that have not begun, it is not the end any more. */
  extend(eventTime: number): void {
    this.pause();
    const { state } = this;
    if (this.limit <= state.end) return;
    this.limit = Math.max(state.end, Math.min(eventTime, this.horizon));
  }

  /** Make the state say which piece the turn is in: alone, a pCPU goes through many of them. */
  private pause(): void {
    const { current } = this;
    if (current === null || this.limit <= this.state.end) return;
    current.current?.body.look?.(current);
    this.pin(current);
  }

  /**
   * The rest of this turn and the next ones, up to `pcpu.quietUntil`, are left out unless somebody
   * wants to know. False if the pCPU has to take its turn all the same.
   * @param until where the host pauses, in cycles
   */
  leaveOut(pcpu: Pcpu, until: number): boolean {
    this.pause();
    this.limit = this.state.end;
    if (Math.min(pcpu.quietUntil, until) < this.state.end) return false;
    pcpu.isQuiet = true;
    pcpu.owed = this.state.end;
    this.quiet.push(pcpu);
    this.changed();
    return true;
  }

  /**
   * A pCPU that was left out comes as far as its turns until now would have brought it, and takes
   * part again.
   */
  stir(pcpu: Pcpu): void {
    if (!pcpu.isQuiet) return;
    this.pause();
    const isHurried = this.current !== null && this.limit > this.state.end;
    if (isHurried) this.limit = this.state.end;
    pcpu.owed = this.dueFor(pcpu);
    pcpu.isQuiet = false;
    this.quiet = this.quiet.filter((other) => other !== pcpu);
    this.changed();
    pcpu.makeUp();
    if (isHurried) this.current?.current?.body.hurry?.(this.limit);
  }

  /** Where the turns of a pCPU that is left out would have ended by now. */
  private dueFor(pcpu: Pcpu): number {
    const { state, current } = this;
    const hasHadTurn = current !== null && this.rankOf(pcpu) < state.rank;
    return Math.max(pcpu.owed, hasHadTurn ? state.end : state.time);
  }

  /** The host pauses: all are where their turns have brought them. */
  settle(): void {
    this.pause();
    this.limit = this.state.end;
    for (const pcpu of this.quiet) this.stir(pcpu);
    this.current = null;
    this.mayBeMidway = true;
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
    const active: Pcpu[] = [];
    for (const pcpu of this.pcpus) if (!pcpu.isIdle && !pcpu.isQuiet) active.push(pcpu);
    this.active = active;
    if (this.mayBeMidway) {
      this.mayBeMidway = false;
      this.midway = active.find((pcpu) => pcpu.current?.body.isMidway) ?? null;
    }
    // Who was alone may be so no longer.
    if (this.active.length !== 1) {
      this.pause();
      this.limit = this.state.end;
    }
    this.order();
    const { rank } = this.state;
    for (const pcpu of active) if (this.rankOf(pcpu) < rank) this.past++;
  }

  /** The order turns by one place with each window, so that nobody is always first. */
  private order(): void {
    const { pcpus, active, lookahead } = this;
    this.firstIndex = Math.floor(this.state.time / lookahead) % pcpus.length;
    let low = 0;
    let high = active.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (active[middle].index < this.firstIndex) low = middle + 1;
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
