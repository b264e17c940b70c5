// Directed yield out of a PAUSE-loop exit: kvm-host.md 2.5 and 2.6 (Linux virt/kvm/kvm_main.c,
// kvm_vcpu_on_spin), step by step with a scheduler that answers what the test wants, and then with
// the real one.

import { describe, expect, test } from 'vitest';
import type { YieldResult } from '../../src/host/index.ts';
import { vcpuOnSpin } from '../../src/kvm/directed-yield.ts';
import type { VcpuState } from '../../src/kvm/vcpu.ts';
import { KVM_COSTS, KvmBench } from '../support/kvm-bench.ts';
import { idleVm } from '../support/kvm-vm.ts';

interface Spin {
  readonly me: number;
  readonly last: number;
  /** What vCPUs are, by index; the others are not ready. */
  readonly vcpus: Readonly<Record<number, Partial<VcpuState>>>;
  /** What the scheduler says to each attempt; `yielded` when the list is over. */
  readonly results?: readonly YieldResult[];
  readonly kernelPreferred?: boolean;
  /** vCPUs that sleep. */
  readonly blocked?: readonly number[];
}

const READY: Partial<VcpuState> = { ready: true };
/** Switched out while it was runnable. */
const PREEMPTED_IN_KERNEL = { ready: true, preempted: true, preemptedInKernel: true };
const PREEMPTED_IN_USER = { ready: true, preempted: true, preemptedInKernel: false };

/** Four vCPUs, one of which spins; whom it tried to yield to, in order, and what is left. */
function spin({ me, last, vcpus: states, results = [], kernelPreferred = true, blocked }: Spin) {
  const { vm, vcpus, pcpu } = idleVm(4);
  const tried: number[] = [];
  vm.host.scheduler.yieldTo = (_, target) => {
    tried.push(vcpus.findIndex(({ thread }) => thread === target));
    return results[tried.length - 1] ?? 'yielded';
  };
  vm.lastBoostedVcpu = last;
  vcpus.forEach((vcpu, i) => {
    const isAsleep = blocked?.includes(i) ?? false;
    vcpu.thread.state.status = isAsleep ? 'blocked' : 'runnable';
    Object.assign(vcpu.state, { eventRequested: false, ...states[i] });
  });
  const again = () => vcpuOnSpin(vcpus[me], pcpu, kernelPreferred) === 'yield';
  const yielded = again();
  return { vm, vcpus, me: vcpus[me], tried, yielded, again };
}

describe('the candidates are tried', () => {
  const all = { 0: READY, 1: READY, 2: READY, 3: READY };
  const never = Array<YieldResult>(9).fill('refused');
  // The spinner, the last boosted; who is tried if nobody accepts.
  test.each([
    ['from behind the last boosted, then from the start up to it', 0, 1, [2, 3, 1]],
    ['in order if the first was boosted last, itself at the end', 3, 0, [1, 2, 0]],
    ['all in the second pass if the last was boosted last', 1, 3, [0, 2, 3]],
    ['without the spinner, who was boosted last', 2, 2, [3, 0, 1]],
  ])('%s', (_, me, last, order) => {
    const { tried, yielded } = spin({ me, last, vcpus: all, results: never });
    expect(tried).toEqual(order);
    expect(yielded).toBe(false);
  });
});

describe('the worked examples of the reference', () => {
  test('A: with 0 and 3 ready, 2 helps 3, and then 0', () => {
    const { vm, me, tried, again } = spin({ me: 2, last: 1, vcpus: { 0: READY, 3: READY } });
    expect(tried).toEqual([3]);
    expect(vm.lastBoostedVcpu).toBe(3);
    me.state.inSpinLoop = false;
    expect(again()).toBe(true);
    expect(tried).toEqual([3, 0]);
    expect(vm.lastBoostedVcpu).toBe(0);
  });

  test('B: who spins itself is helped only the second time', () => {
    const three = { ready: true, inSpinLoop: true, dyEligible: false };
    const { vcpus, yielded, tried, again } = spin({ me: 2, last: 1, vcpus: { 3: three } });
    expect([yielded, tried, vcpus[3].state.dyEligible]).toEqual([false, [], true]);
    expect(again()).toBe(true);
    expect([tried, vcpus[3].state.dyEligible]).toEqual([[3], false]);
  });

  test('C: after -ESRCH at the end of the first pass there is no second', () => {
    const vcpus = { 0: READY, 3: READY };
    const { tried, yielded, vm } = spin({ me: 2, last: 1, vcpus, results: ['alone'] });
    expect([tried, yielded, vm.lastBoostedVcpu]).toEqual([[3], false, 1]);
  });
});

describe('a candidate is', () => {
  // What vCPU 1 is, whether it sleeps, whether the spinner was in the kernel; tried or not.
  test.each<[string, Partial<VcpuState>, boolean, boolean, boolean]>([
    ['one that is ready', READY, false, true, true],
    ['not one that runs', {}, false, true, false],
    ['one that was preempted in the kernel', PREEMPTED_IN_KERNEL, false, true, true],
    ['not one that was preempted in user mode', PREEMPTED_IN_USER, false, true, false],
    ['that one after all for a spinner in user mode', PREEMPTED_IN_USER, false, false, true],
    ['one that was woken, whatever its mode', { ...READY, preempted: false }, false, true, true],
    ['not one that sleeps', READY, true, true, false],
    ['a sleeper that was kicked', { ...READY, pvUnhalted: true }, true, true, true],
    ['a sleeper with an event to look at', { ...READY, eventRequested: true }, true, true, true],
    ['a sleeper with an NMI', { ...READY, nmiQueued: 1 }, true, true, true],
    ['no kicked sleeper that is not ready', { pvUnhalted: true }, true, true, false],
    [
      'one that spins and is eligible',
      { ...READY, inSpinLoop: true, dyEligible: true },
      false,
      true,
      true,
    ],
    ['not one that spins and is not', { ...READY, inSpinLoop: true }, false, true, false],
    ['one that does not spin and is not', { ...READY, dyEligible: false }, false, true, true],
  ])('%s', (_, state, sleeps, kernelPreferred, isTried) => {
    const blocked = sleeps ? [1] : [];
    const { tried } = spin({ me: 0, last: 0, vcpus: { 1: state }, kernelPreferred, blocked });
    expect(tried).toEqual(isTried ? [1] : []);
  });
});

describe('the eligibility of one that spins', () => {
  // What filters it out before the test; whether the test toggles.
  test.each<[string, Partial<VcpuState>, boolean]>([
    ['toggles when it is asked about', READY, true],
    ['stays if it is not ready', {}, false],
    ['stays if it was preempted in user mode', PREEMPTED_IN_USER, false],
  ])('%s', (_, state, toggles) => {
    const spinning = { ...state, inSpinLoop: true, dyEligible: false };
    const { vcpus } = spin({ me: 0, last: 0, vcpus: { 1: spinning } });
    expect(vcpus[1].state.dyEligible).toBe(toggles);
  });

  test('of one that does not spin never changes', () => {
    const { vcpus } = spin({ me: 0, last: 0, vcpus: { 1: { ...READY, dyEligible: false } } });
    expect(vcpus[1].state.dyEligible).toBe(false);
  });
});

describe('the search', () => {
  const all = { 0: READY, 1: READY, 2: READY, 3: READY };
  // Answers; who is tried, whether it yields.
  test.each<[string, YieldResult[], number[], boolean]>([
    ['goes on after a refusal', ['refused'], [1, 2], true],
    ['goes on after -ESRCH', ['alone'], [1, 2], true],
    ['ends after three times -ESRCH', ['alone', 'alone', 'alone'], [1, 2, 3], false],
    ['counts -ESRCH only', ['alone', 'refused', 'alone'], [1, 2, 3], false],
  ])('%s', (_, results, tried, yielded) => {
    const outcome = spin({ me: 0, last: 0, vcpus: all, results });
    expect([outcome.tried, outcome.yielded]).toEqual([tried, yielded]);
  });

  test('begins a second pass if the last answer of the first was a refusal', () => {
    const results: YieldResult[] = ['alone', 'refused'];
    const { tried } = spin({ me: 0, last: 1, vcpus: all, results });
    expect(tried).toEqual([2, 3, 1]);
  });

  test('ends in the second pass when the tries are used up', () => {
    // Pass 0: -ESRCH, refused; pass 1: -ESRCH, -ESRCH, and vCPU 2 is not tried any more.
    const { vm, vcpus, pcpu } = idleVm(6);
    const tried: number[] = [];
    const answers: YieldResult[] = ['alone', 'refused', 'alone', 'alone'];
    vm.host.scheduler.yieldTo = (_, target) => {
      tried.push(vcpus.findIndex(({ thread }) => thread === target));
      return answers[tried.length - 1] ?? 'yielded';
    };
    vm.lastBoostedVcpu = 3;
    for (const { state, thread } of vcpus) {
      state.ready = true;
      thread.state.status = 'runnable';
    }
    expect(vcpuOnSpin(vcpus[3], pcpu, true)).toBe('resume');
    expect(tried).toEqual([4, 5, 0, 1]);
  });

  test('that fails leaves no trace but the counter', () => {
    const results: YieldResult[] = ['refused', 'refused', 'refused'];
    const { vm, me } = spin({ me: 0, last: 0, vcpus: all, results });
    expect(vm.lastBoostedVcpu).toBe(0);
    expect(me.state).toMatchObject({ inSpinLoop: false, dyEligible: false });
    expect(me.counters).toMatchObject({ ple_yield_attempted: 3, ple_yield_successful: 0 });
  });

  test('that succeeds leaves the spinner in its loop until it runs again', () => {
    const { me } = spin({ me: 0, last: 0, vcpus: all });
    expect(me.state.inSpinLoop).toBe(true);
    expect(me.counters).toMatchObject({ ple_yield_attempted: 1, ple_yield_successful: 1 });
  });

  test("does not touch the hypercalls' counters", () => {
    const { me } = spin({ me: 0, last: 0, vcpus: all });
    expect(me.counters).toMatchObject({
      directed_yield_attempted: 0,
      directed_yield_successful: 0,
    });
  });
});

describe('with the real scheduler', () => {
  /** vCPU 0 spins until vCPU 1, on the same pCPU, has stored a flag. */
  const SPIN_FOR_THE_OTHER = `
      test edi, edi
      jnz other
  spin:
      pause
      cmp result(0), 0
      je spin
      finish
  other:
      mov result(0), 1
      hlt
  `;

  /** vCPU 1 waits as one that was preempted in the kernel, having run as long as vCPU 0. */
  function preempted(parameters = {}): KvmBench {
    const options = {
      vcpus: 2,
      pcpus: 1,
      pins: [0, 0],
      hz: 1000,
      cycles: { pause: 50 },
      parameters,
    };
    const bench = new KvmBench(SPIN_FOR_THE_OTHER, options);
    Object.assign(bench.vcpu(1).state, PREEMPTED_IN_KERNEL);
    for (const { state } of bench.host.threads) state.vruntime = 0;
    return bench;
  }

  test('the spinner makes way for the one it waits for after a window', () => {
    const bench = preempted().finish();
    expect(bench.counters()).toMatchObject({ ple_yield_attempted: 1, ple_yield_successful: 1 });
    expect(bench.exits()).toEqual(['PAUSE_INSTRUCTION', 'IO_INSTRUCTION']);
    expect(bench.vm.lastBoostedVcpu).toBe(1);
    expect(bench.vcpu().state.inSpinLoop).toBe(false);
    expect(bench.host.now).toBeLessThan(50_000);
  });

  test('without PAUSE-loop exits it spins until its slice of 3 ms is over', () => {
    const bench = preempted({ pleGap: 0 }).finish();
    expect(bench.exitCount('PAUSE_INSTRUCTION')).toBe(0);
    expect(bench.host.now).toBeGreaterThan(6_000_000);
  });

  test('vCPUs with a pCPU each have nobody to make way for', () => {
    const source = 'mov ecx, 20000\nspin: pause\n dec ecx\n jnz spin\n finish';
    const bench = new KvmBench(source, { vcpus: 2 }).finish();
    expect(bench.exitCount('PAUSE_INSTRUCTION')).toBeGreaterThan(2);
    expect(bench.counters()).toMatchObject({ ple_yield_attempted: 0, ple_yield_successful: 0 });
  });

  test('the handler costs a fixed part and a part for each vCPU that was looked at', () => {
    const source = 'mov ecx, 3000\nspin: pause\n dec ecx\n jnz spin\n finish';
    for (const vcpus of [1, 3]) {
      const options = { vcpus, pcpus: vcpus, parameters: { pleWindow: 8000 } };
      const bench = new KvmBench(source, options).finish();
      const [exit, entry] = bench.events('kvm_exit', 'kvm_entry').filter(isOfFirstVcpu).slice(1);
      expect(exit?.fields).toMatchObject({ reason: 'PAUSE_INSTRUCTION' });
      const { exitPath, entryPath, spin: fixed, spinCandidate } = KVM_COSTS;
      const cycles = (entry?.cycles ?? 0) - (exit?.cycles ?? 0);
      expect(cycles).toBe(exitPath + fixed + vcpus * spinCandidate + entryPath);
    }
  });
});

function isOfFirstVcpu({ fields }: { fields: object }): boolean {
  return 'vcpu' in fields && fields.vcpu === 0;
}
