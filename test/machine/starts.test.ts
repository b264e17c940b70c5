// When and where threads begin: delays and places by seed, each from a stream of its own.

import { describe, expect, test } from 'vitest';
import { Machine, type Scenario } from '../../src/machine/index.ts';
import { workloadInput } from '../support/workload.ts';

const MS = 1_000_000;

type Changes = Partial<Omit<Scenario, 'host'>> & { readonly host?: Partial<Scenario['host']> };

const INPUT = workloadInput('workloads/hog.asm', {
  parameters: { loops: 4 },
  settings: { vcpus: 4, pcpus: 4, hogs: 1, until: '40ms' },
});

/** Hogs, one entry, beside a guest with endless loops, for some ms of four pCPUs. */
function machineWith(hog: Partial<Scenario['hogs'][number]>, changes: Changes = {}): Machine {
  const { scenario, ...options } = INPUT;
  const hogs = scenario.hogs.map((one) => ({ ...one, ...hog }));
  const host = { ...scenario.host, ...changes.host };
  return new Machine({ ...scenario, hogs, ...changes, host }, options);
}

const exactly = (ms: number) => ({ leastNs: ms * MS, mostNs: ms * MS });
const WITHIN = { leastNs: 10 * MS, mostNs: 20 * MS };

/** When each hog and vCPU first had a pCPU, in ms; by name of its thread. */
function firstSwitches(machine: Machine): ReadonlyMap<string, number> {
  const first = new Map<string, number>();
  machine.host.sink = {
    record: ({ name, timeNs, fields }) => {
      if (name !== 'sched_switch') return;
      const { comm } = fields.next;
      if (!comm.startsWith('swapper') && !first.has(comm)) first.set(comm, timeNs / MS);
    },
  };
  machine.run();
  return first;
}

describe('delay', () => {
  test('of hogs and of machines is when they begin, whoever runs on their pCPU', () => {
    const machine = machineWith(
      { count: 2, delay: exactly(7) },
      { vms: INPUT.scenario.vms.map((vm) => ({ ...vm, delay: exactly(20) })) },
    );
    const starts = firstSwitches(machine);
    const vcpus = machine.vcpus.map(({ thread }) => thread.name);
    expect([...starts.keys()].sort()).toEqual(['hog0', 'hog1', ...vcpus].sort());
    for (const [name, ms] of starts) {
      const due = name.startsWith('hog') ? 7 : 20;
      expect([name, ms >= due]).toEqual([name, true]);
    }
    // At once on a free pCPU; two of the vCPUs are on those of the hogs, and wait for slices.
    const late = [...starts.values()].map((ms) => (ms < 20 ? ms - 7 : ms - 20));
    expect(late.filter((ms) => ms < 0.1)).toHaveLength(4);
    expect(machine.hogs.reports[0].cpuNs).toBeLessThan(2 * 33 * MS);
  });

  test('between two durations is for each what the seed says', () => {
    const startsOf = (seed: number) =>
      firstSwitches(machineWith({ count: 3, delay: WITHIN }, { seed, vms: idleGuest() }));
    const own = [...startsOf(1).values()];
    expect(own).toHaveLength(3);
    for (const ms of own) expect(ms >= 10 && ms < 20.1).toBe(true);
    expect(new Set(own.map((ms) => Math.floor(ms * 10))).size).toBe(3);
    expect([...startsOf(1)]).toEqual([...startsOf(1)]);
    expect([...startsOf(2)]).not.toEqual([...startsOf(1)]);
  });

  test('ends no machine whose first vCPUs halt before others begin', () => {
    const [vm] = INPUT.scenario.vms;
    const vms = [{ ...vm, delay: WITHIN, parameters: { loops: 1 } }];
    for (let seed = 1; seed <= 4; seed++) {
      const machine = machineWith({ count: 1 }, { seed, vms });
      expect([seed, machine.run()?.status]).toEqual([seed, 'limit']);
      expect(machine.vcpus[0].thread.state.times.guest).toBeGreaterThan(0);
    }
  });

  test('is the same wherever threads are placed', () => {
    const pinned = { count: 2, pin: '1', delay: WITHIN };
    const [first, bySeed] = (['first', 'seed'] as const).map((placement) =>
      firstSwitches(machineWith(pinned, { vms: idleGuest(), host: { placement } })),
    );
    expect([...bySeed]).toEqual([...first]);
  });

  test('left out or not, paused and restored or not: the same', () => {
    const hog = { count: 5, delay: WITHIN };
    const plain = machineWith(hog);
    plain.run();
    const slow = machineWith(hog, { skip: 'off' });
    slow.run();
    expect(slow.stateHash()).toBe(plain.stateHash());
    const restored = machineWith(hog);
    for (let ns = MS; restored.ending === null; ns += 1.7 * MS) {
      restored.run(restored.host.frequency.toCycles(ns));
      restored.saveAndRestore();
    }
    expect(restored.stateHash()).toBe(plain.stateHash());
  });
});

/** The guest of {@link machineWith}, whose vCPUs begin when all is over. */
function idleGuest(): Scenario['vms'] {
  return INPUT.scenario.vms.map((vm) => ({ ...vm, delay: exactly(1000) }));
}

describe('placement', () => {
  const placesOf = (seed: number, placement: 'first' | 'seed', count: number) => {
    const { host } = machineWith({ count }, { seed, host: { placement }, vms: idleGuest() });
    const hogs = host.threads.filter(({ name }) => name.startsWith('hog'));
    return hogs.map(({ state }) => state.pcpu);
  };

  test('first: in the order of the pCPUs', () => {
    expect(placesOf(1, 'first', 6)).toEqual([0, 1, 2, 3, 0, 1]);
    expect(placesOf(2, 'first', 6)).toEqual([0, 1, 2, 3, 0, 1]);
  });

  test('seed: any of those with the fewest threads', () => {
    const firsts = new Set<number>();
    for (let seed = 1; seed <= 24; seed++) {
      const places = placesOf(seed, 'seed', 4);
      expect([...places].sort()).toEqual([0, 1, 2, 3]);
      firsts.add(places[0]);
    }
    expect(firsts.size).toBe(4);
  });
});
