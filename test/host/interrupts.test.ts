// Ticks, high-resolution timers and inter-processor interrupts: when they arrive, to the cycle. At
// 1 GHz and 250 ticks a second a period has 4,000,000 cycles.

import { describe, expect, test } from 'vitest';
import { HOG_BODY, type Host } from '../../src/host/index.ts';
import {
  COSTLY,
  compute,
  FREE,
  hostWith,
  MS,
  Script,
  sleep,
  startThread,
  waitForWake,
  wake,
} from '../support/host-world.ts';

const PERIOD = 4 * MS;

/** The next tick of each pCPU that has one. */
function ticksOf(host: Host): Map<number, number> {
  const ticks = host.pendingEvents.filter(({ kind }) => kind === 'tick');
  return new Map(ticks.map(({ target, time }) => [target, time]));
}

describe('the tick', () => {
  const hogs = (seed: number, hz = 250): Host => {
    const host = hostWith({ pcpuCount: 8, seed, hz });
    for (let i = 0; i < 8; i++) startThread(host, HOG_BODY);
    return host;
  };

  test('has a phase within the period on every pCPU, which the seed decides', () => {
    const phases = (seed: number) => [...ticksOf(hogs(seed)).values()];
    const all = [1, 2, 3, 4, 5].map(phases);
    for (const list of all) {
      expect(list).toHaveLength(8);
      for (const phase of list) {
        expect(phase).toBeGreaterThanOrEqual(0);
        expect(phase).toBeLessThan(PERIOD);
      }
    }
    expect(phases(1)).toEqual(all[0]);
    expect(new Set(all.flat()).size).toBe(40);
  });

  // 1 s / hz in whole cycles.
  test.each([
    [100, 10_000_000],
    [250, 4_000_000],
    [300, 3_333_333],
    [1000, 1_000_000],
  ])('comes every period at %i Hz', (hz, period) => {
    const host = hogs(1, hz);
    const phases = ticksOf(host);
    host.run(100 * MS);
    for (const [pcpu, time] of ticksOf(host)) {
      const past = Math.floor((100 * MS - (phases.get(pcpu) as number)) / period);
      expect(time).toBe((phases.get(pcpu) as number) + (past + 1) * period);
    }
  });

  test.each([1, 2, 3])('comes 250 times in a busy second, whatever the seed (%i)', (seed) => {
    const host = hostWith({ seed, costs: { ...FREE, tick: 7 } });
    new Script([compute(2000 * MS)]).startOn(host);
    host.run(1000 * MS);
    expect(host.pcpus[0].state.times.host).toBe(250 * 7);
  });

  test('stops on an idle pCPU, and starts again on its grid', () => {
    const host = hostWith();
    new Script([compute(MS), sleep(50 * MS), compute(MS)], 'forever').startOn(host);
    const phase = ticksOf(host).get(0) as number;
    host.run(10 * MS);
    expect(host.pcpus[0].isIdle).toBe(true);
    expect(ticksOf(host).size).toBe(0);
    host.run(51 * MS + 1);
    expect(host.pcpus[0].isIdle).toBe(false);
    expect(((ticksOf(host).get(0) as number) - phase) % PERIOD).toBe(0);
    expect(ticksOf(host).get(0)).toBeGreaterThan(51 * MS);
    expect(ticksOf(host).get(0)).toBeLessThanOrEqual(51 * MS + PERIOD);
  });
});

describe('a timer', () => {
  const idleHost = () => {
    const host = hostWith();
    const log: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      host.timers.register(name, (pcpu) => log.push(`${name} at ${pcpu.now}`));
    }
    return { host, log, pcpu: host.pcpus[0] };
  };

  test('expires in order of time, and in order of starting at the same time', () => {
    const { host, log, pcpu } = idleHost();
    host.timers.start('a', 300, pcpu);
    host.timers.start('b', 100, pcpu);
    host.timers.start('c', 300, pcpu);
    host.timers.start('b', 300, pcpu);
    expect(host.run(1000)).toBe('idle');
    expect(log).toEqual(['b at 100', 'a at 300', 'c at 300', 'b at 300']);
  });

  test('for a time that has passed expires at once', () => {
    const { host, log, pcpu } = idleHost();
    host.timers.start('a', 500, pcpu);
    host.run(1000);
    host.timers.start('b', 200, pcpu);
    host.run(1000);
    expect(log).toEqual(['a at 500', 'b at 500']);
  });

  test('that is cancelled does not expire, and can be cancelled only once', () => {
    const { host, log, pcpu } = idleHost();
    const id = host.timers.start('a', 100, pcpu);
    host.timers.start('b', 100, pcpu);
    expect(host.timers.cancel(id)).toBe(true);
    expect(host.timers.cancel(id)).toBe(false);
    host.run(1000);
    expect(log).toEqual(['b at 100']);
    expect(host.timers.cancel(id)).toBe(false);
  });

  test('can be cancelled by the handler of another that is due at the same time', () => {
    const { host, log, pcpu } = idleHost();
    let victim = 0;
    host.timers.register('killer', () => host.timers.cancel(victim));
    host.timers.start('killer', 100, pcpu);
    victim = host.timers.start('a', 100, pcpu);
    host.timers.start('b', 100, pcpu);
    host.run(1000);
    expect(log).toEqual(['b at 100']);
  });

  test('can be started by a handler', () => {
    const { host, log } = idleHost();
    let left = 3;
    host.timers.register('again', (pcpu) => {
      log.push(`again at ${pcpu.now}`);
      if (--left > 0) host.timers.start('again', pcpu.now + 10, pcpu);
    });
    host.timers.start('again', 100, host.pcpus[0]);
    host.run(1000);
    expect(log).toEqual(['again at 100', 'again at 110', 'again at 120']);
  });

  test('without a handler is a mistake that is reported', () => {
    const host = hostWith();
    host.timers.start('nobody', 1, host.pcpus[0]);
    expect(() => host.run(10)).toThrow("no timer handler 'nobody'");
  });

  test('of an idle pCPU costs leaving idle, the interrupt and the expiry', () => {
    const host = hostWith({ costs: COSTLY });
    let at = 0;
    host.timers.register('a', (pcpu) => {
      at = pcpu.now;
    });
    host.timers.start('a', 10_000, host.pcpus[0]);
    host.run(20_000);
    expect(at).toBe(10_000 + COSTLY.idleExit + COSTLY.interrupt + COSTLY.timerExpiry);
  });
});

describe('the turn of a pCPU', () => {
  test('ends at an event that is posted while it lasts', () => {
    const host = hostWith({ pcpuCount: 2 });
    const sleeper = new Script([waitForWake, compute(MS)]);
    const { id } = sleeper.startOn(host, { affinity: [1] });
    host.run(1);
    new Script([compute(1000), wake(id), compute(50 * MS)]).startOn(host, { affinity: [0] });
    host.run(20 * MS);
    // Without costs the wake-up arrives at once, although pCPU 0 alone was busy.
    expect(sleeper.switches.filter((item) => item.in).map(({ at }) => at)).toEqual([0, 1000]);
  });

  test('ends at a timer that its own thread starts', () => {
    const host = hostWith();
    const sleeper = new Script([sleep(500), compute(100), sleep(700)]);
    sleeper.startOn(host);
    host.run(PERIOD);
    const times = sleeper.switches.map(({ at }) => at);
    expect(times).toEqual([0, 0, 500, 600, 1300, 1300]);
  });
});

describe('an inter-processor interrupt', () => {
  /** pCPU 0 wakes a thread of pCPU 1, on which a hog runs or nothing. Returns when it runs. */
  function wakeAcross(other: 'idle' | 'hog', lookahead: number): number {
    const host = hostWith({ pcpuCount: 2, costs: COSTLY, lookahead, hz: 24 });
    const sleeper = new Script([waitForWake, compute(MS)]);
    const { id } = sleeper.startOn(host, { affinity: [1] });
    host.run(1);
    if (other === 'hog') startThread(host, HOG_BODY, { affinity: [1] });
    new Script([compute(MS), wake(id), compute(9 * MS)]).startOn(host, { affinity: [0] });
    host.run(2 * MS);
    return (sleeper.switches.findLast((item) => item.in) as { at: number }).at;
  }

  const { wakeUp, ipiSend, ipiLatency, interrupt, idleExit, contextSwitch } = COSTLY;
  const arrival = MS + wakeUp + ipiSend + ipiLatency;

  test('arrives its latency after it was sent', () => {
    expect(wakeAcross('idle', 500)).toBe(arrival + idleExit + interrupt);
  });

  test.each([1, 37, 500, 1500])('makes a hog way when it arrives (lookahead %i)', (lookahead) => {
    expect(wakeAcross('hog', lookahead)).toBe(arrival + interrupt + contextSwitch);
  });
});
