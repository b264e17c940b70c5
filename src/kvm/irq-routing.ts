// Which pins and messages an interrupt line (GSI) leads to: KVM_SET_GSI_ROUTING. Linux
// virt/kvm/irqchip.c, setup_routing_entry, and arch/x86/kvm/irq.c, kvm_set_routing_entry.

import { IOAPIC_PINS } from './ioapic.ts';

/** Numbers of the controllers, KVM_IRQCHIP_*. */
export const IrqchipId = { PIC_MASTER: 0, PIC_SLAVE: 1, IOAPIC: 2 } as const;

/** One entry of a table; plain data. A line may have several, to a pin of each controller. */
export type IrqRoute =
  | { readonly gsi: number; readonly kind: 'pin'; readonly chip: number; readonly pin: number }
  | {
      readonly gsi: number;
      readonly kind: 'message';
      readonly addressLow: number;
      readonly addressHigh: number;
      readonly data: number;
    };

/** Lines are below this, and a table has at most so many entries: KVM_MAX_IRQ_ROUTES. */
export const MAX_IRQ_ROUTES = 4096;

/** Lines that have a pin of a PIC. */
export const PIC_LINES = 16;
const PIC_PINS = 8;

/** Pins of each controller, by its number. */
const PINS = [PIC_PINS, PIC_PINS, IOAPIC_PINS];

const toPin = (gsi: number, chip: number, pin: number): IrqRoute => ({
  gsi,
  kind: 'pin',
  chip,
  pin,
});

const picRoute = (gsi: number) =>
  toPin(gsi, gsi < PIC_PINS ? IrqchipId.PIC_MASTER : IrqchipId.PIC_SLAVE, gsi % PIC_PINS);

function wired(ioapicPin: (gsi: number) => number): readonly IrqRoute[] {
  return Array.from({ length: IOAPIC_PINS }, (_, gsi) => {
    const pin = ioapicPin(gsi);
    return [
      ...(gsi < PIC_LINES ? [picRoute(gsi)] : []),
      ...(pin < 0 ? [] : [toPin(gsi, IrqchipId.IOAPIC, pin)]),
    ];
  }).flat();
}

/** What KVM_CREATE_IRQCHIP sets up: each line leads to the pin of its number. */
export const DEFAULT_ROUTES = wired((gsi) => gsi);

/** What PCs have, and QEMU sets up: the interval timer, line 0, is at pin 2 of the I/O APIC. */
export const PC_ROUTES = wired((gsi) => (gsi === 0 ? 2 : gsi === 2 ? -1 : gsi));

/** What is wrong with a table, or null. */
export function routingMistake(routes: readonly IrqRoute[]): string | null {
  if (routes.length > MAX_IRQ_ROUTES) return `at most ${MAX_IRQ_ROUTES} entries`;
  for (const [i, route] of routes.entries()) {
    if (!isBelow(route.gsi, MAX_IRQ_ROUTES)) return `there is no line ${route.gsi}`;
    const others = routes.slice(0, i).filter(({ gsi }) => gsi === route.gsi);
    if (route.kind === 'message') {
      if (others.length > 0) return `line ${route.gsi} has an entry already`;
      continue;
    }
    const { chip, pin } = route;
    if (!isBelow(chip, PINS.length)) return `there is no controller ${chip}`;
    if (!isBelow(pin, PINS[chip])) return `controller ${chip} has no pin ${pin}`;
    const clash = others.find((other) => other.kind === 'message' || other.chip === chip);
    if (clash !== undefined) return `line ${route.gsi} has an entry for controller ${chip} already`;
  }
  return null;
}

const isBelow = (value: number, limit: number) =>
  Number.isInteger(value) && value >= 0 && value < limit;

/** A table as it is looked up. */
export class IrqRouting {
  private readonly byGsi = new Map<number, IrqRoute[]>();
  private readonly byPin = new Map<number, number>();

  constructor(routes: readonly IrqRoute[]) {
    for (const route of routes) {
      const own = this.byGsi.get(route.gsi);
      if (own === undefined) this.byGsi.set(route.gsi, [route]);
      else own.push(route);
      if (route.kind === 'pin') this.byPin.set(keyOf(route.chip, route.pin), route.gsi);
    }
  }

  /** Where a line leads. */
  of(gsi: number): readonly IrqRoute[] {
    return this.byGsi.get(gsi) ?? [];
  }

  /** The line that leads to a pin, or -1 (kvm_irq_map_chip_pin). */
  gsiOf(chip: number, pin: number): number {
    return this.byPin.get(keyOf(chip, pin)) ?? -1;
  }
}

const keyOf = (chip: number, pin: number) => chip * 32 + pin;
