// Kernels by name: what the host's scheduler and KVM did in which version. One table; scenario keys
// with their defaults, `vmxlab presets` and the documents follow from it. A value holds from the
// kernel that it is listed with until the next one in the list.
// Sources: [6.1], [4.12], [4.8], [2.6.35] read in the source of that version; [log] the commit that
// changed it, or mail about it; [rec] recalled, the order of changes is certain, the version may be
// one off.

import {
  BALANCE_RULES,
  ENTRY_RESCHEDS,
  FAIR_CLASSES,
  PREEMPTION_MODELS,
  type SchedulerParameters,
} from '../host/index.ts';
import { HV_TIMERS, type KvmParameters, PREEMPTED_FLAGS, SPIN_HANDLERS } from '../kvm/index.ts';
import { boolean, choice, duration, integer, type Scalar } from './schema.ts';

export const KERNELS = [
  'linux-2.6.35',
  'linux-2.6.38',
  'linux-2.6.39',
  'linux-3.15',
  'linux-4.8',
  'linux-4.12',
  'linux-6.1',
  'linux-6.6',
] as const;

export type Kernel = (typeof KERNELS)[number];

export const DEFAULT_KERNEL: Kernel = 'linux-6.1';

/** From which kernel on a value holds, and how that is known. */
export interface Since<T> {
  readonly kernel: Kernel;
  readonly value: T;
  readonly source: string;
}

/** A parameter whose default is a matter of the kernel. */
export interface KernelParameter<T> {
  /** The scenario value with this default. */
  schema(fallback: T): Scalar<T>;
  readonly since: readonly Since<T>[];
}

function parameter<T>(
  schema: (fallback: T) => Scalar<T>,
  ...since: readonly (readonly [kernel: Kernel, value: T, source: string])[]
): KernelParameter<T> {
  return { schema, since: since.map(([kernel, value, source]) => ({ kernel, value, source })) };
}

const UINT32 = 4294967295;

/** Keys of `vms[].kvm`. */
export const KVM_PARAMETERS = {
  ple_gap: parameter<number>(
    (fallback) =>
      integer(0, UINT32, {
        summary: 'TSC cycles between PAUSEs that still belong to one loop; 0 switches PLE off',
        fallback,
      }),
    ['linux-2.6.35', 41, '2.6.33, with PLE [rec]'],
    ['linux-2.6.39', 128, '2.6.39 [rec]: 41 was too small for Westmere'],
  ),
  ple_window: parameter<number>(
    (fallback) =>
      integer(0, UINT32, {
        summary: 'TSC cycles that a PAUSE loop may last before it exits',
        fallback,
      }),
    ['linux-2.6.35', 4096, '2.6.33 [log]: most locks were held for less'],
  ),
  ple_window_grow: parameter<number>(
    (fallback) =>
      integer(0, UINT32, {
        summary:
          'growth of the window on each exit: a factor below ple_window, else a summand; 0 resets it',
        fallback,
      }),
    ['linux-2.6.35', 0, 'the window was fixed before 3.18'],
    ['linux-4.8', 2, '3.18 [log]'],
  ),
  ple_window_shrink: parameter<number>(
    (fallback) =>
      integer(0, UINT32, {
        summary: 'shrinking of the window when a vCPU is scheduled in; 0 resets it',
        fallback,
      }),
    ['linux-2.6.35', 0, '3.18 [log]; the window was fixed before'],
  ),
  ple_window_max: parameter<number>(
    (fallback) => integer(0, UINT32, { summary: 'largest window', fallback }),
    ['linux-2.6.35', 4096, 'the window was fixed before 3.18'],
    ['linux-4.8', 1073741823, 'INT_MAX / ple_window_grow [4.8]'],
    ['linux-6.1', UINT32, '[6.1]'],
  ),
  spin_handler: parameter<KvmParameters['spinHandler']>(
    (fallback) =>
      choice(SPIN_HANDLERS, { summary: 'what a PAUSE-loop exit does with the spinner', fallback }),
    ['linux-2.6.35', 'sleep', '2.6.33 [log]: 100 us on a timer'],
    ['linux-2.6.39', 'two-pass', '2.6.39 [log]: directed yield'],
    ['linux-3.15', 'preempted', '3.10 [rec]; eligibility in 3.7, three tries in 3.9'],
    ['linux-6.1', 'ready', '5.3 [6.1]; in-kernel vCPUs only since 4.14 [rec]'],
  ),
  kick_yields: parameter<boolean>(
    (fallback) =>
      boolean({ summary: 'the KICK_CPU hypercall also yields to the kicked vCPU', fallback }),
    ['linux-2.6.35', false, 'not before 5.5; the hypercall is of 3.12'],
    ['linux-6.1', true, '5.5 [log]'],
  ),
  preemption_timer: parameter<boolean>(
    (fallback) =>
      boolean({
        summary: 'use the VMX-preemption timer for timers of running vCPUs, as hv_timer says',
        fallback,
      }),
    ['linux-2.6.35', true, 'module parameter since 4.8 [log]'],
  ),
  hv_timer: parameter<KvmParameters['hvTimer']>(
    (fallback) =>
      choice(HV_TIMERS, {
        summary: "modes of the local APIC's timer that the VMX-preemption timer serves",
        fallback,
      }),
    ['linux-2.6.35', 'none', 'no such thing before 4.8'],
    ['linux-4.8', 'tsc-deadline', '4.8 [4.8]'],
    ['linux-4.12', 'all', '4.10 [log]'],
  ),
  fastpath: parameter<boolean>(
    (fallback) =>
      boolean({
        summary:
          'ICR and TSC-deadline writes and the preemption timer are handled with interrupts off, at once',
        fallback,
      }),
    ['linux-2.6.35', false, 'not before 5.6'],
    ['linux-6.1', true, '5.6 and 5.8 [log]'],
  ),
  halt_poll_ns: parameter<number>(
    (fallback) =>
      integer(0, 1_000_000_000, {
        summary: 'longest time, in ns, that a halted vCPU polls before it sleeps; 0: never',
        fallback,
      }),
    ['linux-2.6.35', 0, 'no such thing before 4.0'],
    ['linux-4.8', 400_000, '4.5 [4.8]; 500 us in 4.2'],
    ['linux-4.12', 200_000, '4.12 [4.12], [6.1]'],
  ),
  halt_poll_ns_grow: parameter<number>(
    (fallback) =>
      integer(0, UINT32, {
        summary: 'factor for a polling window that was too short; 0 leaves it',
        fallback,
      }),
    ['linux-2.6.35', 2, '4.2 [log]'],
  ),
  halt_poll_ns_grow_start: parameter<number>(
    (fallback) => integer(0, 1_000_000_000, { summary: 'first polling window, in ns', fallback }),
    ['linux-2.6.35', 10_000, '5.1 [6.1]; a constant since 4.2'],
  ),
  halt_poll_ns_shrink: parameter<number>(
    (fallback) =>
      integer(0, UINT32, {
        summary: 'divisor for a polling window that was for nothing; 0 closes it',
        fallback,
      }),
    ['linux-2.6.35', 0, '4.2 [log]'],
  ),
  lapic_timer_advance_ns: parameter<number>(
    (fallback) =>
      integer(-1, 5000, {
        summary: "ns by which the local APIC's timer fires early; -1: as KVM finds out",
        fallback,
      }),
    ['linux-2.6.35', 0, '4.1 [rec]; no such thing before'],
    ['linux-6.1', -1, '5.2 [rec], [6.1]'],
  ),
  min_timer_period_us: parameter<number>(
    (fallback) => integer(1, 1_000_000, { summary: 'shortest period of timers, in us', fallback }),
    ['linux-2.6.35', 500, '3.9 [rec]'],
    ['linux-6.1', 200, '4.15 [rec], [6.1]'],
  ),
  flexpriority: parameter<boolean>(
    (fallback) =>
      boolean({
        summary:
          'TPR shadow and APIC-access page: CR8 does not exit, accesses to the xAPIC are APIC_ACCESS',
        fallback,
      }),
    ['linux-2.6.35', true, 'module parameter since 2.6.24 [rec], [6.1]'],
  ),
  apic_off_exits: parameter<boolean>(
    (fallback) =>
      boolean({
        summary:
          'under flexpriority the page of a local APIC that is switched off exits, else it is RAM',
        fallback,
      }),
    ['linux-2.6.35', true, 'up to 4.17 [log]: the mode of x2APIC alone was followed'],
    ['linux-6.1', false, '4.18 [log], [6.1]: vmx_set_virtual_apic_mode'],
  ),
  mmio_caching: parameter<boolean>(
    (fallback) =>
      boolean({
        summary: 'device memory that was touched exits as EPT_MISCONFIG, else as EPT_VIOLATION',
        fallback,
      }),
    ['linux-2.6.35', false, 'not before 3.1 [rec]'],
    ['linux-3.15', true, '3.1 [rec]; a module parameter since 5.19 [6.1]'],
  ),
  preempted_flag: parameter<KvmParameters['preemptedFlag']>(
    (fallback) =>
      choice(PREEMPTED_FLAGS, {
        summary:
          'which preemptions a steal-time record shows: none, all, or those by an interrupt of the host',
        fallback,
      }),
    ['linux-2.6.35', 'never', 'not before 4.10'],
    ['linux-4.12', 'always', '4.10 [rec]'],
    ['linux-6.1', 'interrupt', '5.19 [rec], [6.1]'],
  ),
} as const;

/** Keys of `host.scheduler`. */
export const SCHEDULER_PARAMETERS = {
  fair_class: parameter<SchedulerParameters['fairClass']>(
    (fallback) =>
      choice(FAIR_CLASSES, { summary: 'how the fair class chooses who runs', fallback }),
    ['linux-2.6.35', 'cfs-no-skip', '2.6.35 [rec]: a yield only charges the caller'],
    ['linux-2.6.39', 'cfs', '2.6.39 [log]: skip buddy and yield_to'],
    ['linux-6.6', 'eevdf', '6.6 [log]'],
  ),
  yield_to_check: parameter<boolean>(
    (fallback) =>
      boolean({
        summary: 'yield_to gives -ESRCH if both queues hold a single thread',
        fallback,
      }),
    ['linux-2.6.35', false, 'not before 3.9'],
    ['linux-3.15', true, '3.9 [rec]'],
  ),
  preemption: parameter<SchedulerParameters['preemption']>(
    (fallback) =>
      choice(PREEMPTION_MODELS, {
        summary: "preemption model of the host's kernel: where a vCPU makes way in KVM_RUN",
        fallback,
      }),
    ['linux-2.6.35', 'voluntary', 'a build option; the usual one of distributions'],
  ),
  entry_resched: parameter<SchedulerParameters['entryResched']>(
    (fallback) =>
      choice(ENTRY_RESCHEDS, {
        summary: 'how a vCPU makes way before it enters the guest: R+ in traces, or R',
        fallback,
      }),
    [
      'linux-2.6.35',
      'schedule',
      'cond_resched, of which preemptible kernels alone told up to 4.3 [log]',
    ],
    ['linux-4.8', 'cond_resched', '[4.8]'],
    ['linux-6.1', 'schedule', '5.9 [rec], [6.1]: xfer_to_guest_mode_handle_work'],
  ),
  latency: parameter<number>(
    (fallback) =>
      duration({
        summary: 'CFS: period in which everybody runs once, for one pCPU; scaled by the kernel',
        fallback,
      }),
    ['linux-2.6.35', 6_000_000, '[2.6.35], [6.1]'],
  ),
  min_granularity: parameter<number>(
    (fallback) =>
      duration({
        summary: 'least slice of a thread, and base slice of EEVDF, for one pCPU',
        fallback,
      }),
    ['linux-2.6.35', 2_000_000, '[2.6.35]'],
    ['linux-2.6.38', 750_000, '2.6.37 [rec], [6.1]'],
  ),
  wakeup_granularity: parameter<number>(
    (fallback) =>
      duration({
        summary:
          'CFS: how far behind a thread must be to be preempted by a woken one, for one pCPU',
        fallback,
      }),
    ['linux-2.6.35', 1_000_000, '[6.1]'],
  ),
  balance_by: parameter<SchedulerParameters['balanceBy']>(
    (fallback) =>
      choice(BALANCE_RULES, {
        summary: 'how load balancing measures imbalance: by average load, or by type of group',
        fallback,
      }),
    ['linux-2.6.35', 'load', 'until 5.4 [rec]'],
    ['linux-6.1', 'type', '5.5 [log], [6.1]'],
  ),
  migration_cost: parameter<number>(
    (fallback) =>
      duration({
        summary: 'who ran less than that ago has warm caches and is not moved by load balancing',
        fallback,
      }),
    ['linux-2.6.35', 500_000, '[6.1]'],
  ),
  busy_factor: parameter<number>(
    (fallback) =>
      integer(1, 1000, {
        summary: 'a busy pCPU balances so many times more seldom than an idle one',
        fallback,
      }),
    ['linux-2.6.35', 64, 'SD_MC_INIT, SD_CPU_INIT, until 3.15'],
    ['linux-4.8', 32, 'sd_init, 3.16 [rec] to 5.9'],
    ['linux-6.1', 16, '5.10 [log], [6.1]'],
  ),
  balance_interval_ms: parameter<number>(
    (fallback) =>
      integer(0, 1000, {
        summary:
          'a pCPU that is idle balances so often, in ms, and a quarter as often after nothing ' +
          'was to be done; 0: as many ms as the domain has pCPUs, and half as often',
        fallback,
      }),
    ['linux-2.6.35', 1, 'SD_MC_INIT, SD_CPU_INIT, until 3.15'],
    ['linux-4.8', 0, 'sd_init, 3.16 [rec], [6.1]'],
  ),
  imbalance_pct: parameter<number>(
    (fallback) =>
      integer(100, 1000, {
        summary: "a pCPU may have so many per cent of another one's load",
        fallback,
      }),
    ['linux-2.6.35', 125, 'until 5.9 [rec]'],
    ['linux-6.1', 117, '5.10 [log], [6.1]'],
  ),
  newidle_min: parameter<number>(
    (fallback) =>
      duration({
        summary: 'who is idle for less than that on average does not look for work before it idles',
        fallback,
      }),
    ['linux-2.6.35', 500_000, 'sysctl_sched_migration_cost, until 5.16 [rec]'],
    ['linux-6.1', 0, 'the measured cost of balancing [6.1], which is nothing here'],
  ),
  active_balance: parameter<boolean>(
    (fallback) =>
      boolean({
        summary: 'balancing between packages moves running threads, if nobody waits there',
        fallback,
      }),
    ['linux-2.6.35', false, 'all kernels do [6.1]; see docs/decisions/load-balancing.md'],
  ),
  wake_affine: parameter<boolean>(
    (fallback) =>
      boolean({ summary: 'a woken thread may come to the pCPU of its waker', fallback }),
    ['linux-2.6.35', true, '[6.1]'],
  ),
  sched_idle_cpu: parameter<boolean>(
    (fallback) =>
      boolean({
        summary: 'a woken thread may come where only SCHED_IDLE runs, as to an idle pCPU',
        fallback,
      }),
    ['linux-2.6.35', false, 'not before 5.4 [rec]'],
    ['linux-6.1', true, '5.4 [rec], [6.1]'],
  ),
  cfs_bandwidth_slice: parameter<number>(
    (fallback) =>
      duration({ summary: "part of a group's quota that a pCPU takes at once", fallback }),
    ['linux-2.6.35', 5_000_000, 'sysctl_sched_cfs_bandwidth_slice, 3.2 [rec], [6.1]'],
  ),
  schedstats: parameter<boolean>(
    (fallback) =>
      boolean({
        summary: 'traces have sched_stat_runtime, sched_stat_wait and sched_stat_sleep',
        fallback,
      }),
    ['linux-2.6.35', false, 'sysctl kernel.sched_schedstats; a build option before 4.6 [rec]'],
  ),
} as const;

type Parameters = Readonly<Record<string, KernelParameter<unknown>>>;

/** The scenario values of a table of parameters. */
export type ScalarsOf<P> = {
  readonly [Key in keyof P]: P[Key] extends KernelParameter<infer T> ? Scalar<T> : never;
};

/** The entry that holds for a kernel. */
export function holding<T>({ since }: KernelParameter<T>, kernel: Kernel): Since<T> {
  const at = KERNELS.indexOf(kernel);
  const found = since.findLast((entry) => KERNELS.indexOf(entry.kernel) <= at);
  if (found === undefined) throw new Error(`nothing is known of ${kernel}`);
  return found;
}

/**
 * Scenario values with the defaults of a kernel.
 * @param instead defaults that the machine gives
 */
export function scalarsFor<P extends Parameters>(
  parameters: P,
  kernel: Kernel,
  instead: Readonly<Record<string, unknown>> = {},
): ScalarsOf<P> {
  const fallback = (key: string, row: KernelParameter<unknown>) =>
    key in instead ? instead[key] : holding(row, kernel).value;
  return Object.fromEntries(
    Object.entries(parameters).map(([key, row]) => [key, row.schema(fallback(key, row))]),
  ) as ScalarsOf<P>;
}

/** The parameters of kernels by scenario key. */
export const KERNEL_PARAMETERS: Readonly<Record<string, KernelParameter<unknown>>> = {
  ...keyed('host.scheduler', SCHEDULER_PARAMETERS),
  ...keyed('vms[].kvm', KVM_PARAMETERS),
};

function keyed(prefix: string, parameters: Parameters): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).map(([key, row]) => [`${prefix}.${key}`, row]),
  );
}

/** A value as a user would write it. */
export function printValue<T>(row: KernelParameter<T>, value: T): string {
  return row.schema(value).fallbackText;
}
