// The states that a session saves on its way: how far apart they are, what they take, which ones
// stay; and places where no clock has moved.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { createSession, type HistorySettings, type Session } from '../../src/debug/index.ts';
import { LOAD_ADDRESS, type Scenario } from '../../src/machine/index.ts';
import { assembleText, guestProgram, scenarioOf } from '../support/guest-run.ts';
import { SCENES } from '../walks/walk.ts';

const SCENARIO = scenarioOf({ vcpus: 3, pcpus: 2, hogs: 1, hz: 1000 });
/** The same with nothing that is soon repeated. */
const EVERYTHING: Scenario = { ...SCENARIO, engine: 'interpreter', skip: 'off' };
const PROGRAM = guestProgram('lock-ticket-pv.asm', { ITERATIONS: '20' });

/** vCPUs that send each other interrupts, and poll before they sleep. */
const POLLING = scenarioOf({ vcpus: 2, pcpus: 3 });
const PING = guestProgram('ipi-pingpong.asm', { ROUNDS: '3' });

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
    const gaps = gapsOf(atEnd({ snapshotInterval: most }, EVERYTHING));
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

  test('make a search ever further back about as long as the way back', () => {
    const session = atEnd({ snapshotInterval: 20_000_000 }, EVERYTHING);
    const { machine } = session;
    expect(session.branch.snapshots.count).toBe(1);
    const { instructions } = machine;
    let executed = 0;
    const advance = machine.advance.bind(machine);
    machine.advance = (...args) => {
      const before = machine.instructions;
      const stop = advance(...args);
      executed += machine.instructions - before;
      return stop;
    };
    session.breakpoints.add({ kind: 'exit', condition: '0' });
    expect(session.continue('backward').reason).toBe('beginning');
    expect(executed).toBeGreaterThan(instructions);
    expect(executed).toBeLessThan(3.5 * instructions);
  });

  test('take no more memory than is asked for: the older, the farther apart they are', () => {
    const snapshotBytes = 2 ** 20;
    const session = atEnd({ snapshotInterval: 20_000, snapshotBytes }, EVERYTHING);
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
    const fresh = createSession(EVERYTHING, { programs: [PROGRAM] });
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

test('the host pauses at whole cycles, whatever is asked for', () => {
  const run = (fraction: number) => {
    const { machine } = createSession(POLLING, { programs: [PING] });
    for (let time = 1000; time < 150_000; time += 1000) {
      machine.run(time + fraction);
      machine.advance(time + 999, { pcpu: (time / 1000) % 2, time: time + 300 + fraction });
      expect(machine.host.pcpus.every(({ state }) => Number.isInteger(state.now))).toBe(true);
    }
    machine.run(160_000);
    return machine.stateHash();
  };
  expect(run(0.3)).toBe(run(0));
});

test('an event number leads to the place to which single steps lead', () => {
  const events = (session: Session, event: number) => {
    for (const _piece of session.travelToEvent(event));
    return [session.when, session.vcpus.map(({ rip }) => rip.toUnsigned().toString(16))];
  };
  const stepping = createSession(POLLING, { programs: [PING] });
  const steps: [number, unknown][] = [];
  for (let before = 0; steps.length < 12_000; before = stepping.when.event) {
    // The next place is near: nothing is skipped on the way.
    steps.push([before + 1, events(stepping, before + 1)]);
  }
  const jumping = createSession(POLLING, { programs: [PING] }, { snapshotInterval: 20_000 });
  for (let i = 0; i < steps.length; i += 371) {
    const [event, expected] = steps[i];
    expect(events(jumping, event)).toEqual(expected);
    const [back, before] = steps[(i * 7) % steps.length];
    expect(events(jumping, back)).toEqual(before);
  }
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
