// `vmxlab record` and `vmxlab replay`: keep a run in a file, and see whether it is still the same.

import { setImmediate } from 'node:timers/promises';
import {
  compareRun,
  type Divergence,
  type RecordedRun,
  recordRun,
  type Sample,
  TraceComparison,
  TraceMarker,
} from '../debug/index.ts';
import { Machine, namedPolicies } from '../machine/index.ts';
import type { TraceSink } from '../trace/index.ts';
import { setRunUnderWay } from './crash.ts';
import { EXIT_INTERRUPTED, EXIT_UNEXPECTED, Failure } from './failure.ts';
import { checkWritable, gibibytes, isSameFile } from './files.ts';
import { GuestOutput } from './guest-output.ts';
import { type Input, type InputOptions, inputOfRecording, loadInput } from './program.ts';
import { readRecording, writeRecording } from './recording-file.ts';
import { selfContained } from './self-contained.ts';
import { sourcesOf } from './sources.ts';
import { VERSION } from './version.ts';

export interface RecordOptions extends InputOptions {
  readonly file: string;
  readonly output: string;
}

/** Run to the end, write the recording, and return the exit code of the run. */
export async function recordCommand(options: RecordOptions): Promise<number> {
  const { file, output: path } = options;
  if (path === '-')
    throw new Failure('--output: expected a file; standard output is for the guest');
  if (isSameFile(path, file)) {
    throw new Failure(`${path}: is what is recorded; give the recording another name`);
  }
  const input = loadInput(file, options);
  const [policy] = namedPolicies(input.scenario);
  if (policy !== undefined) {
    const why = 'code of your own may do something else the next time';
    throw new Failure(`${file}: ${policy.key}: a run with policies cannot be recorded: ${why}`);
  }
  if (input.order !== undefined) {
    throw new Failure(`${file}: is a schedule, which vmxlab debug opens as it is`);
  }
  checkWritable(path);
  for (const warning of input.warnings) process.stderr.write(`${warning}\n`);
  const marker = new TraceMarker();
  const machine = machineOf(input, marker);
  setRunUnderWay(input);
  const output = new GuestOutput(machine);
  const run = await toEnd(recordRun(machine, marker), () => output.pass(false));
  output.pass(true);
  setRunUnderWay(null);
  const symbols = input.symbols.map((map) => map && { names: map.names, lines: map.lines });
  const scenario = selfContained(input);
  const sources = sourcesOf(input);
  const bytes = writeRecording(path, { vmxlab: VERSION, scenario, symbols, sources, run });
  process.stdout.write(`${recordedText(path, bytes, run)}\n`);
  return run.end.exitCode;
}

function recordedText(path: string, bytes: number, { samples, end }: RecordedRun): string {
  const { instructions, time } = end.sample;
  const length = `${instructions} instructions, ${time} cycles, ${intervals(samples.length + 1)}`;
  return `${path}: ${gibibytes(bytes)}, ${length}; ${end.message}`;
}

function intervals(count: number): string {
  return count === 1 ? '1 interval' : `${count} intervals`;
}

function machineOf(input: Input, sink: TraceSink): Machine {
  const { scenario, programs, modules, symbols } = input;
  return new Machine(scenario, { programs, modules, symbols, sink });
}

/** Do the work in pieces. Ctrl-C between two of them ends the command. */
async function toEnd<T>(work: Generator<void, T>, look: () => void): Promise<T> {
  let isInterrupted = false;
  const interrupt = () => {
    isInterrupted = true;
  };
  process.once('SIGINT', interrupt);
  try {
    for (;;) {
      const step = work.next();
      if (step.done === true) return step.value;
      look();
      await setImmediate();
      if (isInterrupted) throw new Failure('stopped by Ctrl-C', EXIT_INTERRUPTED);
    }
  } finally {
    process.off('SIGINT', interrupt);
  }
}

export interface ReplayOptions extends InputOptions {
  readonly file: string;
  readonly json: boolean;
}

/** Run again what was recorded, and say whether it is the same. */
export async function replayCommand(options: ReplayOptions): Promise<number> {
  const { file, json } = options;
  const recording = readRecording(file);
  const { run, vmxlab } = recording;
  const input = inputOfRecording(file, recording, options);
  const comparison = new TraceComparison(run.trace);
  const machine = machineOf(input, comparison);
  setRunUnderWay(input);
  const divergence = await toEnd(compareRun(machine, run, comparison), () => undefined);
  setRunUnderWay(null);
  if (json) {
    const document = { recordedBy: vmxlab, intervals: run.samples.length + 1, divergence };
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  } else if (divergence === null) {
    const length = `${run.end.sample.instructions} instructions, ${run.trace.count} trace records`;
    const same = `the same in ${intervals(run.samples.length + 1)}`;
    process.stdout.write(`${file}: ${same}, ${length}; ${run.end.message}\n`);
  } else {
    const lines = divergenceText(file, divergence, machine);
    if (vmxlab !== VERSION) lines.push(`Recorded by vmxlab ${vmxlab}; this is ${VERSION}.`);
    process.stdout.write(`${lines.join('\n')}\n`);
  }
  return divergence === null ? 0 : EXIT_UNEXPECTED;
}

/** Both sides of what differs; rows that are the same are left away, but for the hash. */
function divergenceText(file: string, divergence: Divergence, machine: Machine): string[] {
  const { interval, intervals: count, from, recorded, now, endings } = divergence;
  const until = Math.max(recorded.time, now.time);
  const where = `in interval ${interval} of ${count}, between ${from} and ${until} cycles`;
  const rows: [name: string, recorded: string, now: string][] = [
    ['state hash', recorded.hash, now.hash],
    ['event', String(recorded.event), String(now.event)],
    ['time', `${recorded.time} cycles`, `${now.time} cycles`],
    ['instructions', String(recorded.instructions), String(now.instructions)],
    ...ripRows(recorded, now, machine),
    ['ending', endings.recorded ?? 'runs on', endings.now ?? 'runs on'],
  ];
  const width = Math.max(...rows.map(([, left]) => left.length), 'recorded'.length);
  const row = (name: string, left: string, right: string) =>
    `  ${name.padEnd(13)} ${left.padEnd(width)}  ${right}`;
  return [
    `${file}: the run diverges from the recording ${where}`,
    row('', 'recorded', 'now'),
    ...rows.map((cells) => row(...cells)),
    ...traceText(divergence),
  ];
}

function ripRows(recorded: Sample, now: Sample, machine: Machine): [string, string, string][] {
  return machine.vcpus.map(({ vm, index }, i) => {
    const name = machine.vms.length > 1 ? `${vm.name} vCPU ${index}` : `vCPU ${index}`;
    const at = (digits: string | undefined) => (digits === undefined ? 'none' : `0x${digits}`);
    return [`${name} RIP`, at(recorded.rips[i]), at(now.rips[i])];
  });
}

/** Like diff: what both have, then what was recorded and what is now. */
function traceText({ trace }: Divergence): string[] {
  if (trace === null) return ['Up to there the trace shows no difference.'];
  const { first, last, event, before, recorded, now } = trace;
  const place = `, at event ${event}`;
  if (recorded === null) {
    const which =
      first === last
        ? `Trace record ${first} is the first that differs`
        : `One of the trace records ${first} to ${last} is the first that differs`;
    return [`${which}${place}; of those recorded there are hashes only; now:`, ...now];
  }
  const none = (lines: readonly string[]) => (lines.length === 0 ? ['(no more records)'] : lines);
  return [
    `Trace record ${first} is the first that differs${place}; recorded (-) and now (+):`,
    ...before.map((line) => `  ${line}`),
    ...none(recorded).map((line) => `- ${line}`),
    ...none(now).map((line) => `+ ${line}`),
  ];
}
