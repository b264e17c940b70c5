// What only looks like a directive: FileCheck passes over it in silence, so that nothing is checked
// and the test passes. Here it is a mistake.

import { nearest } from '../sim/index.ts';
import { PREFIXES, SETTLING, SUFFIXES } from './directive-words.ts';

/** What is wrong with a note. */
export interface NearMiss {
  readonly message: string;
  /**
   * It can be nothing else. What could be prose as well (`state: taken`, `OUTPUT of this`) is a
   * mistake only in files that have directives.
   */
  readonly isCertain: boolean;
}

const WORDS: readonly string[] = [...PREFIXES, ...SETTLING];

/** A word at the start, what parts it from its colon, and that. */
const HEAD = /^([A-Za-z]\w*(?:-\w+)*)(?:\{[^}]*\})?(\s*)(:?)/;

/** What a text that is no directive nearly is, or null. */
export function nearMiss(text: string): NearMiss | null {
  const [, word, space, colon] = HEAD.exec(text) ?? [];
  if (word === undefined) return null;
  const [first, ...rest] = word.split(/[-_]/);
  const meant = meantBy(first);
  if (meant === null) return null;
  const whole = [meant, ...rest.map((part) => part.toUpperCase())].join('-');
  const isCapitals = /^[A-Z][A-Z0-9_-]*$/.test(word);
  const hasSuffix = asksMore(whole);
  const isExact = rest.length === 0 && meant === first.toUpperCase();
  if (!isCapitals && !hasSuffix && !isExact) return null;
  if (colon === '') return forgottenColon(word, whole, hasSuffix && isCapitals, space);
  if (word === whole) {
    return { message: `expected ':' right behind ${word}, without a space`, isCertain: true };
  }
  const isOurs = meant === 'CHECK' || meant === 'EXPLORE';
  const isCertain = isCapitals ? hasSuffix || isOurs : hasSuffix && !word.includes('_');
  return { message: `unknown directive '${word}'; did you mean '${whole}'?`, isCertain };
}

/** CHECK-NEXT, CHECK-PV-NEXT. */
function asksMore(whole: string): boolean {
  const [prefix, ...rest] = whole.split('-');
  return PREFIXES.includes(prefix) && rest.slice(0, 2).some((one) => Object.hasOwn(SUFFIXES, one));
}

/** The word that was meant: in another case, misspelt, or grown together with its suffix. */
function meantBy(first: string): string | null {
  const capitals = first.toUpperCase();
  if (WORDS.includes(capitals)) return capitals;
  for (const prefix of PREFIXES) {
    const suffix = capitals.startsWith(prefix) ? capitals.slice(prefix.length) : '';
    if (Object.hasOwn(SUFFIXES, suffix)) return `${prefix}-${suffix}`;
  }
  return nearest(capitals, WORDS);
}

/** CHECK-NEXT without its colon; a word without a suffix has to be just one of ours. */
function forgottenColon(
  word: string,
  whole: string,
  isCertain: boolean,
  space: string,
): NearMiss | null {
  if (!isCertain && (word !== whole || space === '')) return null;
  return { message: `expected ':' behind ${word}`, isCertain };
}
