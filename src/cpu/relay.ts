// Whether a processor can take part in a relay: if nothing is due but compiled code.

import { NO_FOOTING } from './footing.ts';
import type { Processor } from './processor.ts';

/**
 * Take part from here on; false if the processor has to go by itself.
 * @param base where the relay begins, in cycles
 * @param horizon it has no turn that ends there, or later; in cycles
 * @param place in the list of the relay
 * @param number what decides whose turn is first
 */
export function joinRelay(
  processor: Processor,
  base: number,
  horizon: number,
  place: number,
  number: number,
): boolean {
  const { compiled, engine, footing } = processor;
  if (compiled === null || engine !== 'compiled' || footing === NO_FOOTING) return false;
  if (!processor.isUndisturbed || processor.isTakenOver) return false;
  return compiled.joinRelay(processor, { base, horizon, place, number });
}

/** Take over what was done in one, and have it noted what it wanted, if it was stopped. */
export function leaveRelay(processor: Processor, base: number, isStopped: boolean): void {
  processor.compiled?.leaveRelay(processor, base, isStopped);
}
