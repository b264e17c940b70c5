// Whole machines for tests: a guest program from guest-programs/ or from a text, assembled, and a
// machine around it from a scenario document. A program's header comment is not looked at, so what
// a test says is all that there is.

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import Long from 'long';
import { assemble, formatDiagnostic } from '../../src/asm/index.ts';
import {
  checkScenario,
  LOAD_ADDRESS,
  Machine,
  type MachineEnding,
  type RunReport,
  reportOf,
  type Scenario,
} from '../../src/machine/index.ts';
import { type TraceRecord, textHeader, textLine } from '../../src/trace/index.ts';

/** Where npm and vitest run: what is compiled into build/ is not where its source is. */
const GUEST_PROGRAMS = pathToFileURL('guest-programs/');

export type Defines = Readonly<Record<string, string>>;

/** Assemble text as a guest program. Includes are those of guest-programs/. Throws the errors. */
export function assembleText(text: string, defines: Defines = {}, name = 'test.asm'): Uint8Array {
  const assembled = assemble(
    { name, text },
    {
      readFile: (path) => readFileSync(new URL(path, GUEST_PROGRAMS), 'utf8'),
      defines,
      origin: Long.fromNumber(LOAD_ADDRESS),
    },
  );
  if (assembled.kind === 'ok') return assembled.bytes;
  throw new Error(assembled.errors.map(formatDiagnostic).join('\n'));
}

const assembledPrograms = new Map<string, Uint8Array>();

/** Assemble a program of guest-programs/, once for each set of macros. */
export function guestProgram(name: string, defines: Defines = {}): Uint8Array {
  const key = JSON.stringify([name, defines]);
  const known = assembledPrograms.get(key);
  if (known !== undefined) return known;
  const bytes = assembleText(sourceOf(name), defines, name);
  assembledPrograms.set(key, bytes);
  return bytes;
}

/** The source of a program of guest-programs/. */
export function sourceOf(name: string): string {
  return readFileSync(new URL(name, GUEST_PROGRAMS), 'utf8');
}

export interface GuestSetup {
  readonly vcpus?: number;
  readonly pcpus?: number;
  readonly hogs?: number;
  readonly seed?: number;
  readonly lookahead?: number;
  readonly hz?: number;
  /** Keys of the virtual machine beside these. */
  readonly vm?: Readonly<Record<string, unknown>>;
  readonly limits?: Readonly<Record<string, unknown>>;
}

/** The scenario of one virtual machine. */
export function scenarioOf(setup: GuestSetup): Scenario {
  const { vcpus = 1, pcpus = 1, hogs = 0, seed = 1, vm, limits } = setup;
  const { lookahead = 500, hz = 250 } = setup;
  return checkedScenario({
    seed,
    host: { pcpus, lookahead, hz },
    vms: [{ program: 'test.asm', vcpus, memory: '2M', ...vm }],
    hogs: [{ count: hogs }],
    limits,
  });
}

/** A document that has to be a scenario without mistakes. */
export function checkedScenario(document: unknown): Scenario {
  const checked = checkScenario(document);
  if ('scenario' in checked) return checked.scenario;
  throw new Error(
    checked.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join(),
  );
}

/** A machine whose trace is kept. */
export interface TracedMachine {
  readonly machine: Machine;
  readonly records: TraceRecord[];
}

export function tracedMachine(scenario: Scenario, programs: readonly Uint8Array[]): TracedMachine {
  const records: TraceRecord[] = [];
  const sink = { record: (record: TraceRecord) => void records.push(record) };
  return { machine: new Machine(scenario, { programs, sink }), records };
}

/** Have blocks compiled when they were entered so often: what tests run does not become hot. */
export function compileEarly(machine: Machine, entries: number): Machine {
  for (const { compiler } of machine.vms) if (compiler !== undefined) compiler.threshold = entries;
  machine.host.relays.most = 16;
  return machine;
}

/** A trace as a file would hold it. */
export function traceText(records: readonly TraceRecord[], pcpuCount: number): string {
  return textHeader(records.length, pcpuCount) + records.map((r) => `${textLine(r)}\n`).join('');
}

export interface GuestRun {
  readonly machine: Machine;
  readonly ending: MachineEnding;
  readonly report: RunReport;
}

/** Run one virtual machine to its end. */
export function runGuest(program: Uint8Array, setup: GuestSetup = {}): GuestRun {
  return runToEnd(new Machine(scenarioOf(setup), { programs: [program] }));
}

export function runToEnd(machine: Machine): GuestRun {
  const ending = machine.run();
  if (ending === null) throw new Error('the run did not end');
  return { machine, ending, report: reportOf(machine, ending) };
}

/** Counts of exits by name, of a whole run or of one vCPU. */
export function exitCounts({ exits }: Pick<RunReport, 'exits'>): Record<string, number> {
  return Object.fromEntries(exits.map(({ name, count }) => [name, count]));
}
