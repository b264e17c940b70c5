// The machine on its way through time: forwards by running, backwards by going to a saved state and
// running from there. A state that was changed by hand begins a branch of history of its own.

import { NEXT_STEP, type PausePoint } from '../host/index.ts';
import type { Machine, MachineStop } from '../machine/index.ts';
import { Attention } from './attention.ts';
import type { Journal, Past } from './journal.ts';
import { eventOf, type Position, pausePointAt } from './position.ts';
import { plainBytes, type SavedState, Snapshots } from './snapshots.ts';

export interface HistorySettings {
  /**
   * Guest instructions between two snapshots, at most. Those of waits that are left out do not
   * count, and of those that compiled code executes one in twenty, less fifty for each VM exit:
   * what matters is how long it takes to repeat them.
   */
  readonly snapshotInterval: number;
  /** Bytes that the snapshots of a branch may take together. */
  readonly snapshotBytes: number;
}

export const DEFAULT_HISTORY: HistorySettings = {
  snapshotInterval: 10_000_000,
  snapshotBytes: 256 * 2 ** 20,
};

/** A line of history. The first has no parent. */
export interface Branch {
  readonly id: number;
  readonly parent: Branch | null;
  /** Where it leaves its parent. */
  readonly from: Position;
  /** What was done there, in words. */
  readonly cause: string;
  readonly snapshots: Snapshots;
  /** What had happened there; null at the beginning, where that is nothing. */
  readonly past: Past | null;
}

/** Added to the event of a place that is no position. */
const BETWEEN = 0.5;

/** Of instructions that compiled code executes, so many do not count between two snapshots. */
const SPARED_SHARE = 19 / 20;

/** A VM exit takes about as long as interpreting so many instructions. */
const INSTRUCTIONS_PER_EXIT = 50;

/**
 * Virtual time between two looks around, in ns: the least, and the most. It grows while a chunk is
 * less than so many instructions that count, which are done in some ten milliseconds.
 */
const LEAST_CHUNK_NS = 1_000_000;
const MOST_CHUNK_NS = 64_000_000;
const CHUNK_INSTRUCTIONS = 300_000;

/** On the way to a place a state is saved where so much of the way that was left is left. */
const LEFT_SHARE = 1 / 8;

/** Saved states from which the way to here is run again for what has happened on it, at most. */
const MOST_RECALLED = 4;

/** Saving a state takes about as long as interpreting so many instructions. */
const INSTRUCTIONS_PER_SAVE = 10_000;

export class History {
  readonly machine: Machine;
  readonly journal: Journal;
  readonly branches: Branch[] = [];
  private current: Branch;
  private readonly settings: HistorySettings;
  /** Cycles between two looks around. */
  private chunk: number;
  private readonly leastChunk: number;
  private readonly mostChunk: number;
  /** The place where the machine pauses. */
  private here: Position;
  /** Where the last chunk ended, in cycles: while all sleep, the clock stands still. */
  reached = 0;
  /** The state that was saved or restored last: the next one shares its pages. */
  private base: SavedState;
  /** Instructions since then that do not count, for they are soon repeated. */
  private spared = 0;
  private readonly attention = new Attention();
  /** Whether somebody waits for what happens, so that all of it has to be told. */
  isHeard: () => boolean = () => true;

  constructor(machine: Machine, journal: Journal, settings: HistorySettings) {
    this.machine = machine;
    this.journal = journal;
    this.settings = settings;
    const { frequency } = machine.host;
    this.leastChunk = frequency.toCycles(LEAST_CHUNK_NS);
    this.mostChunk = frequency.toCycles(MOST_CHUNK_NS);
    this.chunk = this.leastChunk;
    this.here = { event: eventOf(machine), time: 0, pcpu: -1 };
    const snapshots = new Snapshots();
    const cause = 'the beginning';
    this.current = { id: 0, parent: null, from: this.here, cause, snapshots, past: null };
    this.branches.push(this.current);
    this.base = this.saved(null, true);
    snapshots.add(this.base);
  }

  /** The line of history that the machine is on. */
  get branch(): Branch {
    return this.current;
  }

  /**
   * To be followed by going somewhere. What two branches have in common ends where the later one
   * begins.
   */
  set branch(next: Branch) {
    if (next === this.current) return;
    for (const { past } of [this.current, next]) {
      if (past !== null) this.journal.forgetBehind(past.mark);
    }
    this.current = next;
  }

  get position(): Position {
    return this.here;
  }

  /** Virtual time that was reached, in cycles. */
  get now(): number {
    return Math.max(this.machine.now, this.reached);
  }

  /** The first position. */
  get beginning(): Position {
    return this.branches[0].from;
  }

  /**
   * Run for a chunk of virtual time, up to a pause point or a request to pause. After `until`
   * there is no position to be told yet: go on, or call {@link settle}.
   * @param until cycles of virtual time at which to return at the latest
   */
  advance(at: PausePoint | null, until = Number.POSITIVE_INFINITY): MachineStop {
    const { machine } = this;
    this.reached = Math.min(this.nextLook, until);
    const [spared, instructions] = [this.sparedInAll(), machine.instructions];
    const { mark } = this.journal;
    const isLeftOut = this.attention.mayLeaveOut && !this.isHeard();
    const stop = isLeftOut ? this.unheard(at) : machine.advance(this.reached, at);
    const more = this.sparedInAll() - spared;
    this.spared += more;
    const counted = machine.instructions - instructions - more;
    this.chunkTook(counted);
    this.arrive(stop);
    if (isLeftOut) {
      this.attention.leftOut();
      this.journal.leaveOut(this.here.event);
    } else this.attention.told(counted, this.journal.mark.count - mark.count);
    if (this.instructionsToSnapshot() <= this.settings.snapshotInterval / 2) this.save();
    return stop;
  }

  /** What happens in the next milliseconds is kept, as somebody may look at it soon. */
  beginMotion(): void {
    this.attention.begin();
  }

  /** Nobody makes records of what happens, which takes time. */
  private unheard(at: PausePoint | null): MachineStop {
    const { host } = this.machine;
    const { sink } = host;
    host.sink = null;
    try {
      return this.machine.advance(this.reached, at);
    } finally {
      host.sink = sink;
    }
  }

  /**
   * Have the journal know enough of what happened before here, if some of it was left out: by
   * running here again from further back. It may stay less, if that is too far.
   */
  recall(isEnough: () => boolean): void {
    const { here, journal, isHeard } = this;
    // In the middle of a motion there is no place to come back to.
    const isPlace = Number.isInteger(here.event) && here.isUnmoved !== true;
    if (!isPlace) return;
    this.isHeard = () => true;
    for (let back = 1; back <= MOST_RECALLED; back *= 2) {
      if (!journal.canKnowMore || isEnough()) break;
      const { branch } = this;
      const known = branch.snapshots.list.findIndex(({ event }) => event >= journal.since);
      const end = known < 0 ? branch.snapshots.count : known;
      if (end === 0) break;
      const saved = branch.snapshots.list[Math.max(0, end - back)];
      if (saved.event === branch.from.event && branch.past !== null) journal.past = branch.past;
      this.restore(saved);
      for (const _piece of this.runTo(here));
    }
    this.isHeard = isHeard;
  }

  /** Cycles at which the next chunk ends. */
  private get nextLook(): number {
    const next = this.now + Math.min(this.chunk, this.cyclesToSnapshot());
    // The machine makes a stop at each multiple anyhow.
    const even = next - (next % this.leastChunk);
    return even > this.now ? even : next;
  }

  private sparedInAll(): number {
    let spared = 0;
    for (const { virtual, counters } of this.machine.vcpus) {
      const { compiledInstructions, skipped } = virtual.processor;
      spared += SPARED_SHARE * compiledInstructions + skipped.instructions;
      spared -= INSTRUCTIONS_PER_EXIT * counters.exits;
    }
    return spared;
  }

  /** The next chunk is to take about as long as all should. */
  private chunkTook(instructions: number): void {
    const { chunk, leastChunk, mostChunk } = this;
    if (instructions < CHUNK_INSTRUCTIONS) this.chunk = Math.min(2 * chunk, mostChunk);
    else if (instructions > 2 * CHUNK_INSTRUCTIONS) this.chunk = Math.max(chunk / 2, leastChunk);
  }

  /** Cycles in which no more instructions are completed than may lie between two snapshots. */
  private cyclesToSnapshot(): number {
    // An instruction takes a cycle at least, and one that is under way may be completed as well.
    const { vcpus, host } = this.machine;
    const processors = Math.min(vcpus.length, host.pcpus.length);
    return Math.max(1, Math.floor(this.instructionsToSnapshot() / processors) - 1);
  }

  /** Instructions that count since the last state that was saved or gone back to. */
  private get sinceBase(): number {
    return this.machine.instructions - this.base.instructions - this.spared;
  }

  /** Until there are as many instructions as may be since the last state that was saved before. */
  private instructionsToSnapshot(): number {
    const { base, settings, machine } = this;
    const known = this.branch.snapshots.before(this.here.event)?.instructions ?? 0;
    // One that was saved just now may have been thinned out again.
    const last = Math.max(known, base.instructions);
    return last + settings.snapshotInterval + this.spared - machine.instructions;
  }

  /** One step of whoever has the next turn, from anywhere. */
  settle(): MachineStop {
    const stop = this.machine.advance(Number.POSITIVE_INFINITY, NEXT_STEP);
    this.arrive(stop);
    return stop;
  }

  /**
   * Where time was up may be before or behind a position with the same event, as there are steps
   * that take no time: it counts as behind it, and before the next.
   */
  private arrive(stop: MachineStop): void {
    const { host } = this.machine;
    const pcpu = host.pausedOn;
    const event = eventOf(this.machine) + (stop === 'until' ? BETWEEN : 0);
    const at = { event, time: host.pcpus[pcpu].state.now, pcpu };
    if (stop === 'ended') this.here = { ...at, isEnd: true };
    else this.here = stop === 'paused' && host.pausedUnmoved ? { ...at, isUnmoved: true } : at;
  }

  /**
   * A pause before the first instruction of a turn, or behind an entry, is no boundary of its own:
   * go to the position at which all clocks came to stand so.
   */
  *comeToPosition(): Generator<void, void> {
    if (this.here.isUnmoved === true) yield* this.goTo(this.here);
  }

  /** Save the state here, to be gone back to quickly. */
  save(isPinned = false): void {
    const { snapshots } = this.branch;
    this.base = this.saved(this.base, isPinned);
    this.spared = 0;
    snapshots.add(this.base);
    snapshots.thin(this.settings.snapshotBytes);
  }

  /** A state that was pinned need not be kept any more, unless a branch begins there. */
  release(branch: number, event: number): void {
    const isBeginning = this.branches.some((one) => one.id === branch && one.from.event === event);
    if (!isBeginning) this.branches[branch].snapshots.unpin(event);
  }

  private saved(base: SavedState | null, isPinned: boolean): SavedState {
    const { machine, journal } = this;
    const snapshot = machine.snapshot(base?.machine);
    const { memory: _pages, ...rest } = snapshot;
    return {
      event: this.here.event,
      time: Math.max(...machine.host.pcpus.map(({ state }) => state.now)),
      machine: snapshot,
      otherBytes: plainBytes(rest),
      mark: journal.mark,
      instructions: machine.instructions,
      isPinned,
    };
  }

  /**
   * Go to a position of this branch: by running on from here if that is shorter than from the
   * nearest state that was saved. Pause requests on the way are not heeded.
   */
  *goTo(target: Position): Generator<void, void> {
    if (target.isUnmoved === true) {
      yield* this.goToEvent(target);
      return;
    }
    const isAhead = this.here.event <= target.event;
    const isQuicker = this.stateBefore(target.event).event > this.here.event;
    if (!isAhead || isQuicker) this.restoreBefore(target.event);
    yield* this.runTo(target);
  }

  private *runTo(target: Position): Generator<void, void> {
    const at = pausePointAt(target);
    while (this.here.event < target.event && this.machine.ending === null) {
      const stop = this.advance(at);
      if (stop === 'ended') break;
      yield;
    }
    this.here = target;
  }

  /** Go to the position of an event by way of the end of a turn before it. */
  private *goToEvent({ event, pcpu, time }: Position): Generator<void, void> {
    const { from } = this.branch;
    this.restore(this.stateBefore(Math.max(event - 1, from.event)));
    if (this.here.event >= event) this.here = from;
    const { state } = this.machine.host.pcpus[pcpu];
    while (state.now < time && this.here.event < event) {
      if (this.advance({ pcpu, time }) === 'ended') return;
      yield;
    }
    while (this.here.event < event) if (this.settle() === 'ended') return;
  }

  /**
   * Go to the latest saved state at or before an event. Before the place where a branch begins,
   * that is the branch that it came from.
   */
  restoreBefore(event: number): void {
    while (this.branch.parent !== null && event < this.branch.from.event) {
      this.branch = this.branch.parent;
    }
    this.restore(this.stateBefore(event));
  }

  /** The same by a time in cycles, and not before the place where this branch begins. */
  restoreBeforeTime(time: number): void {
    const { snapshots, from } = this.branch;
    this.restore(snapshots.beforeTime(time) ?? this.stateBefore(from.event));
  }

  /**
   * Go back to about a time by way of the nearest saved state, and not past a place. Whoever looks
   * from there will look from a little earlier next: the way has states, the closer to its end the
   * closer together.
   */
  *goToTime(time: number, bound: Position): Generator<void, void> {
    this.restoreBeforeTime(time);
    while (this.here.event < bound.event && this.now < time) {
      const left = Math.floor((time - this.now) * LEFT_SHARE);
      if (this.advance(null, time - left) !== 'until') break;
      if (this.sinceBase > INSTRUCTIONS_PER_SAVE) this.save();
      yield;
    }
  }

  private stateBefore(event: number): SavedState {
    let { branch } = this;
    while (branch.parent !== null && event < branch.from.event) branch = branch.parent;
    const found = branch.snapshots.before(event);
    if (found === null) throw new RangeError(`there is nothing before event ${event}`);
    return found;
  }

  private restore(saved: SavedState): void {
    this.machine.restore(saved.machine);
    this.journal.rewind(saved.mark, saved.event);
    this.attention.begin();
    this.base = saved;
    this.spared = 0;
    this.reached = 0;
    const { time, pcpu } = this.here;
    this.here = { event: saved.event, time, pcpu };
  }

  /** The state here has been changed by hand: history goes another way from here on. */
  fork(cause: string): Branch {
    const { here: from, branch: current, journal } = this;
    const isNew = current.parent !== null && current.from.event === from.event;
    const snapshots = new Snapshots();
    const branch: Branch = isNew
      ? { ...current, cause: `${current.cause}; ${cause}`, snapshots }
      : { id: this.branches.length, parent: current, from, cause, snapshots, past: journal.past };
    this.branches[branch.id] = branch;
    this.branch = branch;
    this.save(true);
    return branch;
  }

  /** Change over to the place where another branch begins. */
  switchTo(branch: Branch): void {
    this.branch = branch;
    if (branch.past !== null) this.journal.past = branch.past;
    this.restore(this.stateBefore(branch.from.event));
    this.here = branch.from;
  }
}
