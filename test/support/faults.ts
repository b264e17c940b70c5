// Machines with faults for tests: a guest program from guest-programs/ or from a text, with its
// symbols, in which faults name places.

import Long from 'long';
import { assemble, formatDiagnostic } from '../../src/asm/index.ts';
import {
  LOAD_ADDRESS,
  Machine,
  type RunReport,
  reportOf,
  type Scenario,
  SymbolMap,
} from '../../src/machine/index.ts';
import { TimeOrder, type TraceRecord, textLine } from '../../src/trace/index.ts';
import { checkedScenario, type Defines, type GuestSetup, sourceOf } from './guest-run.ts';

/** A guest and its host; faults are to be added. */
export interface FaultyGuest extends GuestSetup {
  /** Of guest-programs/, or a text. */
  readonly source: string;
  readonly defines?: Defines;
  readonly pin?: readonly string[];
}

export interface FaultyRun {
  readonly machine: Machine;
  readonly report: RunReport;
  readonly records: readonly TraceRecord[];
  /** The trace as text. */
  readonly lines: readonly string[];
}

/** What is varied without any difference to come of it. */
export interface Way {
  readonly engine?: Scenario['engine'];
  readonly skip?: Scenario['skip'];
  /** Cycles between pauses, each with a restart in another machine. */
  readonly restartEvery?: number;
}

/** A machine in which nothing has happened yet, whose trace goes to a sink. */
export function faultyMachine(
  guest: FaultyGuest,
  faults: readonly unknown[],
  { engine = 'compiled', skip = 'on' }: Way = {},
  record: (record: TraceRecord) => unknown = () => {},
): Machine {
  const { source, defines = {}, vcpus = 1, pcpus = 1, hogs = 0, seed = 1, pin, limits } = guest;
  const isText = source.includes('\n');
  const assembled = assemble(
    { name: 'guest.asm', text: isText ? source : sourceOf(source) },
    { readFile: sourceOf, defines, origin: Long.fromNumber(LOAD_ADDRESS) },
  );
  if (assembled.kind !== 'ok') throw new Error(assembled.errors.map(formatDiagnostic).join('\n'));
  const scenario = checkedScenario({
    seed,
    engine,
    skip,
    host: { pcpus },
    vms: [{ program: 'guest.asm', vcpus, memory: '2M', pin, ...guest.vm }],
    hogs: [{ count: hogs }],
    faults,
    limits: limits ?? { time: '6ms' },
  });
  const options = { programs: [assembled.bytes], symbols: [SymbolMap.ofAssembly(assembled)] };
  return new Machine(scenario, { ...options, sink: { record: (one) => void record(one) } });
}

/** Run it to its end. */
export function runFaulty(
  guest: FaultyGuest,
  faults: readonly unknown[],
  way: Way = {},
): FaultyRun {
  const records: TraceRecord[] = [];
  const order = new TimeOrder({ record: (record) => void records.push(record) });
  // A machine that is restored has begun before.
  let isBeginning = true;
  const create = (isNew: boolean) => {
    isBeginning = isNew;
    const made = faultyMachine(guest, faults, way, (record) => isBeginning && order.record(record));
    isBeginning = true;
    return made;
  };
  let machine = create(true);
  const { restartEvery = Number.POSITIVE_INFINITY } = way;
  for (let until = restartEvery; machine.run(until) === null; until += restartEvery) {
    const snapshot = machine.snapshot();
    machine = create(false);
    machine.restore(snapshot);
  }
  order.flush();
  const { ending } = machine;
  if (ending === null) throw new Error('the run did not end');
  const report = reportOf(machine, ending);
  return { machine, report, records, lines: records.map((one) => textLine(one)) };
}

/** Records of one tracepoint. */
export function recordsOf<Name extends TraceRecord['name']>(
  { records }: FaultyRun,
  name: Name,
): readonly TraceRecord<Name>[] {
  return records.filter(
    (record) => record.name === name,
  ) as readonly TraceRecord[] as readonly TraceRecord<Name>[];
}

/** The trace without what says that a fault was injected. */
export function withoutFaults({ records }: FaultyRun): readonly string[] {
  return records.filter(({ name }) => name !== 'fault').map((one) => textLine(one));
}

/** Four vCPUs that halt and kick each other all the time. */
export const KICKING: FaultyGuest = {
  source: 'lock-ticket-pv.asm',
  defines: { ITERATIONS: '60', SPIN_THRESHOLD: '3' },
  vcpus: 4,
  pcpus: 4,
};

/** Two that send each other interrupts. */
export const PING_PONG: FaultyGuest = {
  source: 'ipi-pingpong.asm',
  defines: { ROUNDS: '40' },
  vcpus: 2,
  pcpus: 2,
};

/** One with a deadline every millisecond. */
export const TICKING: FaultyGuest = {
  source: 'timer-deadline.asm',
  defines: { TICKS: '4' },
};
