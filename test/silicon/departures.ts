// What the interpreter is known to do otherwise than the processor, and why that stays so. Nothing
// else is excused.

import { Gpr, type Instruction } from '../../src/isa/index.ts';
import { COMPLETED } from './protocol.ts';

/** What not to compare after an instruction. */
export interface Departure {
  readonly reason: string;
  readonly applies: (instruction: Instruction, ours: number, theirs: number) => boolean;
  /** Bits of RFLAGS. */
  readonly flags?: number;
  /** General registers of which only the low half counts. */
  readonly upperHalves?: readonly number[];
  /** All general registers. */
  readonly registers?: true;
  /** General registers of which only the lowest 16 bits count. */
  readonly upperParts?: readonly number[];
  /** Which exception, with which error code and address, and what memory holds. */
  readonly exception?: true;
  readonly memory?: true;
}

const isFault = (trap: number) => trap !== COMPLETED;

export const DEPARTURES: readonly Departure[] = [
  {
    reason:
      'a far RET from a 16-bit stack to 64-bit code releases memory with or without a carry out ' +
      'of SP, by rules of its own',
    applies: ({ row, codeSize }) =>
      codeSize === 16 && row.mnemonic.startsWith('RETF') && row.operands.length > 0,
    upperParts: [Gpr.RSP],
  },
  {
    reason: 'a processor may have no random number ready, and say so in CF',
    applies: ({ row }) => /^RD(RAND|SEED)$/.test(row.mnemonic),
    flags: 1,
  },
  {
    reason:
      'a far JMP to compatibility mode leaves the upper half of RSP alone here; the processor ' +
      'does not keep it, and the SDM says that it is undefined there',
    applies: ({ row, codeSize }) => codeSize === 64 && row.mnemonic === 'JMP',
    upperHalves: [Gpr.RSP],
  },
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
