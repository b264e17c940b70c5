// What a device in user space is: ports that it answers, and state that is plain data. Devices see
// bytes; an access of several bytes to a device of bytes goes to consecutive ports, low byte first,
// as the bus controller splits it.

/** What a device may know of the machine around it at an access. */
export interface Surroundings {
  /** Virtual time, in ns. */
  readonly nowNs: number;
  readonly vcpuCount: number;
  readonly ramBytes: number;
}

/** What a write can ask of whoever runs the machine. */
export type DeviceRequest =
  | { readonly kind: 'exit' }
  /** The reset line of the machine. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'notImplemented'; readonly what: string };

/** A device with its own part of the state; the port counts from the first of its range. */
export interface PortDevice<State> {
  /** The state after power-up. */
  readonly initial: () => State;
  /** The value of an access of `sizeBytes`; null if nobody answers there. */
  readonly read: (
    state: State,
    port: number,
    around: Surroundings,
    sizeBytes: number,
  ) => number | null;
  readonly write: (
    state: State,
    port: number,
    value: number,
    around: Surroundings,
    sizeBytes: number,
  ) => DeviceRequest | null;
}
