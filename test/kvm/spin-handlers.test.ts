// What a PAUSE-loop exit did in which kernel: kvm-host.md 2.8 and the table of section 0.
// The search of Linux 6.1 is in directed-yield.test.ts.

import { describe, expect, test } from 'vitest';
import type { YieldResult } from '../../src/host/index.ts';
import { vcpuOnSpin } from '../../src/kvm/directed-yield.ts';
import type { KvmParameters } from '../../src/kvm/index.ts';
import type { VcpuState } from '../../src/kvm/vcpu.ts';
import { KvmBench } from '../support/kvm-bench.ts';
import { idleVm } from '../support/kvm-vm.ts';

interface Spin {
  readonly last?: number;
  /** What is different about vCPU 1. */
  readonly state?: Partial<VcpuState>;
  /** vCPUs that sleep. */
  readonly blocked?: readonly number[];
  readonly results?: readonly YieldResult[];
}

/** vCPU 3 of four spins; whom it tried, in order. All are runnable and were not preempted. */
function triedBy(spinHandler: KvmParameters['spinHandler'], spin: Spin = {}): number[] {
  const { last = 3, state = {}, blocked = [], results = [] } = spin;
  const { vm, vcpus, pcpu } = idleVm(4, { spinHandler });
  const tried: number[] = [];
  vm.host.scheduler.yieldTo = (_, target) => {
    tried.push(vcpus.findIndex(({ thread }) => thread === target));
    return results[tried.length - 1] ?? 'refused';
  };
  vm.lastBoostedVcpu = last;
  for (const { index, thread, state: own } of vcpus) {
    thread.state.status = blocked.includes(index) ? 'blocked' : 'runnable';
    own.eventRequested = false;
  }
  Object.assign(vcpus[1].state, state);
  vcpuOnSpin(vcpus[3], pcpu, true);
  return tried;
}

const PREEMPTED = { preempted: true, ready: true, preemptedInKernel: true };
const IN_USER_MODE = { ...PREEMPTED, preemptedInKernel: false };
const WOKEN = { ready: true };

describe('vCPU 1 is tried', () => {
  const handlers = [
    'two-pass',
    'eligible',
    'try-limit',
    'preempted',
    'in-kernel',
    'ready',
  ] as const;

  test.each<[string, Partial<VcpuState>, string]>([
    ['if it waits', {}, 'two-pass eligible try-limit'],
    ['in the guest', { phase: 'guest' }, ''],
    ['if it was preempted in the kernel', PREEMPTED, handlers.join(' ')],
    ['if it was preempted in user mode', IN_USER_MODE, 'two-pass eligible try-limit preempted'],
    ['if it was just woken', WOKEN, 'two-pass eligible try-limit ready'],
    ['if it spins itself', { ...PREEMPTED, inSpinLoop: true }, 'two-pass'],
    [
      'if it spins itself, every other time',
      { ...PREEMPTED, inSpinLoop: true, dyEligible: true },
      handlers.join(' '),
    ],
  ])('%s', (_, state, by) => {
    expect(handlers.filter((handler) => triedBy(handler, { state }).includes(1)).join(' ')).toBe(
      by,
    );
  });

  test('asleep by nobody, but with a kick on its way', () => {
    const kicked = { ...PREEMPTED, pvUnhalted: true };
    const by = (state: Partial<VcpuState>) =>
      handlers.filter((handler) => triedBy(handler, { state, blocked: [1] }).includes(1));
    expect(by(PREEMPTED)).toEqual([]);
    expect(by(kicked)).toEqual(['ready']);
  });
});

describe('the first passes', () => {
  // The test was "before the last boosted" with a jump, and so let vCPU 0 pass.
  test('visited vCPU 0 first if it was the last boosted', () => {
    expect(triedBy('two-pass', { last: 0 })).toEqual([0, 1, 2, 0]);
    expect(triedBy('eligible', { last: 0 })).toEqual([1, 2, 0]);
  });

  test('began behind any other', () => {
    expect(triedBy('two-pass', { last: 1 })).toEqual([2, 0, 1]);
  });
});

test('-ESRCH ends a search since there is a limit', () => {
  const results: YieldResult[] = ['alone', 'alone', 'alone'];
  expect(triedBy('eligible', { last: 1, results })).toEqual([2, 0, 1]);
  expect(triedBy('try-limit', { last: 1, results })).toEqual([2]);
});

describe('before directed yield a spinner', () => {
  const source = `
    test edi, edi
    jnz other
  spin:
    pause
    cmp result(0), 0
    je spin
    finish
  other:
    mov ecx, 1000
  work: dec ecx
    jnz work
    mov result(0), 1
    cli
    hlt`;

  test('slept for 100 us, and whoever waits runs', () => {
    const parameters = { spinHandler: 'sleep' } as const;
    const options = { vcpus: 2, pcpus: 1, pins: [0, 0], parameters, cycles: { pause: 50 } };
    const bench = new KvmBench(source, options).finish();
    expect(bench.exitCount('PAUSE_INSTRUCTION')).toBe(1);
    const out = bench.events('sched_switch').map(({ fields, timeNs }) => ({ fields, timeNs }));
    const left = out.find(({ fields }) => 'prevState' in fields && fields.prevState === 'S');
    expect(left?.fields).toMatchObject({ prev: { comm: 'vcpu0' }, next: { comm: 'vcpu1' } });
    const entries = bench.events('kvm_entry').filter(({ fields }) => {
      return 'vcpu' in fields && fields.vcpu === 0;
    });
    const asleep = (entries.at(1)?.timeNs ?? 0) - (left?.timeNs ?? 0);
    // The timer, its interrupt, a switch and the way back in.
    expect(asleep).toBeGreaterThan(99_000);
    expect(asleep).toBeLessThan(110_000);
    expect(bench.counters()).toMatchObject({ ple_yield_attempted: 0, halt_exits: 0 });
  });

  test('was woken early by an interrupt', () => {
    const awake = `
      write_msr 0x1b, 0xfee00d00
      write_msr 0x80f, 0x1ff
      test edi, edi
      jnz other
      sti
  spin:
      pause
      jmp spin
  other:
      mov ecx, 20000
  work: dec ecx
      jnz work
      write_msr 0x830, 0x4040
      cli
      hlt
  on_64: finish`;
    const parameters = { spinHandler: 'sleep' } as const;
    const bench = new KvmBench(awake, { vcpus: 2, parameters }).finish();
    expect(bench.host.frequency.toNs(bench.host.now)).toBeLessThan(60_000);
    expect(bench.counters(0).halt_wakeup).toBe(1);
    expect(bench.vcpu(0).state.dozeTimer).toBe(0);
  });
});
