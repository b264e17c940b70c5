// Events: their delivery through the IDT in whichever mode, and what its own faults lead to.
// SDM 3, "Interrupt and Exception Handling".

import Long from 'long';
import { enterProtectedHandler } from './delivery-protected.ts';
import { enterRealHandler } from './delivery-real.ts';
import { enterWideHandler } from './delivery-wide.ts';
import {
  combine,
  type DeliveredEvent,
  EventTypes,
  GuestFault,
  hasErrorCode,
  isSoftware,
  Vector,
} from './exceptions.ts';
import { isIa32e } from './mode.ts';
import type { Processor } from './processor.ts';
import { Activity, Rflags, Word } from './state.ts';

/** The event that a fault becomes. In real mode there are no error codes. */
export function eventOf(processor: Processor, fault: GuestFault): DeliveredEvent {
  const hasCode = hasErrorCode(fault.vector) && processor.mode !== 'real';
  return {
    vector: fault.vector,
    type: EventTypes.HARDWARE_EXCEPTION,
    errorCode: hasCode ? (fault.errorCode ?? 0) : null,
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
  const second = eventOf(processor, fault);
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
    const double = eventOf(processor, new GuestFault(Vector.DF, 0));
    processor.virtualization.exception(double, Long.ZERO);
    return double;
  }
  processor.virtualization.tripleFault();
  processor.state.words[Word.ACTIVITY] = Activity.SHUTDOWN;
  processor.requestAttention();
  return null;
}

function enterHandler(processor: Processor, event: DeliveredEvent): void {
  if (processor.mode === 'real') enterRealHandler(processor, event);
  else if (isIa32e(processor.mode)) enterWideHandler(processor, event);
  else enterProtectedHandler(processor, event);
}
