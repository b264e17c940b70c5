// Times of exits, device accesses and MSRs out of a trace, by the rules of perf kvm stat, and the
// shape of its table.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  EventCounts,
  type FieldsOf,
  KvmStat,
  type StatEvent,
  statTable,
  type TracepointName,
  type TraceRecord,
} from '../../src/trace/index.ts';
import { guestProgram, runToEnd, scenarioOf, tracedMachine } from '../support/guest-run.ts';

function event<Name extends TracepointName>(
  timeNs: number,
  vcpu: number,
  name: Name,
  fields: FieldsOf<Name>,
): TraceRecord {
  const where = { timeNs, pcpu: 0, comm: `vcpu${vcpu}`, pid: 1000 + vcpu };
  return { ...where, name, fields } as unknown as TraceRecord;
}

const entry = (timeNs: number, vcpu: number) =>
  event(timeNs, vcpu, 'kvm_entry', { vcpu, rip: Long.ZERO, immediateExit: false });

const exit = (timeNs: number, vcpu: number, reason: string) => {
  const rest = { rip: Long.ZERO, info1: Long.ZERO, info2: Long.ZERO, intrInfo: 0, errorCode: 0 };
  return event(timeNs, vcpu, 'kvm_exit', { vcpu, reason, ...rest, entryFailed: false });
};

const mmio = (timeNs: number, kind: 'read' | 'write' | 'unsatisfied-read') =>
  event(timeNs, 0, 'kvm_mmio', { kind, len: 4, gpa: 0xfee000b0, value: Long.ZERO });

/** Two vCPUs; the one with index 1 is at an exit in the beginning, and at another in the end. */
const RECORDS: readonly TraceRecord[] = [
  exit(500, 1, 'HLT'),
  entry(1000, 0),
  entry(1500, 1),
  exit(2000, 0, 'HLT'),
  exit(2500, 1, 'MSR_WRITE'),
  event(2600, 1, 'kvm_msr', { write: true, index: 0x6e0, value: Long.ONE, fault: false }),
  entry(3000, 1),
  entry(12_000, 0),
  exit(13_000, 0, 'HLT'),
  entry(43_000, 0),
  exit(44_000, 0, 'EPT_VIOLATION'),
  mmio(44_100, 'unsatisfied-read'),
  mmio(44_300, 'read'),
  mmio(44_400, 'write'),
  entry(45_000, 0),
  exit(46_000, 0, 'IO_INSTRUCTION'),
  event(46_200, 0, 'kvm_pio', { write: true, port: 0xe9, size: 1, count: 1, value: 65 }),
  entry(46_900, 0),
  exit(50_000, 1, 'HLT'),
];

function result(what: StatEvent, vcpu: number | null = null) {
  const stat = new KvmStat(what, vcpu);
  for (const record of RECORDS) stat.record(record);
  return stat.result();
}

const short = (what: StatEvent, vcpu: number | null = null) =>
  result(what, vcpu).map(({ name, count, totalNs }) => `${name} ${count} ${totalNs}`);

describe('what is counted', () => {
  // From each exit to the same vCPU's next entry; not what began before the first entry, nor what
  // has not ended.
  test('exits', () => {
    expect(short('vmexit')).toEqual([
      'HLT 2 40000',
      'EPT_VIOLATION 1 1000',
      'IO_INSTRUCTION 1 900',
      'MSR_WRITE 1 500',
    ]);
    expect(short('vmexit', 1)).toEqual(['MSR_WRITE 1 500']);
  });

  // A read takes from the exit to the answer, a write from there to the entry.
  test('MMIO', () => {
    expect(short('mmio')).toEqual(['0xfee000b0:W 1 600', '0xfee000b0:R 1 300']);
  });

  test('ports and MSRs', () => {
    expect(short('ioport')).toEqual(['0xe9:POUT 1 700']);
    expect(short('msr')).toEqual(['0x6e0:W 1 400']);
    expect(short('msr', 0)).toEqual([]);
  });

  test('tracepoints, exits by reason', () => {
    const counts = new EventCounts();
    for (const record of RECORDS) counts.record(record);
    expect(Object.fromEntries(counts.result())).toEqual({
      kvm_entry: 7,
      kvm_exit: 7,
      'kvm_exit(EPT_VIOLATION)': 1,
      'kvm_exit(HLT)': 4,
      'kvm_exit(IO_INSTRUCTION)': 1,
      'kvm_exit(MSR_WRITE)': 1,
      kvm_mmio: 3,
      kvm_msr: 1,
      kvm_pio: 1,
    });
  });
});

// The columns of Linux tools/perf/builtin-kvm.c: %20s %10llu %8.2f%% %8.2f%% %9.2fus %9.2fus
// %9.2fus and the standard error of the mean: for 10 and 30 us that is 10 of 20, or 50 %.
test('the table is that of perf kvm stat report', () => {
  expect(statTable(result('vmexit', 0), { event: 'vmexit', vcpu: 0 })).toEqual([
    'Analyze events for all VMs, VCPU 0:',
    '',
    '             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time',
    '',
    '                 HLT          2    50.00%    95.47%     10.00us     30.00us     20.00us ( +-  50.00% )',
    '       EPT_VIOLATION          1    25.00%     2.39%      1.00us      1.00us      1.00us ( +-   0.00% )',
    '      IO_INSTRUCTION          1    25.00%     2.15%      0.90us      0.90us      0.90us ( +-   0.00% )',
    '',
    'Total Samples:4, Total events handled time:41.90us.',
    '',
  ]);
});

test('a run has the times that its report has', () => {
  const scenario = scenarioOf({ vcpus: 4, pcpus: 2, hogs: 1, hz: 1000 });
  const program = guestProgram('lock-ticket-pv.asm', { ITERATIONS: '500' });
  const { machine, records } = tracedMachine(scenario, [program]);
  const { report } = runToEnd(machine);
  const stat = new KvmStat('vmexit', null);
  for (const record of records) stat.record(record);
  // The report counts exits that have not ended as well: here the last HLT of each vCPU.
  const ended = (name: string, count: number) => count - (name === 'HLT' ? 4 : 0);
  const reported = report.exits.map(({ name, count }) => [name, ended(name, count)] as const);
  const counted = stat.result().map(({ name, count }) => [name, count] as const);
  const positive = reported.filter(([, count]) => count > 0);
  expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(positive));
  for (const { name, totalNs, count } of stat.result()) {
    if (name === 'HLT') continue;
    const total = report.exits.find((one) => one.name === name)?.totalNs ?? 0;
    // Each time is cut off to nanoseconds twice.
    expect(Math.abs(totalNs - total), name).toBeLessThanOrEqual(count + 1);
  }
});
