// Threads of the host that compute and sleep in turns. Expectations: the closed queue of a pCPU
// with N tasks of exponential bursts and sleeps (machine repairman, M/M/1//N), whose utilization
// does not depend on the order in which it serves.

import { expect, test } from 'vitest';
import { Machine, type Scenario } from '../../src/machine/index.ts';
import { workloadInput } from '../support/workload.ts';

const MS = 1_000_000;

interface Setup {
  readonly count: number;
  readonly burst: number;
  readonly block: number;
  readonly ms: number;
  readonly changes?: Partial<Scenario>;
}

/** Tasks on pCPU 0, and a guest on pCPU 1 that sleeps. */
function machineWith({ count, burst, block, ms, changes = {} }: Setup): Machine {
  const { scenario, ...options } = workloadInput('workloads/kc412.asm', {
    parameters: { jobs: 1, burst_ns: 1000, block_ns: 1e12, time_ns: 0 },
    settings: { vcpus: 1, pcpus: 2, hogs: count, until: `${ms}ms` },
  });
  const vms = scenario.vms.map((vm) => ({ ...vm, pin: ['1'] }));
  const hogs = scenario.hogs.map((hog) => ({ ...hog, pin: '0', burst, block }));
  return new Machine({ ...scenario, vms, hogs, ...changes }, options);
}

test.each([
  // 1 - 1 / (sum of N! / (N - k)! (burst / block)^k)
  [1, 2, 6, 0.25],
  [4, 2, 6, 0.7939],
  [6, 8, 1.5, 0.99999],
])('%i tasks of %f ms and %f ms use %f of a pCPU', (count, burst, block, expected) => {
  const machine = machineWith({ count, burst: burst * MS, block: block * MS, ms: 8000 });
  machine.run();
  const [{ cpuNs, bursts }] = machine.hogs.reports;
  expect(Math.abs(cpuNs / 8e9 - expected)).toBeLessThan(0.02);
  // Each burst takes as long as it is, whoever interrupts it.
  expect(Math.abs(cpuNs / bursts / (burst * MS) - 1)).toBeLessThan(0.03);
});

test('without a burst they never sleep', () => {
  const machine = machineWith({ count: 3, burst: 0, block: 0, ms: 100 });
  machine.run();
  expect(machine.hogs.reports).toEqual([{ cpuNs: 100 * MS, bursts: 0 }]);
});

test('left out or not, paused and restored or not: the same', () => {
  const setup = { count: 5, burst: MS, block: MS, ms: 60 };
  const plain = machineWith(setup);
  plain.run();
  const slow = machineWith({ ...setup, changes: { skip: 'off' } });
  slow.run();
  expect(slow.stateHash()).toBe(plain.stateHash());
  const restored = machineWith(setup);
  for (let ns = MS; restored.ending === null; ns += 1.7 * MS) {
    restored.run(restored.host.frequency.toCycles(ns));
    restored.saveAndRestore();
  }
  expect(restored.stateHash()).toBe(plain.stateHash());
  const other = machineWith({ ...setup, changes: { seed: 2 } });
  other.run();
  expect(other.hogs.reports).not.toEqual(plain.hogs.reports);
});
