// What a state holds beside memory: KVM's view of each vCPU, the host's threads and events, and
// devices. Each part is taken only when it has changed, and parts that make no difference to what
// can happen next are one, whatever they have counted and what time they tell.

import type { HostEvent } from '../host/index.ts';
import type { Vcpu } from '../kvm/index.ts';
import type { Machine } from '../machine/index.ts';
import { copyPlain } from '../sim/index.ts';
import { hashWords, mix, type PageHash } from './pages.ts';

/** A saved part; nobody changes it. */
interface Saved {
  readonly data: unknown;
  readonly hash: PageHash;
}

/** One for each vCPU, and the rest. */
export type KernelState = readonly Saved[];

/** How a part is told apart, saved and put back. */
interface Part {
  readonly essence: () => unknown;
  readonly save: () => unknown;
  readonly restore: (data: unknown) => void;
}

export class KernelPart {
  private readonly machine: Machine;
  private readonly vcpus: readonly Vcpu[];
  private readonly parts: readonly Part[];
  private current: Saved[] = [];
  private readonly dirty = new Set<number>();
  private readonly known: readonly Map<string, Saved>[];
  private readonly execStartNs: number;

  /** @param now the clock that stands still, in cycles */
  constructor(machine: Machine, now: number) {
    this.machine = machine;
    this.vcpus = machine.vcpus;
    this.execStartNs = machine.host.frequency.toNs(now);
    this.parts = [...machine.vcpus.map(vcpuPart), restPart(machine)];
    this.known = this.parts.map(() => new Map());
    this.allChanged();
  }

  /** KVM has worked on a vCPU. */
  changed(vcpu: number): void {
    this.dirty.add(vcpu);
    this.dirty.add(this.parts.length - 1);
  }

  /** KVM may have worked on anything. */
  allChanged(): void {
    for (const index of this.parts.keys()) this.dirty.add(index);
  }

  take(): KernelState {
    if (this.dirty.size === 0) return this.current;
    this.current = this.current.slice();
    for (const index of this.dirty) this.current[index] = this.find(index);
    this.dirty.clear();
    return this.current;
  }

  private find(index: number): Saved {
    const { essence, save } = this.parts[index];
    const text = JSON.stringify(essence());
    const known = this.known[index].get(text);
    if (known !== undefined) return known;
    const hash = hashWords(Array.from(text, (character) => character.charCodeAt(0)));
    const saved = { data: copyPlain(save()), hash };
    this.known[index].set(text, saved);
    return saved;
  }

  /** False if nothing had to be done. */
  restore(state: KernelState): boolean {
    this.take();
    if (state === this.current) return false;
    for (const [index, { restore }] of this.parts.entries()) {
      if (state[index] !== this.current[index]) restore(copyPlain(state[index].data));
    }
    this.current = state.slice();
    return true;
  }

  /** The first that waits for the pCPU of a vCPU. */
  eventOf(vcpu: number): HostEvent {
    const [event] = waitingEvents(this.machine, vcpu);
    if (event === undefined) throw new Error(`nothing waits for vCPU ${vcpu}`);
    return event;
  }

  hasEvent(vcpu: number): boolean {
    return waitingEvents(this.machine, vcpu).length > 0;
  }

  /** Let the first event that waits for the pCPU of a vCPU happen. */
  deliver(vcpu: number): void {
    this.machine.host.happen(this.eventOf(vcpu));
  }

  /** Set all clocks to one time (cycles), as if nothing had taken any, and stop the ticks. */
  stopTime(now: number): void {
    const { host } = this.machine;
    for (const pcpu of host.pcpus) {
      pcpu.state.now = now;
      if (pcpu.state.tickSequence >= 0) host.setTick(pcpu, false);
    }
    for (const { state } of host.threads) {
      state.sinceCycles = now;
      state.runDelayNs = 0;
      state.execStartNs = this.execStartNs;
    }
    for (const { virtual } of this.vcpus) virtual.processor.clock = now;
  }
}

/** What waits for the pCPU of a vCPU, but for the tick, in order. */
export function waitingEvents({ host }: Machine, vcpu: number): readonly HostEvent[] {
  return host.pendingEvents.filter(({ target, kind }) => target === vcpu && kind !== 'tick');
}

export function hashKernel(state: KernelState): PageHash {
  let low = 0;
  let high = 0;
  for (const [index, { hash }] of state.entries()) {
    low = (low + mix(hash.low, index)) | 0;
    high = (high + mix(hash.high, index)) | 0;
  }
  return { low, high };
}

function vcpuPart(vcpu: Vcpu): Part {
  return {
    essence: () => {
      const { pending, hostTimer, periodNs } = vcpu.timer.state;
      const { inNonRoot, state } = vcpu.virtual;
      const timer = [pending, hostTimer !== 0, periodNs];
      // When it halted is told by a clock that stands still.
      const own = { ...vcpu.state, haltStart: 0, pollEnd: 0 };
      // The next exit says it anew.
      if (own.phase === 'guest') own.atInstructionBoundary = false;
      return [own, vcpu.lapic.state, timer, inNonRoot, state.injectionStop];
    },
    save: () => vcpu.snapshot,
    restore: (data) => {
      vcpu.snapshot = data as Vcpu['snapshot'];
    },
  };
}

function restPart(machine: Machine): Part {
  const { host, devices } = machine;
  const [vm] = machine.vms;
  interface Rest {
    readonly host: Machine['host']['state'];
    readonly vm: typeof vm.ownState;
    readonly devices: (typeof devices)[number]['state'][];
    readonly endings: Machine['endings'];
  }
  return {
    essence: () => [
      // Those of one pCPU in order: what waits for different ones may come in any.
      host.pcpus.map(({ index }) => waitingEvents(machine, index).map(({ kind }) => kind)),
      host.pcpus.map(({ state }) => [
        state.current,
        state.needResched,
        state.pending.map(({ kind }) => kind),
      ]),
      host.threads.map(({ state }) => state.status),
      vm.ownState,
      devices.map(({ state }) => state),
      machine.endings,
    ],
    save: (): Rest => ({
      host: host.state,
      vm: vm.ownState,
      devices: devices.map(({ state }) => state),
      endings: machine.endings,
    }),
    restore: (data) => {
      const saved = data as Rest;
      host.state = saved.host;
      vm.ownState = saved.vm;
      for (const [i, state] of saved.devices.entries()) devices[i].state = state;
      machine.endings = saved.endings;
    },
  };
}
