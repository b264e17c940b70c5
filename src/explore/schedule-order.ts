// A machine in the order of a schedule, for whoever wants to look at it as at any other: run it,
// step through it, go back. The steps are those of a `World`, but clocks go on: a guest that reads
// the time sees another one than it did when the schedule was found.

import type { Order, Pcpu } from '../host/index.ts';
import type { Machine } from '../machine/index.ts';
import { footprintOfStep } from './footprint.ts';
import { waitingEvents } from './kernel-state.ts';
import { Sharing } from './sharing.ts';
import { type BufferedStore, StoreBuffers } from './store-buffers.ts';
import { type Action, ActionKind, kindOf, vcpuOf } from './world.ts';

export interface ScheduleOrderOptions {
  readonly schedule: readonly Action[];
  readonly storeBuffers: boolean;
  /** `shared` of the report that the schedule is from. */
  readonly shared: readonly number[];
  /** What is so at its end, as a sentence without a full stop. */
  readonly end: string;
}

interface OrderState {
  /** How many actions were taken. */
  readonly taken: number;
  readonly stores: readonly (readonly BufferedStore[])[];
}

/** For the `order` of a machine whose scenario is {@link timeless}. */
export class ScheduleOrder implements Order {
  private readonly machine: Machine;
  private readonly options: ScheduleOrderOptions;
  private readonly sharing: Sharing;
  private readonly buffers: StoreBuffers | null;
  private taken = 0;
  private isLost = false;

  constructor(machine: Machine, options: ScheduleOrderOptions) {
    const [vm] = machine.vms;
    this.machine = machine;
    this.options = options;
    this.sharing = new Sharing(vm.vcpus.length);
    this.sharing.adopt(options.shared);
    this.buffers = options.storeBuffers ? new StoreBuffers(vm.memory, vm.vcpus.length) : null;
  }

  get state(): OrderState {
    return { taken: this.taken, stores: this.buffers?.save() ?? [] };
  }

  set state({ taken, stores }: OrderState) {
    this.taken = taken;
    this.isLost = false;
    this.buffers?.restore(stores);
  }

  get next(): Pcpu | null {
    const action = this.options.schedule[this.taken];
    if (action === undefined) return null;
    if (!this.isPossible(action)) {
      this.isLost = true;
      return null;
    }
    return this.machine.host.pcpus[vcpuOf(action)];
  }

  get end(): string {
    const { schedule, end } = this.options;
    if (!this.isLost) return `the schedule ends here: ${end}`;
    return `step ${this.taken + 1} of ${schedule.length} of the schedule cannot be taken here`;
  }

  private isPossible(action: Action): boolean {
    const index = vcpuOf(action);
    const { host, vms } = this.machine;
    const vcpu = vms[0].vcpus[index];
    switch (kindOf(action)) {
      case ActionKind.STEP:
        return vcpu.state.phase !== 'ended' && host.pcpus[index].current === vcpu.thread;
      case ActionKind.DRAIN:
        return (this.buffers?.of(index).length ?? 0) > 0;
      default:
        return waitingEvents(this.machine, index).length > 0;
    }
  }

  take(): void {
    const action = this.options.schedule[this.taken];
    const index = vcpuOf(action);
    const { host } = this.machine;
    if (kindOf(action) !== ActionKind.DRAIN) this.catchUp(index);
    switch (kindOf(action)) {
      case ActionKind.STEP:
        if (!this.step(index)) return;
        break;
      case ActionKind.DRAIN:
        this.buffers?.drain(index);
        break;
      default: {
        // Clocks of pCPUs differ here: what was posted first comes first.
        const waiting = [...waitingEvents(this.machine, index)];
        host.happen(waiting.sort((a, b) => a.sequence - b.sequence)[0]);
      }
    }
    this.taken++;
    for (const pcpu of host.pcpus) if (pcpu.state.tickSequence >= 0) host.setTick(pcpu, false);
  }

  /** What happens later in the schedule is never earlier in time. */
  private catchUp(index: number): void {
    const { host, vms } = this.machine;
    const pcpu = host.pcpus[index];
    const vcpu = vms[0].vcpus[index];
    const now = Math.max(...host.pcpus.map((one) => one.now));
    if (pcpu.now >= now) return;
    if (pcpu.isIdle) pcpu.idleUntil(now);
    else pcpu.advanceTo(now, vcpu.isInGuest ? 'guest' : 'host');
    vcpu.virtual.processor.clock = now;
  }

  /** False if the vCPU was stopped before it did anything. */
  private step(index: number): boolean {
    const { host, vms } = this.machine;
    const pcpu = host.pcpus[index];
    const { buffers } = this;
    const footprint = footprintOfStep(vms[0].vcpus[index], pcpu);
    const begun = pcpu.now;
    const turn = () => {
      host.giveTurn(pcpu, begun + 1);
    };
    if (buffers === null || footprint.needsDrained) turn();
    else {
      const before = buffers.save();
      const writes = footprint.ranges.filter(
        ({ hpa, lengthBytes, isWrite }) => isWrite && this.sharing.isShared(hpa, lengthBytes),
      );
      buffers.execute(index, writes, turn);
      if (pcpu.now === begun) buffers.restore(before);
    }
    return pcpu.now !== begun;
  }
}
