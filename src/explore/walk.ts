// Schedules by chance, for what is too large to be searched: a random walk, and probabilistic
// concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with
// Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).

import { Prng } from '../sim/index.ts';
import { Waiting } from './waiting.ts';
import type { Action, World } from './world.ts';

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
  /** For `pct`: the probability of having missed a bug of the depth that was asked for, at most. */
  readonly missed: number;
}

/** Chooses among enabled actions. */
export type Choice = (enabled: readonly Action[], step: number) => Action;

/**
 * Who chooses the actions of one run.
 * @param length steps that the run may have, for `pct`
 */
export function chooser(
  world: World,
  { strategy, depth }: Pick<WalkOptions, 'strategy' | 'depth'>,
  prng: Prng,
  length: number,
): Choice {
  return strategy === 'random'
    ? (enabled: readonly Action[]) => enabled[prng.below(enabled.length)]
    : priorities(world, prng, depth, length);
}

export function walk(world: World, options: WalkOptions, observer: WalkObserver): WalkResult {
  const prng = new Prng(options.seed);
  const start = world.save();
  const schedule: Action[] = [];
  let longest = 0;
  let unfinished = 0;
  let missed = 1;
  world.onAction = (action) => schedule.push(action);
  try {
    for (let run = 1; run <= options.runs; run++) {
      world.restore(start);
      schedule.length = 0;
      const guess = Math.max(longest, FIRST_GUESS);
      const choose = chooser(world, options, prng, guess);
      const outcome = oneRun(world, choose, options.steps, observer);
      longest = Math.max(longest, schedule.length);
      // Of a run that is longer than was known, nothing is promised.
      const isKnown = outcome !== 'surprised' && schedule.length <= guess;
      if (isKnown) missed *= 1 - hitChance(world, options.depth, guess);
      if (outcome === 'found') return { schedule: schedule.slice(), runs: run, unfinished, missed };
      if (outcome === 'unfinished') unfinished++;
      if (outcome === 'surprised') run--;
    }
    return { schedule: null, runs: options.runs, unfinished, missed };
  } finally {
    world.onAction = null;
  }
}

/** How probable it is that one run finds a bug of a depth: the theorem of the paper. */
function hitChance({ vcpus }: World, depth: number, length: number): number {
  return 1 / (vcpus.length * KINDS * length ** (depth - 1));
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

/** Ways to go on that a vCPU may have, each with a priority. */
const KINDS = 3;

/**
 * What may happen next has a priority, by chance, and the highest that can happen does. At each of
 * depth - 1 steps, chosen beforehand from all that a run has, whoever would go on gets a priority
 * below all these: the numbers of the steps, not their order, say who of those is lower. Who only
 * waits is passed over until something changes for him.
 */
function priorities(world: World, prng: Prng, depth: number, length: number): Choice {
  const values = Array.from({ length: world.vcpus.length * KINDS }, (_, i) => depth + i);
  for (let i = values.length - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [values[i], values[j]] = [values[j], values[i]];
  }
  const changes = new Map<number, number>();
  for (let value = 1; value < depth; value++) changes.set(prng.below(length), value);
  const waiting = new Waiting(world);
  return (enabled, step) => {
    waiting.goesRound();
    const awake = enabled.filter((action) => !waiting.isVain(action));
    const able = awake.length === 0 ? enabled : awake;
    const highest = () => able.reduce((a, b) => (values[b] > values[a] ? b : a));
    const change = changes.get(step);
    if (change !== undefined) values[highest()] = change;
    const chosen = highest();
    waiting.takes(chosen);
    return chosen;
  };
}
