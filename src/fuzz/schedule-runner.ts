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
import type { MachineOptions, Scenario } from '../machine/index.ts';
import { Prng } from '../sim/index.ts';
import type { CaseSchedule, FuzzCase } from './case.ts';
import type { Coverage } from './coverage.ts';
import type { FuzzTarget, Outcome } from './executor.ts';
import { FairCircle } from './fair-circle.ts';
import { type Finding, hangFinding, internalFinding, scheduleFinding } from './finding.ts';
import { InputEnd } from './input-end.ts';
import { WatchedProperties } from './watched-properties.ts';

/** Who decides the order of steps: virtual time, or chance. */
export const FUZZ_STRATEGIES = ['time', 'random', 'pct'] as const;

export type Strategy = (typeof FUZZ_STRATEGIES)[number];

/** Orderings that a bug may depend on; for `pct`. */
const DEPTH = 3;

type Result = Omit<Outcome, 'features' | 'tokens'>;
type Judged = Pick<Outcome, 'finding' | 'isUnfinished'>;

const ENDED = { isUnfinished: false } as const;

/** The part of a run that is looked at for states that come again begins here. */
const LATE = 3 / 4;

/** Tries, each of which knows more of what is shared. */
const MOST_TRIES = 64;

export class ScheduleRunner {
  private readonly target: FuzzTarget;
  private readonly coverage: Coverage;
  private readonly inputEnd = new InputEnd();
  private readonly expectations: Expectations = { exclusive: [], output: null };

  constructor(target: FuzzTarget, coverage: Coverage) {
    this.target = target;
    this.coverage = coverage;
  }

  run(scenario: Scenario, options: MachineOptions, { schedule, serial }: FuzzCase): Result {
    const steps: Action[] = [];
    // Of this run only: what others found out must make no difference.
    let shared: readonly number[] = [];
    try {
      for (let i = 0; i < MOST_TRIES; i++) {
        const { storeBuffers, expectations } = this.target;
        const world = new World(scenario, options, { storeBuffers, shared });
        steps.length = 0;
        this.coverage.reset();
        this.coverage.watch(world.machine);
        const isSent = serial !== undefined || scenario.vms[0].serial_input !== '';
        this.inputEnd.begin(world.machine, isSent);
        const sinks = [this.coverage, this.inputEnd];
        const properties = new WatchedProperties(world.machine, expectations, sinks);
        const { generation } = world.sharing;
        const judged = this.walk(world, schedule, steps, properties);
        // Stores to what was not known to be shared went past the buffer: once more.
        if (world.hasBuffers && world.sharing.generation !== generation) {
          shared = world.sharing.known;
          continue;
        }
        return { ...judged, length: steps.length, steps: printSchedule(steps), shared };
      }
      throw new Error('what is shared does not become known');
    } catch (thrown) {
      const judged = { finding: internalFinding('internal', thrown), isUnfinished: false };
      return { ...judged, length: steps.length, steps: printSchedule(steps), shared: [] };
    }
  }

  private walk(
    world: World,
    schedule: CaseSchedule | null,
    steps: Action[],
    properties: WatchedProperties,
  ): Judged {
    const prefix = parseSchedule(schedule?.prefix ?? '') ?? [];
    const prng = new Prng(schedule?.seed ?? 0);
    const { strategy, limit } = this.target;
    const options = { strategy: strategy === 'pct' ? 'pct' : 'random', depth: DEPTH } as const;
    const choose = chooser(world, options, prng, Math.ceil(limit / 20));
    const circle = new FairCircle();
    let before = 0;
    while (steps.length < limit) {
      const enabled = world.enabled();
      if (enabled.length === 0) return { finding: this.atTheEnd(world, properties), ...ENDED };
      const isLate = steps.length > limit * LATE;
      if (isLate && circle.isClosed(world, enabled, steps.length)) {
        return { finding: properties.soFar() ?? hangFinding(0), ...ENDED };
      }
      const wanted = prefix[steps.length];
      const action = enabled.includes(wanted) ? wanted : choose(enabled, steps.length);
      before = this.note(world, action, before);
      steps.push(action);
      circle.took(action, steps.length);
      world.take(action);
      const violation = violationOnTheWay(world, this.expectations);
      if (violation !== null) {
        return { finding: scheduleFinding(violation, world.machine), ...ENDED };
      }
    }
    const finding = properties.soFar();
    return { finding, isUnfinished: finding === null };
  }

  /** What `EXPECT` says counts, and properties; if it says nothing, what counts in explorations. */
  private atTheEnd(world: World, properties: WatchedProperties): Finding | null {
    const { machine } = world;
    if (this.inputEnd.isOver(machine.ending)) return properties.soFar();
    const { expectations } = this.target;
    const violation = violationAtTheEnd(world, this.expectations);
    const isStated = machine.ending !== null && expectations.ending !== null;
    if (violation !== null && !isStated) return scheduleFinding(violation, machine);
    return machine.ending === null ? null : properties.atTheEnd(machine.ending);
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
