// What holds for every host, whatever its threads do: time adds up, the same seed gives the same
// run, and neither pausing nor saving and restoring changes anything. Threads are random mixtures
// of computing, sleeping, waking and yielding.

import { describe, expect, test } from 'vitest';
import { HOG_BODY, type Host } from '../../src/host/index.ts';
import { Prng } from '../../src/sim/index.ts';
import {
  COSTLY,
  compute,
  FREE,
  hostWith,
  MS,
  restoreWorld,
  type SavedWorld,
  Script,
  type Step,
  saveWorld,
  sleep,
  startThread,
  wake,
  yieldTo,
} from '../support/host-world.ts';

const SEEDS = Array.from({ length: 25 }, (_, i) => i + 1);
const DURATION = 20 * MS;

interface World {
  readonly host: Host;
  readonly scripts: readonly Script[];
}

/** A random host with random threads. The same number gives the same world. */
function randomWorld(number: number, seed = number, skip = true): World {
  const prng = new Prng(number);
  const pcpuCount = 1 + prng.below(6);
  const lookahead = [130, 500, 20_000][prng.below(3)];
  const hz = [100, 250, 1000][prng.below(3)];
  const costs = prng.below(4) === 0 ? FREE : COSTLY;
  const host = hostWith({ pcpuCount, lookahead, hz, costs, seed, skip });
  for (let i = prng.below(4); i > 0; i--) {
    startThread(host, HOG_BODY, { nice: prng.below(40) - 20, affinity: subset(prng, pcpuCount) });
  }
  const first = host.threads.length;
  const count = 1 + prng.below(8);
  const scripts = Array.from(
    { length: count },
    () => new Script(randomSteps(prng, first, count), 'forever'),
  );
  for (const script of scripts) {
    script.startOn(host, { nice: prng.below(11) - 5, affinity: subset(prng, pcpuCount) });
  }
  return { host, scripts };
}

function subset(prng: Prng, count: number): number[] {
  const all = Array.from({ length: count }, (_, i) => i);
  const some = all.filter(() => prng.below(2) === 0);
  return some.length === 0 ? all : some;
}

/** At least one of the steps takes time. */
function randomSteps(prng: Prng, first: number, count: number): Step[] {
  const other = () => first + prng.below(count);
  const some = Array.from({ length: 1 + prng.below(8) }, () => {
    const cycles = 1 + prng.below(2 ** (4 + prng.below(19)));
    return [compute(cycles), sleep(cycles), wake(other()), yieldTo(other())][prng.below(4)];
  });
  return [...some, compute(1 + prng.below(MS)), sleep(1 + prng.below(2 * MS))];
}

/** Run to a time in pieces of random lengths. */
function runInPieces({ host }: World, until: number, prng: Prng): void {
  let at = host.now;
  while (at < until) {
    at = Math.min(until, at + prng.below(2 ** (1 + prng.below(22))));
    host.run(at);
  }
}

describe.each(SEEDS)('world %i', (number) => {
  test('accounts for every cycle of every pCPU and thread', () => {
    const { host } = randomWorld(number);
    for (let at = MS; at <= DURATION; at += 7 * MS + 13) {
      host.run(at);
      host.assertConserved();
      for (const { now } of host.pcpus) expect(Number.isSafeInteger(now)).toBe(true);
    }
    for (const { state } of host.threads) {
      expect(Math.min(...Object.values(state.times))).toBeGreaterThanOrEqual(0);
    }
  });

  test('lets every thread run only where it may', () => {
    const { host, scripts } = randomWorld(number);
    host.run(DURATION);
    scripts.forEach(({ switches }, i) => {
      const thread = host.threads[host.threads.length - scripts.length + i];
      const used = new Set(switches.map(({ pcpu }) => pcpu));
      expect([...used].filter((pcpu) => !thread.affinity.includes(pcpu))).toEqual([]);
    });
    for (const { state, affinity } of host.threads) expect(affinity).toContain(state.pcpu);
  });

  test('never runs a thread on two pCPUs, and never lets a queue lose one', () => {
    const { host } = randomWorld(number);
    for (let at = MS; at <= DURATION; at += 3 * MS + 1) {
      host.run(at);
      const ids = host.pcpus.flatMap(({ queue }) =>
        [...queue.root.line.state.queued, queue.root.line.state.current].filter((id) => id >= 0),
      );
      const runnable = host.threads.filter(({ state }) => /^run/.test(state.status));
      expect([...ids].sort((a, b) => a - b)).toEqual(runnable.map(({ id }) => id));
      for (const { index, state, queue } of host.pcpus) {
        expect(queue.root.line.state.current).toBe(state.current);
        for (const { state } of queue.waiting) expect(state.pcpu).toBe(index);
      }
    }
  });

  test('is the same again', () => {
    const [one, two] = [randomWorld(number), randomWorld(number)];
    one.host.run(DURATION);
    two.host.run(DURATION);
    expect(saveWorld(two.host, two.scripts)).toEqual(saveWorld(one.host, one.scripts));
    expect(two.scripts.map(({ switches }) => switches)).toEqual(
      one.scripts.map(({ switches }) => switches),
    );
  });

  test('does not notice where it is paused', () => {
    const [through, sliced] = [randomWorld(number), randomWorld(number)];
    through.host.run(DURATION);
    runInPieces(sliced, DURATION, new Prng(number + 1000));
    expect(saveWorld(sliced.host, sliced.scripts)).toEqual(
      saveWorld(through.host, through.scripts),
    );
  });

  test('is the same with nothing left out', () => {
    const [skipped, executed] = [true, false].map((skip) => randomWorld(number, number, skip));
    for (const world of [skipped, executed]) runInPieces(world, DURATION, new Prng(number));
    expect(saveWorld(skipped.host, skipped.scripts)).toEqual(
      saveWorld(executed.host, executed.scripts),
    );
  });

  test('goes on the same after it was saved and restored, here and elsewhere', () => {
    const [through, saved, fresh] = [1, 2, 3].map(() => randomWorld(number));
    through.host.run(DURATION);
    const expected = saveWorld(through.host, through.scripts);
    saved.host.run(new Prng(number).below(DURATION));
    // Through text: a saved state is plain data.
    const snapshot = JSON.parse(JSON.stringify(saveWorld(saved.host, saved.scripts))) as SavedWorld;
    saved.host.run(DURATION);
    expect(saveWorld(saved.host, saved.scripts)).toEqual(expected);
    for (const world of [saved, fresh]) {
      restoreWorld(world.host, world.scripts, snapshot);
      expect(saveWorld(world.host, world.scripts)).toEqual(snapshot);
      world.host.run(DURATION);
      expect(saveWorld(world.host, world.scripts)).toEqual(expected);
    }
  });
});

test('another seed gives another run of the same threads', () => {
  const different = SEEDS.filter((number) => {
    const [one, two] = [randomWorld(number, 1), randomWorld(number, 2)];
    one.host.run(DURATION);
    two.host.run(DURATION);
    return JSON.stringify(one.host.state.pcpus) !== JSON.stringify(two.host.state.pcpus);
  });
  // Without costs the phases of the ticks may not show.
  expect(different.length).toBeGreaterThan(SEEDS.length / 2);
});

test('a state that was taken does not change with the host', () => {
  const { host } = randomWorld(3);
  host.run(5 * MS);
  const state = host.state;
  const before = JSON.stringify(state);
  host.run(DURATION);
  expect(JSON.stringify(state)).toBe(before);
  host.state = state;
  host.run(DURATION);
  expect(JSON.stringify(state)).toBe(before);
});

test('chance is part of the state', () => {
  const { host } = randomWorld(1);
  const { state } = host;
  const draws = [host.prng.next(), host.prng.next()];
  host.state = state;
  expect([host.prng.next(), host.prng.next()]).toEqual(draws);
});

describe('run', () => {
  test('returns idle if nothing will ever happen, and until otherwise', () => {
    const host = hostWith();
    expect(host.run(MS)).toBe('idle');
    new Script([compute(MS), sleep(MS), compute(MS)]).startOn(host);
    expect(host.run(MS / 2)).toBe('until');
    expect(host.run(1.5 * MS)).toBe('until');
    expect(host.run(10 * MS)).toBe('idle');
    expect(host.threads[0].state.status).toBe('exited');
  });

  test('returns when it is asked to, and goes on from there', () => {
    const [through, stopped] = [randomWorld(5), randomWorld(5)];
    for (const { host } of [through, stopped]) {
      host.timers.register('stop', () => host === stopped.host && host.requestStop());
      host.timers.start('stop', 10 * MS, host.pcpus[0]);
    }
    through.host.run(DURATION);
    expect(stopped.host.run(DURATION)).toBe('requested');
    expect(stopped.host.now).toBeLessThan(11 * MS);
    expect(stopped.host.run(DURATION)).toBe('until');
    expect(stopped.host.state).toEqual(through.host.state);
  });

  test('lets no pCPU go more than a lookahead past another', () => {
    for (const lookahead of [1, 100, 5000]) {
      const host = hostWith({ pcpuCount: 3, lookahead });
      for (let i = 0; i < 3; i++) startThread(host, HOG_BODY, { affinity: [i] });
      for (let at = 0; at < 50_000; at += 777) {
        host.run(at);
        const clocks = host.pcpus.map(({ now }) => now);
        expect(Math.max(...clocks) - Math.min(...clocks)).toBeLessThanOrEqual(lookahead);
      }
    }
  });
});
