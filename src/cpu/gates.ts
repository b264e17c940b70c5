// Gates: of the IDT, and the code segments that gates lead to. SDM 3, "IDT Descriptors", "64-Bit
// Mode IDT", "Accessing a Code Segment Through a Call Gate".

import Long from 'long';
import {
  type Descriptor,
  dplOf,
  inTable,
  isCode,
  isPresent,
  readDescriptor,
  SystemType,
  WIDE_TYPE,
} from './descriptors.ts';
import { type DeliveredEvent, GuestFault, isSoftware, Vector } from './exceptions.ts';
import { isIa32e } from './mode.ts';
import type { Processor } from './processor.ts';
import { Rights, Word } from './state.ts';
import { leaveForTask, TaskSource } from './task-switch.ts';

export interface Gate {
  readonly offset: Long;
  readonly selector: number;
  /** 16-bit gates push words. */
  readonly isNarrow: boolean;
  /** Interrupt gates clear IF, trap gates do not. */
  readonly masksInterrupts: boolean;
  /** Of the interrupt stack table, or 0. */
  readonly stackTable: number;
}

/** Bit 0 of error codes: the event was not asked for by the program. */
export function externalBit(event: DeliveredEvent): number {
  return isSoftware(event.type) ? 0 : 1;
}

const IN_IDT = 2;

/** The gate that an event goes through, checked. */
export function readGate(processor: Processor, event: DeliveredEvent): Gate {
  const { state, mmu } = processor;
  const isWide = isIa32e(processor.mode);
  const length = isWide ? 16 : 8;
  const external = externalBit(event);
  const code = event.vector * 8 + IN_IDT;
  if (event.vector * length + length - 1 > (state.words[Word.IDTR_LIMIT] & 0xffff)) {
    throw new GuestFault(Vector.GP, code + external);
  }
  const at = inTable(processor, state.get64(Word.IDTR_BASE), event.vector * length);
  const low = mmu.asSupervisor(() => mmu.read(at.low, at.high, 8));
  const upper = at.add(8);
  const high = isWide ? mmu.asSupervisor(() => mmu.read(upper.low, upper.high, 8)).low : 0;
  const rights = (low.high >>> 8) & 0xff;
  const type = rights & (Rights.S | Rights.TYPE);
  if (!(isWide ? WIDE_GATES : GATES).has(type)) throw new GuestFault(Vector.GP, code + external);
  if (isSoftware(event.type) && state.cpl > dplOf(rights)) throw new GuestFault(Vector.GP, code);
  if (!isPresent(rights)) throw new GuestFault(Vector.NP, code + external);
  if (type === SystemType.TASK_GATE) {
    leaveForTask(processor, low.low >>> 16, TaskSource.GATE, external);
  }
  const isNarrow = (type & WIDE_TYPE) === 0;
  const upperHalf = isNarrow ? 0 : low.high & 0xffff0000;
  return {
    offset: Long.fromBits((low.low & 0xffff) | upperHalf, high),
    selector: low.low >>> 16,
    isNarrow,
    masksInterrupts: (type & 1) === 0,
    stackTable: low.high & 7,
  };
}

const WIDE_GATES: ReadonlySet<number> = new Set([SystemType.INTERRUPT_GATE, SystemType.TRAP_GATE]);

const GATES: ReadonlySet<number> = new Set([
  ...WIDE_GATES,
  SystemType.INTERRUPT_GATE_16,
  SystemType.TRAP_GATE_16,
  SystemType.TASK_GATE,
]);

/** The code segment that a gate names, checked: no less privileged than the program. */
export function gateTarget(processor: Processor, selector: number, external: number): Descriptor {
  if ((selector & 0xfffc) === 0) throw new GuestFault(Vector.GP, external);
  const target = readDescriptor(processor, selector, Vector.GP, external);
  const code = (selector & 0xfffc) | external;
  const { rights } = target;
  if (!isCode(rights) || dplOf(rights) > processor.state.cpl) throw new GuestFault(Vector.GP, code);
  if (!isPresent(rights)) throw new GuestFault(Vector.NP, code);
  // Gates of IA-32e mode lead to 64-bit mode.
  const isLong = (rights & (Rights.L | Rights.DB)) === Rights.L;
  if (isIa32e(processor.mode) && !isLong) throw new GuestFault(Vector.GP, code);
  return target;
}
