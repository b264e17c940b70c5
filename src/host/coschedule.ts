// Co-scheduling: the threads of a set, the vCPUs of one virtual machine, are kept from falling
// behind each other by more than a threshold. Not Linux's: it is what VMware's schedulers do, on
// top of the fair class. Strict: one that is too far behind stops all of them, until there are
// pCPUs for all that are runnable. Relaxed: those are stopped that are too far ahead, each for
// itself.
// Sources, and what they leave open: docs/decisions/co-scheduling.md.
//
// Who is stopped is runnable and waits, but in no queue: to its guest that is stolen time.

import type { Host } from './host.ts';
import type { Pcpu } from './pcpu.ts';
import {
  assignPlaces,
  fallBehind,
  isSkewed,
  type SkewMember,
  tooFarAhead,
  withoutSleptLead,
} from './skew.ts';
import type { Thread } from './thread.ts';

export const COSCHEDULING_MODES = ['none', 'strict', 'relaxed'] as const;

export type CoschedulingMode = (typeof COSCHEDULING_MODES)[number];

export interface CoscheduleConfig {
  readonly mode: Exclude<CoschedulingMode, 'none'>;
  /** So much skew, in ns, is not too much. */
  readonly skewNs: number;
}

/** Plain data, saved and hashed as it is. Lists are by thread, times in cycles. */
export interface CoscheduleState {
  /** How far each is behind the one that is furthest. */
  behind: number[];
  /** How long each had waited in all when that was measured. */
  waited: number[];
  /** Who is stopped, or has to stop. */
  held: boolean[];
  /** Since when it is stopped; -1 while it is not. */
  since: number[];
  /** How often, and how long in all, each has been stopped. */
  stops: number[];
  stopped: number[];
  /** Strict: what each has had more than those that waited where it ran, in ns of virtual time. */
  leads: number[];
  /** Strict, by pCPU: its virtual run time when all were stopped, in ns. */
  clocks: number[];
  /** Id of the timer that looks again, or 0 while nobody is stopped. */
  timer: number;
}

export class Coschedule {
  readonly config: CoscheduleConfig;
  readonly threads: readonly Thread[];
  state: CoscheduleState;
  private readonly host: Host;
  private readonly threshold: number;
  private readonly handler: string;

  /** @param index position among those of the host */
  constructor(host: Host, index: number, threads: readonly Thread[], config: CoscheduleConfig) {
    this.host = host;
    this.threads = threads;
    this.config = config;
    this.threshold = host.frequency.toCycles(config.skewNs);
    this.handler = `coschedule-${index}`;
    const zeros = () => threads.map(() => 0);
    this.state = {
      behind: zeros(),
      waited: zeros(),
      held: threads.map(() => false),
      since: threads.map(() => -1),
      stops: zeros(),
      stopped: zeros(),
      leads: zeros(),
      clocks: host.pcpus.map(() => 0),
      timer: 0,
    };
    host.timers.register(this.handler, (pcpu) => {
      this.state.timer = 0;
      this.look(pcpu);
    });
  }

  /** A thread of the set has to stop, or must not start. */
  holds(thread: Thread): boolean {
    return this.state.held[this.threads.indexOf(thread)];
  }

  /** It is runnable, and in no queue. */
  hasStopped(thread: Thread): boolean {
    return this.state.since[this.threads.indexOf(thread)] >= 0;
  }

  /** How long a thread has been stopped, in cycles, up to a time. */
  stoppedUpTo(now: number, i: number): number {
    const { stopped, since } = this.state;
    return stopped[i] + (since[i] < 0 ? 0 : Math.max(0, now - since[i]));
  }

  /**
   * A thread that is held has left its queue, or does not enter one.
   * @param lead what it has had more than others there, in ns of virtual time
   */
  stoppedAt(thread: Thread, time: number, lead: number): void {
    const { state } = this;
    const i = this.threads.indexOf(thread);
    state.since[i] = time;
    state.leads[i] = lead;
    state.stops[i]++;
  }

  /** Measure progress, in host context: at each tick, and by a timer while somebody is stopped. */
  look(pcpu: Pcpu): void {
    const { state } = this;
    if (this.config.mode === 'strict') this.lookStrictly(pcpu);
    else this.lookRelaxed(pcpu);
    // Where nothing else runs there are no ticks.
    if (state.timer !== 0 || !state.held.includes(true)) return;
    const { timers, config, frequency } = this.host;
    const expires = pcpu.now + frequency.toCycles(1_000_000_000 / config.hz);
    state.timer = timers.arm(this.handler, expires, pcpu);
  }

  private lookStrictly(pcpu: Pcpu): void {
    const { state } = this;
    if (!state.held.includes(true)) {
      this.measure(pcpu.now);
      if (!isSkewed(state.behind, this.threshold)) return;
      state.clocks = this.host.pcpus.map(({ queue }) => queue.virtualNow);
      this.hold(
        pcpu,
        this.threads.map(() => true),
      );
      return;
    }
    const awake = this.threads.filter(({ state: { status } }) => {
      return status === 'running' || status === 'runnable';
    });
    const places = this.placesFor(awake);
    if (places === null) return;
    state.held = this.threads.map(() => false);
    awake.forEach((thread, i) => {
      this.release(thread, this.host.pcpus[places[i]], pcpu, true);
    });
    // What was is made up for, or not to be: they begin again side by side.
    this.measure(pcpu.now);
    state.behind = this.threads.map(() => 0);
  }

  /** A pCPU for each, all different; null if there are not enough, or somebody runs yet. */
  private placesFor(awake: readonly Thread[]): number[] | null {
    if (awake.some((thread) => !this.hasStopped(thread))) return null;
    const wishes = awake.map((thread) => {
      const { state, affinity } = thread;
      const fit = affinity.filter((index) => this.isThere(this.host.pcpus[index], thread));
      return [...fit].sort((a, b) => Number(b === state.pcpu) - Number(a === state.pcpu));
    });
    return assignPlaces(wishes);
  }

  /**
   * A pCPU that a thread could have now: nothing runs there, or those that do have had as much
   * since it was stopped as it had more than they.
   */
  private isThere({ index, isIdle, current, queue }: Pcpu, thread: Thread): boolean {
    if (queue.isPromised) return false;
    if (isIdle && queue.runningCount === 0) return true;
    if (current?.isRealTime === true) return false;
    const { clocks, leads } = this.state;
    return queue.virtualNow - clocks[index] >= leads[this.threads.indexOf(thread)];
  }

  private lookRelaxed(pcpu: Pcpu): void {
    const { state, threshold } = this;
    this.measure(pcpu.now);
    state.behind = withoutSleptLead(this.members, threshold);
    this.hold(pcpu, tooFarAhead(this.members, threshold));
  }

  private get members(): readonly SkewMember[] {
    const { behind, held } = this.state;
    return this.threads.map(({ state: { status } }, i) => {
      return { behind: behind[i], isAsleep: isAsleep(status), isHeld: held[i] };
    });
  }

  private measure(now: number): void {
    const { state } = this;
    const waited = this.threads.map((thread) => waitedUpTo(now, thread));
    const more = waited.map((cycles, i) => cycles - state.waited[i]);
    state.waited = waited;
    state.behind = fallBehind(state.behind, more);
  }

  /** From here on these are to be stopped, and no others. */
  private hold(actor: Pcpu, held: boolean[]): void {
    const { state, threads, host } = this;
    const before = state.held;
    state.held = held;
    for (const [i, thread] of threads.entries()) {
      if (held[i] && !before[i]) host.scheduler.coStop(thread, actor);
      else if (!held[i] && this.hasStopped(thread)) {
        this.release(thread, host.scheduler.placeWoken(thread, actor), actor, false);
      }
    }
  }

  private release(thread: Thread, target: Pcpu, actor: Pcpu, atOnce: boolean): void {
    const { state } = this;
    const i = this.threads.indexOf(thread);
    state.stopped[i] = this.stoppedUpTo(actor.now, i);
    this.host.scheduler.coStart(thread, target, actor, atOnce);
    state.since[i] = -1;
  }
}

/** Blocked, not begun or over. */
function isAsleep(status: Thread['state']['status']): boolean {
  return status === 'blocked' || status === 'exited';
}

/** How long a thread has been runnable without a pCPU in all, in cycles. */
function waitedUpTo(now: number, { state }: Thread): number {
  const { times, status, sinceCycles } = state;
  return times.waiting + (status === 'runnable' ? Math.max(0, now - sinceCycles) : 0);
}
