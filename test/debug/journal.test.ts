// What a session keeps of what has happened: all of it where that is little, and where a program
// does little but exit, only what somebody asks for, which is found out by running there again.

import Long from 'long';
import { expect, test } from 'vitest';
import { createSession, type Session } from '../../src/debug/index.ts';
import { LOAD_ADDRESS } from '../../src/machine/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import { assembleText, scenarioOf, tracedMachine } from '../support/guest-run.ts';

const ROUNDS = 60_000;
const SCENARIO = scenarioOf({ vcpus: 1, pcpus: 1 });

/** Two exits a round. */
const PROGRAM = assembleText(`
  org ${LOAD_ADDRESS}
  mov ebp, ${ROUNDS}
round:
  xor eax, eax
  cpuid
  out 0x80, al
  dec ebp
  jnz round
  cli
  hlt`);

function everything(): readonly TraceRecord[] {
  const { machine, records } = tracedMachine(SCENARIO, [PROGRAM]);
  machine.run();
  return records;
}

/** How many records are made for a session from now on. */
function counted(session: Session): { readonly count: number } {
  const { host } = session.machine;
  const { sink } = host;
  const counter = { count: 0 };
  host.sink = {
    record(record) {
      counter.count++;
      sink?.record(record);
    },
  };
  return counter;
}

const all = everything();

test('where much happens it is left out, and known when somebody asks', () => {
  const session = createSession(SCENARIO, { programs: [PROGRAM] });
  const made = counted(session);
  expect(session.continue().reason).toBe('ended');
  expect(made.count).toBeGreaterThan(2000);
  expect(made.count).toBeLessThan(all.length / 4);
  const { when } = session;
  const hash = session.stateHash();
  expect(session.recentRecords(5000)).toEqual(all.slice(-5000));
  expect(session.recentRecords(50_000)).toEqual(all.slice(-50_000));
  expect([session.when, session.stateHash()]).toEqual([when, hash]);
  expect(session.why(0).join('\n')).toMatch(/cycles after the entry at \d/);
});

test('it is all kept for who waits for some of it', () => {
  const session = createSession(SCENARIO, { programs: [PROGRAM] });
  session.breakpoints.add({ kind: 'exit', reason: 'HLT' });
  const made = counted(session);
  session.continue();
  // The last ones are those of the halt itself.
  expect(made.count).toBeGreaterThan(0.99 * all.length);
});

test('what has happened is known in the middle, on the way back, and behind a change', () => {
  const session = createSession(SCENARIO, { programs: [PROGRAM] });
  const expected = () => before(session).slice(-100);
  session.breakpoints.add({ kind: 'time', time: 90_000_000 });
  expect(session.continue().reason).toBe('breakpoint');
  expect(session.recentRecords(100)).toEqual(expected());
  for (let i = 0; i < 3; i++) session.stepExit(null, 'backward');
  expect(session.recentRecords(100)).toEqual(expected());
  session.writeRegister(0, 'ebp', Long.fromNumber(2 * ROUNDS));
  expect(session.recentRecords(100)).toEqual(expected());
});

/** The records up to the place where a session is. */
function before({ machine, when }: Session): readonly TraceRecord[] {
  const ns = machine.host.frequency.toNs(when.time);
  return all.filter(({ timeNs }) => timeNs <= ns);
}
