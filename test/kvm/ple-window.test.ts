// The PLE window: kvm-host.md 2.3 (Linux arch/x86/kvm/x86.h and vmx.c, grow_ple_window and
// shrink_ple_window). Expected values are worked out by hand from the formulas there.

import { describe, expect, test } from 'vitest';
import { DEFAULT_PARAMETERS, grownWindow, shrunkWindow } from '../../src/kvm/index.ts';
import { KvmBench } from '../support/kvm-bench.ts';

const parametersOf = (
  pleWindow: number,
  pleWindowGrow: number,
  pleWindowShrink: number,
  pleWindowMax = 4294967295,
) => ({ ...DEFAULT_PARAMETERS, pleWindow, pleWindowGrow, pleWindowShrink, pleWindowMax });

describe('growth', () => {
  // Base, grow, maximum; old window, new window.
  test.each([
    ['doubles by default', 4096, 2, 4294967295, 4096, 8192],
    ['doubles what has grown already', 4096, 2, 4294967295, 16384, 32768],
    ['of 0 resets to the base', 4096, 0, 4294967295, 16384, 4096],
    ['of 1 multiplies by 1', 4096, 1, 4294967295, 5000, 5000],
    ['just below the base still multiplies', 4096, 4095, 4294967295, 4096, 16773120],
    ['equal to the base adds', 4096, 4096, 4294967295, 8192, 12288],
    ['above the base adds', 4096, 10000, 4294967295, 4096, 14096],
    ['by multiplication stops at the maximum', 4096, 2, 10000, 8192, 10000],
    ['by addition stops at the maximum', 4096, 5000, 10000, 8192, 10000],
    ['at the maximum stays there', 4096, 2, 10000, 10000, 10000],
    ['is computed in 64 bits', 4096, 2, 4294967295, 2147483648, 4294967295],
    ['of 0 ignores a maximum below the base', 4096, 0, 1000, 4096, 4096],
    ['by a maximum below the base falls to it', 4096, 2, 1000, 4096, 1000],
    ['of a base of 0 adds', 0, 2, 4294967295, 0, 2],
  ])('%s', (_, base, grow, maximum, old, grown) => {
    expect(grownWindow(old, parametersOf(base, grow, 0, maximum))).toBe(grown);
  });
});

describe('shrinking', () => {
  // Base, shrink; old window, new window.
  test.each([
    ['of 0 resets to the base', 4096, 0, 1048576, 4096],
    ['of 1 divides by 1', 4096, 1, 5000, 5000],
    ['of 2 halves', 4096, 2, 32768, 16384],
    ['rounds down', 4096, 3, 20000, 6666],
    ['stops at the base', 4096, 2, 6000, 4096],
    ['equal to the base subtracts', 4096, 4096, 16384, 12288],
    ['above the base subtracts', 4096, 5000, 16384, 11384],
    ['by subtraction stops at the base', 4096, 5000, 8192, 4096],
    ['leaves the base alone', 4096, 2, 4096, 4096],
    ['does not wrap around', 4096, 4294967295, 8192, 4096],
  ])('%s', (_, base, shrink, old, shrunk) => {
    expect(shrunkWindow(old, parametersOf(base, 2, shrink))).toBe(shrunk);
  });
});

test('n exits in a row without being switched out take 4096 * (2^n - 1) cycles of window', () => {
  // kvm-host.md 2.3: a slice of 12 million cycles sees about 11 exits.
  let window = DEFAULT_PARAMETERS.pleWindow;
  let sum = 0;
  for (let n = 0; n < 11; n++) {
    sum += window;
    window = grownWindow(window, DEFAULT_PARAMETERS);
  }
  expect(sum).toBe(4096 * (2 ** 11 - 1));
  expect(window).toBe(8388608);
});

/** A loop of PAUSEs that takes a number of rounds; each round takes three cycles. */
const SPIN = `
    mov ecx, 200000
spin:
    pause
    dec ecx
    jnz spin
    finish
`;

describe('in a run', () => {
  test('every exit doubles the window, and the next comes that much later', () => {
    const bench = new KvmBench(SPIN).finish();
    expect(bench.lines('kvm_ple_window_update').slice(0, 3)).toEqual([
      'kvm_ple_window_update: vcpu 0 old 4096 new 8192 (growed)',
      'kvm_ple_window_update: vcpu 0 old 8192 new 16384 (growed)',
      'kvm_ple_window_update: vcpu 0 old 16384 new 32768 (growed)',
    ]);
    // In the guest between entry and exit: the first PAUSE more than a window after the first one
    // exits. Rounds take 3 cycles; after an exit the skipped PAUSE is followed by DEC and JNZ.
    const spans = guestSpans(bench).slice(1, 4);
    expect(spans).toEqual([8192, 16384, 32768].map((window) => 2 + pastWindow(window)));
  });

  test('a window that does not grow stays, and nothing is traced', () => {
    const bench = new KvmBench(SPIN, { parameters: { pleWindowGrow: 0 } }).finish();
    expect(bench.exitCount('PAUSE_INSTRUCTION')).toBe(Math.floor(600_000 / 4101));
    expect(bench.lines('kvm_ple_window_update', 'kvm_ple_window')).toEqual([]);
  });

  test('a kernel before 5.4 traces it all the same, at exits and when it is scheduled in', () => {
    const parameters = { pleWindowGrow: 0, tracesSteadyWindows: true };
    const bench = new KvmBench(SPIN, { parameters }).finish();
    const [first, second, ...more] = bench.lines('kvm_ple_window_update', 'kvm_ple_window');
    expect([first, second]).toEqual([
      'kvm_ple_window: vcpu 0: ple_window 4096 (shrink 4096)',
      'kvm_ple_window: vcpu 0: ple_window 4096 (grow 4096)',
    ]);
    expect(1 + more.length).toBe(bench.exitCount('PAUSE_INSTRUCTION'));
  });

  test('being scheduled in resets it, being scheduled out does not', () => {
    const endless = 'spin: pause\n jmp spin';
    const bench = new KvmBench(endless, { hogs: [0], hz: 1000, cycles: { pause: 50 } }).run(4e7);
    const events = bench.events('sched_switch', 'kvm_ple_window_update');
    const shrunk = events.findIndex(
      ({ name, fields }) => name === 'kvm_ple_window_update' && fields.new < fields.old,
    );
    expect(events[shrunk]?.fields).toMatchObject({ vcpu: 0, new: 4096 });
    // The switch to the vCPU is behind the hog's, and between them the window stays.
    const [out] = events.slice(0, shrunk).reverse();
    expect(out).toMatchObject({ name: 'sched_switch', fields: { prev: { comm: 'hog0' } } });
  });

  test.each([
    ['ple_gap of 0 switches PAUSE-loop exiting off', { pleGap: 0 }, 0],
    ['PAUSEs further apart than the gap are no loop', { pleGap: 2 }, 0],
    ['PAUSEs exactly a gap apart are one', { pleGap: 3, pleWindowGrow: 1 }, 146],
  ])('%s', (_, parameters, count) => {
    const bench = new KvmBench(SPIN, { parameters }).finish();
    expect(bench.exitCount('PAUSE_INSTRUCTION')).toBe(count);
  });
});

/** When a PAUSE first comes more than a window after the first, in steps of three cycles. */
function pastWindow(window: number): number {
  return 3 * (Math.floor(window / 3) + 1);
}

/** Cycles in the guest from each entry to the exit that follows it. */
function guestSpans(bench: KvmBench): number[] {
  const spans: number[] = [];
  let entered = 0;
  for (const { name, cycles } of bench.events('kvm_entry', 'kvm_exit')) {
    if (name === 'kvm_entry') entered = cycles + 353;
    else spans.push(cycles - 449 - entered);
  }
  return spans;
}
