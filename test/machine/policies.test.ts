// Decisions by functions of a user, and what becomes of those that fail.

import { describe, expect, test } from 'vitest';
import { watched } from '../../src/cli/policies.ts';
import type { Pcpu, Thread } from '../../src/host/index.ts';
import type { Vcpu } from '../../src/kvm/index.ts';
import { Machine, type PolicyFunctions } from '../../src/machine/index.ts';
import { checkedScenario, guestProgram, runToEnd } from '../support/guest-run.ts';

type Policies = Readonly<Record<string, (...question: never[]) => unknown>>;

/** A machine on which vCPUs spin, halt and wake each other, with these policies. */
function machineWith(program: string, policies: Policies, pcpus = 2) {
  const vm: Record<string, unknown> = {};
  const host: Record<string, unknown> = {};
  const exits: Record<string, string> = {};
  for (const key of Object.keys(policies)) {
    const last = key.split('.').at(-1) as string;
    if (key.startsWith('host.')) host[last] = 'a.js';
    else if (key.includes('.exits.')) exits[last] = 'a.js';
    else vm[last] = 'a.js';
  }
  const scenario = checkedScenario({
    host: { pcpus, policies: host },
    vms: [
      {
        program: 'a.asm',
        vcpus: program === 'ipi-pingpong.asm' ? 2 : 4,
        memory: '2M',
        policies: { ...vm, exits },
      },
    ],
    hogs: [{ count: program === 'ipi-pingpong.asm' ? 0 : 2 }],
    limits: { time: '40ms' },
  });
  const programs = [guestProgram(program, { ROUNDS: '20' })];
  const functions = new Map(Object.entries(policies)) as PolicyFunctions;
  return { scenario, programs, functions };
}

function run(program: string, policies: Policies) {
  const { scenario, programs, functions } = machineWith(program, policies);
  return runToEnd(new Machine(scenario, { programs, policies: functions }));
}

const SPIN = 'vms[0].policies.spin';
const CANDIDATE = 'vms[0].policies.yield_candidate';
const POLL = 'vms[0].policies.halt_poll';
const HLT = 'vms[0].policies.exits.HLT';
const PLACE = 'host.policies.wake_placement';
const LOCK = 'lock-ticket.asm';
const PINGPONG = 'ipi-pingpong.asm';

describe('a policy that does as the standard does changes nothing', () => {
  const same = (a: unknown, b: unknown, standard: (...all: unknown[]) => unknown) => standard(a, b);
  const place = (thread: unknown, _: unknown, standard: (woken: unknown) => unknown) =>
    standard(thread);

  test.each<[string, string, Policies[string]]>([
    [LOCK, SPIN, same],
    [PINGPONG, POLL, same],
    [PINGPONG, HLT, same],
    [PINGPONG, PLACE, place],
  ])('of %s: %s', (program, key, policy) => {
    const plain = run(program, {}).report;
    expect(run(program, { [key]: policy }).report).toEqual(plain);
  });
});

describe('a policy decides', () => {
  test('what spinners do', () => {
    const { report } = run(LOCK, { [SPIN]: () => 'resume' });
    const tried = report.vcpus.map(({ statistics }) => statistics.ple_yield_attempted);
    expect(tried).toEqual([0, 0, 0, 0]);
    expect(report.exits.some(({ name }) => name === 'PAUSE_INSTRUCTION')).toBe(true);
  });

  test('whom they yield to', () => {
    const asked: number[] = [];
    const { machine } = run(LOCK, {
      [CANDIDATE]: (spinner: Vcpu, waiting: readonly Vcpu[]) => {
        expect(waiting).not.toContain(spinner);
        const last = waiting.at(-1) ?? null;
        if (last !== null) asked.push(last.index);
        return last;
      },
    });
    expect(asked.length).toBeGreaterThan(0);
    expect(machine.vms[0].lastBoostedVcpu).toBe(asked.at(-1));
  });

  test('how long halts are polled for', () => {
    const halts: number[] = [];
    const { report } = run(PINGPONG, {
      [POLL]: ({ haltNs }: { haltNs: number }) => {
        halts.push(haltNs);
        return 0;
      },
    });
    expect(halts.length).toBeGreaterThan(20);
    expect(report.vcpus[0].statistics).toMatchObject({ halt_attempted_poll: 0, halt_wakeup: 20 });
  });

  test('where woken threads run', () => {
    const { machine } = run(PINGPONG, {
      [PLACE]: (_: Thread, pcpus: readonly Pcpu[]) => pcpus[0],
      [POLL]: () => 0,
    });
    expect(machine.vcpus.map(({ thread }) => thread.state.pcpu)).toEqual([0, 0]);
  });

  test('what an exit does', () => {
    const { ending } = run(PINGPONG, { [HLT]: () => ({ reason: 'SHUTDOWN' }) });
    expect(ending.status).toBe('tripleFault');
  });
});

function spending(cycles: number): Policies[string] {
  return (_: never, pcpu: Pcpu) => {
    pcpu.spend(cycles);
    return 'resume';
  };
}

describe('a policy that fails ends the run with its name', () => {
  test.each<[string, string, Policies[string], string]>([
    [LOCK, SPIN, () => 'later', 'gives "later"; expected one of resume, yield, doze'],
    [LOCK, CANDIDATE, (spinner: never) => spinner, 'gives something else than one of the vCPUs'],
    [PINGPONG, POLL, () => -1, 'gives -1; expected a whole number of ns, or null'],
    [PINGPONG, POLL, () => Number.NaN, 'gives NaN; expected a whole number of ns, or null'],
    [PINGPONG, POLL, () => '5', 'gives "5"; expected a whole number of ns, or null'],
    [PINGPONG, PLACE, () => undefined, 'gives no pCPU that vcpu'],
    [PINGPONG, HLT, () => undefined, 'gives undefined; expected one of'],
    [PINGPONG, HLT, (_: never, pcpu: Pcpu) => pcpu.spend(-1), 'throws pCPU '],
    [PINGPONG, HLT, spending(Number.NaN), 'has spent what is no whole number of cycles: the clock'],
    [PINGPONG, HLT, spending(0.5), 'has spent what is no whole number of cycles: the clock'],
    [LOCK, SPIN, spending(Number.POSITIVE_INFINITY), 'has spent what is no whole number of cycles'],
  ])('of %s: %s (%#)', (program, key, policy, problem) => {
    const { ending } = run(program, { [key]: policy });
    expect(ending).toMatchObject({ status: 'policyFailed', exitCode: 20 });
    expect(ending.message).toContain(`the policy ${key} ${problem}`);
  });

  test('and the time, up to which the same run can be repeated', () => {
    let calls = 0;
    const policy = () => {
      if (++calls === 5) throw new Error('tired');
      return null;
    };
    const { scenario, programs, functions } = machineWith(PINGPONG, { [POLL]: policy });
    const { ending } = runToEnd(new Machine(scenario, { programs, policies: functions }));
    const ns = Number(/--until (\d+)ns/.exec(ending.message)?.[1]);
    expect(ending.message).toContain('throws tired');
    calls = 0;
    const again = new Machine(
      { ...scenario, limits: { ...scenario.limits, time: ns } },
      { programs, policies: functions },
    );
    expect(runToEnd(again).ending.status).toBe('limit');
    expect(calls).toBe(4);
  });

  test('also if it never returns', () => {
    const hang = () => {
      for (;;);
    };
    const { scenario, programs, functions } = machineWith(PINGPONG, { [POLL]: hang });
    const machine = new Machine(scenario, { programs, policies: functions });
    expect(watched(machine, functions, () => machine.run(), 100)).toBe(null);
    expect(machine.ending?.message).toContain(`the policy ${POLL} does not return`);
  });

  test('a policy that is named has to be given', () => {
    const { scenario, programs } = machineWith(PINGPONG, { [POLL]: () => null });
    expect(() => new Machine(scenario, { programs })).toThrow(`${POLL} is named, but not given`);
  });
});
