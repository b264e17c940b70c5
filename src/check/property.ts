// Properties over time: what must hold of the events of a run and of its final state. A property is
// plain data around event patterns; property-monitor.ts checks one while the run goes on.

import type { TracepointName, TraceRecord } from '../trace/index.ts';
import type { Comparison, EventPattern } from './event-pattern.ts';
import { parseProperty } from './property-grammar.ts';

/** What a property claims. Durations are virtual nanoseconds; null: whenever, until the end. */
export type Claim =
  /** No such event; or none from a `begin` to the next `end`. */
  | { readonly kind: 'never'; readonly event: EventPattern; readonly between: Span | null }
  /** Every such event also fits `is`. */
  | { readonly kind: 'always'; readonly event: EventPattern; readonly is: EventPattern }
  | Ordered<'followed'>
  | Ordered<'preceded'>
  /** At most so many such events, in any time of that length. */
  | {
      readonly kind: 'atMost';
      readonly count: number;
      readonly event: EventPattern;
      readonly withinNs: number | null;
    }
  | { readonly kind: 'atLeast'; readonly count: number; readonly event: EventPattern }
  /** At most so many threads, at any time, have met `begin` and not yet `end`. */
  | { readonly kind: 'exclusion'; readonly count: number; readonly between: Span }
  /** About a line of the final state. */
  | {
      readonly kind: 'finally';
      readonly key: string;
      readonly comparison: Comparison;
      readonly value: string;
    };

/** Each such event comes before, or behind, one of `by`. */
interface Ordered<Kind> {
  readonly kind: Kind;
  readonly event: EventPattern;
  readonly by: EventPattern;
  readonly withinNs: number | null;
}

/** From one event to another. */
export interface Span {
  readonly begin: EventPattern;
  readonly end: EventPattern;
}

/** A place in guests whose events a property speaks of: code, or a word of memory. */
export interface PropertyPlace {
  readonly kind: 'code' | 'word';
  readonly text: string;
}

export interface Property {
  /** For reports: its own name, or its text. */
  readonly name: string;
  readonly text: string;
  readonly claim: Claim;
  /** What has to be looked at for its events to be told. */
  readonly places: readonly PropertyPlace[];
}

/** An event pattern from a predicate: `event('kvm_exit', ({ fields }) => fields.vcpu === 1)`. */
export function event<Name extends TracepointName>(
  name: Name,
  predicate: (record: TraceRecord<Name>) => boolean = () => true,
): EventPattern {
  return {
    text: name,
    match: (record, bindings) =>
      record.name === name && predicate(record as TraceRecord<Name>) ? bindings : null,
  };
}

/**
 * A property from its text, or from a name and a claim.
 * @throws RangeError if the text is not one
 */
export function property(
  given: string | { readonly name: string; readonly claim: Claim },
): Property {
  if (typeof given !== 'string') return { ...given, text: given.name, places: [] };
  const parsed = parseProperty(given);
  if ('claim' in parsed) return parsed;
  throw new RangeError(`${given}\n${' '.repeat(parsed.offset)}^ ${parsed.message}`);
}
