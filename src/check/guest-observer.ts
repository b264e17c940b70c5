// Events of guest code and guest memory for properties that speak of them: guest_code when a vCPU
// comes to a place, guest_write when one changes a word. Nothing is looked at that no property
// names.

import Long from 'long';
import { Arrivals, type GuestPlace, guestPlaces, type Machine } from '../machine/index.ts';
import type { TraceSink } from '../trace/index.ts';
import type { Property } from './property.ts';

/** A property names a place that no program has. */
export class PlaceError extends Error {
  readonly property: Property;

  constructor(property: Property, message: string) {
    super(message);
    this.name = 'PlaceError';
    this.property = property;
  }
}

/**
 * Have a machine tell a sink of what properties name in its guests, before it runs.
 * @throws PlaceError if one names what no program has
 */
export function observeGuests(
  machine: Machine,
  properties: readonly Property[],
  sink: TraceSink,
): void {
  const vms = machine.vms.map((_, i) => i);
  const places = new Map<string, GuestPlace>();
  for (const property of properties) {
    for (const { kind, text } of property.places) {
      const found = guestPlaces(kind, text, machine.symbols, vms);
      if (typeof found === 'string') throw new PlaceError(property, found);
      for (const place of found) places.set(`${kind} ${place.vm} ${text}`, place);
    }
  }
  const { frequency } = machine.host;
  // Where it was interrupted it comes to the same instruction again, which is no news.
  const arrivals = new Arrivals();
  machine.probes.attend([...places.values()], {
    reached: (place, vcpu) => {
      if (!arrivals.isNew(place, vcpu)) return false;
      const { thread, index } = vcpu;
      const fields = { vm: place.vm, vcpu: index, at: place.name, rip: vcpu.linearRip };
      const timeNs = frequency.toNs(vcpu.virtual.processor.clock);
      const where = { pcpu: thread.state.pcpu, comm: thread.name, pid: thread.pid };
      sink.record({ timeNs, ...where, name: 'guest_code', fields });
      return false;
    },
    changed: ({ vm, name, gpa }, vcpu, old, after) => {
      const { thread, index } = vcpu;
      const address = Long.fromNumber(gpa, true);
      const fields = { vm, vcpu: index, at: name, gpa: address, old, new: after };
      const timeNs = frequency.toNs(vcpu.virtual.processor.begun);
      const where = { pcpu: thread.state.pcpu, comm: thread.name, pid: thread.pid };
      sink.record({ timeNs, ...where, name: 'guest_write', fields });
    },
  });
}
