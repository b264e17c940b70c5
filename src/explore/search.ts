// Every schedule of a machine: depth first, each state once, and in each state only what is enough
// (persistent.ts). So that nothing is left out for ever, on each cycle some state leaves nothing
// out.

import type { StateGraph } from './livelock.ts';
import { type Alone, Lookahead } from './lookahead.ts';
import { type PersistentSet, persistentSets } from './persistent.ts';
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
  /** Ways that were followed until they ended or came to a state that was known. */
  schedules: number;
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
  /** Leave out what makes no difference; without, every transition is taken. */
  readonly reduces: boolean;
  /** Is told which states follow which. */
  readonly graph?: StateGraph;
}

interface Frame {
  readonly state: WorldState;
  readonly key: number;
  /** What is still to be taken from here. */
  todo: Action[];
  /** What may be taken from here at all, in order. */
  readonly allowed: readonly Action[];
  /** Smaller parts of that which may be enough, if the one that is being taken is not. */
  readonly sets: PersistentSet[];
  /** What is being taken, or null for all that is allowed. */
  set: PersistentSet | null;
  /** True until an action has led to where the search does not stand already. */
  isIgnoring: boolean;
  /** The last that took a step, or -1: nobody, or one that waits. */
  readonly last: number;
  readonly canGoOn: boolean;
  readonly preemptions: number;
  /** How long the schedule was that led here. */
  readonly length: number;
}

/** Begins again, knowing more of what is shared. */
class TooLittleShared extends Error {}

/** Comes before the first state. */
const START = -1;

/** No vCPU. */
const NOBODY = -1;

export function search(world: World, options: SearchOptions): SearchResult {
  const statistics = { states: 0, transitions: 0, schedules: 0, steps: 0, depth: 0, restarts: 0 };
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
      statistics.transitions = 0;
      statistics.schedules = 0;
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
   * For each state, the preemptions that were left at best; with a bound on them, by the vCPU that
   * came last.
   */
  private readonly visited: Map<number, number>[] = [];
  /** The states of the frames, as `visited`. */
  private readonly standing: Set<number>[] = [];
  private readonly frames: Frame[] = [];
  /** The actions taken on the way to where the world is now, the hidden ones included. */
  private readonly schedule: Action[] = [];
  private readonly generation: number;
  private readonly lookahead: Lookahead;

  constructor(world: World, options: SearchOptions, statistics: SearchStatistics) {
    this.world = world;
    this.options = options;
    this.statistics = statistics;
    this.generation = world.sharing.generation;
    this.lookahead = new Lookahead(world);
  }

  private get isBounded(): boolean {
    return this.options.limits.preemptions !== Number.POSITIVE_INFINITY;
  }

  run(): SearchResult {
    const { world, statistics, frames, schedule } = this;
    world.onAction = (action) => schedule.push(action);
    const stepsBefore = world.steps;
    try {
      if (this.enter(START, NOBODY, this.options.limits.preemptions) === 'found') {
        return this.found();
      }
      for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
        const action = frame.todo.pop();
        if (action === undefined) {
          if (this.widen(frame)) continue;
          frames.pop();
          this.placeOf(this.standing, frame.last, newSet).delete(frame.key);
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

  /**
   * Everything that a part of the actions led to is where the search already stands: what was left
   * out might be left out for ever. True if there is more to take now.
   */
  private widen(frame: Frame): boolean {
    if (frame.set === null || !frame.isIgnoring) return false;
    this.takeInstead(frame, frame.sets.shift() ?? null);
    return frame.todo.length > 0;
  }

  /** Take another part, or null for all that is allowed. */
  private takeInstead(frame: Frame, set: PersistentSet | null): void {
    const taken = frame.set?.actions ?? [];
    const next = set?.actions ?? frame.allowed;
    frame.todo = next.filter((action) => !taken.includes(action)).reverse();
    frame.set = set;
  }

  /** Take an action in the state of a frame; true if the observer ends the search. */
  private go(frame: Frame, action: Action): boolean {
    const { world } = this;
    const isStep = kindOf(action) === ActionKind.STEP;
    const vcpu = vcpuOf(action);
    this.statistics.transitions++;
    world.paused = 0;
    const sections = this.sections();
    world.take(action);
    world.settle();
    const isSwitch = isStep && vcpu !== frame.last && frame.canGoOn;
    const waits = isStep && (world.paused & (1 << vcpu)) !== 0;
    const last = waits ? NOBODY : isStep ? vcpu : frame.last;
    const isCrossing = frame.set?.others.some(({ alone }) => alone.crosses) === true;
    if (isCrossing && sections !== this.sections()) {
      // Which of them comes first into a section, or out of it, is to be seen.
      frame.todo = frame.allowed
        .filter((other) => !frame.set?.actions.includes(other) || frame.todo.includes(other))
        .reverse();
      frame.set = null;
    }
    const outcome = this.enter(frame.key, last, frame.preemptions - (isSwitch ? 1 : 0));
    if (outcome !== 'standing') frame.isIgnoring = false;
    return outcome === 'found';
  }

  private sections(): string {
    return this.world.vcpus.map(({ index }) => this.world.sectionsOf(index)).join();
  }

  /**
   * The world has come to a state: note it, and what is to be done from there. `standing` if the
   * search has not left that state.
   */
  private enter(from: number, last: number, preemptions: number): 'found' | 'standing' | 'passed' {
    const { world, statistics, frames } = this;
    const { observer, graph } = this.options;
    world.settle();
    if (world.sharing.generation !== this.generation) throw new TooLittleShared();
    const state = world.save();
    const key = world.keyOf(state);
    graph?.edge(from, key);
    const visited = this.placeOf(this.visited, last, newMap);
    const known = visited.get(key);
    if (known !== undefined && known >= preemptions) {
      statistics.schedules++;
      return this.placeOf(this.standing, last, newSet).has(key) ? 'standing' : 'passed';
    }
    visited.set(key, preemptions);
    const enabled = world.enabled();
    if (known === undefined) {
      statistics.states++;
      if (observer.state?.(world) === true) return 'found';
      if (enabled.length === 0) {
        statistics.schedules++;
        graph?.final(key);
        return observer.final?.(world) === true ? 'found' : 'passed';
      }
    }
    const canGoOn = enabled.some((action) => vcpuOf(action) === last && !isEvent(action));
    const allowed = this.affordable(enabled, last, canGoOn && preemptions <= 0);
    const sets = this.setsOf(state, enabled, last);
    if (world.sharing.generation !== this.generation) throw new TooLittleShared();
    const set = sets.shift() ?? null;
    const todo = [...(set?.actions ?? allowed)].reverse();
    const { length } = this.schedule;
    frames.push({
      ...{ state, key, todo, allowed, sets, set, isIgnoring: true },
      ...{ last, canGoOn, preemptions, length },
    });
    this.placeOf(this.standing, last, newSet).add(key);
    statistics.depth = Math.max(statistics.depth, frames.length);
    return 'passed';
  }

  private setsOf(state: WorldState, enabled: readonly Action[], last: number): PersistentSet[] {
    const { world, lookahead } = this;
    if (!this.options.reduces) return [];
    const known: Alone[] = [];
    const alone = (vcpu: number) => {
      known[vcpu] ??= lookahead.alone(vcpu, state);
      return known[vcpu];
    };
    // To take a step earlier that somebody else would take must not cost a preemption.
    return persistentSets({ world, enabled, alone, only: this.isBounded ? last : null });
  }

  private placeOf<T>(places: T[], last: number, make: () => T): T {
    const index = this.isBounded ? last + 1 : 0;
    places[index] ??= make();
    return places[index];
  }

  /** Who runs goes on first; the others only while there are preemptions left. */
  private affordable(enabled: readonly Action[], last: number, isLast: boolean): Action[] {
    const isOwn = (action: Action) => vcpuOf(action) === last || kindOf(action) !== ActionKind.STEP;
    const own = enabled.filter(isOwn);
    return isLast ? own : [...own, ...enabled.filter((action) => !isOwn(action))];
  }
}

const isEvent = (action: Action) => kindOf(action) === ActionKind.EVENT;
const newMap = () => new Map<number, number>();
const newSet = () => new Set<number>();
