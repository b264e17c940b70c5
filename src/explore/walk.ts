// Schedules by chance, for what is too large to be searched: a random walk, and probabilistic
// concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with
// Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).

import { Prng } from '../sim/index.ts';
import { type Action, vcpuOf, type World } from './world.ts';

export interface WalkOptions {
  readonly strategy: 'random' | 'pct';
  readonly seed: number;
  readonly runs: number;
  /** Of a run: steps after which it is given up. */
  readonly steps: number;
  /** The number of orderings that a bug to be found depends on; for `pct`. */
  readonly depth: number;
}

export interface WalkObserver {
  /** After each action; true ends the walk. */
  state(world: World): boolean;
  /** Nothing can happen any more. */
  final(world: World): boolean;
}

export interface WalkResult {
  /** The actions of the run in which the observer ended the walk, or null. */
  readonly schedule: readonly Action[] | null;
  readonly runs: number;
  /** Runs that had not ended after the steps that they may take. */
  readonly unfinished: number;
  /** Steps of the longest run. */
  readonly longest: number;
}

/** Chooses among enabled actions. */
export type Choice = (enabled: readonly Action[], step: number) => Action;

/**
 * Who chooses the actions of one run.
 * @param longest actions of the longest run so far, or 0
 */
export function chooser(
  world: World,
  { strategy, depth }: Pick<WalkOptions, 'strategy' | 'depth'>,
  prng: Prng,
  longest: number,
): Choice {
  return strategy === 'random'
    ? (enabled: readonly Action[]) => enabled[prng.below(enabled.length)]
    : priorities(world, prng, depth, Math.max(longest, FIRST_GUESS));
}

export function walk(world: World, options: WalkOptions, observer: WalkObserver): WalkResult {
  const prng = new Prng(options.seed);
  const start = world.save();
  const schedule: Action[] = [];
  let longest = 0;
  let unfinished = 0;
  world.onAction = (action) => schedule.push(action);
  try {
    for (let run = 1; run <= options.runs; run++) {
      world.restore(start);
      schedule.length = 0;
      const choose = chooser(world, options, prng, longest);
      const outcome = oneRun(world, choose, options.steps, observer);
      longest = Math.max(longest, schedule.length);
      if (outcome === 'found')
        return { schedule: schedule.slice(), runs: run, unfinished, longest };
      if (outcome === 'unfinished') unfinished++;
      if (outcome === 'surprised') run--;
    }
    return { schedule: null, runs: options.runs, unfinished, longest };
  } finally {
    world.onAction = null;
  }
}

/** Steps of a run, before one has been seen. */
const FIRST_GUESS = 100;

function oneRun(
  world: World,
  choose: Choice,
  steps: number,
  observer: WalkObserver,
): 'found' | 'ended' | 'unfinished' | 'surprised' {
  const { generation } = world.sharing;
  for (let step = 0; step < steps; step++) {
    const enabled = world.enabled();
    if (enabled.length === 0) return observer.final(world) ? 'found' : 'ended';
    world.take(choose(enabled, step));
    // Stores to it went past the buffer: nobody could follow such a schedule.
    if (world.hasBuffers && world.sharing.generation !== generation) return 'surprised';
    if (observer.state(world)) return 'found';
  }
  return 'unfinished';
}

/**
 * Each vCPU has a priority, the highest that can goes on, and at depth - 1 steps, chosen beforehand
 * from all that a run has, the one that runs becomes the least. What waits to happen by itself has
 * priorities too.
 */
function priorities(world: World, prng: Prng, depth: number, length: number): Choice {
  const kinds = 3;
  const order = Array.from({ length: world.vcpus.length * kinds }, (_, action) => action);
  for (let i = order.length - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  const changes = new Set(Array.from({ length: depth - 1 }, () => prng.below(length)));
  const spins = new Map<Action, number>();
  const demote = (action: Action) => {
    order.splice(order.indexOf(action), 1);
    order.push(action);
    spins.set(action, 0);
  };
  return (enabled, step) => {
    const first = () => order.find((action) => enabled.includes(action)) as Action;
    if (changes.has(step)) demote(first());
    const chosen = first();
    const spun = (spins.get(chosen) ?? 0) + 1;
    spins.set(chosen, spun);
    // Who waits for somebody of lower priority would wait for ever.
    if (spun > PATIENCE && enabled.some((action) => vcpuOf(action) !== vcpuOf(chosen))) {
      demote(chosen);
    }
    return chosen;
  };
}

/** Steps in a row after which a vCPU is taken to wait for another. */
const PATIENCE = 500;
