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
  serialText,
  writeInput,
} from '../machine/index.ts';
import type { FuzzCase } from './case.ts';
import type { Places } from './channel.ts';
import { Coverage } from './coverage.ts';
import {
  type Finding,
  failureFinding,
  findingOf,
  hangFinding,
  internalFinding,
} from './finding.ts';
import { goesInCircles, Questions } from './hang.ts';
import { InputEnd } from './input-end.ts';
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

/** What is sent to see whether anybody reads it: more than a receiver holds, for it may be cleared. */
const PROBE = 0x5a;
const PROBE_BYTES = 40;

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
  private readonly inputEnd = new InputEnd();
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

  /** By which ways bytes can come to the program. */
  static placesOf({ scenario, options }: Pick<FuzzTarget, 'scenario' | 'options'>): Places {
    const machine = new Machine({ ...scenario, engine: 'interpreter' }, options);
    const labelBytes = inputRoomOf(machine.programData[0])?.lengthBytes ?? null;
    return { scenario, labelBytes, modules: options.modules?.[0] ?? [] };
  }

  /** Whether the program reads what comes to its serial port. */
  readsSerial(): boolean {
    const { scenario, options, limit } = this.target;
    const limits = { ...scenario.limits, instructions: limit };
    const machine = new Machine({ ...scenario, limits, engine: 'compiled' }, options);
    const { com1 } = machine.devices[0].state;
    const end = new InputEnd();
    end.begin(machine, true);
    machine.host.sink = end;
    machine.sendSerial(0, { bytes: new Uint8Array(PROBE_BYTES).fill(PROBE), pauses: [] });
    this.runMachine(machine);
    return com1.lastRead === PROBE;
  }

  /** The scenario of a case; null if its values do not go together. */
  scenarioOf({ parameters, input, serial }: FuzzCase): Scenario | null {
    let document = this.document;
    for (const [key, value] of Object.entries(parameters)) {
      document = applySetting(document, { key }, value);
    }
    const checked = checkScenario(document);
    if ('issues' in checked) return null;
    const { scenario } = checked;
    const [first, ...others] = scenario.vms;
    const given = {
      ...(input === null ? {} : { input: inputText(input) }),
      ...(serial === undefined ? {} : { serial_input: serialText(serial) }),
    };
    return { ...scenario, vms: [{ ...first, ...given }, ...others] };
  }

  /** The programs of a case, and what they are given. */
  optionsOf({ modules }: FuzzCase): MachineOptions {
    const { options } = this.target;
    if (modules === undefined) return options;
    return { ...options, modules: [modules, ...(options.modules ?? []).slice(1)] };
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
    const outcome = this.schedules.run(scenario, this.optionsOf(one), one);
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
  private begin({ machine, start, room }: Prepared, { input, serial }: FuzzCase): void {
    machine.restore(start);
    if (room !== null && input !== null) writeInput(machine.vms[0], room, input);
    if (serial !== undefined) machine.sendSerial(0, serial);
    const isSent = serial !== undefined || machine.scenario.vms[0].serial_input !== '';
    this.inputEnd.begin(machine, isSent);
  }

  private judge({ machine, observer }: Prepared): Pick<Outcome, 'finding' | 'isUnfinished'> {
    const { expectations } = this.target;
    const checked = new CheckedRun(expectations, [this.coverage, this.inputEnd]);
    machine.host.sink = checked.sink;
    checked.follow(observer);
    const ending = this.runMachine(machine);
    if (ending === null) throw new Error('a machine without a limit on its time has not ended');
    if (ending.status === 'policyFailed') this.machines.clear();
    if (this.inputEnd.isOver(ending)) return { finding: soFar(checked), isUnfinished: false };
    if (ending.status !== 'limit' || expectations.ending?.status === 'limit') {
      const finding = findingOf(machine, checked.judge(machine, ending));
      return { finding, isUnfinished: false };
    }
    const finding = soFar(checked);
    return { finding, isUnfinished: finding === null };
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
    const values = names.map((name) => [name, one.parameters[name]]);
    const key = JSON.stringify([values, one.modules?.map(inputText), one.serial !== undefined]);
    const known = this.machines.get(key);
    if (known !== undefined) return known;
    // What comes to its serial port is said at the beginning of each run.
    const serial = one.serial === undefined ? {} : { serial: { bytes: NO_BYTES, pauses: [] } };
    const scenario = this.scenarioOf({ ...one, input: null, ...serial });
    const prepared = scenario === null ? null : this.newMachine(scenario, this.optionsOf(one));
    for (const oldest of this.machines.keys()) {
      if (this.machines.size < MOST_MACHINES) break;
      this.machines.delete(oldest);
    }
    this.machines.set(key, prepared);
    return prepared;
  }

  private newMachine(scenario: Scenario, options: MachineOptions): Prepared {
    const { limit, expectations } = this.target;
    const limits = { ...scenario.limits, instructions: limit };
    // Which waits are left out depends on what ran before, and with them blocks are not entered.
    const machine = new Machine({ ...scenario, limits, skip: 'off' }, options);
    this.coverage.watch(machine, (block) => this.questions.entered(block));
    const observer = observerFor(machine, expectations);
    const room = inputRoomOf(machine.programData[0]);
    return { machine, room, observer, start: machine.snapshot() };
  }
}

const NO_BYTES = new Uint8Array();

/** What is violated by now, whatever may come. */
function soFar(checked: CheckedRun): Finding | null {
  const [failure] = checked.violatedSoFar();
  return failure === undefined ? null : failureFinding(failure);
}
