// The text of a property:
//
//   [NAME:] never EVENTS [between EVENTS and EVENTS]
//   [NAME:] always EVENT has (CONDITIONS)
//   [NAME:] every EVENTS is followed|preceded by EVENTS [within DURATION]
//   [NAME:] at most N EVENTS [within DURATION]
//   [NAME:] at most N between EVENTS and EVENTS
//   [NAME:] at least N EVENTS
//   [NAME:] finally WORDS =|!=|<|<=|>|>= VALUE
//
// EVENTS is one or more EVENT joined by `or`; an EVENT is a tracepoint with conditions on its
// fields, such as kvm_exit(reason=HLT, vcpu=$v).

import { nearest } from '../sim/index.ts';
import { TRACEPOINTS, type TracepointName } from '../trace/index.ts';
import {
  anyOf,
  COMPARISONS,
  type Comparison,
  type Condition,
  type EventPattern,
  eventPattern,
  fieldNames,
  type ValueTemplate,
} from './event-pattern.ts';
import type { Claim, Property, PropertyPlace, Span } from './property.ts';

export interface PropertyProblem {
  /** Characters from the start of the text. */
  readonly offset: number;
  readonly message: string;
}

/** Read a property. */
export function parseProperty(text: string): Property | PropertyProblem {
  const name = /^\s*([A-Za-z][\w -]*?)\s*:(?!:)/.exec(text);
  const reader = new Reader(text, name === null ? 0 : name[0].length);
  try {
    const claim = claimOf(reader);
    reader.expectEnd();
    const body = text.slice(name === null ? 0 : name[0].length).trim();
    const { places } = reader;
    return { name: name === null ? body : name[1], text: text.trim(), claim, places };
  } catch (thrown) {
    if (thrown instanceof Complaint) return thrown;
    throw thrown;
  }
}

/** Thrown inside, caught by {@link parseProperty}. */
class Complaint {
  readonly offset: number;
  readonly message: string;

  constructor(offset: number, message: string) {
    this.offset = offset;
    this.message = message;
  }
}

const FIRST_WORDS = ['never', 'always', 'every', 'at', 'finally'] as const;

function claimOf(reader: Reader): Claim {
  switch (reader.oneOf(FIRST_WORDS)) {
    case 'never':
      return neverOf(reader);
    case 'always': {
      const { name, pattern } = eventOf(reader);
      reader.word('has');
      const start = reader.at;
      const conditions = conditionsOf(reader, name);
      const text = reader.text.slice(start, reader.at).trim();
      return { kind: 'always', event: pattern, is: eventPattern(text, name, conditions) };
    }
    case 'every': {
      const event = eventsOf(reader);
      reader.word('is');
      const kind = reader.oneOf(['followed', 'preceded'] as const);
      reader.word('by');
      return { kind, event, by: eventsOf(reader), withinNs: withinOf(reader) };
    }
    case 'at':
      return countOf(reader);
    case 'finally':
      return finallyOf(reader);
  }
}

function neverOf(reader: Reader): Claim {
  const event = eventsOf(reader);
  return { kind: 'never', event, between: reader.tryWord('between') ? spanOf(reader) : null };
}

function countOf(reader: Reader): Claim {
  const which = reader.oneOf(['most', 'least'] as const);
  const count = Number(reader.take(/^\d{1,9}\b/, 'a number'));
  if (which === 'most' && reader.tryWord('between')) {
    return { kind: 'exclusion', count, between: spanOf(reader) };
  }
  const event = eventsOf(reader);
  if (which === 'least') return { kind: 'atLeast', count, event };
  return { kind: 'atMost', count, event, withinNs: withinOf(reader) };
}

function spanOf(reader: Reader): Span {
  const begin = eventsOf(reader);
  reader.word('and');
  return { begin, end: eventsOf(reader) };
}

function finallyOf(reader: Reader): Claim {
  const key = reader.take(/^[^=!<>]+/, 'words of the final state, such as vcpu 0 rax').trim();
  const comparison = reader.take(/^(!=|<=|>=|=|<|>)/, 'a comparison such as =') as Comparison;
  const value = reader.take(/^\S.*/, 'a value').trim();
  return { kind: 'finally', key: key.replace(/\s+/g, ' '), comparison, value };
}

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

function withinOf(reader: Reader): number | null {
  if (!reader.tryWord('within')) return null;
  const text = reader.take(/^\d+(\.\d+)?\s*(ns|us|ms|s)\b/, 'a duration such as 50us or 2 ms');
  const [, number, , unit] = /^(\d+(\.\d+)?)\s*(\w+)$/.exec(text) ?? [];
  return Math.round(Number(number) * UNITS[unit]);
}

function eventsOf(reader: Reader): EventPattern {
  const patterns = [eventOf(reader).pattern];
  while (reader.tryWord('or')) patterns.push(eventOf(reader).pattern);
  return anyOf(patterns);
}

function eventOf(reader: Reader): { name: TracepointName; pattern: EventPattern } {
  const start = reader.skipSpace();
  const word = reader.take(/^[A-Za-z_]\w*/, 'an event such as kvm_exit(reason=HLT)');
  if (!Object.hasOwn(TRACEPOINTS, word)) {
    const known = Object.keys(TRACEPOINTS);
    const near = nearest(word, known);
    const hint = near === null ? `they are ${known.join(', ')}` : `did you mean '${near}'?`;
    throw new Complaint(start, `no tracepoint '${word}'; ${hint}`);
  }
  const name = word as TracepointName;
  const conditions = reader.peek() === '(' ? conditionsOf(reader, name) : [];
  notePlace(reader, name, conditions, start);
  const text = reader.text.slice(start, reader.at).trimEnd();
  return { name, pattern: eventPattern(text, name, conditions) };
}

/** Tracepoints of places: nothing is told of any unless it is named. */
const PLACE_KINDS: Readonly<Partial<Record<TracepointName, PropertyPlace['kind']>>> = {
  guest_code: 'code',
  guest_write: 'word',
};

function notePlace(
  reader: Reader,
  name: TracepointName,
  conditions: readonly Condition[],
  start: number,
): void {
  const kind = PLACE_KINDS[name];
  if (kind === undefined) return;
  const at = conditions.find(({ field, comparison }) => field === 'at' && comparison === '=');
  if (at?.value.length === 1) reader.places.push({ kind, text: at.value[0] });
  else throw new Complaint(start, `${name} has to say where: ${name}(at=SYMBOL)`);
}

function conditionsOf(reader: Reader, name: TracepointName): Condition[] {
  reader.take(/^\(/, "'('");
  const conditions: Condition[] = [];
  do {
    const start = reader.skipSpace();
    const field = reader.take(/^[\w.]+/, 'a field');
    const known = fieldNames(name);
    if (!known.includes(field)) {
      const near = nearest(field, known);
      const hint = near === null ? `it has ${known.join(', ')}` : `did you mean '${near}'?`;
      throw new Complaint(start, `${name} has no field '${field}'; ${hint}`);
    }
    const expected = `one of ${COMPARISONS.join(' ')}`;
    const comparison = reader.take(/^(!=|<=|>=|=|<|>)/, expected) as Comparison;
    const valueStart = reader.skipSpace();
    const text = reader.take(/^("[^"]*"|[^\s,()"]+)/, 'a value').replaceAll('"', '');
    const value = templateOf(text);
    // What can never be met would hold, or not, for no reason.
    if (value.length === 1) checkName(name, field, text, valueStart);
    conditions.push({ field, comparison, value });
  } while (reader.tryTake(/^,/));
  reader.take(/^\)/, "',' or ')'");
  return conditions;
}

/** A field that has names for its values has no others; numbers may be written as in a trace. */
function checkName(tracepoint: TracepointName, field: string, text: string, start: number): void {
  const known = TRACEPOINTS[tracepoint].valueNames(field);
  if (known === null || known.includes(text) || /^0x[\da-f]{1,8}$/i.test(text)) return;
  const near = nearest(text, known);
  const hint = near === null ? `expected one of ${known.join(', ')}` : `did you mean '${near}'?`;
  throw new Complaint(start, `${tracepoint} has no ${field} '${text}'; ${hint}`);
}

/** Text and the names of variables in turn. */
function templateOf(text: string): ValueTemplate {
  return text.split(/\$([A-Za-z]\w*)/);
}

class Reader {
  readonly text: string;
  at: number;
  /** Places that events name. */
  readonly places: PropertyPlace[] = [];

  constructor(text: string, at: number) {
    this.text = text;
    this.at = at;
  }

  skipSpace(): number {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++;
    return this.at;
  }

  /** The next character that is no space; empty at the end. */
  peek(): string {
    return this.text[this.skipSpace()] ?? '';
  }

  tryTake(pattern: RegExp): string | null {
    this.skipSpace();
    const found = pattern.exec(this.text.slice(this.at))?.[0] ?? null;
    this.at += found?.length ?? 0;
    return found;
  }

  take(pattern: RegExp, expected: string): string {
    return this.tryTake(pattern) ?? this.fail(expected);
  }

  tryWord(word: string): boolean {
    return this.tryTake(new RegExp(`^${word}\\b`)) !== null;
  }

  word(word: string): void {
    if (!this.tryWord(word)) this.fail(`'${word}'`);
  }

  oneOf<const T extends string>(words: readonly T[]): T {
    const found = words.find((word) => this.tryWord(word));
    return found ?? this.fail(`one of ${words.join(', ')}`);
  }

  expectEnd(): void {
    if (this.peek() !== '') this.fail('the end');
  }

  private fail(expected: string): never {
    const rest = /^\S+/.exec(this.text.slice(this.skipSpace()))?.[0];
    const found = rest === undefined ? 'the end' : `'${rest}'`;
    throw new Complaint(this.at, `expected ${expected}, not ${found}`);
  }
}
