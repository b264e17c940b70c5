// Whether a guest has read everything that came to its serial port, and waits for more: there its
// run is over. Who waits by an interrupt ends as a deadlock otherwise, who asks again and again
// not at all.

import type { Machine, MachineEnding } from '../machine/index.ts';
import type { TraceRecord, TraceSink } from '../trace/index.ts';

/** The line status register of COM1. */
const STATUS_PORT = 0x3fd;

/** Somebody who asks for the status so often in a row waits for something. */
const ENOUGH = 200;

export class InputEnd implements TraceSink {
  private machine: Machine | null = null;
  private asked = 0;

  /**
   * A run of a machine begins, of the first of whose virtual machines is spoken here.
   * @param isSent bytes come to the serial port, or might
   */
  begin(machine: Machine, isSent: boolean): void {
    this.machine = isSent ? machine : null;
    this.asked = 0;
  }

  record({ name, fields }: TraceRecord): void {
    if (name !== 'kvm_pio') return;
    const isQuestion = !fields.write && fields.port === STATUS_PORT;
    this.asked = isQuestion && this.machine?.devices[0].isSerialRead === true ? this.asked + 1 : 0;
    if (this.asked === ENOUGH) this.machine?.stop('waits for more than comes to COM1');
  }

  /** True if a run has ended so because nobody sends any more. */
  isOver(ending: MachineEnding | null): boolean {
    const devices = this.machine?.devices[0];
    if (devices?.isSerialRead !== true) return false;
    if (ending?.status === 'limit') return this.asked >= ENOUGH;
    return ending?.status === 'deadlock' && devices.serialInterruptsForData;
  }
}
