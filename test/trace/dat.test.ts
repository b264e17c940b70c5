// trace.dat files: `trace-cmd report` prints them, line for line as our own report does; what was
// written can be read again; what is damaged is refused where it is damaged.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openDat, TraceError, type TraceRecord } from '../../src/trace/index.ts';
import { guestProgram, runToEnd, scenarioOf, tracedMachine } from '../support/guest-run.ts';
import { missing } from '../support/outside-tools.ts';
import { datFile, EVERY_EVENT, report, sourceOf } from '../support/trace-files.ts';

const noTraceCmd = missing('trace-cmd');
if (noTraceCmd !== null) console.log(`trace-cmd is not asked: ${noTraceCmd}`);

const folder = mkdtempSync(join(tmpdir(), 'vmxlab-dat-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;

/** What trace-cmd has to say of a file. */
function traceCmd(file: Uint8Array, ...options: readonly string[]): string {
  const path = join(folder, `${files++}.dat`);
  writeFileSync(path, file);
  const words = ['report', ...options, path];
  return execFileSync('trace-cmd', words, { encoding: 'utf8', maxBuffer: 2 ** 28 });
}

function recordsOf(program: string, pcpus: number, defines: Record<string, string>) {
  const scenario = scenarioOf({ vcpus: 8, pcpus, hogs: 1, hz: 1000 });
  const { machine, records } = tracedMachine(scenario, [guestProgram(program, defines)]);
  runToEnd(machine);
  return records;
}

const RUNS: readonly (readonly [string, readonly TraceRecord[], number])[] = [
  ['every event', EVERY_EVENT, 3],
  ['a run with locks', recordsOf('lock-ticket-pv.asm', 3, { ITERATIONS: '2000' }), 3],
  ['a run with timers', recordsOf('timer-deadline.asm', 2, { TICKS: '40' }), 2],
  ['nothing', [], 2],
];

describe.each(RUNS)('%s', (_what, records, pcpuCount) => {
  const file = datFile(records, pcpuCount);

  test.skipIf(noTraceCmd !== null)('trace-cmd prints it as we do', () => {
    expect(traceCmd(file, '-N')).toBe(report(records, pcpuCount, 'us'));
    expect(traceCmd(file, '-N', '-t')).toBe(report(records, pcpuCount, 'ns'));
  });

  test('is read again', () => {
    const trace = openDat(sourceOf(file));
    expect(trace.pcpuCount).toBe(pcpuCount);
    const again = [...trace.records()];
    expect(report(again, pcpuCount, 'ns')).toBe(report(records, pcpuCount, 'ns'));
    expect(trace.leftOut.size).toBe(0);
    // To the byte: nothing is lost between the two.
    expect(datFile(again, pcpuCount).equals(file)).toBe(true);
  });
});

describe.skipIf(noTraceCmd !== null)('trace-cmd', () => {
  const file = datFile(EVERY_EVENT, 3);

  test('understands every format', () => {
    expect(traceCmd(file, '--check-events')).toBe('');
  });

  test('shows the latency columns', () => {
    const lines = traceCmd(file, '-N', '-l').split('\n').slice(1, -1);
    const shown = lines.map((line) => /-\d+ +\d+(\S{5})/.exec(line)?.[1]);
    expect(new Set(shown)).toEqual(new Set(['.....', 'd..1.', 'd..2.']));
  });

  // What trace-cmd writes has options, other padding and other places.
  test('writes files that are read here, of version 6', () => {
    const [ours, seven, six] = ['ours.dat', 'seven.dat', 'six.dat'].map((name) =>
      join(folder, name),
    );
    writeFileSync(ours, file);
    const convert = (from: string, to: string, version: string) => {
      const words = ['convert', '-i', from, '-o', to, '--file-version', version];
      execFileSync('trace-cmd', [...words, '--compression', 'none'], { stdio: 'ignore' });
    };
    convert(ours, seven, '7');
    convert(seven, six, '6');
    const theirs = readFileSync(six);
    expect(theirs.equals(file)).toBe(false);
    const records = [...openDat(sourceOf(theirs)).records()];
    expect(report(records, 3, 'ns')).toBe(report(EVERY_EVENT, 3, 'ns'));
    expect(() => openDat(sourceOf(readFileSync(seven)))).toThrow(/expected version 6, found "7"/);
  });

  // The plugin for KVM has texts of its own, from the columns' names and the exit's number.
  test('knows exits and switches with its plugins, too', () => {
    const lines = traceCmd(file);
    expect(lines).toMatch(/kvm_exit: +reason HLT rip 0x100020 info 0 0$/m);
    expect(lines).toMatch(/kvm_exit: +reason EPT_VIOLATION rip 0x100020 info 182 80000b0e$/m);
    expect(lines).toMatch(/sched_switch: +vcpu0:1000 \[120\] S ==> swapper\/1:0 \[120\]$/m);
    expect(lines).toMatch(/sched_wakeup: +hog1:1003 \[125\].* CPU:012$/m);
  });
});

describe('a damaged file', () => {
  const whole = datFile(EVERY_EVENT, 3);
  const readAll = (bytes: Uint8Array) => [...openDat(sourceOf(bytes)).records()];

  const changed = (offset: number, ...bytes: readonly number[]) => {
    const copy = Buffer.from(whole);
    copy.set(bytes, offset);
    return copy;
  };

  test.each([
    ['another magic', changed(0, 0x7f), 'offset 0x0: expected the magic number 17 08 44'],
    ['another name', changed(3, 0x54), 'offset 0x3: expected "tracing", found "Tracing"'],
    ['another version', changed(10, 0x37), 'offset 0xa: expected version 6, found "7"'],
    ['another byte order', changed(12, 1), 'offset 0xc: expected little endian'],
    ['another long', changed(13, 4), 'offset 0xd: expected longs of 8 bytes'],
    ['no page size', changed(14, 0, 0), 'offset 0xe: a page of 0 bytes is none'],
    ['another section', changed(18, 0x48), 'offset 0x12: expected "header_page"'],
    [
      'a long section',
      changed(30, 0, 0, 0, 9),
      'offset 0x26: expected the format of a page, 150994944 bytes',
    ],
  ])('%s', (_what, bytes, message) => {
    expect(() => readAll(bytes)).toThrow(TraceError);
    expect(() => readAll(bytes)).toThrow(message);
  });

  test('that ends anywhere is refused', () => {
    for (let length = 0; length < whole.length; length += 97) {
      expect(() => readAll(whole.subarray(0, length)), `${length} bytes`).toThrow(TraceError);
    }
    expect(() => readAll(whole.subarray(0, -1))).toThrow(/the data of CPU 2 ends at .* not whole/);
  });

  test('with other bytes anywhere gives other events, or is refused, and never crashes', () => {
    const outcomes = new Set<string>();
    for (let offset = 0; offset < whole.length; offset += 13) {
      try {
        readAll(changed(offset, whole[offset] ^ 0xff));
        outcomes.add('read');
      } catch (thrown) {
        expect(thrown, `offset ${offset}`).toBeInstanceOf(TraceError);
        outcomes.add('refused');
      }
    }
    expect([...outcomes].sort()).toEqual(['read', 'refused']);
  });

  test.each([
    [
      'too many bytes in a page',
      8,
      [0xff, 0x0f],
      /^offset 0x\w+: the page says that it holds 4095/,
    ],
    ['an event without a format', 20, [0xff, 0xff], /describes no event with the number 65535/],
    ['an entry beyond the end', 8, [6, 0], /of which \d are there/],
  ])('%s', (_what, at, bytes, message) => {
    const page = whole.length - 3 * 4096;
    expect(() => readAll(changed(page + at, ...bytes))).toThrow(message);
  });
});
