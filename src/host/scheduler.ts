// Who runs where: switching threads, waking them, placing and moving them, and yielding to one.
// Linux kernel/sched/core.c and fair.c. The fair queue decides the order on one pCPU; this file
// knows all of them.

import Long from 'long';
import { Balancer } from './balancer.ts';
import { packagesOf } from './domains.ts';
import { beginDonation, endDonation } from './donation.ts';
import type { Host } from './host.ts';
import type { Pcpu } from './pcpu.ts';
import type { BodyOutcome, Thread } from './thread.ts';
import type { GroupEntity } from './thread-group.ts';

/** What {@link Scheduler.yieldTo} achieved, as the kernel's yield_to returns it. */
export type YieldResult =
  /** 1: the target has been preferred, the caller gives up its pCPU. */
  | 'yielded'
  /** 0: the target runs, sleeps, or is not queued. */
  | 'refused'
  /** -ESRCH: both queues hold a single thread, there is nobody to make way for. */
  | 'alone';

/** A pCPU that a thread may use, for one that has been woken. */
export type PlaceWoken = (thread: Thread, pcpus: readonly Pcpu[], waker: Pcpu) => Pcpu;

/** Why a thread gave its pCPU back. */
type HandedBack = Exclude<BodyOutcome, 'limit' | 'quiet'>;

export class Scheduler {
  private readonly host: Host;
  readonly balancer: Balancer;

  constructor(host: Host) {
    this.host = host;
    const packages = packagesOf(host.config.pcpuCount, host.config.packages ?? 1);
    this.balancer = new Balancer(host, packages, {
      charge: (pcpu, actor) => this.charge(pcpu, actor),
      move: (thread, to) => this.moved(thread, to),
      stop: (pcpu, actor) => this.wake(host.stoppers[pcpu.index], actor),
    });
  }

  /** Run the current thread of a pCPU up to the limit, and do what it then asks for. */
  advance(pcpu: Pcpu): BodyOutcome {
    const thread = pcpu.current as Thread;
    const outcome = thread.body.run(pcpu);
    if (outcome !== 'limit' && outcome !== 'quiet') this.schedule(pcpu, outcome);
    return outcome;
  }

  /**
   * Make a new thread runnable, on the allowed pCPU with the fewest threads; of several the first
   * in `order`. Before the run begins it is switched in at once where nothing runs; later `actor`
   * creates it, in host context. core.c, wake_up_new_task.
   */
  start(
    thread: Thread,
    order: readonly number[] = thread.affinity,
    actor: Pcpu | null = null,
  ): void {
    const allowed = order.filter((index) => thread.affinity.includes(index));
    const pcpu = this.leastLoaded(allowed.length > 0 ? allowed : thread.affinity);
    thread.state.pcpu = pcpu.index;
    if (this.staysOut(thread, (actor ?? pcpu).now)) return;
    this.charge(pcpu, actor ?? pcpu);
    pcpu.queue.enqueue(thread, 'new');
    this.becomeRunnable(thread, (actor ?? pcpu).now);
    if (actor === null) {
      if (pcpu.isIdle) this.schedule(pcpu, 'resched');
      return;
    }
    const preempts = !pcpu.needResched && pcpu.queue.wakeupPreempts(thread);
    if (pcpu.isIdle || preempts) this.reschedule(pcpu, actor);
  }

  /**
   * Wake a blocked thread; false if it was not blocked. `waker` pays and sends the interrupt that
   * makes another pCPU look. core.c, try_to_wake_up.
   */
  wake(thread: Thread, waker: Pcpu): boolean {
    if (thread.state.status !== 'blocked') return false;
    waker.spend(this.host.costs.wakeUp);
    const isHeld = thread.coschedule?.holds(thread) === true;
    const target = isHeld ? this.host.pcpus[thread.state.pcpu] : this.placeWoken(thread, waker);
    if (waker.traced) waker.trace('sched_waking', { ...thread.traced, targetCpu: target.index });
    if (isHeld) this.wakeOutside(thread, waker);
    else this.wakeOn(target, thread, waker);
    return true;
  }

  private wakeOn(target: Pcpu, thread: Thread, waker: Pcpu): void {
    if (target.index !== thread.state.pcpu) this.migrated(thread, target, waker);
    this.charge(target, waker);
    target.queue.enqueue(thread, 'woken');
    if (this.host.parameters.schedstats) this.traceSleep(thread, waker);
    this.becomeRunnable(thread, waker.now);
    if (waker.traced) waker.trace('sched_wakeup', { ...thread.traced, targetCpu: target.index });
    if (target.isIdle) this.balancer.wokenUp(target);
    // Who is about to be rescheduled anyway is not preempted, and his buddies stay as they are.
    const preempts = !target.needResched && target.queue.wakeupPreempts(thread);
    if (target.isIdle || preempts) this.reschedule(target, waker);
  }

  /** A woken thread that is co-stopped. */
  private wakeOutside(thread: Thread, waker: Pcpu): void {
    this.staysOut(thread, waker.now);
    if (waker.traced) {
      waker.trace('sched_wakeup', { ...thread.traced, targetCpu: thread.state.pcpu });
    }
  }

  /**
   * Charge who runs on a pCPU up to now; if a group is out of run time, the scheduler has to run
   * there. fair.c, update_curr.
   */
  private charge(pcpu: Pcpu, actor: Pcpu): void {
    const { queue } = pcpu;
    const charged = queue.update(pcpu.nowNs);
    if (queue.takeRunOut()) this.reschedule(pcpu, actor);
    if (charged === 0 || !this.host.parameters.schedstats || !actor.traced) return;
    const { current } = pcpu;
    if (current === null) return;
    const { name: comm, pid, state } = current;
    const vruntime = Long.fromNumber(state.vruntime).toUnsigned();
    actor.trace('sched_stat_runtime', { comm, pid, runtime: charged, vruntime });
  }

  /** How long a thread that is being woken has slept. fair.c, __update_stats_enqueue_sleeper. */
  private traceSleep({ name: comm, pid, state }: Thread, waker: Pcpu): void {
    if (!waker.traced) return;
    const delay = this.host.frequency.toNs(Math.max(0, waker.now - state.sinceCycles));
    waker.trace('sched_stat_sleep', { comm, pid, delay });
  }

  /** How long a thread that is about to run has waited. fair.c, __update_stats_wait_end. */
  private traceWait({ name: comm, pid, state }: Thread, pcpu: Pcpu): void {
    if (!pcpu.traced) return;
    const delay = this.host.frequency.toNs(Math.max(0, pcpu.now - state.sinceCycles));
    pcpu.trace('sched_stat_wait', { comm, pid, delay });
  }

  private becomeRunnable(thread: Thread, now: number): void {
    const { state } = thread;
    // Clocks of pCPUs may differ by a lookahead: a wake-up is never earlier than what it ends.
    const time = Math.max(now, state.sinceCycles);
    state.times.blocked += time - state.sinceCycles;
    state.sinceCycles = time;
    state.status = 'runnable';
  }

  /** A group that was throttled on a pCPU competes there again. fair.c, unthrottle_cfs_rq. */
  unthrottle(pcpu: Pcpu, group: GroupEntity, actor: Pcpu): void {
    this.charge(pcpu, actor);
    pcpu.queue.unthrottle(group);
    if (pcpu.isIdle && pcpu.queue.runningCount > 0) this.reschedule(pcpu, actor);
  }

  /** Who is to become runnable, but is co-stopped, does so in no queue. */
  private staysOut(thread: Thread, now: number): boolean {
    const { coschedule } = thread;
    if (coschedule === null || !coschedule.holds(thread)) return false;
    this.becomeRunnable(thread, now);
    coschedule.stoppedAt(thread, thread.state.sinceCycles, 0);
    return true;
  }

  /** A thread has to stop. Who runs does so where its pCPU switches next. */
  coStop(thread: Thread, actor: Pcpu): void {
    const { state } = thread;
    const pcpu = this.host.pcpus[state.pcpu];
    if (state.status === 'running') this.reschedule(pcpu, actor);
    if (state.status !== 'runnable') return;
    this.charge(pcpu, actor);
    const lead = pcpu.queue.leadOf(thread);
    pcpu.queue.take(thread, false);
    thread.coschedule?.stoppedAt(thread, actor.now, lead);
  }

  /** A thread that was stopped competes again, on another pCPU maybe; `atOnce`, it runs next. */
  coStart(thread: Thread, target: Pcpu, actor: Pcpu, atOnce: boolean): void {
    if (target.index !== thread.state.pcpu) this.migrated(thread, target, actor);
    this.charge(target, actor);
    target.queue.enqueue(thread, 'woken');
    if (target.isIdle) this.balancer.wokenUp(target);
    if (atOnce) target.queue.promise(thread);
    const preempts = !target.needResched && target.queue.wakeupPreempts(thread);
    if (atOnce || target.isIdle || preempts) this.reschedule(target, actor);
  }

  /** Ask a pCPU to run its scheduler; from elsewhere it takes an interrupt. */
  private reschedule(target: Pcpu, from: Pcpu): void {
    if (target.state.needResched) return;
    target.state.needResched = true;
    if (target !== from) this.host.sendIpi(from, target);
  }

  /** Where a thread goes that becomes runnable: as a policy says, or near its waker. */
  placeWoken(thread: Thread, waker: Pcpu): Pcpu {
    const { placeWoken } = this.host.config;
    if (placeWoken === undefined) {
      const place = this.place(thread, waker);
      // core.c, select_fallback_rq: its affinity has changed while it slept.
      return thread.affinity.includes(place.index) ? place : this.host.pcpus[thread.affinity[0]];
    }
    return placeWoken(thread, this.host.pcpus, waker);
  }

  /** Without a policy: near the waker or where it ran. fair.c, select_task_rq_fair. */
  place(thread: Thread, waker: Pcpu): Pcpu {
    const { pcpus } = this.host;
    const previous = pcpus[thread.state.pcpu];
    const target = this.isAffine(thread, waker, previous) ? waker : previous;
    // fair.c, select_idle_sibling.
    const takesIn = (pcpu: Pcpu) => isFree(pcpu) || this.runsOnlyIdle(pcpu);
    if (takesIn(target)) return target;
    const near = this.balancer.sharingCache(target);
    if (near.includes(previous.index) && takesIn(previous)) return previous;
    const from = near.indexOf(target.index);
    const around = [...near.slice(from), ...near.slice(0, from)];
    const idle = around.find((index) => thread.affinity.includes(index) && takesIn(pcpus[index]));
    return idle === undefined ? target : pcpus[idle];
  }

  /** All who run or wait there are of SCHED_IDLE. Linux sched_idle_cpu. */
  private runsOnlyIdle({ queue }: Pcpu): boolean {
    const { hasIdlePolicy, parameters } = this.host;
    return hasIdlePolicy && parameters.schedIdleCpu && queue.isAllIdle;
  }

  /** Whether a woken thread adds less to the waker's pCPU than its own has. fair.c, wake_affine. */
  private isAffine(thread: Thread, waker: Pcpu, previous: Pcpu): boolean {
    const { wakeAffine, imbalancePct } = this.host.parameters;
    if (!wakeAffine || waker === previous || !thread.affinity.includes(waker.index)) return false;
    if (isFree(waker)) return !isFree(previous);
    const here = 100 * (waker.queue.load + thread.weight);
    return here < (100 + ((imbalancePct - 100) >> 1)) * previous.queue.load;
  }

  private leastLoaded(order: readonly number[]): Pcpu {
    const allowed = order.map((index) => this.host.pcpus[index]);
    return allowed.reduce((best, pcpu) =>
      pcpu.queue.runningCount < best.queue.runningCount ? pcpu : best,
    );
  }

  private migrated(thread: Thread, target: Pcpu, actor: Pcpu): void {
    if (actor.traced) {
      actor.trace('sched_migrate_task', {
        ...thread.traced,
        origCpu: thread.state.pcpu,
        destCpu: target.index,
      });
    }
    const origin = this.host.pcpus[thread.state.pcpu];
    const offset = target.queue.minVruntimeFor(thread) - origin.queue.minVruntimeFor(thread);
    // In no queue, a thread keeps its absolute virtual run time; here it follows to the other one.
    if (thread.state.status === 'blocked' || thread.isCoStopped) thread.state.vruntime += offset;
    thread.state.pcpu = target.index;
  }

  /** The scheduler's tick on a busy pCPU. */
  tick(pcpu: Pcpu): void {
    this.charge(pcpu, pcpu);
    if (pcpu.queue.tickPreempts()) pcpu.state.needResched = true;
    this.host.setTick(pcpu, !pcpu.isIdle);
    this.balancer.tick(pcpu);
    this.callIdle(pcpu);
    for (const set of this.host.coschedules) set.look(pcpu);
  }

  /**
   * An idle pCPU has no tick: the tick of another one on which somebody waits makes it look around.
   * fair.c, nohz_balancer_kick.
   */
  private callIdle(pcpu: Pcpu): void {
    const idle =
      this.host.pcpus.find((other) => isFree(other) && this.movable(pcpu, other) !== undefined) ??
      this.balancer.idleElsewhere(pcpu);
    if (idle === undefined) return;
    idle.state.isCalled = true;
    this.host.sendIpi(pcpu, idle);
  }

  /** A thread that balancing has taken out of its queue comes into another one. */
  private moved(thread: Thread, to: Pcpu): void {
    this.migrated(thread, to, to);
    to.queue.enqueue(thread, 'moved');
    if (!to.needResched && to.queue.wakeupPreempts(thread)) to.state.needResched = true;
  }

  /**
   * Move a thread that does not run to another pCPU that it may use, from host context on `actor`:
   * false if it runs. core.c, __migrate_task.
   */
  move(thread: Thread, target: Pcpu, actor: Pcpu): boolean {
    const { status, pcpu: index } = thread.state;
    if (status === 'running') return false;
    if (index === target.index || status === 'exited') return true;
    const isQueued = status === 'runnable' && !thread.isCoStopped;
    if (isQueued) this.host.pcpus[index].queue.takeForMove(thread);
    this.migrated(thread, target, actor);
    if (!isQueued) return true;
    this.charge(target, actor);
    target.queue.enqueue(thread, 'moved');
    const preempts = !target.needResched && target.queue.wakeupPreempts(thread);
    if (target.isIdle || preempts) this.reschedule(target, actor);
    return true;
  }

  /**
   * Say where a thread may run from now on: who is elsewhere goes to the first of these at once.
   * `actor` is where the call happens. core.c, __set_cpus_allowed_ptr and affine_move_task; kernels
   * from 5.6 on take turns among the allowed pCPUs.
   */
  setAffinity(thread: Thread, affinity: readonly number[], actor: Pcpu): void {
    const { state } = thread;
    state.affinity = affinity;
    if (affinity.includes(state.pcpu)) return;
    // Who sleeps is placed anew when it is woken.
    if (state.status === 'blocked' || state.status === 'exited') return;
    if (this.move(thread, this.host.pcpus[affinity[0]], actor)) return;
    this.host.createStoppers();
    this.wake(this.host.stoppers[state.pcpu], actor);
  }

  /** Who ran here and may not any more goes. core.c, migration_cpu_stop. */
  expel(from: Pcpu): void {
    for (const thread of [...from.queue.waiting]) {
      const { affinity } = thread;
      if (!affinity.includes(from.index)) this.move(thread, this.host.pcpus[affinity[0]], from);
    }
  }

  private movable(from: Pcpu, to: Pcpu): Thread | undefined {
    if (from.current?.body.isStopping === true) return undefined;
    return from.queue.waiting.find((thread) => thread.affinity.includes(to.index));
  }

  /**
   * After interrupts were handled: an idle pCPU looks for work, threads do so at their own points.
   */
  afterInterrupt(pcpu: Pcpu): void {
    const { state, isIdle } = pcpu;
    if (state.isCalled && isFree(pcpu)) this.balancer.called(pcpu);
    state.isCalled = false;
    if (isIdle) this.schedule(pcpu, 'resched');
  }

  /** core.c, __schedule: switch to the thread that should run now. */
  schedule(pcpu: Pcpu, why: HandedBack): void {
    const previous = pcpu.current;
    const runnable = previous !== null && why !== 'block' && why !== 'exit';
    this.charge(pcpu, pcpu);
    pcpu.state.needResched = false;
    const stopping = runnable && previous.coschedule?.holds(previous) ? previous.coschedule : null;
    const lead = stopping === null ? 0 : pcpu.queue.leadOf(previous as Thread);
    pcpu.queue.putPrevious(runnable && stopping === null);
    if (pcpu.queue.runningCount === 0) this.balancer.becomesIdle(pcpu);
    const next = pcpu.queue.pickNext(pcpu.nowNs, previous);
    if (next === previous && next !== null) {
      endDonation(next, 0);
      return;
    }
    if (next !== null && this.host.parameters.schedstats) this.traceWait(next, pcpu);
    if (previous !== null) this.switchOut(pcpu, previous, next, why);
    stopping?.stoppedAt(previous as Thread, pcpu.now, lead);
    if (next === null) {
      pcpu.runs(null);
      this.host.setTick(pcpu, false);
    } else this.switchIn(pcpu, previous, next);
    if (previous === null || next === null) this.host.busyChanged(pcpu);
  }

  private switchOut(pcpu: Pcpu, previous: Thread, next: Thread | null, why: HandedBack): void {
    const runnable = why !== 'block' && why !== 'exit';
    previous.body.schedOut(pcpu, runnable);
    if (pcpu.traced) {
      const prevState = PREVIOUS_STATES[why];
      pcpu.trace('sched_switch', {
        prev: previous.traced,
        prevState,
        next: next?.traced ?? { comm: `swapper/${pcpu.index}`, pid: 0, prio: 120 },
      });
    }
    if (next !== null) pcpu.spend(this.host.costs.contextSwitch);
    previous.state.status = runnable ? 'runnable' : why === 'block' ? 'blocked' : 'exited';
    previous.state.sinceCycles = pcpu.now;
  }

  private switchIn(pcpu: Pcpu, previous: Thread | null, next: Thread): void {
    const { state } = next;
    if (previous === null && pcpu.traced) {
      pcpu.trace('sched_switch', {
        prev: { comm: `swapper/${pcpu.index}`, pid: 0, prio: 120 },
        prevState: 'R',
        next: next.traced,
      });
    }
    pcpu.runs(null);
    // It may have become runnable on a pCPU whose clock is ahead of this one.
    pcpu.idleUntil(state.sinceCycles);
    const waited = pcpu.now - state.sinceCycles;
    state.times.waiting += waited;
    endDonation(next, waited);
    state.runDelayNs += this.host.frequency.toNs(waited);
    state.sinceCycles = pcpu.now;
    state.status = 'running';
    state.pcpu = pcpu.index;
    pcpu.queue.beginCharging(pcpu.nowNs);
    pcpu.runs(next);
    this.host.setTick(pcpu, true);
    next.body.schedIn(pcpu);
  }

  /**
   * Prefer `target` over all others that wait, at most a granularity out of turn, and pass the
   * caller over. The caller must then hand back its pCPU with `yield`. core.c, yield_to.
   */
  yieldTo(pcpu: Pcpu, target: Thread): YieldResult {
    const targetPcpu = this.host.pcpus[target.state.pcpu];
    const { fairClass, yieldToCheck } = this.host.parameters;
    const isPointless = pcpu.queue.runningCount === 1 && targetPcpu.queue.runningCount === 1;
    if (yieldToCheck && isPointless) return 'alone';
    // The class had no yield_to before it had a skip buddy.
    if (fairClass === 'cfs-no-skip') return 'refused';
    if (target.state.status !== 'runnable') return 'refused';
    if (!targetPcpu.queue.setNextBuddy(target)) return 'refused';
    this.donate(pcpu);
    pcpu.queue.yieldCurrent(pcpu.nowNs);
    if (targetPcpu !== pcpu) this.reschedule(targetPcpu, pcpu);
    return 'yielded';
  }

  /** The caller goes behind all that wait; it must then hand back its pCPU with `yield`. */
  yieldToLast(pcpu: Pcpu): void {
    this.donate(pcpu);
    pcpu.queue.yieldToLast(pcpu.nowNs);
  }

  /** Who runs gives its pCPU away. */
  private donate(pcpu: Pcpu): void {
    const { current, nowNs, queue } = pcpu;
    if (current === null) return;
    beginDonation(current, this.host.frequency.toCycles(queue.restOfSlice(nowNs)));
  }
}

/** What a switch says of the thread that ran. */
const PREVIOUS_STATES = {
  resched: 'R',
  preempt: 'R+',
  yield: 'R',
  block: 'S',
  exit: 'X',
} as const satisfies Record<HandedBack, string>;

/** Nothing runs there and nothing waits. */
function isFree(pcpu: Pcpu): boolean {
  return pcpu.isIdle && pcpu.queue.runningCount === 0;
}
