// Runs cases in which something else than virtual time decides the order of steps: a prefix of the
// case, and then chance, as in explore. The same seed goes the same way.

import {
  type Action,
  ActionKind,
  chooser,
  type Expectations,
  kindOf,
  parseSchedule,
  printSchedule,
  vcpuOf,
  violationAtTheEnd,
  violationOnTheWay,
  World,
} from '../explore/index.ts';
import type { Scenario } from '../machine/index.ts';
import { Prng } from '../sim/index.ts';
import type { CaseSchedule } from './case.ts';
import type { Coverage } from './coverage.ts';
import type { FuzzTarget, Outcome } from './executor.ts';
import { type Finding, internalFinding, scheduleFinding } from './finding.ts';

/** Who decides the order of steps: virtual time, or chance. */
export const FUZZ_STRATEGIES = ['time', 'random', 'pct'] as const;

export type Strategy = (typeof FUZZ_STRATEGIES)[number];

/** Orderings that a bug may depend on; for `pct`. */
const DEPTH = 3;

type Result = Omit<Outcome, 'features' | 'tokens'>;

/** Tries, each of which knows more of what is shared. */
const MOST_TRIES = 64;

export class ScheduleRunner {
  private readonly target: FuzzTarget;
  private readonly coverage: Coverage;
  private readonly expectations: Expectations = { exclusive: [], output: null };

  constructor(target: FuzzTarget, coverage: Coverage) {
    this.target = target;
    this.coverage = coverage;
  }

  run(scenario: Scenario, schedule: CaseSchedule | null): Result {
    const steps: Action[] = [];
    // Of this run only: what others found out must make no difference.
    let shared: readonly number[] = [];
    try {
      for (let i = 0; i < MOST_TRIES; i++) {
        const { options, storeBuffers } = this.target;
        const world = new World(scenario, options, { storeBuffers, shared });
        steps.length = 0;
        this.coverage.reset();
        this.coverage.watch(world.machine);
        world.machine.host.sink = this.coverage;
        const { generation } = world.sharing;
        const finding = this.walk(world, schedule, steps);
        // Stores to what was not known to be shared went past the buffer: once more.
        if (world.hasBuffers && world.sharing.generation !== generation) {
          shared = world.sharing.known;
          continue;
        }
        return { finding, length: steps.length, steps: printSchedule(steps), shared };
      }
      throw new Error('what is shared does not become known');
    } catch (thrown) {
      const finding = internalFinding('internal', thrown);
      return { finding, length: steps.length, steps: printSchedule(steps), shared: [] };
    }
  }

  private walk(world: World, schedule: CaseSchedule | null, steps: Action[]): Finding | null {
    const prefix = parseSchedule(schedule?.prefix ?? '') ?? [];
    const prng = new Prng(schedule?.seed ?? 0);
    const { strategy, limit } = this.target;
    const options = { strategy: strategy === 'pct' ? 'pct' : 'random', depth: DEPTH } as const;
    const choose = chooser(world, options, prng, limit / 20);
    let before = 0;
    while (steps.length < limit) {
      const enabled = world.enabled();
      if (enabled.length === 0) {
        const violation = violationAtTheEnd(world, this.expectations);
        return violation === null ? null : scheduleFinding(violation, world.machine);
      }
      const wanted = prefix[steps.length];
      const action = enabled.includes(wanted) ? wanted : choose(enabled, steps.length);
      before = this.note(world, action, before);
      steps.push(action);
      world.take(action);
      const violation = violationOnTheWay(world, this.expectations);
      if (violation !== null) return scheduleFinding(violation, world.machine);
    }
    const message = `has not ended after ${limit} steps`;
    return { kind: 'hang', message, signature: 'hang', timeNs: 0 };
  }

  /** Which step that others can notice comes after which of another vCPU; this one, as a number. */
  private note(world: World, action: Action, before: number): number {
    const vcpu = vcpuOf(action);
    if (kindOf(action) === ActionKind.STEP && world.isNextHidden(vcpu)) return before;
    const here = (world.vcpus[vcpu].linearRip.low * 64 + action) >>> 0;
    this.coverage.passed(before, here);
    return here;
  }
}
