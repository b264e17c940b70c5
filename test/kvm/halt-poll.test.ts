// Halt polling: kvm-host.md 3.1 (Linux virt/kvm/kvm_main.c, kvm_vcpu_halt). Expected windows follow
// by hand from the steps there; the worked example is the sheet's.

import { describe, expect, test } from 'vitest';
import { adaptedWindow } from '../../src/kvm/halt-poll.ts';
import { DEFAULT_PARAMETERS, type KvmParameters } from '../../src/kvm/index.ts';
import { KvmBench, type KvmBenchOptions } from '../support/kvm-bench.ts';

const US = 1000;

describe('the window after a halt', () => {
  const adapted = (windowNs: number, haltNs: number, changed: Partial<KvmParameters> = {}) =>
    adaptedWindow({ windowNs, haltNs }, { ...DEFAULT_PARAMETERS, ...changed });

  // Window and halt in us, the new window or null.
  test.each([
    ['opens after a short halt', 0, 1, 10],
    ['stays closed after a halt of the ceiling', 0, 200, null],
    ['stays closed after a longer one', 0, 300, null],
    ['opens after a halt just below the ceiling', 0, 199.999, 10],
    ['stays if the halt was as long', 80, 80, null],
    ['doubles if the halt was longer', 80, 80.001, 160],
    ['grows beyond the ceiling, which is applied later', 160, 190, 320],
    ['stays at the ceiling', 200, 200, null],
    ['stays if it is too short for a halt of the ceiling', 80, 200, null],
    ['closes after a halt beyond the ceiling', 80, 200.001, 0],
    ['stays if a halt was shorter', 80, 0, null],
  ])('%s', (_, windowUs, haltUs, expected) => {
    const next = adapted(windowUs * US, haltUs * US);
    expect(next).toBe(expected === null ? null : expected * US);
  });

  test.each([
    ['grows by its factor', { haltPollNsGrow: 3 }, 40, 50, 120],
    ['does not grow by 0', { haltPollNsGrow: 0 }, 40, 50, 40],
    ['grows to its start at least', { haltPollNsGrowStart: 100_000 }, 40, 50, 100],
    ['shrinks by its divisor', { haltPollNsShrink: 2 }, 80, 300, 40],
    ['closes below its start', { haltPollNsShrink: 2 }, 10, 300, 0],
    ['shrinks to its start', { haltPollNsShrink: 2 }, 20, 300, 10],
    ['grows up to another ceiling', { haltPollNs: 400_000 }, 200, 300, 400],
  ])('%s', (_, changed, windowUs, haltUs, expected) => {
    expect(adapted(windowUs * US, haltUs * US, changed)).toBe(expected * US);
  });
});

/** Halts of so many us, one after the other, each ended by the local APIC's timer. */
function halts(times: readonly number[], options: KvmBenchOptions = {}): KvmBench {
  const lines = times.map((us) => `cli\nwrite_msr 0x838, ${us * US}\nsti\nhlt`);
  const source = `
    write_msr 0x1b, 0xfee00d00
    write_msr 0x80f, 0x1ff
    write_msr 0x83e, 0xb
    write_msr 0x832, 0x40
    ${lines.join('\n')}
    finish
on_64:
    write_msr 0x80b, 0
    iretq`;
  return new KvmBench(source, options).finish();
}

const wakeups = (bench: KvmBench) =>
  bench.lines('kvm_vcpu_wakeup').map((line) => /(wait|poll) time/.exec(line)?.[1]);

const windows = (bench: KvmBench) =>
  bench.lines('kvm_halt_poll_ns').map((line) => line.replace('kvm_halt_poll_ns: vcpu 0: ', ''));

describe('a vCPU', () => {
  test('that halts for 50 us settles at 80 us, and one halt of 300 us ends that', () => {
    const bench = halts([50, 50, 50, 50, 50, 50, 300, 50]);
    expect(windows(bench)).toEqual([
      'halt_poll_ns 10000 (grow 0)',
      'halt_poll_ns 20000 (grow 10000)',
      'halt_poll_ns 40000 (grow 20000)',
      'halt_poll_ns 80000 (grow 40000)',
      'halt_poll_ns 0 (shrink 80000)',
      'halt_poll_ns 10000 (grow 0)',
    ]);
    const [wait, poll] = ['wait', 'poll'];
    expect(wakeups(bench)).toEqual([wait, wait, wait, wait, poll, poll, wait, wait]);
    expect(bench.counters()).toMatchObject({
      halt_exits: 8,
      halt_wakeup: 6,
      // Not the first, when the window is closed, nor the last.
      halt_attempted_poll: 6,
      halt_successful_poll: 2,
    });
  });

  test('polls for its window and then sleeps; the times add up', () => {
    const bench = halts([50, 50, 50]);
    const { halt_poll_fail_ns: polled, halt_wait_ns: slept } = bench.counters();
    // 10 us and 20 us.
    expect(polled).toBe(30 * US);
    const total = bench
      .lines('kvm_vcpu_wakeup')
      .map((line) => Number(/time (\d+) ns/.exec(line)?.[1]))
      .reduce((sum, ns) => sum + ns, 0);
    // Each was rounded down to the nanosecond.
    expect(Math.abs(polled + slept - total)).toBeLessThanOrEqual(3);
  });

  test('spends the time as the host, on its pCPU, and pays for no sleep', () => {
    const [asleep, polling] = [0, 1_000_000].map((haltPollNs) =>
      halts([50, 50], { parameters: { haltPollNs, haltPollNsGrowStart: 100_000 } }),
    );
    const blocked = ({ host }: KvmBench) => host.threads[0].state.times.blocked;
    const idle = ({ host }: KvmBench) => host.pcpus[0].state.times.idle;
    // The second halt of the second is polled for.
    expect(blocked(asleep) / blocked(polling)).toBeCloseTo(2, 1);
    expect(idle(asleep) / idle(polling)).toBeCloseTo(2, 1);
    expect(polling.counters().halt_poll_success_ns).toBeGreaterThan(45 * US);
  });

  test('clamps its window to the ceiling when it halts', () => {
    const bench = halts([190, 190, 190, 190, 190, 190, 190, 190]);
    expect(windows(bench).at(-1)).toBe('halt_poll_ns 320000 (grow 160000)');
    expect(bench.vcpu().state.pollWindowNs).toBe(200 * US);
  });

  test('does not poll if there is no ceiling', () => {
    const off = halts([50, 50, 50], { parameters: { haltPollNs: 0 } });
    expect([windows(off), off.counters().halt_attempted_poll]).toEqual([[], 0]);
  });

  test('stops polling when another thread becomes runnable on its pCPU', () => {
    const source = (first: string, second: string) => `
      test edi, edi
      jnz other
      ${first}
      other:
      ${second}`;
    // vCPU 1 sleeps on the same pCPU until its timer wakes it in the middle of the window.
    const timer = (us: number) => `
      write_msr 0x1b, 0xfee00d00
      write_msr 0x80f, 0x1ff
      write_msr 0x83e, 0xb
      write_msr 0x832, 0x40
      write_msr 0x838, ${us * US}
      sti`;
    const first = `${timer(20)}\nhlt\n${timer(400)}\nhlt\nfinish`;
    const second = `${timer(150)}\nhlt\nspin: jmp spin`;
    const handler = 'on_64: write_msr 0x80b, 0\niretq';
    const bench = new KvmBench(`${source(first, second)}\n${handler}`, {
      ...{ vcpus: 2, pcpus: 1, pins: [0, 0] },
      parameters: { haltPollNsGrowStart: 200_000 },
    });
    bench.run(1_000_000);
    expect(bench.counters(0)).toMatchObject({ halt_attempted_poll: 1, halt_successful_poll: 0 });
    const polledUs = bench.counters(0).halt_poll_fail_ns / US;
    expect(polledUs).toBeGreaterThan(100);
    expect(polledUs).toBeLessThan(160);
  });

  test('ends polling as soon as another vCPU kicks it, without an interrupt', () => {
    const source = `
      test edi, edi
      jnz other
      cli
      hlt
      mov result(0), 1
      hlt
  other:
      mov ecx, 40000
  delay: dec ecx
      jnz delay
      mov eax, 5
      xor ecx, ecx
      vmcall
      finish`;
    const bench = new KvmBench(source, { vcpus: 2, parameters: { haltPollNsGrowStart: 100_000 } });
    bench.vcpu(0).state.pollWindowNs = 100 * US;
    bench.finish();
    expect(bench.counters(0)).toMatchObject({ halt_successful_poll: 1, halt_wakeup: 0 });
    expect(bench.counters(0).halt_poll_success_ns).toBeGreaterThan(35 * US);
    expect(bench.counters(0).halt_poll_success_ns).toBeLessThan(42 * US);
  });
});
