// One run of one configuration, judged: the machine runs with whoever has to look on, and what it
// did is compared with what was expected. The verdict is plain data, so that workers can send it.

import {
  Machine,
  type MachineEnding,
  type MachineOptions,
  type RunReport,
  reportOf,
  type Scenario,
} from '../machine/index.ts';
import { TimeOrder, type TraceRecord, type TraceSink } from '../trace/index.ts';
import { StreamCollector, stateLines } from './collect.ts';
import type { Directive } from './directive.ts';
import { GuestObserver } from './guest-observer.ts';
import { type Mismatch, matchText } from './matcher.ts';
import { nearestLines } from './nearest-lines.ts';
import { UNSIGNED } from './numeric.ts';
import { fixedText, noVariables, substituted, type Variables } from './pattern.ts';
import type { Expectations, Golden } from './plan.ts';
import type { Property } from './property.ts';
import { PropertyChecker, type Violation } from './property-checker.ts';
import type { Stream, StreamName } from './stream.ts';

/** A line of a stream, or of a trace, that a failure shows. */
export interface ShownLine {
  /** From 1; null for lines around an event. */
  readonly number: number | null;
  readonly text: string;
  /** It is the one that is meant. */
  readonly isMarked: boolean;
}

/** Something expected that is not so. */
export interface Failure {
  /** Where in the file it is expected, from 1; null if only by default. */
  readonly line: number | null;
  readonly column: number | null;
  readonly stream: StreamName | null;
  /** Line of the GOLDEN that it is about, or null. */
  readonly golden: number | null;
  /** A sentence without a full stop. */
  readonly message: string;
  readonly expected: string;
  /** What the lines are: `nearest`, `found`, `around`. */
  readonly heading: string;
  readonly lines: readonly ShownLine[];
  /** Virtual ns to look at in the debugger. */
  readonly timeNs: number;
}

export interface Verdict {
  /** True if everything is as expected. */
  readonly holds: boolean;
  /** How many things were expected. */
  readonly testCount: number;
  readonly failures: readonly Failure[];
  readonly ending: MachineEnding;
  readonly virtualNs: number;
  /** What each golden stream really is, in the order of the expectations. */
  readonly goldenLines: readonly (readonly string[])[];
}

/** Exit code that a run has to end with if nothing is said. */
const DEFAULT_EXIT_CODE = 0;

/**
 * Run a machine and judge it. Throws what the machine's constructor throws, and PlaceError.
 * @param run runs the machine to its end; for who has to look after its policies
 */
export function runChecked(
  scenario: Scenario,
  options: MachineOptions,
  expectations: Expectations,
  run: (machine: Machine) => MachineEnding | null = (machine) => machine.run(),
): Verdict {
  const checked = new CheckedRun(expectations);
  const { sink } = checked;
  const machine = new Machine(scenario, { ...options, ...(sink === null ? {} : { sink }) });
  checked.observe(machine);
  const ending = run(machine);
  if (ending === null) throw new Error('a machine without a limit on its time has not ended');
  return checked.judge(machine, ending);
}

/** Looks on at one run, and judges it. */
export class CheckedRun {
  /** To be the machine's; null if nobody looks: then no events are made. */
  readonly sink: TraceSink | null;
  /** The same without the others, who do not hear of what only properties look at. */
  private readonly ownSink: TraceSink | null;
  private readonly expectations: Expectations;
  private readonly collector: StreamCollector;
  private readonly checker: PropertyChecker | null;
  /** Of properties about places: hears of everything as it comes. */
  private readonly placeChecker: PropertyChecker | null;
  private readonly order: TimeOrder | null;

  /** @param others who else wants to see events, as they come and not in order of time */
  constructor(expectations: Expectations, others: readonly TraceSink[] = []) {
    const { directives, goldens, properties } = expectations;
    this.expectations = expectations;
    this.collector = new StreamCollector([...directives, ...goldens].map(({ stream }) => stream));
    const stated = properties.map(({ property }) => property);
    this.checker = checkerOf(stated.filter(({ places }) => places.length === 0));
    // Clocks differ by a lookahead, which is long for a lock: what vCPUs do to memory is told in
    // the order in which they do it.
    this.placeChecker = checkerOf(stated.filter(({ places }) => places.length > 0));
    const own = [
      ...(this.collector.needsTrace ? [this.collector] : []),
      ...(this.checker === null ? [] : [this.checker]),
    ];
    this.order = own.length > 0 ? new TimeOrder(new Fan(own)) : null;
    const sinks = [
      ...(this.order === null ? [] : [this.order]),
      ...(this.placeChecker === null ? [] : [this.placeChecker]),
    ];
    this.ownSink = fanOf(sinks);
    this.sink = fanOf([...sinks, ...others]);
  }

  /**
   * Have a machine, which has not run yet, look at the places that properties name.
   * @throws PlaceError if no program has one
   */
  observe(machine: Machine): void {
    this.follow(observerFor(machine, this.expectations));
  }

  /** The same for a machine that is looked at already, and is at its beginning again. */
  follow(observer: GuestObserver): void {
    observer.begin(this.ownSink);
  }

  /** The run has ended. */
  judge(machine: Machine, ending: MachineEnding): Verdict {
    const { collector, expectations } = this;
    const { directives, goldens, properties } = expectations;
    this.order?.flush();
    const virtualNs = machine.host.frequency.toNs(machine.now);
    const isMoreExpected = directives.length + goldens.length + properties.length > 0;
    // A report takes time: where only the ending counts, there is none.
    const report = isMoreExpected ? reportOf(machine, ending) : null;
    const streams = report === null ? [] : collector.streams(machine, report);
    const variables = () => predefined(machine);
    const violations = report === null ? [] : this.violations(report);
    const failures = [
      ...endingFailures(expectations, ending, virtualNs),
      ...streams.flatMap((stream) => streamFailures(stream, directives, variables())),
      ...goldens.flatMap((golden) => goldenFailures(golden, streamOf(streams, golden.stream))),
      ...violations.map((violation) => violationFailure(violation, expectations)),
      ...tooLong(collector, virtualNs),
    ];
    return {
      holds: failures.length === 0,
      testCount: 1 + directives.length + goldens.length + properties.length,
      failures,
      ending,
      virtualNs,
      goldenLines: goldens.map(({ stream }) => streamOf(streams, stream).lines),
    };
  }

  /** Properties that are violated by now, whatever may come; of a run that was cut off. */
  violatedSoFar(): readonly Failure[] {
    this.order?.flush();
    const found = [this.checker, this.placeChecker].flatMap((one) => one?.violations ?? []);
    return found
      .sort((a, b) => a.timeNs - b.timeNs)
      .map((violation) => violationFailure(violation, this.expectations));
  }

  private violations(report: RunReport): readonly Violation[] {
    const checkers = [this.checker, this.placeChecker];
    const found = checkers.flatMap((one) => one?.end(report.virtualNs, stateLines(report)) ?? []);
    return found.sort((a, b) => a.timeNs - b.timeNs);
  }
}

/**
 * Look at what expectations name in the guests of a machine that has not run yet.
 * @throws PlaceError if no program has it
 */
export function observerFor(machine: Machine, { properties }: Expectations): GuestObserver {
  return new GuestObserver(
    machine,
    properties.map(({ property }) => property),
  );
}

function checkerOf(properties: readonly Property[]): PropertyChecker | null {
  return properties.length > 0 ? new PropertyChecker(properties) : null;
}

/** Passes events on to several. */
class Fan implements TraceSink {
  private readonly sinks: readonly TraceSink[];

  constructor(sinks: readonly TraceSink[]) {
    this.sinks = sinks;
  }

  record(record: TraceRecord): void {
    for (const sink of this.sinks) sink.record(record);
  }
}

function fanOf(sinks: readonly TraceSink[]): TraceSink | null {
  return sinks.length > 0 ? new Fan(sinks) : null;
}

function streamOf(streams: readonly Stream[], name: StreamName): Stream {
  const found = streams.find((stream) => stream.name === name);
  if (found === undefined) throw new Error(`stream ${name} was not collected`);
  return found;
}

/** Labels of the first program, and what the run was made with, as numeric variables. */
function predefined(machine: Machine): Variables {
  const variables = noVariables();
  const define = (name: string, value: bigint, conversion: 'u' | 'x') =>
    variables.numbers.set(name, { value, format: { ...UNSIGNED, conversion } });
  for (const { name, start } of machine.symbols[0].names) {
    if (/^[A-Za-z_]\w*$/.test(name)) define(name, BigInt(`0x${start.toString(16)}`), 'x');
  }
  define('SEED', BigInt(machine.scenario.seed), 'u');
  define('VCPUS', BigInt(machine.vcpus.length), 'u');
  define('PCPUS', BigInt(machine.host.pcpus.length), 'u');
  return variables;
}

function endingFailures(
  { ending: expected }: Expectations,
  ending: MachineEnding,
  timeNs: number,
): Failure[] {
  const exitCode = expected === null ? DEFAULT_EXIT_CODE : expected.exitCode;
  const isCode = exitCode === null || exitCode === ending.exitCode;
  const isStatus =
    expected === null || expected.status === null || expected.status === ending.status;
  if (isCode && isStatus) return [];
  const wanted = expected === null ? `exit code ${DEFAULT_EXIT_CODE}` : expected.text;
  const text = `${ending.status}, exit code ${ending.exitCode}: ${ending.message}`;
  return [
    {
      line: expected?.line ?? null,
      column: expected?.column ?? null,
      stream: null,
      golden: null,
      message: `${expected === null ? 'the run' : 'EXPECT:'} ended otherwise than expected`,
      expected: expected?.exitCode === null || expected === null ? wanted : `exit code ${wanted}`,
      heading: 'ended',
      lines: [{ number: null, text, isMarked: false }],
      timeNs,
    },
  ];
}

function streamFailures(
  stream: Stream,
  directives: readonly Directive[],
  variables: Variables,
): Failure[] {
  const ours = directives.filter((directive) => directive.stream === stream.name);
  const text = stream.lines.map((line) => `${line}\n`).join('');
  const starts = lineStarts(stream.lines);
  return matchText(ours, text, variables).map((mismatch) =>
    mismatchFailure(mismatch, stream, starts),
  );
}

/** Offsets at which lines begin, and that of the end. */
function lineStarts(lines: readonly string[]): number[] {
  const starts = [0];
  for (const line of lines) starts.push(starts[starts.length - 1] + line.length + 1);
  return starts;
}

/** Index of the line that an offset is in. */
function lineAt(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high - 1) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= offset) low = middle;
    else high = middle;
  }
  return low;
}

/** Lines shown around the one that matched before. */
const LINES_SHOWN = 3;

function mismatchFailure(
  { directive, message, from, to, found, variables }: Mismatch,
  { name, lines, timesNs }: Stream,
  starts: readonly number[],
): Failure {
  const known = substituted(directive.pattern, variables);
  const place = { line: directive.line, column: directive.column, stream: name, golden: null };
  const expected = directive.pattern.text + (known === null ? '' : `   (${known})`);
  const head = { ...place, message: `${message}, in ${name}`, expected };
  const number = (index: number, isMarked: boolean): ShownLine => ({
    number: index + 1,
    text: lines[index],
    isMarked,
  });
  if (lines.length === 0) return { ...head, heading: 'there are no lines', lines: [], timeNs: 0 };
  if (found !== null) {
    const at = Math.min(lineAt(starts, found.start), lines.length - 1);
    return { ...head, heading: 'found', lines: [number(at, true)], timeNs: timesNs[at] };
  }
  const first = lineAt(starts, from);
  const last = lineAt(starts, Math.max(from, to - 1));
  const near = nearestLines(
    fixedText(directive.pattern, variables),
    lines,
    first,
    last,
    LINES_SHOWN,
  );
  if (near.length > 0) {
    const shown = near.map(({ index }) => number(index, false));
    return { ...head, heading: 'nearest', lines: shown, timeNs: timesNs[near[0].index] };
  }
  const here = Math.min(first, lines.length - 1);
  const shown = lines.slice(here, here + LINES_SHOWN).map((_, i) => number(here + i, false));
  return { ...head, heading: 'it was looked for from', lines: shown, timeNs: timesNs[here] };
}

function goldenFailures(golden: Golden, { name, lines, timesNs }: Stream): Failure[] {
  const wanted = golden.lines;
  const at = lines.findIndex((line, i) => line.trimEnd() !== wanted[i]);
  const first = at < 0 ? lines.length : at;
  if (at < 0 && wanted.length === lines.length) return [];
  const isEnd = first >= lines.length;
  const text = isEnd ? 'the end' : lines[first];
  return [
    {
      line: golden.line + (first < wanted.length ? first + 1 : wanted.length),
      column: 1,
      stream: name,
      golden: golden.line,
      message: `GOLDEN: ${name} differs in line ${first + 1}; --update takes it as it is`,
      expected: wanted[first] ?? 'the end',
      heading: 'found',
      lines: [{ number: first + 1, text, isMarked: true }],
      timeNs: timesNs[Math.min(first, lines.length - 1)] ?? 0,
    },
  ];
}

function violationFailure(
  { property, message, timeNs, around, event }: Violation,
  { properties }: Expectations,
): Failure {
  const stated = properties.find((candidate) => candidate.property === property);
  return {
    line: stated?.line ?? null,
    column: stated?.column ?? null,
    stream: null,
    golden: null,
    message: `PROPERTY: ${message}`,
    expected: property.text,
    heading: `around ${timeNs} ns`,
    lines: around.map((text, i) => ({ number: null, text, isMarked: i === event })),
    timeNs,
  };
}

function tooLong({ droppedCount }: StreamCollector, timeNs: number): Failure[] {
  if (droppedCount === 0) return [];
  return [
    {
      line: null,
      column: null,
      stream: null,
      golden: null,
      message: `the trace has ${droppedCount} lines too many to be matched`,
      expected: 'a shorter run, by limits such as until=10ms, or a PROPERTY instead',
      heading: 'ended',
      lines: [],
      timeNs,
    },
  ];
}
