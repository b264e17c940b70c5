// INIT signals, start-up IPIs, and the activity states that a host may enter a guest in. SDM 3,
// "Other Causes of VM Exits" (INIT signals, start-up IPIs), "Activity State", "Priority Among
// Concurrent Events"; kvm-unit-tests vmx_init_signal_test and vmx_sipi_signal_test.

import { describe, expect, test } from 'vitest';
import { At, exitRecord, VmxBench } from '../support/vmx-bench.ts';

const [HLT, SHUTDOWN, SIPI_WAIT] = [1, 2, 3] as const;
const PIN = 'PIN_BASED_VM_EXEC_CONTROL';
const PRIMARY = 'CPU_BASED_VM_EXEC_CONTROL';
const TIMER = 1 << 6;
const MONITOR_TRAP = 1 << 27;
const INTERRUPT_WINDOW = 1 << 2;
const NMI_WINDOW = 1 << 22;

/** A guest of NOPs that has been entered in an activity state. */
function entered(activity: number, prepare: (bench: VmxBench) => void = () => {}): VmxBench {
  const bench = new VmxBench();
  bench.load('times 64 nop');
  bench.set({ GUEST_ACTIVITY_STATE: activity });
  prepare(bench);
  bench.enter();
  return bench;
}

const isIn = (bench: VmxBench, cycles = 100) => bench.virtual.run(bench.now + cycles).kind;

describe('INIT', () => {
  test.each([0, HLT, SHUTDOWN])('exits in activity state %i, which is saved', (activity) => {
    const bench = entered(activity);
    bench.virtual.signalInit();
    expect(bench.runToExit()).toEqual(exitRecord('INIT_SIGNAL', At.CODE));
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(activity);
  });

  test('comes at the next boundary of a guest that runs', () => {
    const bench = entered(0);
    expect(isIn(bench, 10)).toBe('limit');
    const { rip } = { rip: bench.field('GUEST_RIP') };
    bench.virtual.signalInit();
    expect(bench.runToExit()).toEqual(exitRecord('INIT_SIGNAL', rip));
    expect(rip).toBe(At.CODE + 10);
  });

  test('is held while the host runs, and consumed by the exit', () => {
    const bench = new VmxBench();
    bench.virtual.signalInit();
    expect(bench.exitOf('nop\nvmcall')).toEqual(exitRecord('INIT_SIGNAL', At.CODE));
    expect(bench.resume().reason).toBe('VMCALL');
  });

  test('is blocked in the wait for a start-up IPI, and not lost', () => {
    const bench = entered(SIPI_WAIT);
    bench.virtual.signalInit();
    expect(isIn(bench)).toBe('limit');
    expect(bench.virtual.signalSipi(0x9a)).toBe(true);
    expect(bench.runToExit().reason).toBe('SIPI_SIGNAL');
    bench.set({ GUEST_ACTIVITY_STATE: 0 });
    expect(bench.resume().reason).toBe('INIT_SIGNAL');
  });

  test('comes before the monitor trap flag, the timer and windows; behind injection', () => {
    const bench = entered(0, (made) => {
      made.add(PIN, TIMER);
      made.set({ VMX_PREEMPTION_TIMER_VALUE: 0 });
      made.add(PRIMARY, MONITOR_TRAP | INTERRUPT_WINDOW | NMI_WINDOW);
      made.set({ GUEST_RFLAGS: 0x202, VM_ENTRY_INTR_INFO_FIELD: 2 ** 31 + 32 });
      made.virtual.signalInit();
    });
    const { reason, rip } = bench.runToExit();
    expect([reason, rip]).toEqual(['INIT_SIGNAL', 0xf000 + 16 * 32]);
  });
});

describe('start-up IPI', () => {
  test('exits in the wait for it, with its vector', () => {
    const bench = entered(SIPI_WAIT);
    expect(isIn(bench)).toBe('limit');
    expect(bench.virtual.signalSipi(0x9a)).toBe(true);
    expect(bench.runToExit()).toEqual(exitRecord('SIPI_SIGNAL', At.CODE, { qualification: 0x9a }));
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(SIPI_WAIT);
  });

  test.each([0, HLT, SHUTDOWN])('is discarded in activity state %i', (activity) => {
    const bench = entered(activity);
    expect(bench.virtual.signalSipi(1)).toBe(false);
    expect(isIn(bench, 20)).toBe('limit');
  });

  test('is discarded while the host runs', () => {
    const bench = new VmxBench();
    bench.set({ GUEST_ACTIVITY_STATE: SIPI_WAIT });
    expect(bench.virtual.signalSipi(1)).toBe(false);
    bench.enter();
    expect(isIn(bench)).toBe('limit');
  });
});

describe('what leaves an activity state', () => {
  /** The exit that comes of it, or that the guest stays. */
  function outcome(activity: number, prepare: (bench: VmxBench) => void): string {
    const bench = entered(activity, prepare);
    const { kind } = bench.virtual.run(bench.now + 5000);
    return kind === 'exit' ? bench.exit.reason : kind;
  }
  const interrupt = (bench: VmxBench) => {
    bench.virtual.interruptPending = true;
  };
  const timer = (bench: VmxBench) => {
    bench.add(PIN, TIMER);
    bench.set({ VMX_PREEMPTION_TIMER_VALUE: 2 });
  };
  const window = (bit: number) => (bench: VmxBench) => {
    bench.add(PRIMARY, bit);
    bench.set({ GUEST_RFLAGS: 0x202 });
  };

  test.each<[string, (bench: VmxBench) => void, string, string, string]>([
    // [what, preparation, in HLT, in shutdown, in the wait for a start-up IPI]
    ['external interrupt', interrupt, 'EXTERNAL_INTERRUPT', 'limit', 'limit'],
    ['preemption timer', timer, 'PREEMPTION_TIMER', 'PREEMPTION_TIMER', 'limit'],
    ['interrupt window', window(INTERRUPT_WINDOW), 'INTERRUPT_WINDOW', 'limit', 'limit'],
    ['NMI window', window(NMI_WINDOW), 'NMI_WINDOW', 'NMI_WINDOW', 'limit'],
  ])('%s', (_what, prepare, ...expected) => {
    expect([HLT, SHUTDOWN, SIPI_WAIT].map((state) => outcome(state, prepare))).toEqual(expected);
  });

  test('the timer counts in the wait for a start-up IPI: the exit stores what is left', () => {
    const left = (cycles: number) => {
      const bench = entered(SIPI_WAIT, (made) => {
        made.add(PIN, TIMER);
        made.add('VM_EXIT_CONTROLS', 1 << 22);
        made.set({ VMX_PREEMPTION_TIMER_VALUE: 10 });
      });
      expect(isIn(bench, cycles)).toBe('limit');
      bench.virtual.signalSipi(1);
      expect(bench.runToExit().reason).toBe('SIPI_SIGNAL');
      return bench.field('VMX_PREEMPTION_TIMER_VALUE');
    };
    // It counts once in 32 cycles.
    expect([left(5 * 32), left(20 * 32)]).toEqual([5, 0]);
  });

  test('an NMI injected into shutdown is delivered to an active guest', () => {
    const bench = new VmxBench();
    bench.set({ GUEST_ACTIVITY_STATE: SHUTDOWN, VM_ENTRY_INTR_INFO_FIELD: 2 ** 31 + 0x202 });
    expect(bench.resume()).toMatchObject({ reason: 'VMCALL', rip: 0xf000 + 32 });
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(0);
  });

  test('pending debug exceptions are forgotten in shutdown', () => {
    const bench = entered(SHUTDOWN, (made) => made.set({ GUEST_PENDING_DBG_EXCEPTIONS: 0x1001 }));
    expect(isIn(bench)).toBe('limit');
    expect(bench.field('GUEST_PENDING_DBG_EXCEPTIONS')).toBe(0);
  });
});

test('signals that wait are part of the state', () => {
  const bench = entered(SIPI_WAIT);
  bench.virtual.signalInit();
  bench.virtual.signalSipi(0x12);
  const copy = bench.copy();
  expect(copy.runToExit()).toMatchObject({ reason: 'SIPI_SIGNAL', qualification: 0x12 });
  copy.set({ GUEST_ACTIVITY_STATE: 0 });
  expect(copy.resume().reason).toBe('INIT_SIGNAL');
});

test('the monitor trap flag beats a timer that expires at the same boundary', () => {
  const bench = entered(0, (made) => {
    made.add(PIN, TIMER);
    made.add(PRIMARY, MONITOR_TRAP);
    made.now = 31;
    made.set({ VMX_PREEMPTION_TIMER_VALUE: 1 });
  });
  const { reason, rip } = bench.runToExit();
  expect([reason, rip]).toEqual(['MONITOR_TRAP_FLAG', At.CODE + 1]);
});
