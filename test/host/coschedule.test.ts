// Co-scheduling on the host: who stops and starts when, that nobody is stopped for ever, and that
// it makes no difference where a run is paused, saved or left out. Threads stand for vCPUs.

import { describe, expect, test } from 'vitest';
import {
  type Coschedule,
  type CoscheduleConfig,
  HOG_BODY,
  type Host,
  type HostConfig,
  type Thread,
  type ThreadGroup,
} from '../../src/host/index.ts';
import { Prng } from '../../src/sim/index.ts';
import {
  COSTLY,
  compute,
  hostWith,
  MS,
  restoreWorld,
  Script,
  type Step,
  saveWorld,
  sleep,
  startThread,
} from '../support/host-world.ts';

const TICK = MS;
const SKEW = 3 * MS;
const LOOKAHEAD = 5000;
const FAST_TICKS = { hz: 1000, lookahead: LOOKAHEAD };

const ran = ({ state }: Thread) => state.times.guest + state.times.host;

/** A set of threads that compute, one on each of the first pCPUs. */
function pinnedSet(host: Host, mode: CoscheduleConfig['mode'] | 'none', size: number) {
  const scripts = Array.from({ length: size }, () => new Script([compute(MS)], 'forever'));
  return setOf(host, mode, scripts, (i) => [i]);
}

function setOf(
  host: Host,
  mode: CoscheduleConfig['mode'] | 'none',
  scripts: readonly Script[],
  affinityOf?: (i: number) => number[],
  group?: ThreadGroup,
) {
  // Threads are started when they are created: the first look comes later.
  const threads = scripts.map((script, i) =>
    script.startOn(host, {
      group,
      ...(affinityOf === undefined ? {} : { affinity: affinityOf(i) }),
    }),
  );
  const set = mode === 'none' ? null : host.coschedule(threads, { mode, skewNs: SKEW });
  return { scripts, threads, set };
}

/** Run in steps of a tenth of a tick, and ask after each. */
function watch(host: Host, until: number, ask: () => void): void {
  for (let at = 0; at <= until; at += TICK / 10) {
    host.run(at);
    ask();
  }
  host.assertConserved();
}

/** When sets were seen to start all at once; by set, in steps of a tenth of a tick. */
function startsSeen(host: Host, gangs: readonly ReturnType<typeof setOf>[], until: number) {
  const starts = gangs.map((): number[] => []);
  const were = gangs.map(() => false);
  watch(host, until, () => {
    for (const [i, { set }] of gangs.entries()) {
      const isHeld = set?.state.held[0] === true;
      if (were[i] && !isHeld) starts[i].push(host.now);
      were[i] = isHeld;
    }
  });
  return starts;
}

/** All of a set have come to their pCPUs at the same time, before somebody saw it. */
function expectTogether(scripts: readonly Script[], starts: readonly number[]): void {
  for (const start of starts) {
    const near = scripts.map(({ switches }) =>
      switches.filter(({ at, in: isIn }) => isIn && at <= start && at > start - TICK / 10),
    );
    expect(near.map(({ length }) => length)).toEqual(scripts.map(() => 1));
    const times = near.map(([{ at }]) => at);
    // Clocks of pCPUs are a lookahead apart at most.
    expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(LOOKAHEAD);
  }
}

const statusesOf = (threads: readonly Thread[]) => threads.map(({ state }) => state.status);

describe('relaxed', () => {
  test('who is alone on its pCPU gets on as one beside a hog does', () => {
    const [without, relaxed] = (['none', 'relaxed'] as const).map((mode) => {
      const host = hostWith({ pcpuCount: 2, ...FAST_TICKS });
      const { threads } = pinnedSet(host, mode, 2);
      startThread(host, HOG_BODY, { affinity: [1] });
      host.run(1000 * MS);
      host.assertConserved();
      return threads.map(ran);
    });
    expect(without[0]).toBe(1000 * MS);
    expect(without[1] / MS).toBeCloseTo(500, -1);
    // As far ahead as is allowed, and by the tick at which it is seen.
    expect(relaxed[0] - relaxed[1]).toBeLessThanOrEqual(SKEW + TICK);
    expect(relaxed[1]).toBe(without[1]);
  });

  test('only who is too far ahead is stopped, and its pCPU is for others', () => {
    const host = hostWith({ pcpuCount: 3, ...FAST_TICKS });
    const { threads, set } = pinnedSet(host, 'relaxed', 3);
    const hogs = [1, 2].map((pcpu) => startThread(host, HOG_BODY, { affinity: [pcpu] }));
    const seen = new Set<string>();
    watch(host, 200 * MS, () => seen.add(String((set as Coschedule).state.held)));
    expect(seen).toContain('false,false,false');
    expect(seen).toContain('true,false,false');
    expect(seen).not.toContain('true,true,true');
    expect(host.pcpus[0].state.times.idle).toBeGreaterThan(50 * MS);
    expect(hogs.map((hog) => ran(hog) > 90 * MS)).toEqual([true, true]);
    expect(set?.state.stops[0]).toBeGreaterThan(10);
    expect(set?.stoppedUpTo(host.now, 0)).toBeGreaterThan(50 * MS);
    expect(threads[0].state.runDelayNs).toBeGreaterThan(50 * MS);
  });

  test('who wakes after a long sleep does not have to wait for as long', () => {
    const host = hostWith({ pcpuCount: 2, ...FAST_TICKS });
    const scripts = [
      new Script([sleep(500 * MS), compute(100 * MS)]),
      new Script([compute(2000 * MS)]),
    ];
    const { threads } = setOf(host, 'relaxed', scripts, (i) => [i]);
    startThread(host, HOG_BODY, { affinity: [1] });
    host.run(720 * MS);
    // The other one has waited for half of that time. Beside it this one has half of the next.
    expect(Math.abs(ran(threads[0]) - 100 * MS)).toBeLessThan(10 * MS);
  });

  test('without ticks somebody looks all the same', () => {
    const host = hostWith({ pcpuCount: 2, ...FAST_TICKS });
    new Script([compute(4.6 * MS)]).startOn(host, { affinity: [1] });
    const scripts = [
      new Script([compute(50 * MS)]),
      new Script([compute(0.1 * MS), sleep(30 * MS), compute(MS)]),
    ];
    const { threads, set } = setOf(host, 'relaxed', scripts, (i) => [i]);
    host.run(5 * MS);
    // One was stopped while the other waited, and that one sleeps now: nothing runs.
    expect(statusesOf(threads)).toEqual(['runnable', 'blocked']);
    expect(set?.state.held).toEqual([true, false]);
    expect(host.pcpus.map(({ isIdle }) => isIdle)).toEqual([true, true]);
    expect(host.run(1000 * MS)).toBe('idle');
    expect(threads.map(ran)).toEqual([50 * MS, 1.1 * MS]);
    // Not only when the other one wakes up.
    expect(host.now).toBeLessThan(60 * MS);
  });
});

describe('strict', () => {
  test('all stop together, and start together', () => {
    const host = hostWith({ pcpuCount: 3, ...FAST_TICKS });
    const { threads, scripts, set } = pinnedSet(host, 'strict', 3);
    startThread(host, HOG_BODY, { affinity: [1] });
    const seen = new Set<string>();
    watch(host, 500 * MS, () => seen.add(String((set as Coschedule).state.held)));
    expect([...seen].sort()).toEqual(['false,false,false', 'true,true,true']);
    // Who has a pCPU for itself stops and starts with all: never at another time.
    const startsOf = (i: number) => scripts[i].switches.filter((one) => one.in).map(({ at }) => at);
    expect(startsOf(0).length).toBeGreaterThan(10);
    expect(startsOf(2)).toEqual(startsOf(0));
    expect(startsOf(1)).toEqual(expect.arrayContaining(startsOf(0).slice(1)));
    expect(Math.abs(ran(threads[0]) - ran(threads[1]))).toBeLessThan(250 * MS);
  });

  test.each(['cfs', 'eevdf', 'cfs-no-skip'] as const)('under %s too, beside hogs', (fairClass) => {
    const host = hostWith({ pcpuCount: 2, ...FAST_TICKS, scheduler: { fairClass } });
    const gang = pinnedSet(host, 'strict', 2);
    for (const pcpu of [0, 1, 1]) startThread(host, HOG_BODY, { affinity: [pcpu] });
    const starts = startsSeen(host, [gang], 1000 * MS);
    expect(starts[0].length).toBeGreaterThan(10);
    expectTogether(gang.scripts, starts[0]);
    // They have at most what is fair, and lose some by stopping.
    expect(ran(gang.threads[0])).toBeLessThan(510 * MS);
    expect(ran(gang.threads[1])).toBeLessThan(343 * MS);
    for (const thread of gang.threads) expect(ran(thread)).toBeGreaterThan(200 * MS);
  });

  test('two sets that may start at the same time do so one after the other', () => {
    const host = hostWith({ pcpuCount: 2, ...FAST_TICKS });
    const gangs = [pinnedSet(host, 'strict', 2), pinnedSet(host, 'strict', 2)];
    startThread(host, HOG_BODY, { affinity: [0] });
    const starts = startsSeen(host, gangs, 1000 * MS);
    for (const [i, { scripts, threads }] of gangs.entries()) {
      expect(starts[i].length).toBeGreaterThan(10);
      expectTogether(scripts, starts[i]);
      for (const thread of threads) expect(ran(thread)).toBeGreaterThan(150 * MS);
    }
  });

  test('starts no sooner than those beside it have had as much', () => {
    const host = hostWith({ pcpuCount: 2, ...FAST_TICKS });
    const { threads, set } = pinnedSet(host, 'strict', 2);
    const [hog] = [0, 1, 1].map((pcpu) => startThread(host, HOG_BODY, { affinity: [pcpu] }));
    const { state } = set as Coschedule;
    const leads: number[] = [];
    let before = -1;
    watch(host, 1000 * MS, () => {
      if (threads.every((thread) => thread.isCoStopped)) {
        if (before < 0) before = ran(hog);
      } else if (before >= 0) {
        // Both are of nice 0: virtual time is time. Each look is a step late at most.
        expect(ran(hog) - before).toBeGreaterThanOrEqual(state.leads[0] - TICK / 5);
        leads.push(state.leads[0]);
        before = -1;
      }
    });
    expect(Math.max(...leads)).toBeGreaterThan(2 * MS);
  });

  test('waits for pCPUs for all that are runnable, and only for those', () => {
    const host = hostWith({ pcpuCount: 2, ...FAST_TICKS });
    // One sleeps but for a moment, and by that is ahead of the other, which waits beside a hog.
    const scripts = [
      new Script([sleep(100 * MS), compute(MS)], 'forever'),
      new Script([compute(MS)], 'forever'),
    ];
    const { threads, set } = setOf(host, 'strict', scripts, (i) => [i]);
    for (const pcpu of [0, 1]) startThread(host, HOG_BODY, { affinity: [pcpu] });
    host.run(1000 * MS);
    expect(set?.state.stops[1]).toBeGreaterThan(10);
    expect(ran(threads[0])).toBe(9 * MS);
    expect(ran(threads[1])).toBeGreaterThan(400 * MS);
  });

  test('who wakes up meanwhile stays out of the queues', () => {
    const host = hostWith({ pcpuCount: 2, ...FAST_TICKS });
    const scripts = [
      new Script([sleep(MS / 2), compute(MS / 10)], 'forever'),
      new Script([compute(MS)], 'forever'),
    ];
    const { threads, set } = setOf(host, 'strict', scripts, (i) => [i]);
    startThread(host, HOG_BODY, { affinity: [1] });
    const seen: string[] = [];
    watch(host, 100 * MS, () => {
      if (set?.hasStopped(threads[0])) seen.push(threads[0].state.status);
    });
    expect(seen.length).toBeGreaterThan(10);
    expect(new Set(seen)).toEqual(new Set(['runnable']));
  });

  test('to yield to who is stopped is refused, and changes nothing', () => {
    const host = hostWith({ pcpuCount: 2, ...FAST_TICKS });
    const { threads } = pinnedSet(host, 'strict', 2);
    for (const pcpu of [1, 1]) startThread(host, HOG_BODY, { affinity: [pcpu] });
    let asked = 0;
    watch(host, 100 * MS, () => {
      if (!threads[1].isCoStopped) return;
      const before = JSON.stringify(host.state);
      expect(host.scheduler.yieldTo(host.pcpus[1], threads[1])).toBe('refused');
      expect(JSON.stringify(host.state)).toBe(before);
      asked++;
    });
    expect(asked).toBeGreaterThan(10);
  });

  test('who is stopped may be told to run elsewhere', () => {
    const host = hostWith({ pcpuCount: 3, ...FAST_TICKS });
    const { threads, set } = pinnedSet(host, 'strict', 2);
    const hogs = [1, 1].map((pcpu) => startThread(host, HOG_BODY, { affinity: [pcpu] }));
    watch(host, 100 * MS, () => {
      if (!set?.hasStopped(threads[1]) || threads[1].affinity[0] === 2) return;
      host.scheduler.setAffinity(threads[1], [2], host.pcpus[1]);
      expect(threads[1].state.pcpu).toBe(2);
    });
    expect(statusesOf(threads)).toEqual(['running', 'running']);
    for (const hog of hogs) expect(ran(hog)).toBeGreaterThan(40 * MS);
    expect(host.pcpus[2].current).toBe(threads[1]);
  });
});

/** Two sets and hogs, of which nobody knows beforehand what they do. */
function chanceWorld(seed: number, more: Partial<HostConfig> = {}) {
  const prng = new Prng(seed);
  const pick = <Item>(items: readonly Item[]): Item => items[prng.below(items.length)];
  const pcpuCount = 2 + prng.below(3);
  const host = hostWith({
    pcpuCount,
    hz: pick([250, 1000]),
    lookahead: 20_000,
    seed,
    scheduler: { fairClass: pick(['cfs', 'eevdf', 'cfs-no-skip']) },
    ...more,
  });
  const shares = { shares: 1024 };
  const top = host.createGroup({ name: 'top', ...shares });
  const quota = { quotaNs: 60 * MS, periodNs: 100 * MS };
  const groups = [
    undefined,
    top,
    host.createGroup({ name: 'inner', ...shares, parent: top }),
    host.createGroup({ name: 'limited', ...shares }, quota),
  ];
  const step = (): Step => (prng.below(3) === 0 ? sleep : compute)(1 + prng.below(5 * MS));
  const sets = [0, 1].map(() => {
    const size = 1 + prng.below(pcpuCount);
    const isPinned = prng.below(2) === 0;
    const scripts = Array.from(
      { length: size },
      () => new Script([compute(1 + prng.below(9 * MS)), step(), step()], 'forever'),
    );
    const affinityOf = isPinned ? (i: number) => [i] : undefined;
    return setOf(host, pick(['strict', 'relaxed']), scripts, affinityOf, pick(groups));
  });
  const hogs = Array.from({ length: prng.below(4) }, () => {
    return startThread(host, HOG_BODY, {
      affinity: [prng.below(pcpuCount)],
      nice: pick([0, 0, 5]),
    });
  });
  return { host, sets, hogs, scripts: sets.flatMap(({ scripts }) => scripts) };
}

const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);

/** In these somebody is stopped in the first half second. */
const STOPPING = [2, 3, 5, 6, 7, 8];

describe('whatever threads do', () => {
  test.each(SEEDS)('nobody is stopped for ever, or starves (seed %i)', (seed) => {
    const { host, sets, hogs } = chanceWorld(seed, seed % 2 === 0 ? { costs: COSTLY } : {});
    const all = [...sets.flatMap(({ threads }) => threads), ...hogs];
    let before = all.map(ran);
    for (let at = 1; at <= 6; at++) {
      host.run(at * 500 * MS);
      host.assertConserved();
      for (const { set } of sets) {
        for (const since of set?.state.since ?? []) {
          if (since >= 0) expect(host.now - since).toBeLessThan(200 * MS);
        }
      }
      const now = all.map(ran);
      for (const [i, cycles] of now.entries()) expect(cycles - before[i]).toBeGreaterThan(5 * MS);
      before = now;
    }
  });

  test.each(STOPPING)('a run restored in the middle of stops goes on (seed %i)', (seed) => {
    const whole = chanceWorld(seed, { costs: COSTLY });
    const states: string[] = [];
    const pieces = chanceWorld(seed, { costs: COSTLY });
    let middles = 0;
    for (let at = 7 * MS; at <= 500 * MS; at += 7 * MS) {
      whole.host.run(at);
      states.push(JSON.stringify(whole.host.state));
      pieces.host.run(at);
      const saved = saveWorld(pieces.host, pieces.scripts);
      if (pieces.sets.some(({ set }) => set?.state.held.includes(true))) middles++;
      pieces.host.run(at + 3 * MS);
      restoreWorld(pieces.host, pieces.scripts, saved);
      expect(JSON.stringify(pieces.host.state)).toBe(states.at(-1));
    }
    expect(middles).toBeGreaterThan(0);
  });

  test.each(STOPPING)('nothing that is left out makes a difference (seed %i)', (seed) => {
    const hosts = [true, false].map((skip) => {
      const { host } = chanceWorld(seed, { costs: COSTLY, skip });
      host.run(300 * MS);
      return host.state;
    });
    expect(hosts[1]).toEqual(hosts[0]);
    expect(hosts[0].coschedules?.some(({ stops }) => stops.some((count) => count > 0))).toBe(true);
  });
});
