// What the interpreter is known to do otherwise than the processor, and why that stays so. Nothing
// else is excused.

import { Gpr, type Instruction } from '../../src/isa/index.ts';
import { COMPLETED } from './protocol.ts';

/** What not to compare after an instruction. */
export interface Departure {
  readonly reason: string;
  readonly applies: (instruction: Instruction, ours: number, theirs: number) => boolean;
  /** General registers of which only the low half counts. */
  readonly upperHalves?: readonly number[];
  /** All general registers. */
  readonly registers?: true;
  /** Which exception, with which error code and address, and what memory holds. */
  readonly exception?: true;
  readonly memory?: true;
}

const isFault = (trap: number) => trap !== COMPLETED;

export const DEPARTURES: readonly Departure[] = [
  {
    reason:
      'POPA writes each register as it pops it, so that after a fault the first of them have ' +
      'their new values; here nothing is written before everything has been read',
    applies: ({ row }, ours) => row.mnemonic.startsWith('POPA') && isFault(ours),
    registers: true,
  },
  {
    reason:
      'with 32-bit addresses the processor clears the upper halves of the registers of REP even ' +
      'if it does not get through one iteration; the SDM says nothing, AMD leaves them',
    applies: ({ addressWidth, repeat }) => addressWidth === 32 && repeat !== 'none',
    upperHalves: [Gpr.RCX, Gpr.RSI, Gpr.RDI],
  },
  {
    reason:
      'the processor writes the return address before it finds that the target of CALL is not ' +
      'canonical; the SDM, and so the interpreter, looks at the target first',
    applies: ({ row }, ours, theirs) => row.mnemonic === 'CALL' && isFault(ours) && isFault(theirs),
    exception: true,
    memory: true,
  },
  {
    reason:
      'the processor reads the parts of what IRET and RETF pop in an order of its own, so of ' +
      'several faults it may report another one',
    applies: ({ row }, ours, theirs) =>
      /^(IRET|RETF)/.test(row.mnemonic) && isFault(ours) && isFault(theirs),
    exception: true,
  },
];
