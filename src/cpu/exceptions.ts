// Exception vectors and how they combine. SDM 3, "Interrupt and Exception Handling".

export const Vector = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

/** Names of exception vectors as in `#GP`. */
export const VECTOR_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(Vector).map(([name, vector]) => [vector, `#${name}`]),
);

/** True for exceptions that push an error code. */
export function hasErrorCode(vector: number): boolean {
  return (
    vector === Vector.DF || (vector >= Vector.TS && vector <= Vector.PF) || vector === Vector.AC
  );
}

type ExceptionClass = 'benign' | 'contributory' | 'pageFault';

function classOf(vector: number): ExceptionClass {
  if (vector === Vector.PF) return 'pageFault';
  if (vector === Vector.DE || (vector >= Vector.TS && vector <= Vector.GP)) return 'contributory';
  return 'benign';
}

/**
 * What happens when `second` arises while `first` is being delivered: the second is delivered
 * instead, or both become a double fault. SDM 3, "Interrupt 8 - Double Fault Exception".
 */
export function combine(first: number, second: number): 'second' | 'doubleFault' | 'tripleFault' {
  if (first === Vector.DF) return 'tripleFault';
  const a = classOf(first);
  const b = classOf(second);
  if (a === 'contributory' && b === 'contributory') return 'doubleFault';
  if (a === 'pageFault' && b !== 'benign') return 'doubleFault';
  return 'second';
}

/** What is being delivered through the IDT; types as in the VMCS interruption information. */
export interface DeliveredEvent {
  readonly vector: number;
  readonly type: EventType;
  readonly errorCode: number | null;
  /** For software events: bytes from the instruction to the return address. */
  readonly instructionLengthBytes: number;
}

/** Interruption types. SDM 3, "VM-Entry Controls for Event Injection". */
export const EventTypes = {
  EXTERNAL_INTERRUPT: 0,
  NMI: 2,
  HARDWARE_EXCEPTION: 3,
  SOFTWARE_INTERRUPT: 4,
  PRIVILEGED_SOFTWARE_EXCEPTION: 5,
  SOFTWARE_EXCEPTION: 6,
} as const;

export type EventType = (typeof EventTypes)[keyof typeof EventTypes];

/** True for events that a program may ask for: the gate's DPL counts, their faults have EXT = 0. */
export function isSoftware(type: EventType): boolean {
  return type === EventTypes.SOFTWARE_INTERRUPT || type === EventTypes.SOFTWARE_EXCEPTION;
}

/** True for events of an instruction that is over: they return behind it. */
export function returnsBehind(type: EventType): boolean {
  return type >= EventTypes.SOFTWARE_INTERRUPT;
}

/** Thrown when an instruction or a delivery faults; caught in the processor, nowhere else. */
export class GuestFault {
  readonly vector: number;
  readonly errorCode: number | null;
  /** For #PF: the linear address, as two halves; for #DB: the conditions, in DR6's layout. */
  readonly linearLow: number;
  readonly linearHigh: number;

  constructor(vector: number, errorCode: number | null = null, linearLow = 0, linearHigh = 0) {
    this.vector = vector;
    this.errorCode = errorCode;
    this.linearLow = linearLow;
    this.linearHigh = linearHigh;
  }
}

/** Thrown by whoever virtualizes the processor to stop it where it is. */
export class OwnerStop {}

/** The one instance: the owner keeps its reasons to itself. */
export const OWNER_STOP = new OwnerStop();

/** Thrown when a guest uses something that real processors have and this one does not. */
export class NotImplemented {
  readonly what: string;

  constructor(what: string) {
    this.what = what;
  }
}
