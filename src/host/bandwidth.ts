// CFS bandwidth control: a group may run for a quota of each period, on all pCPUs together. pCPUs
// take run time in slices from what the group has; who gets none is throttled until the next
// period, or until another pCPU gives back what it does not need. Linux kernel/sched/fair.c, struct
// cfs_bandwidth and the functions around it; Documentation/scheduler/sched-bwc.rst.
//
// Deviations: run time that a pCPU has taken does not expire at the end of a period (nor does it
// from 5.4 on), and who unthrottles another pCPU's group does so at once (as before 6.3).

import type { Host } from './host.ts';
import type { Pcpu } from './pcpu.ts';
import type { GroupEntity, RuntimeLimit, ThreadGroup } from './thread-group.ts';

/** A group without threads on a pCPU keeps so much there, in ns (min_cfs_rq_runtime). */
const LEAST_KEPT_NS = 1_000_000;

/** So much later, in ns, what was given back is handed out (cfs_bandwidth_slack_period). */
const SLACK_PERIOD_NS = 5_000_000;

/** Not so shortly before the next period, in ns (min_bandwidth_expiration). */
const LEAST_BEFORE_PERIOD_NS = 2_000_000;

export interface BandwidthConfig {
  /** Of each period, in ns; more than a period for more than one pCPU. */
  readonly quotaNs: number;
  readonly periodNs: number;
  /** What is not used of periods may be kept, up to so much, in ns; cpu.max.burst, 5.14. */
  readonly burstNs?: number;
}

/** Plain data, saved and hashed as it is. Times in ns. */
export interface BandwidthState {
  /** What pCPUs may still take. */
  runtimeNs: number;
  /** Nobody has taken anything since the last period began. */
  isIdle: boolean;
  /** Id of the timer of the period, or 0 while nothing runs; and when it expires. */
  periodTimer: number;
  periodEndsNs: number;
  /** Id of the slack timer, or 0. */
  slackTimer: number;
  /** pCPUs on which the group is throttled, in order. */
  readonly throttled: number[];
  /** As in the cgroup's cpu.stat. */
  nrPeriods: number;
  nrThrottled: number;
  throttledTimeNs: number;
  /** With a burst: what there was when the period began; periods that used more than the quota. */
  snapNs?: number;
  nrBursts?: number;
  burstTimeNs?: number;
}

export class Bandwidth implements RuntimeLimit {
  readonly group: ThreadGroup;
  readonly config: BandwidthConfig;
  state: BandwidthState;
  private readonly host: Host;

  constructor(host: Host, group: ThreadGroup, config: BandwidthConfig) {
    this.host = host;
    this.group = group;
    this.config = config;
    this.state = {
      runtimeNs: config.quotaNs,
      isIdle: false,
      periodTimer: 0,
      periodEndsNs: 0,
      slackTimer: 0,
      throttled: [],
      nrPeriods: 0,
      nrThrottled: 0,
      throttledTimeNs: 0,
    };
    host.timers.register(this.periodHandler, (pcpu) => this.periodEnds(pcpu));
    host.timers.register(this.slackHandler, (pcpu) => this.handOutSlack(pcpu));
  }

  private get periodHandler(): string {
    return `cfs-period-${this.group.index}`;
  }

  private get slackHandler(): string {
    return `cfs-slack-${this.group.index}`;
  }

  /** fair.c, __account_cfs_rq_runtime. */
  charge(entity: GroupEntity, ns: number): boolean {
    const { state } = entity;
    state.runtimeNs -= ns;
    if (state.runtimeNs > 0 || state.isThrottled) return true;
    return this.assign(entity, this.host.parameters.bandwidthSliceNs);
  }

  /** fair.c, check_cfs_rq_runtime and throttle_cfs_rq. */
  throttles(entity: GroupEntity): boolean {
    const { state } = entity;
    if (state.isThrottled) return true;
    if (state.runtimeNs > 0 || this.assign(entity, 1)) return false;
    state.isThrottled = true;
    state.throttledSinceNs = this.host.pcpus[entity.pcpu].nowNs;
    this.state.throttled.push(entity.pcpu);
    return true;
  }

  /**
   * Let a pCPU have so much run time, or what there is; false if it has none then. fair.c,
   * __assign_cfs_rq_runtime.
   */
  private assign({ state: local, pcpu }: GroupEntity, targetNs: number): boolean {
    const { state } = this;
    if (state.periodTimer === 0) this.startPeriod(this.host.pcpus[pcpu]);
    if (state.runtimeNs > 0) {
      const amount = Math.min(state.runtimeNs, targetNs - local.runtimeNs);
      state.runtimeNs -= amount;
      state.isIdle = false;
      local.runtimeNs += amount;
    }
    return local.runtimeNs > 0;
  }

  /** Periods begin at multiples of their length. fair.c, start_cfs_bandwidth. */
  private startPeriod(pcpu: Pcpu): void {
    const { state, config } = this;
    state.periodEndsNs = (Math.floor(pcpu.nowNs / config.periodNs) + 1) * config.periodNs;
    const expires = this.host.frequency.toCycles(state.periodEndsNs);
    state.periodTimer = this.host.timers.arm(this.periodHandler, expires, pcpu);
  }

  /** fair.c, sched_cfs_period_timer and do_sched_cfs_period_timer. */
  private periodEnds(pcpu: Pcpu): void {
    const { state, config, host } = this;
    const overrun = Math.floor((pcpu.nowNs - state.periodEndsNs) / config.periodNs) + 1;
    state.periodTimer = 0;
    state.nrPeriods += overrun;
    this.refill();
    const isThrottled = state.throttled.length > 0;
    if (state.isIdle && !isThrottled) return;
    if (isThrottled) {
      state.nrThrottled += overrun;
      this.distribute(pcpu);
      state.isIdle = false;
    } else state.isIdle = true;
    state.periodEndsNs += overrun * config.periodNs;
    const expires = host.frequency.toCycles(state.periodEndsNs);
    state.periodTimer = host.timers.start(this.periodHandler, expires, pcpu);
  }

  /** fair.c, __refill_cfs_bandwidth_runtime. */
  private refill(): void {
    const { state, config } = this;
    const { quotaNs, burstNs = 0 } = config;
    if (burstNs > 0) {
      const overQuotaNs = (state.snapNs ?? quotaNs) - state.runtimeNs - quotaNs;
      if (overQuotaNs > 0) {
        state.nrBursts = (state.nrBursts ?? 0) + 1;
        state.burstTimeNs = (state.burstTimeNs ?? 0) + overQuotaNs;
      }
    }
    state.runtimeNs = Math.min(state.runtimeNs + quotaNs, quotaNs + burstNs);
    if (burstNs > 0) state.snapNs = state.runtimeNs;
  }

  /** Who is throttled gets what it owes and a little more. fair.c, distribute_cfs_runtime. */
  private distribute(pcpu: Pcpu): void {
    const { state, group } = this;
    // Where a debt is longer than what there is, that pCPU stays last in line.
    for (const index of [...state.throttled]) {
      if (state.runtimeNs <= 0) return;
      const entity = group.entities[index];
      const amount = Math.min(state.runtimeNs, 1 - entity.state.runtimeNs);
      state.runtimeNs -= amount;
      entity.state.runtimeNs += amount;
      if (entity.state.runtimeNs > 0) this.unthrottle(entity, pcpu);
    }
  }

  private unthrottle(entity: GroupEntity, actor: Pcpu): void {
    const { throttled } = this.state;
    const pcpu = this.host.pcpus[entity.pcpu];
    const stoppedNs = Math.max(0, actor.nowNs - entity.state.throttledSinceNs);
    this.state.throttledTimeNs += stoppedNs;
    throttled.splice(throttled.indexOf(entity.pcpu), 1);
    this.host.scheduler.unthrottle(pcpu, entity, actor);
  }

  /** fair.c, __return_cfs_rq_runtime. */
  giveBack(entity: GroupEntity): void {
    const { state } = this;
    const spare = entity.state.runtimeNs - LEAST_KEPT_NS;
    if (spare <= 0) return;
    state.runtimeNs += spare;
    entity.state.runtimeNs -= spare;
    const isWorthIt = state.runtimeNs > this.host.parameters.bandwidthSliceNs;
    if (isWorthIt && state.throttled.length > 0) this.startSlack(this.host.pcpus[entity.pcpu]);
  }

  /** fair.c, start_cfs_slack_bandwidth. */
  private startSlack(pcpu: Pcpu): void {
    const { state, host } = this;
    if (state.slackTimer !== 0) return;
    if (this.endsWithin(pcpu, SLACK_PERIOD_NS + LEAST_BEFORE_PERIOD_NS)) return;
    const expires = pcpu.now + host.frequency.toCycles(SLACK_PERIOD_NS);
    state.slackTimer = host.timers.arm(this.slackHandler, expires, pcpu);
  }

  /** fair.c, do_sched_cfs_slack_timer. */
  private handOutSlack(pcpu: Pcpu): void {
    const { state, host } = this;
    state.slackTimer = 0;
    if (this.endsWithin(pcpu, LEAST_BEFORE_PERIOD_NS)) return;
    if (state.runtimeNs > host.parameters.bandwidthSliceNs) this.distribute(pcpu);
  }

  /** The next period begins soon enough. fair.c, runtime_refresh_within. */
  private endsWithin({ nowNs }: Pcpu, ns: number): boolean {
    return this.state.periodTimer === 0 || this.state.periodEndsNs - nowNs < ns;
  }
}
