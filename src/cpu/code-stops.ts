// Addresses at which somebody wants to look before the instruction there is executed: a debugger's
// breakpoints, and the machine's probes. Not state. Decoded blocks and compiled code end before
// such an address, so that all of them are found where a block begins. A mapping keeps the offset
// in the page, so ending blocks at the offset is enough, whatever the page.

import type Long from 'long';
import { PAGE_SIZE } from '../memory/index.ts';

/** What hears of an instruction that is about to be executed: true if it has asked for a pause. */
export type StopMet = (linear: Long) => boolean;

/** Who wants to hear: a debugger, or the machine itself on behalf of faults and properties. */
export type Attendant = 'debugger' | 'machine';

/** The addresses for all processors of one memory. */
export class CodeStops {
  /** One byte for each offset in a page: 1 if a block must end before it. */
  private readonly offsets = new Uint8Array(PAGE_SIZE);
  /** Upper halves of all addresses by the lower ones, for it is asked at every block. */
  private readonly addresses = new Map<number, number[]>();

  get isEmpty(): boolean {
    return this.addresses.size === 0;
  }

  /** Replace all; code that was decoded before must be dropped then. */
  set(linear: readonly Long[]): void {
    this.offsets.fill(0);
    this.addresses.clear();
    for (const { low, high } of linear) {
      this.offsets[low & (PAGE_SIZE - 1)] = 1;
      this.addresses.set(low, [...(this.addresses.get(low) ?? []), high]);
    }
  }

  /** True if some address has the offset in its page that this one has. */
  endsBlock(address: number): boolean {
    return this.offsets[address & (PAGE_SIZE - 1)] !== 0;
  }

  /** By the halves of a linear address. */
  has(low: number, high: number): boolean {
    return this.addresses.get(low)?.includes(high) === true;
  }
}

/** Those who hear of the stops of one processor: each of all of them, whoever asks for a pause. */
export class Attendants {
  private readonly all = new Map<Attendant, StopMet>();

  /** Enter one, in the place of his earlier self; returns what tells all. */
  with(attendant: Attendant, stopMet: StopMet): StopMet {
    this.all.set(attendant, stopMet);
    const told = [...this.all.values()];
    return told.length === 1 ? stopMet : (linear) => told.filter((one) => one(linear)).length > 0;
  }
}
