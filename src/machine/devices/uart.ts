// A 16550A serial port whose other end takes every byte at once, and sends what the scenario says
// as soon as there is room for it, with FIFO bits, loopback, and an interrupt line. After the
// PC16550D data sheet, "Registers".

import type { SerialBurst } from '../serial-input.ts';
import type { PortDevice } from './device.ts';

/** What the other end has to send: it watches the modem lines, so that no byte is lost. */
export interface Incoming {
  /** Not sent yet, in order of time. */
  readonly later: SerialBurst[];
  /** Sent as soon as the receiver is empty. */
  readonly waiting: number[];
}

export interface UartState {
  /** Bytes sent. */
  readonly sent: number[];
  /** Bytes received, oldest first: from the other end, or sent in loopback mode. */
  readonly received: number[];
  /** The byte that was read last, which the register keeps showing. */
  lastRead: number;
  interruptEnable: number;
  fifoControl: number;
  lineControl: number;
  modemControl: number;
  scratch: number;
  divisor: number;
  /** A byte was lost since the line status was read last. */
  overrun: boolean;
  /** The transmitter has become empty, and nobody was told. */
  emptied: boolean;
  /** Bits 3:0 of the modem status: what changed since it was read last. */
  modemChanges: number;
  /** Only where the other end sends something. */
  incoming?: Incoming;
}

const Register = { DATA: 0, IER: 1, IIR_FCR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6 } as const;

const Lsr = { DATA_READY: 0x01, OVERRUN: 0x02, TRANSMITTER_EMPTY: 0x60 } as const;
const Ier = { RECEIVED: 0x01, EMPTIED: 0x02, LINE: 0x04, MODEM: 0x08 } as const;
const Mcr = { DTR: 0x01, RTS: 0x02, OUT1: 0x04, OUT2: 0x08, LOOPBACK: 0x10 } as const;
const Msr = { CTS: 0x10, DSR: 0x20, RI: 0x40, DCD: 0x80, RI_ENDED: 0x04 } as const;
const Fcr = { ENABLE: 0x01, CLEAR_RECEIVER: 0x02 } as const;

const DIVISOR_LATCH = 0x80;
const FIFO_BYTES = 16;
const FIFOS_ENABLED = 0xc0;

/** What the interrupt identification says, highest priority first. */
const Identification = { LINE: 6, RECEIVED: 4, EMPTIED: 2, MODEM: 0, NONE: 1 } as const;

/** 9600 baud, as firmware leaves it. */
const DIVISOR_RESET = 12;

export const uart: PortDevice<UartState> = {
  initial: () => ({
    sent: [],
    received: [],
    lastRead: 0,
    interruptEnable: 0,
    fifoControl: 0,
    lineControl: 0,
    modemControl: Mcr.OUT2,
    scratch: 0,
    divisor: DIVISOR_RESET,
    overrun: false,
    emptied: false,
    modemChanges: 0,
  }),

  read: (state, port) => {
    switch (port) {
      case Register.DATA:
        return isLatched(state) ? state.divisor & 0xff : readData(state);
      case Register.IER:
        return isLatched(state) ? state.divisor >> 8 : state.interruptEnable;
      case Register.IIR_FCR:
        return readIdentification(state);
      case Register.LCR:
        return state.lineControl;
      case Register.MCR:
        return state.modemControl;
      case Register.LSR:
        return readLineStatus(state);
      case Register.MSR:
        return readModemStatus(state);
      default:
        return state.scratch;
    }
  },

  write: (state, port, value) => {
    switch (port) {
      case Register.DATA:
        if (isLatched(state)) state.divisor = (state.divisor & 0xff00) | value;
        else send(state, value);
        break;
      case Register.IER:
        writeInterruptEnable(state, value);
        break;
      case Register.IIR_FCR:
        writeFifoControl(state, value);
        break;
      case Register.LCR:
        state.lineControl = value;
        break;
      case Register.MCR:
        writeModemControl(state, value);
        break;
      case Register.LSR:
      case Register.MSR:
        // Read-only, but for tests in the factory.
        break;
      default:
        state.scratch = value;
    }
    return null;
  },
};

function isLatched({ lineControl }: UartState): boolean {
  return (lineControl & DIVISOR_LATCH) !== 0;
}

function isLooped({ modemControl }: UartState): boolean {
  return (modemControl & Mcr.LOOPBACK) !== 0;
}

function readData(state: UartState): number {
  state.lastRead = state.received.shift() ?? state.lastRead;
  return state.lastRead;
}

function send(state: UartState, value: number): void {
  state.emptied = true;
  if (!isLooped(state)) {
    state.sent.push(value);
    return;
  }
  const { received, fifoControl } = state;
  const isFifo = (fifoControl & Fcr.ENABLE) !== 0;
  if (received.length < (isFifo ? FIFO_BYTES : 1)) {
    received.push(value);
    return;
  }
  state.overrun = true;
  // Without FIFOs the new byte takes the place of the old; a full FIFO stays as it is.
  if (!isFifo) received[0] = value;
}

/** Enabling the interrupt of an empty transmitter raises it. */
function writeInterruptEnable(state: UartState, value: number): void {
  const isNew = (value & ~state.interruptEnable & Ier.EMPTIED) !== 0;
  if (isLatched(state)) state.divisor = (state.divisor & 0xff) | (value << 8);
  else {
    state.interruptEnable = value & 0xf;
    if (isNew) state.emptied = true;
  }
}

/** Switching FIFOs on or off empties them. */
function writeFifoControl(state: UartState, value: number): void {
  const isToggled = ((value ^ state.fifoControl) & Fcr.ENABLE) !== 0;
  if (isToggled || (value & Fcr.CLEAR_RECEIVER) !== 0) state.received.length = 0;
  // Bits 7:6, the trigger level, count only for interrupts.
  state.fifoControl = value & 0xc9;
}

/** An empty receiver takes what the other end has ready; true if there was something. */
export function receiveWaiting(state: UartState): boolean {
  const { incoming, received, fifoControl } = state;
  if (incoming === undefined || received.length > 0 || isLooped(state)) return false;
  const isFifo = (fifoControl & Fcr.ENABLE) !== 0;
  received.push(...incoming.waiting.splice(0, isFifo ? FIFO_BYTES : 1));
  return received.length > 0;
}

/** True if the guest is interrupted for a byte that is received. */
export function interruptsForData({ interruptEnable, modemControl }: UartState): boolean {
  const isConnected = (modemControl & (Mcr.OUT2 | Mcr.LOOPBACK)) === Mcr.OUT2;
  return isConnected && (interruptEnable & Ier.RECEIVED) !== 0;
}

/** The interrupt line, which OUT2 connects, as on a PC. */
export function uartInterrupts(state: UartState): boolean {
  const { interruptEnable, received, modemControl } = state;
  if ((modemControl & (Mcr.OUT2 | Mcr.LOOPBACK)) !== Mcr.OUT2) return false;
  const wants = (bit: number) => (interruptEnable & bit) !== 0;
  return (
    (wants(Ier.LINE) && state.overrun) ||
    (wants(Ier.RECEIVED) && received.length > 0) ||
    (wants(Ier.EMPTIED) && state.emptied) ||
    (wants(Ier.MODEM) && state.modemChanges !== 0)
  );
}

/** The source of highest priority among those enabled; reading it ends the transmitter's. */
function readIdentification(state: UartState): number {
  const { interruptEnable, received, fifoControl } = state;
  const fifos = (fifoControl & Fcr.ENABLE) !== 0 ? FIFOS_ENABLED : 0;
  const wants = (bit: number) => (interruptEnable & bit) !== 0;
  if (wants(Ier.LINE) && state.overrun) return fifos | Identification.LINE;
  if (wants(Ier.RECEIVED) && received.length > 0) return fifos | Identification.RECEIVED;
  if (wants(Ier.EMPTIED) && state.emptied) {
    state.emptied = false;
    return fifos | Identification.EMPTIED;
  }
  if (wants(Ier.MODEM) && state.modemChanges !== 0) return fifos | Identification.MODEM;
  return fifos | Identification.NONE;
}

function readLineStatus(state: UartState): number {
  const ready = state.received.length > 0 ? Lsr.DATA_READY : 0;
  const overrun = state.overrun ? Lsr.OVERRUN : 0;
  state.overrun = false;
  return Lsr.TRANSMITTER_EMPTY | ready | overrun;
}

/** In loopback mode the modem lines are the outputs of the modem control register. */
function modemLines(state: UartState): number {
  if (!isLooped(state)) return Msr.DCD | Msr.DSR | Msr.CTS;
  const { modemControl } = state;
  return (
    ((modemControl & Mcr.RTS) !== 0 ? Msr.CTS : 0) |
    ((modemControl & Mcr.DTR) !== 0 ? Msr.DSR : 0) |
    ((modemControl & Mcr.OUT1) !== 0 ? Msr.RI : 0) |
    ((modemControl & Mcr.OUT2) !== 0 ? Msr.DCD : 0)
  );
}

function writeModemControl(state: UartState, value: number): void {
  const before = modemLines(state);
  state.modemControl = value & 0x1f;
  const after = modemLines(state);
  // Of the ring indicator only its end counts.
  const changed = (before ^ after) & ~Msr.RI;
  state.modemChanges |= (changed >> 4) | ((before & ~after & Msr.RI) !== 0 ? Msr.RI_ENDED : 0);
}

function readModemStatus(state: UartState): number {
  const status = modemLines(state) | state.modemChanges;
  state.modemChanges = 0;
  return status;
}
