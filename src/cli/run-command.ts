// `vmxlab run`: run a program or scenario and report on it.

import { setImmediate } from 'node:timers/promises';
import {
  counterLines,
  engineReport,
  engineText,
  Machine,
  type MachineEnding,
  type PolicyFunctions,
  type RunReport,
  reportOf,
  reportText,
  watchEngine,
} from '../machine/index.ts';
import { TraceFormat } from '../trace/index.ts';
import { type Arguments, once, someOf } from './arguments.ts';
import type { Flags } from './command-line.ts';
import { setRunUnderWay } from './crash.ts';
import { EXIT_INTERRUPTED, Failure } from './failure.ts';
import { isSameFile } from './files.ts';
import { GuestOutput } from './guest-output.ts';
import { watched } from './policies.ts';
import { type Input, type InputOptions, loadInput } from './program.ts';
import { RunCheck } from './run-check.ts';
import { ProgressLine, paintFor } from './terminal.ts';
import { createTraceFile, FILE_FORMATS, type TraceFile, traceFormat } from './trace-file.ts';

export interface RunOptions extends InputOptions {
  readonly file: string;
  readonly json: boolean;
  readonly quiet: boolean;
  /** File to write a trace to, and its format if the name does not tell. */
  readonly trace: string | undefined;
  readonly traceFormat: string | undefined;
  readonly stats: readonly StatsGroup[];
  /** Judge it by what the file expects. */
  readonly check: boolean;
  /** Name of the configuration that is checked; else the first. */
  readonly configuration: string | undefined;
}

/** What `--stats` shows beside the report. */
export const STATS_GROUPS = ['engine', 'kvm'] as const;

export type StatsGroup = (typeof STATS_GROUPS)[number];

/** The command's own. */
export const RUN_FLAGS: Flags = {
  trace: {
    type: 'string',
    describe: "write a trace: trace-cmd's (.dat), Perfetto's (.pftrace), or ftrace's text",
  },
  'trace-format': {
    type: 'string',
    describe: `format of the trace: ${FILE_FORMATS.join(', ')} (default: by its name)`,
  },
  stats: { type: 'string', describe: `show more, a list of: ${STATS_GROUPS.join(', ')}` },
  check: { type: 'boolean', describe: 'compare with what the program says it does, as check does' },
  configuration: { type: 'string', describe: 'with --check: name of the RUN line that is run' },
  quiet: { alias: 'q', type: 'boolean', describe: 'print only what the guest prints' },
};

/** What these say. */
export function runOptions(args: Arguments) {
  return {
    quiet: args.quiet === true,
    trace: once(args, 'trace'),
    traceFormat: once(args, 'trace-format'),
    stats: someOf(args, 'stats', STATS_GROUPS),
    check: args.check === true,
    configuration: once(args, 'configuration'),
  };
}

/** Run, print, and return the exit code. */
export async function runCommand(options: RunOptions): Promise<number> {
  const check = checkOf(options);
  const input = check?.input ?? loadInput(options.file, options);
  if (options.trace !== undefined && isSameFile(options.trace, options.file)) {
    throw new Failure(`${options.trace}: is what is run; give the trace another name`);
  }
  for (const warning of input.warnings) process.stderr.write(`${warning}\n`);
  const trace = traceOf(options, input);
  setRunUnderWay(input);
  const sink = check === null ? trace : check.look(trace);
  const machine = new Machine(input.scenario, {
    programs: input.programs,
    modules: input.modules,
    symbols: input.symbols,
    policies: input.policies,
    order: input.order,
    ...(sink === null ? {} : { sink }),
  });
  check?.observe(machine);
  if (options.stats.includes('engine')) watchEngine(machine, hostClock);
  const ending = await runToEnd(machine, options, input.policies).finally(() => trace?.close());
  setRunUnderWay(null);
  // What was interrupted has not shown whether it holds.
  if (ending !== null) check?.judge(machine, ending);
  report(machine, ending ?? INTERRUPTED, options, input, check);
  return ending === null ? EXIT_INTERRUPTED : (check?.exitCode ?? ending.exitCode);
}

function checkOf(options: RunOptions): RunCheck | null {
  if (options.check) return new RunCheck(options.file, options, options.configuration ?? null);
  if (options.configuration === undefined) return null;
  throw new Failure('--configuration needs --check: it says whose expectations hold');
}

function traceOf(options: RunOptions, input: Input): TraceFile | null {
  const { trace, traceFormat: given } = options;
  if (trace === undefined) {
    if (given === undefined) return null;
    throw new Failure('--trace-format needs --trace, the file to write');
  }
  const format = traceFormat(given, 'trace-format', trace);
  const { pcpus, kernel } = input.scenario.host;
  return createTraceFile(trace, format, pcpus, TraceFormat.of(kernel));
}

function hostClock(): number {
  return Number(process.hrtime.bigint());
}

const INTERRUPTED: MachineEnding = {
  status: 'interrupted',
  exitCode: EXIT_INTERRUPTED,
  message: 'stopped by Ctrl-C; this is how far it came',
  vcpu: null,
};

/** Real time between two looks at the keyboard and the progress line. */
const TURN_MS = 50;
const PROGRESS_AFTER_MS = 1000;

/** Run in turns, passing on what the guest prints; null if interrupted. */
async function runToEnd(
  machine: Machine,
  options: RunOptions,
  policies: PolicyFunctions,
): Promise<MachineEnding | null> {
  const output = options.json ? null : new GuestOutput(machine);
  const progress = new ProgressLine();
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
  };
  process.once('SIGINT', interrupt);
  const started = Date.now();
  let turn = machine.host.frequency.toCycles(1_000_000);
  let until = 0;
  for (;;) {
    until += turn;
    const before = Date.now();
    const ending = watched(machine, policies, () => machine.run(until)) ?? machine.ending;
    const isLast = ending !== null || interrupted;
    if (isLast || output?.hasNews) progress.clear();
    output?.pass(isLast);
    if (isLast) {
      process.removeListener('SIGINT', interrupt);
      return ending;
    }
    const took = Date.now() - before;
    if (took < TURN_MS / 2) turn *= 2;
    else if (took > TURN_MS * 2) turn = Math.ceil(turn / 2);
    const elapsed = Date.now() - started;
    if (elapsed > PROGRESS_AFTER_MS) progress.show(progressText(machine, elapsed));
    await setImmediate();
  }
}

function progressText(machine: Machine, elapsedMs: number): string {
  const virtual = (machine.host.frequency.toNs(machine.now) / 1e6).toFixed(1);
  const millions = machine.instructions / 1e6;
  const rate = (millions / (elapsedMs / 1000)).toFixed(1);
  return `${virtual} ms of virtual time, ${millions.toFixed(1)} M instructions, ${rate} M/s`;
}

function report(
  machine: Machine,
  ending: MachineEnding,
  options: RunOptions,
  input: Input,
  check: RunCheck | null,
): void {
  const document = reportOf(machine, ending);
  const engine = options.stats.includes('engine') ? engineReport(machine) : null;
  if (options.json) {
    const stats = engine === null ? {} : { stats: { engine } };
    const whole = { ...document, ...stats, ...check?.document };
    process.stdout.write(`${JSON.stringify(whole, null, 2)}\n`);
    return;
  }
  for (const { name, serial } of document.vms) {
    const whose = document.vms.length > 1 ? `${name}, COM1` : 'COM1';
    if (serial !== '') process.stdout.write(`${whose}: ${serial.trimEnd()}\n`);
  }
  const verdict = check?.lines(paintFor(process.stdout)) ?? [];
  if (options.quiet) {
    if (check?.isBad) process.stdout.write(`${verdict.join('\n')}\n`);
    return;
  }
  const lines = [
    '',
    ...reportText(document, paintFor(process.stdout)),
    ...(engine === null ? [] : engineText(engine)),
    ...(options.stats.includes('kvm') ? counterLines(document) : []),
    ...(verdict.length > 0 ? [...verdict, ''] : []),
    ...nextSteps(options, document, input),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Two lines on what to try next. */
function nextSteps(options: RunOptions, report: RunReport, input: Input): string[] {
  const again = `vmxlab run ${options.file}`;
  const { seed } = input.scenario;
  const steps = [
    options.trace === undefined
      ? `  ${again} --trace trace.txt     every exit, wake-up and switch, as ftrace shows them`
      : `  ${again} --json                the same report as a document`,
    report.vcpus.length > 1
      ? `  ${again} --seed ${seed + 1}              the same program on another schedule`
      : `  ${again} --vcpus 4 --pcpus 2   the same program on more vCPUs than pCPUs`,
  ];
  return ['Try next:', ...steps];
}
