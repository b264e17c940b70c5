// Every tracepoint: its text is the kernel's, its text and its binary record can be read again, and
// its format file has the kernel's columns.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  printPayload,
  TRACEPOINTS,
  type TracepointName,
  type TraceRecord,
} from '../../src/trace/index.ts';
import { tracepointOf } from '../../src/trace/tracepoints.ts';
import { KVM_LINES, OWN_LINES, SCHED_LINES } from '../support/event-lines.ts';

function payload(name: TracepointName, fields: unknown): string {
  const where = { timeNs: 0, pcpu: 0, comm: 'vcpu0', pid: 1000 };
  return printPayload({ ...where, name, fields } as unknown as TraceRecord);
}

const LINES = [...KVM_LINES, ...SCHED_LINES, ...OWN_LINES];

describe('kvm', () => {
  test.each(KVM_LINES)('%s: %s', (name, text, fields) => {
    expect(payload(name, fields)).toBe(text);
    expect(TRACEPOINTS[name].system).toBe('kvm');
  });
});

describe('sched', () => {
  test.each(SCHED_LINES)('%s: %s', (name, text, fields) => {
    expect(payload(name, fields)).toBe(text);
    expect(TRACEPOINTS[name].system).toBe('sched');
  });
});

describe('vmxlab', () => {
  test.each(OWN_LINES)('%s: %s', (name, text, fields) => {
    expect(payload(name, fields)).toBe(text);
    expect(TRACEPOINTS[name].system).toBe('vmxlab');
  });
});

// trace-cmd reads it without its sign.
test('the shift of a clock may be negative', () => {
  const tracepoint = tracepointOf('kvm_pvclock_update');
  const text =
    'vcpu_id 0, pvclock { version 2, tsc_timestamp 0x0, system_time 0x0, ' +
    'tsc_to_system_mul 0xaaaaaaaa, tsc_shift -1, flags 0x1 }';
  expect(tracepoint.print(tracepoint.parse(text))).toBe(text);
});

test('no tracepoint is missing here', () => {
  const tested = new Set(LINES.map(([name]) => name));
  expect([...tested].sort()).toEqual(Object.keys(TRACEPOINTS).sort());
});

describe('the way back', () => {
  test.each(LINES)('%s: %s, from its text', (name, text) => {
    const parsed = tracepointOf(name).parse(text);
    expect(parsed).not.toBeNull();
    expect(payload(name, parsed)).toBe(text);
  });

  test.each(LINES)('%s: %s, from its record', (name, text, fields) => {
    const tracepoint = tracepointOf(name);
    const view = new DataView(new ArrayBuffer(tracepoint.sizeBytes));
    tracepoint.encode(fields, view, 0);
    const decoded = tracepoint.decode((wanted) => {
      const column = tracepoint.columns.find((one) => one.name === wanted);
      if (column === undefined) throw new Error(`no column ${wanted}`);
      const { offset, sizeBytes } = column;
      if (sizeBytes === 8) {
        return Long.fromBits(view.getInt32(offset, true), view.getInt32(offset + 4, true), true);
      }
      if (sizeBytes < 8)
        return sizeBytes === 1 ? view.getUint8(offset) : view.getInt32(offset, true);
      const bytes = new Uint8Array(view.buffer, offset, sizeBytes);
      return String.fromCharCode(...bytes).replace(/\0.*$/, '');
    });
    expect(payload(name, decoded)).toBe(text);
  });

  // What differs in one column, one letter or one digit is not taken for something else.
  test.each<[TracepointName, string]>([
    ['kvm_entry', 'vcpu 0, rip 0x10000g'],
    ['kvm_entry', 'vcpu -, rip 0x100000'],
    ['kvm_exit', 'vcpu 0 reason HTL rip 0x0 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0'],
    ['kvm_pio', 'pio_wrote at 0x1 size 1 count 1 val 0x1 '],
    ['kvm_inj_virq', 'IRQ 0x40 [again]'],
    ['kvm_inj_exception', '#GP (0x0'],
    ['sched_wakeup', 'comm=vcpu0 pid=1000 prio=120'],
  ])('%s refuses %s', (name, text) => {
    expect(tracepointOf(name).parse(text)).toBeNull();
  });
});

// Linux 6.1, arch/x86/kvm/trace.h and include/trace/events/sched.h: the columns that tools ask for.
test.each<[TracepointName, string]>([
  ['kvm_entry', 'vcpu_id:8:4 rip:16:8 immediate_exit:24:1'],
  [
    'sched_switch',
    'prev_comm:8:16 prev_pid:24:4 prev_prio:28:4 prev_state:32:8 ' +
      'next_comm:40:16 next_pid:56:4 next_prio:60:4',
  ],
  ['sched_waking', 'comm:8:16 pid:24:4 prio:28:4 target_cpu:32:4'],
  ['kvm_apic_ipi', 'icr_low:8:4 dest_id:12:4'],
])('%s has the columns %s', (name, expected) => {
  const columns = TRACEPOINTS[name].columns.map(
    ({ name: column, offset, sizeBytes }) => `${column}:${offset}:${sizeBytes}`,
  );
  expect(columns.join(' ')).toBe(expected);
});
