// What a state holds beside memory: KVM's view of each vCPU, the host's threads and events, devices.
// Taken and put back as a whole, and only where something has changed.

import type { HostEvent } from '../host/index.ts';
import type { Vcpu } from '../kvm/index.ts';
import type { Machine, MachineParts } from '../machine/index.ts';
import { Hash } from '../sim/index.ts';
import type { PageHash } from './pages.ts';

/** Nobody changes it. */
export interface KernelState {
  readonly parts: MachineParts;
  readonly hash: PageHash;
}

export class KernelPart {
  private readonly machine: Machine;
  private current: KernelState | null = null;
  private readonly execStartNs: number;

  /** @param now the clock that stands still, in cycles */
  constructor(machine: Machine, now: number) {
    this.machine = machine;
    this.execStartNs = machine.host.frequency.toNs(now);
  }

  /** Something else than registers and memory may have changed. */
  changed(): void {
    this.current = null;
  }

  take(): KernelState {
    this.current ??= { parts: this.machine.saveParts(), hash: this.hash() };
    return this.current;
  }

  /** False if nothing had to be done. */
  restore(state: KernelState): boolean {
    if (state === this.current) return false;
    this.machine.restoreParts(state.parts);
    this.current = state;
    return true;
  }

  /** The first that waits for the pCPU of a vCPU. */
  private eventOf(vcpu: number): HostEvent | undefined {
    const { pendingEvents } = this.machine.host;
    return pendingEvents.find(({ target, kind }) => target === vcpu && kind !== 'tick');
  }

  hasEvent(vcpu: number): boolean {
    return this.eventOf(vcpu) !== undefined;
  }

  /** Let the first event that waits for the pCPU of a vCPU happen. */
  deliver(vcpu: number): void {
    const event = this.eventOf(vcpu);
    if (event === undefined) throw new Error(`nothing waits for vCPU ${vcpu}`);
    this.machine.host.happen(event);
  }

  /** Set all clocks to one time (cycles), as if nothing had taken any, and stop the ticks. */
  stopTime(now: number): void {
    const { host, vcpus } = this.machine;
    for (const pcpu of host.pcpus) {
      pcpu.state.now = now;
      if (pcpu.state.tickSequence >= 0) host.setTick(pcpu, false);
    }
    for (const { state } of host.threads) {
      state.sinceCycles = now;
      state.execStartNs = this.execStartNs;
    }
    for (const { virtual } of vcpus) virtual.processor.clock = now;
  }

  /** Of what makes a difference to what can happen next; so nothing that counts or tells time. */
  private hash(): PageHash {
    const { host, vcpus, devices, endings } = this.machine;
    const events = host.pendingEvents
      .filter(({ kind }) => kind !== 'tick')
      .map(({ kind, target }) => [kind, target]);
    const pcpus = host.pcpus.map(({ state }) => [
      state.current,
      state.needResched,
      state.pending.map(({ kind }) => kind),
    ]);
    const devicesState = devices.map(({ state }) => ({ ...state, console: null }));
    const text = JSON.stringify([events, pcpus, vcpus.map(essenceOf), devicesState, endings]);
    const digest = new Hash().text(text).digest();
    return {
      low: Number.parseInt(digest.slice(0, 8), 16) | 0,
      high: Number.parseInt(digest.slice(8, 16), 16) | 0,
    };
  }
}

function essenceOf({ state, lapic, timer, virtual, thread }: Vcpu) {
  const { pending, hostTimer, periodNs } = timer.state;
  return [
    state,
    lapic.state,
    [pending, hostTimer !== 0, periodNs],
    [virtual.inNonRoot, virtual.state.injectionStop],
    thread.state.status,
  ];
}
