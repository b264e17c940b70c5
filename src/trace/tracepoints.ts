// The tracepoints, under the kernel's own names: system, fields, and the text that the kernel's own
// print format makes of them. Layouts as of Linux 6.1 (include/trace/events/sched.h,
// include/trace/events/kvm.h, arch/x86/kvm/trace.h).

import type Long from 'long';

/** The latency columns of ftrace, but for the need-resched column, which is not tracked. */
const ATOMIC = 'd..1.';
const SCHEDULER = 'd..2.';
const NORMAL = '.....';

interface Definition<F> {
  readonly system: 'kvm' | 'sched';
  readonly flags: string;
  readonly print: (fields: F) => string;
}

function define<F>(
  system: 'kvm' | 'sched',
  flags: string,
  print: (fields: F) => string,
): Definition<F> {
  return { system, flags, print };
}

/** What every event about another thread says of it. */
export interface ThreadFields {
  readonly comm: string;
  readonly pid: number;
  /** 120 + nice. */
  readonly prio: number;
}

const thread = ({ comm, pid, prio }: ThreadFields) => `comm=${comm} pid=${pid} prio=${prio}`;

export const TRACEPOINTS = {
  kvm_entry: define<{ vcpu: number; rip: Long; immediateExit: boolean }>(
    'kvm',
    ATOMIC,
    (f) => `vcpu ${f.vcpu}, rip 0x${hex(f.rip)}${f.immediateExit ? '[immediate exit]' : ''}`,
  ),
  kvm_exit: define<{
    vcpu: number;
    reason: string;
    rip: Long;
    info1: Long;
    info2: Long;
    intrInfo: number;
    errorCode: number;
  }>(
    'kvm',
    ATOMIC,
    (f) =>
      `vcpu ${f.vcpu} reason ${f.reason} rip 0x${hex(f.rip)} ` +
      `info1 0x${hex(f.info1, 16)} info2 0x${hex(f.info2, 16)} ` +
      `intr_info 0x${hex32(f.intrInfo)} error_code 0x${hex32(f.errorCode)}`,
  ),
  kvm_hypercall: define<{ nr: Long; a0: Long; a1: Long; a2: Long; a3: Long }>(
    'kvm',
    NORMAL,
    (f) =>
      `nr 0x${hex(f.nr)} a0 0x${hex(f.a0)} a1 0x${hex(f.a1)} a2 0x${hex(f.a2)} a3 0x${hex(f.a3)}`,
  ),
  kvm_pio: define<{ write: boolean; port: number; size: number; count: number; value: number }>(
    'kvm',
    NORMAL,
    (f) =>
      `pio_${f.write ? 'write' : 'read'} at 0x${f.port.toString(16)} size ${f.size} ` +
      `count ${f.count} val 0x${(f.value >>> 0).toString(16)} `,
  ),
  kvm_mmio: define<{
    kind: 'unsatisfied-read' | 'read' | 'write';
    len: number;
    gpa: number;
    value: Long;
  }>(
    'kvm',
    NORMAL,
    (f) => `mmio ${f.kind} len ${f.len} gpa 0x${f.gpa.toString(16)} val 0x${hex(f.value)}`,
  ),
  kvm_msr: define<{ write: boolean; index: number; value: Long; fault: boolean }>(
    'kvm',
    NORMAL,
    (f) =>
      `msr_${f.write ? 'write' : 'read'} ${f.index.toString(16)} = 0x${hex(f.value)}` +
      (f.fault ? ' (#GP)' : ''),
  ),
  kvm_cr: define<{ write: boolean; number: number; value: Long }>(
    'kvm',
    NORMAL,
    (f) => `cr_${f.write ? 'write' : 'read'} ${f.number.toString(16)} = 0x${hex(f.value)}`,
  ),
  kvm_cpuid: define<{
    leaf: number;
    subleaf: number;
    result: readonly [number, number, number, number];
    found: boolean;
  }>('kvm', NORMAL, (f) => {
    const [eax, ebx, ecx, edx] = f.result.map((value) => (value >>> 0).toString(16));
    return (
      `func ${(f.leaf >>> 0).toString(16)} idx ${(f.subleaf >>> 0).toString(16)} ` +
      `rax ${eax} rbx ${ebx} rcx ${ecx} rdx ${edx}, cpuid entry ${f.found ? '' : 'not '}found`
    );
  }),
  kvm_page_fault: define<{ vcpu: number; rip: Long; gpa: number; errorCode: Long }>(
    'kvm',
    NORMAL,
    (f) =>
      `vcpu ${f.vcpu} rip 0x${hex(f.rip)} address 0x${f.gpa.toString(16).padStart(16, '0')} ` +
      `error_code 0x${hex(f.errorCode)}`,
  ),
  kvm_apic: define<{ write: boolean; register: string; value: Long }>(
    'kvm',
    NORMAL,
    (f) => `apic_${f.write ? 'write' : 'read'} APIC_${f.register} = 0x${hex(f.value)}`,
  ),
  kvm_apic_ipi: define<{
    destination: number;
    vector: number;
    mode: string;
    logical: boolean;
    level: boolean;
    trigger: boolean;
    shorthand: string;
  }>(
    'kvm',
    NORMAL,
    (f) =>
      `dst ${(f.destination >>> 0).toString(16)} vec ${f.vector} (${f.mode}|` +
      `${f.logical ? 'logical' : 'physical'}|${f.level ? 'assert' : 'de-assert'}|` +
      `${f.trigger ? 'level' : 'edge'}|${f.shorthand})`,
  ),
  kvm_apic_accept_irq: define<{ apicId: number; vector: number; mode: string; level: boolean }>(
    'kvm',
    NORMAL,
    (f) =>
      `apicid ${f.apicId.toString(16)} vec ${f.vector} (${f.mode}|${f.level ? 'level' : 'edge'})`,
  ),
  kvm_inj_virq: define<{ vector: number; soft: boolean; reinjected: boolean }>(
    'kvm',
    ATOMIC,
    (f) =>
      `${f.soft ? 'Soft/INTn' : 'IRQ'} 0x${f.vector.toString(16)}` +
      (f.reinjected ? ' [reinjected]' : ''),
  ),
  kvm_inj_exception: define<{ name: string; errorCode: number | null; reinjected: boolean }>(
    'kvm',
    ATOMIC,
    (f) =>
      f.name +
      (f.errorCode === null ? '' : ` (0x${(f.errorCode >>> 0).toString(16)})`) +
      (f.reinjected ? ' [reinjected]' : ''),
  ),
  kvm_eoi: define<{ apicId: number; vector: number }>(
    'kvm',
    NORMAL,
    (f) => `apicid ${f.apicId.toString(16)} vector ${f.vector}`,
  ),
  kvm_ple_window_update: define<{ vcpu: number; old: number; new: number }>(
    'kvm',
    NORMAL,
    (f) => `vcpu ${f.vcpu} old ${f.old} new ${f.new} (${f.new > f.old ? 'growed' : 'shrinked'})`,
  ),
  kvm_vcpu_wakeup: define<{ ns: number; waited: boolean; valid: boolean }>(
    'kvm',
    NORMAL,
    (f) =>
      `${f.waited ? 'wait' : 'poll'} time ${f.ns} ns, polling ${f.valid ? 'valid' : 'invalid'}`,
  ),
  kvm_halt_poll_ns: define<{ vcpu: number; new: number; old: number; grow: boolean }>(
    'kvm',
    NORMAL,
    (f) => `vcpu ${f.vcpu}: halt_poll_ns ${f.new} (${f.grow ? 'grow' : 'shrink'} ${f.old})`,
  ),
  kvm_hv_timer_state: define<{ vcpu: number; inUse: boolean }>(
    'kvm',
    NORMAL,
    (f) => `vcpu_id ${f.vcpu.toString(16)} hv_timer ${f.inUse ? 1 : 0}`,
  ),
  kvm_userspace_exit: define<{ reason: string; number: number }>(
    'kvm',
    NORMAL,
    (f) => `reason KVM_EXIT_${f.reason} (${f.number})`,
  ),
  sched_switch: define<{ prev: ThreadFields; prevState: string; next: ThreadFields }>(
    'sched',
    SCHEDULER,
    (f) =>
      `prev_comm=${f.prev.comm} prev_pid=${f.prev.pid} prev_prio=${f.prev.prio} ` +
      `prev_state=${f.prevState} ==> ` +
      `next_comm=${f.next.comm} next_pid=${f.next.pid} next_prio=${f.next.prio}`,
  ),
  sched_wakeup: define<ThreadFields & { targetCpu: number }>(
    'sched',
    SCHEDULER,
    (f) => `${thread(f)} target_cpu=${String(f.targetCpu).padStart(3, '0')}`,
  ),
  sched_waking: define<ThreadFields & { targetCpu: number }>(
    'sched',
    SCHEDULER,
    (f) => `${thread(f)} target_cpu=${String(f.targetCpu).padStart(3, '0')}`,
  ),
  sched_migrate_task: define<ThreadFields & { origCpu: number; destCpu: number }>(
    'sched',
    SCHEDULER,
    (f) => `${thread(f)} orig_cpu=${f.origCpu} dest_cpu=${f.destCpu}`,
  ),
} as const;

export type TracepointName = keyof typeof TRACEPOINTS;

/** The fields of an event. */
export type FieldsOf<Name extends TracepointName> =
  (typeof TRACEPOINTS)[Name] extends Definition<infer F> ? F : never;

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

/** The payload of an event, as the kernel prints it. */
export function printPayload(record: TraceRecord): string {
  const { print } = TRACEPOINTS[record.name];
  return print(record.fields as never);
}

/** ftrace's latency columns for an event. */
export function flagsOf(name: TracepointName): string {
  return TRACEPOINTS[name].flags;
}

function hex(value: Long, digits = 1): string {
  return value.toUnsigned().toString(16).padStart(digits, '0');
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
