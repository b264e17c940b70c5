// Recordings: what is kept of a run, how another run is held against it, and files that are not as
// they should be. They are not packed here: what is looked at is the core's.

import { describe, expect, test } from 'vitest';
import {
  compareRun,
  createSession,
  type Divergence,
  decodeRecording,
  encodeRecording,
  type Packing,
  type Recording,
  recordRun,
  TraceComparison,
  TraceMarker,
} from '../../src/debug/index.ts';
import { MOST_SAMPLES, type RecordedRun } from '../../src/debug/recorded-run.ts';
import { checkScenario, documentOf, Machine, type Scenario } from '../../src/machine/index.ts';
import { decodeUtf8, encodeUtf8, Hash, Prng } from '../../src/sim/index.ts';
import type { TraceSink } from '../../src/trace/index.ts';
import { assembleText } from '../support/guest-run.ts';

/** Says every so often that it is there: VM exits all along the run. */
const source = (rounds: number) => `
    bits 64
    mov ebx, ${rounds}
again:
    mov al, 'x'
    out 0xe9, al
    mov ecx, 500
wait_a_little:
    dec ecx
    jnz wait_a_little
    dec ebx
    jnz again
    cli
    hlt
`;

function scenarioOf(document: object): Scenario {
  const checked = checkScenario({ vms: [{ program: 'x', vcpus: 2 }], ...document });
  if ('issues' in checked) throw new Error(JSON.stringify(checked.issues));
  return checked.scenario;
}

function exhaust<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

function machineOf(rounds: number, sink: TraceSink, document = {}): Machine {
  return new Machine(scenarioOf(document), { programs: [assembleText(source(rounds))], sink });
}

function recorded(rounds: number, kept?: number): RecordedRun {
  const marker = new TraceMarker(kept);
  return exhaust(recordRun(machineOf(rounds, marker), marker));
}

function compared(run: RecordedRun, rounds: number, document = {}): Divergence | null {
  const comparison = new TraceComparison(run.trace);
  return exhaust(compareRun(machineOf(rounds, comparison, document), run, comparison));
}

describe('a run', () => {
  const run = recorded(40);

  test('is the same again, however it is executed', () => {
    expect(compared(run, 40)).toBeNull();
    expect(compared(run, 40, { engine: 'interpreter' })).toBeNull();
    expect(compared(run, 40, { skip: 'off' })).toBeNull();
    expect(run.samples.length).toBeGreaterThan(5);
    expect(run.end.status).toBe('halted');
  });

  test('has few samples, evenly apart, however long it is', () => {
    const { samples, end, trace } = recorded(4000, 100);
    expect(samples.length).toBeLessThan(MOST_SAMPLES);
    expect(samples.length).toBeGreaterThanOrEqual(MOST_SAMPLES / 2);
    const [{ time: interval }] = samples;
    expect(samples.map(({ time }) => time)).toEqual(samples.map((_, i) => (i + 1) * interval));
    expect(end.sample.time - samples.length * interval).toBeLessThanOrEqual(interval);
    expect(trace.kept).toHaveLength(100);
    expect(trace.marks).toHaveLength(Math.floor((trace.count - 100) / trace.stride));
    expect(trace.marks.length).toBeLessThan(8192);
    expect(trace.count).toBeGreaterThan(16_384);
    expect(compared({ samples, end, trace }, 4000)).toBeNull();
  });

  test('diverges behind the records that are kept, and is told between which', () => {
    const long = recorded(700, 50);
    const { marks, stride, count } = long.trace;
    expect([stride, count > 3000]).toEqual([1, true]);
    for (const at of [51, 2500]) {
      const changed = marks.map((mark, i) => (i < at - 51 ? mark : `${mark.slice(1)}x`));
      const samples = long.samples.map((sample) => ({ ...sample, hash: '0'.repeat(32) }));
      const tampered = { ...long, trace: { ...long.trace, marks: changed } };
      expect(compared(tampered, 700)?.trace).toMatchObject({ first: at, last: at });
      expect(compared(tampered, 700)?.trace?.recorded).toBeNull();
      expect(compared({ ...tampered, samples }, 700)?.interval).toBe(1);
    }
    const fourth = marks.filter((_, i) => i % 4 === 3).map((mark, i) => (i < 9 ? mark : '0'));
    const coarse = { ...long, trace: { ...long.trace, stride: 4, marks: fourth } };
    const difference = compared(coarse, 700)?.trace;
    expect(difference).toMatchObject({ first: 87, last: 90, before: [], recorded: null });
    expect(difference?.now).toHaveLength(4);
  });

  test('diverges where a hash is another one', () => {
    const samples = run.samples.map((sample, i) =>
      i === 3 ? { ...sample, hash: '0'.repeat(32) } : sample,
    );
    const divergence = compared({ ...run, samples }, 40);
    expect(divergence).toMatchObject({
      interval: 4,
      from: samples[2].time,
      recorded: samples[3],
      now: run.samples[3],
      endings: { recorded: null, now: null },
      trace: null,
    });
  });

  test('diverges at the trace record that is another one, and shows both', () => {
    const { kept } = run.trace;
    const changed = kept.map((one, i) => (i === 30 ? ([one[0], 'something else'] as const) : one));
    const difference = compared({ ...run, trace: { ...run.trace, kept: changed } }, 40)?.trace;
    expect(difference).toMatchObject({ first: 31, last: 31 });
    const texts = (lines: readonly string[] = []) => lines.map((line) => line.split(/ (.*)/)[1]);
    const were = kept.map(([, text]) => text);
    expect(texts(difference?.before)).toEqual(were.slice(28, 30));
    expect(texts(difference?.recorded ?? [])).toEqual(['something else', ...were.slice(31, 33)]);
    expect(texts(difference?.now)).toEqual(were.slice(30, 33));
    expect(difference?.recorded?.slice(1)).toEqual(difference?.now.slice(1));
  });

  test('diverges where a host of other costs needs longer, to the nanosecond and the event', () => {
    const other = { host: { costs: { vmx: { exit: 2000 } } } };
    const trace = compared(run, 40, other)?.trace;
    expect(trace?.recorded).toHaveLength(3);
    expect(trace?.now).toHaveLength(3);
    expect(trace?.before.length).toBeGreaterThan(0);
    const [was] = trace?.recorded ?? [];
    const [is] = trace?.now ?? [];
    expect(is).not.toBe(was);
    expect(is.split(' ').slice(1, 3)).toEqual(was.split(' ').slice(1, 3));
    const programs = [assembleText(source(40))];
    const session = createSession(scenarioOf(other), { programs });
    const at = exhaust(session.travelToEvent(trace?.event ?? 0)).position;
    const [seconds] = is.split(' ');
    expect(session.machine.host.frequency.toNs(at.time)).toBeCloseTo(Number(seconds) * 1e9, -3);
  });

  test('diverges where the trace ends, whichever is shorter', () => {
    const { trace } = run;
    const more = { ...trace, count: trace.count + 1, kept: [...trace.kept, trace.kept[0]] };
    const longer = compared({ ...run, trace: more }, 40)?.trace;
    expect(longer).toMatchObject({ first: trace.count + 1, last: trace.count + 1, now: [] });
    expect(longer?.recorded).toHaveLength(1);
    const less = { ...trace, count: trace.count - 2, kept: trace.kept.slice(0, -2) };
    const shorter = compared({ ...run, trace: less }, 40)?.trace;
    expect(shorter).toMatchObject({ first: trace.count - 1, recorded: [] });
    expect(shorter?.now).toHaveLength(2);
  });

  test('diverges if it goes on, or ends before', () => {
    const longer = compared({ ...run, samples: run.samples.slice(0, 3) }, 40);
    expect(longer).toMatchObject({ interval: 4, intervals: 4, endings: { now: null } });
    expect(longer?.endings.recorded).toMatch(/halted/);
    const shorter = compared(run, 40, { limits: { time: '5us' } });
    expect(shorter?.endings.now).toMatch(/the limit/);
    expect(shorter?.endings.recorded).toBeNull();
  });

  test('diverges if only the output is another one', () => {
    const other = { ...run, end: { ...run.end, output: '0'.repeat(32) } };
    expect(compared(other, 40)?.interval).toBe(run.samples.length + 1);
  });

  test('diverges beside another thread', () => {
    const divergence = compared(run, 40, { hogs: [{ count: 1 }] });
    expect(divergence?.interval).toBe(1);
    expect(divergence?.trace?.first).toBeLessThan(10);
  });
});

test('a scenario is the same by its document, on every kernel', () => {
  for (const kernel of ['linux-2.6.35', 'linux-4.12', 'linux-6.6']) {
    const scenario = scenarioOf({ host: { kernel }, hogs: [{ count: 2, nice: 3 }] });
    expect(checkScenario(documentOf(scenario))).toEqual({ scenario });
  }
});

const PLAIN: Packing = { pack: (bytes) => bytes, unpack: (bytes) => bytes };

describe('a file', () => {
  const run = recorded(5);
  const recording: Recording = {
    vmxlab: '0.1.0',
    scenario: { vms: [{ image: 'AAAA' }] },
    symbols: [null],
    sources: [['a.asm', 'nop\n']],
    run,
  };
  const bytes = encodeRecording(recording, PLAIN);
  const bodyAt = bytes.indexOf(10) + 1;

  /** With a digest that is right, so that what is inside is looked at. */
  function withBody(body: string): Uint8Array {
    const digest = new Hash().bytes(encodeUtf8(body)).digest();
    return encodeUtf8(`vmxlab recording 3 ${digest}\n${body}`);
  }

  test('holds what was put into it', () => {
    expect(decodeRecording(bytes, PLAIN)).toEqual({ recording });
  });

  test.each([
    ['nothing', '', /^is no recording/],
    ['another format', '\x7fELF', /^is no recording/],
    ['only the beginning', 'vmxlab recording ', /^is a damaged recording: its first line/],
    ['a long first line', `vmxlab recording ${'1'.repeat(500)}`, /^is a damaged recording/],
    ['a newer version', `vmxlab recording 4 ${'0'.repeat(32)}\n`, /version 4 .* reads 3$/],
  ])('of %s is refused', (_, text, problem) => {
    expect(decodeRecording(encodeUtf8(text), PLAIN)).toEqual({
      problem: expect.stringMatching(problem),
    });
  });

  test('that is cut short or changed is refused, wherever', () => {
    const chance = new Prng(7);
    for (let i = 0; i < 300; i++) {
      const cut = bytes.slice(0, chance.below(bytes.length));
      expect(decodeRecording(cut, PLAIN)).toHaveProperty('problem');
      const changed = bytes.slice();
      changed[chance.below(bytes.length)] ^= 1 << chance.below(8);
      expect(decodeRecording(changed, PLAIN)).toHaveProperty('problem');
    }
  });

  test('with a right digest and wrong contents is refused, or of the declared shape', () => {
    const text = decodeUtf8(bytes.subarray(bodyAt));
    const tokens = [...text.matchAll(/"[^"]*"|\d+|null|[[\]{}]/g)];
    const others = ['null', '-1', '1e99', '"x"', '[]', '{}', 'true', '0.5', ''];
    const chance = new Prng(11);
    let refused = 0;
    for (let i = 0; i < 500; i++) {
      const token = tokens[chance.below(tokens.length)];
      const other = others[chance.below(others.length)];
      const after = text.slice(token.index + token[0].length);
      const decoded = decodeRecording(withBody(text.slice(0, token.index) + other + after), PLAIN);
      if ('problem' in decoded) {
        refused++;
        continue;
      }
      const { samples, end, trace } = decoded.recording.run;
      for (const { hash, rips } of [...samples, end.sample]) {
        expect(hash).toMatch(/^[\da-f]{32}$/);
        expect(rips.join('')).toMatch(/^[\da-f]*$/);
      }
      expect(trace.stride).toBeGreaterThan(0);
      for (const [, text] of trace.kept) expect(text).toMatch(/^[ -~]+$/);
    }
    expect(refused).toBeGreaterThan(300);
  });
});
