// Whose turn it is. Virtual time is cut into windows of a lookahead, and also where an event is
// due; in each piece every busy pCPU has one turn, up to the first instruction boundary at or past
// the end of the piece. So where a pCPU stands when another writes does not depend on who else
// there is, and who comes next is found without a search. See docs/decisions/slices.md.

import { asDouble, type Relay, type RelayCourse, type RelayFinish } from '../sim/index.ts';
import { IndexSet } from './index-set.ts';
import type { Pcpu } from './pcpu.ts';
import { RelayPolicy } from './relay-policy.ts';

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
  state: TurnsState = { time: asDouble(0), end: asDouble(0), rank: 0 };
  /** Where the turn that is under way ends, in cycles. */
  limit = asDouble(0);
  private readonly pcpus: readonly Pcpu[];
  private readonly lookahead: number;
  /** Those that take turns: busy, and not left out. */
  private readonly active: IndexSet;
  /** Those that are busy, but do nothing that anyone could see; their turns are made up for. */
  private readonly quiet: Pcpu[] = [];
  /** And until when, in the same order: side by side, for all are looked at in most pieces. */
  private readonly quietTimes: Float64Array;
  /** None of those does anything before this, in cycles. */
  private quietUntil = Number.POSITIVE_INFINITY;
  /** Nobody may be left out past this, in cycles: where the host pauses. */
  until = Number.POSITIVE_INFINITY;
  /** Who takes turns has changed. */
  private isStale = true;
  /** Who was paused where its turn cannot end goes on first; to be looked for after a pause. */
  private midway: Pcpu | null = null;
  private mayBeMidway = true;
  /** Whose turn is under way, or was last in this piece. */
  private current: Pcpu | null = null;
  /** Index of the pCPU that is first in the order. */
  private firstIndex = 0;
  /** How many places of the order have been looked at. */
  private place = 0;
  readonly relays = new RelayPolicy();

  /** @param lookahead cycles of a window */
  constructor(pcpus: readonly Pcpu[], lookahead: number) {
    this.pcpus = pcpus;
    this.active = new IndexSet(pcpus.length);
    this.quietTimes = new Float64Array(pcpus.length);
    // Where there is but one, nobody can tell windows apart. A double, for products with it are.
    this.lookahead = asDouble(pcpus.length === 1 ? Number.MAX_SAFE_INTEGER : lookahead);
  }

  /** Go on from a saved state, which is taken over. */
  restore(state: TurnsState): void {
    this.state = state;
    this.limit = state.end;
    this.current = null;
    this.mayBeMidway = true;
    for (const pcpu of this.pcpus) this.changed(pcpu);
  }

  /** A pCPU has become busy or idle. */
  changed(pcpu: Pcpu): void {
    this.active.put(pcpu.index, !pcpu.isIdle && (!pcpu.isQuiet || pcpu.isDue));
    this.isStale = true;
  }

  /** The pCPU whose turn it is in this piece; null when the piece is over. */
  next(): Pcpu | null {
    if (this.isStale) this.refresh();
    const { pcpus, state, limit, firstIndex } = this;
    const count = pcpus.length;
    for (let place = this.takenFrom(this.place); place < count; place = this.takenFrom(place + 1)) {
      this.place = place;
      const index = firstIndex + place;
      const pcpu = pcpus[index < count ? index : index - count];
      if (pcpu === this.midway) {
        // It has not looked since whether its turn is over.
        this.midway = null;
        pcpu.boundary = Math.min(pcpu.state.now, state.time);
      } else if (pcpu.state.now >= limit) continue;
      else pcpu.boundary = Math.max(pcpu.state.now, state.time);
      if (pcpu.isDue) this.takeBack(pcpu);
      state.rank = place;
      if (limit > state.end) this.pin(pcpu);
      this.current = pcpu;
      return pcpu;
    }
    this.place = count;
    this.current = null;
    return null;
  }

  /** The first place from one on whose pCPU takes turns; past the last one if there is none. */
  private takenFrom(place: number): number {
    const { active, firstIndex } = this;
    const { length } = this.pcpus;
    const from = firstIndex + place;
    const behind = from < length ? active.next(from) : -1;
    if (behind >= 0) return behind - firstIndex;
    const before = active.next(Math.max(0, from - length));
    return before < 0 || before >= firstIndex ? length : before + length - firstIndex;
  }

  /**
   * Let all that are busy take their turns in a relay, from that of one which is about to begin on:
   * false, and nothing has happened, if they cannot, or that did not pay lately.
   * @param eventTime when the next event is due, in cycles
   */
  relay(pcpu: Pcpu, eventTime: number): boolean {
    const { active, state, lookahead, until, relays } = this;
    if (active.count < 2 || state.end > until || lookahead > MOST_LOOKAHEAD) return false;
    if (!relays.isDue()) return false;
    const turns = this.runRelay(pcpu, eventTime);
    relays.ended(turns, active.count);
    return turns > 0;
  }

  /** How many turns were begun; 0 if nothing has happened. */
  private runRelay(pcpu: Pcpu, eventTime: number): number {
    const relay = pcpu.current?.body.relay ?? null;
    if (relay === null || this.midway !== null) return 0;
    const base = Math.floor(this.state.time);
    const next = this.join(pcpu, relay, base);
    if (next < 0) return 0;
    const finish = relay.run(this.active.count, this.courseFrom(pcpu, next, base, eventTime));
    if (finish.turns > 0) this.leave(finish, base);
    return finish.turns;
  }

  /** Put all that are busy on the list of a relay; the place of one of them, or -1 if one cannot. */
  private join(pcpu: Pcpu, relay: Relay, base: number): number {
    const { active, pcpus } = this;
    let next = -1;
    let place = 0;
    for (let index = active.next(0); index >= 0; index = active.next(index + 1)) {
      const other = pcpus[index];
      const body = other.current?.body;
      if (body?.relay !== relay || other.isQuiet) return -1;
      if (body.joinRelay?.(other, base, place) !== true) return -1;
      if (other === pcpu) next = place;
      place++;
    }
    return next;
  }

  private courseFrom(pcpu: Pcpu, next: number, base: number, eventTime: number): RelayCourse {
    const { active, pcpus, state, lookahead, firstIndex } = this;
    const windowEnd = windowOf(state.time, lookahead) + lookahead;
    const most = Math.min(eventTime, this.until, this.quietUntil, base + MOST_COURSE);
    // A piece that an event ends is the last one.
    const whole = state.end < windowEnd ? 0 : Math.floor((most - windowEnd) / lookahead);
    // Those behind the first in the order come before those in front of it.
    let before = 0;
    for (let index = active.next(0); index >= 0 && index < firstIndex; before++) {
      index = active.next(index + 1);
    }
    const had = pcpu.index >= firstIndex ? next - before : active.count - before + next;
    const end = Math.ceil(state.end - base);
    return {
      base,
      next,
      turns: active.count - had,
      end,
      lookahead,
      lastEnd: end + Math.max(0, whole) * lookahead,
      firstNumber: firstIndex,
      numbers: pcpus.length,
    };
  }

  /** Go on where a relay has ended. */
  private leave({ isStopped, end, stopped, last }: RelayFinish, base: number): void {
    const { active, pcpus, state, lookahead } = this;
    if (base + end > Math.ceil(state.end)) {
      state.end = base + end;
      state.time = state.end - lookahead;
    }
    this.limit = state.end;
    this.order();
    let place = 0;
    state.rank = 0;
    this.place = pcpus.length;
    for (let index = active.next(0); index >= 0; index = active.next(index + 1)) {
      const pcpu = pcpus[index];
      const goesOn = isStopped && place === stopped;
      pcpu.current?.body.leaveRelay?.(pcpu, base, goesOn);
      if (goesOn) this.place = this.rankOf(pcpu);
      else if (place === last && !isStopped) state.rank = this.rankOf(pcpu);
      place++;
    }
    this.current = null;
    // Whoever was stopped goes on by itself.
    if (isStopped) this.relays.pass();
  }

  /** Whoever chooses the order himself gives somebody a turn, up to a time in cycles. */
  give(limit: number): void {
    this.state.end = limit;
    this.limit = limit;
    this.current = null;
  }

  /** False if no pCPU has anything to do. */
  get hasBusy(): boolean {
    return this.active.count + this.quiet.length > 0;
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
   */
  begin(eventTime: number): void {
    const { state, lookahead, until } = this;
    if (this.active.count > 1) state.time = this.firstWindow(eventTime);
    state.end = Math.min(windowOf(state.time, lookahead) + lookahead, eventTime);
    state.rank = 0;
    if (Math.min(this.quietUntil, until) < state.end) this.recall();
    if (this.isStale) this.refresh();
    this.order();
    this.place = 0;
    this.limit = Math.max(state.end, Math.min(eventTime, this.horizon));
  }

  /**
   * Where the first window begins in which anybody has a turn, or now if that is this one: after a
   * costly VM exit a clock may be many windows ahead.
   */
  private firstWindow(eventTime: number): number {
    const { pcpus, active, lookahead } = this;
    const { time } = this.state;
    const end = windowOf(time, lookahead) + lookahead;
    let first = Math.min(this.quietUntil, this.until, eventTime);
    for (let index = active.next(0); index >= 0 && first >= end; index = active.next(index + 1)) {
      const { now } = pcpus[index].state;
      if (now < first) first = now;
    }
    return first < end ? time : windowOf(first, lookahead);
  }

  /** How far one turn may go. */
  private get horizon(): number {
    if (this.active.count > 1) return this.state.end;
    if (this.quiet.length === 0) return Number.POSITIVE_INFINITY;
    return windowOf(Math.min(this.quietUntil, this.until), this.lookahead);
  }

  /**
   * Let those take part again that may do something in this piece: until their turn comes they are
   * as they were, and then they make up for what they were left out of with the same turn.
   */
  private recall(): void {
    const { until, quiet, quietTimes } = this;
    const { end } = this.state;
    let next = Number.POSITIVE_INFINITY;
    for (let i = 0; i < quiet.length; i++) {
      const time = quietTimes[i];
      if (time < end || until < end) {
        quiet[i].isDue = true;
        this.changed(quiet[i]);
      } else if (time < next) next = time;
    }
    this.quietUntil = next;
  }

  /** A pCPU is not left out any more. */
  private takeBack(pcpu: Pcpu): void {
    const { quiet, quietTimes } = this;
    const place = quiet.indexOf(pcpu);
    const last = quiet.length - 1;
    quiet[place] = quiet[last];
    quietTimes[place] = quietTimes[last];
    quiet.pop();
    pcpu.isQuiet = false;
    pcpu.isDue = false;
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
   */
  leaveOut(pcpu: Pcpu): boolean {
    this.pause();
    this.limit = this.state.end;
    if (Math.min(pcpu.quietUntil, this.until) < this.state.end) return false;
    pcpu.isQuiet = true;
    pcpu.owed = this.state.end;
    this.quietTimes[this.quiet.push(pcpu) - 1] = pcpu.quietUntil;
    this.quietUntil = Math.min(this.quietUntil, pcpu.quietUntil);
    this.changed(pcpu);
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
    this.takeBack(pcpu);
    this.changed(pcpu);
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
    while (this.quiet.length > 0) this.stir(this.quiet[0]);
    this.quietUntil = Number.POSITIVE_INFINITY;
    this.current = null;
    this.mayBeMidway = true;
    this.isStale = true;
  }

  private pin(pcpu: Pcpu): void {
    const { state, lookahead } = this;
    const begin = windowOf(pcpu.boundary, lookahead);
    state.time = Math.max(state.time, begin);
    state.end = Math.min(begin + lookahead, this.limit);
    this.order();
    state.rank = this.rankOf(pcpu);
    this.place = state.rank;
  }

  private refresh(): void {
    this.isStale = false;
    if (this.mayBeMidway) {
      this.mayBeMidway = false;
      this.midway = this.pcpus.find((pcpu) => pcpu.current?.body.isMidway) ?? null;
    }
    // Who was alone may be so no longer.
    if (this.active.count !== 1) {
      this.pause();
      this.limit = this.state.end;
    }
    this.order();
    this.place = this.state.rank;
  }

  /** The order turns by one place with each window, so that nobody is always first. */
  private order(): void {
    const { length } = this.pcpus;
    // Not by %, which V8 leaves to an instruction of the 8087's.
    const window = Math.floor(this.state.time / this.lookahead);
    this.firstIndex = window - Math.floor(window / length) * length;
  }

  private rankOf({ index }: Pcpu): number {
    const rank = index - this.firstIndex;
    return rank < 0 ? rank + this.pcpus.length : rank;
  }
}

/** Cycles of a turn in a relay, at most, and of all of it. */
const MOST_LOOKAHEAD = 2 ** 18;
const MOST_COURSE = 2 ** 27;

function windowOf(time: number, lookahead: number): number {
  return Math.floor(time / lookahead) * lookahead;
}
