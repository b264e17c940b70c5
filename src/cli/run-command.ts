// `vmxlab run`: run a program or scenario and report on it.

import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import {
  engineReport,
  engineText,
  Machine,
  type MachineEnding,
  type RunReport,
  reportOf,
  reportText,
  watchEngine,
} from '../machine/index.ts';
import { type TraceRecord, type TraceSink, textHeader, textLine } from '../trace/index.ts';
import { setRunUnderWay } from './crash.ts';
import { EXIT_INTERRUPTED, Failure } from './failure.ts';
import { asWriteFailure, isSameFile } from './files.ts';
import { GuestOutput } from './guest-output.ts';
import { type Input, type InputOptions, loadInput } from './program.ts';
import { ProgressLine, paintFor } from './terminal.ts';

export interface RunOptions extends InputOptions {
  readonly file: string;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly trace: string | undefined;
  readonly stats: readonly StatsGroup[];
}

/** What `--stats` shows beside the report. */
export const STATS_GROUPS = ['engine'] as const;

export type StatsGroup = (typeof STATS_GROUPS)[number];

/** Run, print, and return the exit code. */
export async function runCommand(options: RunOptions): Promise<number> {
  const input = loadInput(options.file, options);
  if (options.trace !== undefined && isSameFile(options.trace, options.file)) {
    throw new Failure(`${options.trace}: is what is run; give the trace another name`);
  }
  for (const warning of input.warnings) process.stderr.write(`${warning}\n`);
  const trace =
    options.trace === undefined ? null : new TraceFile(options.trace, input.scenario.host.pcpus);
  setRunUnderWay(input);
  const machine = new Machine(input.scenario, {
    programs: input.programs,
    modules: input.modules,
    symbols: input.symbols,
    ...(trace === null ? {} : { sink: trace }),
  });
  if (options.stats.includes('engine')) watchEngine(machine, hostClock);
  const ending = await runToEnd(machine, options);
  trace?.close();
  setRunUnderWay(null);
  report(machine, ending ?? INTERRUPTED, options, input);
  return ending?.exitCode ?? EXIT_INTERRUPTED;
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
async function runToEnd(machine: Machine, options: RunOptions): Promise<MachineEnding | null> {
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
    const ending = machine.run(until);
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

function report(machine: Machine, ending: MachineEnding, options: RunOptions, input: Input): void {
  const document = reportOf(machine, ending);
  const engine = options.stats.includes('engine') ? engineReport(machine) : null;
  if (options.json) {
    const whole = engine === null ? document : { ...document, stats: { engine } };
    process.stdout.write(`${JSON.stringify(whole, null, 2)}\n`);
    return;
  }
  for (const { name, serial } of document.vms) {
    const whose = document.vms.length > 1 ? `${name}, COM1` : 'COM1';
    if (serial !== '') process.stdout.write(`${whose}: ${serial.trimEnd()}\n`);
  }
  if (options.quiet) return;
  const lines = [
    '',
    ...reportText(document, paintFor(process.stdout)),
    ...(engine === null ? [] : engineText(engine)),
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

/** A trace in ftrace's text format, written as the run goes on. */
class TraceFile implements TraceSink {
  private readonly path: string;
  private readonly file: number;
  private readonly pcpuCount: number;
  private readonly headerBytes: number;
  private entries = 0;
  private waiting: string[] = [];

  constructor(path: string, pcpuCount: number) {
    this.path = path;
    this.file = this.attempt(() => openSync(path, 'w'));
    this.pcpuCount = pcpuCount;
    this.headerBytes = this.write(textHeader(0, pcpuCount), null);
  }

  record(record: TraceRecord): void {
    this.waiting.push(textLine(record));
    this.entries++;
    if (this.waiting.length >= LINES_PER_WRITE) this.flush();
  }

  private flush(): void {
    if (this.waiting.length > 0) this.write(`${this.waiting.join('\n')}\n`, null);
    this.waiting = [];
  }

  /** Write the rest, and the counts into the header, unless this is a pipe. */
  close(): void {
    this.flush();
    const header = textHeader(this.entries, this.pcpuCount);
    const canReplace = fstatSync(this.file).isFile() && header.length === this.headerBytes;
    if (canReplace) this.write(header, 0);
    closeSync(this.file);
  }

  private write(text: string, position: number | null): number {
    return this.attempt(() => writeSync(this.file, text, position));
  }

  /** Full disks and wrong paths are no errors of ours. */
  private attempt<T>(work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      throw asWriteFailure(thrown, this.path);
    }
  }
}

const LINES_PER_WRITE = 1000;
