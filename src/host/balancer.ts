// Load balancing: at its tick, when it is called while idle, and when it is about to become idle, a
// pCPU looks in each of its domains for the busiest group and pulls waiting threads from there.
// Linux kernel/sched/fair.c, rebalance_domains, load_balance and newidle_balance.
//
// Deviation: a thread that may not move does not mark its group as imbalanced for the domain above.

import { asDouble } from '../sim/index.ts';
import { type Domain, domainsOf } from './domains.ts';
import type { Host } from './host.ts';
import {
  type Busiest,
  busiestByLoad,
  busiestByType,
  type GroupLoad,
  type Idleness,
  type Imbalance,
} from './imbalance.ts';
import type { Pcpu } from './pcpu.ts';
import type { Thread } from './thread.ts';

/** A domain of one pCPU. Plain data, saved and hashed as it is. */
export interface DomainState {
  /** Tick number of the last time it was balanced. */
  lastTick: number;
  /** Until the next time, in ms, while the pCPU is idle. */
  intervalMs: number;
  /** Times in a row that threads should have moved and none could. */
  failed: number;
}

/** What balancing remembers of a pCPU. Plain data, saved and hashed as it is. */
export interface BalanceState {
  readonly domains: DomainState[];
  /** Load as ticks saw it, a quarter of it new each time. Linux cpu_load[2], until 5.2. */
  tickLoad: number;
  /** How long it has been idle on average, in ns. */
  averageIdleNs: number;
  /** Since when it is idle without having found anything, in ns; -1 while it is not. */
  idleSinceNs: number;
  /** pCPU to which its stopper is to push the thread that ran there; left out for none. */
  pushTo?: number;
}

/** At most so many threads are moved at once (sysctl_sched_nr_migrate). */
const MOST_MOVED = 32;

/** Longest interval in ms where all threads are pinned (MAX_PINNED_INTERVAL). */
const PINNED_INTERVAL_MS = 512;

/** What became of an attempt to pull from one pCPU. */
interface Pulled {
  readonly moved: number;
  readonly allPinned: boolean;
}

/** What balancing needs of the scheduler. */
export interface Mover {
  /** Charge who runs on a pCPU up to now. */
  charge(pcpu: Pcpu, actor: Pcpu): void;
  /** Let a thread that was taken out of its queue follow to another pCPU. */
  move(thread: Thread, to: Pcpu): void;
  /** Wake the stopper of a pCPU. */
  stop(pcpu: Pcpu, actor: Pcpu): void;
}

export class Balancer {
  private readonly host: Host;
  private readonly domains: readonly (readonly Domain[])[];
  private readonly states: BalanceState[];
  private readonly mover: Mover;

  constructor(host: Host, packages: readonly (readonly number[])[], mover: Mover) {
    this.host = host;
    this.mover = mover;
    this.domains = host.pcpus.map(({ index }) => domainsOf(index, packages));
    this.states = this.domains.map((domains) => ({
      domains: domains.map((domain) => {
        return { lastTick: 0, intervalMs: this.leastMs(domain), failed: 0 };
      }),
      tickLoad: 0,
      averageIdleNs: 2 * host.parameters.migrationCostNs,
      idleSinceNs: asDouble(-1),
    }));
  }

  get state(): readonly BalanceState[] {
    return this.states;
  }

  set state(saved: readonly BalanceState[]) {
    this.states.splice(0, this.states.length, ...saved);
  }

  /** pCPUs that share a cache with this one, itself included. */
  sharingCache(pcpu: Pcpu): readonly number[] {
    const near = this.domains[pcpu.index].find(({ sharesCache }) => sharesCache);
    return near === undefined ? [pcpu.index] : near.groups.map(([index]) => index);
  }

  /** At the tick of a busy pCPU. */
  tick(pcpu: Pcpu): void {
    const state = this.states[pcpu.index];
    const load = pcpu.queue.load;
    const rounding = load > state.tickLoad ? 3 : 0;
    state.tickLoad = (3 * state.tickLoad + load + rounding) >> 2;
    this.rebalance(pcpu, 'busy');
  }

  /** An idle pCPU was called to look around. */
  called(pcpu: Pcpu): void {
    this.rebalance(pcpu, 'idle');
  }

  /** A pCPU has nothing to run: it looks for something at once, if it is idle for long enough. */
  becomesIdle(pcpu: Pcpu): void {
    const state = this.states[pcpu.index];
    state.idleSinceNs = pcpu.nowNs;
    state.tickLoad = 0;
    if (state.averageIdleNs < this.host.parameters.newIdleMinNs) return;
    for (const domain of this.domains[pcpu.index].keys()) {
      if (this.balance(pcpu, domain, 'new-idle') > 0) break;
    }
    if (pcpu.queue.runningCount > 0) state.idleSinceNs = -1;
  }

  /** An idle pCPU is given a thread. core.c, ttwu_do_wakeup. */
  wokenUp(pcpu: Pcpu): void {
    const state = this.states[pcpu.index];
    if (state.idleSinceNs < 0) return;
    const idle = Math.max(0, pcpu.nowNs - state.idleSinceNs);
    const average = state.averageIdleNs + Math.trunc((idle - state.averageIdleNs) / 8);
    state.averageIdleNs = Math.min(average, 2 * this.host.parameters.migrationCostNs);
    state.idleSinceNs = -1;
  }

  private rebalance(pcpu: Pcpu, idle: Idleness): void {
    const tick = Math.floor((pcpu.nowNs * this.host.config.hz) / 1_000_000_000);
    this.states[pcpu.index].domains.forEach((state, domain) => {
      if (tick - state.lastTick < this.intervalTicks(state, idle)) return;
      this.balance(pcpu, domain, idle);
      state.lastTick = tick;
    });
  }

  /** Until 3.15 topology.h, SD_MC_INIT and SD_CPU_INIT: 1 to 4 ms; then core.c, sd_init. */
  private leastMs({ size }: Domain): number {
    const { balanceIntervalMs } = this.host.parameters;
    return balanceIntervalMs === 0 ? size : balanceIntervalMs;
  }

  private mostMs({ size }: Domain): number {
    const { balanceIntervalMs } = this.host.parameters;
    return balanceIntervalMs === 0 ? 2 * size : 4 * balanceIntervalMs;
  }

  /** fair.c, get_sd_balance_interval. */
  private intervalTicks({ intervalMs }: DomainState, idle: Idleness): number {
    const { hz } = this.host.config;
    const { busyFactor } = this.host.parameters;
    const ms = idle === 'busy' ? intervalMs * busyFactor : intervalMs;
    const ticks = Math.ceil((ms * hz) / 1000) - (idle === 'busy' ? 1 : 0);
    const most = Math.floor((hz * this.host.pcpus.length) / 10);
    return Math.min(Math.max(ticks, 1), Math.max(most, 1));
  }

  /** Pull threads within a domain; how many moved. */
  private balance(pcpu: Pcpu, level: number, idle: Idleness): number {
    const domain = this.domains[pcpu.index][level];
    const state = this.states[pcpu.index].domains[level];
    if (!this.isOurs(pcpu, domain, idle)) return 0;
    const pinned = new Set<number>();
    for (;;) {
      const busiest = this.busiest(domain, idle, pinned);
      const from = busiest === null ? null : this.busiestPcpu(domain, busiest, idle, pinned);
      if (busiest === null || from === null) {
        this.balanced(state, domain, idle, pinned.size > 0);
        return 0;
      }
      const { moved, allPinned } = this.pull(from, pcpu, busiest.imbalance, state, domain, idle);
      if (moved > 0) {
        state.failed = 0;
        state.intervalMs = this.leastMs(domain);
        return moved;
      }
      if (!allPinned) {
        if (idle !== 'new-idle') state.failed++;
        if (this.needsPush(busiest, state, domain) && this.push(from, pcpu)) {
          // One at a time: until it is done, balancing has to fail again.
          state.failed = domain.cacheNiceTries + 1;
        }
        state.intervalMs = this.leastMs(domain);
        return 0;
      }
      pinned.add(from.index);
    }
  }

  /** fair.c, need_active_balance. */
  private needsPush({ imbalance }: Busiest, { failed }: DomainState, domain: Domain): boolean {
    const { activeBalance, balanceBy } = this.host.parameters;
    if (!activeBalance || failed <= domain.cacheNiceTries + 2) return false;
    return balanceBy === 'load' || imbalance.unit === 'threads';
  }

  /**
   * Have the stopper of a pCPU move the thread that runs there, if it may be moved. Linux
   * stop_machine.c, stop_one_cpu_nowait.
   */
  private push(from: Pcpu, to: Pcpu): boolean {
    const state = this.states[from.index];
    const { current } = from;
    if (current === null || current.isRealTime || !current.affinity.includes(to.index))
      return false;
    if (state.pushTo !== undefined) return false;
    state.pushTo = to.index;
    this.mover.stop(from, to);
    return true;
  }

  /** The stopper of a pCPU runs. fair.c, active_load_balance_cpu_stop. */
  pushed(from: Pcpu): void {
    const state = this.states[from.index];
    const { pushTo } = state;
    if (pushTo === undefined) return;
    delete state.pushTo;
    const thread = [...from.queue.waiting]
      .sort((a, b) => a.state.execStartNs - b.state.execStartNs)
      .find(({ affinity }) => affinity.includes(pushTo));
    if (thread === undefined) return;
    this.host.scheduler.move(thread, this.host.pcpus[pushTo], from);
    // The domain of the target that reaches this pCPU has balanced.
    const level = this.domains[pushTo].findIndex(({ groups }) =>
      groups.some((group) => group.includes(from.index)),
    );
    this.states[pushTo].domains[level].failed = 0;
  }

  /** An idle pCPU of another package, if there is more than one busy pCPU in this one. */
  idleElsewhere(pcpu: Pcpu): Pcpu | undefined {
    const { pcpus, parameters } = this.host;
    const near = this.sharingCache(pcpu);
    if (!parameters.activeBalance || near.length === pcpus.length) return undefined;
    if (near.filter((index) => !pcpus[index].isIdle).length < 2) return undefined;
    return pcpus.find(({ index, isIdle, queue }) => {
      return isIdle && queue.runningCount === 0 && !near.includes(index);
    });
  }

  /** Nothing is to be done, or can be: the next time is later. */
  private balanced(state: DomainState, domain: Domain, idle: Idleness, pinned: boolean): void {
    state.failed = 0;
    if (idle === 'new-idle') return;
    const most = pinned ? PINNED_INTERVAL_MS : this.mostMs(domain);
    if (state.intervalMs < most) state.intervalMs *= 2;
  }

  /** In each group one pCPU balances: the first idle one, or else the first. */
  private isOurs(pcpu: Pcpu, { groups, local }: Domain, idle: Idleness): boolean {
    if (idle === 'new-idle') return true;
    const group = groups[local];
    const first = group.find((index) => this.host.pcpus[index].queue.runningCount === 0);
    return pcpu.index === (first ?? group[0]);
  }

  private busiest(domain: Domain, idle: Idleness, pinned: ReadonlySet<number>): Busiest | null {
    const groups = domain.groups.map((group, i) =>
      this.loadOf(
        group.filter((index) => !pinned.has(index)),
        group.length,
        idle,
        i === domain.local,
      ),
    );
    const { balanceBy, imbalancePct } = this.host.parameters;
    const load = { groups, local: domain.local, sharesCache: domain.sharesCache, imbalancePct };
    return balanceBy === 'load' ? busiestByLoad(load, idle) : busiestByType(load, idle);
  }

  private loadOf(
    group: readonly number[],
    pcpus: number,
    idle: Idleness,
    isLocal: boolean,
  ): GroupLoad {
    let load = 0;
    let running = 0;
    let idlePcpus = 0;
    for (const index of group) {
      const { queue } = this.host.pcpus[index];
      load += this.pcpuLoad(index, idle, isLocal);
      running += queue.runningCount;
      if (queue.runningCount === 0) idlePcpus++;
    }
    return { load, running, idlePcpus, pcpus };
  }

  /** One's own load is rather over-, that of others under-estimated. fair.c, source_load. */
  private pcpuLoad(index: number, idle: Idleness, isLocal: boolean): number {
    const { load } = this.host.pcpus[index].queue;
    if (idle !== 'busy') return load;
    const { tickLoad } = this.states[index];
    return isLocal ? Math.max(load, tickLoad) : Math.min(load, tickLoad);
  }

  /** fair.c, find_busiest_queue. */
  private busiestPcpu(
    domain: Domain,
    { group, imbalance }: Busiest,
    idle: Idleness,
    pinned: ReadonlySet<number>,
  ): Pcpu | null {
    const isLoad = imbalance.unit === 'load';
    // Who runs alone may be pushed.
    const least = this.host.parameters.activeBalance ? 1 : 2;
    let best: Pcpu | null = null;
    let most = 0;
    for (const index of domain.groups[group]) {
      const { queue } = this.host.pcpus[index];
      if (pinned.has(index) || queue.runningCount < least) continue;
      const measure = isLoad ? this.pcpuLoad(index, idle, false) : queue.runningCount;
      if (isLoad && queue.runningCount === 1 && measure > imbalance.amount) continue;
      if (measure <= most) continue;
      most = measure;
      best = this.host.pcpus[index];
    }
    return best;
  }

  /** Move waiting threads, the coldest first. fair.c, detach_tasks and attach_tasks. */
  private pull(
    from: Pcpu,
    to: Pcpu,
    { unit, amount }: Imbalance,
    { failed }: DomainState,
    { cacheNiceTries }: Domain,
    idle: Idleness,
  ): Pulled {
    const { balanceBy, preemption } = this.host.parameters;
    this.mover.charge(from, to);
    const waiting = [...from.queue.waiting].sort(
      (a, b) => a.state.execStartNs - b.state.execStartNs,
    );
    let left = amount;
    let moved = 0;
    let isAllPinned = true;
    for (const thread of waiting.slice(0, MOST_MOVED)) {
      if (left <= 0) break;
      if (!thread.affinity.includes(to.index)) continue;
      isAllPinned = false;
      if (failed <= cacheNiceTries && this.isHot(thread, from, to)) continue;
      const load = from.queue.loadOf(thread);
      if (unit === 'load') {
        if ((balanceBy === 'load' ? load >> 1 : load >> Math.min(failed, 30)) > left) continue;
        left -= load;
      } else left--;
      from.queue.takeForMove(thread);
      this.mover.move(thread, to);
      moved++;
      // A kernel that preempts keeps the latency of becoming idle short.
      if (idle === 'new-idle' && preemption === 'full') break;
    }
    // Who runs alone is not looked at here.
    const isAlone = from.queue.runningCount === 1 && moved === 0;
    return { moved, allPinned: isAllPinned && !isAlone };
  }

  /** It ran a moment ago, or is about to run: its data is in the cache there. fair.c, task_hot. */
  private isHot(thread: Thread, from: Pcpu, to: Pcpu): boolean {
    if (to.queue.runningCount > 0 && from.queue.isBuddy(thread)) return true;
    if (thread.state.sumExecNs === 0) return false;
    const idleNs = from.nowNs - thread.state.execStartNs;
    return idleNs < this.host.parameters.migrationCostNs;
  }
}
