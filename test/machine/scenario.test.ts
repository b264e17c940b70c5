// Scenarios: YAML and JSON, every kind of mistake with its place and its exact message, and
// settings as flags.

import { describe, expect, test } from 'vitest';
import {
  applySettings,
  checkScenario,
  parseScenarioText,
  readHeader,
  reference,
  SCENARIO,
  type Scenario,
  type ScenarioDocument,
  SETTINGS,
} from '../../src/machine/index.ts';
import { checkedScenario, sourceOf } from '../support/guest-run.ts';

const VM = { program: 'a.asm' };

/** `vms[0].vcpus: message` for every issue of a document. */
function issuesOf(document: unknown): string[] {
  const checked = checkScenario(document);
  if (!('issues' in checked)) return [];
  return checked.issues.map(({ path, message }) => {
    const parts = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`));
    return `${parts.join('').slice(1)}: ${message}`;
  });
}

describe('fallbacks', () => {
  test('are those of docs/scenario.md', () => {
    expect(checkedScenario({ vms: [VM] })).toEqual({
      vmxlab: 1,
      note: '',
      check: '',
      seed: 1,
      engine: 'compiled',
      skip: 'on',
      host: {
        pcpus: 1,
        machine: 'e5-2660v4',
        kernel: 'linux-6.1',
        hz: 250,
        lookahead: 500,
        placement: 'first',
        scheduler: {
          fair_class: 'cfs',
          yield_to_check: true,
          preemption: 'voluntary',
          entry_resched: 'schedule',
          latency: 6e6,
          min_granularity: 750e3,
          wakeup_granularity: 1e6,
          balance_by: 'type',
          migration_cost: 500_000,
          busy_factor: 16,
          balance_interval_ms: 0,
          imbalance_pct: 117,
          newidle_min: 0,
          active_balance: false,
          wake_affine: true,
          sched_idle_cpu: true,
          cfs_bandwidth_slice: 5e6,
          schedstats: false,
        },
        // Each of them: costs.test.ts.
        costs: expect.any(Object),
        cgroups: {},
        policies: { wake_placement: '' },
      },
      vms: [
        {
          name: 'vm',
          program: 'a.asm',
          image: '',
          vcpus: 1,
          memory: 16 * 2 ** 20,
          pin: [],
          affinity_changes: [],
          delay: { leastNs: 0, mostNs: 0 },
          nice: 0,
          sched_policy: 'normal',
          cgroup: '',
          cpu_weight: 0,
          vcpu_cgroups: false,
          coscheduling: 'none',
          coscheduling_skew: 3_000_000,
          start: 'auto',
          append: '',
          modules: [],
          module_images: [],
          defines: {},
          input: '',
          serial_input: '',
          parameters: {},
          policies: { spin: '', yield_candidate: '', halt_poll: '', exits: {} },
          kvm: {
            ple_gap: 128,
            ple_window: 4096,
            ple_window_grow: 2,
            ple_window_shrink: 0,
            ple_window_max: 4294967295,
            spin_handler: 'ready',
            kick_yields: true,
            fastpath: true,
            tsc_deadline: true,
            preemption_timer: true,
            hv_timer: 'all',
            halt_poll_ns: 200e3,
            halt_poll_ns_grow: 2,
            halt_poll_ns_grow_start: 10e3,
            halt_poll_ns_shrink: 0,
            features: {
              clocksource: true,
              nop_io_delay: true,
              clocksource2: true,
              steal_time: true,
              pv_eoi: true,
              pv_unhalt: true,
              pv_tlb_flush: true,
              pv_send_ipi: true,
              poll_control: true,
              pv_sched_yield: true,
              clocksource_stable: true,
              realtime: false,
            },
            enforce_pv_features: false,
            lapic_timer_advance_ns: -1,
            min_timer_period_us: 200,
            flexpriority: true,
            apic_off_exits: false,
            mmio_caching: true,
            preempted_flag: 'interrupt',
            hypercall: 'vmcall',
            fix_hypercall: true,
            lock_wait: 'none',
            preempt_grant_ns: 0,
            tsc_khz: 0,
            cpu_signature: 0,
            disable_exits: [],
            preemption_timer_rate: 5,
            extra_exits: [],
          },
        },
      ],
      hogs: [],
      faults: [],
      limits: { time: 10e9, instructions: 500e6 },
    });
  });

  test('also stand for null, which is what YAML makes of an empty value', () => {
    expect(checkedScenario({ seed: null, host: null, vms: [VM], hogs: null })).toEqual(
      checkedScenario({ vms: [VM] }),
    );
  });

  test('number the machines that have no name', () => {
    const { vms } = checkedScenario({ vms: [VM, VM, { ...VM, name: 'guest' }, VM] });
    expect(vms.map(({ name }) => name)).toEqual(['vm', 'vm1', 'guest', 'vm3']);
  });
});

describe('values', () => {
  const with64 = (text: string) => ({ limits: { instructions: text }, vms: [VM] });

  test.each([
    ['7', 7],
    ['10K', 10_000],
    ['1.5M', 1_500_000],
    ['2G', 2_000_000_000],
  ])('a count of %s is %i', (text, value) => {
    expect(checkedScenario(with64(text)).limits.instructions).toBe(value);
  });

  test.each([
    ['2M', 2 ** 21],
    ['64M', 2 ** 26],
    ['2G', 2 ** 31],
    ['4096K', 2 ** 22],
    ['16777216', 2 ** 24],
    [2 ** 24, 2 ** 24],
  ])('a size of %s is %i bytes', (memory, value) => {
    expect(checkedScenario({ vms: [{ ...VM, memory }] }).vms[0].memory).toBe(value);
  });

  test.each([
    ['1ns', 1],
    ['500us', 500e3],
    ['10ms', 10e6],
    ['0.5ms', 500e3],
    ['2s', 2e9],
  ])('a duration of %s is %i ns', (time, value) => {
    expect(checkedScenario({ limits: { time }, vms: [VM] }).limits.time).toBe(value);
  });

  test('text may be written as a number', () => {
    const vm = { ...VM, name: 5, pin: [0], defines: { ITERATIONS: 100 } };
    expect(checkedScenario({ vms: [vm] }).vms[0]).toMatchObject({
      name: '5',
      pin: ['0'],
      defines: { ITERATIONS: '100' },
    });
  });
});

const NO_PROGRAM = 'vms[0].program: missing; expected a program or an image';
const VM_KEYS =
  'name, program, image, vcpus, memory, pin, affinity_changes, nice, sched_policy, cgroup, cpu_weight, vcpu_cgroups, coscheduling, coscheduling_skew, delay, start, append, modules, module_images, defines, input, serial_input, parameters, policies, kvm';

/** A document, and every message about it. */
const MISTAKES: readonly (readonly [string, unknown, ...string[]])[] = [
  ['no machine', {}, 'vms: expected 1 to 8 entries, not 0'],
  ['nine machines', { vms: Array(9).fill(VM) }, 'vms: expected 1 to 8 entries, not 9'],
  ['no list', { vms: { first: VM } }, 'vms: expected a list'],
  ['no keys', { vms: ['a.asm'] }, 'vms[0]: expected keys and values'],
  ['no program', { vms: [{}] }, NO_PROGRAM],
  [
    'a module without a file',
    { vms: [{ ...VM, modules: ['a', ' b'] }] },
    "vms[0].modules[1]: expected a file, not ' b'",
  ],
  [
    'a module without contents',
    { vms: [{ ...VM, modules: ['a', 'b'], module_images: ['9A=='] }] },
    'vms[0].module_images: expected one for each of 2 modules, not 1',
  ],
  ['an unknown key', { vms: [VM], sede: 3 }, "sede: unknown key 'sede'; did you mean 'seed'?"],
  [
    'an unknown key inside',
    { vms: [{ ...VM, kvm: { ple_windw: 1 } }] },
    "vms[0].kvm.ple_windw: unknown key 'ple_windw'; did you mean 'ple_window'?",
  ],
  [
    'a key like no other',
    { vms: [{ ...VM, colour: 'red' }] },
    `vms[0].colour: unknown key 'colour'; known keys: ${VM_KEYS}`,
  ],
  [
    'a key of every object',
    { vms: [VM], toString: 1 },
    "toString: unknown key 'toString'; known keys: vmxlab, note, seed, engine, skip, host, vms, hogs, faults, check, limits",
  ],
  [
    'a version to come',
    { vmxlab: 2, vms: [VM] },
    'vmxlab: expected a whole number from 1 to 1, not 2',
  ],
  [
    'text for a number',
    { vms: [{ ...VM, vcpus: 'many' }] },
    'vms[0].vcpus: expected a whole number from 1 to 64, not "many"',
  ],
  [
    'too few',
    { vms: [{ ...VM, vcpus: 0 }] },
    'vms[0].vcpus: expected a whole number from 1 to 64, not 0',
  ],
  [
    'too many',
    { vms: [{ ...VM, vcpus: 65 }] },
    'vms[0].vcpus: expected a whole number from 1 to 64, not 65',
  ],
  [
    'half',
    { host: { pcpus: 1.5 }, vms: [VM] },
    'host.pcpus: expected a whole number from 1 to 256, not 1.5',
  ],
  [
    'a list for a number',
    { seed: [1], vms: [VM] },
    'seed: expected a whole number from 0 to 9007199254740991, not [1]',
  ],
  [
    'a number that is not exact',
    { seed: 2 ** 53, vms: [VM] },
    'seed: expected a whole number from 0 to 9007199254740991, not 9007199254740992',
  ],
  [
    'an unknown preset',
    { host: { machine: 'z80' }, vms: [VM] },
    'host.machine: expected one of e5-2660v4, skylake-sp, xeon5160x2, westmere4, e5-2660v4x2, ' +
      'e5-2699v3, not "z80"',
  ],
  [
    'text for a truth value',
    { vms: [{ ...VM, kvm: { kick_yields: 'no' } }] },
    'vms[0].kvm.kick_yields: expected true or false, not "no"',
  ],
  ...['1M', '3G', '10x', 5_000_000, '-64M'].map(
    (memory) =>
      [
        `a size of ${memory}`,
        { vms: [{ ...VM, memory }] },
        `vms[0].memory: expected a size from 2M to 2G, such as 64M, not ${JSON.stringify(memory)}`,
      ] as const,
  ),
  ...['10', '5 ms', '0s', '2h', 10, '2000000s'].map(
    (time) =>
      [
        `a duration of ${time}`,
        { limits: { time }, vms: [VM] },
        `limits.time: expected a duration such as 10ms, 500us or 2s, not ${JSON.stringify(time)}`,
      ] as const,
  ),
  ...['', 'a', '3-1', '1,', '0-', '-1', '1;2'].map(
    (pin) =>
      [
        `a pin list of '${pin}'`,
        { host: { pcpus: 4 }, vms: [{ ...VM, pin: [pin] }] },
        `vms[0].pin[0]: expected pCPUs such as 0-3,6, not '${pin}'`,
      ] as const,
  ),
  [
    'a pin beyond the host',
    { host: { pcpus: 2 }, vms: [{ ...VM, vcpus: 2, pin: ['0', '1-3'] }] },
    'vms[0].pin[1]: there is no pCPU 2: host.pcpus is 2',
  ],
  [
    'pins for some',
    { host: { pcpus: 4 }, vms: [{ ...VM, vcpus: 3, pin: ['0', '1'] }] },
    'vms[0].pin: expected one list for all vCPUs or 3, not 2',
  ],
  [
    'hogs beyond',
    { vms: [VM], hogs: [{ pin: '1' }] },
    'hogs[0].pin: there is no pCPU 1: host.pcpus is 1',
  ],
  [
    'more pCPUs than the machine has',
    { host: { machine: 'westmere4', pcpus: 5 }, vms: [VM] },
    'host.pcpus: expected at most 4, as many as westmere4 has, not 5',
  ],
  ...(
    [
      ['ple_gap', 41, 'expected 0: xeon5160x2 has no PAUSE-loop exiting'],
      ['preemption_timer', true, 'expected false: xeon5160x2 has no VMX-preemption timer'],
      ['tsc_deadline', true, 'expected false: xeon5160x2 has no TSC-deadline timer'],
    ] as const
  ).map(
    ([key, value, message]) =>
      [
        `${key} on a machine without`,
        { host: { machine: 'xeon5160x2' }, vms: [{ ...VM, kvm: { [key]: value } }] },
        `vms[0].kvm.${key}: ${message}`,
      ] as const,
  ),
  [
    'a delay that ends before it begins',
    { vms: [VM], hogs: [{ delay: '9ms..8ms' }] },
    'hogs[0].delay: expected a duration such as 20us, or two such as 5us..20us, not "9ms..8ms"',
  ],
  ['a number of hogs', { vms: [VM], hogs: 3 }, 'hogs: expected a list'],
  [
    'nice beyond',
    { vms: [{ ...VM, nice: 20 }] },
    'vms[0].nice: expected a whole number from -20 to 19, not 20',
  ],
  [
    'one name for two',
    { vms: [{ ...VM, name: 'a' }, VM, { ...VM, name: 'a' }] },
    "vms[2].name: 'a' is the name of vms[0] already",
  ],
  [
    'the name of one that has none',
    { vms: [VM, { ...VM, name: 'vm' }] },
    "vms[1].name: 'vm' is the name of vms[0] already",
  ],
  [
    'several mistakes',
    { hots: {}, vms: [{ vcpus: 99, nice: 'x' }], limits: { time: 1 } },
    "hots: unknown key 'hots'; did you mean 'host'?",
    'vms[0].vcpus: expected a whole number from 1 to 64, not 99',
    'vms[0].nice: expected a whole number from -20 to 19, not "x"',
    'limits.time: expected a duration such as 10ms, 500us or 2s, not 1',
  ],
];

describe('mistakes', () => {
  test.each(MISTAKES)('%s', (_what, document, ...messages) => {
    expect(issuesOf(document)).toEqual(messages);
  });

  test.each([null, 5, 'vms', []])('%j is no scenario', (document) => {
    expect(issuesOf(document).length).toBeGreaterThan(0);
  });
});

describe('text', () => {
  const parsed = (text: string): ScenarioDocument => {
    const result = parseScenarioText(text);
    if (result.kind === 'errors') throw new Error(result.errors[0].message);
    return result.document;
  };

  test('YAML and JSON say the same', () => {
    const yaml = `
      # a comment
      host: { pcpus: 2 }
      vms:
        - program: a.asm
          pin: ["0-1"]
          kvm:
            ple_window: 8192
      limits:
        time: 500ms`;
    const json = {
      host: { pcpus: 2 },
      vms: [{ program: 'a.asm', pin: ['0-1'], kvm: { ple_window: 8192 } }],
      limits: { time: '500ms' },
    };
    expect(parsed(yaml)).toEqual(json);
    expect(parsed(JSON.stringify(json, null, 2))).toEqual(json);
    expect(checkScenario(parsed(yaml))).toEqual(checkScenario(json));
  });

  test('guest-programs/two-guests.yaml is a scenario', () => {
    const scenario = checkedScenario(parsed(sourceOf('two-guests.yaml')));
    expect(scenario).toMatchObject({
      seed: 7,
      host: { pcpus: 4 },
      vms: [{ name: 'first' }, { name: 'second', nice: 5, kvm: { ple_window: 8192 } }],
      limits: { time: 2e9 },
    });
  });

  test.each([
    ['vms: [', 1],
    ['seed: 1\nseed: 2', 2],
    ['vms:\n\t- program: a', 2],
    ['{ "vms": [] ', 1],
  ])('%j is wrong in line %i', (text, line) => {
    const result = parseScenarioText(text);
    expect(result).toMatchObject({ kind: 'errors', errors: [{ line }] });
  });

  test.each(['', '5', '- a\n- b', 'just text'])('%j is no document of keys', (text) => {
    expect(parseScenarioText(text)).toEqual({
      kind: 'errors',
      errors: [
        {
          line: 1,
          column: 1,
          message: 'expected a scenario: keys and values, such as vms: and host:',
        },
      ],
    });
  });

  test('knows where everything stands', () => {
    const result = parseScenarioText(
      'host:\n  pcpus: 2\nvms:\n  - program: a\n    pin: ["0", x]\n',
    );
    if (result.kind === 'errors') throw new Error('wrong');
    const { placeOf } = result;
    expect(placeOf(['host'])).toEqual({ line: 1, column: 1 });
    expect(placeOf(['host', 'pcpus'])).toEqual({ line: 2, column: 3 });
    expect(placeOf(['vms', 0, 'program'])).toEqual({ line: 4, column: 5 });
    expect(placeOf(['vms', 0, 'pin', 1])).toEqual({ line: 5, column: 16 });
    // What is missing is missing in what encloses it.
    expect(placeOf(['vms', 0, 'vcpus'])).toEqual({ line: 4, column: 5 });
    expect(placeOf(['limits', 'time'])).toEqual({ line: 1, column: 1 });
  });
});

describe('settings', () => {
  const settingNamed = (flag: string) => {
    const setting = SETTINGS.find((candidate) => candidate.flag === flag);
    if (setting === undefined) throw new Error(`no setting ${flag}`);
    return setting;
  };
  const apply = (document: ScenarioDocument, flag: string, value: string) =>
    applySettings(document, [{ setting: settingNamed(flag), value }]);

  /** Every flag, a value for it, and where it must arrive. */
  test.each<[string, string, (scenario: Scenario) => unknown, unknown]>([
    ['seed', '9', ({ seed }) => seed, 9],
    ['skip', 'off', ({ skip }) => skip, 'off'],
    ['pcpus', '3', ({ host }) => host.pcpus, 3],
    ['machine', 'skylake-sp', ({ host }) => host.machine, 'skylake-sp'],
    ['lookahead', '10', ({ host }) => host.lookahead, 10],
    ['vcpus', '5', ({ vms }) => vms.map(({ vcpus }) => vcpus), [5, 5]],
    ['memory', '4M', ({ vms }) => vms.map(({ memory }) => memory), [2 ** 22, 2 ** 22]],
    ['kernel', 'linux-4.8', ({ host }) => host.kernel, 'linux-4.8'],
    ['append', 'a b', ({ vms }) => vms.map(({ append }) => append), ['a b', 'a b']],
    ['module', 'f x', ({ vms }) => vms.map(({ modules }) => modules), [['f x'], ['f x']]],
    [
      'parameter',
      'a=5',
      ({ vms }) => vms.map(({ parameters }) => parameters),
      [{ a: 5 }, { a: 5 }],
    ],
    [
      'extra-exit',
      'DESC',
      ({ vms }) => vms.map(({ kvm }) => kvm.extra_exits),
      [['DESC'], ['DESC']],
    ],
    [
      'disable-exit',
      'HLT',
      ({ vms }) => vms.map(({ kvm }) => kvm.disable_exits),
      [['HLT'], ['HLT']],
    ],
    [
      'hogs',
      '2',
      ({ hogs }) => hogs,
      [
        {
          count: 2,
          nice: 0,
          sched_policy: 'normal',
          cgroup: '',
          cpu_weight: 0,
          pin: '',
          delay: { leastNs: 0, mostNs: 0 },
          burst: 0,
          block: 0,
        },
      ],
    ],
    [
      'fault',
      'delay-kick,by=5us',
      ({ faults }) => faults.map(({ fault, by }) => [fault, by]),
      [['delay-kick', { leastNs: 5000, mostNs: 5000 }]],
    ],
    ['until', '3ms', ({ limits }) => limits.time, 3e6],
    ['max-instructions', '5K', ({ limits }) => limits.instructions, 5000],
  ])('--%s %s', (flag, value, look, expected) => {
    expect(look(checkedScenario(apply({ vms: [VM, VM] }, flag, value)))).toEqual(expected);
  });

  test('there are no others', () => {
    expect(SETTINGS).toHaveLength(19);
    expect(SETTINGS.map(({ key }) => key)).toEqual(
      reference(SCENARIO).flatMap(({ key, flag }) => (flag === null ? [] : [key])),
    );
  });

  test('what is applied later wins: header, then scenario, then flags', () => {
    const header = '; vmxlab: vcpus=4 pcpus=2 seed=5';
    const fromHeader = applySettings({ vms: [VM] }, readHeader(header).settings);
    expect(checkedScenario(fromHeader)).toMatchObject({ seed: 5, host: { pcpus: 2 } });
    const changed = apply(apply(fromHeader, 'pcpus', '8'), 'vcpus', '2');
    expect(checkedScenario(changed)).toMatchObject({
      seed: 5,
      host: { pcpus: 8 },
      vms: [{ program: 'a.asm', vcpus: 2 }],
    });
  });

  test('values with spaces stand in quotes, and modules add up', () => {
    const { settings } = readHeader('; vmxlab: append="a  b" module=c module="d e"');
    const { vms } = checkedScenario(applySettings({ vms: [VM] }, settings));
    expect(vms[0]).toMatchObject({ append: 'a  b', modules: ['c', 'd e'] });
  });

  test('parameters add up; of one name the last counts', () => {
    const { settings } = readHeader('; vmxlab: parameter=a=1 parameter=b=2K parameter=a=3');
    const { vms } = checkedScenario(
      applySettings({ vms: [{ ...VM, parameters: { c: 4 } }] }, settings),
    );
    expect(vms[0].parameters).toEqual({ a: 3, b: 2000, c: 4 });
  });

  test('leave the document as it was', () => {
    const document = { host: { pcpus: 2 }, vms: [VM] };
    const before = JSON.stringify(document);
    apply(document, 'pcpus', '4');
    apply(document, 'vcpus', '4');
    expect(JSON.stringify(document)).toBe(before);
  });

  test('keep what else stands there', () => {
    const document = { host: { hz: 100 }, vms: [{ ...VM, nice: 3 }], hogs: [{ nice: 5 }] };
    const changed = apply(apply(apply(document, 'pcpus', '2'), 'vcpus', '3'), 'hogs', '4');
    expect(checkedScenario(changed)).toMatchObject({
      host: { hz: 100, pcpus: 2 },
      vms: [{ nice: 3, vcpus: 3 }],
      hogs: [{ nice: 5, count: 4 }],
    });
  });
});
