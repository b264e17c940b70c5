// The values of a scenario that may vary, with their ranges from the one table of its keys.

import { SCENARIO, type Scenario, scalarAt } from '../machine/index.ts';
import type { Prng } from '../sim/index.ts';
import type { ParameterValue } from './case.ts';

/** One value that may vary. */
export type Domain = Range | Choice;

interface Range {
  readonly kind: 'integer';
  readonly key: string;
  /** What the scenario says, in its first entry where there are several. */
  readonly given: ParameterValue | undefined;
  /** Both included. */
  readonly least: number;
  readonly most: number;
}

interface Choice {
  readonly kind: 'choice';
  readonly key: string;
  readonly given: ParameterValue | undefined;
  readonly values: readonly ParameterValue[];
}

/** Numbers beyond are as good as any. */
const MOST = Number.MAX_SAFE_INTEGER;

/**
 * `KEY`, `KEY=LEAST..MOST` or `KEY=VALUE,VALUE`: a key of the scenario that is a number, a choice
 * or a switch, and what it may be; or what is wrong with that.
 */
export function parseDomain(
  text: string,
  scenario: Scenario,
): { readonly domain: Domain } | { readonly problem: string } {
  const at = text.indexOf('=');
  const [key, range] = at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
  const scalar = scalarAt(SCENARIO, key);
  if (scalar === null) return { problem: `a scenario has no value '${key}'` };
  const { json, expected } = scalar;
  const whole = wholeDomain(key, givenValue(scenario, key), json);
  if (whole === null) {
    return { problem: `${key}: only numbers, choices and switches can vary, not ${expected}` };
  }
  if (range === null) return { domain: whole };
  const ends = /^(\d+)\.\.(\d+)$/.exec(range);
  if (ends !== null && whole.kind === 'integer') {
    const [least, most] = [Number(ends[1]), Number(ends[2])];
    const isWithin = least >= whole.least && most <= whole.most && least <= most;
    if (isWithin) return { domain: { ...whole, least, most } };
    return { problem: `${key}: expected a range within ${expected}, not '${range}'` };
  }
  const values = range.split(',').map((word) => parsedWord(word, whole));
  const wrong = values.findIndex((value) => scalar.parse(value) === undefined);
  if (wrong < 0) return { domain: { kind: 'choice', key, given: whole.given, values } };
  return { problem: `${key}: expected ${expected}, not '${range.split(',')[wrong]}'` };
}

function wholeDomain(
  key: string,
  given: ParameterValue | undefined,
  json: Readonly<Record<string, unknown>>,
): Domain | null {
  if (Array.isArray(json.enum)) return { kind: 'choice', key, given, values: json.enum };
  if (json.type === 'boolean') return { kind: 'choice', key, given, values: [false, true] };
  const { minimum, maximum } = json;
  if (typeof minimum !== 'number' || typeof maximum !== 'number') return null;
  return { kind: 'integer', key, given, least: minimum, most: Math.min(maximum, MOST) };
}

function parsedWord(word: string, whole: Domain): ParameterValue {
  if (whole.kind === 'integer') return /^-?\d+$/.test(word) ? Number(word) : word;
  return whole.values.find((value) => String(value) === word) ?? word;
}

function givenValue(scenario: Scenario, key: string): ParameterValue | undefined {
  let node: unknown = scenario;
  for (const part of key.split('.')) {
    node = (node as Readonly<Record<string, unknown>> | undefined)?.[part.replace('[]', '')];
    if (part.endsWith('[]')) node = (node as readonly unknown[] | undefined)?.[0];
  }
  return node as ParameterValue | undefined;
}

/** Another value: near the old one, at an end, a power of two, or anything. */
export function mutateValue(
  domain: Domain,
  prng: Prng,
  old: ParameterValue | undefined = domain.given,
): ParameterValue {
  if (domain.kind === 'choice') return domain.values[prng.below(domain.values.length)];
  const { least, most } = domain;
  const before = typeof old === 'number' ? old : least;
  const next = [
    () => least,
    () => most,
    () => before + 1 + prng.below(8),
    () => before - 1 - prng.below(8),
    () => before * 2,
    () => Math.floor(before / 2),
    () => 2 ** prng.below(bitsOf(most) + 1) - prng.below(2),
    () => anything(least, most, prng),
    () => anything(least, most, prng),
  ][prng.below(9)]();
  return Math.min(Math.max(next, least), most);
}

function bitsOf(value: number): number {
  return Math.max(1, value).toString(2).length;
}

/** Of a wide range, as often a small number as a large one. */
function anything(least: number, most: number, prng: Prng): number {
  const span = most - least + 1;
  const narrow = Math.min(span, 2 ** (1 + prng.below(Math.min(bitsOf(span), 32))));
  const words = span > 2 ** 32 && prng.below(2) === 0 ? prng.below(2 ** 20) * 2 ** 32 : 0;
  return least + ((prng.below(narrow) + words) % span);
}
