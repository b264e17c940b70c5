// Makes the faults of a scenario happen. Time and place decide through the host's event queue and
// the machine's probes, KVM asks where it hands something on; what happens to a pCPU or vCPU comes
// to it as an interrupt of the host. Everything that is under way is plain data.

import type Long from 'long';
import type { FaultSource, Pcpu } from '../../host/index.ts';
import {
  type Disturbance,
  deliver,
  type SentInterrupt,
  type Vcpu,
  type Vm,
} from '../../kvm/index.ts';
import { copyPlain } from '../../sim/index.ts';
import type { GuestPlace } from '../guest-places.ts';
import type { Machine } from '../machine.ts';
import { Arrivals, type ProbeListener } from '../probes.ts';
import { FAULTS, type Fault, type FaultName, faultText, OF_PCPU } from './catalogue.ts';
import { Chance, type ChanceState } from './chance.ts';
import { canHappen, happen } from './effects.ts';
import { EntryFailures, type EntryFailuresState } from './entry-failures.ts';
import { placesOf } from './fault-issues.ts';
import type { FaultWork } from './fault-thread.ts';
import { FaultThreads } from './fault-threads.ts';

/** Something that was decided, or will be, and has not come to pass. Plain data. */
interface Pending {
  readonly id: number;
  /** Which fault of the scenario. */
  readonly fault: number;
  readonly what: /** The time of a fault comes. */
    | 'time'
    /** A vCPU has come to its place. */
    | 'place'
    /** It happens, once the interrupt is handled. */
    | 'act'
    /** An interrupt or a wake-up arrives that was held back. */
    | 'interrupt'
    | 'wakeUp';
  readonly vm: number;
  readonly vcpu: number;
  /** -1: where the vCPU is. */
  readonly pcpu: number;
  /** How much or how long. */
  readonly ns: number;
  /** The interrupt that was held back, or null. */
  readonly interrupt: SentInterrupt | null;
}

interface Lateness {
  readonly low: number;
  readonly high: number;
  readonly cycles: number;
}

/** Plain data, part of snapshots and of the state hash. */
export interface FaultsState {
  readonly chances: readonly ChanceState[];
  readonly injected: readonly number[];
  readonly pending: readonly Pending[];
  readonly nextId: number;
  readonly work: readonly FaultWork[];
  readonly arrivals: Readonly<Record<string, number>>;
  /** By vCPU, the deadline that its timer has, and how late it will be. */
  readonly lateness: Readonly<Record<string, Lateness>>;
  readonly entries: EntryFailuresState;
  /** By fault, the time in ns of its next snapshot, or null. */
  readonly pauses: readonly (number | null)[];
}

/** How often a fault has happened. */
export interface FaultCount {
  /** As on the command line. */
  readonly fault: string;
  readonly count: number;
}

const KICKS: readonly FaultName[] = ['delay-kick', 'lose-kick'];
const IPIS: readonly FaultName[] = ['delay-ipi', 'lose-ipi'];

/** Interrupts that can be late; the others start and stop processors. */
const SENT_MODES: readonly string[] = ['Fixed', 'LowPrio', 'NMI', 'Res3'];

export class FaultInjector implements FaultSource, Disturbance {
  readonly machine: Machine;
  readonly faults: readonly Fault[];
  readonly chances: readonly Chance[];
  readonly threads: FaultThreads;
  readonly entries = new EntryFailures();
  private injected: number[];
  private pending: Pending[] = [];
  private nextId = 1;
  private lateness: Record<string, Lateness> = {};
  private pauses: (number | null)[];
  private readonly arrivals = new Arrivals();

  /** Throws RangeError if a fault names a place that no program has. */
  constructor(machine: Machine) {
    const { host, vms } = machine;
    const { faults, seed } = machine.scenario;
    this.machine = machine;
    this.faults = faults;
    this.chances = faults.map((fault, i) => new Chance(fault, i, seed));
    this.injected = faults.map(() => 0);
    this.threads = new FaultThreads(host, faults);
    host.faults = this;
    for (const vm of vms) vm.disturbance = this;
    for (const [i, fault] of faults.entries()) this.attend(i, fault);
    this.pauses = faults.map(({ fault }, i) => {
      const { occasion } = FAULTS[fault];
      if (occasion === 'moment') this.postNext(i);
      return occasion === 'pause' ? this.chances[i].nextMoment() : null;
    });
  }

  private attend(index: number, fault: Fault): void {
    const places = placesOf(fault, this.machine.namedRam);
    if (typeof places === 'string') throw new RangeError(`faults[${index}]: ${places}`);
    const listener: ProbeListener = {
      reached: (place, vcpu) =>
        this.arrivals.isNew(place, vcpu, index) &&
        this.come(index, place, vcpu, vcpu.virtual.processor.clock),
      changed: (place, vcpu, before, after) => {
        if (!before.isZero() || after.isZero()) return;
        this.come(index, place, vcpu, vcpu.virtual.processor.begun + 1);
      },
    };
    this.machine.probes.attend(places, listener);
  }

  /** A vCPU is at a place at a time in cycles; true if its turn ends here. */
  private come(index: number, { vm }: GuestPlace, vcpu: Vcpu, time: number): boolean {
    const fault = this.faults[index];
    const { host } = this.machine;
    if (fault.vcpu >= 0 && fault.vcpu !== vcpu.index) return false;
    if (!this.chances[index].decide(host.frequency.toNs(time))) return false;
    const delay = host.frequency.toCycles(this.chances[index].draw(fault.after));
    const pcpu = OF_PCPU.includes(fault.fault) ? this.pcpuFor(fault, vcpu) : -1;
    this.post(time + delay, index, 'place', { vm, vcpu: vcpu.index, pcpu });
    vcpu.virtual.hurry(time + delay);
    return delay === 0;
  }

  private pcpuFor({ pcpu }: Fault, vcpu: Vcpu): number {
    return pcpu >= 0 ? pcpu : vcpu.thread.state.pcpu;
  }

  /** Have something happen at a time in cycles. */
  private post(
    time: number,
    fault: number,
    what: Pending['what'],
    more: Partial<Pending> = {},
  ): void {
    this.machine.host.postMoment(time, this.remember(fault, what, more));
  }

  private remember(fault: number, what: Pending['what'], more: Partial<Pending>): number {
    const id = this.nextId++;
    const nothing = { vm: -1, vcpu: -1, pcpu: -1, ns: 0, interrupt: null };
    this.pending.push({ ...nothing, ...more, id, fault, what });
    return id;
  }

  private forget(id: number): Pending {
    const at = this.pending.findIndex((one) => one.id === id);
    return this.pending.splice(at, 1)[0];
  }

  private postNext(index: number): void {
    const { at, lock } = this.faults[index];
    if (at !== '' || lock !== '') return;
    const ns = this.chances[index].nextMoment();
    if (ns !== null) this.post(this.machine.host.frequency.firstCycleAt(ns), index, 'time');
  }

  private vcpuOf({ vm, vcpu }: Pending): Vcpu {
    return this.machine.vms[vm].vcpus[vcpu];
  }

  due(id: number, time: number): void {
    const { host } = this.machine;
    const one = this.pending.find((candidate) => candidate.id === id) as Pending;
    if (one.what === 'time' || one.what === 'place') this.forget(id);
    if (one.what === 'time') {
      this.timeHasCome(one.fault, time);
      this.postNext(one.fault);
    } else if (one.what === 'place') this.begin(one.fault, one, time);
    else host.interrupt(this.pcpuOf(this.vcpuOf(one)), time, id);
  }

  private pcpuOf({ thread }: Vcpu): Pcpu {
    return this.machine.host.pcpus[thread.state.pcpu];
  }

  /** By time alone it is not said to whom. */
  private timeHasCome(index: number, time: number): void {
    const fault = this.faults[index];
    const { host } = this.machine;
    const chance = this.chances[index];
    const timeNs = host.frequency.toNs(time);
    if (OF_PCPU.includes(fault.fault)) {
      if (!chance.decide(timeNs)) return;
      const pcpu = fault.pcpu >= 0 ? fault.pcpu : chance.pick(host.pcpus).index;
      this.begin(index, { vm: -1, vcpu: -1, pcpu }, time);
      return;
    }
    const all = this.machine.vcpus.filter((vcpu) => this.isAbout(fault, vcpu));
    const able = all.filter((vcpu) => canHappen(fault.fault, vcpu, host));
    if (able.length === 0 || !chance.decide(timeNs)) return;
    const { vm, index: vcpu } = chance.pick(able);
    this.begin(index, { vm: vm.id, vcpu, pcpu: -1 }, time);
  }

  private isAbout({ vm, vcpu }: Fault, target: Vcpu): boolean {
    return (vm < 0 || vm === target.vm.id) && (vcpu < 0 || vcpu === target.index);
  }

  /** It happens now: interrupt whoever it happens to. */
  private begin(
    index: number,
    { vm, vcpu, pcpu }: Pick<Pending, 'vm' | 'vcpu' | 'pcpu'>,
    time: number,
  ): void {
    const { host, vms } = this.machine;
    const { fault, by, for: length, vcpu: named } = this.faults[index];
    const ns = this.chances[index].draw(by.mostNs > 0 ? by : length);
    // A clock is all vCPUs', unless one is named.
    const isShared = (fault === 'clock-forward' || fault === 'clock-back') && named < 0;
    const targets = isShared ? vms[vm].vcpus.map((one) => one.index) : [vcpu];
    for (const target of targets) {
      const where = pcpu >= 0 ? pcpu : vms[vm].vcpus[target].thread.state.pcpu;
      const id = this.remember(index, 'act', { vm, vcpu: target, pcpu: where, ns });
      host.interrupt(host.pcpus[where], time, id);
    }
  }

  arrived(id: number, pcpu: Pcpu): void {
    const one = this.forget(id);
    const { fault: index, what, interrupt, ns } = one;
    const vcpu = one.vm < 0 ? null : this.vcpuOf(one);
    if (what === 'act') {
      const { threads, entries, faults, chances } = this;
      const around = { fault: faults[index], index, chance: chances[index], threads, entries };
      if (happen({ ...around, vcpu, pcpu, ns })) this.note(index, vcpu, pcpu, ns);
      return;
    }
    if (vcpu === null) return;
    if (interrupt === null) vcpu.wakeOrInterrupt(pcpu);
    else deliver(vcpu, interrupt, pcpu);
    // If it had no effect, nobody falls asleep any more who would find out.
    const { vm } = vcpu;
    const isAsleep = vm.vcpus.every((other) => other.isBlocked || other.state.phase === 'ended');
    if (isAsleep && vm.isStuck(vcpu)) vm.userSpace.allBlocked(vm);
  }

  /** It has happened, or is decided for good. */
  private note(index: number, vcpu: Vcpu | null, pcpu: Pcpu, ns: number): void {
    this.injected[index]++;
    if (!pcpu.traced) return;
    pcpu.trace('fault', {
      kind: this.faults[index].fault,
      number: index,
      vm: vcpu?.vm.id ?? -1,
      vcpu: vcpu?.index ?? -1,
      cpu: pcpu.index,
      ns,
    });
  }

  /** The first of some faults that is to happen to a vCPU now; -1 for none. */
  private decide(names: readonly FaultName[], vcpu: Vcpu, pcpu: Pcpu, vector = -1): number {
    return this.faults.findIndex(
      (fault, i) =>
        names.includes(fault.fault) &&
        this.isAbout(fault, vcpu) &&
        (fault.vector < 0 || fault.vector === vector) &&
        this.chances[i].decide(pcpu.nowNs),
    );
  }

  takesInterrupt(target: Vcpu, interrupt: SentInterrupt, pcpu: Pcpu): boolean {
    const { mode, vector } = interrupt;
    if (!SENT_MODES.includes(mode)) return false;
    const names = mode === 'Res3' ? KICKS : IPIS;
    const index = this.decide(names, target, pcpu, vector);
    if (index < 0) return false;
    const { fault, by } = this.faults[index];
    const isLost = fault === 'lose-ipi' || fault === 'lose-kick';
    const ns = isLost ? 0 : this.chances[index].draw(by);
    this.note(index, target, pcpu, ns);
    if (isLost) return true;
    const { vm, index: vcpu } = target;
    const { levelTriggered, assert } = interrupt;
    const plain = { vector, mode, levelTriggered, assert };
    const time = pcpu.now + this.machine.host.frequency.toCycles(ns);
    this.post(time, index, 'interrupt', { vm: vm.id, vcpu, ns, interrupt: plain });
    return true;
  }

  takesWakeUp(target: Vcpu, pcpu: Pcpu): boolean {
    const index = this.decide(['delay-wake'], target, pcpu);
    if (index < 0) return false;
    const ns = this.chances[index].draw(this.faults[index].by);
    this.note(index, target, pcpu, ns);
    const time = pcpu.now + this.machine.host.frequency.toCycles(ns);
    this.post(time, index, 'wakeUp', { vm: target.vm.id, vcpu: target.index, ns });
    return true;
  }

  timerLateness(vcpu: Vcpu, { low, high }: Long, pcpu: Pcpu): number {
    const key = `${vcpu.vm.id} ${vcpu.index}`;
    const known = this.lateness[key];
    if (known?.low === low && known.high === high) return known.cycles;
    const index = this.decide(['timer-jitter'], vcpu, pcpu);
    const ns = index < 0 ? 0 : this.chances[index].draw(this.faults[index].by);
    if (index >= 0) this.note(index, vcpu, pcpu, ns);
    const cycles = Math.floor((ns * vcpu.vm.tscKhz) / 1e6);
    this.lateness[key] = { low, high, cycles };
    return cycles;
  }

  beforeEntry(vcpu: Vcpu): void {
    this.entries.beforeEntry(vcpu);
  }

  holdsBack({ id }: Vm): boolean {
    return this.pending.some(
      ({ what, vm }) => vm === id && (what === 'interrupt' || what === 'wakeUp'),
    );
  }

  /** When the machine is to pause for a fault, in cycles; Infinity if never. */
  get nextPause(): number {
    const { frequency } = this.machine.host;
    return this.pauses.reduce(
      (least: number, ns) => (ns === null ? least : Math.min(least, frequency.firstCycleAt(ns))),
      Number.POSITIVE_INFINITY,
    );
  }

  /** The machine has paused at a time in cycles. */
  pausedAt(time: number): void {
    const { host } = this.machine;
    for (const [i, ns] of this.pauses.entries()) {
      if (ns === null || host.frequency.firstCycleAt(ns) !== time) continue;
      this.pauses[i] = this.chances[i].nextMoment();
      if (!this.chances[i].decide(ns)) continue;
      this.note(i, null, host.pcpus[0], 0);
      this.machine.saveAndRestore();
    }
  }

  /** How often each fault has happened, in the order of the scenario. */
  get counts(): readonly FaultCount[] {
    return this.faults.map((fault, i) => ({ fault: faultText(fault), count: this.injected[i] }));
  }

  get state(): FaultsState {
    return copyPlain({
      chances: this.chances.map(({ state }) => state),
      injected: this.injected,
      pending: this.pending,
      nextId: this.nextId,
      work: this.threads.work,
      arrivals: this.arrivals.state,
      lateness: this.lateness,
      entries: this.entries.state,
      pauses: this.pauses,
    });
  }

  set state(saved: FaultsState) {
    const copy = copyPlain(saved);
    copy.chances.forEach((state, i) => {
      this.chances[i].state = state;
    });
    this.injected = [...copy.injected];
    this.pending = [...copy.pending];
    this.nextId = copy.nextId;
    this.threads.work = [...copy.work];
    this.arrivals.state = { ...copy.arrivals };
    this.lateness = { ...copy.lateness };
    this.entries.state = copy.entries;
    this.pauses = [...copy.pauses];
  }
}
