// PAUSE and PAUSE-loop exiting, at every boundary: gap and window are exceeded or they are not. SDM
// 3, "PAUSE-Loop Exiting" in "Changes to Instruction Behavior in VMX Non-Root Operation". All
// times are in cycles; on the bench an instruction takes one.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { PauseLoopDetector } from '../../src/vmx/index.ts';
import { At, type BenchOptions, exitRecord, handler, VmxBench } from '../support/vmx-bench.ts';

const MAX = 2 ** 32 - 1;
const LATE = 2 ** 52;

const Primary = { TSC_OFFSETTING: 1 << 3, PAUSE_EXITING: 1 << 30 };
const Secondary = { PAUSE_LOOP_EXITING: 1 << 10, TSC_SCALING: 1 << 25 };

describe('the detector', () => {
  /** The time of the first PAUSE that exits, or null. */
  const firstExit = (gap: number, window: number, times: readonly number[]) => {
    const detector = new PauseLoopDetector();
    detector.enter();
    return times.find((time) => detector.pause(time, gap, window)) ?? null;
  };

  test.each<[string, number, number, readonly number[], number | null]>([
    // [what, PLE_Gap, PLE_Window, times of PAUSE, time of the exit]
    ['the first PAUSE after an entry', 10, 0, [1000], null],
    ['the first PAUSE, at time 0', 10, 0, [0], null],
    ['a second PAUSE after one at time 0', 10, 0, [0, 1], 1],
    ['distances one less than the gap', 10, 20, [0, 9, 18, 27], 27],
    ['distances equal to the gap', 10, 20, [0, 10, 20, 30], 30],
    ['distances one more than the gap', 10, 20, [0, 11, 22, 33, 44, 55], null],
    ['one distance more than the gap: a new loop', 10, 20, [0, 10, 20, 31, 41, 51, 61], 61],
    ['the gap is from the latest PAUSE, not the first', 10, 50, [0, 10, 20, 30, 40, 50, 51], 51],
    ['a loop one shorter than the window', 100, 20, [0, 19], null],
    ['a loop as long as the window', 100, 20, [0, 20], null],
    ['a loop one longer than the window', 100, 20, [0, 21], 21],
    ['PAUSEs before the window is over', 100, 20, [0, 7, 19, 20, 21], 21],
    ['gap over, window over: a new loop', 10, 20, [0, 10, 20, 100, 110], null],
    ['gap equal, window over', 10, 5, [0, 10], 10],
    ['gap 0, a cycle between PAUSEs', 0, 0, [0, 1, 2, 3], null],
    ['gap 0, no time between PAUSEs', 0, 0, [5, 5, 5], null],
    ['window 0, no time between PAUSEs', 10, 0, [5, 5, 5], null],
    ['window 0', 10, 0, [5, 6], 6],
    ['greatest gap: equal', MAX, 0, [0, MAX], MAX],
    ['greatest gap: one more', MAX, 0, [0, MAX + 1], null],
    ['greatest window: equal', MAX, MAX, [0, MAX], null],
    ['greatest window: one more', MAX, MAX, [0, MAX, MAX + 1], MAX + 1],
    ['no 32-bit wrap of the gap', 10, 0, [0, MAX + 2], null],
    ['no 32-bit wrap of the window', MAX, 10, [0, MAX, MAX + 6], MAX],
    ['late in the life of the clock', 10, 20, [LATE, LATE + 10, LATE + 20, LATE + 21], LATE + 21],
  ])('%s', (_what, gap, window, times, exit) => {
    expect(firstExit(gap, window, times)).toBe(exit);
  });

  test('an entry begins a new loop, however short the time', () => {
    const detector = new PauseLoopDetector();
    detector.enter();
    expect(detector.pause(0, 10, 5)).toBe(false);
    detector.enter();
    expect(detector.pause(6, 10, 5)).toBe(false);
    expect(detector.pause(11, 10, 5)).toBe(false);
    expect(detector.pause(12, 10, 5)).toBe(true);
  });
});

interface Loop {
  readonly gap: number;
  readonly window: number;
}

/** A bench with PAUSE-loop exiting. */
function looping({ gap, window }: Loop, options: BenchOptions = {}): VmxBench {
  const bench = new VmxBench(options);
  bench.add('SECONDARY_VM_EXEC_CONTROL', Secondary.PAUSE_LOOP_EXITING);
  bench.set({ PLE_GAP: gap, PLE_WINDOW: window });
  return bench;
}

/** Sixty PAUSEs, each so many cycles after the one before, then VMCALL. */
function pauses(spacing: number): string {
  return `%rep 60\n pause\n times ${spacing - 1} nop\n%endrep\nvmcall`;
}

/** Address of a PAUSE of that program. */
const pauseAt = (index: number, spacing: number) => At.CODE + index * (spacing + 1);

describe('decision table', () => {
  test.each<[number, number, number, 'first' | 'second' | 'none']>([
    // [CPL, PAUSE exiting, PAUSE-loop exiting, which PAUSE exits; the window is 0]
    [0, 0, 0, 'none'],
    [0, 0, 1, 'second'],
    [0, 1, 0, 'first'],
    [0, 1, 1, 'first'],
    [3, 0, 0, 'none'],
    [3, 0, 1, 'none'],
    [3, 1, 0, 'first'],
    [3, 1, 1, 'first'],
  ])('CPL %i, PAUSE exiting %i, PAUSE-loop exiting %i: %s', (cpl, all, loops, expected) => {
    const bench = loops === 1 ? looping({ gap: 100, window: 0 }) : new VmxBench();
    bench.set({ PLE_GAP: 100, PLE_WINDOW: 0 });
    if (all === 1) bench.add('CPU_BASED_VM_EXEC_CONTROL', Primary.PAUSE_EXITING);
    if (cpl === 3) bench.enterUserMode();
    const exit = {
      first: exitRecord('PAUSE_INSTRUCTION', At.CODE, { lengthBytes: 2 }),
      second: exitRecord('PAUSE_INSTRUCTION', At.CODE + 2, { lengthBytes: 2 }),
      none: exitRecord('VMCALL', At.CODE + 4, { lengthBytes: 3 }),
    };
    expect(bench.exitOf('pause\npause\nvmcall')).toEqual(exit[expected]);
  });
});

describe('loops of guest code', () => {
  test.each<[Loop, number, number | null]>([
    // [parameters, cycles from PAUSE to PAUSE, index of the PAUSE that exits]
    [{ gap: 10, window: 40 }, 9, 5],
    [{ gap: 10, window: 40 }, 10, 5],
    [{ gap: 10, window: 40 }, 11, null],
    [{ gap: 10, window: 39 }, 10, 4],
    [{ gap: 10, window: 41 }, 10, 5],
    [{ gap: 10, window: 49 }, 10, 5],
    [{ gap: 10, window: 50 }, 10, 6],
    // KVM's parameters: 32 times 128 is the window.
    [{ gap: 128, window: 4096 }, 127, 33],
    [{ gap: 128, window: 4096 }, 128, 33],
    [{ gap: 128, window: 4096 }, 129, null],
    [{ gap: 128, window: 4095 }, 128, 32],
    [{ gap: 0, window: 0 }, 1, null],
    [{ gap: 1, window: 0 }, 1, 1],
    [{ gap: 1, window: 0 }, 2, null],
    [{ gap: 10, window: 0 }, 10, 1],
    [{ gap: 10, window: MAX }, 10, null],
    [{ gap: MAX, window: 100 }, 100, 2],
    [{ gap: MAX, window: MAX }, 100, null],
  ])('%o, a PAUSE every %i cycles: PAUSE %o exits', (loop, spacing, index) => {
    const bench = looping(loop);
    bench.now = 777;
    const exit = bench.exitOf(pauses(spacing));
    if (index === null) {
      expect([exit.reason, exit.rip]).toEqual(['VMCALL', pauseAt(60, spacing)]);
      return;
    }
    const rip = pauseAt(index, spacing);
    expect(exit).toEqual(exitRecord('PAUSE_INSTRUCTION', rip, { lengthBytes: 2 }));
    // Not executed: its own cycles are not spent.
    expect(bench.now - 777).toBe(index * spacing);
  });

  test('the cycles of PAUSE itself count', () => {
    const bench = looping({ gap: 140, window: 419 }, { cycles: { pause: 140 } });
    expect(bench.exitOf(pauses(1)).rip).toBe(pauseAt(3, 1));
    expect(bench.now).toBe(420);
  });

  test('after an exit and a skip the window begins with the next PAUSE', () => {
    const bench = looping({ gap: 10, window: 40 });
    expect(bench.exitOf(pauses(10)).rip).toBe(pauseAt(5, 10));
    expect(bench.skipAndResume().rip).toBe(pauseAt(11, 10));
    expect(bench.skipAndResume().rip).toBe(pauseAt(17, 10));
  });

  test('after an exit without a skip the window begins with the same PAUSE', () => {
    const bench = looping({ gap: 10, window: 40 });
    bench.exitOf(pauses(10));
    expect(bench.resume().rip).toBe(pauseAt(10, 10));
  });

  test('any exit and entry ends a loop', () => {
    const bench = looping({ gap: 100, window: 0 });
    expect(bench.exitOf('pause\ncpuid\npause\npause').reason).toBe('CPUID');
    expect(bench.skipAndResume()).toMatchObject({
      reason: 'PAUSE_INSTRUCTION',
      rip: At.CODE + 6,
    });
  });

  test('also one for an interrupt, with another thread in between', () => {
    const bench = looping({ gap: 10, window: 40 });
    bench.load(pauses(10));
    bench.enter();
    expect(bench.virtual.run(25).kind).toBe('limit');
    bench.virtual.interruptPending = true;
    expect(bench.runToExit().reason).toBe('EXTERNAL_INTERRUPT');
    bench.virtual.interruptPending = false;
    bench.now += 1_000_000;
    // PAUSEs 0, 1 and 2 came before; 3 begins anew.
    expect(bench.resume().rip).toBe(pauseAt(8, 10));
  });

  test('a slice that ends is no exit, however short', () => {
    const bench = looping({ gap: 10, window: 40 });
    bench.load(pauses(10));
    bench.enter();
    for (;;) {
      if (bench.virtual.run(bench.now + 1).kind === 'exit') break;
    }
    expect([bench.exit.rip, bench.now]).toEqual([pauseAt(5, 10), 50]);
  });

  test('in the middle of a loop, a restored copy exits where the original does', () => {
    const bench = looping({ gap: 10, window: 40 });
    bench.load(pauses(10));
    bench.enter();
    bench.virtual.run(33);
    const copy = bench.copy();
    expect([copy.runToExit().rip, copy.now]).toEqual([pauseAt(5, 10), 50]);
    expect([bench.runToExit().rip, bench.now]).toEqual([pauseAt(5, 10), 50]);
  });

  test.each<[string, Long, Long]>([
    ['an offset', Long.fromString('-1000000000000'), Long.fromBits(0, 0x10000)],
    ['a multiplier of 16', Long.ZERO, Long.fromBits(0, 0x100000)],
    ['a multiplier of 1/65536', Long.ZERO, Long.fromBits(0, 1)],
    ['both', Long.fromString('77777'), Long.fromBits(0, 0x20000)],
  ])('%s of the TSC changes nothing', (_what, offset, multiplier) => {
    const bench = looping({ gap: 10, window: 40 });
    bench.add('CPU_BASED_VM_EXEC_CONTROL', Primary.TSC_OFFSETTING);
    bench.add('SECONDARY_VM_EXEC_CONTROL', Secondary.TSC_SCALING);
    bench.set({ TSC_OFFSET: offset, TSC_MULTIPLIER: multiplier });
    expect([bench.exitOf(pauses(10)).rip, bench.now]).toEqual([pauseAt(5, 10), 50]);
  });
});

describe('what comes between two PAUSEs at CPL 0', () => {
  test('an interrupt handler only takes its time', () => {
    const bench = looping({ gap: 3, window: 2 });
    bench.load('iretq', handler(0x21));
    // PAUSE, INT, IRETQ: 3 cycles, within the gap and longer than the window.
    expect(bench.exitOf('pause\nint 0x21\npause\nvmcall').rip).toBe(At.CODE + 4);
    const longer = looping({ gap: 2, window: 2 });
    longer.load('iretq', handler(0x21));
    expect(longer.exitOf('pause\nint 0x21\npause\nvmcall').reason).toBe('VMCALL');
  });

  // From CPL 0 to CPL 3 and back. The PAUSEs at CPL 0 are 9 cycles apart: PAUSE, five pushes,
  // IRETQ, PAUSE at CPL 3, INT. The one at CPL 3 is 7 cycles after the first and 2 before the last.
  const EXCURSION = `pause
    push 0x1b
    push ${At.STACK}
    push 0x2
    push 0x23
    push user
    iretq
  user:
    pause
    int 0x21`;

  test.each<[string, Loop, 'exits' | 'executes']>([
    ['does not reset: the loop is longer than the window', { gap: 9, window: 8 }, 'exits'],
    ['does not reset: the loop is as long as the window', { gap: 9, window: 9 }, 'executes'],
    ['does not count: the gap is exceeded, though not from it', { gap: 8, window: 0 }, 'executes'],
  ])('a PAUSE at CPL 3 %s', (_what, loop, expected) => {
    const bench = looping(loop);
    bench.gate(0x21, { dpl: 3 });
    bench.load('pause\nvmcall', handler(0x21));
    expect(bench.exitOf(EXCURSION)).toMatchObject(
      expected === 'exits'
        ? { reason: 'PAUSE_INSTRUCTION', rip: handler(0x21) }
        : { reason: 'VMCALL', rip: handler(0x21) + 2 },
    );
    expect(bench.now).toBe(expected === 'exits' ? 9 : 10);
  });
});
