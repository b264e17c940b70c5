// Kernels by name. Expectations: kvm-host.md, section 0 (table of behaviours), 2.2, 3.1 and 8.2.

import { describe, expect, test } from 'vitest';
import { DEFAULT_SCHEDULER } from '../../src/host/index.ts';
import { DEFAULT_PARAMETERS } from '../../src/kvm/index.ts';
import { checkScenario, KERNELS, Machine } from '../../src/machine/index.ts';
import { assembleText, checkedScenario } from '../support/guest-run.ts';

const VM = { program: 'a.asm' };

const on = (kernel: string, rest: object = {}, kvm: object = {}) =>
  checkedScenario({ host: { kernel, ...rest }, vms: [{ ...VM, kvm }] });

describe('the table of behaviours', () => {
  // Handler; gap; growth; largest window; -ESRCH; KICK yields; hv timer; polling, us; class.
  test.each([
    ['linux-2.6.35', 'sleep', 41, 0, 4096, false, false, 'none', 0, 'cfs-no-skip'],
    ['linux-2.6.38', 'sleep', 41, 0, 4096, false, false, 'none', 0, 'cfs-no-skip'],
    ['linux-2.6.39', 'two-pass', 128, 0, 4096, false, false, 'none', 0, 'cfs'],
    ['linux-3.15', 'preempted', 128, 0, 4096, true, false, 'none', 0, 'cfs'],
    ['linux-4.8', 'preempted', 128, 2, 2 ** 30 - 1, true, false, 'tsc-deadline', 400, 'cfs'],
    ['linux-4.12', 'preempted', 128, 2, 2 ** 30 - 1, true, false, 'all', 200, 'cfs'],
    ['linux-6.1', 'ready', 128, 2, 2 ** 32 - 1, true, true, 'all', 200, 'cfs'],
    ['linux-6.6', 'ready', 128, 2, 2 ** 32 - 1, true, true, 'all', 200, 'eevdf'],
  ])('%s', (kernel, handler, gap, grow, max, check, kick, timer, pollUs, fairClass) => {
    const { host, vms } = on(kernel);
    expect(vms[0].kvm).toMatchObject({
      spin_handler: handler,
      ple_gap: gap,
      ple_window: 4096,
      ple_window_grow: grow,
      ple_window_shrink: 0,
      ple_window_max: max,
      kick_yields: kick,
      hv_timer: timer,
      halt_poll_ns: pollUs * 1000,
    });
    expect(host.scheduler).toMatchObject({ yield_to_check: check, fair_class: fairClass });
  });

  test('has all kernels', () => expect(KERNELS).toHaveLength(8));

  test.each([
    ['linux-2.6.35', 6, 2],
    ['linux-2.6.38', 6, 0.75],
    ['linux-6.1', 6, 0.75],
  ])('%s has a latency of %d ms and a granularity of %d ms', (kernel, latency, granularity) => {
    expect(on(kernel).host.scheduler).toMatchObject({
      latency: latency * 1e6,
      min_granularity: granularity * 1e6,
      wakeup_granularity: 1e6,
    });
  });
});

test.each([
  ['linux-4.8', 'never'],
  ['linux-4.12', 'always'],
  ['linux-6.1', 'interrupt'],
])('%s marks preempted vCPUs %s', (kernel, flag) => {
  expect(on(kernel).vms[0].kvm.preempted_flag).toBe(flag);
});

test('what a scenario says itself wins over its kernel', () => {
  const scheduler = { fair_class: 'cfs', latency: '8ms' };
  const { host, vms } = on('linux-6.6', { scheduler }, { spin_handler: 'sleep', ple_gap: 7 });
  expect(host.scheduler).toMatchObject({ fair_class: 'cfs', latency: 8e6, yield_to_check: true });
  expect(vms[0].kvm).toMatchObject({ spin_handler: 'sleep', ple_gap: 7, halt_poll_ns: 200e3 });
});

test('a kernel that is not known is named, and nothing else complains', () => {
  const checked = checkScenario({ host: { kernel: 'linux-5' }, vms: [VM] });
  expect('issues' in checked && checked.issues).toEqual([
    {
      path: ['host', 'kernel'],
      message: `expected one of ${KERNELS.join(', ')}, not "linux-5"`,
    },
  ]);
});

test('the default kernel is what host and kvm do without a scenario', () => {
  const machine = new Machine(checkedScenario({ vms: [VM] }), { programs: [assembleText('hlt')] });
  expect(machine.host.parameters).toEqual(DEFAULT_SCHEDULER);
  expect(machine.vms[0].parameters).toEqual(DEFAULT_PARAMETERS);
});
