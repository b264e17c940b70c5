// Events through the IDT in 64-bit mode, with stack switches and nested faults.
// SDM 3, "Interrupt and Exception Handling", "64-Bit Mode Exception and Interrupt Handling".

import Long from 'long';
import {
  combine,
  type DeliveredEvent,
  EventTypes,
  GuestFault,
  hasErrorCode,
  isSoftware,
  returnsBehind,
  Vector,
} from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import type { Processor } from './processor.ts';
import { type Descriptor, loadCodeSegment, readDescriptor, setStackSegment } from './segments.ts';
import { Activity, Rflags, Rights, Word } from './state.ts';

/** Offsets in a 64-bit TSS. */
const TSS_RSP0 = 0x04;
const TSS_IST1 = 0x24;

interface Gate {
  readonly offset: Long;
  readonly selector: number;
  readonly type: number;
  readonly stackTable: number;
}

/** The event that a fault becomes. */
export function eventOf(fault: GuestFault): DeliveredEvent {
  return {
    vector: fault.vector,
    type: EventTypes.HARDWARE_EXCEPTION,
    errorCode: hasErrorCode(fault.vector) ? (fault.errorCode ?? 0) : null,
    instructionLengthBytes: 0,
  };
}

/**
 * Deliver an event, and instead of it whatever its delivery leads to: a nested fault, a double
 * fault, shutdown. RIP must be at the instruction to return to (for software events: at it).
 */
export function deliver(processor: Processor, event: DeliveredEvent): void {
  let current = event;
  // Awake even if the delivery leads to an exit.
  processor.state.words[Word.ACTIVITY] = Activity.ACTIVE;
  for (;;) {
    try {
      processor.delivering = current;
      processor.beginDelivery(isSoftware(current.type));
      enterHandler(processor, current);
      processor.delivering = null;
      return;
    } catch (thrown) {
      if (!(thrown instanceof GuestFault)) throw thrown;
      const next = nested(processor, current, thrown);
      if (next === null) return;
      current = next;
    }
  }
}

/** What is delivered after `fault` came up while delivering `first`; null after a triple fault. */
function nested(
  processor: Processor,
  first: DeliveredEvent,
  fault: GuestFault,
): DeliveredEvent | null {
  const second = eventOf(fault);
  const linear = Long.fromBits(fault.linearLow, fault.linearHigh);
  processor.state.words[Word.RFLAGS] |= Rflags.RF;
  // The owner may want the second exception itself, before it is folded into a double fault.
  processor.virtualization.exception(second, linear);
  // Whatever becomes of it. SDM 3, "Interrupt 14 - Page-Fault Exception (#PF)".
  if (fault.vector === Vector.PF) processor.state.set64(Word.CR2, linear);
  const outcome =
    first.type === EventTypes.HARDWARE_EXCEPTION ? combine(first.vector, second.vector) : 'second';
  if (outcome === 'second') return second;
  processor.delivering = null;
  if (outcome === 'doubleFault') {
    const double = eventOf(new GuestFault(Vector.DF, 0));
    processor.virtualization.exception(double, Long.ZERO);
    return double;
  }
  processor.virtualization.tripleFault();
  processor.state.words[Word.ACTIVITY] = Activity.SHUTDOWN;
  processor.requestAttention();
  return null;
}

function enterHandler(processor: Processor, event: DeliveredEvent): void {
  const { state, mmu } = processor;
  const { words } = state;
  const external = isSoftware(event.type) ? 0 : 1;
  const gateCode = event.vector * 8 + 2;
  const gate = readGate(processor, event.vector, gateCode + external);
  const { cpl } = state;
  if (isSoftware(event.type) && cpl > ((gate.type >> Rights.DPL_SHIFT) & 3)) {
    throw new GuestFault(Vector.GP, gateCode);
  }
  if ((gate.type & Rights.P) === 0) throw new GuestFault(Vector.NP, gateCode + external);
  const target = codeTarget(processor, gate.selector, external);
  const conforming = (target.rights & 4) !== 0;
  const newCpl = conforming ? cpl : (target.rights >> Rights.DPL_SHIFT) & 3;
  const stack = newStack(processor, gate.stackTable, newCpl, external);
  if (!isCanonical(gate.offset.high)) throw new GuestFault(Vector.GP, external);

  const rip = state.get64(Word.RIP);
  const returnAddress = returnsBehind(event.type) ? rip.add(event.instructionLengthBytes) : rip;
  const frame = [
    Long.fromInt(words[Word.SS_SELECTOR]),
    state.get64(Word.RSP),
    Long.fromInt(words[Word.RFLAGS]),
    Long.fromInt(words[Word.CS_SELECTOR]),
    returnAddress,
    ...(event.errorCode === null ? [] : [Long.fromInt(event.errorCode, true)]),
  ];
  let top = stack;
  const pushAll = () => {
    for (const value of frame) {
      top = top.sub(8);
      mmu.write(top.low, top.high, 8, value, true);
    }
  };
  if (newCpl === 3) pushAll();
  else mmu.asSupervisor(pushAll);

  loadCodeSegment(processor, target, newCpl);
  if (newCpl !== cpl) setStackSegment(processor, newCpl, newCpl);
  state.set64(Word.RSP, top);
  state.set64(Word.RIP, gate.offset);
  const isInterruptGate = (gate.type & 1) === 0;
  words[Word.RFLAGS] &= ~(Rflags.TF | Rflags.NT | Rflags.RF | Rflags.VM);
  if (isInterruptGate) words[Word.RFLAGS] &= ~Rflags.IF;
  mmu.updatePrivilege();
}

function readGate(processor: Processor, vector: number, code: number): Gate {
  const { state, mmu } = processor;
  if (vector * 16 + 15 > (state.words[Word.IDTR_LIMIT] & 0xffff)) {
    throw new GuestFault(Vector.GP, code);
  }
  const at = state.get64(Word.IDTR_BASE).add(vector * 16);
  const upper = at.add(8);
  const low = mmu.asSupervisor(() => mmu.read(at.low, at.high, 8));
  const high = mmu.asSupervisor(() => mmu.read(upper.low, upper.high, 8));
  const type = (low.high >>> 8) & 0xff;
  if ((type & 0x1e) !== 0x0e) throw new GuestFault(Vector.GP, code);
  return {
    offset: Long.fromBits((low.low & 0xffff) | (low.high & 0xffff0000), high.low),
    selector: low.low >>> 16,
    type,
    stackTable: low.high & 7,
  };
}

/** The code segment that a gate names, checked. */
function codeTarget(processor: Processor, selector: number, external: number): Descriptor {
  if ((selector & 0xfffc) === 0) throw new GuestFault(Vector.GP, external);
  const target = readDescriptor(processor, selector, Vector.GP, external);
  const code = (selector & 0xfffc) | external;
  const isCode = (target.rights & (Rights.S | 8)) === (Rights.S | 8);
  const dpl = (target.rights >> Rights.DPL_SHIFT) & 3;
  if (!isCode || dpl > processor.state.cpl) throw new GuestFault(Vector.GP, code);
  if ((target.rights & Rights.P) === 0) throw new GuestFault(Vector.NP, code);
  if ((target.rights & (Rights.L | Rights.DB)) !== Rights.L) throw new GuestFault(Vector.GP, code);
  return target;
}

/** The stack pointer that the handler's frame is pushed below, aligned to 16. */
function newStack(
  processor: Processor,
  stackTable: number,
  newCpl: number,
  external: number,
): Long {
  const { state, mmu } = processor;
  const { words } = state;
  let pointer: Long;
  if (stackTable === 0 && newCpl === state.cpl) pointer = state.get64(Word.RSP);
  else {
    const offset = stackTable === 0 ? TSS_RSP0 + 8 * newCpl : TSS_IST1 + 8 * (stackTable - 1);
    if (offset + 7 > words[Word.TR_LIMIT] >>> 0) {
      const selector = words[Word.TR_SELECTOR] & 0xfffc;
      throw new GuestFault(Vector.TS, selector | external);
    }
    const at = state.get64(Word.TR_BASE).add(offset);
    pointer = mmu.asSupervisor(() => mmu.read(at.low, at.high, 8));
    if (!isCanonical(pointer.high)) throw new GuestFault(Vector.SS, external);
  }
  return pointer.and(Long.fromInt(-16));
}
