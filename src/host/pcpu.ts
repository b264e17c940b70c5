// One physical CPU of the emulated host: a clock, a run queue, what interrupts it, and an account
// of where its time went.

import { asDouble } from '../sim/index.ts';
import type { FieldsOf, TracepointName, TraceRecord } from '../trace/index.ts';
import type { Host, HostEvent } from './host.ts';
import type { RunQueue } from './run-queue.ts';
import type { Thread } from './thread.ts';

/** Cycles that a pCPU has spent in each way; they add up to its clock. */
export interface PcpuTimes {
  guest: number;
  host: number;
  idle: number;
}

/** Plain data, saved and hashed as it is. */
export interface PcpuState {
  /** Cycles of virtual time that this pCPU has reached. */
  now: number;
  /** Id of the thread that runs, or -1 while idle. */
  current: number;
  /** The scheduler should run at the next opportunity. */
  needResched: boolean;
  /** While idle it was called to look for work elsewhere. */
  isCalled: boolean;
  /** Interrupts that have arrived and were not handled yet. */
  pending: HostEvent[];
  /** Sequence number of the tick's event, or -1 while the tick is stopped. */
  tickSequence: number;
  readonly times: PcpuTimes;
}

export class Pcpu {
  readonly index: number;
  readonly queue: RunQueue;
  readonly host: Host;
  state: PcpuState;
  /** The thread that `state.current` names: it is asked for several times a VM exit. */
  current: Thread | null = null;
  /** Cycles at which the running thread looked last whether its turn is over; not state. */
  boundary = asDouble(0);
  /** Set by the running thread that says `quiet`: until when, in cycles, it does nothing else. */
  quietUntil = asDouble(0);
  /** It is left out of the turns until then; its clock and thread are behind. Not state. */
  isQuiet = false;
  /** And takes part again from its next turn on. */
  isDue = false;
  /** Where the turns that it was left out of would have brought it, in cycles. */
  owed = asDouble(0);
  /** Turns that were left out are made up for: what has happened since is not to be seen. */
  isMakingUp = false;

  constructor(host: Host, index: number, queue: RunQueue) {
    this.host = host;
    this.index = index;
    this.queue = queue;
    this.state = {
      now: asDouble(0),
      current: -1,
      needResched: false,
      isCalled: false,
      pending: [],
      tickSequence: -1,
      times: { guest: asDouble(0), host: asDouble(0), idle: asDouble(0) },
    };
  }

  /** Cycles. */
  get now(): number {
    if (this.isQuiet) this.host.stir(this);
    return this.state.now;
  }

  /**
   * Where the turn of this pCPU ends, in cycles. An event that is posted meanwhile may bring it
   * closer, so bodies look again after everything they do.
   */
  get limit(): number {
    return this.isMakingUp ? this.owed : this.host.limit;
  }

  /** True if the running thread may say `quiet`. */
  get maySkip(): boolean {
    return this.host.maySkip && !this.isMakingUp;
  }

  /** Take the turns at once that were left out. */
  makeUp(): void {
    if (this.state.now >= this.owed) return;
    this.isMakingUp = true;
    this.boundary = this.state.now;
    const outcome = this.current?.body.run(this);
    this.isMakingUp = false;
    if (outcome === 'limit' && this.state.now >= this.owed) return;
    throw new Error(`pCPU ${this.index}: a turn that was left out ends with ${outcome}`);
  }

  /** Cycles from which on the run pauses in a turn of this pCPU; infinite if it does not. */
  get pauseTime(): number {
    return this.host.pauseTimeOf(this);
  }

  /** True where the run pauses for somebody who looks on, even where no turn ends. */
  get mustPause(): boolean {
    return !this.isMakingUp && this.host.mustPause(this);
  }

  /** To be asked before each step: false when the turn is over. */
  mayGoOn(): boolean {
    const { now } = this.state;
    if (now >= this.limit) return false;
    this.boundary = now;
    return true;
  }

  get nowNs(): number {
    return this.host.frequency.toNs(this.now);
  }

  get isIdle(): boolean {
    return this.current === null;
  }

  /** From now on a thread runs here, or none. */
  runs(thread: Thread | null): void {
    this.current = thread;
    this.state.current = thread === null ? -1 : thread.id;
  }

  /** Take over a saved state. */
  restore(state: PcpuState): void {
    this.state = state;
    this.current = state.current < 0 ? null : this.host.threads[state.current];
  }

  get needResched(): boolean {
    return this.state.needResched;
  }

  /** True if interrupts wait to be handled. */
  get interruptPending(): boolean {
    return this.state.pending.length > 0;
  }

  /** Move the clock to a later time, spent in guest or host by the running thread. */
  advanceTo(time: number, as: 'guest' | 'host'): void {
    const { state, current } = this;
    const cycles = time - state.now;
    if (cycles < 0) this.refuse();
    state.now = time;
    // One by one, and not by a name that varies: this happens several times a VM exit.
    if (as === 'guest') state.times.guest += cycles;
    else state.times.host += cycles;
    if (current === null) return;
    const { times } = current.state;
    if (as === 'guest') times.guest += cycles;
    else times.host += cycles;
    current.state.sinceCycles = time;
  }

  private refuse(): never {
    throw new RangeError(`pCPU ${this.index}: clock would run backwards`);
  }

  /** Spend host cycles. */
  spend(cycles: number): void {
    this.advanceTo(this.state.now + cycles, 'host');
  }

  /** Let time pass while nothing runs. */
  idleUntil(time: number): void {
    if (time <= this.state.now) return;
    this.state.times.idle += time - this.state.now;
    this.state.now = time;
  }

  /** Handle all interrupts that have arrived. To be called from host context. */
  handleInterrupts(): void {
    this.host.handleInterrupts(this);
  }

  /** Emit a trace event in the name of the running thread, if anyone listens. */
  trace<Name extends TracepointName>(name: Name, fields: FieldsOf<Name>): void {
    const { sink } = this.host;
    if (sink === null) return;
    const { current } = this;
    const record: TraceRecord<Name> = {
      timeNs: this.nowNs,
      pcpu: this.index,
      comm: current?.name ?? '<idle>',
      pid: current?.pid ?? 0,
      name,
      fields,
    };
    sink.record(record as TraceRecord);
  }

  /** True if someone listens to trace events: guards the work of making one. */
  get traced(): boolean {
    return this.host.sink !== null;
  }
}
