// A pause point names one boundary, and the state there is one: with waits left out or everything
// executed, by compiled code or the interpreter. What the run would look like is told by the one
// that executes everything.

import { describe, expect, test } from 'vitest';
import type { PausePoint } from '../../src/host/index.ts';
import { Machine, type Scenario } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { guestProgram, scenarioOf } from '../support/guest-run.ts';

const TICKET = guestProgram('lock-ticket.asm', { ITERATIONS: '20' });
const KIND = guestProgram('lock-ticket-pv.asm', { ITERATIONS: '20' });

function locks(lookahead: number, pcpus: number): Scenario {
  return scenarioOf({ vcpus: 4, pcpus, hogs: 1, hz: 1000, lookahead });
}

/** The first one leaves nothing out. */
const WAYS: readonly Pick<Scenario, 'engine' | 'skip'>[] = [
  { engine: 'compiled', skip: 'off' },
  { engine: 'compiled', skip: 'on' },
  { engine: 'interpreter', skip: 'on' },
];

/** The states where runs pause that come by some points. */
function states(scenario: Scenario, program: Uint8Array, points: readonly PausePoint[]) {
  return WAYS.map((way) => {
    const machine = new Machine({ ...scenario, ...way }, { programs: [program] });
    return points.map((point) => {
      const stop = machine.advance(Number.POSITIVE_INFINITY, point);
      return { stop, point, hash: machine.stateHash(), turns: machine.host.state.turns };
    });
  });
}

describe('a pause point is one boundary, with one state', () => {
  test.each<[what: string, lookahead: number, program: Uint8Array, point: PausePoint]>([
    ['the last instruction of a turn that was left out', 500, KIND, { pcpu: 1, time: 12_103_001 }],
    ['the end of a turn that was left out', 50, KIND, { pcpu: 0, time: 1_249_450 }],
    ['an instruction before a way that others join', 50, TICKET, { pcpu: 0, time: 9_309_251 }],
  ])('at %s', (_, lookahead, program, point) => {
    const [all, ...others] = states(locks(lookahead, 2), program, [point]);
    expect(all[0].stop).toBe('paused');
    for (const other of others) expect(other).toEqual(all);
  });

  test.each([
    [50, TICKET],
    [50, KIND],
  ])('anywhere, with a lookahead of %d', (lookahead, program) => {
    const prng = new Prng(lookahead);
    const points = Array.from({ length: 60 }, () => {
      return { pcpu: prng.below(3), time: 1 + prng.below(180_000) };
    });
    points.sort((a, b) => a.time - b.time);
    const [all, ...others] = states(locks(lookahead, 3), program, points);
    expect(all.filter(({ stop }) => stop === 'paused').length).toBeGreaterThan(40);
    for (const other of others) expect(other).toEqual(all);
  });
});
