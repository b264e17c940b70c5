// The tracepoints, under the kernel's own names: system, latency columns, properties in the
// kernel's columns, and the text of its print format. Layouts as of Linux 6.1
// (include/trace/events/sched.h, include/trace/events/kvm.h, arch/x86/kvm/trace.h); kvm_inj_virq
// says less about AMD's processors. Behind it, what it said in earlier kernels: read in 2.6.32,
// 2.6.39, 3.10 and 4.8, the kernel in between being that of the commit. Those of system vmxlab are
// ours.

import {
  ACCESS_TO_PORT,
  CPUID_RESULT,
  DELAY,
  delayed,
  EXIT,
  foundIt,
  mode,
  mode64,
  oldExitReason,
  switched,
  switchedBefore,
  thread,
  unsignedLong,
  WOKEN,
  WOKEN_BEFORE,
  woken,
} from './groups.ts';
import {
  bits64,
  comm,
  errorCode,
  flag,
  flag64,
  s8,
  s32,
  s64,
  symbol,
  u8,
  u32,
  u53,
  u64,
} from './property.ts';
import {
  ApicRegister,
  counted,
  DELIVERY_MODES,
  EXCEPTION_VECTORS,
  IRQCHIPS,
  KVM_EXIT_REASONS,
  MMIO_KINDS,
  SHORTHANDS,
  TASK_STATES,
} from './symbols.ts';
import {
  type FieldsOfProperties,
  type History,
  type Properties,
  Tracepoint,
  type TraceSystem,
} from './tracepoint.ts';

/** The latency columns of ftrace, but for the need-resched column, which is not tracked. */
const ATOMIC = 'd..1.';
const SCHEDULER = 'd..2.';
const NORMAL = '.....';

function define<P extends Properties>(
  system: TraceSystem,
  flags: string,
  properties: P,
  text: string,
  history: History = {},
): Tracepoint<FieldsOfProperties<P>> {
  return new Tracepoint(system, flags, properties, text, history);
}

export const TRACEPOINTS = {
  kvm_entry: define(
    'kvm',
    ATOMIC,
    { vcpu: u32('vcpu_id'), rip: unsignedLong('rip'), immediateExit: flag('immediate_exit') },
    'vcpu {vcpu}, rip 0x{rip:x}{immediateExit?[immediate exit]:}',
    {
      earlier: [
        { until: '5.10', properties: { vcpu: u32('vcpu_id') }, text: 'vcpu {vcpu}' },
        {
          until: '6.1',
          properties: { vcpu: u32('vcpu_id'), rip: unsignedLong('rip') },
          text: 'vcpu {vcpu}, rip 0x{rip:x}',
        },
      ],
    },
  ),
  kvm_exit: define(
    'kvm',
    ATOMIC,
    {
      ...EXIT,
      intrInfo: u32('intr_info'),
      errorCode: u32('error_code'),
      vcpu: u32('vcpu_id'),
    },
    'vcpu {vcpu} reason {reason}{entryFailed? FAILED_VMENTRY:} rip 0x{rip:x} ' +
      'info1 0x{info1:016x} info2 0x{info2:016x} intr_info 0x{intrInfo:08x} error_code 0x{errorCode:08x}',
    {
      earlier: [
        {
          until: '2.6.38',
          properties: {
            reason: oldExitReason,
            rip: unsignedLong('guest_rip'),
            entryFailed: flag('exit_reason', 31),
          },
          text: 'reason {reason} rip 0x{rip:x}',
        },
        {
          until: '5.4',
          properties: { ...EXIT, reason: oldExitReason },
          text: 'reason {reason} rip 0x{rip:x} info {info1:x} {info2:x}',
        },
        {
          until: '5.10',
          properties: { ...EXIT, reason: oldExitReason, vcpu: u32('vcpu_id') },
          text: 'vcpu {vcpu} reason {reason} rip 0x{rip:x} info {info1:x} {info2:x}',
        },
      ],
    },
  ),
  kvm_hypercall: define(
    'kvm',
    NORMAL,
    {
      nr: unsignedLong('nr'),
      a0: unsignedLong('a0'),
      a1: unsignedLong('a1'),
      a2: unsignedLong('a2'),
      a3: unsignedLong('a3'),
    },
    'nr 0x{nr:x} a0 0x{a0:x} a1 0x{a1:x} a2 0x{a2:x} a3 0x{a3:x}',
  ),
  kvm_pio: define(
    'kvm',
    NORMAL,
    { ...ACCESS_TO_PORT, value: u32('val') },
    'pio_{write?write:read} at 0x{port:x} size {size} count {count} val 0x{value:x} ' +
      '{count>1?(...):}',
    {
      earlier: [
        {
          until: '3.16',
          properties: ACCESS_TO_PORT,
          text: 'pio_{write?write:read} at 0x{port:x} size {size} count {count}',
        },
      ],
    },
  ),
  kvm_mmio: define(
    'kvm',
    NORMAL,
    {
      kind: symbol(u32('type'), counted(MMIO_KINDS)),
      len: u32('len'),
      gpa: u53('gpa'),
      value: u64('val'),
    },
    'mmio {kind} len {len} gpa 0x{gpa:x} val 0x{value:x}',
  ),
  kvm_fast_mmio: define('kvm', NORMAL, { gpa: u53('gpa') }, 'fast mmio at gpa 0x{gpa:x}', {
    since: '4.4',
  }),
  kvm_msr: define(
    'kvm',
    NORMAL,
    { write: flag('write', 0), index: u32('ecx'), value: u64('data'), fault: flag('exception') },
    'msr_{write?write:read} {index:x} = 0x{value:x}{fault? (#GP):}',
  ),
  kvm_cr: define(
    'kvm',
    NORMAL,
    { write: flag('rw', 0), number: u32('cr'), value: unsignedLong('val') },
    'cr_{write?write:read} {number:x} = 0x{value:x}',
  ),
  kvm_cpuid: define(
    'kvm',
    NORMAL,
    {
      leaf: u32('function'),
      subleaf: u32('index'),
      result: CPUID_RESULT,
      found: flag('found'),
    },
    `func {leaf:x} idx {subleaf:x} rax {result.0:x} rbx {result.1:x} rcx {result.2:x} ${foundIt}`,
    {
      earlier: [
        {
          until: '4.14',
          properties: { leaf: u32('function'), result: CPUID_RESULT },
          text: 'func {leaf:x} rax {result.0:x} rbx {result.1:x} rcx {result.2:x} rdx {result.3:x}',
        },
        {
          until: '5.7',
          properties: { leaf: u32('function'), result: CPUID_RESULT, found: flag('found') },
          text: `func {leaf:x} rax {result.0:x} rbx {result.1:x} rcx {result.2:x} ${foundIt}`,
        },
      ],
    },
  ),
  kvm_page_fault: define(
    'kvm',
    NORMAL,
    {
      vcpu: u32('vcpu_id'),
      rip: unsignedLong('guest_rip'),
      gpa: u53('fault_address'),
      errorCode: u64('error_code'),
    },
    'vcpu {vcpu} rip 0x{rip:x} address 0x{gpa:016x} error_code 0x{errorCode:x}',
    {
      earlier: [
        {
          until: '6.0',
          properties: { gpa: u53('fault_address', 'unsigned long'), errorCode: u64('error_code') },
          text: 'address {gpa:x} error_code {errorCode:x}',
        },
      ],
    },
  ),
  kvm_apic: define(
    'kvm',
    NORMAL,
    { write: flag('rw', 0), register: symbol(u32('reg'), ApicRegister), value: u64('val') },
    'apic_{write?write:read} APIC_{register} = 0x{value:x}',
  ),
  kvm_apic_ipi: define(
    'kvm',
    NORMAL,
    {
      vector: u32('icr_low', 0, 8),
      mode: mode('icr_low'),
      logical: flag('icr_low', 11),
      level: flag('icr_low', 14),
      trigger: flag('icr_low', 15),
      shorthand: symbol(u32('icr_low', 18, 2), counted(SHORTHANDS)),
      destination: u32('dest_id'),
    },
    'dst {destination:x} vec {vector} ({mode}|{logical?logical:physical}|' +
      '{level?assert:de-assert}|{trigger?level:edge}|{shorthand})',
  ),
  kvm_apic_accept_irq: define(
    'kvm',
    NORMAL,
    {
      apicId: u32('apicid'),
      mode: symbol(u32('dm'), counted(DELIVERY_MODES)),
      level: flag('trig_mode', 0),
      vector: u32('vec'),
    },
    'apicid {apicId:x} vec {vector} ({mode}|{level?level:edge})',
  ),
  kvm_set_irq: define(
    'kvm',
    NORMAL,
    { gsi: u32('gsi'), level: s32('level'), source: s32('irq_source_id') },
    'gsi {gsi} level {level} source {source}',
  ),
  kvm_ioapic_set_irq: define(
    'kvm',
    NORMAL,
    {
      vector: bits64('e', 0, 8),
      mode: mode64('e'),
      logical: flag64('e', 11),
      level: flag64('e', 15),
      masked: flag64('e', 16),
      destination: bits64('e', 56, 8),
      pin: s32('pin'),
      coalesced: flag('coalesced'),
    },
    'pin {pin} dst {destination:x} vec {vector} ({mode}|{logical?logical:physical}|' +
      '{level?level:edge}{masked?|masked:}){coalesced? (coalesced):}',
  ),
  kvm_msi_set_irq: define(
    'kvm',
    NORMAL,
    {
      hinted: flag64('address', 3),
      logical: flag64('address', 2),
      destination: bits64('address', 12, 8),
      vector: bits64('data', 0, 8),
      mode: mode64('data'),
      level: flag64('data', 15),
    },
    'dst {destination:x} vec {vector} ({mode}|{logical?logical:physical}|' +
      '{level?level:edge}{hinted?|rh:})',
  ),
  kvm_pic_set_irq: define(
    'kvm',
    NORMAL,
    {
      chip: u8('chip'),
      pin: u8('pin'),
      levels: u8('elcr'),
      mask: u8('imr'),
      coalesced: flag('coalesced'),
    },
    'chip {chip} pin {pin} ({levels&pin?level:edge}{mask&pin?|masked:}){coalesced? (coalesced):}',
  ),
  kvm_ack_irq: define(
    'kvm',
    NORMAL,
    { irqchip: symbol(u32('irqchip'), counted(IRQCHIPS)), pin: u32('pin') },
    'irqchip {irqchip} pin {pin}',
  ),
  kvm_inj_virq: define(
    'kvm',
    ATOMIC,
    { vector: u32('vector'), soft: flag('soft'), reinjected: flag('reinjected') },
    '{soft?Soft/INTn:IRQ} 0x{vector:x}{reinjected? [reinjected]:}',
    { earlier: [{ until: '6.0', properties: { vector: u32('irq') }, text: 'irq {vector}' }] },
  ),
  kvm_inj_exception: define(
    'kvm',
    ATOMIC,
    {
      name: symbol(u32('exception'), EXCEPTION_VECTORS),
      errorCode: errorCode('has_error', 'error_code'),
      reinjected: flag('reinjected'),
    },
    '{name}{errorCode!}{reinjected? [reinjected]:}',
    {
      since: '2.6.35',
      earlier: [
        {
          until: '6.0',
          properties: {
            name: symbol(u32('exception'), EXCEPTION_VECTORS),
            errorCode: errorCode('has_error', 'error_code'),
          },
          text: '{name} (0x{errorCode!0})',
        },
      ],
    },
  ),
  kvm_eoi: define(
    'kvm',
    NORMAL,
    { apicId: u32('apicid'), vector: u32('vector') },
    'apicid {apicId:x} vector {vector}',
    { since: '3.5' },
  ),
  kvm_pv_eoi: define(
    'kvm',
    NORMAL,
    { apicId: u32('apicid'), vector: s32('vector') },
    'apicid {apicId:x} vector {vector}',
    { since: '3.6' },
  ),
  kvm_pv_tlb_flush: define(
    'kvm',
    NORMAL,
    { vcpu: u32('vcpu_id'), flush: flag('need_flush_tlb') },
    'vcpu {vcpu} need_flush_tlb {flush?true:false}',
    { since: '5.2' },
  ),
  kvm_pvclock_update: define(
    'kvm',
    NORMAL,
    {
      vcpu: u32('vcpu_id'),
      version: u32('version'),
      tscTimestamp: u64('tsc_timestamp'),
      systemTime: u64('system_time'),
      multiplier: u32('tsc_to_system_mul'),
      shift: s8('tsc_shift'),
      flags: u8('flags'),
    },
    'vcpu_id {vcpu}, pvclock {{ version {version}, tsc_timestamp 0x{tscTimestamp:x}, ' +
      'system_time 0x{systemTime:x}, tsc_to_system_mul 0x{multiplier:x}, tsc_shift {shift}, ' +
      'flags 0x{flags:x} }',
    { since: '3.19' },
  ),
  kvm_write_tsc_offset: define(
    'kvm',
    NORMAL,
    {
      vcpu: u32('vcpu_id'),
      previous: u64('previous_tsc_offset'),
      next: u64('next_tsc_offset'),
    },
    'vcpu={vcpu} prev={previous} next={next}',
    { since: '3.11' },
  ),
  kvm_wait_lapic_expire: define(
    'kvm',
    ATOMIC,
    { vcpu: u32('vcpu_id'), delta: s64('delta') },
    'vcpu {vcpu}: delta {delta} ({delta<0?early:late})',
    { since: '4.0' },
  ),
  // Also where the window stayed as it was.
  kvm_ple_window: define(
    'kvm',
    NORMAL,
    { grow: flag('grow'), vcpu: u32('vcpu_id'), new: s32('new'), old: s32('old') },
    'vcpu {vcpu}: ple_window {new} ({grow?grow:shrink} {old})',
    { since: '3.18', until: '5.4' },
  ),
  kvm_ple_window_update: define(
    'kvm',
    NORMAL,
    { vcpu: u32('vcpu_id'), new: u32('new'), old: u32('old') },
    'vcpu {vcpu} old {old} new {new} ({new>old?growed:shrinked})',
    { since: '5.4' },
  ),
  kvm_vcpu_wakeup: define(
    'kvm',
    NORMAL,
    { ns: u53('ns'), waited: flag('waited'), valid: flag('valid') },
    '{waited?wait:poll} time {ns} ns, polling {valid?valid:invalid}',
    {
      since: '4.0',
      earlier: [
        {
          until: '4.7',
          properties: { ns: u53('ns'), waited: flag('waited') },
          text: '{waited?wait:poll} time {ns} ns',
        },
      ],
    },
  ),
  kvm_halt_poll_ns: define(
    'kvm',
    NORMAL,
    { grow: flag('grow'), vcpu: u32('vcpu_id'), new: u32('new'), old: u32('old') },
    'vcpu {vcpu}: halt_poll_ns {new} ({grow?grow:shrink} {old})',
    { since: '4.3' },
  ),
  kvm_hv_timer_state: define(
    'kvm',
    NORMAL,
    { vcpu: u32('vcpu_id'), inUse: flag('hv_timer_in_use', 0) },
    'vcpu_id {vcpu:x} hv_timer {inUse?1:0}',
    { since: '4.8' },
  ),
  kvm_userspace_exit: define(
    'kvm',
    NORMAL,
    { reason: symbol(u32('reason'), KVM_EXIT_REASONS), number: u32('reason') },
    'reason KVM_EXIT_{reason} ({number})',
    { since: '2.6.38' },
  ),
  sched_switch: define(
    'sched',
    SCHEDULER,
    {
      prev: thread('prev_'),
      prevState: symbol(u53('prev_state', 'long'), TASK_STATES),
      next: thread('next_'),
    },
    switched,
    {
      earlier: [
        switchedBefore('3.2', 0),
        switchedBefore('3.9', 0x200),
        switchedBefore('4.8', 0x400),
        switchedBefore('4.14', 0x1000),
      ],
    },
  ),
  sched_wakeup: define('sched', SCHEDULER, WOKEN, woken, { earlier: WOKEN_BEFORE }),
  sched_waking: define('sched', SCHEDULER, WOKEN, woken, {
    since: '4.3',
    earlier: WOKEN_BEFORE.slice(1),
  }),
  sched_migrate_task: define(
    'sched',
    SCHEDULER,
    { ...thread(), origCpu: s32('orig_cpu'), destCpu: s32('dest_cpu') },
    'comm={comm} pid={pid} prio={prio} orig_cpu={origCpu} dest_cpu={destCpu}',
  ),
  sched_stat_runtime: define(
    'sched',
    SCHEDULER,
    { comm: comm('comm'), pid: s32('pid'), runtime: u53('runtime'), vruntime: u64('vruntime') },
    'comm={comm} pid={pid} runtime={runtime} [ns] vruntime={vruntime} [ns]',
  ),
  sched_stat_wait: define('sched', SCHEDULER, DELAY, delayed),
  sched_stat_sleep: define('sched', SCHEDULER, DELAY, delayed),
  sched_stat_iowait: define('sched', SCHEDULER, DELAY, delayed),
  sched_stat_blocked: define('sched', SCHEDULER, DELAY, delayed),
  // Our own, which no kernel has: what was done to the run, and what guest code was seen to do.
  fault: define(
    'vmxlab',
    NORMAL,
    {
      kind: comm('kind'),
      number: u32('number'),
      vm: s32('vm'),
      vcpu: s32('vcpu_id'),
      cpu: s32('cpu'),
      ns: u53('ns'),
    },
    'number {number} {kind} vm {vm} vcpu {vcpu} cpu {cpu} ns {ns}',
  ),
  guest_code: define(
    'vmxlab',
    NORMAL,
    { vm: u32('vm'), vcpu: u32('vcpu_id'), at: comm('at'), rip: unsignedLong('rip') },
    'vm {vm} vcpu {vcpu} rip 0x{rip:x} at {at}',
  ),
  guest_write: define(
    'vmxlab',
    NORMAL,
    {
      vm: u32('vm'),
      vcpu: u32('vcpu_id'),
      at: comm('at'),
      gpa: u64('gpa'),
      old: u64('old'),
      new: u64('new'),
    },
    'vm {vm} vcpu {vcpu} gpa 0x{gpa:x} 0x{old:x} to 0x{new:x} at {at}',
  ),
} as const;

export type TracepointName = keyof typeof TRACEPOINTS;

/** The fields of an event. */
export type FieldsOf<Name extends TracepointName> =
  (typeof TRACEPOINTS)[Name] extends Tracepoint<infer F> ? F : never;

/** One event that happened; `TraceRecord` alone is any of them. */
export type TraceRecord<Name extends TracepointName = TracepointName> = {
  [N in Name]: RecordOf<N>;
}[Name];

interface RecordOf<Name extends TracepointName> {
  /** Nanoseconds of virtual time. */
  readonly timeNs: number;
  readonly pcpu: number;
  /** The thread that was running there; `<idle>` with pid 0 if none. */
  readonly comm: string;
  readonly pid: number;
  readonly name: Name;
  readonly fields: FieldsOf<Name>;
}

/** Who wants to see events. */
export interface TraceSink {
  record(record: TraceRecord): void;
}

/** A tracepoint whose fields are not known beforehand. */
export function tracepointOf(name: TracepointName): Tracepoint {
  return TRACEPOINTS[name] as Tracepoint;
}

/** True for the names of tracepoints that there are. */
export function isTracepoint(name: string): name is TracepointName {
  return Object.hasOwn(TRACEPOINTS, name);
}

/** The payload of an event, as the kernel prints it. */
export function printPayload(record: TraceRecord): string {
  return tracepointOf(record.name).print(record.fields);
}

/** ftrace's latency columns for an event. */
export function flagsOf(name: TracepointName): string {
  return TRACEPOINTS[name].flags;
}
