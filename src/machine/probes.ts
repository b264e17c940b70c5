// What the machine itself looks at in its guests while they run: code that is come to, words of
// memory that change. Who wants to know (faults, properties) says what to look at; where there is
// nobody, nothing is looked at. Not state: what follows from it belongs to those who are told.

import Long from 'long';
import type { Vcpu, Vm } from '../kvm/index.ts';
import { LINE_SIZE, Watch } from '../memory/index.ts';
import type { CodePlace, GuestPlace, WordPlace } from './guest-places.ts';
import type { Machine } from './machine.ts';

/** Who is told. Both are called in the middle of a turn of the vCPU. */
export interface ProbeListener {
  /**
   * A vCPU is about to execute the code at a place. It is told again if the vCPU was interrupted
   * there; see {@link Arrivals}.
   * @returns true if the turn was made to end here
   */
  reached(place: CodePlace, vcpu: Vcpu): boolean;
  /** The instruction that a vCPU is executing has changed a word. */
  changed(place: WordPlace, vcpu: Vcpu, before: Long, after: Long): void;
}

interface Attended<Place> {
  readonly place: Place;
  readonly listener: ProbeListener;
}

/** Which words are watched, and what they held when somebody looked last. */
interface WatchedWord extends Attended<WordPlace> {
  readonly hpa: number;
  value: Long;
}

export class Probes {
  private readonly machine: Machine;
  private readonly code: Attended<CodePlace>[] = [];
  private readonly words: WatchedWord[] = [];

  constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Look at some places on behalf of somebody. Throws RangeError for a word outside of RAM. */
  attend(places: readonly GuestPlace[], listener: ProbeListener): void {
    const isFirst = this.code.length + this.words.length === 0;
    for (const place of places) {
      if (place.kind === 'code') this.code.push({ place, listener });
      else this.words.push(this.watched(place, listener));
    }
    for (const vm of this.machine.vms) this.install(vm);
    if (!isFirst || places.length === 0) return;
    for (const vm of this.machine.vms) {
      vm.memory.onLineWritten(Watch.PROBE, () => this.written(vm));
    }
  }

  private watched(place: WordPlace, listener: ProbeListener): WatchedWord {
    const vm = this.machine.vms[place.vm];
    const hpa = vm.ramAt(place.gpa);
    if (hpa === null || hpa % LINE_SIZE > LINE_SIZE - place.lengthBytes) {
      const where = `0x${place.gpa.toString(16)}`;
      throw new RangeError(`${place.name}: no word of ${place.lengthBytes} bytes at ${where}`);
    }
    return { place, listener, hpa, value: readWord(vm, hpa, place.lengthBytes) };
  }

  private install(vm: Vm): void {
    const stops = this.code.filter(({ place }) => place.vm === vm.id);
    if (stops.length > 0) {
      vm.setCodeStops(
        stops.map(({ place }) => place.linear),
        'machine',
      );
      for (const vcpu of vm.vcpus) {
        vcpu.virtual.spin.abandon();
        vcpu.virtual.processor.attend((linear) => this.reached(vcpu, linear), null, 'machine');
      }
    }
    this.arm(vm);
  }

  /** Watch the lines of all words for the next write. */
  private arm(vm: Vm): void {
    for (const { place, hpa } of this.words) {
      if (place.vm === vm.id) vm.memory.watch(Watch.PROBE, hpa, place.lengthBytes);
    }
  }

  /** Memory was replaced as a whole: what the words hold now is what they held. */
  memoryRestored(): void {
    for (const vm of this.machine.vms) this.arm(vm);
    for (const word of this.words) {
      word.value = readWord(this.machine.vms[word.place.vm], word.hpa, word.place.lengthBytes);
    }
  }

  private reached(vcpu: Vcpu, linear: Long): boolean {
    if (this.machine.host.turnOf?.current !== vcpu.thread) return false;
    let isCut = false;
    for (const { place, listener } of this.code) {
      if (place.vm !== vcpu.vm.id || !place.linear.eq(linear)) continue;
      if (listener.reached(place, vcpu)) isCut = true;
    }
    return isCut;
  }

  private written(vm: Vm): void {
    this.arm(vm);
    const thread = this.machine.host.turnOf?.current;
    const vcpu = vm.vcpus.find((one) => one.thread === thread && one.isInGuest);
    for (const word of this.words) {
      if (word.place.vm !== vm.id) continue;
      const before = word.value;
      const after = readWord(vm, word.hpa, word.place.lengthBytes);
      if (after.eq(before)) continue;
      word.value = after;
      // What host and devices write is nobody's doing.
      if (vcpu !== undefined) word.listener.changed(word.place, vcpu, before, after);
    }
  }
}

function readWord({ memory: { view } }: Vm, hpa: number, lengthBytes: number): Long {
  const byte = (i: number) => view.getUint8(hpa + i) * 2 ** (8 * (i % 4));
  const sum = (from: number) => {
    let total = 0;
    for (let i = from; i < Math.min(from + 4, lengthBytes); i++) total += byte(i);
    return total | 0;
  };
  return Long.fromBits(sum(0), sum(4), true);
}

/**
 * Tells whether a vCPU comes to a place, or is there again because it was interrupted before it
 * executed anything. Plain data, to be saved by whoever depends on it.
 */
export class Arrivals {
  /** By who asks, virtual machine, vCPU and place: instructions completed at the last arrival. */
  state: Record<string, number> = {};

  isNew(place: CodePlace, vcpu: Vcpu, asker = 0): boolean {
    const key = `${asker} ${place.vm} ${vcpu.index} ${place.name}`;
    const { instructions } = vcpu.virtual.processor;
    if (this.state[key] === instructions) return false;
    this.state[key] = instructions;
    return true;
  }
}
