// The session: what a step is, that a debugged run is the run that it would have been, and that
// time goes both ways.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { createSession, type Motion, type Session } from '../../src/debug/index.ts';
import { Machine } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import {
  assembleText,
  checkedScenario,
  scenarioOf,
  tracedMachine,
  traceText,
} from '../support/guest-run.ts';
import { LOCK, SCENES, walk } from '../walks/walk.ts';

const COUNT = assembleText(`
bits 64
    xor eax, eax
again:
    inc eax
    cmp eax, 3
    jne again
    mov ecx, 2
    cpuid
    mov [buffer], rax
    cli
    hlt
align 8
buffer: dq 0
`);

function sessionOf(program: Uint8Array, scenario = scenarioOf({})): Session {
  return createSession(scenario, { programs: [program] });
}

const rip = (session: Session, vcpu = 0) => session.readRegister(vcpu, 'rip').toNumber();
const rax = (session: Session) => session.readRegister(0, 'rax').toNumber();

describe('steps', () => {
  test('of an instruction execute one, exits and their handlers included', () => {
    const session = sessionOf(COUNT);
    const start = rip(session);
    const lengths = [2, 2, 3, -5, 2, 3, -5, 2, 3, 2, 5, 2];
    const seen = lengths.map((_, i) => {
      const before = i === 0 ? start : rip(session);
      expect(session.stepInstruction(0).reason).toBe('step');
      return rip(session) - before;
    });
    // CPUID exits; the step ends where the guest goes on.
    expect(seen).toEqual([2, 2, 3, -5, 2, 3, -5, 2, 3, 2, 5, 2]);
    expect(session.vcpus[0].counters.exits).toBe(1);
  });

  test('to a time stop at the first place where a clock has reached it, from either side', () => {
    const session = sessionOf(COUNT);
    const arrive = (time: number) => {
      const work = session.travelToTime(time);
      while (work.next().done !== true);
      return session.when.time;
    };
    const there = arrive(1500);
    expect(there).toBeGreaterThanOrEqual(1500);
    session.stepInstruction(0, 'backward');
    expect(session.when.time).toBeLessThan(1500);
    session.stepInstruction(0);
    session.stepInstruction(0);
    expect(arrive(1500)).toBe(there);
    expect(session.breakpoints.list()).toEqual([]);
  });

  test('of an exit stop before it is handled', () => {
    const session = sessionOf(COUNT);
    const stop = session.stepExit(null);
    expect(stop.reason).toBe('step');
    expect(stop.records.at(-1)).toMatchObject({ name: 'kvm_exit', fields: { reason: 'CPUID' } });
    expect(rax(session)).toBe(3);
    expect(session.readVmcsField(0, 'VM_EXIT_REASON').toNumber()).toBe(10);
    expect(session.stepHost().records.map(({ name }) => name)).toEqual(['kvm_cpuid']);
    expect(session.vcpus[0].state.phase).toBe('loop');
    expect(rax(session)).not.toBe(3);
    expect(session.stepHost().records.map(({ name }) => name)).toEqual(['kvm_entry']);
    expect(session.vcpus[0].state.phase).toBe('guest');
  });

  test('backward undo those forward', () => {
    const session = sessionOf(COUNT);
    const values: number[] = [];
    for (let i = 0; i < 8; i++) {
      session.stepInstruction(0);
      values.push(rax(session));
    }
    for (let i = 6; i >= 0; i--) {
      session.stepInstruction(0, 'backward');
      expect(rax(session)).toBe(values[i]);
    }
  });

  test('end where the machine ends, and begin at the beginning', () => {
    const session = sessionOf(COUNT);
    expect(session.continue()).toMatchObject({ reason: 'ended', ending: { status: 'halted' } });
    expect(session.stepInstruction(0).reason).toBe('ended');
    expect(session.stepExit(null, 'backward').records).toEqual([]);
    expect(session.readVmcsField(0, 'exit reason').toNumber()).toBe(12);
    expect(session.stepExit(null, 'backward').reason).toBe('step');
    expect(session.readVmcsField(0, 'exit reason').toNumber()).toBe(10);
    expect(session.stepExit(null, 'backward').reason).toBe('beginning');
    expect(session.when.pcpu).toBe(-1);
    expect(rip(session)).toBe(0x100000);
  });
});

/** Of each walk. `npm run walks` makes many more. */
const MOVES = 25;

describe.each(SCENES)('$name', (scene) => {
  const { scenario, program } = scene;

  /** What the run is if nobody looks. */
  function undebugged() {
    const { machine, records } = tracedMachine(scenario, [program]);
    machine.run();
    return { hash: machine.stateHash(), trace: traceText(records, 2) };
  }

  test('random walks come to the same states at the same places, and to the same end', () => {
    const expected = undebugged();
    const { session, forward, backward, difference } = walk(scene, MOVES, 1);
    expect(difference).toBeNull();
    expect(Math.min(forward, backward)).toBeGreaterThan(MOVES / 5);
    session.continue();
    expect(session.stateHash()).toBe(expected.hash);
    expect(traceText(session.recentRecords(1e6), 2)).toBe(expected.trace);
  });

  test('as many steps backward as forward lead back', () => {
    const session = createSession(scenario, { programs: [program] });
    const prng = new Prng(2);
    for (let i = 0; i < 3 * session.vcpus.length; i++) {
      const motion: Motion = { kind: 'instruction', vcpu: i % session.vcpus.length };
      for (let n = prng.below(30); n >= 0; n--) session.run(motion);
      const places = [session.stateHash()];
      for (let n = 1 + prng.below(12); n > 0; n--) {
        if (session.run(motion).reason === 'ended') break;
        places.push(session.stateHash());
      }
      if (session.stop.reason === 'ended') break;
      for (let n = places.length - 2; n >= 0; n--) {
        session.run(motion, 'backward');
        expect(session.stateHash()).toBe(places[n]);
      }
    }
  });
});

test('two machines: every vCPU has its number, and is stepped by itself', () => {
  const vm = { program: 'x', memory: '2M' };
  const scenario = checkedScenario({ host: { pcpus: 2 }, vms: [{ ...vm, name: 'a' }, vm] });
  const session = createSession(scenario, { programs: [COUNT, COUNT] });
  session.stepInstruction(1);
  session.stepInstruction(1);
  expect(session.readRegister(1, 'eax').toNumber()).toBe(1);
  expect(() => session.stepInstruction(2)).toThrow('there is no vCPU 2');
});

describe('changes', () => {
  test('begin a branch of history, to which one can return', () => {
    const session = sessionOf(COUNT);
    for (let i = 0; i < 2; i++) session.stepInstruction(0);
    session.writeRegister(0, 'eax', Long.fromNumber(2));
    expect(session.branch).toMatchObject({ id: 1, cause: 'eax = 0x2 on vCPU 0' });
    session.stepInstruction(0);
    session.stepInstruction(0);
    session.stepInstruction(0);
    expect(rax(session)).toBe(3);
    session.stepExit(null);
    const there = session.stateHash();
    const records = session.recentRecords(100);
    // Before the change, it is as it was.
    for (let i = 0; i < 9; i++) session.stepInstruction(0, 'backward');
    expect(session.branch.id).toBe(0);
    session.stepExit(null);
    session.switchBranch(1);
    expect(rax(session)).toBe(2);
    session.stepExit(null);
    expect(session.stateHash()).toBe(there);
    expect(session.recentRecords(100)).toEqual(records);
  });

  test('of memory are seen by the guest, and refused where there is none', () => {
    const session = sessionOf(COUNT);
    const at = session.readRegister(0, 'rip');
    // inc eax; inc eax; int3 in place of what is there
    expect(session.writeMemory(0, 'linear', at, Uint8Array.of(0xff, 0xc0, 0xff, 0xc0))).toBe(true);
    session.writeRegister(0, 'rax', Long.fromNumber(40));
    session.stepInstruction(0);
    session.stepInstruction(0);
    expect(rax(session)).toBe(42);
    expect(session.writeMemory(0, 'physical', Long.fromNumber(2 ** 30), Uint8Array.of(1))).toBe(
      false,
    );
    expect(session.readMemory(0, 'linear', Long.MAX_UNSIGNED_VALUE, 8)).toBe(null);
    expect(() => session.readRegister(0, 'foo')).toThrow("no register named 'foo'");
    expect(() => session.readVmcsField(0, 'foo')).toThrow("no VMCS field named 'foo'");
  });
});

test('a machine without a debugger does no more than before', () => {
  const machine = new Machine(LOCK.scenario, { programs: [LOCK.program] });
  expect(machine.host.sink).toBe(null);
});
