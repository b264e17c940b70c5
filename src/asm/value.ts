// What an expression is worth before layout: a number, plus multiples of section starts and, inside
// an address, of registers. `label` is an offset plus once the start of its section; the difference
// of two labels of a section is a plain number again.

import Long from 'long';
import type { RegisterName } from '../isa/index.ts';
import type { Section } from './sections.ts';

/** A section stands for its start. */
export interface Term {
  readonly of: Section | RegisterName;
  readonly times: Long;
}

export interface Value {
  readonly number: Long;
  /** No two of the same thing, none times 0. */
  readonly terms: readonly Term[];
  /**
   * How many times symbols without a value yet take part, each as 0; see {@link isUnknown}. As in
   * NASM, the difference of two of them counts as known. What comes of it is checked in later
   * passes.
   */
  readonly unknowns: number;
}

const NO_TERMS: readonly Term[] = [];

export const UNKNOWN: Value = { number: Long.ZERO, terms: NO_TERMS, unknowns: 1 };

export function numberValue(number: Long): Value {
  return { number, terms: NO_TERMS, unknowns: 0 };
}

export function termValue(of: Section | RegisterName, offset = Long.ZERO): Value {
  return { number: offset, terms: [{ of, times: Long.ONE }], unknowns: 0 };
}

/** Number and sections of the value mean nothing yet. */
export function isUnknown(value: Value): boolean {
  return value.unknowns !== 0;
}

/**
 * Nothing but a symbol without a value. NASM is hopeful about it; beside a number, the number
 * counts.
 */
export function isJustUnknown(value: Value): boolean {
  return isUnknown(value) && value.number.isZero() && value.terms.length === 0;
}

export function isNumber(value: Value): boolean {
  return value.terms.length === 0;
}

export function add(a: Value, b: Value): Value {
  const number = a.number.add(b.number);
  const unknowns = a.unknowns + b.unknowns;
  if (b.terms.length === 0) return { number, terms: a.terms, unknowns };
  const terms = a.terms.slice();
  for (const { of, times } of b.terms) {
    const at = terms.findIndex((term) => term.of === of);
    const sum = at < 0 ? times : (terms[at] as Term).times.add(times);
    if (at < 0) terms.push({ of, times });
    else if (sum.isZero()) terms.splice(at, 1);
    else terms[at] = { of, times: sum };
  }
  return { number, terms, unknowns };
}

export function multiply(value: Value, factor: Long): Value {
  const number = value.number.mul(factor);
  const unknowns = value.unknowns * factor.toNumber();
  if (value.terms.length === 0 || factor.isZero()) return { number, terms: NO_TERMS, unknowns };
  const terms = value.terms.map(({ of, times }) => ({ of, times: times.mul(factor) }));
  return { number, terms: terms.filter(({ times }) => !times.isZero()), unknowns };
}

export function subtract(a: Value, b: Value): Value {
  return add(a, multiply(b, Long.NEG_ONE));
}

/** The section that the value is an address in, or null if it is not the address of anything. */
export function sectionOf(value: Value): Section | null {
  const [term] = value.terms;
  if (term === undefined || value.terms.length > 1 || term.times.neq(1)) return null;
  return isSection(term.of) ? term.of : null;
}

export function isSection(of: Section | RegisterName): of is Section {
  return 'vstart' in of;
}

export function sameValue(a: Value | null, b: Value | null): boolean {
  if (a === b) return true;
  if (a === null || b === null) return false;
  return (
    a.unknowns === b.unknowns &&
    a.number.eq(b.number) &&
    a.terms.length === b.terms.length &&
    a.terms.every(({ of, times }, i) => {
      const other = b.terms[i];
      return other !== undefined && other.of === of && other.times.eq(times);
    })
  );
}
