// `vmxlab explore`: run a program on every schedule, or on many, and look for one that goes wrong.

import {
  EVERY_SCHEDULE,
  type ExploreOptions,
  type ExploreReport,
  explore,
  narrate,
  printSchedule,
  type Section,
  STRATEGIES,
  type Strategy,
  type Violation,
  World,
} from '../explore/index.ts';
import { EXIT_CODES, NO_PAINT, type Paint, SymbolMap } from '../machine/index.ts';
import { type Arguments, count, once, oneOf, REPEATABLE } from './arguments.ts';
import type { Flags } from './command-line.ts';
import { EXIT_UNEXPECTED, Failure } from './failure.ts';
import { isSameFile } from './files.ts';
import { type Input, type InputOptions, loadInput } from './program.ts';
import { programHash, readSchedule, type SavedSchedule, saveSchedule } from './schedule-file.ts';
import { paintFor } from './terminal.ts';

export const EXPLORE_FLAGS: Flags = {
  strategy: { type: 'string', describe: `one of: ${STRATEGIES.join(', ')} (default all)` },
  'store-buffers': { type: 'boolean', describe: 'x86-TSO: others see stores later' },
  exclusive: {
    ...REPEATABLE,
    describe: 'labels FROM..TO: at most one vCPU may be between them',
  },
  output: { type: 'string', describe: 'what the guest must have printed in the end' },
  states: {
    type: 'string',
    describe: `all: states to visit at most (default ${EVERY_SCHEDULE.states})`,
  },
  preemptions: { type: 'string', describe: 'all: switches to another vCPU that nobody asked for' },
  runs: { type: 'string', describe: `random, pct: runs (default ${EVERY_SCHEDULE.runs})` },
  steps: {
    type: 'string',
    describe: `random, pct: steps of a run at most (default ${EVERY_SCHEDULE.steps})`,
  },
  depth: {
    type: 'string',
    describe: `pct: orderings that the bug depends on (default ${EVERY_SCHEDULE.depth})`,
  },
  save: { type: 'string', describe: 'file to write the schedule to that goes wrong' },
  replay: { type: 'string', describe: 'a file that --save wrote: show that schedule' },
};

export interface ExploreCommandOptions extends InputOptions {
  readonly file: string;
  readonly json: boolean;
  readonly strategy: Strategy;
  readonly storeBuffers: boolean;
  readonly exclusive: readonly string[];
  readonly output: string | null;
  readonly states: number;
  readonly preemptions: number;
  readonly runs: number;
  readonly steps: number;
  readonly depth: number;
  readonly save: string | undefined;
  readonly replay: string | undefined;
}

/** What the flags say. */
export function exploreOptions(args: Arguments) {
  const depth = count(args, 'depth', EVERY_SCHEDULE.depth);
  if (depth === 0) throw new Failure('--depth: expected a whole number from 1 on');
  return {
    strategy: oneOf(args, 'strategy', STRATEGIES, 'all'),
    storeBuffers: args['store-buffers'] === true,
    exclusive: ((args.exclusive as readonly string[] | undefined) ?? []).map(String),
    output: args.output === undefined ? null : (once(args, 'output') ?? null),
    states: count(args, 'states', EVERY_SCHEDULE.states),
    preemptions: count(args, 'preemptions', EVERY_SCHEDULE.preemptions),
    runs: count(args, 'runs', EVERY_SCHEDULE.runs),
    steps: count(args, 'steps', EVERY_SCHEDULE.steps),
    depth,
    save: once(args, 'save'),
    replay: once(args, 'replay'),
  };
}

/** Explore, print, and return the exit code. */
export function exploreCommand(options: ExploreCommandOptions): number {
  const { file, save } = options;
  if (save !== undefined && isSameFile(save, file)) {
    throw new Failure(`${save}: is what is explored; give the schedule another name`);
  }
  const input = loadInput(file, options);
  if (input.scenario.faults.length > 0) {
    throw new Failure(
      `${file}: faults are not explored: every schedule is, and waits take any time`,
    );
  }
  if (input.policies.size > 0) {
    throw new Failure(`${file}: policies are not explored: what they touch cannot be told`);
  }
  const { vms, hogs } = input.scenario;
  if ([...vms, ...hogs].some(({ delay }) => delay.mostNs > 0)) {
    throw new Failure(`${file}: delays are not explored: everything begins at any time`);
  }
  for (const warning of input.warnings) process.stderr.write(`${warning}\n`);
  const saved = options.replay === undefined ? null : readSchedule(options.replay);
  const storeBuffers = options.storeBuffers || saved?.storeBuffers === true;
  const isSameProgram = saved === null || saved.program === programHash(input.programs);
  const own = coreOptions(options, input, storeBuffers, saved);
  const begun = process.hrtime.bigint();
  const report = runExploration(input, own);
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  if (save !== undefined && report.schedule !== null) {
    const violation = report.violation as Violation;
    saveSchedule(save, { ...report, violation, storeBuffers }, input);
  }
  if (options.json) {
    const schedule = report.schedule === null ? null : printSchedule(report.schedule);
    process.stdout.write(`${JSON.stringify({ ...report, schedule }, null, 2)}\n`);
  } else {
    const lines = reportText(report, own, input, options, seconds);
    const note = isSameProgram ? [] : [`The program is not the one that ${options.replay} is of.`];
    process.stdout.write(`${[...note, ...lines].join('\n')}\n`);
  }
  if (report.verdict === 'violation') return EXIT_UNEXPECTED;
  return report.verdict === 'pass' ? 0 : EXIT_CODES.limit;
}

function coreOptions(
  options: ExploreCommandOptions,
  input: Input,
  storeBuffers: boolean,
  saved: SavedSchedule | null,
): ExploreOptions {
  const exclusive = options.exclusive.map((text) => sectionOf(text, input));
  return {
    ...options,
    storeBuffers,
    prefix: saved?.schedule ?? [],
    shared: saved?.shared ?? [],
    seed: input.scenario.seed,
    expectations: { exclusive, output: options.output },
  };
}

/** `FROM..TO`: from one label to another. */
function sectionOf(text: string, input: Input): Section {
  const [from, to, more] = text.split('..');
  if (from === '' || to === undefined || to === '' || more !== undefined) {
    throw new Failure(`--exclusive: expected two labels such as enter..leave, not '${text}'`);
  }
  const symbols = input.symbols[0] ?? SymbolMap.EMPTY;
  const [start, end] = [from, to].map((name) => {
    const address = symbols.addressOf(name);
    if (address === null) throw new Failure(`--exclusive: the program has no label '${name}'`);
    return address.toUnsigned();
  });
  if (start.gte(end)) throw new Failure(`--exclusive: '${to}' does not lie behind '${from}'`);
  return { name: text, start, end };
}

function runExploration(input: Input, options: ExploreOptions): ExploreReport {
  const { scenario, programs, modules, symbols } = input;
  try {
    return explore(scenario, { programs, modules, symbols }, options);
  } catch (thrown) {
    if (thrown instanceof RangeError) throw new Failure(`explore: ${thrown.message}`);
    throw thrown;
  }
}

/** Lines of a story that are shown; the middle of a longer one is left out. */
const LONGEST_STORY = 60;

function reportText(
  report: ExploreReport,
  options: ExploreOptions,
  input: Input,
  { file, replay, save }: ExploreCommandOptions,
  seconds: number,
): string[] {
  const paint = process.stdout.isTTY ? paintFor(process.stdout) : NO_PAINT;
  const { vcpus } = input.scenario.vms[0];
  const memory = options.storeBuffers ? 'x86-TSO' : 'sequentially consistent memory';
  const lines = [
    `${file}: ${vcpus} ${vcpus === 1 ? 'vCPU' : 'vCPUs'}, ${memory}`,
    countsOf(report, options, seconds),
    '',
  ];
  for (const { status, message, output, count: times } of report.outcomes) {
    const what = options.strategy === 'all' ? 'final state' : 'run';
    const printed = output === '' ? '' : `, printed ${JSON.stringify(output)}`;
    const many = `${times} ${what}${times === 1 ? '' : 's'}`.padStart(21);
    lines.push(`${many}  ${status}: ${message}${printed}`);
  }
  if (report.outcomes.length > 0) lines.push('');
  lines.push(...verdictLines(report, paint));
  if (report.schedule !== null) lines.push('', ...story(report, options, input));
  if (save !== undefined && report.schedule !== null) {
    lines.push('', `Saved: vmxlab explore ${file} --replay ${save} shows it again,`);
    lines.push(`and vmxlab debug ${save} steps through it.`);
  } else if (report.schedule !== null && replay === undefined) {
    lines.push('', 'Keep it with --save FILE, which vmxlab debug FILE steps through.');
  }
  return lines;
}

function countsOf(report: ExploreReport, { strategy }: ExploreOptions, seconds: number): string {
  const number = (value: number) => value.toLocaleString('en-US');
  const time = `${seconds.toFixed(1)} s`;
  if (strategy !== 'all')
    return `${number(report.runs)} runs, ${number(report.steps)} steps, ${time}`;
  const rate = (count: number) => number(Math.round(count / Math.max(seconds, 1e-9)));
  return (
    `${number(report.states)} states, ${number(report.transitions)} transitions, ` +
    `${number(report.schedules)} schedules, ${number(report.steps)} steps, ${time} ` +
    `(${rate(report.states)} states, ${rate(report.schedules)} schedules a second)`
  );
}

function verdictLines({ verdict, violation, notes, switches }: ExploreReport, paint: Paint) {
  const lines = notes.map((note) => `Note: ${note}.`);
  if (violation !== null) {
    const times = `${switches} ${switches === 1 ? 'switch' : 'switches'} between vCPUs`;
    return [
      ...lines,
      paint(`FAIL ${violation.kind}: ${violation.message}`, 'bad'),
      `After ${times}:`,
    ];
  }
  const text = verdict === 'pass' ? 'PASS' : 'NOT DECIDED';
  return [...lines, paint(text, verdict === 'pass' ? 'good' : 'bold')];
}

function story(
  { schedule, shared }: ExploreReport,
  options: ExploreOptions,
  input: Input,
): string[] {
  const { scenario, programs, modules, symbols } = input;
  const own = { storeBuffers: options.storeBuffers, shared };
  const world = new World(scenario, { programs, modules, symbols }, own);
  const lines = narrate(world, schedule ?? []).map(({ vcpu, text, hidden, times }) => {
    const before = hidden > 0 ? `  (after ${hidden} more)` : '';
    return `  vCPU ${vcpu}  ${text}${before}${times > 1 ? `  ${times} times` : ''}`;
  });
  if (lines.length <= LONGEST_STORY) return lines;
  const half = LONGEST_STORY / 2;
  const left = lines.length - 2 * half;
  return [...lines.slice(0, half), `  ... ${left} more ...`, ...lines.slice(-half)];
}
