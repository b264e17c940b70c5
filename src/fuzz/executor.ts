// Runs cases: a machine for each set of scenario values, put back to its beginning for each case,
// and looked at on its way. Whatever a run does is an outcome, errors of our own included.

import { CheckedRun, type Expectations, type GuestObserver, observerFor } from '../check/index.ts';
import { EngineDifference } from '../cpu/index.ts';
import {
  applySetting,
  checkScenario,
  documentOf,
  type InputRoom,
  inputRoomOf,
  inputText,
  Machine,
  type MachineEnding,
  type MachineOptions,
  type MachineSnapshot,
  type Scenario,
  type ScenarioDocument,
  writeInput,
} from '../machine/index.ts';
import type { FuzzCase } from './case.ts';
import { Coverage } from './coverage.ts';
import {
  type Finding,
  failureFinding,
  findingOf,
  hangFinding,
  internalFinding,
} from './finding.ts';
import { goesInCircles, Questions } from './hang.ts';
import { ScheduleRunner, type Strategy } from './schedule-runner.ts';

/** What is fuzzed. Plain data but for the policies, so that workers can be told. */
export interface FuzzTarget {
  readonly scenario: Scenario;
  readonly options: MachineOptions;
  readonly expectations: Expectations;
  /** Who decides the order of steps. */
  readonly strategy: Strategy;
  readonly storeBuffers: boolean;
  /** Instructions of a run at most, or with a strategy, steps. */
  readonly limit: number;
}

export interface Outcome {
  /** What it came by, in order; see {@link Coverage}. Nothing if it could not be run. */
  readonly features: readonly number[];
  /** What goes wrong, or null. */
  readonly finding: Finding | null;
  /** It was cut off, and nobody knows whether it would have ended. */
  readonly isUnfinished: boolean;
  /** Instructions, or steps, that it took. */
  readonly length: number;
  /** The order in which its steps were taken, where time does not decide; else empty. */
  readonly steps: string;
  /** With {@link steps}, what a world has to know of sharing to take them again. */
  readonly shared: readonly number[];
  /** Numbers that its code compares with, those that were not told before. */
  readonly tokens: readonly (readonly number[])[];
}

const NOT_RUN: Outcome = {
  features: [],
  finding: null,
  isUnfinished: false,
  length: 0,
  steps: '',
  shared: [],
  tokens: [],
};

/** Machines that are kept for the next case with the same values. */
const MOST_MACHINES = 6;

interface Prepared {
  readonly machine: Machine;
  /** Where the input goes, or null. */
  readonly room: InputRoom | null;
  readonly start: MachineSnapshot;
  /** Sees what properties name, in each of its runs. */
  readonly observer: GuestObserver;
}

/** Runs a machine to its end or its limits. */
export type RunMachine = (machine: Machine) => MachineEnding | null;

export class Executor {
  /** Runs so far. */
  runs = 0;
  private readonly target: FuzzTarget;
  private readonly document: ScenarioDocument;
  private readonly coverage = new Coverage();
  private readonly questions = new Questions();
  private readonly machines = new Map<string, Prepared | null>();
  private readonly schedules: ScheduleRunner;
  private tokensTold = 0;

  private readonly runMachine: RunMachine;

  /** @param runMachine runs a machine to its end; for who has to look after its policies */
  constructor(target: FuzzTarget, runMachine: RunMachine = (machine) => machine.run()) {
    this.target = target;
    this.runMachine = runMachine;
    this.document = documentOf(target.scenario);
    this.schedules = new ScheduleRunner(target, this.coverage);
  }

  /** Where the program expects its input, or null. */
  static inputRoom({ scenario, options }: Pick<FuzzTarget, 'scenario' | 'options'>) {
    const machine = new Machine({ ...scenario, engine: 'interpreter' }, options);
    return inputRoomOf(machine.programData[0]);
  }

  /** The scenario of a case; null if its values do not go together. */
  scenarioOf({ parameters, input }: FuzzCase): Scenario | null {
    let document = this.document;
    for (const [key, value] of Object.entries(parameters)) {
      document = applySetting(document, { key }, value);
    }
    const checked = checkScenario(document);
    if ('issues' in checked) return null;
    const { scenario } = checked;
    if (input === null) return scenario;
    const vms = scenario.vms.map((vm, i) => (i === 0 ? { ...vm, input: inputText(input) } : vm));
    return { ...scenario, vms };
  }

  run(one: FuzzCase): Outcome {
    this.runs++;
    this.coverage.reset();
    const outcome = this.target.strategy === 'time' ? this.inTime(one) : this.onSchedule(one);
    if (outcome === null) return NOT_RUN;
    const all = [...this.coverage.tokens.values()];
    const tokens = all.slice(this.tokensTold).map((token) => [...token]);
    this.tokensTold = all.length;
    return { ...outcome, tokens };
  }

  private onSchedule(one: FuzzCase): Omit<Outcome, 'tokens'> | null {
    const scenario = this.scenarioOf(one);
    if (scenario === null) return null;
    const outcome = this.schedules.run(scenario, one.schedule);
    return { ...outcome, features: this.coverage.features() };
  }

  private inTime(one: FuzzCase): Omit<Outcome, 'tokens'> | null {
    const ordered = { steps: '', shared: [] };
    try {
      const prepared = this.prepare(one);
      if (prepared === null) return null;
      this.begin(prepared, one);
      const judged = this.judge(prepared);
      const features = this.coverage.features();
      const { machine } = prepared;
      const length = machine.instructions;
      if (!judged.isUnfinished) return { ...judged, features, length, ...ordered };
      const finding = this.hang(prepared, one);
      return { finding, isUnfinished: finding === null, features, length, ...ordered };
    } catch (thrown) {
      // It must not be used again: nobody knows what state it is in.
      this.machines.clear();
      const kind = thrown instanceof EngineDifference ? 'engine' : 'internal';
      const finding = internalFinding(kind, thrown);
      const features = this.coverage.features();
      return { finding, isUnfinished: false, features, length: 0, ...ordered };
    }
  }

  /** Everything as at the beginning of a case's run. */
  private begin({ machine, start, room }: Prepared, { input }: FuzzCase): void {
    machine.restore(start);
    if (room !== null && input !== null) writeInput(machine.vms[0], room, input);
  }

  private judge({ machine, observer }: Prepared): Pick<Outcome, 'finding' | 'isUnfinished'> {
    const { expectations } = this.target;
    const checked = new CheckedRun(expectations, [this.coverage]);
    machine.host.sink = checked.sink;
    checked.follow(observer);
    const ending = this.runMachine(machine);
    if (ending === null) throw new Error('a machine without a limit on its time has not ended');
    if (ending.status === 'policyFailed') this.machines.clear();
    if (ending.status !== 'limit' || expectations.ending?.status === 'limit') {
      const finding = findingOf(machine, checked.judge(machine, ending));
      return { finding, isUnfinished: false };
    }
    const [failure] = checked.violatedSoFar();
    if (failure === undefined) return { finding: null, isUnfinished: true };
    return { finding: failureFinding(failure), isUnfinished: false };
  }

  /** A run that was cut off: whether it would have gone on like that for ever. */
  private hang(prepared: Prepared, one: FuzzCase): Finding | null {
    const { machine, observer } = prepared;
    const { now } = machine;
    this.begin(prepared, one);
    machine.host.sink = null;
    observer.begin(null);
    if (!goesInCircles(machine, now, this.questions)) return null;
    return hangFinding(machine.host.frequency.toNs(now));
  }

  /** A machine with the values of a case, at its beginning; null if they do not go together. */
  private prepare(one: FuzzCase): Prepared | null {
    const names = Object.keys(one.parameters).sort();
    const key = JSON.stringify(names.map((name) => [name, one.parameters[name]]));
    const known = this.machines.get(key);
    if (known !== undefined) return known;
    const scenario = this.scenarioOf({ ...one, input: null });
    const prepared = scenario === null ? null : this.newMachine(scenario);
    for (const oldest of this.machines.keys()) {
      if (this.machines.size < MOST_MACHINES) break;
      this.machines.delete(oldest);
    }
    this.machines.set(key, prepared);
    return prepared;
  }

  private newMachine(scenario: Scenario): Prepared {
    const { options, limit, expectations } = this.target;
    const limits = { ...scenario.limits, instructions: limit };
    const machine = new Machine({ ...scenario, limits }, options);
    this.coverage.watch(machine, (block) => this.questions.entered(block));
    const observer = observerFor(machine, expectations);
    const room = inputRoomOf(machine.programData[0]);
    return { machine, room, observer, start: machine.snapshot() };
  }
}
