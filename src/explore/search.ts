// Every schedule of a machine: depth first, each state once. Of actions that do not depend on each
// other one order is enough, by sleep sets (Godefroid, "Partial-Order Methods for the Verification
// of Concurrent Systems", 1996): they leave out transitions, never states.

import type { StateGraph } from './livelock.ts';
import { type Action, ActionKind, kindOf, vcpuOf, type World, type WorldState } from './world.ts';

/** What a search may do at most; whatever is reached first ends it. */
export interface SearchLimits {
  readonly states: number;
  /** Times that a vCPU which could go on is left for another one; Infinity for any number. */
  readonly preemptions: number;
}

export interface SearchStatistics {
  /** Different states. */
  states: number;
  transitions: number;
  /** Actions taken, those that nobody can notice included. */
  steps: number;
  /** The longest schedule, in transitions. */
  depth: number;
  /** Times that the search began again because something turned out to be shared. */
  restarts: number;
}

/** Who watches a search; true ends it. */
export interface SearchObserver {
  /** A state was reached for the first time. */
  state?(world: World): boolean;
  /** In a state nothing can happen any more. */
  final?(world: World): boolean;
  /** Something has turned out to be shared: the search begins again, and forgets. */
  restart?(): void;
}

export interface SearchResult {
  /** True if there is nothing left within the bound on preemptions. */
  readonly isComplete: boolean;
  /** The actions that lead to the state at which an observer ended the search, or null. */
  readonly schedule: readonly Action[] | null;
  readonly statistics: SearchStatistics;
}

export interface SearchOptions {
  readonly limits: SearchLimits;
  readonly observer: SearchObserver;
  /** Leave out orders of independent actions; without, every transition is taken. */
  readonly reduces: boolean;
  /** Is told which states follow which. */
  readonly graph?: StateGraph;
}

interface Frame {
  readonly state: WorldState;
  readonly key: number;
  /** What is still to be taken from here. */
  readonly todo: Action[];
  /** Bits of the actions that need not be taken from here. */
  sleeping: number;
  /** Of all that are enabled, in order. */
  readonly enabled: readonly Action[];
  readonly last: number;
  readonly preemptions: number;
  /** How long the schedule was that led here. */
  readonly length: number;
}

/** Begins again, knowing more of what is shared. */
class TooLittleShared extends Error {}

/** Comes before the first state. */
const START = -1;

const bit = (action: Action) => 1 << action;

export function search(world: World, options: SearchOptions): SearchResult {
  const statistics = { states: 0, transitions: 0, steps: 0, depth: 0, restarts: 0 };
  const start = world.save();
  for (;;) {
    const attempt = new Search(world, options, statistics);
    try {
      return attempt.run();
    } catch (thrown) {
      if (!(thrown instanceof TooLittleShared)) throw thrown;
      statistics.restarts++;
      options.observer.restart?.();
      options.graph?.clear();
      statistics.states = 0;
      statistics.depth = 0;
      world.restore(start);
    }
  }
}

class Search {
  private readonly world: World;
  private readonly options: SearchOptions;
  private readonly statistics: SearchStatistics;
  /**
   * For each state, the bits of what was left asleep there. With a bound on preemptions, for each
   * vCPU that came last and each state, how many were left at best.
   */
  private readonly visited: Map<number, number>[] = [];
  private readonly frames: Frame[] = [];
  /** The actions taken on the way to where the world is now, the hidden ones included. */
  private readonly schedule: Action[] = [];
  private readonly generation: number;

  constructor(world: World, options: SearchOptions, statistics: SearchStatistics) {
    this.world = world;
    this.options = options;
    this.statistics = statistics;
    this.generation = world.sharing.generation;
  }

  private get isBounded(): boolean {
    return this.options.limits.preemptions !== Number.POSITIVE_INFINITY;
  }

  run(): SearchResult {
    const { world, statistics, frames, schedule } = this;
    world.onAction = (action) => schedule.push(action);
    const stepsBefore = world.steps;
    try {
      if (this.enter(START, 0, -1, this.options.limits.preemptions)) return this.found();
      for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
        const action = frame.todo.pop();
        if (action === undefined) {
          frames.pop();
          continue;
        }
        if (statistics.states >= this.options.limits.states) return this.result(false, null);
        world.restore(frame.state);
        schedule.length = frame.length;
        if (this.go(frame, action)) return this.found();
      }
      return this.result(true, null);
    } finally {
      statistics.steps += world.steps - stepsBefore;
      world.onAction = null;
    }
  }

  private found(): SearchResult {
    return this.result(false, this.schedule.slice());
  }

  private result(isComplete: boolean, schedule: readonly Action[] | null): SearchResult {
    return { isComplete, schedule, statistics: this.statistics };
  }

  /** Take an action in the state of a frame; true if the observer ends the search. */
  private go(frame: Frame, action: Action): boolean {
    const { world } = this;
    let sleeping = 0;
    if (this.options.reduces && !this.isBounded) {
      const footprint = world.footprintOf(action);
      for (const other of frame.enabled) {
        if ((frame.sleeping & bit(other)) === 0 || other === action) continue;
        const isFree = !world.dependent(action, footprint, other, world.footprintOf(other));
        if (isFree) sleeping |= bit(other);
      }
      frame.sleeping |= bit(action);
    }
    this.statistics.transitions++;
    world.take(action);
    const vcpu = vcpuOf(action);
    const isSwitch =
      kindOf(action) === ActionKind.STEP &&
      vcpu !== frame.last &&
      frame.enabled.includes(frame.last * 3);
    const last = kindOf(action) === ActionKind.STEP ? vcpu : frame.last;
    return this.enter(frame.key, sleeping, last, frame.preemptions - (isSwitch ? 1 : 0));
  }

  /** The world has come to a state: note it, and what is to be done from there. */
  private enter(from: number, sleepingBefore: number, last: number, preemptions: number): boolean {
    const { world, statistics, frames } = this;
    world.settle();
    const { observer } = this.options;
    if (world.sharing.generation !== this.generation) throw new TooLittleShared();
    const state = world.save();
    const enabled = world.enabled();
    let sleeping = sleepingBefore;
    const visited = this.visitedAfter(last);
    const key = world.keyOf(state);
    const known = visited.get(key);
    this.options.graph?.edge(from, key);
    let todo: Action[];
    if (known === undefined) {
      statistics.states++;
      visited.set(key, this.isBounded ? preemptions : sleeping);
      if (observer.state?.(world) === true) return true;
      if (enabled.length === 0) {
        this.options.graph?.final(key);
        return observer.final?.(world) === true;
      }
      todo = enabled.filter((action) => (sleeping & bit(action)) === 0);
    } else if (this.isBounded) {
      if (known >= preemptions) return false;
      visited.set(key, preemptions);
      todo = [...enabled];
    } else {
      // What slept then and does not now has not been taken from here.
      todo = enabled.filter((action) => (known & ~sleeping & bit(action)) !== 0);
      if (todo.length === 0) return false;
      visited.set(key, known & sleeping);
      for (const action of enabled) {
        if (!todo.includes(action)) sleeping |= bit(action);
      }
    }
    if (this.isBounded) todo = this.affordable(todo, enabled, last, preemptions);
    const length = this.schedule.length;
    frames.push({ state, key, todo: todo.reverse(), sleeping, enabled, last, preemptions, length });
    statistics.depth = Math.max(statistics.depth, frames.length);
    return false;
  }

  private visitedAfter(last: number): Map<number, number> {
    const index = this.isBounded ? last + 1 : 0;
    this.visited[index] ??= new Map();
    return this.visited[index];
  }

  /** Who runs goes on first; the others only while there are preemptions left. */
  private affordable(
    todo: readonly Action[],
    enabled: readonly Action[],
    last: number,
    preemptions: number,
  ): Action[] {
    const isForced = !enabled.includes(last * 3);
    const own = todo.filter((action) => vcpuOf(action) === last || kindOf(action) !== 0);
    if (preemptions <= 0 && !isForced) return own;
    return [...own, ...todo.filter((action) => !own.includes(action))];
  }
}
