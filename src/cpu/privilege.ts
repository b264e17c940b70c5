// Whether an instruction may be executed at the privilege level that is in effect. SDM 2, the
// exceptions of each instruction; SDM 1, "I/O Privilege Level".

import type { Instruction } from '../isa/index.ts';
import { hasVirtualInterruptFlag } from './interrupt-flag.ts';
import { portAccess } from './port-access.ts';
import type { Processor } from './processor.ts';
import { Cr4, Rflags, Word } from './state.ts';
import { mayUsePort } from './task-state.ts';

/** Whether the processor may execute an instruction that declares a privilege. */
export function isPrivileged(processor: Processor, instruction: Instruction): boolean {
  const { words, cpl } = processor.state;
  if (cpl === 0) return true;
  const iopl = (words[Word.RFLAGS] & Rflags.IOPL) >> 12;
  switch (instruction.row.privilege) {
    case 'supervisor':
    case 'hidden':
      return false;
    case 'pmc':
      return (words[Word.CR4] & Cr4.PCE) !== 0;
    case 'tsc':
      return (words[Word.CR4] & Cr4.TSD) === 0;
    case 'umip':
      return (words[Word.CR4] & Cr4.UMIP) === 0;
    case 'iopl':
      return cpl <= iopl || hasVirtualInterruptFlag(processor);
    case 'io': {
      // Virtual-8086 mode does not look at IOPL.
      if (cpl <= iopl && processor.mode !== 'virtual8086') return true;
      const { port, lengthBytes } = portAccess(instruction, words);
      return mayUsePort(processor, port, lengthBytes);
    }
    default:
      return true;
  }
}
