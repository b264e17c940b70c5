// Matchers for what a guest did, as functions that know nothing of the test runner: each says
// whether it holds, and prints what there was instead.

import Long from 'long';
import {
  type Failure,
  matchLines,
  PropertyChecker,
  property,
  STREAMS,
  StreamCollector,
  type StreamName,
  stateLines,
} from '../check/index.ts';
import type { EndingStatus } from '../machine/index.ts';
import { nearest } from '../sim/index.ts';
import type { TracepointName, TraceRecord } from '../trace/index.ts';
import { EXIT_REASONS } from '../vmx/index.ts';
import type { Lab, LabRun } from './lab.ts';

/** What a matcher has found. */
export interface Matched {
  readonly pass: boolean;
  /** What to print if that is not what was wanted: of a failure, or of a success under `not`. */
  readonly message: () => string;
}

export interface HowOften {
  /** Index of the vCPU; any if not given. */
  readonly vcpu?: number;
  /** Just so many times; at least once if not given. */
  readonly times?: number;
}

type ExitRecord = Extract<TraceRecord, { name: 'kvm_exit' }>;

/** VM exits of a reason, by the name in `vmxlab exits`. */
export function toHaveExited(run: LabRun, reason: string, { vcpu, times }: HowOften = {}): Matched {
  const names = EXIT_REASONS.map(({ name }) => name);
  if (!names.includes(reason)) {
    const near = nearest(reason, names);
    const hint = near === null ? '' : `; did you mean '${near}'?`;
    throw new RangeError(`there is no exit reason '${reason}'${hint}`);
  }
  const exits = run.trace.filter((record): record is ExitRecord => record.name === 'kvm_exit');
  const found = exits.filter(
    ({ fields }) => fields.reason === reason && (vcpu === undefined || fields.vcpu === vcpu),
  );
  const who = vcpu === undefined ? 'the guest' : `vCPU ${vcpu}`;
  const wanted = times === undefined ? 'at least once' : countOf(times);
  return {
    pass: times === undefined ? found.length > 0 : found.length === times,
    message: () =>
      [
        `expected ${who} to have exited with ${reason} ${wanted}, but it did ${countOf(found.length)}`,
        '',
        ...exitTable(exits),
      ].join('\n'),
  };
}

function countOf(times: number): string {
  if (times === 0) return 'never';
  return times === 1 ? 'once' : `${times} times`;
}

/** The exits of each vCPU, by number. */
function exitTable(exits: readonly ExitRecord[]): string[] {
  const counts = new Map<string, number>();
  for (const { fields } of exits) {
    const key = `vCPU ${fields.vcpu}  ${fields.reason}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  if (counts.size === 0) return ['There were no VM exits.'];
  const rows = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  const width = Math.max(...rows.map(([key]) => key.length));
  return ['VM exits:', ...rows.map(([key, count]) => `  ${key.padEnd(width)}  ${count}`)];
}

/** How the run ended: by a word such as `halted`, or by its exit code. */
export function toHaveEnded(run: LabRun, how: EndingStatus | number): Matched {
  const { status, exitCode, message } = run.ending;
  const wanted = typeof how === 'number' ? `with exit code ${how}` : `as ${how}`;
  return {
    pass: typeof how === 'number' ? exitCode === how : status === how,
    message: () =>
      `expected the run to end ${wanted}; it ended as ${status}, exit code ${exitCode}: ${message}`,
  };
}

/** What was written to the debug console: a text somewhere in it, or a regular expression. */
export function toHavePrinted(run: LabRun, text: string | RegExp): Matched {
  const { output } = run;
  return {
    pass: typeof text === 'string' ? output.includes(text) : text.test(output),
    message: () => {
      const wanted = typeof text === 'string' ? JSON.stringify(text) : String(text);
      return `expected the guest to print ${wanted}; it printed\n\n${output || '(nothing)'}`;
    },
  };
}

/** The final value of a register, by its name in reports (rax, rip, cr0), of vCPU 0 or another. */
export function toHaveRegister(
  run: LabRun,
  name: string,
  value: number | bigint | Long | string,
  { vcpu = 0 }: { readonly vcpu?: number } = {},
): Matched {
  const found = run.report.vcpus[vcpu];
  if (found === undefined) throw new RangeError(`there is no vCPU ${vcpu}`);
  const names = Object.keys(found.registers);
  if (!names.includes(name)) {
    throw new RangeError(`there is no register '${name}'; they are ${names.join(', ')}`);
  }
  const wanted = hexOf(value);
  const actual = found.registers[name];
  return {
    pass: actual === wanted,
    message: () => `expected ${name} of vCPU ${vcpu} to be 0x${wanted}; it is 0x${actual}`,
  };
}

/** 64 bits as reports have them: hexadecimal digits. */
function hexOf(value: number | bigint | Long | string): string {
  if (Long.isLong(value)) return value.toUnsigned().toString(16);
  return BigInt.asUintN(64, BigInt(value)).toString(16);
}

/** Events of a tracepoint, with the given fields; at least one, or just so many. */
export function toHaveTraced(
  run: LabRun,
  name: TracepointName,
  fields: Readonly<Record<string, unknown>> = {},
  { times }: Pick<HowOften, 'times'> = {},
): Matched {
  const all = run.trace.filter((record) => record.name === name);
  const found = all.filter((record) => hasFields(record.fields, fields));
  const wanted = times === undefined ? 'at least once' : countOf(times);
  const shown = JSON.stringify(fields);
  return {
    pass: times === undefined ? found.length > 0 : found.length === times,
    message: () =>
      `expected ${name} with ${shown} ${wanted}; it was there ${countOf(found.length)}, ` +
      `among ${all.length} ${name}`,
  };
}

function hasFields(actual: unknown, wanted: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(wanted).every(([name, value]) => {
    const found = (actual as Readonly<Record<string, unknown>>)[name];
    if (Long.isLong(found)) return hexOf(found) === hexOf(value as number);
    return found === value;
  });
}

/** A property over time (docs/checking.md). */
export function toSatisfyProperty(run: LabRun, text: string): Matched {
  const checker = new PropertyChecker([property(text)]);
  for (const record of run.trace) checker.record(record);
  const [violation] = checker.end(run.report.virtualNs, stateLines(run.report));
  return {
    pass: violation === undefined,
    message: () => {
      if (violation === undefined) return `expected this not to hold, but it does: ${text}`;
      const { message, timeNs, around, event } = violation;
      const lines = around.map((line, i) => `${i === event ? '>' : ' '} ${line}`);
      return [`at ${timeNs} ns: ${message}`, '', ...lines].join('\n');
    },
  };
}

/** Directives such as `CHECK-NEXT: reason HLT`, each about its stream. */
export function toMatchDirectives(run: LabRun, directives: readonly string[]): Matched {
  const collector = new StreamCollector(Object.keys(STREAMS) as StreamName[]);
  for (const record of run.trace) collector.record(record);
  const mismatches = collector
    .streams(run.machine, run.report)
    .flatMap(({ name, lines }) => matchLines(directives, name, lines));
  return {
    pass: mismatches.length === 0,
    message: () =>
      mismatches.length === 0
        ? 'expected the directives not to hold, but they do'
        : mismatches
            .map(({ directive, message }) => `${message}: ${directive.pattern.text}`)
            .join('\n'),
  };
}

/** What the comments of the source expect. Runs the guest. */
export function toMeetItsExpectations(guest: Lab): Matched {
  const { holds, failures } = guest.check();
  return {
    pass: holds,
    message: () =>
      holds
        ? 'expected the guest not to meet its expectations, but it does'
        : failures.map(textOf).join('\n\n'),
  };
}

function textOf({ line, message, expected, heading, lines }: Failure): string {
  const shown = lines.map(({ text, isMarked }) => `    ${isMarked ? '>' : ' '} ${text}`);
  return [`line ${line ?? '-'}: ${message}`, `    ${expected}`, `  ${heading}:`, ...shown].join(
    '\n',
  );
}

export const MATCHERS = {
  toHaveExited,
  toHaveEnded,
  toHavePrinted,
  toHaveRegister,
  toHaveTraced,
  toSatisfyProperty,
  toMatchDirectives,
  toMeetItsExpectations,
} as const;
