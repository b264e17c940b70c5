// The emulated host: pCPUs, threads, one queue of events, and the loop that gives each pCPU its
// turn and lets events happen. Knows nothing of guests: threads have bodies, timers have handlers.

import {
  asDouble,
  copyPlain,
  EventQueue,
  type EventQueueState,
  Frequency,
  Prng,
  type PrngState,
  type SimEvent,
} from '../sim/index.ts';
import type { TraceSink } from '../trace/index.ts';
import type { BalanceState } from './balancer.ts';
import { Bandwidth, type BandwidthConfig, type BandwidthState } from './bandwidth.ts';
import { Coschedule, type CoscheduleConfig, type CoscheduleState } from './coschedule.ts';
import type { HostCosts } from './costs.ts';
import type { Order } from './order.ts';
import { DEFAULT_SCHEDULER, type SchedulerParameters } from './parameters.ts';
import { Pcpu, type PcpuState } from './pcpu.ts';
import type { RelayPolicy } from './relay-policy.ts';
import { RunQueue, type RunQueueState } from './run-queue.ts';
import { type PlaceWoken, Scheduler } from './scheduler.ts';
import { STOPPER_BODY } from './stopper.ts';
import { type BodyOutcome, Thread, type ThreadConfig, type ThreadState } from './thread.ts';
import { type GroupConfig, ThreadGroup } from './thread-group.ts';
import { Timers, type TimersState } from './timers.ts';
import { fairTunables } from './tunables.ts';
import { Turns, type TurnsState } from './turns.ts';
import { IDLE_WEIGHT, weightOfNice } from './weights.ts';

/**
 * `tick` the scheduler tick, `timer` a high-resolution timer (detail: its id), `ipi` a kick,
 * `fault` the interrupt by which a fault comes to its pCPU. A `moment` is no interrupt: somebody is
 * told that its time has come. Details of both are numbers that he knows them by.
 */
export type HostEventKind = 'tick' | 'timer' | 'ipi' | 'fault' | 'moment';

export type HostEvent = SimEvent<HostEventKind>;

/** Whoever makes faults: hears of what he has posted. */
export interface FaultSource {
  /** Between two turns; nobody is interrupted. `detail` as posted, `time` in cycles. */
  due(detail: number, time: number): void;
  /** In host context of the pCPU that {@link Host.interrupt} has interrupted. */
  arrived(detail: number, pcpu: Pcpu): void;
}

export interface HostConfig {
  readonly pcpuCount: number;
  /** Among so many packages, each with a last-level cache of its own, the pCPUs are spread. */
  readonly packages?: number;
  /** TSC rate, cycles per millisecond. */
  readonly khz: number;
  /** Scheduler ticks per second. */
  readonly hz: number;
  /** Cycles of a turn: within so many, a pCPU sees what another one did. */
  readonly lookahead: number;
  /** Leave out what only waits; makes no difference but to real time. */
  readonly skip: boolean;
  readonly seed: number;
  readonly costs: HostCosts;
  /** What differs from the scheduler of Linux 6.1. */
  readonly scheduler?: Partial<SchedulerParameters>;
  /** Where a woken thread is to run, instead of the scheduler's own choice. */
  readonly placeWoken?: PlaceWoken;
}

/** Everything about a host that changes: plain data. */
export interface HostState {
  readonly pcpus: readonly PcpuState[];
  readonly queues: readonly RunQueueState[];
  readonly threads: readonly ThreadState[];
  readonly events: EventQueueState<HostEventKind>;
  readonly timers: TimersState;
  readonly prng: PrngState;
  readonly turns: TurnsState;
  readonly balance: readonly BalanceState[];
  /** Of the control groups that have a quota, in order; left out if there are none. */
  readonly bandwidths?: readonly BandwidthState[];
  /** Of the sets of threads that are co-scheduled; left out if there are none. */
  readonly coschedules?: readonly CoscheduleState[];
}

/** A place in the middle of a turn: the first boundary of a pCPU at or past a time in cycles. */
export interface PausePoint {
  readonly pcpu: number;
  readonly time: number;
}

/**
 * Behind one step of whoever has the next turn: the first boundary at which its clock has moved.
 */
export const NEXT_STEP: PausePoint = { pcpu: -2, time: 0 };

/** Why {@link Host.run} returned. */
export type HostStop =
  /** The pause point is reached, or somebody called {@link Host.pause}. */
  | 'paused'
  /** The time limit is reached. */
  | 'until'
  /** No thread is runnable and no event is waiting; or the order is over. */
  | 'idle'
  /** Someone called {@link Host.requestStop}. */
  | 'requested';

const FIRST_PID = 1000;

/** In place of a pCPU's index: none, or whoever has the next turn. */
const NOBODY = -1;
const ANYBODY = NEXT_STEP.pcpu;

export class Host {
  readonly config: HostConfig;
  readonly frequency: Frequency;
  readonly costs: HostCosts;
  readonly parameters: SchedulerParameters;
  readonly pcpus: readonly Pcpu[];
  readonly threads: Thread[] = [];
  readonly groups: ThreadGroup[] = [];
  /** By pCPU, if there are any. */
  readonly stoppers: Thread[] = [];
  /** There are threads or groups of SCHED_IDLE. */
  hasIdlePolicy = false;
  /** Of groups that have a quota. */
  readonly bandwidths: Bandwidth[] = [];
  readonly coschedules: Coschedule[] = [];
  readonly timers: Timers;
  readonly scheduler: Scheduler;
  /** Chance for whoever needs it: tick phases, placement. */
  readonly prng: Prng;
  /** Who decides the order of everything, or null: time. */
  order: Order | null = null;
  /** Who listens to trace events, or null. */
  sink: TraceSink | null = null;
  /** Who makes faults, or null. */
  faults: FaultSource | null = null;
  private readonly events = new EventQueue<HostEventKind>();
  private readonly tickPhases: readonly number[];
  private readonly tickCycles: number;
  private readonly turns: Turns;
  /** Where the run that is under way returns, in cycles. */
  private until = asDouble(0);
  private stopRequested = false;
  /** The pCPU in whose turn the run pauses, or none; and from where on, in cycles. */
  private pausePcpu = NOBODY;
  private pauseTime = Number.POSITIVE_INFINITY;
  /** What {@link pause} asked for, if the run returned before it came to that; not state. */
  private asked: PausePoint | null = null;
  /** Index of the pCPU in whose turn the last run paused; not state. */
  pausedOn = 0;
  /** Its clock has not moved in that step: it was as far at the end of the one before. */
  pausedUnmoved = false;
  /** Whose turn is under way. */
  private running: Pcpu | null = null;

  constructor(config: HostConfig) {
    this.config = config;
    this.frequency = new Frequency(config.khz);
    this.costs = config.costs;
    this.prng = new Prng(config.seed);
    this.timers = new Timers(this);
    this.parameters = { ...DEFAULT_SCHEDULER, ...config.scheduler };
    const { fairClass } = this.parameters;
    const tunables = fairTunables(config.pcpuCount, config.hz, this.parameters);
    this.pcpus = Array.from(
      { length: config.pcpuCount },
      (_, index) => new Pcpu(this, index, new RunQueue(fairClass, tunables, this.threads)),
    );
    this.turns = new Turns(this.pcpus, config.lookahead);
    this.scheduler = new Scheduler(this);
    this.tickCycles = this.frequency.toCycles(1_000_000_000 / config.hz);
    this.tickPhases = this.pcpus.map(() => this.prng.below(this.tickCycles));
  }

  /** Everything that changes, copied. */
  get state(): HostState {
    return copyPlain({
      pcpus: this.pcpus.map((pcpu) => pcpu.state),
      queues: this.pcpus.map((pcpu) => pcpu.queue.state),
      threads: this.threads.map((thread) => thread.state),
      events: this.events.state,
      timers: this.timers.state,
      prng: this.prng.state,
      turns: this.turns.state,
      balance: this.scheduler.balancer.state,
      ...(this.bandwidths.length === 0
        ? {}
        : { bandwidths: this.bandwidths.map(({ state }) => state) }),
      ...(this.coschedules.length === 0
        ? {}
        : { coschedules: this.coschedules.map(({ state }) => state) }),
    });
  }

  set state(saved: HostState) {
    const copy = copyPlain(saved);
    copy.pcpus.forEach((state, i) => {
      this.pcpus[i].restore(state);
    });
    copy.queues.forEach((state, i) => {
      this.pcpus[i].queue.state = state;
    });
    copy.threads.forEach((state, i) => {
      this.threads[i].state = state;
    });
    this.events.state = copy.events;
    this.timers.state = copy.timers;
    this.prng.state = copy.prng;
    this.turns.restore(copy.turns);
    this.scheduler.balancer.state = copy.balance;
    copy.bandwidths?.forEach((state, i) => {
      this.bandwidths[i].state = state;
    });
    copy.coschedules?.forEach((state, i) => {
      this.coschedules[i].state = state;
    });
    this.stopRequested = false;
    this.asked = null;
  }

  /** Create a thread, blocked; {@link Scheduler.start} makes it run. */
  createThread(config: ThreadConfig): Thread {
    const id = this.threads.length;
    const isIdle = config.policy === 'idle';
    if (isIdle) this.hasIdlePolicy = true;
    const weight = isIdle ? IDLE_WEIGHT : weightOfNice(config.nice);
    const thread = new Thread(id, FIRST_PID + id, weight, config);
    this.threads.push(thread);
    return thread;
  }

  /** Create a control group, all of whose threads together may use `bandwidth`; by default all. */
  createGroup(config: GroupConfig, bandwidth: BandwidthConfig | null = null): ThreadGroup {
    const group = new ThreadGroup(this.groups.length, config);
    this.groups.push(group);
    if (group.isIdle) this.hasIdlePolicy = true;
    for (const { queue, index } of this.pcpus) group.entities.push(queue.addGroup(group, index));
    if (bandwidth !== null) {
      const limit = new Bandwidth(this, group, bandwidth);
      group.limit = limit;
      this.bandwidths.push(limit);
    }
    return group;
  }

  /** From now on keep threads from falling behind each other; before they start. */
  coschedule(threads: readonly Thread[], config: CoscheduleConfig): Coschedule {
    const set = new Coschedule(this, this.coschedules.length, threads, config);
    this.coschedules.push(set);
    for (const thread of threads) thread.coschedule = set;
    return set;
  }

  /**
   * Create the threads that move others that run, if there are none yet: one on each pCPU, behind
   * all threads that there are.
   */
  createStoppers(): void {
    if (this.stoppers.length > 0) return;
    for (const { index } of this.pcpus) {
      const config = { name: `migration/${index}`, nice: 0, affinity: [index], isRealTime: true };
      this.stoppers.push(this.createThread({ ...config, body: STOPPER_BODY }));
    }
  }

  /** Return from {@link run} as soon as the running thread hands back its pCPU. */
  requestStop(): void {
    this.stopRequested = true;
  }

  /** When turns are tried in relays. */
  get relays(): RelayPolicy {
    return this.turns.relays;
  }

  /** The time that every pCPU with something to do has reached, in cycles. */
  get now(): number {
    const busy = this.slowest();
    if (busy !== null) return busy.now;
    return Math.max(...this.pcpus.map((pcpu) => pcpu.now));
  }

  /** Waiting events in order, for reports. */
  get pendingEvents(): readonly HostEvent[] {
    return this.events.list();
  }

  /**
   * Let virtual time pass up to `until` (cycles).
   * The order is fixed: in each piece of time every busy pCPU has a turn, and an event happens when
   * no busy pCPU is earlier than it; see {@link Turns}. Returning in the middle of a turn and going
   * on changes nothing.
   * @param at where to pause before that, in the turn of one pCPU
   */
  run(until: number, at: PausePoint | null = null): HostStop {
    this.stopRequested = false;
    this.until = Math.ceil(until);
    const point = this.asked ?? at;
    this.pauseAt(point?.pcpu ?? NOBODY, Math.ceil(point?.time ?? Number.POSITIVE_INFINITY));
    const { order } = this;
    const stop = order === null ? this.takeTurns(this.until) : this.follow(order, this.until);
    if (order !== null) this.turns.give(0);
    if (stop !== 'until') this.asked = null;
    this.running = null;
    this.pauseAt(NOBODY, Number.POSITIVE_INFINITY);
    this.turns.settle();
    return stop;
  }

  /**
   * Give a pCPU a turn now, up to a limit in cycles, whoever else has one. For those who choose the
   * order of everything themselves; not to be mixed with {@link run}.
   */
  giveTurn(pcpu: Pcpu, limit: number): BodyOutcome {
    this.until = limit;
    this.pauseAt(this.pausePcpu, this.pauseTime);
    this.turns.give(limit);
    pcpu.boundary = pcpu.state.now;
    const { running } = this;
    this.running = pcpu;
    const outcome = this.scheduler.advance(pcpu);
    this.running = running;
    return outcome;
  }

  /** Let a waiting event happen now, whenever it is due; as {@link giveTurn}. */
  happen(event: HostEvent): void {
    this.events.cancel(event.sequence);
    this.dispatch(event);
  }

  /**
   * Return from {@link run} at the next boundary at which the clock of the pCPU has moved whose
   * turn it is; outside of turns, after a step of whoever has the next one. If the run returns
   * before that because time is up, the next one pauses there.
   * @param time cycles that the clock of the pCPU must have reached, if that is known
   */
  pause(time?: number): void {
    const { running } = this;
    if (running === null) {
      // From here on nobody is left out any more: who is next must not depend on that.
      this.asked = NEXT_STEP;
    } else {
      const at = time ?? Math.max(running.state.now, running.boundary + 1);
      if (running.index === this.pausePcpu && at >= this.pauseTime) return;
      this.asked = { pcpu: running.index, time: at };
      running.current?.body.hurry?.(at);
    }
    this.pauseAt(this.asked.pcpu, this.asked.time);
  }

  private pauseAt(pcpu: number, time: number): void {
    this.pausePcpu = pcpu;
    this.pauseTime = time;
    // A turn that ends at the pause point pauses.
    this.turns.until = Math.min(this.until, time - 1);
  }

  /** The pCPU whose turn is under way, or null. */
  get turnOf(): Pcpu | null {
    return this.running;
  }

  /** True where a pCPU has to pause although its turn is not over. */
  mustPause({ index, state }: Pcpu): boolean {
    return index === this.pausePcpu && state.now >= this.pauseTime;
  }

  /** Cycles from which on the run pauses in a turn of a pCPU; infinite if it does not. */
  pauseTimeOf({ index }: Pcpu): number {
    return index === this.pausePcpu ? this.pauseTime : Number.POSITIVE_INFINITY;
  }

  private takeTurns(until: number): HostStop {
    const { turns, scheduler } = this;
    for (;;) {
      const pcpu = turns.next();
      if (pcpu === null) {
        const stop = this.nextPiece(until);
        if (stop !== null) return stop;
      } else if (pcpu.state.now >= until) return 'until';
      else if (this.pausePcpu !== NOBODY || !turns.relay(pcpu, this.events.nextTime)) {
        this.running = pcpu;
        if (this.pausePcpu !== NOBODY) this.prepareToPause(pcpu);
        const outcome = scheduler.advance(pcpu);
        if (outcome === 'quiet') turns.leaveOut(pcpu);
        if (this.stopRequested) return 'requested';
        if (pcpu.index === this.pausePcpu && this.mustPause(pcpu)) return this.paused(pcpu);
        this.running = null;
      }
    }
  }

  /** As {@link takeTurns}, in an order that somebody else decides. */
  private follow(order: Order, until: number): HostStop {
    for (;;) {
      const midway = this.pcpus.find(({ current }) => current?.body.isMidway === true);
      const pcpu = midway ?? order.next;
      if (pcpu === null) return 'idle';
      if (pcpu.now >= until) return 'until';
      this.running = pcpu;
      if (this.pausePcpu !== NOBODY) this.prepareToPause(pcpu);
      if (midway === undefined) order.take();
      else this.giveTurn(pcpu, pcpu.now + 1);
      if (this.stopRequested) return 'requested';
      if (pcpu.index === this.pausePcpu && this.mustPause(pcpu)) return this.paused(pcpu);
      this.running = null;
    }
  }

  private paused({ index, state, boundary }: Pcpu): 'paused' {
    this.pausedOn = index;
    this.pausedUnmoved = state.now <= boundary;
    return 'paused';
  }

  /** A pause is where a clock has moved, so that no two of them are at the same times. */
  private prepareToPause({ index, state }: Pcpu): void {
    if (this.pausePcpu !== ANYBODY && this.pausePcpu !== index) return;
    this.pauseAt(index, Math.max(this.pauseTime, state.now + 1));
  }

  /** Let all events happen that are due, and begin the next piece of time; or why not. */
  private nextPiece(until: number): 'idle' | 'until' | null {
    const { turns, events } = this;
    turns.reach();
    for (;;) {
      const eventTime = events.nextTime;
      if (turns.hasBusy && eventTime > turns.state.time) {
        turns.begin(eventTime);
        return null;
      }
      if (eventTime === Number.POSITIVE_INFINITY) return 'idle';
      if (eventTime > until) return 'until';
      turns.reach(eventTime);
      this.dispatch(events.take() as HostEvent);
    }
  }

  /** Throw unless every cycle of every pCPU and thread is accounted for. */
  assertConserved(): void {
    for (const { index, state } of this.pcpus) {
      const { guest, host, idle } = state.times;
      if (guest + host + idle !== state.now) {
        throw new Error(`pCPU ${index}: ${guest} + ${host} + ${idle} cycles are not ${state.now}`);
      }
    }
    for (const { name, state } of this.threads) {
      const { guest, host, waiting, blocked } = state.times;
      if (guest + host + waiting + blocked !== state.sinceCycles) {
        const sum = `${guest} + ${host} + ${waiting} + ${blocked}`;
        throw new Error(`thread ${name}: ${sum} cycles are not ${state.sinceCycles}`);
      }
    }
  }

  private slowest(): Pcpu | null {
    let slowest: Pcpu | null = null;
    for (const pcpu of this.pcpus) {
      if (!pcpu.isIdle && (slowest === null || pcpu.now < slowest.now)) slowest = pcpu;
    }
    return slowest;
  }

  /** Somebody is about to look at, or to change, what a pCPU that may be left out depends on. */
  stir(pcpu: Pcpu): void {
    this.turns.stir(pcpu);
  }

  /** False where everything has to be executed: a run ends in this piece of time. */
  get maySkip(): boolean {
    return this.config.skip && this.turns.state.end <= this.turns.until;
  }

  /** A pCPU has become busy or idle. */
  busyChanged(pcpu: Pcpu): void {
    this.turns.changed(pcpu);
  }

  /** Cycles at which the pCPU whose turn it is has to pause. */
  get limit(): number {
    const limit = Math.min(this.turns.limit, this.until);
    return this.running?.index === this.pausePcpu ? Math.min(limit, this.pauseTime) : limit;
  }

  /**
   * Post an interrupt for a pCPU at a time in cycles; returns its sequence number. Turns that are
   * under way or to come in this piece of time end there at the latest.
   */
  postInterrupt(time: number, kind: HostEventKind, pcpu: number, detail = 0): number {
    this.turns.cut(time);
    return this.events.post(time, kind, pcpu, detail);
  }

  cancelInterrupt(sequence: number): void {
    this.events.cancel(sequence);
    this.turns.extend(this.events.nextTime);
  }

  /** Send an inter-processor interrupt that makes the target look around. */
  sendIpi(from: Pcpu, target: Pcpu): void {
    from.spend(this.costs.ipiSend);
    this.postInterrupt(from.now + this.costs.ipiLatency, 'ipi', target.index);
  }

  /** Have {@link FaultSource.due} called at a time in cycles. */
  postMoment(time: number, detail: number): void {
    this.postInterrupt(time, 'moment', 0, detail);
  }

  /** Between two turns: interrupt a pCPU for a fault at a time in cycles, which is now. */
  interrupt(pcpu: Pcpu, time: number, detail: number): void {
    this.dispatch({ time, sequence: -1, target: pcpu.index, kind: 'fault', detail });
  }

  /** An interrupt arrives at its pCPU. */
  private dispatch(event: HostEvent): void {
    if (event.kind === 'moment') {
      this.faults?.due(event.detail, event.time);
      return;
    }
    const pcpu = this.pcpus[event.target];
    this.stir(pcpu);
    if (pcpu.isIdle) pcpu.idleUntil(event.time);
    if (event.kind === 'tick') pcpu.state.tickSequence = -1;
    pcpu.state.pending.push(event);
    const { current } = pcpu;
    if (current?.body.interrupted(pcpu)) return;
    if (current === null) pcpu.spend(this.costs.idleExit);
    this.handleInterrupts(pcpu);
    this.scheduler.afterInterrupt(pcpu);
  }

  /** Run the handlers of all interrupts that have arrived at a pCPU, in order of arrival. */
  handleInterrupts(pcpu: Pcpu): void {
    for (;;) {
      const event = pcpu.state.pending.shift();
      if (event === undefined) return;
      pcpu.spend(this.costs.interrupt);
      switch (event.kind) {
        case 'tick':
          pcpu.spend(this.costs.tick);
          this.scheduler.tick(pcpu);
          break;
        case 'timer':
          pcpu.spend(this.costs.timerExpiry);
          this.timers.expire(event.detail, pcpu);
          break;
        case 'fault':
          this.faults?.arrived(event.detail, pcpu);
          break;
        case 'ipi':
        case 'moment':
          // Its sender has said all there is to say: need_resched, or a request to the vCPU.
          break;
      }
    }
  }

  /** Start the tick of a pCPU that has something to do, on its own phase; stop it when idle. */
  setTick(pcpu: Pcpu, running: boolean): void {
    const { state } = pcpu;
    if (!running) {
      if (state.tickSequence >= 0) this.cancelInterrupt(state.tickSequence);
      state.tickSequence = -1;
    } else if (state.tickSequence < 0) {
      const phase = this.tickPhases[pcpu.index];
      const past = Math.floor((pcpu.now - phase) / this.tickCycles);
      const time = phase + (past + 1) * this.tickCycles;
      state.tickSequence = this.postInterrupt(time, 'tick', pcpu.index);
    }
  }
}
