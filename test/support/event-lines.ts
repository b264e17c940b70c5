// Every tracepoint's text against the kernel's print formats, Linux 6.1: include/trace/events/
// sched.h and kvm.h, arch/x86/kvm/trace.h. The expected lines are written out by hand from there.

import Long from 'long';
import type { FieldsOf, TracepointName } from '../../src/trace/index.ts';

/** A tracepoint, its text, and the fields that it is the text of. */
export type EventLine = readonly [name: TracepointName, text: string, fields: unknown];

function line<Name extends TracepointName>(
  name: Name,
  text: string,
  fields: FieldsOf<Name>,
): EventLine {
  return [name, text, fields];
}

const hex = (text: string) => Long.fromString(text, true, 16);
const ZERO = Long.ZERO;
const KERNEL = hex('ffffffff81000000');

const vcpu0 = { comm: 'vcpu0', pid: 1000, prio: 120 };
const hog = { comm: 'hog1', pid: 1003, prio: 125 };

const ipi = {
  destination: 1,
  vector: 80,
  mode: 'Fixed',
  logical: false,
  level: true,
  trigger: false,
  shorthand: 'dst',
};

const exit = {
  vcpu: 0,
  reason: 'HLT',
  rip: hex('100020'),
  info1: ZERO,
  info2: ZERO,
  intrInfo: 0,
  errorCode: 0,
  entryFailed: false,
};

export const KVM_LINES: readonly EventLine[] = [
  line('kvm_entry', 'vcpu 0, rip 0x100000', { vcpu: 0, rip: hex('100000'), immediateExit: false }),
  line('kvm_entry', 'vcpu 15, rip 0xffffffff81000000[immediate exit]', {
    vcpu: 15,
    rip: KERNEL,
    immediateExit: true,
  }),
  line(
    'kvm_exit',
    'vcpu 0 reason HLT rip 0x100020 info1 0x0000000000000000 info2 0x0000000000000000 ' +
      'intr_info 0x00000000 error_code 0x00000000',
    exit,
  ),
  line(
    'kvm_exit',
    'vcpu 3 reason EPT_VIOLATION rip 0x100020 info1 0x0000000000000182 ' +
      'info2 0x0000000080000b0e intr_info 0x80000b0d error_code 0xffffffff',
    {
      ...exit,
      vcpu: 3,
      reason: 'EPT_VIOLATION',
      info1: hex('182'),
      info2: hex('80000b0e'),
      intrInfo: 0x80000b0d | 0,
      errorCode: -1,
    },
  ),
  line(
    'kvm_exit',
    'vcpu 0 reason INVALID_STATE FAILED_VMENTRY rip 0x100020 info1 0x0000000000000000 ' +
      'info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000',
    { ...exit, reason: 'INVALID_STATE', entryFailed: true },
  ),
  line('kvm_hypercall', 'nr 0x5 a0 0x0 a1 0x1 a2 0xffffffffffffffff a3 0x10', {
    nr: Long.fromInt(5),
    a0: ZERO,
    a1: Long.ONE,
    a2: Long.NEG_ONE,
    a3: Long.fromInt(16),
  }),
  // The space at the end is the kernel's.
  line('kvm_pio', 'pio_write at 0xe9 size 1 count 1 val 0x41 ', {
    write: true,
    port: 0xe9,
    size: 1,
    count: 1,
    value: 0x41,
  }),
  line('kvm_pio', 'pio_read at 0x3fd size 4 count 1 val 0xffffffff ', {
    write: false,
    port: 0x3fd,
    size: 4,
    count: 1,
    value: -1,
  }),
  line('kvm_fast_mmio', 'fast mmio at gpa 0xd0000000', { gpa: 0xd0000000 }),
  line('kvm_mmio', 'mmio write len 4 gpa 0xfee000b0 val 0x0', {
    kind: 'write',
    len: 4,
    gpa: 0xfee000b0,
    value: ZERO,
  }),
  line('kvm_mmio', 'mmio unsatisfied-read len 8 gpa 0xf0000000 val 0x0', {
    kind: 'unsatisfied-read',
    len: 8,
    gpa: 0xf0000000,
    value: ZERO,
  }),
  line('kvm_mmio', 'mmio read len 8 gpa 0xf0000000 val 0xffffffffffffffff', {
    kind: 'read',
    len: 8,
    gpa: 0xf0000000,
    value: Long.NEG_ONE,
  }),
  line('kvm_msr', 'msr_write 6e0 = 0x4e20', {
    write: true,
    index: 0x6e0,
    value: hex('4e20'),
    fault: false,
  }),
  line('kvm_msr', 'msr_read 1b = 0xfee00d00', {
    write: false,
    index: 0x1b,
    value: hex('fee00d00'),
    fault: false,
  }),
  line('kvm_msr', 'msr_read c0000080 = 0x0 (#GP)', {
    write: false,
    index: 0xc0000080,
    value: ZERO,
    fault: true,
  }),
  line('kvm_cr', 'cr_write 0 = 0x80010033', { write: true, number: 0, value: hex('80010033') }),
  line('kvm_cr', 'cr_read 8 = 0xf', { write: false, number: 8, value: hex('f') }),
  line(
    'kvm_cpuid',
    'func 80000008 idx 0 rax 3028 rbx 0 rcx ffffffff rdx 1, cpuid entry not found',
    { leaf: 0x80000008 | 0, subleaf: 0, result: [0x3028, 0, -1, 1], found: false },
  ),
  line('kvm_cpuid', 'func 1 idx 2 rax 0 rbx 0 rcx 0 rdx 0, cpuid entry found', {
    leaf: 1,
    subleaf: 2,
    result: [0, 0, 0, 0],
    found: true,
  }),
  line('kvm_page_fault', 'vcpu 2 rip 0x100020 address 0x00000000fee00020 error_code 0x181', {
    vcpu: 2,
    rip: hex('100020'),
    gpa: 0xfee00020,
    errorCode: hex('181'),
  }),
  line('kvm_apic', 'apic_write APIC_SPIV = 0x1ff', {
    write: true,
    register: 'SPIV',
    value: hex('1ff'),
  }),
  line('kvm_apic', 'apic_read APIC_TMCCT = 0x0', { write: false, register: 'TMCCT', value: ZERO }),
  line('kvm_apic_ipi', 'dst 1 vec 80 (Fixed|physical|assert|edge|dst)', ipi),
  line('kvm_apic_ipi', 'dst ffffffff vec 2 (NMI|logical|de-assert|level|all-but-self)', {
    destination: -1,
    vector: 2,
    mode: 'NMI',
    logical: true,
    level: false,
    trigger: true,
    shorthand: 'all-but-self',
  }),
  line('kvm_apic_accept_irq', 'apicid a vec 64 (Fixed|edge)', {
    apicId: 10,
    vector: 64,
    mode: 'Fixed',
    level: false,
  }),
  line('kvm_apic_accept_irq', 'apicid 1 vec 0 (Res3|level)', {
    apicId: 1,
    vector: 0,
    mode: 'Res3',
    level: true,
  }),
  line('kvm_inj_virq', 'IRQ 0x40', { vector: 0x40, soft: false, reinjected: false }),
  line('kvm_inj_virq', 'Soft/INTn 0x80 [reinjected]', {
    vector: 0x80,
    soft: true,
    reinjected: true,
  }),
  line('kvm_inj_exception', '#UD', { name: '#UD', errorCode: null, reinjected: false }),
  line('kvm_inj_exception', '#GP (0x0)', { name: '#GP', errorCode: 0, reinjected: false }),
  line('kvm_inj_exception', '#PF (0x15) [reinjected]', {
    name: '#PF',
    errorCode: 0x15,
    reinjected: true,
  }),
  line('kvm_eoi', 'apicid b vector 255', { apicId: 11, vector: 255 }),
  line('kvm_set_irq', 'gsi 4 level 1 source 0', { gsi: 4, level: 1, source: 0 }),
  line('kvm_ioapic_set_irq', 'pin 2 dst 1 vec 48 (Fixed|physical|edge)', {
    vector: 48,
    mode: 'Fixed',
    logical: false,
    level: false,
    masked: false,
    destination: 1,
    pin: 2,
    coalesced: false,
  }),
  line('kvm_ioapic_set_irq', 'pin 23 dst ff vec 254 (LowPrio|logical|level|masked) (coalesced)', {
    vector: 254,
    mode: 'LowPrio',
    logical: true,
    level: true,
    masked: true,
    destination: 255,
    pin: 23,
    coalesced: true,
  }),
  line('kvm_msi_set_irq', 'dst a vec 64 (Fixed|logical|level|rh)', {
    hinted: true,
    logical: true,
    destination: 10,
    vector: 64,
    mode: 'Fixed',
    level: true,
  }),
  line('kvm_msi_set_irq', 'dst 0 vec 33 (NMI|physical|edge)', {
    hinted: false,
    logical: false,
    destination: 0,
    vector: 33,
    mode: 'NMI',
    level: false,
  }),
  line('kvm_pic_set_irq', 'chip 0 pin 0 (edge)', {
    chip: 0,
    pin: 0,
    levels: 0xfe,
    mask: 0xfe,
    coalesced: false,
  }),
  line('kvm_pic_set_irq', 'chip 1 pin 3 (level|masked) (coalesced)', {
    chip: 1,
    pin: 3,
    levels: 8,
    mask: 8,
    coalesced: true,
  }),
  line('kvm_ack_irq', 'irqchip PIC slave pin 3', { irqchip: 'PIC slave', pin: 3 }),
  line('kvm_ack_irq', 'irqchip IOAPIC pin 2', { irqchip: 'IOAPIC', pin: 2 }),
  line('kvm_pv_eoi', 'apicid b vector 33', { apicId: 11, vector: 33 }),
  line('kvm_pv_eoi', 'apicid 0 vector -1', { apicId: 0, vector: -1 }),
  line('kvm_pv_tlb_flush', 'vcpu 3 need_flush_tlb true', { vcpu: 3, flush: true }),
  line('kvm_pv_tlb_flush', 'vcpu 0 need_flush_tlb false', { vcpu: 0, flush: false }),
  line(
    'kvm_pvclock_update',
    'vcpu_id 1, pvclock { version 2, tsc_timestamp 0xffffffffffffff00, system_time 0x64, ' +
      'tsc_to_system_mul 0x80000000, tsc_shift 1, flags 0x1 }',
    {
      vcpu: 1,
      version: 2,
      tscTimestamp: Long.fromInt(-256),
      systemTime: Long.fromInt(100),
      multiplier: 0x80000000,
      shift: 1,
      flags: 1,
    },
  ),
  line('kvm_wait_lapic_expire', 'vcpu 1: delta -1234 (early)', {
    vcpu: 1,
    delta: Long.fromInt(-1234),
  }),
  line('kvm_wait_lapic_expire', 'vcpu 0: delta 0 (late)', { vcpu: 0, delta: Long.ZERO }),
  line('kvm_write_tsc_offset', 'vcpu=2 prev=18446744073709551615 next=4000', {
    vcpu: 2,
    previous: Long.MAX_UNSIGNED_VALUE,
    next: Long.fromInt(4000, true),
  }),
  line('kvm_ple_window', 'vcpu 1: ple_window 4096 (shrink 4096)', {
    grow: false,
    vcpu: 1,
    old: 4096,
    new: 4096,
  }),
  line('kvm_ple_window_update', 'vcpu 1 old 4096 new 8192 (growed)', {
    vcpu: 1,
    old: 4096,
    new: 8192,
  }),
  line('kvm_ple_window_update', 'vcpu 1 old 8192 new 4096 (shrinked)', {
    vcpu: 1,
    old: 8192,
    new: 4096,
  }),
  line('kvm_vcpu_wakeup', 'wait time 22949 ns, polling valid', {
    ns: 22949,
    waited: true,
    valid: true,
  }),
  line('kvm_vcpu_wakeup', 'poll time 500 ns, polling invalid', {
    ns: 500,
    waited: false,
    valid: false,
  }),
  line('kvm_halt_poll_ns', 'vcpu 0: halt_poll_ns 20000 (grow 10000)', {
    vcpu: 0,
    new: 20000,
    old: 10000,
    grow: true,
  }),
  line('kvm_halt_poll_ns', 'vcpu 7: halt_poll_ns 0 (shrink 200000)', {
    vcpu: 7,
    new: 0,
    old: 200000,
    grow: false,
  }),
  line('kvm_hv_timer_state', 'vcpu_id a hv_timer 1', { vcpu: 10, inUse: true }),
  line('kvm_hv_timer_state', 'vcpu_id 0 hv_timer 0', { vcpu: 0, inUse: false }),
  // KVM_EXIT_IO is 2, KVM_EXIT_SHUTDOWN 8. Linux include/uapi/linux/kvm.h.
  line('kvm_userspace_exit', 'reason KVM_EXIT_IO (2)', { reason: 'IO', number: 2 }),
  line('kvm_userspace_exit', 'reason KVM_EXIT_SHUTDOWN (8)', { reason: 'SHUTDOWN', number: 8 }),
];

export const SCHED_LINES: readonly EventLine[] = [
  line(
    'sched_switch',
    'prev_comm=vcpu0 prev_pid=1000 prev_prio=120 prev_state=R ==> ' +
      'next_comm=hog1 next_pid=1003 next_prio=125',
    { prev: vcpu0, prevState: 'R', next: hog },
  ),
  line(
    'sched_switch',
    'prev_comm=vcpu0 prev_pid=1000 prev_prio=120 prev_state=S ==> ' +
      'next_comm=swapper/1 next_pid=0 next_prio=120',
    { prev: vcpu0, prevState: 'S', next: { comm: 'swapper/1', pid: 0, prio: 120 } },
  ),
  line('sched_waking', 'comm=vcpu0 pid=1000 prio=120 target_cpu=001', { ...vcpu0, targetCpu: 1 }),
  line('sched_wakeup', 'comm=hog1 pid=1003 prio=125 target_cpu=012', { ...hog, targetCpu: 12 }),
  line('sched_wakeup', 'comm=hog1 pid=1003 prio=125 target_cpu=255', { ...hog, targetCpu: 255 }),
  line('sched_stat_runtime', 'comm=vcpu0 pid=1000 runtime=3999871 [ns] vruntime=52000123 [ns]', {
    comm: 'vcpu0',
    pid: 1000,
    runtime: 3_999_871,
    vruntime: Long.fromNumber(52_000_123, true),
  }),
  ...(['wait', 'sleep', 'iowait', 'blocked'] as const).map((kind) =>
    line(`sched_stat_${kind}`, 'comm=hog1 pid=1003 delay=1200345 [ns]', {
      comm: 'hog1',
      pid: 1003,
      delay: 1_200_345,
    }),
  ),
  line('sched_migrate_task', 'comm=hog1 pid=1003 prio=125 orig_cpu=0 dest_cpu=7', {
    ...hog,
    origCpu: 0,
    destCpu: 7,
  }),
];

export const OWN_LINES: readonly EventLine[] = [
  line('fault', 'number 2 delay-ipi vm 0 vcpu 1 cpu 3 ns 20000', {
    kind: 'delay-ipi',
    number: 2,
    vm: 0,
    vcpu: 1,
    cpu: 3,
    ns: 20_000,
  }),
  line('guest_code', 'vm 0 vcpu 1 rip 0x100020 at critical', {
    vm: 0,
    vcpu: 1,
    at: 'critical',
    rip: Long.fromNumber(0x100020, true),
  }),
  line('guest_write', 'vm 1 vcpu 0 gpa 0x100080 0x0 to 0x1 at lock', {
    vm: 1,
    vcpu: 0,
    at: 'lock',
    gpa: Long.fromNumber(0x100080, true),
    old: Long.UZERO,
    new: Long.UONE,
  }),
];
