// What several tracepoints, or several layouts of one, have in common: groups of properties, and
// texts.

import {
  always,
  bits64,
  comm,
  flag,
  type Property,
  s32,
  symbol,
  u32,
  u53,
  u64,
} from './property.ts';
import { counted, DELIVERY_MODES, EXIT_REASON_NUMBERS, OLD_TASK_STATES } from './symbols.ts';
import type { Earlier } from './tracepoint.ts';

/** What every event about another thread says of it. */
export interface ThreadFields {
  readonly comm: string;
  readonly pid: number;
  /** 120 + nice. */
  readonly prio: number;
}

/** The properties of one, in columns whose names begin with `prefix`. */
export function thread(prefix = ''): {
  readonly [Name in keyof ThreadFields]: Property<ThreadFields[Name]>;
} {
  return { comm: comm(`${prefix}comm`), pid: s32(`${prefix}pid`), prio: s32(`${prefix}prio`) };
}

export const unsignedLong = (name: string) => u64(name, 'unsigned long');
const exitReason = symbol(u32('exit_reason', 0, 16), EXIT_REASON_NUMBERS);
/**
 * Before 5.6. Up to 5.10 the number had no name if its bit 31 was set: these two are only ever met
 * as entries that fail.
 */
export const oldExitReason = symbol(u32('exit_reason', 0, 16), EXIT_REASON_NUMBERS, {
  INTERRUPT_WINDOW: 'PENDING_INTERRUPT',
  INVALID_STATE: '0x80000021',
  MSR_LOAD_FAIL: '0x80000022',
});
export const mode = (name: string) => symbol(u32(name, 8, 3), counted(DELIVERY_MODES));
export const mode64 = (name: string) => symbol(bits64(name, 8, 3), counted(DELIVERY_MODES));
export const woken = 'comm={comm} pid={pid} prio={prio} target_cpu={targetCpu:03}';
export const WOKEN = { ...thread(), targetCpu: s32('target_cpu') };

/** There was a column for whether it was a wake-up at all, which was always so. */
export const WOKEN_BEFORE: readonly Earlier[] = [
  {
    until: '4.3',
    properties: { ...thread(), success: always('success', 1), targetCpu: s32('target_cpu') },
    text: 'comm={comm} pid={pid} prio={prio} success={success} target_cpu={targetCpu:03}',
  },
  {
    until: '5.11',
    properties: { ...thread(), success: always('success', 1), targetCpu: s32('target_cpu') },
    text: woken,
  },
];

export const switched =
  'prev_comm={prev.comm} prev_pid={prev.pid} prev_prio={prev.prio} prev_state={prevState} ==> ' +
  'next_comm={next.comm} next_pid={next.pid} next_prio={next.prio}';

/**
 * A kernel in which who was preempted had this bit in its state; 0: was told like all others.
 */
export function switchedBefore(until: string, preempted: number): Earlier {
  const shown: Record<string, string> = preempted === 0 ? { 'R+': 'R' } : {};
  const state = symbol(u53('prev_state', 'long'), { 'R+': preempted, ...OLD_TASK_STATES }, shown);
  const properties = { prev: thread('prev_'), prevState: state, next: thread('next_') };
  return { until, properties, text: switched };
}

export const EXIT = {
  reason: exitReason,
  rip: unsignedLong('guest_rip'),
  info1: u64('info1'),
  info2: u64('info2'),
  entryFailed: flag('exit_reason', 31),
};

export const ACCESS_TO_PORT = {
  write: flag('rw', 0),
  port: u32('port'),
  size: u32('size'),
  count: u32('count'),
};

export const CPUID_RESULT = { 0: u32('rax'), 1: u32('rbx'), 2: u32('rcx'), 3: u32('rdx') };
export const foundIt = 'rdx {result.3:x}, cpuid entry {found?found:not found}';

export const DELAY = { comm: comm('comm'), pid: s32('pid'), delay: u53('delay') };
export const delayed = 'comm={comm} pid={pid} delay={delay} [ns]';
