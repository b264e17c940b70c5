// ftrace's text format: the columns of a line and the comment at the top of a file. Linux
// kernel/trace/trace_output.c, trace_print_context; the expected lines are laid out by hand.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/sim/index.ts';
import { fieldReader, readerByNames } from '../../src/trace/field-reader.ts';
import {
  openDat,
  TextWriter,
  TRACEPOINTS,
  type TracepointName,
  type TraceRecord,
  textHeader,
  textLine,
  tracepointOf,
} from '../../src/trace/index.ts';
import { datFile, EVERY_EVENT, sourceOf } from '../support/trace-files.ts';

const EOI = { name: 'kvm_eoi', fields: { apicId: 0, vector: 32 } } as const;

function eoi(timeNs: number, pcpu: number, comm: string, pid: number): string {
  return textLine({ timeNs, pcpu, comm, pid, ...EOI });
}

describe('a line', () => {
  test.each([
    [
      'names task, pCPU and time',
      eoi(1_500, 0, 'vcpu0', 1000),
      '           vcpu0-1000    [000] .....     0.000001: kvm_eoi: apicid 0 vector 32',
    ],
    [
      'has microseconds, cut off',
      eoi(12_345_678_999, 7, 'vcpu12', 1012),
      '          vcpu12-1012    [007] .....    12.345678: kvm_eoi: apicid 0 vector 32',
    ],
    [
      'has room for large numbers',
      eoi(99_999_000_000_000, 255, 'hog', 4_194_304),
      '             hog-4194304 [255] ..... 99999.000000: kvm_eoi: apicid 0 vector 32',
    ],
    [
      'cuts task names as the kernel does, to 15 bytes',
      eoi(0, 0, 'a-very-long-name-of-a-machine', 1),
      ' a-very-long-nam-1       [000] .....     0.000000: kvm_eoi: apicid 0 vector 32',
    ],
    [
      'has a name for nobody',
      eoi(0, 1, '<idle>', 0),
      '          <idle>-0       [001] .....     0.000000: kvm_eoi: apicid 0 vector 32',
    ],
  ])('%s', (_what, line, expected) => {
    expect(line).toBe(expected);
  });

  test('has the columns that the legend points at', () => {
    const line = eoi(1_500, 3, 'vcpu0', 1000);
    const legend = textHeader(1, 4).split('\n')[10];
    expect(legend.indexOf('-PID')).toBe(line.indexOf('-1000'));
    expect(legend.indexOf('|||||')).toBe(line.indexOf('.....'));
  });
});

/** irqs off, need-resched, context, preempt depth, migrate-disable. */
describe('the flags', () => {
  // Entry and exit are traced with interrupts off in the innermost loop, the scheduler with its run
  // queue locked on top of that, handlers with interrupts on.
  test.each<[TracepointName, string]>([
    ['kvm_entry', 'd..1.'],
    ['kvm_exit', 'd..1.'],
    ['kvm_inj_virq', 'd..1.'],
    ['sched_switch', 'd..2.'],
    ['sched_wakeup', 'd..2.'],
    ['kvm_msr', '.....'],
    ['kvm_userspace_exit', '.....'],
  ])('%s %s', (name, flags) => {
    expect(TRACEPOINTS[name].flags).toBe(flags);
  });

  test('have five columns everywhere', () => {
    for (const { flags } of Object.values(TRACEPOINTS)) {
      expect(flags).toMatch(/^[dbD.][Nnp.][ZzHhs.][0-9a-f.][0-9a-f.]$/);
    }
  });

  test('stand in the line', () => {
    const fields = { vcpu: 0, rip: Long.fromInt(0x1000), immediateExit: false };
    const where = { timeNs: 0, pcpu: 0, comm: 'vcpu0', pid: 1000 };
    expect(textLine({ ...where, name: 'kvm_entry', fields })).toBe(
      '           vcpu0-1000    [000] d..1.     0.000000: kvm_entry: vcpu 0, rip 0x1000',
    );
  });
});

describe('the header', () => {
  test('is the one of a trace without a tracer', () => {
    const lines = textHeader(47, 2).split('\n');
    expect(lines.slice(0, 2)).toEqual(['# tracer: nop', '#']);
    expect(lines[2].trimEnd()).toBe('# entries-in-buffer/entries-written: 47/47   #P:2');
    expect(lines.slice(3)).toEqual([
      '#',
      '#                                _-----=> irqs-off/BH-disabled',
      '#                               / _----=> need-resched',
      '#                              | / _---=> hardirq/softirq',
      '#                              || / _--=> preempt-depth',
      '#                              ||| / _-=> migrate-disable',
      '#                              |||| /     delay',
      '#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION',
      '#              | |         |   |||||     |         |',
      '',
    ]);
  });

  test('has one length, so that counts can be filled in at the end', () => {
    const lengths = [0, 47, 123_456_789].map((entries) => textHeader(entries, 256).length);
    expect(new Set(lengths).size).toBe(1);
  });
});

/** Events that are often, but not always, as some other of their kind. */
function* similarEvents(count: number): Generator<TraceRecord> {
  const prng = new Prng(1);
  const some = () => Long.fromBits(prng.below(3), prng.below(3), true);
  for (let n = 0; n < count; n++) {
    const where = {
      timeNs: n * 50_000_001,
      pcpu: prng.below(2),
      comm: ['vcpu0', 'vcpu1'][prng.below(2)],
      pid: 1000 + prng.below(2),
    };
    if (prng.below(2) === 0) {
      const fields = { vcpu: prng.below(3), rip: some(), immediateExit: prng.below(2) === 0 };
      yield { ...where, name: 'kvm_entry', fields };
      continue;
    }
    const fields = {
      ...{ vcpu: prng.below(3), rip: some(), info1: some(), info2: some() },
      ...{ reason: ['HLT', 'MSR_WRITE', 'MSR_READ'][prng.below(3)], entryFailed: false },
      ...{ intrInfo: prng.below(2), errorCode: prng.below(2) },
    };
    yield { ...where, name: 'kvm_exit', fields };
  }
}

describe('events say the same whatever was written before them', () => {
  const records = [...similarEvents(20_000)];

  test('in text', () => {
    const pieces: Buffer[] = [];
    const writer = new TextWriter((bytes) => pieces.push(Buffer.from(bytes)));
    for (const record of records) writer.record(record);
    writer.flush();
    expect(pieces.length).toBeGreaterThan(10);
    expect(writer.entries).toBe(records.length);
    const lines = Buffer.concat(pieces).toString().split('\n');
    expect(lines.pop()).toBe('');
    expect(lines).toEqual(records.map(textLine));
    expect(new Set(lines.map((line) => line.slice(60))).size).toBeGreaterThan(1000);
  });

  test('in trace.dat', () => {
    const again = [...openDat(sourceOf(datFile(records, 2))).records()];
    // A file has one name for a task.
    const lines = (some: readonly TraceRecord[]) =>
      some.map((one) => textLine({ ...one, comm: '' }));
    expect(lines(again)).toEqual(lines(records));
  });
});

test('values are read by names alone where no code can be made of text', () => {
  for (const { name, fields } of EVERY_EVENT) {
    const { ways } = tracepointOf(name);
    const [fast, slow] = [fieldReader(ways), readerByNames(ways)];
    const [values, again]: [unknown[], unknown[]] = [[], []];
    fast.read(fields, values);
    slow.read(fields, again);
    expect(values).toEqual(again);
    expect(values.length).toBe(ways.length);
    const copies = values.map((one) => (Long.isLong(one) ? Long.fromValue(one) : one));
    for (const reader of [fast, slow]) expect(reader.matches(fields, copies)).toBe(true);
    for (const other of EVERY_EVENT.filter((one) => one.name === name)) {
      slow.read(other.fields, again);
      const isSame = JSON.stringify(again) === JSON.stringify(values);
      for (const reader of [fast, slow]) expect(reader.matches(other.fields, values)).toBe(isSame);
    }
  }
});
