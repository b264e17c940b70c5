// The report: the fields that its readers rely on, sums that must come out, times that agree with
// the trace, and the page for people, which is kept as a golden file.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type ExitReport,
  exitTable,
  Machine,
  REPORT_SCHEMA_VERSION,
  type RunReport,
  reportText,
} from '../../src/machine/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import {
  assembleText,
  checkedScenario,
  type GuestSetup,
  guestProgram,
  runGuest,
  runToEnd,
  scenarioOf,
  tracedMachine,
} from '../support/guest-run.ts';

const RUNS: readonly (readonly [string, GuestSetup])[] = [
  ['five-exits.asm', { vcpus: 2, pcpus: 2 }],
  ['ipi-pingpong.asm', { vcpus: 2, pcpus: 3 }],
  ['lock-tas.asm', { vcpus: 5, pcpus: 4, hogs: 2, hz: 1000 }],
  ['lock-ticket-pv.asm', { vcpus: 8, pcpus: 3, hz: 1000 }],
  ['timer-deadline.asm', { hogs: 1 }],
  ['timer-deadline.asm', { limits: { time: '3ms' } }],
  ['triple-fault.asm', {}],
];

const DEFINES = { ITERATIONS: '20', ROUNDS: '10', TICKS: '5' };

function run(name: string, setup: GuestSetup) {
  const traced = tracedMachine(scenarioOf(setup), [guestProgram(name, DEFINES)]);
  return { ...runToEnd(traced.machine), records: traced.records };
}

/** JSON leaves out what is undefined, and makes null of what is no number. */
function expectPlain(value: unknown): void {
  expect(JSON.parse(JSON.stringify(value))).toEqual(value);
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

describe('fields', () => {
  const { report, machine, ending } = run('five-exits.asm', { vcpus: 2, pcpus: 2 });

  test('are these, in this order', () => {
    expect(Object.keys(report)).toEqual([
      'schemaVersion',
      'status',
      'exitCode',
      'message',
      'virtualCycles',
      'virtualNs',
      'instructions',
      'stateHash',
      'output',
      'serial',
      'vms',
      'exits',
      'vcpus',
      'pcpus',
      'hogs',
      'faults',
    ]);
    expect(Object.keys(report.vms[0])).toEqual([
      'name',
      'status',
      'exitCode',
      'message',
      'donatedNs',
      'costopNs',
      'output',
      'serial',
      'results',
      'histograms',
    ]);
    expect(Object.keys(report.vcpus[0])).toEqual([
      'vm',
      'index',
      'status',
      'instructions',
      'registers',
      'exits',
      'statistics',
      'times',
      'donatedNs',
      'costops',
      'costopNs',
      'recentExits',
      'recentInstructions',
      'symbols',
    ]);
  });

  test('say what the machine says', () => {
    expect(report).toMatchObject({
      schemaVersion: REPORT_SCHEMA_VERSION,
      status: ending.status,
      exitCode: ending.exitCode,
      message: ending.message,
      virtualCycles: machine.now,
      stateHash: machine.stateHash(),
    });
    // 2 GHz.
    expect(report.virtualNs).toBe(Math.floor(report.virtualCycles / 2));
    expect(report.schemaVersion).toBe(1);
  });

  test('are plain data', () => {
    expectPlain(report);
  });

  // 16 general registers, RIP, RFLAGS, CR0, CR2, CR3, CR4, EFER.
  test('have 23 registers in hexadecimal', () => {
    for (const { registers } of report.vcpus) {
      expect(Object.keys(registers)).toHaveLength(23);
      for (const value of Object.values(registers)) expect(value).toMatch(/^[0-9a-f]{1,16}$/);
    }
    // vCPU 1 halted for good behind its second HLT; nothing else was done to it.
    expect(report.vcpus[1].registers).toMatchObject({ rdi: '1', rsi: '2', rsp: '14000' });
  });

  test('have statistics under the names of kvm_stat', () => {
    const names = ['exits', 'halt_exits', 'halt_wakeup', 'hypercalls', 'io_exits', 'mmio_exits'];
    const more = ['irq_exits', 'irq_injections', 'irq_window_exits', 'nmi_injections', 'req_event'];
    const yields = ['directed_yield_attempted', 'directed_yield_successful'];
    for (const { statistics } of report.vcpus) {
      expect(Object.keys(statistics)).toEqual(
        expect.arrayContaining([...names, ...more, ...yields]),
      );
    }
  });

  test('have what the guest wrote', () => {
    const program = assembleText(`
      mov dx, 0x3f8
      mov al, 'C'
      out dx, al
      mov al, 'O'
      out 0xe9, al
      mov al, 0xc3        ; U+00E9 in UTF-8, byte by byte
      out 0xe9, al
      mov al, 0xa9
      out 0xe9, al
      cli
      hlt`);
    expect(runGuest(program).report).toMatchObject({
      output: 'O\u00e9',
      serial: 'C',
      vms: [{ name: 'vm', status: 'halted', exitCode: 0, output: 'O\u00e9', serial: 'C' }],
    });
  });
});

describe('several machines', () => {
  const print = (char: string) => assembleText(`mov al, '${char}'\nout 0xe9, al\ncli\nhlt`);
  const vm = { program: 'test.asm', memory: '2M' };
  const scenario = checkedScenario({
    vms: [
      { ...vm, name: 'a' },
      { ...vm, name: 'b', vcpus: 2 },
    ],
  });
  const { report } = runToEnd(new Machine(scenario, { programs: [print('A'), print('B')] }));

  test('have their own lines', () => {
    expect(report.output).toBe('A');
    expect(report.vms.map(({ name, output }) => [name, output])).toEqual([
      ['a', 'A'],
      ['b', 'BB'],
    ]);
    expect(report.vcpus.map(({ vm, index }) => [vm, index])).toEqual([
      [0, 0],
      [1, 0],
      [1, 1],
    ]);
    const cells = reportText(report).map((line) => line.trim().split(/\s+/)[0]);
    expect(cells).toEqual(expect.arrayContaining(['0:0', '1:0', '1:1']));
  });
});

/** Times are rounded to nanoseconds for each pCPU and vCPU. */
const ROUNDING_NS = 16;

/** What a pCPU may be ahead of the others: a lookahead, and a way into KVM or out of it. */
const AHEAD_NS = 2_000;

describe.each(RUNS)('sums of %s %j', (name, setup) => {
  const { report, records } = run(name, setup);

  test('exits of the vCPUs are those of the whole', () => {
    for (const { name, count, totalNs } of report.exits) {
      const parts = report.vcpus.flatMap(({ exits }) => exits.filter((exit) => exit.name === name));
      expect(sum(parts.map((part) => part.count))).toBe(count);
      // Each is rounded to nanoseconds.
      const difference = sum(parts.map((part) => part.totalNs)) - totalNs;
      expect(Math.abs(difference)).toBeLessThanOrEqual(parts.length);
    }
    for (const { exits, statistics } of report.vcpus) {
      expect(sum(exits.map(({ count }) => count))).toBe(statistics.exits);
    }
    expect(sum(report.vcpus.map(({ instructions }) => instructions))).toBe(report.instructions);
  });

  test('guest, host, steal and blocked are the life of a vCPU', () => {
    for (const { times } of report.vcpus) {
      const life = sum(Object.values(times));
      expect(Math.abs(life - report.virtualNs)).toBeLessThanOrEqual(AHEAD_NS);
      expect(Math.min(...Object.values(times))).toBeGreaterThanOrEqual(0);
    }
  });

  test('guest, host and idle are the life of a pCPU', () => {
    for (const { guestNs, hostNs, idleNs } of report.pcpus) {
      expect(Math.abs(guestNs + hostNs + idleNs - report.virtualNs)).toBeLessThanOrEqual(AHEAD_NS);
    }
  });

  test('guest time of the pCPUs is guest time of the vCPUs', () => {
    const pcpus = sum(report.pcpus.map(({ guestNs }) => guestNs));
    const vcpus = sum(report.vcpus.map(({ times }) => times.guestNs));
    expect(Math.abs(pcpus - vcpus)).toBeLessThanOrEqual(ROUNDING_NS);
  });

  test('exit times are those of the trace, from exit to entry', () => {
    const times = exitTimesOf(records, report.virtualNs);
    for (const exit of report.exits) {
      const own = times.get(exit.name) ?? [];
      expect(own).toHaveLength(exit.count);
      const mean = sum(own) / own.length;
      const near = (value: number, expected: number) =>
        expect(Math.abs(value - expected)).toBeLessThanOrEqual(2);
      near(exit.minNs, Math.min(...own));
      near(exit.maxNs, Math.max(...own));
      near(exit.meanNs, mean);
      // The standard error of the mean, in percent of it.
      const variance = sum(own.map((time) => (time - mean) ** 2)) / Math.max(1, own.length - 1);
      const error = (100 * Math.sqrt(variance / own.length)) / mean;
      expect(exit.meanErrorPercent).toBeCloseTo(own.length < 2 ? 0 : error, 0);
    }
  });

  test('most frequent exits come first', () => {
    const counts = report.exits.map(({ count }) => count);
    expect([...counts].sort((a, b) => b - a)).toEqual(counts);
  });
});

/** Nanoseconds of each exit by reason; one that is open ends with the run. */
function exitTimesOf(records: readonly TraceRecord[], endNs: number): Map<string, number[]> {
  const times = new Map<string, number[]>();
  const open = new Map<number, { reason: string; since: number }>();
  const close = (vcpu: number, now: number) => {
    const exit = open.get(vcpu);
    if (exit === undefined) return;
    times.set(exit.reason, [...(times.get(exit.reason) ?? []), now - exit.since]);
    open.delete(vcpu);
  };
  for (const { name, fields, timeNs } of records) {
    if (name === 'kvm_entry') close(fields.vcpu, timeNs);
    if (name === 'kvm_exit') open.set(fields.vcpu, { reason: fields.reason, since: timeNs });
  }
  for (const vcpu of [...open.keys()]) close(vcpu, Math.max(endNs, open.get(vcpu)?.since ?? 0));
  return times;
}

test('donated time is a part of steal time, of those whose yields succeed', () => {
  const setup = { vcpus: 4, pcpus: 2, hogs: 2 };
  const { machine } = tracedMachine(scenarioOf(setup), [guestProgram('lock-ticket-pv.asm')]);
  const { report } = runToEnd(machine);
  const yieldsOf = ({ statistics }: (typeof report.vcpus)[number]) =>
    statistics.ple_yield_successful + statistics.directed_yield_successful;
  for (const vcpu of report.vcpus) {
    expect(vcpu.donatedNs).toBeLessThanOrEqual(vcpu.times.stealNs);
    expect(vcpu.donatedNs > 0).toBe(yieldsOf(vcpu) > 0);
  }
  const donatedNs = sum(report.vcpus.map((vcpu) => vcpu.donatedNs));
  expect(donatedNs).toBeGreaterThan(1e6);
  expect(report.vms[0].donatedNs).toBe(donatedNs);
  const ms = (donatedNs / 1e6).toFixed(3);
  expect(reportText(report).join('\n')).toContain(`They donated ${ms} ms.`);
});

describe('the exit table', () => {
  const exit: ExitReport = {
    name: 'HLT',
    number: 12,
    count: 3,
    totalNs: 30_000,
    minNs: 5_000,
    maxNs: 15_005,
    meanNs: 10_000,
    meanErrorPercent: 12.345,
  };
  const other = { ...exit, name: 'MSR_WRITE', count: 1, totalNs: 10_000, meanErrorPercent: 0 };
  const table = (exits: readonly ExitReport[]) => exitTable({ exits } as unknown as RunReport);

  // Linux tools/perf/builtin-kvm.c, print_result and kvm_print_vmexit: a name of 20, samples of
  // 10, two percentages of 9 and the percent sign, times in microseconds with two decimals.
  test('has the shape of perf kvm stat report', () => {
    expect(table([exit, other])).toEqual([
      'Analyze events for all VMs, all VCPUs:',
      '',
      '             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time',
      '',
      '                 HLT          3    75.00%    75.00%      5.00us     15.01us     10.00us ( +-  12.35% )',
      '           MSR_WRITE          1    25.00%    25.00%      5.00us     15.01us     10.00us ( +-   0.00% )',
      '',
      'Total Samples:4, Total events handled time:40.00us.',
      '',
    ]);
  });

  test('of a run without exits is empty, without dividing by nothing', () => {
    const lines = table([]);
    expect(lines.join('\n')).not.toMatch(/NaN|Infinity/);
    expect(lines.at(-2)).toBe('Total Samples:0, Total events handled time:0.00us.');
  });
});

/** Compare with a file, or write it if VMXLAB_UPDATE_GOLDEN=1. */
function expectGolden(name: string, text: string): void {
  const file = new URL(`golden/${name}`, import.meta.url);
  if (process.env.VMXLAB_UPDATE_GOLDEN === '1') writeFileSync(file, text);
  expect(existsSync(file)).toBe(true);
  expect(text).toBe(readFileSync(file, 'utf8'));
}

describe('the page', () => {
  // The hash changes with every change of what is in the state; what it is, other tests say.
  test.each([
    ['five-exits', { vcpus: 2, pcpus: 2 }],
    ['triple-fault', {}],
    ['lock-tas', { vcpus: 5, pcpus: 4, hogs: 2, hz: 1000 }],
  ])('of %s is what it was', (name, setup) => {
    const { report } = run(`${name}.asm`, setup);
    const text = reportText({ ...report, stateHash: '(hash)' }).join('\n');
    expectGolden(`report-${name}.txt`, `${text}\n`);
  });

  test('is painted where it is wanted, and says the same', () => {
    const { report } = run('triple-fault.asm', {});
    const painted = reportText(report, (text, as) => `<${as}>${text}</${as}>`);
    expect(painted.join('\n').replace(/<\/?\w+>/g, '')).toBe(reportText(report).join('\n'));
    expect(painted[0]).toMatch(/^<bad>Triple fault<\/bad>: /);
  });

  test('shows trouble only where there was some', () => {
    expect(reportText(run('triple-fault.asm', {}).report).join('\n')).toContain('Last VM exits:');
    expect(reportText(run('five-exits.asm', { vcpus: 2 }).report).join('\n')).not.toContain(
      'Last VM exits:',
    );
  });
});
