// The devices around a guest, in user space: dispatches accesses of ports to the table in ports.ts.

import type { SerialBurst } from '../serial-input.ts';
import type { DeviceRequest, PortDevice, Surroundings } from './device.ts';
import {
  DEVICES,
  type DeviceName,
  type DevicesState,
  PORT_RANGES,
  type PortRange,
} from './ports.ts';
import { interruptsForData, receiveWaiting, uartInterrupts } from './uart.ts';

/** Devices of different kinds as one: each is only ever given its own state. */
const BY_NAME = DEVICES as unknown as Readonly<Record<DeviceName, PortDevice<unknown>>>;

const RANGE_BY_PORT: ReadonlyMap<number, PortRange> = new Map(
  PORT_RANGES.flatMap((range) =>
    Array.from({ length: range.last - range.first + 1 }, (_, i) => [range.first + i, range]),
  ),
);

/** The interrupt line of COM1. */
export const COM1_LINE = 4;

export class Devices {
  state: DevicesState;

  constructor() {
    const parts = Object.entries(BY_NAME).map(([name, { initial }]) => [name, initial()]);
    this.state = Object.fromEntries(parts) as DevicesState;
  }

  /** COM1 holds its interrupt line high. */
  get serialInterrupts(): boolean {
    return uartInterrupts(this.state.com1);
  }

  /** Something will come to COM1, in order of time. */
  com1Expects(bursts: readonly SerialBurst[]): void {
    this.state.com1.incoming = { later: [...bursts], waiting: [] };
  }

  /** When the other end of COM1 sends next, in virtual ns; null if never. */
  get nextSerialNs(): number | null {
    return this.state.com1.incoming?.later[0]?.timeNs ?? null;
  }

  /** The other end of COM1 sends what is next. */
  sendSerial(): void {
    const { incoming } = this.state.com1;
    incoming?.waiting.push(...(incoming.later.shift()?.bytes ?? []));
  }

  /** COM1 takes what waits for it, if there is room; true if there was something. */
  receiveSerial(): boolean {
    return receiveWaiting(this.state.com1);
  }

  /** The guest is interrupted for whatever comes to COM1. */
  get serialInterruptsForData(): boolean {
    return interruptsForData(this.state.com1);
  }

  /** The guest has read all that the other end of COM1 had to send. */
  get isSerialRead(): boolean {
    const { incoming, received } = this.state.com1;
    if (received.length > 0) return false;
    return incoming === undefined || incoming.later.length + incoming.waiting.length === 0;
  }

  /** What a read of a port gives; nobody answers with all ones. */
  read(port: number, sizeBytes: number, around: Surroundings): number {
    if (sizeBytes === 1 || RANGE_BY_PORT.get(port)?.wide === true) {
      return this.readOne(port, sizeBytes, around) ?? 2 ** (8 * sizeBytes) - 1;
    }
    let value = 0;
    for (let i = 0; i < sizeBytes; i++) {
      value += (this.readOne(port + i, 1, around) ?? 0xff) * 2 ** (8 * i);
    }
    return value;
  }

  /** A write to a port; ports without a device ignore it. */
  write(
    port: number,
    sizeBytes: number,
    value: number,
    around: Surroundings,
  ): DeviceRequest | null {
    if (sizeBytes === 1 || RANGE_BY_PORT.get(port)?.wide === true) {
      return this.writeOne(port, sizeBytes, value, around);
    }
    let request: DeviceRequest | null = null;
    for (let i = 0; i < sizeBytes; i++) {
      request ??= this.writeOne(port + i, 1, (value >>> (8 * i)) & 0xff, around);
    }
    return request;
  }

  private readOne(port: number, sizeBytes: number, around: Surroundings): number | null {
    const range = RANGE_BY_PORT.get(port);
    if (range === undefined) return null;
    const offset = port - (range.origin ?? range.first);
    return BY_NAME[range.device].read(this.state[range.device], offset, around, sizeBytes);
  }

  private writeOne(
    port: number,
    sizeBytes: number,
    value: number,
    around: Surroundings,
  ): DeviceRequest | null {
    const range = RANGE_BY_PORT.get(port);
    if (range === undefined) return null;
    const offset = port - (range.origin ?? range.first);
    return BY_NAME[range.device].write(this.state[range.device], offset, value, around, sizeBytes);
  }
}
