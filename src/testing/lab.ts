// A guest for a test: its program, the settings of its machine, and what it did once it has run.

import Long from 'long';
import { type Assembled, assemble, formatDiagnostic, type Syntax } from '../asm/index.ts';
import {
  type Expectations,
  readPlan,
  runChecked,
  sheetOfSource,
  type Verdict,
} from '../check/index.ts';
import {
  applySettings,
  checkScenario,
  flatStart,
  type GivenSetting,
  hasMultibootHeader,
  isElf,
  LOAD_ADDRESS,
  Machine,
  type MachineEnding,
  type RunReport,
  readHeader,
  reportOf,
  type Scenario,
  type ScenarioDocument,
  SETTINGS,
  SymbolMap,
} from '../machine/index.ts';
import { nearest } from '../sim/index.ts';
import { TimeOrder, type TraceRecord } from '../trace/index.ts';

export interface LabOptions {
  /** What the source is written in; NASM's syntax if nothing is said. */
  readonly syntax?: Syntax;
  /** Macros for the assembler. */
  readonly defines?: Readonly<Record<string, string>>;
  /** Contents of the files that the source includes, by the names that it gives. */
  readonly files?: Readonly<Record<string, string>>;
  /** A scenario instead of the defaults; the program is its only virtual machine's. */
  readonly scenario?: ScenarioDocument;
}

/** Settings by the names of their flags: vcpus, pcpus, hogs, seed, until and so on. */
export type LabSettings = Readonly<Record<string, string | number>>;

/** What a guest did. */
export interface LabRun {
  readonly machine: Machine;
  readonly ending: MachineEnding;
  readonly report: RunReport;
  /** Every trace event, in order of time. */
  readonly trace: readonly TraceRecord[];
  /** What it wrote to the debug console. */
  readonly output: string;
  /** What it sent by COM1. */
  readonly serial: string;
}

export interface Lab {
  readonly scenario: Scenario;
  /** Build a machine and run it to its end or to its limits; each time the same. */
  readonly run: () => LabRun;
  /** Run it, and compare with what the comments of its source expect (docs/checking.md). */
  readonly check: () => Verdict;
}

/**
 * A guest from its assembly source, or from an image (ELF, multiboot, flat binary).
 * @param settings outdo those in the source's header (`; vmxlab: vcpus=2`)
 * @throws RangeError with everything that is wrong with source, settings or expectations
 */
export function lab(
  program: string | Uint8Array,
  settings: LabSettings = {},
  options: LabOptions = {},
): Lab {
  const isSource = typeof program === 'string';
  const assembled = isSource ? assembledOf(program, options) : null;
  const bytes = isSource ? (assembled as AssembledOk).bytes : program;
  const header = isSource ? headerOf(program) : [];
  const given = [...header, ...settingsOf(settings)];
  const scenario = scenarioOf(given, options, assembled, bytes);
  const symbols = [assembled === null ? null : SymbolMap.ofAssembly(assembled)];
  const machineOptions = { programs: [bytes], symbols };
  return {
    scenario,
    run: () => {
      const trace: TraceRecord[] = [];
      const order = new TimeOrder({ record: (record) => trace.push(record) });
      const machine = new Machine(scenario, { ...machineOptions, sink: order });
      const ending = machine.run();
      if (ending === null) throw new Error('a machine without a limit on its time has not ended');
      order.flush();
      const report = reportOf(machine, ending);
      return { machine, ending, report, trace, output: report.output, serial: report.serial };
    },
    check: () => {
      const expectations = expectationsOf(isSource ? program : '');
      return runChecked(scenario, machineOptions, expectations);
    },
  };
}

type AssembledOk = Extract<Assembled, { kind: 'ok' }>;

function assembledOf(text: string, { syntax, defines, files = {} }: LabOptions): AssembledOk {
  const source = { name: 'guest.asm', text };
  const assembled = assemble(syntax === undefined ? source : { ...source, syntax }, {
    origin: Long.fromNumber(LOAD_ADDRESS),
    readFile: (path) => (Object.hasOwn(files, path) ? files[path] : null),
    ...(defines === undefined ? {} : { defines }),
  });
  if (assembled.kind === 'ok') return assembled;
  throw new RangeError(assembled.errors.map(formatDiagnostic).join('\n'));
}

function headerOf(source: string): readonly GivenSetting[] {
  const { settings, problems } = readHeader(source);
  if (problems.length === 0) return settings;
  throw new RangeError(
    problems.map((one) => `${one.line}:${one.column}: ${one.message}`).join('\n'),
  );
}

function settingsOf(settings: LabSettings): GivenSetting[] {
  return Object.entries(settings).map(([flag, value]) => {
    const setting = SETTINGS.find((candidate) => candidate.flag === flag);
    if (setting !== undefined) return { setting, value: String(value) };
    const names = SETTINGS.map((known) => known.flag);
    const near = nearest(flag, names);
    const hint = near === null ? `known are ${names.join(', ')}` : `did you mean '${near}'?`;
    throw new RangeError(`unknown setting '${flag}'; ${hint}`);
  });
}

function scenarioOf(
  given: readonly GivenSetting[],
  { scenario = {} }: LabOptions,
  assembled: AssembledOk | null,
  bytes: Uint8Array,
): Scenario {
  const vms = Array.isArray(scenario.vms) ? scenario.vms : [{}];
  const document = { ...scenario, vms: vms.map((vm: object) => ({ program: 'guest.asm', ...vm })) };
  const checked = checkScenario(applySettings(document, given));
  if ('issues' in checked) {
    const lines = checked.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new RangeError(lines.join('\n'));
  }
  if (assembled === null || isElf(bytes) || hasMultibootHeader(bytes)) return checked.scenario;
  if (!assembled.origin.eq(LOAD_ADDRESS)) {
    throw new RangeError(`org has to be 0x${LOAD_ADDRESS.toString(16)}, where programs are loaded`);
  }
  const start = flatStart(assembled.lineMap);
  if (start === null) throw new RangeError('programs cannot start in 16-bit code');
  const [vm] = checked.scenario.vms;
  return { ...checked.scenario, vms: [vm.start === 'auto' ? { ...vm, start } : vm] };
}

/** Those of its first configuration; what settings RUN gives is the caller's to say. */
function expectationsOf(source: string): Expectations {
  const read = readPlan(sheetOfSource(source));
  if ('problems' in read) {
    const lines = read.problems.map((one) => `${one.line}:${one.column}: ${one.message}`);
    throw new RangeError(lines.join('\n'));
  }
  if (read.plan.isEmpty) throw new RangeError('the source says nothing of what it expects');
  return read.plan.expectations[0];
}
