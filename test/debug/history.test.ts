// The states that a session saves on its way: how far apart they are, what they take, which ones
// stay; and places where no clock has moved.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { createSession, type HistorySettings, type Session } from '../../src/debug/index.ts';
import { LOAD_ADDRESS } from '../../src/machine/index.ts';
import { assembleText, guestProgram, scenarioOf } from '../support/guest-run.ts';
import { SCENES } from '../walks/walk.ts';

const SCENARIO = scenarioOf({ vcpus: 3, pcpus: 2, hogs: 1, hz: 1000 });
const PROGRAM = guestProgram('lock-ticket-pv.asm', { ITERATIONS: '20' });

function atEnd(settings: Partial<HistorySettings>, scenario = SCENARIO): Session {
  const session = createSession(scenario, { programs: [PROGRAM] }, settings);
  session.continue();
  return session;
}

function gapsOf({ branch, machine }: Session): number[] {
  const counts = branch.snapshots.list.map(({ instructions }) => instructions);
  return [...counts, machine.instructions].slice(1).map((count, i) => count - counts[i]);
}

describe('snapshots', () => {
  test.each([30_000, 300_000])('lie at most %d instructions apart, as is asked for', (most) => {
    const gaps = gapsOf(atEnd({ snapshotInterval: most }, { ...SCENARIO, engine: 'interpreter' }));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(most);
    expect(Math.min(...gaps.slice(0, -1))).toBeGreaterThanOrEqual(most / 2);
    expect(gaps.length).toBeGreaterThan(3);
  });

  test('lie farther apart where code is compiled, but not where it exits', () => {
    const gapsIn = (inner: string) => {
      const text = `mov rbx, 50000\nround:\n${inner}\ndec rbx\njnz round\nmov al, 0\nout 0xf4, al`;
      const programs = [assembleText(`org ${LOAD_ADDRESS}\n${text}`)];
      const session = createSession(scenarioOf({ vcpus: 1, pcpus: 1 }), { programs }, INTERVAL);
      session.continue();
      // The first rounds are interpreted, and the last gap ends with the run.
      return gapsOf(session).slice(2, -1);
    };
    const INTERVAL = { snapshotInterval: 20_000 };
    const computing = gapsIn('xor ecx, ecx\nadd rax, rbx\nadd rdx, rax\nnop\nnop\nnop');
    expect(computing.length).toBe(0);
    const exiting = gapsIn('mov eax, 0\npush rbx\ncpuid\npop rbx');
    expect(exiting.length).toBeGreaterThan(10);
    expect(Math.max(...exiting)).toBeLessThanOrEqual(20_000);
  });

  test('take no more memory than is asked for: the older, the farther apart they are', () => {
    const snapshotBytes = 2 ** 20;
    const session = atEnd({ snapshotInterval: 20_000, snapshotBytes });
    const { snapshots } = session.branch;
    expect(snapshots.bytes).toBeLessThanOrEqual(snapshotBytes);
    expect(snapshots.bytes).toBeGreaterThan(snapshotBytes / 2);
    const gaps = gapsOf(session);
    const half = gaps.length >> 1;
    const sum = (list: readonly number[]) => list.reduce((total, gap) => total + gap, 0);
    expect(sum(gaps.slice(0, half))).toBeGreaterThan(3 * sum(gaps.slice(-half)));
    // Going far back still leads where it led.
    const { event } = session.when;
    session.stepExit(null, 'backward');
    const { event: last } = session.stepExit(null, 'backward').position;
    expect(last).toBeLessThan(event);
    expect(snapshots.bytes).toBeLessThanOrEqual(snapshotBytes);
    const fresh = createSession(SCENARIO, { programs: [PROGRAM] });
    fresh.goTo(session.when);
    expect(session.stateHash()).toBe(fresh.stateHash());
  });

  test('that have a name stay', () => {
    const session = createSession(
      SCENARIO,
      { programs: [PROGRAM] },
      { snapshotInterval: 20_000, snapshotBytes: 0 },
    );
    for (let i = 0; i < 6; i++) session.stepExit(null);
    const { position } = session.addBookmark('here');
    session.continue();
    const pinned = session.branch.snapshots.list.filter(({ isPinned }) => isPinned);
    expect(pinned.map(({ event }) => event)).toEqual([0, position.event]);
    expect(session.branch.snapshots.count).toBeLessThanOrEqual(3);
  });
});

test('an event number leads to the same place from everywhere, between whole cycles', () => {
  const session = atEnd({ snapshotInterval: 20_000 });
  const { event: end } = session.when;
  const fresh = createSession(SCENARIO, { programs: [PROGRAM] });
  const event = Math.floor(end * 0.31);
  for (const one of [session, fresh]) for (const _piece of one.travelToEvent(event));
  expect(session.when).toEqual(fresh.when);
  expect(Number.isInteger(session.when.event)).toBe(true);
  expect(session.when.event).toBeGreaterThanOrEqual(event);
  expect(session.stateHash()).toBe(fresh.stateHash());
});

test('a breakpoint where a turn begins is met where all clocks came to stand so', () => {
  const [, { scenario, program }] = SCENES;
  const session = createSession(scenario, { programs: [program] });
  session.breakpoints.add({ kind: 'address', address: Long.fromNumber(LOAD_ADDRESS) });
  const stop = session.continue();
  expect(stop).toMatchObject({ reason: 'breakpoint', vcpu: 0, hits: [{ id: 1 }] });
  // vCPU 1 has been entered since vCPU 0 came there, and its pCPU was the last that moved.
  expect(stop.position).toEqual({ event: 2100, pcpu: 1, time: 1050 });
  expect(session.readRegister(0, 'rip').toNumber()).toBe(LOAD_ADDRESS);
  const hash = session.stateHash();
  const straight = createSession(scenario, { programs: [program] });
  straight.goTo(stop.position);
  expect(straight.stateHash()).toBe(hash);
  session.stepInstruction(0);
  session.stepInstruction(1);
  expect(session.continue('backward')).toMatchObject({ hits: [{ id: 1 }], vcpu: 0 });
  expect(session.when).toEqual(stop.position);
  expect(session.stateHash()).toBe(hash);
});

describe('backwards over a breakpoint in a loop', () => {
  const LOOP = assembleText(`
bits 64
    mov ecx, 3000
again:
    add rax, rcx
    dec ecx
    jnz again
    cli
    hlt
`);
  /** Of the DEC. */
  const address = Long.fromNumber(LOAD_ADDRESS + 8);

  /** @param condition '1' for always */
  function atEndOf(condition: string): Session {
    const session = createSession(scenarioOf({}), { programs: [LOOP] });
    session.continue();
    session.breakpoints.add({ kind: 'address', address, condition });
    return session;
  }

  const ecx = (session: Session) => session.readRegister(0, 'ecx').toNumber();

  test('leads to its last hits one by one, however many there are', () => {
    const session = atEndOf('1');
    for (let left = 1; left <= 4; left++) {
      expect(session.continue('backward').reason).toBe('breakpoint');
      expect([ecx(session), session.readRegister(0, 'rip').eq(address)]).toEqual([left, true]);
    }
  });

  test.each([1, 700, 2999])('leads to the one hit of which a condition says %d', (wanted) => {
    const session = atEndOf(`ecx == ${wanted}`);
    expect(session.continue('backward').reason).toBe('breakpoint');
    expect(ecx(session)).toBe(wanted);
    expect(session.continue('backward').reason).toBe('beginning');
    expect(session.continue().reason).toBe('breakpoint');
    expect(ecx(session)).toBe(wanted);
  });

  test('leads to the last of many hits for which a condition holds', () => {
    const session = atEndOf('ecx % 2 == 1');
    for (const left of [1, 3, 5]) {
      expect(session.continue('backward').reason).toBe('breakpoint');
      expect(ecx(session)).toBe(left);
    }
  });
});
