// Events of guest code and guest memory for properties that speak of them: guest_code when a vCPU
// comes to a place, guest_write when one changes a word. Nothing is looked at that no property
// names.

import Long from 'long';
import {
  Arrivals,
  type GuestPlace,
  guestPlaces,
  type Machine,
  type NamedRam,
} from '../machine/index.ts';
import type { TraceRecord, TraceSink } from '../trace/index.ts';
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
 * The places that properties name.
 * @param rams of each machine
 * @throws PlaceError if one names what no program has
 */
export function placesOfProperties(
  properties: readonly Property[],
  rams: readonly NamedRam[],
): readonly GuestPlace[] {
  const vms = rams.map((_, i) => i);
  const places = new Map<string, GuestPlace>();
  for (const property of properties) {
    for (const { kind, text } of property.places) {
      const found = guestPlaces(kind, text, rams, vms);
      if (typeof found === 'string') throw new PlaceError(property, found);
      for (const place of found) places.set(`${kind} ${place.vm} ${text}`, place);
    }
  }
  return [...places.values()];
}

/**
 * Looks at what properties name in the guests of a machine, for good: a machine that is put back to
 * its beginning for another run keeps it, and tells another sink.
 */
export class GuestObserver {
  private sink: TraceSink | null = null;
  // Where it was interrupted it comes to the same instruction again, which is no news.
  private arrivals = new Arrivals();

  /**
   * @param machine has not run yet
   * @throws PlaceError if a property names what no program has
   */
  constructor(machine: Machine, properties: readonly Property[]) {
    const places = placesOfProperties(properties, machine.namedRam);
    const { frequency } = machine.host;
    machine.probes.attend(places, {
      reached: (place, vcpu) => {
        if (!this.arrivals.isNew(place, vcpu)) return false;
        const { thread, index } = vcpu;
        const fields = { vm: place.vm, vcpu: index, at: place.name, rip: vcpu.linearRip };
        const timeNs = frequency.toNs(vcpu.virtual.processor.clock);
        const where = { pcpu: thread.state.pcpu, comm: thread.name, pid: thread.pid };
        this.tell({ timeNs, ...where, name: 'guest_code', fields });
        return false;
      },
      changed: ({ vm, name, gpa }, vcpu, old, after) => {
        const { thread, index } = vcpu;
        const address = Long.fromNumber(gpa, true);
        const fields = { vm, vcpu: index, at: name, gpa: address, old, new: after };
        const timeNs = frequency.toNs(vcpu.virtual.processor.begun);
        const where = { pcpu: thread.state.pcpu, comm: thread.name, pid: thread.pid };
        this.tell({ timeNs, ...where, name: 'guest_write', fields });
      },
    });
  }

  /** The machine is at its beginning: from here on a sink is told, and what came before is not. */
  begin(sink: TraceSink | null): void {
    this.sink = sink;
    this.arrivals = new Arrivals();
  }

  private tell(record: TraceRecord): void {
    this.sink?.record(record);
  }
}
