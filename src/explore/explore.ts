// An exploration: look for a violation on every schedule, or on many, and say which schedule shows
// it best.

import type { MachineOptions, Scenario } from '../machine/index.ts';
import { type StateGraph, stateGraph } from './livelock.ts';
import { countSwitches } from './schedule.ts';
import { type SearchOptions, type SearchResult, search } from './search.ts';
import {
  type Expectations,
  outputOf,
  type Violation,
  violationAtTheEnd,
  violationOnTheWay,
} from './violation.ts';
import { walk } from './walk.ts';
import { type Action, World, type WorldState } from './world.ts';

/** `all` schedules, or runs by chance. */
export const STRATEGIES = ['all', 'random', 'pct'] as const;

export type Strategy = (typeof STRATEGIES)[number];

export interface ExploreOptions {
  readonly strategy: Strategy;
  readonly expectations: Expectations;
  /** x86-TSO. */
  readonly storeBuffers: boolean;
  /** For `all`: states to visit at most. */
  readonly states: number;
  /** For `all`: see {@link SearchOptions}; Infinity for any number. */
  readonly preemptions: number;
  /** For `random` and `pct`: runs, and steps of each at most. */
  readonly runs: number;
  readonly steps: number;
  /** For `pct`: the number of orderings that a bug depends on. */
  readonly depth: number;
  readonly seed: number;
  /** Go this way first, as far as it leads, and explore from there. */
  readonly prefix: readonly Action[];
  /** `shared` of the report that the prefix is from. */
  readonly shared: readonly number[];
}

/** What is explored if nobody says anything else. */
export const EVERY_SCHEDULE: ExploreOptions = {
  strategy: 'all',
  expectations: { exclusive: [], output: null },
  storeBuffers: false,
  states: 1_000_000,
  preemptions: Number.POSITIVE_INFINITY,
  runs: 1000,
  steps: 100_000,
  depth: 3,
  seed: 1,
  prefix: [],
  shared: [],
};

/** An ending that was met, and how often. */
export interface Outcome {
  readonly status: string;
  readonly message: string;
  readonly output: string;
  /** Final states; with `random` and `pct`, runs. */
  count: number;
}

export interface ExploreReport {
  /** `incomplete` if a limit was reached and nothing was found. */
  readonly verdict: 'pass' | 'violation' | 'incomplete';
  readonly violation: Violation | null;
  /** Everything that happens from the start to the violation, or null. */
  readonly schedule: readonly Action[] | null;
  /**
   * With store buffers, what the schedule takes to be shared, and so goes through them: a world
   * that is to follow it has to know. Words of memory (address / 8), and -1 - n for what KVM holds
   * for vCPU n.
   */
  readonly shared: readonly number[];
  /** Times that somebody who could go on was left, in that schedule. */
  readonly switches: number;
  readonly outcomes: readonly Outcome[];
  /** For `all`: different states; else 0. */
  readonly states: number;
  readonly transitions: number;
  /** For `all`: ways that were followed until they ended or came to a state that was known. */
  readonly schedules: number;
  /** Instructions and other steps executed. */
  readonly steps: number;
  readonly runs: number;
  /** Runs that did not end within their steps. */
  readonly unfinished: number;
  /** What could not be found out, as sentences; nothing if all is said. */
  readonly notes: readonly string[];
}

/** Of the preemptions of a found schedule, how many fewer are tried. */
const FEW_PREEMPTIONS = 4;

/** Throws RangeError if the scenario is not for exploration; see {@link World}. */
export function explore(
  scenario: Scenario,
  machineOptions: MachineOptions,
  options: ExploreOptions,
): ExploreReport {
  const world = new World(scenario, machineOptions, {
    storeBuffers: options.storeBuffers,
    shared: options.shared,
    sections: options.expectations.exclusive,
  });
  const origin = world.save();
  const followed = follow(world, options.prefix);
  const exploration = new Exploration(world, options, followed, origin);
  return options.strategy === 'all' ? exploration.searchAll() : exploration.walk(options.strategy);
}

/** Take the actions of a schedule as far as they can be taken; those that were. */
export function follow(world: World, schedule: readonly Action[]): readonly Action[] {
  for (const [i, action] of schedule.entries()) {
    if (!world.enabled().includes(action)) return schedule.slice(0, i);
    world.take(action);
  }
  return schedule;
}

const LIVELOCK: Violation = {
  kind: 'livelock',
  message: 'from here on no schedule leads to an end: everybody waits for somebody',
};

class Exploration {
  private readonly world: World;
  private readonly options: ExploreOptions;
  private readonly prefix: readonly Action[];
  /** Before the prefix. */
  private readonly origin: WorldState;
  private violation: Violation | null = null;
  private shared: readonly number[] = [];
  private readonly outcomes = new Map<string, Outcome>();
  private readonly notes: string[] = [];

  constructor(
    world: World,
    options: ExploreOptions,
    prefix: readonly Action[],
    origin: WorldState,
  ) {
    this.world = world;
    this.origin = origin;
    this.options = options;
    this.prefix = prefix;
  }

  private noteOutcome(): void {
    const { ending } = this.world;
    const status = ending?.status ?? 'stuck';
    const output = outputOf(this.world);
    const key = JSON.stringify([status, ending?.exitCode, output]);
    const known = this.outcomes.get(key);
    if (known !== undefined) known.count++;
    else {
      const message = ending?.message ?? 'nothing can happen any more';
      this.outcomes.set(key, { status, message, output, count: 1 });
    }
  }

  private readonly onTheWay = (world: World): boolean => {
    this.violation = violationOnTheWay(world, this.options.expectations);
    return this.violation !== null;
  };

  private readonly atTheEnd = (world: World): boolean => {
    this.noteOutcome();
    this.violation = violationAtTheEnd(world, this.options.expectations);
    return this.violation !== null;
  };

  /** To be called where a schedule was found, before something else turns out to be shared. */
  private noteShared(): void {
    if (this.world.hasBuffers) this.shared = this.world.sharing.known;
  }

  private search(more: Partial<SearchOptions>, preemptions: number, states: number): SearchResult {
    return search(this.world, {
      limits: { states, preemptions },
      observer: {
        state: this.onTheWay,
        final: this.atTheEnd,
        restart: () => this.outcomes.clear(),
      },
      reduces: true,
      ...more,
    });
  }

  searchAll(): ExploreReport {
    const { world, options } = this;
    const start = world.save();
    const graph = stateGraph();
    const result = this.search({ graph }, options.preemptions, options.states);
    let { schedule } = result;
    this.noteShared();
    if (schedule !== null) schedule = this.shortest(schedule, result.statistics.states, start);
    else if (!result.isComplete) {
      this.notes.push(
        `stopped after ${options.states} states: raise --states, bound the --preemptions, ` +
          'or walk by --strategy pct',
      );
    } else if (options.preemptions === Number.POSITIVE_INFINITY) {
      world.restore(start);
      schedule = this.endless(graph);
    }
    return this.report(schedule, result.isComplete, {
      states: result.statistics.states,
      transitions: result.statistics.transitions,
      schedules: result.statistics.schedules,
      steps: world.steps,
    });
  }

  /** The same violation with as few preemptions as possible. */
  private shortest(
    found: readonly Action[],
    states: number,
    start: ReturnType<World['save']>,
  ): readonly Action[] {
    const kind = this.violation?.kind;
    const before = this.violation;
    const most = Math.min(FEW_PREEMPTIONS, countSwitches(found));
    const outcomes = [...this.outcomes];
    for (let preemptions = 0; preemptions < most; preemptions++) {
      this.world.restore(start);
      const { schedule } = this.search({}, preemptions, Math.max(2 * states, 10_000));
      if (schedule !== null && this.violation?.kind === kind) {
        this.noteShared();
        return schedule;
      }
    }
    this.violation = before;
    this.outcomes.clear();
    for (const [key, outcome] of outcomes) this.outcomes.set(key, outcome);
    return found;
  }

  /** A state from which no schedule leads to an end, while others do. */
  private endless(graph: StateGraph): readonly Action[] | null {
    if (this.outcomes.size === 0) {
      this.noteShared();
      if (this.prefix.length > 0 && this.canEnd()) {
        this.violation = LIVELOCK;
        return [];
      }
      this.notes.push('no schedule ends: the guest goes on for ever');
      return null;
    }
    const guilty = graph.endless();
    if (guilty.size === 0) return null;
    const { schedule } = this.search(
      { observer: { state: (world) => guilty.has(world.keyOf(world.save())) } },
      Number.POSITIVE_INFINITY,
      this.options.states,
    );
    this.noteShared();
    this.violation = LIVELOCK;
    return schedule;
  }

  /** True if some schedule that does not begin with the prefix ends. */
  private canEnd(): boolean {
    let isEnded = false;
    const final = () => {
      isEnded = true;
      return true;
    };
    this.world.restore(this.origin);
    this.search({ observer: { final } }, Number.POSITIVE_INFINITY, this.options.states);
    return isEnded;
  }

  walk(strategy: 'random' | 'pct'): ExploreReport {
    const { world, options } = this;
    const result = walk(
      world,
      { ...options, strategy },
      { state: this.onTheWay, final: this.atTheEnd },
    );
    this.noteShared();
    if (result.unfinished > 0) {
      this.notes.push(`${result.unfinished} runs had not ended after ${options.steps} steps`);
    }
    if (strategy === 'pct' && result.schedule === null) {
      const chance = 100 * (1 - result.missed);
      this.notes.push(
        `a bug of depth ${options.depth} would have been found with a probability of at least ` +
          `${chance === 0 ? 0 : chance.toPrecision(2)} %`,
      );
    }
    return this.report(result.schedule, true, { runs: result.runs, unfinished: result.unfinished });
  }

  private report(
    schedule: readonly Action[] | null,
    isComplete: boolean,
    counts: Partial<ExploreReport>,
  ): ExploreReport {
    const isFound = schedule !== null;
    const whole = isFound ? [...this.prefix, ...schedule] : null;
    return {
      verdict: isFound ? 'violation' : isComplete ? 'pass' : 'incomplete',
      violation: isFound ? this.violation : null,
      schedule: whole,
      shared: isFound ? this.shared : [],
      switches: whole === null ? 0 : countSwitches(whole),
      outcomes: [...this.outcomes.values()],
      states: 0,
      transitions: 0,
      schedules: 0,
      steps: this.world.steps,
      runs: 0,
      unfinished: 0,
      notes: this.notes,
      ...counts,
    };
  }
}
