// How a session gets to the place that a motion leads to: forwards by running until something is
// met, backwards by running up to here again from ever earlier places, and taking the last place at
// which a motion forwards would have stopped.

import type { PausePoint } from '../host/index.ts';
import type { Vcpu } from '../kvm/index.ts';
import type { Machine, MachineStop } from '../machine/index.ts';
import type { Breakpoints, Hit } from './breakpoints.ts';
import { DebugError } from './debug-error.ts';
import type { History } from './history.ts';
import type { Motion, StopReason } from './motion.ts';
import { type Position, pausePointAt } from './position.ts';
import type { Wanted, Watcher } from './watcher.ts';

/** How far a backward motion looks back first, in cycles, and how much farther each time. */
const FIRST_WINDOW = 256;
const WINDOW_FACTOR = 8;

/** Stops that are gone through one by one; of more of them, the last ones. */
const MOST_STOPS = 64;

/** Exits of the recent past that a search backwards looks for first. */
const MOST_HINTS = 3;

/** What breakpoints are to a motion. */
export interface Watching {
  /** Their hits count: it is the user's own motion forward, not a search. */
  readonly isCounting: boolean;
  /** They stop it. */
  readonly isArmed: boolean;
}

/** What was met where a search backwards has found something. */
export interface Met {
  readonly hits: readonly Hit[];
  /** Index of the vCPU that it is about, or null. */
  readonly focus: number | null;
}

/** What is looked for backwards. */
interface Search {
  readonly motion: Motion;
  /** Before this place. */
  readonly here: Position;
  /** So many steps were made when there is no further place; null if nobody knows. */
  readonly steps: number | null;
}

function boundOf(search: Search | null): PausePoint | null {
  return search === null ? null : pausePointAt(search.here);
}

interface Progress {
  readonly steps: number;
  readonly times: readonly number[];
}

const NOTHING: Met = { hits: [], focus: null };

export class Mover {
  /** The motion that is under way is to end at the next place between two of its pieces. */
  isInterrupted = false;
  /** Of the last place that {@link lastBefore} has found. */
  lastMet: Met = NOTHING;
  private readonly machine: Machine;
  private readonly history: History;
  private readonly watcher: Watcher;
  private readonly breakpoints: Breakpoints;

  constructor(machine: Machine, history: History, watcher: Watcher, breakpoints: Breakpoints) {
    this.machine = machine;
    this.history = history;
    this.watcher = watcher;
    this.breakpoints = breakpoints;
  }

  /** Virtual time that was reached, in cycles; while all sleep, the clock stands still. */
  get now(): number {
    return this.history.now;
  }

  // Forwards

  /**
   * Run to where a motion leads.
   * @param within the search that it is a part of: no further than to where that began
   * @param passOver how often not to stop
   */
  *toNext(
    motion: Motion,
    watching: Watching,
    within: Search | null = null,
    passOver = 0,
  ): Generator<void, StopReason> {
    if (motion.kind === 'instruction') {
      return yield* this.toNextInstruction(motion.vcpu, watching, within);
    }
    this.watcher.begin({ wanted: this.wantedBy(motion), passOver, ...watching });
    return yield* this.runOn(boundOf(within), motion.kind === 'continue');
  }

  private wantedBy(motion: Motion): Wanted | null {
    if (motion.kind === 'host') return () => true;
    if (motion.kind !== 'exit') return null;
    const wanted = motion.vcpu === null ? null : this.vcpu(motion.vcpu);
    return ({ name }, vcpu) => name === 'kvm_exit' && (wanted === null || vcpu === wanted);
  }

  private vcpu(index: number): Vcpu {
    const vcpu = this.machine.vcpus[index];
    if (vcpu === undefined) throw new DebugError(`there is no vCPU ${index}`);
    return vcpu;
  }

  /** Run until something is hit, or what is wanted has happened, or to a pause point. */
  private *runOn(at: PausePoint | null, heedsTime = false): Generator<void, StopReason> {
    const { history, watcher } = this;
    const time = heedsTime ? this.nextTime() : Number.POSITIVE_INFINITY;
    for (;;) {
      const stop = history.advance(at, time);
      const isAsked = watcher.hits.length > 0 || watcher.isWantedMet;
      if (stop === 'until' && history.reached >= time && !isAsked) return this.atTime(time);
      const reason = this.reasonOf(stop, at);
      if (reason !== null) return reason;
      yield;
      if (this.isInterrupted) {
        if (history.settle() === 'ended') return 'ended';
        return watcher.hits.length > 0 ? 'breakpoint' : 'interrupted';
      }
    }
  }

  private reasonOf(stop: MachineStop, at: PausePoint | null): StopReason | null {
    if (stop === 'ended') return 'ended';
    // What has asked for a pause gets it, but not yet.
    if (stop === 'until') return null;
    if (this.watcher.hits.length > 0) return 'breakpoint';
    if (this.watcher.isWantedMet) return 'step';
    return at === null ? null : 'step';
  }

  /** The earliest time breakpoint ahead, in cycles. */
  private nextTime(): number {
    const times = this.breakpoints.list().flatMap(({ spec, isEnabled }) => {
      return isEnabled && spec.kind === 'time' && spec.time > this.now ? [spec.time] : [];
    });
    return Math.min(...times);
  }

  private atTime(time: number): StopReason {
    if (this.history.settle() === 'ended') return 'ended';
    for (const breakpoint of this.breakpoints.list()) {
      const { spec, isEnabled } = breakpoint;
      if (isEnabled && spec.kind === 'time' && spec.time === time)
        this.watcher.timeReached(breakpoint);
    }
    return this.watcher.hits.length > 0 ? 'breakpoint' : 'step';
  }

  /**
   * A vCPU has executed one: in the guest one instruction is complete, or an event is delivered;
   * across VM exits, it has been entered somewhere else than it exited.
   */
  private *toNextInstruction(
    index: number,
    watching: Watching,
    within: Search | null,
  ): Generator<void, StopReason> {
    const { history, watcher } = this;
    const vcpu = this.vcpu(index);
    const { processor } = vcpu.virtual;
    for (;;) {
      if (vcpu.isInGuest) {
        const { pcpus } = this.machine.host;
        const { pcpu } = vcpu.thread.state;
        const [instructions, rip] = [processor.instructions, vcpu.rip];
        watcher.begin({ wanted: null, passOver: 0, ...watching });
        const reason = yield* this.runOn({ pcpu, time: pcpus[pcpu].state.now + 1 });
        if (reason !== 'step') return reason;
        const isDone = processor.instructions !== instructions || vcpu.rip.neq(rip);
        if (isDone && vcpu.isInGuest) return 'step';
      } else {
        // It has left the guest for the last time before the search began: nothing is to come.
        const steps = within?.steps ?? Number.POSITIVE_INFINITY;
        if (within !== null && this.stepsOf(within.motion) > steps) return 'ended';
        const isEntry: Wanted = ({ name }, who) => name === 'kvm_entry' && who === vcpu;
        watcher.begin({ wanted: isEntry, passOver: 0, ...watching });
        const reason = yield* this.runOn(boundOf(within));
        if (reason !== 'step') return reason;
        const last = vcpu.exits.recent.at(-1);
        const isElsewhere = last !== undefined && last.rip !== vcpu.rip.toUnsigned().toString(16);
        if (watcher.isWantedMet && isElsewhere) return 'step';
      }
      if (within !== null && history.position.event >= within.here.event) return 'ended';
    }
  }

  // Backwards

  /**
   * The last place before `here` to which a motion leads, on this branch of history; null if there
   * is none, or if the search was interrupted.
   */
  *lastBefore(motion: Motion, here: Position): Generator<void, Position | null> {
    const { from } = this.history.branch;
    if (here.event <= from.event) return null;
    const isHere = this.history.position.event === here.event;
    const progress = isHere ? this.progressOf(motion) : null;
    if (progress?.steps === 0) return null;
    for (const time of this.startsFor(here, progress?.times ?? [])) {
      const found = yield* this.lastSince({ motion, here, steps: progress?.steps ?? null }, time);
      if (found !== null || this.isInterrupted) return found;
    }
    return null;
  }

  /**
   * Times in cycles from which to search, ever earlier ones up to the beginning of the branch. A
   * vCPU that waits for its pCPU may have done its last step long ago: what it remembers of itself
   * says when.
   */
  private *startsFor(here: Position, hints: readonly number[]): Generator<number, void> {
    const { from } = this.history.branch;
    let earliest = Number.POSITIVE_INFINITY;
    for (const hint of hints) {
      const time = hint - FIRST_WINDOW;
      if (time <= from.time || time >= earliest) continue;
      earliest = time;
      yield time;
    }
    for (let window = FIRST_WINDOW; here.time - window > from.time; window *= WINDOW_FACTOR) {
      if (here.time - window < earliest) yield here.time - window;
    }
    yield from.time;
  }

  /**
   * What the vCPUs say of themselves: how many steps there were before the place where the machine
   * is, and when the last ones may have been, in cycles, newest first. Null for motions of which
   * they know nothing.
   */
  private progressOf(motion: Motion): Progress | null {
    if (motion.kind !== 'instruction' && motion.kind !== 'exit') return null;
    const wanted = this.wantedVcpus(motion);
    const exits = wanted.flatMap(({ exits: { recent }, state: { phase } }) =>
      // The place where it is does not count.
      recent.slice(0, phase === 'exited' ? -1 : undefined).map(({ time }) => time),
    );
    const clocks =
      motion.kind === 'exit' ? [] : wanted.map(({ virtual }) => virtual.processor.clock);
    const times = [...clocks, ...exits].sort((a, b) => b - a).slice(0, MOST_HINTS);
    const isExit = wanted.some(({ state }) => state.phase === 'exited');
    const isBehind = motion.kind === 'exit' ? isExit : !wanted[0].isInGuest;
    const steps = this.stepsOf(motion) - Number(isBehind && this.stepsOf(motion) > 0);
    return { steps, times };
  }

  private wantedVcpus(motion: Motion): readonly Vcpu[] {
    const { vcpus } = this.machine;
    return 'vcpu' in motion && motion.vcpu !== null ? [this.vcpu(motion.vcpu)] : vcpus;
  }

  /**
   * How often vCPUs have done what a motion waits for; instructions and VM exits together, as a
   * step over an exit ends in the guest.
   */
  private stepsOf(motion: Motion): number {
    return this.wantedVcpus(motion).reduce((sum, { counters, virtual }) => {
      const own = motion.kind === 'exit' ? 0 : virtual.processor.instructions;
      return sum + own + counters.exits;
    }, 0);
  }

  /** The last place to which a motion leads among those between a time and `here`, or null. */
  private *lastSince(search: Search, time: number): Generator<void, Position | null> {
    const { history } = this;
    const { motion, here } = search;
    this.lastMet = NOTHING;
    this.watcher.end();
    yield* history.goToTime(time, here);
    const first = yield* this.goThrough(search, MOST_STOPS);
    if (first.isComplete || this.isInterrupted) return first.last;
    // There are many: count the rest, and go to the last ones of them.
    const { last } = first;
    const counted = yield* this.countUpTo(motion, here);
    if (this.isInterrupted) return last;
    yield* history.goTo(last as Position);
    const passOver = Math.max(counted - MOST_STOPS, 0);
    const rest = yield* this.goThrough(search, Number.POSITIVE_INFINITY, passOver);
    if (rest.last !== null || passOver === 0) return rest.last ?? last;
    // All that were left were one place, and that was `here`.
    yield* history.goTo(last as Position);
    const all = yield* this.goThrough(search, Number.POSITIVE_INFINITY);
    return all.last ?? last;
  }

  /** Stop again and again up to `here`; the last place, and whether that is all. */
  private *goThrough(
    search: Search,
    most: number,
    passOver = 0,
  ): Generator<void, { readonly last: Position | null; readonly isComplete: boolean }> {
    const { history, watcher } = this;
    const { motion, here } = search;
    const watching = { isCounting: false, isArmed: motion.kind === 'continue' };
    let last: Position | null = null;
    let toPass = passOver;
    for (let count = 0; count < most; count++) {
      if (history.position.event >= here.event) return { last, isComplete: true };
      const reason = yield* this.toNext(motion, watching, search, toPass);
      toPass = 0;
      const isPast = history.position.event >= here.event;
      if (reason === 'ended' || reason === 'interrupted' || isPast) {
        return { last, isComplete: true };
      }
      last = history.position;
      const { focus } = watcher;
      this.lastMet = {
        hits: [...watcher.hits],
        focus: focus === null ? null : this.machine.vcpus.indexOf(focus),
      };
      const isLast = motion.kind === 'exit' && search.steps === this.stepsOf(motion);
      if (isLast) return { last, isComplete: true };
    }
    return { last, isComplete: false };
  }

  /** How often something is met on the way to `here`, without a pause at any of it. */
  private *countUpTo(motion: Motion, here: Position): Generator<void, number> {
    const { history, watcher } = this;
    if (motion.kind === 'instruction') return 0;
    const passOver = Number.MAX_SAFE_INTEGER;
    const isArmed = motion.kind === 'continue';
    const wanted = this.wantedBy(motion);
    watcher.begin({ wanted, passOver, isCounting: false, isArmed });
    while (history.position.event < here.event && !this.isInterrupted) {
      if (history.advance(pausePointAt(here)) === 'ended') break;
      yield;
    }
    return passOver - watcher.leftToPass;
  }
}
