// The interrupts of the 8254's first counter: a host timer pulses its line whenever the output
// rises. Ticks that come before the guest has ended the last one's interrupt are made up for.
// Linux arch/x86/kvm/i8254.c, create_pit_timer, pit_timer_fn, pit_do_work and kvm_pit_ack_irq.

import type { Pcpu, Timers } from '../host/index.ts';
import { nsOfTick } from '../sim/index.ts';
import { type CounterState, PIT_HZ } from './pit.ts';

/** Plain data. */
export interface PitTimerState {
  /** Id of the host timer, or 0. */
  hostTimer: number;
  /** Times that the output has risen since the count was written. */
  fired: number;
  /** Ticks that the guest has not been told of. */
  pending: number;
  /** The guest has ended the interrupt of the last tick. */
  acknowledged: boolean;
  /** Ticks that come too early are made up for, else each is an interrupt or lost. */
  reinjects: boolean;
}

const Mode = { TERMINAL_COUNT: 0, ONE_SHOT: 1, RATE: 2, SQUARE: 3, STROBE: 4 } as const;

export class PitTimer {
  state: PitTimerState = {
    hostTimer: 0,
    fired: 0,
    pending: 0,
    acknowledged: true,
    reinjects: true,
  };
  private readonly timers: Timers;
  private readonly handler: string;
  private readonly tick: (pcpu: Pcpu) => void;
  private readonly leastPeriodNs: number;

  /**
   * @param tick pulses the line
   * @param leastPeriodNs periodic timers may not be faster
   */
  constructor(timers: Timers, handler: string, tick: (pcpu: Pcpu) => void, leastPeriodNs: number) {
    this.timers = timers;
    this.handler = handler;
    this.tick = tick;
    this.leastPeriodNs = leastPeriodNs;
  }

  get isArmed(): boolean {
    return this.state.hostTimer !== 0;
  }

  /** The counter has been given another count, or stopped. */
  restart(counter: CounterState, pcpu: Pcpu): void {
    const { state } = this;
    if (state.hostTimer !== 0) this.timers.cancel(state.hostTimer);
    state.hostTimer = 0;
    state.fired = 0;
    this.forgetPending();
    this.arm(counter, pcpu);
  }

  /** KVM_REINJECT_CONTROL: whether ticks that the guest was not ready for are made up for. */
  setReinjection(reinjects: boolean): void {
    this.state.reinjects = reinjects;
    this.forgetPending();
  }

  /** Ticks that the guest has missed are not made up for. */
  forgetPending(): void {
    this.state.pending = 0;
    this.state.acknowledged = true;
  }

  private arm({ mode, reload, sinceNs }: CounterState, pcpu: Pcpu): void {
    const { state } = this;
    if (reload === 0 || sinceNs === null) return;
    const isPeriodic = mode === Mode.RATE || mode === Mode.SQUARE;
    const isOnce = mode === Mode.TERMINAL_COUNT || mode === Mode.STROBE;
    if (!isPeriodic && !(isOnce && state.fired === 0)) return;
    const rises = state.fired + 1;
    const afterNs = Math.max(
      nsOfTick(rises * reload, PIT_HZ),
      isPeriodic ? rises * this.leastPeriodNs : 0,
    );
    const expires = pcpu.host.frequency.firstCycleAt(sinceNs + afterNs);
    state.hostTimer = this.timers.start(this.handler, expires, pcpu);
  }

  /** The host timer has expired. */
  expired(counter: CounterState, pcpu: Pcpu): void {
    const { state } = this;
    state.hostTimer = 0;
    state.fired++;
    if (state.reinjects) state.pending++;
    this.arm(counter, pcpu);
    this.inject(pcpu);
  }

  private inject(pcpu: Pcpu): void {
    if (this.state.reinjects && !this.state.acknowledged) return;
    this.state.acknowledged = false;
    this.tick(pcpu);
  }

  /** The guest has ended the interrupt of a tick: is there another one? */
  ended(pcpu: Pcpu): void {
    const { state } = this;
    state.acknowledged = true;
    if (state.pending === 0) return;
    state.pending--;
    if (state.pending > 0) this.inject(pcpu);
  }
}
