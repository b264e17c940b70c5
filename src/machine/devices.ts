// The devices around a toy guest, in user space: the debug console at port E9H, a serial port at
// 3F8H that a polling driver can use, and the exit port at F4H with QEMU's isa-debug-exit meaning.

/** Plain data, saved and hashed as it is. */
export interface DevicesState {
  /** Bytes written to the debug console. */
  readonly console: number[];
  /** Bytes sent by COM1. */
  readonly serial: number[];
  /** Registers of COM1 that keep what is written: IER 1, LCR 3, MCR 4, SCR 7; divisor 8 and 9. */
  readonly uart: Record<number, number>;
  /** What was written to the exit port, or -1. */
  exitValue: number;
}

export const CONSOLE_PORT = 0xe9;
export const SERIAL_PORT = 0x3f8;
export const EXIT_PORT = 0xf4;

const LCR = 3;
const LSR = 5;
const MSR = 6;
const DIVISOR_LATCH = 0x80;

/** Transmitter holding register and shift register are empty: everything is sent at once. */
const LINE_STATUS = 0x60;
/** Carrier detect, data set ready, clear to send. */
const MODEM_STATUS = 0xb0;
const NO_INTERRUPT = 0x01;

export class Devices {
  state: DevicesState = { console: [], serial: [], uart: {}, exitValue: -1 };

  /** What a read of a port gives; nobody answers with all ones. */
  read(port: number, sizeBytes: number): number {
    const none = 2 ** (8 * sizeBytes) - 1;
    if (port === CONSOLE_PORT) return CONSOLE_PORT;
    if (port < SERIAL_PORT || port > SERIAL_PORT + 7) return none;
    const register = port - SERIAL_PORT;
    switch (register) {
      case 0:
        return this.latched ? (this.state.uart[8] ?? 0) : 0;
      case 1:
        return this.state.uart[this.latched ? 9 : 1] ?? 0;
      case 2:
        return NO_INTERRUPT;
      case LSR:
        return LINE_STATUS;
      case MSR:
        return MODEM_STATUS;
      default:
        return this.state.uart[register] ?? 0;
    }
  }

  /** A write to a port; ports without a device ignore it. True for the exit port. */
  write(port: number, value: number): boolean {
    if (port === EXIT_PORT) {
      this.state.exitValue = value;
      return true;
    }
    if (port === CONSOLE_PORT) this.state.console.push(value & 0xff);
    else if (port === SERIAL_PORT && !this.latched) this.state.serial.push(value & 0xff);
    else if (port >= SERIAL_PORT && port <= SERIAL_PORT + 7) {
      const register = port - SERIAL_PORT;
      const place = this.latched && register < 2 ? register + 8 : register;
      this.state.uart[place] = value & 0xff;
    }
    return false;
  }

  private get latched(): boolean {
    return ((this.state.uart[LCR] ?? 0) & DIVISOR_LATCH) !== 0;
  }
}
