// Workloads of vCPUs that wake, start and wait for each other: nothing is lost on the way, which
// their results say in numbers that follow from the parameters, and skipping changes nothing.

import { describe, expect, test } from 'vitest';
import { exitCounts, type GuestRun } from '../support/guest-run.ts';
import { runWorkload, total, type WorkloadSetup } from '../support/workload.ts';

/** Cycles in a microsecond of the machine. */
const MHZ = 2000;

/** Enough for every run here; who waits for ever is not waited for. */
const LIMIT = { 'max-instructions': '200M' };

function results(run: GuestRun, name: string): number[] {
  return run.report.vms[0].results[name].map(Number);
}

/** What is in a histogram with bins of 1 us, when the sum of everything in it is known. */
function expectHistogram(run: GuestRun, name: string, count: number, cycles: number): void {
  const bins = run.report.vms[0].histograms[name].map(Number);
  expect(bins.reduce((sum, bin) => sum + bin)).toBe(count);
  expect(bins.at(-1)).toBe(0);
  const least = bins.reduce((sum, bin, us) => sum + bin * us, 0);
  expect(cycles / MHZ).toBeGreaterThanOrEqual(least);
  expect(cycles / MHZ).toBeLessThan(least + count);
}

describe('ping-pong', () => {
  test.each([0, 1])('every ball is caught, with poll=%i', (poll) => {
    const run = runWorkload('workloads/ping-pong.asm', {
      parameters: { rounds: 40, poll },
      settings: { vcpus: 7, pcpus: 7 },
    });
    expect(run.ending.status).toBe('halted');
    expect(results(run, 'round_trips')).toEqual([40, 0, 40, 0, 40, 0, 0]);
    expect(results(run, 'interrupts')).toEqual([40, 40, 40, 40, 40, 40, 0]);
    expectHistogram(run, 'round_trip', 120, total(run, 'round_trip_cycles'));
    // Who polls halts at the end only; who halts does so for nearly every ball.
    const halts = exitCounts(run.report).HLT;
    if (poll === 1) expect(halts).toBe(7);
    else expect(halts).toBeGreaterThan(200);
  });

  test('with 14 vCPUs on two pCPUs, preempted anywhere', () => {
    const run = runWorkload('workloads/ping-pong.asm', {
      parameters: { rounds: 80 },
      settings: { vcpus: 14, pcpus: 2 },
    });
    expect(run.ending.status).toBe('halted');
    expect(results(run, 'interrupts')).toEqual(Array(14).fill(80));
  });

  test('the partner sleeps for as long as the first computes', () => {
    const times = [0, 50_000].map((gap_ns) => {
      const run = runWorkload('workloads/ping-pong.asm', {
        parameters: { rounds: 200, gap_ns },
        settings: { vcpus: 2, pcpus: 2 },
      });
      return run.report.virtualNs;
    });
    // Two hundred exponential gaps, and three standard deviations of their sum.
    const gaps = (times[1] - times[0]) / 50_000;
    expect(Math.abs(gaps - 200)).toBeLessThan(3 * Math.sqrt(200));
  });
});

describe('boot-storm', () => {
  const PHASES = 3;
  const SECTIONS = 4;

  function storm(vcpus: number, parameters: Record<string, number>, LOCK = 'ticket'): GuestRun {
    return runWorkload('workloads/boot-storm.asm', {
      defines: { LOCK },
      parameters: { phases: PHASES, sections: SECTIONS, ...parameters },
      settings: { vcpus, pcpus: vcpus, ...LIMIT },
    });
  }

  test.each([
    ['ticket', 0],
    ['virt-spin', 1],
    ['pv-ticket', 1],
  ] as const)(
    'everybody starts and goes through every phase: %s, parallel=%i',
    (lock, parallel) => {
      const run = storm(8, { parallel }, lock);
      expect([run.ending.status, run.report.output]).toEqual(['halted', 'ok']);
      expect(results(run, 'lock_operations')).toEqual(Array(8).fill(PHASES * SECTIONS));
      expect(total(run, 'counter')).toBe(8 * PHASES * SECTIONS);
      expectHistogram(run, 'wait', 8 * PHASES * SECTIONS, total(run, 'wait_cycles'));
      // From real mode to long mode each of the others writes CR4.PAE, CR3, CR0.PE and CR0.PG. KVM
      // owns those bits of CR0 and CR4; with EPT it leaves CR3 to the guest.
      expect(exitCounts(run.report).CR_ACCESS).toBe(2 * 7);
    },
  );

  test('starting them at once takes less time than one after the other', () => {
    const [serial, parallel] = [0, 1].map((how) => storm(8, { parallel: how, sections: 1 }));
    const cycles = [serial, parallel].map((run) => total(run, 'start_cycles'));
    expect(cycles[1]).toBeLessThan(cycles[0] / 2);
    // Two ICR writes for each of the others, whichever way.
    const writes = [serial, parallel].map((run) => exitCounts(run.report).MSR_WRITE);
    expect(writes[0]).toBe(writes[1]);
  });

  test('of one lock, those who wait share the time: holds follow each other', () => {
    const run = storm(8, { parallel: 1, gap_ns: 0, hold_ns: 20_000, bin_ns: 10_000 });
    // Nobody computes outside, so the lock is nearly always held, for 20 us on average.
    const time = total(run, 'boot_cycles') - total(run, 'start_cycles');
    const held = total(run, 'counter') * 20 * MHZ;
    expect(time / held).toBeGreaterThan(0.6);
    expect(time / held).toBeLessThan(1.6);
  });
});

describe('hackbench-like', () => {
  interface Groups {
    readonly vcpus: number;
    readonly senders: number;
    readonly receivers: number;
    readonly slots: number;
  }

  function bench({ vcpus, senders, receivers, slots }: Groups, LOCK: string): GuestRun {
    return runWorkload('workloads/hackbench-like.asm', {
      defines: { LOCK, LOCK_SPINS: '20' },
      parameters: { senders, receivers, slots, messages: 30 },
      settings: { vcpus, pcpus: 3, ...LIMIT },
    });
  }

  const FORMS: readonly (readonly [string, Groups])[] = [
    ['ticket', { vcpus: 11, senders: 3, receivers: 2, slots: 4 }],
    ['mcs', { vcpus: 6, senders: 1, receivers: 5, slots: 1 }],
    ['pv-qspinlock', { vcpus: 6, senders: 5, receivers: 1, slots: 64 }],
    ['byte-yield', { vcpus: 8, senders: 1, receivers: 1, slots: 2 }],
  ];
  test.each(FORMS)('all that is sent is received, in order: %s, %o', (lock, form) => {
    const run = bench(form, lock);
    expect([run.ending.status, run.report.output]).toEqual(['halted', 'ok']);
    const size = form.senders + form.receivers;
    const groups = Math.floor(form.vcpus / size);
    const each = (ofSender: number, ofReceiver: number) =>
      Array.from({ length: form.vcpus }, (_, index) => {
        if (index >= groups * size) return 0;
        return index % size < form.senders ? ofSender : ofReceiver;
      });
    expect(total(run, 'groups')).toBe(groups);
    expect(results(run, 'sent')).toEqual(each(30 * form.receivers, 0));
    expect(results(run, 'received')).toEqual(each(0, 30 * form.senders));
    expect(total(run, 'out_of_order')).toBe(0);
    // Each sleep is ended by one wake-up.
    expect(total(run, 'sleeps')).toBe(total(run, 'wakes'));
    if (form.slots === 1) expect(total(run, 'sleeps')).toBeGreaterThan(20);
  });

  test.each([
    ['slots', 65],
    ['slots', 0],
    ['senders', 0],
    ['receivers', 8],
  ])('%s=%i is refused in words', (name, value) => {
    const run = runWorkload('workloads/hackbench-like.asm', { parameters: { [name]: value } });
    expect([run.ending.status, run.ending.exitCode]).toEqual(['exited', 3]);
    expect(run.report.output).toMatch(/^senders and receivers: .*; slots: 1 to 64\n$/);
  });
});

const SMALL: readonly (readonly [string, WorkloadSetup])[] = [
  ['ping-pong', { parameters: { rounds: 20 }, settings: { vcpus: 5, pcpus: 2, hogs: 1 } }],
  ['boot-storm', { parameters: { phases: 2 }, settings: { vcpus: 4, pcpus: 2 } }],
  ['hackbench-like', { parameters: { messages: 10 }, settings: { vcpus: 4, pcpus: 2, hogs: 1 } }],
];
test.each(SMALL)('%s is the same with and without skipping, by either engine', (name, setup) => {
  const hashes = [{}, { skip: 'off' }, { engine: 'interpreter' }].map((how) => {
    const settings = { ...setup.settings, ...how };
    return runWorkload(`workloads/${name}.asm`, { ...setup, settings }).report.stateHash;
  });
  expect(new Set(hashes).size).toBe(1);
});
