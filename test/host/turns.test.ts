// Who has a turn, in which order, and how far: the rules of docs/decisions/slices.md, told from
// what bodies see of them.

import { describe, expect, test } from 'vitest';
import type { Host, Pcpu, ThreadBody } from '../../src/host/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { compute, hostWith, Script, sleep, startThread } from '../support/host-world.ts';

interface Turn {
  readonly pcpu: number;
  readonly from: number;
  readonly limit: number;
}

/** Computes in steps of some cycles, never stopping within one, and notes its turns. */
class Steps implements ThreadBody {
  private readonly cycles: () => number;
  private readonly turns: Turn[];

  constructor(cycles: () => number, turns: Turn[]) {
    this.cycles = cycles;
    this.turns = turns;
  }

  run(pcpu: Pcpu) {
    if (pcpu.interruptPending) pcpu.handleInterrupts();
    if (pcpu.now < pcpu.limit) {
      this.turns.push({ pcpu: pcpu.index, from: pcpu.now, limit: pcpu.limit });
    }
    while (pcpu.mayGoOn()) pcpu.advanceTo(pcpu.now + this.cycles(), 'guest');
    return 'limit' as const;
  }

  interrupted = () => true;
  schedIn() {}
  schedOut() {}
}

function stepping(lookahead: number, cycles: readonly (() => number)[]) {
  const host = hostWith({ pcpuCount: cycles.length, lookahead });
  const turns: Turn[] = [];
  cycles.forEach((each, i) => {
    startThread(host, new Steps(each, turns), { affinity: [i] });
  });
  return { host, turns };
}

const text = ({ pcpu, from, limit }: Turn) => `${pcpu}: ${from} to ${limit}`;

test('in each window every pCPU has a turn, and who is first goes round', () => {
  const { host, turns } = stepping(100, [() => 30, () => 50, () => 7]);
  host.run(400);
  expect(turns.slice(0, 9).map(text)).toEqual([
    '0: 0 to 100',
    '1: 0 to 100',
    '2: 0 to 100',
    '1: 100 to 200',
    '2: 105 to 200',
    '0: 120 to 200',
    '2: 203 to 300',
    '0: 210 to 300',
    '1: 200 to 300',
  ]);
});

test('who is past the end of a window has no turn in it', () => {
  const { host, turns } = stepping(100, [() => 250, () => 40]);
  host.run(600);
  expect(turns.filter(({ pcpu }) => pcpu === 0).map(text)).toEqual([
    '0: 0 to 100',
    '0: 250 to 300',
    '0: 500 to 600',
  ]);
  expect(turns.filter(({ pcpu }) => pcpu === 1).map(({ limit }) => limit)).toEqual([
    100, 200, 300, 400, 500, 600,
  ]);
});

test('an event cuts the window, for all', () => {
  const { host, turns } = stepping(100, [() => 10, () => 10]);
  const ends = host.pendingEvents.map(({ time }) => time);
  const first = Math.min(...ends);
  host.run(first + 200);
  const around = turns.filter(({ limit }) => limit > first - 100 && limit <= first + 100);
  expect(new Set(around.map(({ limit }) => limit))).toContain(first);
  // Nobody who was earlier goes past it before it has happened.
  for (const { from, limit } of turns) if (from < first) expect(limit).toBeLessThanOrEqual(first);
});

test('an event that is posted cuts the turns that come after it in the window', () => {
  const host = hostWith({ pcpuCount: 3, lookahead: 1000 });
  const turns: Turn[] = [];
  startThread(host, new Steps(() => 100, turns), { affinity: [0] });
  new Script([compute(200), sleep(150), compute(1000)]).startOn(host, { affinity: [1] });
  startThread(host, new Steps(() => 100, turns), { affinity: [2] });
  host.run(1500);
  // The timer is due at 350: pCPU 0 has gone further already, pCPU 2 may not.
  expect(turns.slice(0, 2).map(text)).toEqual(['0: 0 to 1000', '2: 0 to 350']);
});

/** The same rules in the plainest form, for pCPUs that only compute. */
function expectedTurns(lookahead: number, until: number, steps: readonly (() => number)[]): Turn[] {
  const clocks = steps.map(() => 0);
  const turns: Turn[] = [];
  for (let begin = 0; begin < until; begin += lookahead) {
    for (let i = 0; i < steps.length; i++) {
      const pcpu = (begin / lookahead + i) % steps.length;
      const [from, limit] = [clocks[pcpu], begin + lookahead];
      if (from < limit) turns.push({ pcpu, from, limit });
      while (clocks[pcpu] < limit) clocks[pcpu] += steps[pcpu]();
    }
  }
  return turns;
}

describe.each([1, 2, 3, 4, 5, 6])('random steps (%i)', (seed) => {
  const prng = new Prng(seed);
  const lookahead = 1 + prng.below(500);
  const most = Array.from({ length: 2 + prng.below(9) }, () => 1 + prng.below(900));
  /** Before any tick. */
  const until = lookahead * 40;
  const steps = () =>
    most.map((each, i) => {
      const own = new Prng(seed * 100 + i);
      return () => 1 + own.below(each);
    });
  const run = (pieces: (host: Host) => void) => {
    const { host, turns } = stepping(lookahead, steps());
    expect(Math.min(...host.pendingEvents.map(({ time }) => time))).toBeGreaterThan(until);
    pieces(host);
    return { turns, clocks: host.pcpus.map(({ now }) => now), state: host.state };
  };

  test('are taken in the order of the rules', () => {
    const { turns } = run((host) => host.run(until));
    const expected = expectedTurns(lookahead, until, steps());
    expect(turns).toEqual(expected.slice(0, turns.length));
    expect(expected.length - turns.length).toBeLessThan(most.length);
  });

  test('do not notice where they are paused', () => {
    const paused = run((host) => {
      const where = new Prng(seed);
      for (let at = 0; at < until; at += where.below(3 * lookahead)) host.run(at);
      host.run(until);
    });
    expect(paused.state).toEqual(run((host) => host.run(until)).state);
  });
});
