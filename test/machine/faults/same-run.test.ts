// Whatever faults are injected: the run is the same on both engines, with waits left out or not,
// and saved and restored anywhere. And who injects nothing changes nothing.

import { describe, expect, test } from 'vitest';
import { FAULTS } from '../../../src/machine/index.ts';
import {
  type FaultyGuest,
  type FaultyRun,
  KICKING,
  PING_PONG,
  recordsOf,
  runFaulty,
  TICKING,
  type Way,
  withoutFaults,
} from '../../support/faults.ts';

/** For each fault one that happens several times, and a guest that it happens to. */
const CASES: Readonly<Record<string, readonly [FaultyGuest, string]>> = {
  'delay-wake': [KICKING, 'by=1us..40us,probability=0.5'],
  'spurious-wake': [PING_PONG, 'every=20us'],
  'delay-ipi': [PING_PONG, 'by=1us..30us,probability=0.5'],
  'lose-ipi': [PING_PONG, 'nth=5'],
  'spurious-ipi': [PING_PONG, 'vector=0x50,every=100us'.replace('0x50', '80')],
  'delay-kick': [KICKING, 'by=1us..40us,probability=0.5'],
  'lose-kick': [KICKING, 'nth=7'],
  'spurious-kick': [KICKING, 'every=30us'],
  'spurious-exit': [KICKING, 'every=10us'],
  preempt: [{ ...KICKING, pcpus: 2 }, 'at=kick_next,after=1ns..2us,probability=0.5,for=50us'],
  steal: [KICKING, 'every=200us,for=100us'],
  'stop-pcpu': [KICKING, 'every=200us,for=1us..90us'],
  migrate: [{ ...KICKING, vcpus: 3 }, 'every=40us'],
  'timer-jitter': [TICKING, 'by=1us..300us'],
  'clock-forward': [TICKING, 'every=300us,by=1us..5us'],
  'clock-back': [TICKING, 'every=300us,by=1us..5us'],
  'fail-entry': [KICKING, 'from=100us'],
  'fail-msr-load': [KICKING, 'from=100us'],
  snapshot: [{ ...KICKING, pcpus: 2 }, 'every=50us'],
};

const WAYS: Readonly<Record<string, Way>> = {
  'interpreted, everything executed': { engine: 'interpreter', skip: 'off' },
  'in pieces, each in a new machine': { restartEvery: 100_003 },
};

function outcomeOf({ lines, report, machine }: FaultyRun) {
  const { pcpus, ...rest } = report;
  return { lines, report: rest, pcpus, hash: machine.stateHash() };
}

test('no fault is missing here', () => {
  expect(Object.keys(CASES)).toEqual(Object.keys(FAULTS));
});

describe.each(Object.entries(CASES))('%s', (name, [guest, keys]) => {
  const fault = `${name},${keys}`;
  const run = runFaulty(guest, [fault]);

  test('happens, and is told and counted each time', () => {
    const told = recordsOf(run, 'fault');
    expect(told.length).toBeGreaterThan(0);
    expect(told.every(({ fields }) => fields.kind === name && fields.number === 0)).toBe(true);
    expect(run.report.faults.map(({ count }) => count)).toEqual([told.length]);
  });

  test.each(Object.entries(WAYS))('%s', (_, way) => {
    expect(outcomeOf(runFaulty(guest, [fault], way))).toEqual(outcomeOf(run));
  });
});

describe('what is not injected', () => {
  test.each([KICKING, PING_PONG, TICKING])('changes nothing ($source)', (guest) => {
    const events = ['delay-wake', 'delay-ipi', 'delay-kick', 'timer-jitter'];
    const idle = events.map((name) => `${name},by=1us,from=5ms`);
    expect(runFaulty(guest, [...idle, 'lose-ipi,from=5ms', 'lose-kick,from=5ms']).lines).toEqual(
      runFaulty(guest, []).lines,
    );
  });

  test('does not disturb the others', () => {
    const fault = 'delay-kick,by=1us..40us,probability=0.5';
    const alone = runFaulty(KICKING, [fault, 'delay-wake,by=1us,from=5ms']);
    expect(runFaulty(KICKING, [fault]).lines).toEqual(alone.lines);
  });
});

test('a snapshot leaves no trace but its own', () => {
  const guest = { ...KICKING, pcpus: 2 };
  const saved = runFaulty(guest, ['snapshot,every=7us']);
  expect(saved.report.faults[0].count).toBeGreaterThan(20);
  expect(withoutFaults(saved)).toEqual(runFaulty(guest, []).lines);
});

test('the seed decides', () => {
  const fault = 'spurious-exit,every=10us';
  const [first, same, other] = [1, 1, 2].map((seed) => runFaulty({ ...KICKING, seed }, [fault]));
  expect(same.lines).toEqual(first.lines);
  const times = (run: FaultyRun) => recordsOf(run, 'fault').map(({ timeNs }) => timeNs);
  expect(times(other)).not.toEqual(times(first));
});
