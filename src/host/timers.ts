// High-resolution timers: each interrupts one pCPU at a moment and then calls a handler by name.
// Handlers are code and belong to whoever starts timers; what waits is plain data.

import type { Host } from './host.ts';
import type { Pcpu } from './pcpu.ts';

/** Called in host context on the pCPU that the timer interrupted. */
export type TimerHandler = (pcpu: Pcpu) => void;

interface Timer {
  readonly handler: string;
  /** Cycles. */
  readonly expires: number;
  readonly sequence: number;
}

export interface TimersState {
  readonly nextId: number;
  readonly timers: readonly (readonly [id: number, timer: Timer])[];
}

export class Timers {
  private readonly host: Host;
  private readonly handlers = new Map<string, TimerHandler>();
  private timers = new Map<number, Timer>();
  private nextId = 1;

  constructor(host: Host) {
    this.host = host;
  }

  get state(): TimersState {
    return { nextId: this.nextId, timers: [...this.timers] };
  }

  set state(saved: TimersState) {
    this.nextId = saved.nextId;
    this.timers = new Map(saved.timers.map(([id, timer]) => [id, timer]));
  }

  /** Name a handler; each name once. */
  register(name: string, handler: TimerHandler): void {
    this.handlers.set(name, handler);
  }

  /** Start a timer on a pCPU, for a time in cycles; at once if that has passed. Returns its id. */
  start(handler: string, expires: number, pcpu: Pcpu): number {
    const id = this.arm(handler, expires, pcpu);
    pcpu.spend(this.host.costs.timerProgram);
    return id;
  }

  /** The same at no cost: for what the scheduler starts on a pCPU that may be in the middle. */
  arm(handler: string, expires: number, pcpu: Pcpu): number {
    const id = this.nextId++;
    const time = Math.max(expires, pcpu.now);
    const sequence = this.host.postInterrupt(time, 'timer', pcpu.index, id);
    this.timers.set(id, { handler, expires, sequence });
    return id;
  }

  /** Stop a timer; false if it has expired already. */
  cancel(id: number): boolean {
    const timer = this.timers.get(id);
    if (timer === undefined) return false;
    this.timers.delete(id);
    this.host.cancelInterrupt(timer.sequence);
    return true;
  }

  /** The name of the handler of a timer that has not expired; null if there is none. */
  handlerOf(id: number): string | null {
    return this.timers.get(id)?.handler ?? null;
  }

  /** The interrupt of a timer is being handled; a timer cancelled meanwhile does nothing. */
  expire(id: number, pcpu: Pcpu): void {
    const timer = this.timers.get(id);
    if (timer === undefined) return;
    this.timers.delete(id);
    const handler = this.handlers.get(timer.handler);
    if (handler === undefined) throw new Error(`no timer handler '${timer.handler}'`);
    handler(pcpu);
  }
}
