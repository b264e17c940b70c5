// Which trace events a property speaks of: a tracepoint and conditions on its fields. A condition
// may bind a variable ($v), which has the same value wherever else the property names it.

import Long from 'long';
import { TRACEPOINTS, type TracepointName, type TraceRecord } from '../trace/index.ts';

/** Values of a property's variables, by name. Numbers are decimal, so that they compare. */
export type Bindings = Readonly<Record<string, string>>;

export const NO_BINDINGS: Bindings = {};

export const COMPARISONS = ['!=', '<=', '>=', '=', '<', '>'] as const;

export type Comparison = (typeof COMPARISONS)[number];

/** Literal text and variables in turn: `vcpu$v` is ['vcpu', 'v', '']. */
export type ValueTemplate = readonly string[];

export interface Condition {
  readonly field: string;
  readonly comparison: Comparison;
  readonly value: ValueTemplate;
}

/** Some kind of event. */
export interface EventPattern {
  /** As it was written, for messages. */
  readonly text: string;
  /** The variables once an event is taken for one of these, or null if it is none. */
  readonly match: (record: TraceRecord, bindings: Bindings) => Bindings | null;
}

/** Fields that every event has: the pCPU, and the name of the thread that ran there. */
export const COMMON_FIELDS = ['pcpu', 'thread'] as const;

/** Names of the fields that conditions on a tracepoint may speak of. */
export function fieldNames(name: TracepointName): readonly string[] {
  return [...TRACEPOINTS[name].names, ...COMMON_FIELDS];
}

/** Events of a tracepoint whose fields satisfy all conditions. */
export function eventPattern(
  text: string,
  name: TracepointName,
  conditions: readonly Condition[],
): EventPattern {
  const tests = conditions.map((condition) => testOf(condition));
  return {
    text,
    match: (record, bindings) => {
      if (record.name !== name) return null;
      let known: Bindings | null = bindings;
      for (const test of tests) {
        known = test(record, known);
        if (known === null) return null;
      }
      return known;
    },
  };
}

/** Events that one of several patterns fits; the first that does binds the variables. */
export function anyOf(patterns: readonly EventPattern[]): EventPattern {
  if (patterns.length === 1) return patterns[0];
  return {
    text: patterns.map(({ text }) => text).join(' or '),
    match: (record, bindings) => {
      for (const pattern of patterns) {
        const known = pattern.match(record, bindings);
        if (known !== null) return known;
      }
      return null;
    },
  };
}

type Test = (record: TraceRecord, bindings: Bindings) => Bindings | null;

function testOf({ field, comparison, value }: Condition): Test {
  const get = getterOf(field);
  const variable = value.length === 3 && value[0] === '' && value[2] === '' ? value[1] : null;
  return (record, bindings) => {
    const actual = get(record);
    if (variable !== null && comparison === '=' && !Object.hasOwn(bindings, variable)) {
      return { ...bindings, [variable]: actual };
    }
    const wanted = filledIn(value, bindings);
    return wanted !== null && holds(actual, comparison, wanted) ? bindings : null;
  };
}

function filledIn(template: ValueTemplate, bindings: Bindings): string | null {
  let text = template[0];
  for (let i = 1; i < template.length; i += 2) {
    if (!Object.hasOwn(bindings, template[i])) return null;
    text += bindings[template[i]] + template[i + 1];
  }
  return text;
}

function getterOf(field: string): (record: TraceRecord) => string {
  if (field === 'pcpu') return ({ pcpu }) => String(pcpu);
  if (field === 'thread') return ({ comm }) => comm;
  const path = field.split('.');
  return ({ fields }) => {
    let value: unknown = fields;
    for (const name of path) value = (value as Readonly<Record<string, unknown>>)[name];
    return Long.isLong(value) ? value.toUnsigned().toString() : String(value);
  };
}

/** Numbers compare as numbers, everything else as text. */
export function holds(actual: string, comparison: Comparison, wanted: string): boolean {
  const order = compare(actual, wanted);
  switch (comparison) {
    case '=':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}

const NUMBER = /^-?(0x[\da-f]+|\d+)$/i;

function compare(a: string, b: string): number {
  if (NUMBER.test(a) && NUMBER.test(b)) {
    const [x, y] = [bigOf(a), bigOf(b)];
    return x < y ? -1 : x > y ? 1 : 0;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function bigOf(text: string): bigint {
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
}
