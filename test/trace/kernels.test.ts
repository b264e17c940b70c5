// Traces as earlier kernels wrote them: which events there were, under which names, with which
// columns and texts, and how lines began. What was written is read again, and trace-cmd prints it
// as we do. The expected lines are written out by hand from the kernels' trace.h and sched.h.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { KERNELS } from '../../src/machine/kernels.ts';
import {
  lineOf,
  openDat,
  openText,
  PerfettoWriter,
  TextWriter,
  TimeOrder,
  TRACE_FORMATS,
  TRACEPOINTS,
  TraceFormat,
  type TracepointName,
  type TraceRecord,
  textHeader,
} from '../../src/trace/index.ts';
import { missing } from '../support/outside-tools.ts';
import { datFile, EVERY_EVENT, report, sourceOf } from '../support/trace-files.ts';

const noTraceCmd = missing('trace-cmd');
if (noTraceCmd !== null) console.log(`trace-cmd is not asked: ${noTraceCmd}`);

const folder = mkdtempSync(join(tmpdir(), 'vmxlab-kernels-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The texts that a kernel has for the events of one tracepoint. */
function textsOf(kernel: string, name: TracepointName): (string | null)[] {
  const format = TraceFormat.of(kernel);
  return EVERY_EVENT.filter((record) => record.name === name).map((record) => format.text(record));
}

describe('the first event of a kind', () => {
  test.each<[kernel: string, name: TracepointName, text: string | null]>([
    ['2.6.35', 'kvm_entry', 'kvm_entry: vcpu 0'],
    ['5.9', 'kvm_entry', 'kvm_entry: vcpu 0'],
    ['5.15', 'kvm_entry', 'kvm_entry: vcpu 0, rip 0x100000'],
    ['6.1', 'kvm_entry', 'kvm_entry: vcpu 0, rip 0x100000'],
    ['2.6.35', 'kvm_exit', 'kvm_exit: reason HLT rip 0x100020'],
    ['2.6.38', 'kvm_exit', 'kvm_exit: reason HLT rip 0x100020 info 0 0'],
    ['5.3', 'kvm_exit', 'kvm_exit: reason HLT rip 0x100020 info 0 0'],
    ['5.4', 'kvm_exit', 'kvm_exit: vcpu 0 reason HLT rip 0x100020 info 0 0'],
    ['3.15', 'kvm_pio', 'kvm_pio: pio_write at 0xe9 size 1 count 1'],
    ['3.16', 'kvm_pio', 'kvm_pio: pio_write at 0xe9 size 1 count 1 val 0x41 '],
    ['4.8', 'kvm_inj_virq', 'kvm_inj_virq: irq 64'],
    ['6.0', 'kvm_inj_virq', 'kvm_inj_virq: IRQ 0x40'],
    ['2.6.34', 'kvm_inj_exception', null],
    ['4.8', 'kvm_inj_exception', 'kvm_inj_exception: #UD (0x0)'],
    ['3.15', 'kvm_ple_window', null],
    ['4.8', 'kvm_ple_window', 'kvm_ple_window: vcpu 1: ple_window 4096 (shrink 4096)'],
    ['5.4', 'kvm_ple_window', null],
    ['5.3', 'kvm_ple_window_update', null],
    ['5.4', 'kvm_ple_window_update', 'kvm_ple_window_update: vcpu 1 old 4096 new 8192 (growed)'],
    ['3.15', 'kvm_vcpu_wakeup', null],
    ['4.6', 'kvm_vcpu_wakeup', 'kvm_vcpu_wakeup: wait time 22949 ns'],
    ['4.7', 'kvm_vcpu_wakeup', 'kvm_vcpu_wakeup: wait time 22949 ns, polling valid'],
    ['4.8', 'sched_waking', 'sched_waking: comm=vcpu0 pid=1000 prio=120 target_cpu=001'],
    ['3.15', 'sched_waking', null],
    ['4.2', 'sched_wakeup', 'sched_wakeup: comm=hog1 pid=1003 prio=125 success=1 target_cpu=012'],
    ['4.3', 'sched_wakeup', 'sched_wakeup: comm=hog1 pid=1003 prio=125 target_cpu=012'],
    ['3.4', 'kvm_eoi', null],
    ['2.6.35', 'kvm_userspace_exit', null],
  ])('%s: %s is %s', (kernel, name, text) => {
    expect(textsOf(kernel, name)[0]).toBe(text);
  });
});

/** An event like the first of a kind but for some fields. */
function changed(name: TracepointName, fields: object): TraceRecord {
  const first = EVERY_EVENT.find((record) => record.name === name);
  return { ...first, fields: { ...first?.fields, ...fields } } as TraceRecord;
}

test.each([
  ['5.9', 'INVALID_STATE', 'vcpu 0 reason 0x80000021 rip'],
  ['4.8', 'MSR_LOAD_FAIL', 'reason 0x80000022 rip'],
  ['5.10', 'INVALID_STATE', 'vcpu 0 reason INVALID_STATE FAILED_VMENTRY rip'],
])('%s tells of an entry that fails: %s is %s', (kernel, reason, text) => {
  const record = changed('kvm_exit', { reason, entryFailed: true });
  expect(TraceFormat.of(kernel).text(record)).toContain(`kvm_exit: ${text}`);
});

test.each([
  ['4.8', 'PENDING_INTERRUPT'],
  ['5.10', 'INTERRUPT_WINDOW'],
])('%s names an exit %s', (kernel, name) => {
  const text = TraceFormat.of(kernel).text(changed('kvm_exit', { reason: 'INTERRUPT_WINDOW' }));
  expect(text).toContain(`reason ${name} rip`);
  const line = `vcpu0-1 [000] 0.000000: ${text}`;
  const [again] = openText(() => [line]).records();
  expect(again.fields).toMatchObject({ reason: 'INTERRUPT_WINDOW' });
});

// Who was preempted had no mark before 3.2, and another bit than today before 4.14.
test.each([
  ['2.6.39', 'R', 0],
  ['3.15', 'R+', 0x400],
  ['4.12', 'R+', 0x1000],
  ['6.1', 'R+', 0x100],
])('%s shows who was preempted as %s, 0x%x', (kernel, shown, bits) => {
  const record = changed('sched_switch', { prevState: 'R+' });
  const tracepoint = TraceFormat.of(kernel).layoutOf('sched_switch')?.tracepoint;
  expect(tracepoint?.print(record.fields)).toContain(`prev_state=${shown} ==>`);
  const view = new DataView(new ArrayBuffer(64));
  tracepoint?.encode(record.fields, view, 0);
  expect(view.getUint32(32, true)).toBe(bits);
});

/** Columns of an event with their places. */
function columnsOf(kernel: string, name: TracepointName): string {
  const columns = TraceFormat.of(kernel).layoutOf(name)?.tracepoint.columns ?? [];
  return columns.map(({ name: column, offset }) => `${column}:${offset}`).join(' ');
}

test.each<[string, TracepointName, string]>([
  ['4.8', 'kvm_entry', 'vcpu_id:8'],
  ['4.8', 'kvm_exit', 'exit_reason:8 guest_rip:16 info1:24 info2:32'],
  ['5.4', 'kvm_exit', 'exit_reason:8 guest_rip:16 info1:24 info2:32 vcpu_id:40'],
  ['4.8', 'kvm_inj_virq', 'irq:8'],
  ['4.8', 'sched_wakeup', 'comm:8 pid:24 prio:28 success:32 target_cpu:36'],
  ['6.1', 'sched_wakeup', 'comm:8 pid:24 prio:28 target_cpu:32'],
])('%s: %s has the columns %s', (kernel, name, columns) => {
  expect(columnsOf(kernel, name)).toBe(columns);
});

describe.each(KERNELS)('%s', (kernel) => {
  const format = TraceFormat.of(kernel);
  const file = datFile(EVERY_EVENT, 3, format);
  const shown = report(EVERY_EVENT, 3, 'ns', format);

  test.skipIf(noTraceCmd !== null)('trace-cmd prints it as we do', () => {
    const path = join(folder, `${kernel}.dat`);
    writeFileSync(path, file);
    const ask = (...words: string[]) =>
      execFileSync('trace-cmd', ['report', ...words, path], { encoding: 'utf8' });
    expect(ask('-N', '-t')).toBe(shown);
    expect(ask('--check-events')).toBe('');
  });

  test('is known by its file, and read again', () => {
    const trace = openDat(sourceOf(file));
    expect(layoutsOf(trace.format)).toEqual(layoutsOf(format));
    const again = [...trace.records()];
    expect(report(again, 3, 'ns', trace.format)).toBe(shown);
    expect(trace.leftOut.size).toBe(0);
  });

  test('is known by its text, and read again', () => {
    const lines = textOf(format);
    const trace = openText(() => lines);
    expect(trace.format.style).toEqual(format.style);
    const again = [...trace.records()];
    expect(again.length).toBe(lines.filter((line) => !line.startsWith('#')).length);
    expect(again.map((record) => lineOf(record, format))).toEqual(
      lines.filter((line) => !line.startsWith('#')),
    );
  });

  test('has arrows in Perfetto from each wake-up', () => {
    const starts = EVERY_EVENT.filter(({ name }) => name === 'sched_wakeup').length;
    expect(starts).toBeGreaterThan(0);
    const packets: string[] = [];
    const writer = new PerfettoWriter(
      3,
      (bytes) => packets.push(Buffer.from(bytes).toString('latin1')),
      format,
    );
    for (const record of EVERY_EVENT) writer.record(record);
    writer.close();
    const text = packets.join('');
    expect(text.includes('sched_waking')).toBe(format.layoutOf('sched_waking') !== null);
    expect(text.includes('success')).toBe(
      format.layoutOf('sched_wakeup')?.tracepoint.names.includes('success'),
    );
  });
});

function layoutsOf(format: TraceFormat) {
  return format.events.map(({ event, tracepoint }) => [event, tracepoint.printFormat]);
}

/** A whole text. */
function textOf(format: TraceFormat): string[] {
  const pieces: Buffer[] = [];
  const writer = new TextWriter((bytes) => pieces.push(Buffer.from(bytes)), format);
  const order = new TimeOrder(writer);
  for (const record of EVERY_EVENT) order.record(record);
  order.flush();
  writer.flush();
  const lines = Buffer.concat(pieces).toString().split('\n').slice(0, -1);
  return [...textHeader(lines.length, 3, format).split('\n').slice(0, -1), ...lines];
}

describe('a line of text', () => {
  const kvmEntry = EVERY_EVENT[0];

  test.each([
    ['2.6.35', '           vcpu0-1000  [000]     0.000000: kvm_entry: vcpu 0'],
    ['4.8', '           vcpu0-1000  [000] d..1     0.000000: kvm_entry: vcpu 0'],
    ['6.1', '           vcpu0-1000    [000] d..1.     0.000000: kvm_entry: vcpu 0, rip 0x100000'],
  ])('of %s', (kernel, line) => {
    expect(lineOf(kvmEntry, TraceFormat.of(kernel))).toBe(line);
  });

  test('has the columns that the legend points at', () => {
    for (const format of TRACE_FORMATS) {
      const { latencyColumns } = format.style;
      if (latencyColumns === 0) continue;
      const line = lineOf(kvmEntry, format) ?? '';
      const legend =
        textHeader(1, 3, format)
          .split('\n')
          .find((one) => one.includes('TASK-PID')) ?? '';
      expect(legend.indexOf('-PID')).toBe(line.indexOf('-1000'));
      expect(legend.indexOf('||||')).toBe(line.indexOf('d..1'));
    }
  });
});

test('every layout differs from its successor', () => {
  for (const { earlier, printFormat, columns } of Object.values(TRACEPOINTS)) {
    const all = [...earlier.map(({ tracepoint }) => tracepoint), { printFormat, columns }];
    const texts = all.map((one) => JSON.stringify([one.printFormat, one.columns]));
    expect(new Set(texts).size).toBe(texts.length);
  }
});
