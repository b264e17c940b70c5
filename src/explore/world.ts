// A machine in which nothing happens by itself: whoever explores it says who takes the next step.
// Each vCPU has a pCPU of its own, and time stands still, so a state is what registers, memory and
// the emulated kernel hold, whichever way led there. What waits in the host's event queue (an
// interrupt on its way, a timer) may happen at any moment, and, with store buffers, so may the
// arrival of a store in memory.

import { Rflags, STATE_BYTES, Word } from '../cpu/index.ts';
import type { Vcpu, Vm } from '../kvm/index.ts';
import {
  Machine,
  type MachineEnding,
  type MachineOptions,
  type Scenario,
} from '../machine/index.ts';
import { PAGE_SIZE, type PhysicalMemory } from '../memory/index.ts';
import { type Footprint, footprintOfEvent, footprintOfStep } from './footprint.ts';
import { hashKernel, KernelPart, type KernelState } from './kernel-state.ts';
import { hashWords, mix, type PageList, Pages } from './pages.ts';
import { Sharing } from './sharing.ts';
import { type BufferedStore, hashStores, StoreBuffers } from './store-buffers.ts';
import { removeTraces } from './traces.ts';
import { isWithin, type Section } from './violation.ts';

/** Who does what: three numbers for each vCPU, so that sets of actions are bits of a number. */
export type Action = number;

export const ActionKind = {
  /** The vCPU executes an instruction, or KVM goes on with it. */
  STEP: 0,
  /** The oldest of its buffered stores reaches memory. */
  DRAIN: 1,
  /** An interrupt or timer that waits for its pCPU arrives there. */
  EVENT: 2,
} as const;

const KINDS = 3;

/** Sets of actions fit into the bits of a small integer. */
export const MOST_VCPUS = 10;

export function actionOf(vcpu: number, kind: number): Action {
  return vcpu * KINDS + kind;
}

export function vcpuOf(action: Action): number {
  return Math.floor(action / KINDS);
}

export function kindOf(action: Action): number {
  return action % KINDS;
}

/** Everything that a state is, shared as far as it is the same in others. */
export interface WorldState {
  readonly pages: PageList;
  readonly kernel: KernelState;
  readonly stores: readonly (readonly BufferedStore[])[];
}

export interface WorldOptions {
  /** x86-TSO: stores wait in a buffer of their vCPU before others see them. */
  readonly storeBuffers: boolean;
  /** What is known to be shared, to begin with: see `shared` of an exploration's report. */
  readonly shared?: readonly number[];
  /** Code in which each step is to be seen by itself; at most 30. */
  readonly sections?: readonly Section[];
  /**
   * Leave nothing to {@link World.settle} or {@link removeTraces}: what the search leaves out is
   * held against that.
   */
  readonly hidesNothing?: boolean;
}

/** The clock of everything, in cycles: any time after the machine has started. */
const NOW = 1_000_000;

const AT_ONCE = { needsDrained: false, isPause: false };

/** Steps that nobody else can notice, taken in a row before somebody else may come. */
const LONGEST_RUN = 2000;

export class World {
  readonly machine: Machine;
  readonly vm: Vm;
  readonly vcpus: readonly Vcpu[];
  readonly sharing: Sharing;
  private readonly pages: Pages;
  private readonly kernel: KernelPart;
  private readonly buffers: StoreBuffers | null;
  private readonly memory: PhysicalMemory;
  private readonly sections: readonly Section[];
  private readonly hidesNothing: boolean;
  private readonly footprints: (Footprint | null)[];
  /** Instructions and other steps that were taken, for statistics. */
  steps = 0;
  /** Bits of the vCPUs that have executed PAUSE; for whoever clears it. */
  paused = 0;
  /** Told of each action that is taken, also of those nobody else can notice. */
  onAction: ((action: Action) => void) | null = null;

  /** Throws RangeError for several virtual machines, or more vCPUs than {@link MOST_VCPUS}. */
  constructor(scenario: Scenario, options: MachineOptions, own: WorldOptions) {
    if (scenario.vms.length !== 1) throw new RangeError('one virtual machine expected');
    const { vcpus } = scenario.vms[0];
    if (vcpus > MOST_VCPUS) throw new RangeError(`at most ${MOST_VCPUS} vCPUs can be explored`);
    this.machine = new Machine(timeless(scenario), options);
    this.vm = this.machine.vms[0];
    this.vcpus = this.vm.vcpus;
    this.memory = this.vm.memory;
    this.sharing = new Sharing(vcpus);
    this.sharing.adopt(own.shared ?? []);
    this.sections = own.sections ?? [];
    this.hidesNothing = own.hidesNothing ?? false;
    this.buffers = own.storeBuffers ? new StoreBuffers(this.memory, vcpus) : null;
    this.footprints = this.vcpus.map(() => null);
    this.pages = new Pages(this.memory, stateWordsOf(this.vm));
    this.kernel = new KernelPart(this.machine, NOW);
    this.stopTime();
  }

  /** How the machine ended, or null. */
  get ending(): MachineEnding | null {
    return this.machine.ending;
  }

  /** True if stores go through buffers. */
  get hasBuffers(): boolean {
    return this.buffers !== null;
  }

  /** Everything that can happen next; nothing once the machine has ended. */
  enabled(): Action[] {
    if (this.ending !== null) return [];
    const actions: Action[] = [];
    for (const { index } of this.vcpus) {
      if (this.canStep(index)) actions.push(actionOf(index, ActionKind.STEP));
      if (this.hasStores(index)) actions.push(actionOf(index, ActionKind.DRAIN));
      if (this.hasEvent(index)) actions.push(actionOf(index, ActionKind.EVENT));
    }
    return actions;
  }

  /** True if an interrupt or timer waits for the pCPU of a vCPU. */
  hasEvent(index: number): boolean {
    return this.kernel.hasEvent(index);
  }

  /** Bits of the watched sections that a vCPU is in. */
  sectionsOf(index: number): number {
    const { sections } = this;
    if (sections.length === 0) return 0;
    const rip = this.vcpus[index].linearRip;
    let bits = 0;
    for (const [i, section] of sections.entries()) if (isWithin(rip, section)) bits |= 1 << i;
    return bits;
  }

  /** The lower half of a vCPU's RIP. */
  ripOf(index: number): number {
    return this.vcpus[index].virtual.processor.state.words[Word.RIP] >>> 0;
  }

  /** A hash of everything that a vCPU's processor holds. */
  registersOf(index: number): number {
    const { words } = this.vcpus[index].virtual.processor.state;
    const { low, high } = hashWords(words.subarray(0, STATE_BYTES / 4));
    return joined(low, high);
  }

  private hasStores(index: number): boolean {
    return this.storesOf(index).length > 0;
  }

  /** The stores of a vCPU that have not reached memory, oldest first. */
  storesOf(index: number): readonly BufferedStore[] {
    return this.buffers?.of(index) ?? [];
  }

  /** True if a vCPU can take its next step now. */
  canStep(index: number): boolean {
    if (!this.isRunning(index)) return false;
    if (!this.hasStores(index)) return true;
    if ((this.buffers as StoreBuffers).isFull(index)) return false;
    return !this.nextOf(index).needsDrained;
  }

  private isRunning(index: number): boolean {
    const { thread, state } = this.vcpus[index];
    return state.phase !== 'ended' && this.machine.host.pcpus[index].current === thread;
  }

  /** What the next step of a vCPU accesses, whether it goes through the buffer or not. */
  stepOf(index: number): Footprint {
    return this.nextOf(index);
  }

  private nextOf(index: number): Footprint {
    const known = this.footprints[index];
    if (known !== null) return known;
    const footprint = this.findNext(index);
    this.footprints[index] = footprint;
    return footprint;
  }

  private findNext(index: number): Footprint {
    return footprintOfStep(this.vcpus[index], this.machine.host.pcpus[index]);
  }

  /** What an action that is enabled accesses. */
  footprintOf(action: Action): Footprint {
    const index = vcpuOf(action);
    switch (kindOf(action)) {
      case ActionKind.STEP: {
        const footprint = this.nextOf(index);
        if (this.buffers === null || footprint.needsDrained) return footprint;
        // Its stores go into its buffer, where nobody sees them.
        const ranges = footprint.ranges.filter((range) => range.isRead || !this.isShared(range));
        return { ...footprint, ranges: ranges.map((range) => ({ ...range, isWrite: false })) };
      }
      case ActionKind.DRAIN: {
        const [{ hpa, lengthBytes }] = this.storesOf(index);
        const range = { hpa, lengthBytes, isRead: false, isWrite: true };
        return { ranges: [range], scope: 'registers', kernel: 0, ...AT_ONCE };
      }
      default:
        return footprintOfEvent(this.kernel.eventOf(index));
    }
  }

  /** True if what KVM holds for one of these vCPUs is shared. */
  private isKernelShared(bits: number): boolean {
    return this.vcpus.some(
      ({ index }) => (bits & (1 << index)) !== 0 && this.sharing.isKernelShared(index),
    );
  }

  private isShared({ hpa, lengthBytes }: { hpa: number; lengthBytes: number }): boolean {
    return this.sharing.isShared(hpa, lengthBytes);
  }

  /**
   * True if nobody else can notice a step, or whether it comes before or after their own: it works
   * on registers, on memory that nobody else looks at, or puts a store into the buffer.
   */
  private isHidden(index: number): boolean {
    const { ranges, scope, kernel } = this.nextOf(index);
    if (scope === 'all' || this.hidesNothing) return false;
    const isInterruptible = this.acceptsInterrupts(index);
    if (isInterruptible && this.hasEvent(index)) return false;
    if (this.isKernelShared(isInterruptible ? kernel | (1 << index) : kernel)) return false;
    if (this.sectionsOf(index) !== 0) return false;
    const isBuffering = this.buffers !== null && !this.nextOf(index).needsDrained;
    return ranges.every((range) => (isBuffering && !range.isRead) || !this.isShared(range));
  }

  /** True if an interrupt would come to the guest between this instruction and the next. */
  private acceptsInterrupts(index: number): boolean {
    const { state, virtual } = this.vcpus[index];
    if (state.phase !== 'guest') return false;
    return (virtual.processor.state.words[Word.RFLAGS] & Rflags.IF) !== 0;
  }

  /** True if the next step of a vCPU is one that {@link settle} would take. */
  isNextHidden(index: number): boolean {
    return this.canStep(index) && this.isHidden(index);
  }

  /** Take all steps that nobody else can notice. */
  settle(): void {
    for (const { index } of this.vcpus) {
      for (let i = 0; i < LONGEST_RUN; i++) {
        if (this.ending !== null) return;
        if (!this.canStep(index) || !this.isHidden(index)) break;
        this.take(actionOf(index, ActionKind.STEP));
      }
    }
  }

  /** Take an action that is enabled. */
  take(action: Action): void {
    const index = vcpuOf(action);
    this.steps++;
    this.onAction?.(action);
    switch (kindOf(action)) {
      case ActionKind.STEP:
        this.step(index);
        break;
      case ActionKind.DRAIN:
        this.drain(index);
        break;
      default: {
        const footprint = this.footprintOf(action);
        this.pages.take();
        this.kernel.deliver(index);
        this.touchedKernel(index, footprint);
      }
    }
    this.footprints[index] = null;
    this.stopTime();
  }

  private drain(index: number): void {
    const store = (this.buffers as StoreBuffers).drain(index);
    this.sharing.note(index, store.hpa, store.lengthBytes, true);
    this.pages.touch(store.hpa, store.lengthBytes);
  }

  private step(index: number): void {
    const footprint = this.nextOf(index);
    const { virtual, state, counters } = this.vcpus[index];
    const { exits } = counters;
    const wasGuest = state.phase === 'guest';
    // What KVM writes is seen by comparing: it must not be blamed for what others wrote before.
    if (footprint.scope !== 'registers') this.pages.take();
    if (footprint.isPause) this.paused |= 1 << index;
    this.pages.touch(virtual.processor.state.words.byteOffset - this.memory.bytes.byteOffset, 4);
    for (const { hpa, lengthBytes, isWrite } of footprint.ranges) {
      this.sharing.note(index, hpa, lengthBytes, isWrite);
      if (isWrite) this.pages.touch(hpa, lengthBytes);
    }
    if (this.buffers !== null && !footprint.needsDrained) {
      this.buffers.execute(index, this.bufferedRanges(footprint), () => this.turn(index));
    } else this.turn(index);
    const isPlain = wasGuest && state.phase === 'guest' && counters.exits === exits;
    if (isPlain && footprint.scope !== 'all') {
      if (footprint.scope === 'kernel') this.sharing.noteKernel(index, index);
      return;
    }
    this.touchedKernel(index, footprint);
  }

  private bufferedRanges({ ranges }: Footprint) {
    return ranges.filter((range) => range.isWrite && this.isShared(range));
  }

  private turn(index: number): void {
    const { host } = this.machine;
    host.giveTurn(host.pcpus[index], NOW + 1);
  }

  /** KVM has done something on behalf of a vCPU, to those whose part of it is said, or any. */
  private touchedKernel(index: number, { scope, kernel }: Footprint): void {
    for (const vcpu of this.vcpus) {
      if (scope !== 'all' && (kernel & (1 << vcpu.index)) === 0) continue;
      this.sharing.noteKernel(index, vcpu.index);
      this.kernel.changed(vcpu.index);
      this.footprints[vcpu.index] = null;
      if (vcpu.index !== index) this.removeTraces(vcpu);
    }
    this.touchedOwn(index);
  }

  /** KVM has done something to a vCPU, on its behalf, and may have written its memory. */
  private touchedOwn(index: number): void {
    this.sharing.noteKernel(index, index);
    this.kernel.changed(index);
    this.removeTraces(this.vcpus[index]);
    this.pages.touchAll();
    for (const word of this.pages.takeChanges()) this.sharing.note(index, word * 8, 8, true);
  }

  private removeTraces(vcpu: Vcpu): void {
    if (!this.hidesNothing) removeTraces(this.machine, vcpu);
  }

  /** Take away what makes no difference, where nothing was hidden: for comparing states. */
  tidy(): void {
    for (const vcpu of this.vcpus) removeTraces(this.machine, vcpu);
    this.pages.touchAll();
    this.kernel.allChanged();
  }

  /** All clocks go back to where they were. */
  private stopTime(): void {
    this.kernel.stopTime(NOW);
  }

  save(): WorldState {
    return {
      pages: this.pages.take(),
      kernel: this.kernel.take(),
      stores: this.buffers?.save() ?? [],
    };
  }

  restore(state: WorldState): void {
    this.pages.restore(state.pages);
    if (!this.kernel.restore(state.kernel)) {
      for (const { virtual } of this.vcpus) virtual.processor.requestAttention();
    }
    this.buffers?.restore(state.stores);
    this.footprints.fill(null);
    this.stopTime();
  }

  /** Tells states apart: 53 bits of hash. */
  keyOf({ pages, kernel, stores }: WorldState): number {
    const memory = this.pages.hash(pages);
    const rest = hashKernel(kernel);
    const buffered = hashStores(stores);
    const low = memory.low + mix(rest.low, 1) + mix(buffered.low, 2);
    const high = memory.high + mix(rest.high, 3) + mix(buffered.high, 4);
    return joined(low, high);
  }

  /** Tells apart what a state is to one vCPU, but for memory: its registers, KVM, its stores. */
  localKeyOf({ pages, kernel, stores }: WorldState, index: number): number {
    const own = this.pages.hashOfState(pages, index);
    const rest = hashKernel([kernel[index], kernel[kernel.length - 1]]);
    const buffered = hashStores([stores[index] ?? []]);
    const low = mix(own.low, index) + mix(rest.low, 1) + mix(buffered.low, 2);
    const high = mix(own.high, index) + mix(rest.high, 3) + mix(buffered.high, 4);
    return joined(low, high);
  }
}

/** 53 bits of two hashes. */
function joined(low: number, high: number): number {
  return (low >>> 0) + (mix(high, 5) >>> 11) * 2 ** 32;
}

/** As the scenario says, but for everything that has to do with time and with who runs where. */
export function timeless(scenario: Scenario): Scenario {
  const [vm] = scenario.vms;
  return {
    ...scenario,
    engine: 'interpreter',
    skip: 'off',
    hogs: [],
    host: { ...scenario.host, pcpus: vm.vcpus, hz: 24 },
    vms: [
      {
        ...vm,
        pin: Array.from({ length: vm.vcpus }, (_, i) => String(i)),
        coscheduling: 'none',
        kvm: { ...vm.kvm, ple_gap: 0, preemption_timer: false, halt_poll_ns: 0 },
      },
    ],
  };
}

function stateWordsOf(vm: Vm): ReadonlyMap<number, number> {
  return new Map(
    vm.vcpus.map(({ virtual }) => {
      const offset = virtual.processor.state.words.byteOffset - vm.memory.bytes.byteOffset;
      return [offset / PAGE_SIZE, STATE_BYTES / 4] as const;
    }),
  );
}
