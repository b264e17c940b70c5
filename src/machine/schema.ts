// A small language for what a document may contain. From one declaration come the types, the checks
// with their messages, the JSON schema and the reference page.

import { nearest } from '../sim/index.ts';

/** Where in a document something stands. */
export type Path = readonly (string | number)[];

/** `vms[0].vcpus` */
export function printPath(path: Path): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
  return text.startsWith('.') ? text.slice(1) : text;
}

export interface Issue {
  readonly path: Path;
  readonly message: string;
}

/** A value that is not made of others. */
export interface Scalar<T> {
  readonly kind: 'scalar';
  /** What is expected, to complete "expected ...". */
  readonly expected: string;
  readonly summary: string;
  /** Undefined if the value must be given. */
  readonly fallback: T | undefined;
  /** The fallback as a user would write it. */
  readonly fallbackText: string;
  /** Undefined if the text or number is not acceptable. */
  readonly parse: (value: unknown) => T | undefined;
  /** What {@link parse} makes such a value of. */
  write(value: T): unknown;
  /** Name of the command-line flag and header key that set the value, or null. */
  readonly flag: string | null;
  readonly json: Readonly<Record<string, unknown>>;
}

export interface ListOf<S> {
  readonly kind: 'list';
  readonly summary: string;
  readonly item: S;
  readonly least: number;
  readonly most: number;
}

export interface Fields<F> {
  readonly kind: 'object';
  readonly summary: string;
  readonly fields: F;
  /** It may also be written as one text; null if not. */
  readonly words: Words | null;
}

/** An object as one text: the value of its first key, and `key=value`, separated by commas. */
export interface Words {
  /** What is expected, to complete "expected ...". */
  readonly expected: string;
  /** As a scalar's. */
  readonly flag: string | null;
}

/** Any keys, values of one kind. */
export interface MapOf<S> {
  readonly kind: 'map';
  readonly summary: string;
  readonly item: S;
}

/** A value whose form decides what it has to be; forms that are not here are mistakes. */
export interface Forms<F> {
  readonly kind: 'forms';
  readonly summary: string;
  readonly forms: F;
}

/** What {@link Forms} tells apart. */
type FormName = 'scalar' | 'list' | 'map';

export type Schema =
  | Scalar<unknown>
  | ListOf<Schema>
  | Fields<Readonly<Record<string, Schema>>>
  | MapOf<Schema>
  | Forms<Readonly<Partial<Record<FormName, Schema>>>>;

/** The type of what a schema accepts, fallbacks filled in. */
export type Infer<S> =
  S extends Scalar<infer T>
    ? T
    : S extends ListOf<infer I>
      ? readonly Infer<I>[]
      : S extends Fields<infer F>
        ? { readonly [K in keyof F]: Infer<F[K]> }
        : S extends MapOf<infer I>
          ? Readonly<Record<string, Infer<I>>>
          : S extends Forms<infer F>
            ? { readonly [K in keyof F]: Infer<F[K]> }[keyof F]
            : never;

interface ScalarOptions<T> {
  readonly summary: string;
  readonly fallback?: T;
  readonly flag?: string;
}

function scalar<T>(
  options: ScalarOptions<T>,
  expected: string,
  json: Readonly<Record<string, unknown>>,
  parse: (value: unknown) => T | undefined,
  print: (value: T) => string = String,
  write: (value: T) => unknown = (value) => value,
): Scalar<T> {
  const { fallback } = options;
  return {
    kind: 'scalar',
    expected,
    summary: options.summary,
    fallback,
    fallbackText: fallback === undefined ? '' : print(fallback),
    flag: options.flag ?? null,
    json,
    parse,
    write,
  };
}

/** A whole number in a range; in text also with K, M or G (thousands, millions, billions). */
export function integer(
  least: number,
  most: number,
  options: ScalarOptions<number>,
): Scalar<number> {
  const expected = `a whole number from ${least} to ${most}`;
  const pattern = '^[0-9]+(\\.[0-9]+)?[KMG]?$';
  const json = { type: ['integer', 'string'], minimum: least, maximum: most, pattern };
  return scalar(options, expected, json, (value) => {
    const number = typeof value === 'string' ? scaled(value, COUNT_SUFFIXES) : value;
    if (typeof number !== 'number' || !Number.isInteger(number)) return undefined;
    return number >= least && number <= most ? number : undefined;
  });
}

/** Any finite number. */
export function number(options: ScalarOptions<number>): Scalar<number> {
  return scalar(options, 'a number', { type: 'number' }, (value) =>
    typeof value === 'number' && Number.isFinite(value) ? value : undefined,
  );
}

/** A size in bytes: a number, or text with K, M or G (powers of 1024). */
export function size(least: number, most: number, options: ScalarOptions<number>): Scalar<number> {
  const expected = `a size from ${printSize(least)} to ${printSize(most)}, such as 64M`;
  const json = { type: ['string', 'integer'], pattern: '^[0-9]+(\\.[0-9]+)?[KMG]?$' };
  return scalar(
    options,
    expected,
    json,
    (value) => {
      const bytes = typeof value === 'string' ? scaled(value, SIZE_SUFFIXES) : value;
      if (typeof bytes !== 'number' || !Number.isInteger(bytes)) return undefined;
      return bytes >= least && bytes <= most && bytes % 4096 === 0 ? bytes : undefined;
    },
    printSize,
  );
}

/** A duration in nanoseconds: text with ns, us, ms or s. */
export function duration(options: ScalarOptions<number>): Scalar<number> {
  const expected = 'a duration such as 10ms, 500us or 2s';
  const json = { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?(ns|us|ms|s)$' };
  return scalar(
    options,
    expected,
    json,
    (value) => {
      if (typeof value !== 'string') return undefined;
      const ns = Math.round(scaled(value, TIME_SUFFIXES) ?? 0);
      return ns < 1 || ns > MAX_NS ? undefined : ns;
    },
    printDuration,
    printDuration,
  );
}

/** From one duration to another; both the same where one is given. */
export interface DurationRange {
  readonly leastNs: number;
  readonly mostNs: number;
}

/** A duration, or two of them as 5us..20us. */
export function durationRange(options: ScalarOptions<DurationRange>): Scalar<DurationRange> {
  const expected = 'a duration such as 20us, or two such as 5us..20us';
  const one = '[0-9]+(\\.[0-9]+)?(ns|us|ms|s)';
  const json = { type: 'string', pattern: `^${one}(\\.\\.${one})?$` };
  const single = duration({ summary: '' });
  const print = ({ leastNs, mostNs }: DurationRange) =>
    mostNs === 0 ? '' : [...new Set([leastNs, mostNs])].map((ns) => printDuration(ns)).join('..');
  const parse = (value: unknown) => {
    if (typeof value !== 'string') return undefined;
    const [leastNs, mostNs = leastNs, more] = value.split('..').map((part) => single.parse(part));
    if (leastNs === undefined || mostNs === undefined || more !== undefined) return undefined;
    return leastNs <= mostNs ? { leastNs, mostNs } : undefined;
  };
  return scalar(options, expected, json, parse, print, print);
}

/** A probability above 0, such as 0.25. */
export function probability(options: ScalarOptions<number>): Scalar<number> {
  const pattern = '^(0?\\.[0-9]+|0|1)$';
  const json = { type: ['number', 'string'], exclusiveMinimum: 0, maximum: 1, pattern };
  return scalar(options, 'a number above 0 and at most 1, such as 0.25', json, (value) => {
    const isText = typeof value === 'string' && /^\d*(\.\d+)?$/.test(value) && value !== '';
    const number = isText ? Number(value) : value;
    return typeof number === 'number' && number > 0 && number <= 1 ? number : undefined;
  });
}

export function choice<const T extends string>(
  values: readonly T[],
  options: ScalarOptions<T>,
): Scalar<T> {
  const expected = `one of ${values.join(', ')}`;
  return scalar(options, expected, { enum: values }, (value) =>
    values.find((candidate) => candidate === value),
  );
}

export function boolean(options: ScalarOptions<boolean>): Scalar<boolean> {
  return scalar(options, 'true or false', { type: 'boolean' }, (value) =>
    typeof value === 'boolean' ? value : undefined,
  );
}

export function text(options: ScalarOptions<string>): Scalar<string> {
  return scalar(options, 'text', { type: ['string', 'number'] }, (value) =>
    typeof value === 'string' || typeof value === 'number' ? String(value) : undefined,
  );
}

/** Text of some form. Only text: YAML would read some digits as a number. */
export function matching(
  pattern: string,
  expected: string,
  options: ScalarOptions<string>,
): Scalar<string> {
  const form = new RegExp(pattern);
  return scalar(options, expected, { type: 'string', pattern }, (value) =>
    typeof value === 'string' && form.test(value) ? value : undefined,
  );
}

/** Whatever a document may have there; somebody else knows what is right. */
export function anything(summary: string): Scalar<unknown> {
  const isGiven = (value: unknown) => (value === undefined ? null : value);
  return scalar({ summary, fallback: null }, 'anything', {}, isGiven);
}

export function forms<const F extends Readonly<Partial<Record<FormName, Schema>>>>(
  summary: string,
  each: F,
): Forms<F> {
  return { kind: 'forms', summary, forms: each };
}

export function list<S>(item: S, least: number, most: number, summary: string): ListOf<S> {
  return { kind: 'list', item, least, most, summary };
}

export function object<const F extends Readonly<Record<string, Schema>>>(
  summary: string,
  fields: F,
  words: Words | null = null,
): Fields<F> {
  return { kind: 'object', summary, fields, words };
}

export function map<S>(item: S, summary: string): MapOf<S> {
  return { kind: 'map', item, summary };
}

const COUNT_SUFFIXES = { '': 1, K: 1e3, M: 1e6, G: 1e9 };
const SIZE_SUFFIXES = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
/** A number alone is no duration. */
const TIME_SUFFIXES = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/** Longest duration: an hour. */
const MAX_NS = 3600e9;

function scaled(value: string, suffixes: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([a-zA-Z]*)$/.exec(value);
  if (match === null) return undefined;
  const factor = Object.hasOwn(suffixes, match[2]) ? suffixes[match[2]] : undefined;
  return factor === undefined ? undefined : Number(match[1]) * factor;
}

/** As a user would write it: 64M. */
export function printSize(bytes: number): string {
  for (const [suffix, factor] of [
    ['G', 2 ** 30],
    ['M', 2 ** 20],
    ['K', 2 ** 10],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${suffix}`;
  }
  return String(bytes);
}

/** As a user would write it: 10ms. */
export function printDuration(ns: number): string {
  for (const [suffix, factor] of [
    ['s', 1e9],
    ['ms', 1e6],
    ['us', 1e3],
  ] as const) {
    if (ns >= factor && ns % factor === 0) return `${ns / factor}${suffix}`;
  }
  return `${ns}ns`;
}

/** Check a document and fill in fallbacks. All issues at once; a value only if there are none. */
export function validate<S extends Schema>(
  schema: S,
  value: unknown,
): { readonly value: Infer<S> } | { readonly issues: readonly Issue[] } {
  const issues: Issue[] = [];
  const result = check(schema, value, [], issues);
  return issues.length > 0 ? { issues } : { value: result as Infer<S> };
}

function check(schema: Schema, value: unknown, path: Path, issues: Issue[]): unknown {
  switch (schema.kind) {
    case 'scalar':
      return checkScalar(schema, value, path, issues);
    case 'list':
      return checkList(schema, value, path, issues);
    case 'object':
      return checkObject(schema, value, path, issues);
    case 'map':
      return checkMap(schema, value, path, issues);
    case 'forms':
      return checkForms(schema, value, path, issues);
  }
}

const FORM_WORDS = { scalar: 'a single value', list: 'a list', map: 'keys and values' } as const;

function formOf(value: unknown): FormName {
  if (Array.isArray(value)) return 'list';
  return isRecord(value) ? 'map' : 'scalar';
}

function checkForms(
  { forms }: Forms<Readonly<Partial<Record<FormName, Schema>>>>,
  value: unknown,
  path: Path,
  issues: Issue[],
): unknown {
  const names = Object.keys(forms) as FormName[];
  // What is not there is taken for the first of the forms.
  const form = value === undefined || value === null ? names[0] : formOf(value);
  const schema = forms[form];
  if (schema !== undefined) return check(schema, value, path, issues);
  const expected = names.map((name) => FORM_WORDS[name]).join(' or ');
  issues.push({ path, message: `expected ${expected}, not ${FORM_WORDS[form]}` });
  return undefined;
}

function checkScalar(
  schema: Scalar<unknown>,
  value: unknown,
  path: Path,
  issues: Issue[],
): unknown {
  if (value === undefined || value === null) {
    if (schema.fallback !== undefined) return schema.fallback;
    issues.push({ path, message: `missing; expected ${schema.expected}` });
    return undefined;
  }
  const parsed = schema.parse(value);
  if (parsed === undefined) {
    issues.push({ path, message: `expected ${schema.expected}, not ${JSON.stringify(value)}` });
  }
  return parsed;
}

function checkList(schema: ListOf<Schema>, value: unknown, path: Path, issues: Issue[]): unknown {
  const items = value === undefined || value === null ? [] : value;
  if (!Array.isArray(items)) {
    issues.push({ path, message: 'expected a list' });
    return [];
  }
  if (items.length < schema.least || items.length > schema.most) {
    const range =
      schema.least === 0 ? `at most ${schema.most}` : `${schema.least} to ${schema.most}`;
    issues.push({ path, message: `expected ${range} entries, not ${items.length}` });
  }
  return items.map((item, i) => check(schema.item, item, [...path, i], issues));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkObject(
  schema: Fields<Readonly<Record<string, Schema>>>,
  value: unknown,
  path: Path,
  issues: Issue[],
): unknown {
  if (typeof value === 'string' && schema.words !== null) {
    return checkWords(schema, schema.words, value, path, issues);
  }
  const given = value === undefined || value === null ? {} : value;
  if (!isRecord(given)) {
    const expected = schema.words === null ? '' : `, or ${schema.words.expected}`;
    issues.push({ path, message: `expected keys and values${expected}` });
    return undefined;
  }
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(schema.fields, key)) continue;
    const known = Object.keys(schema.fields);
    const near = nearest(key, known);
    const hint = near === null ? `known keys: ${known.join(', ')}` : `did you mean '${near}'?`;
    issues.push({ path: [...path, key], message: `unknown key '${key}'; ${hint}` });
  }
  return Object.fromEntries(
    Object.entries(schema.fields).map(([key, field]) => [
      key,
      check(field, given[key], [...path, key], issues),
    ]),
  );
}

/** Everything that is wrong with a text is about the text. */
function checkWords(
  schema: Fields<Readonly<Record<string, Schema>>>,
  { expected }: Words,
  text: string,
  path: Path,
  issues: Issue[],
): unknown {
  const given: Record<string, string> = {};
  const wrong = (message: string) => issues.push({ path, message });
  for (const [i, word] of text.split(',').entries()) {
    const at = word.indexOf('=');
    const key = at < 0 && i === 0 ? Object.keys(schema.fields)[0] : word.slice(0, Math.max(at, 0));
    if (key === '' || at === word.length - 1) {
      wrong(`expected ${expected}, not '${word}' in '${text}'`);
      return undefined;
    }
    if (Object.hasOwn(given, key)) wrong(`${key} is given twice in '${text}'`);
    given[key] = word.slice(at + 1);
  }
  const inner: Issue[] = [];
  const result = checkObject(schema, given, [], inner);
  for (const {
    path: [key],
    message,
  } of inner) {
    wrong(message.startsWith('unknown key') ? message : `${key}: ${message}`);
  }
  return result;
}

function checkMap(schema: MapOf<Schema>, value: unknown, path: Path, issues: Issue[]): unknown {
  const given = value === undefined || value === null ? {} : value;
  if (!isRecord(given)) {
    issues.push({ path, message: 'expected keys and values' });
    return {};
  }
  return Object.fromEntries(
    Object.entries(given).map(([key, item]) => [
      key,
      check(schema.item, item, [...path, key], issues),
    ]),
  );
}

/** The document that {@link validate} makes a value of, with nothing left to fallbacks. */
export function write(schema: Schema, value: unknown): unknown {
  switch (schema.kind) {
    case 'scalar': {
      // Some fallbacks stand for "none", and nobody can write them.
      const written = schema.write(value);
      return schema.parse(written) === undefined ? undefined : written;
    }
    case 'list':
      return (value as readonly unknown[]).map((item) => write(schema.item, item));
    case 'forms': {
      const form = schema.forms[formOf(value)];
      return form === undefined ? undefined : write(form, value);
    }
    case 'object':
    case 'map':
      return Object.fromEntries(
        Object.entries(value as Readonly<Record<string, unknown>>).map(([key, part]) => [
          key,
          write(schema.kind === 'object' ? schema.fields[key] : schema.item, part),
        ]),
      );
  }
}

/** The JSON schema (draft 2020-12) of a schema. */
export function jsonSchema(schema: Schema): Record<string, unknown> {
  const description = schema.summary;
  switch (schema.kind) {
    case 'scalar': {
      if (schema.fallback === undefined) return { description, ...schema.json };
      const { fallback, fallbackText } = schema;
      const isPlain = String(fallback) === fallbackText;
      // What is printed as nothing stands for a key that is not given.
      if (!isPlain && fallbackText === '') return { description, ...schema.json };
      return { description, ...schema.json, default: isPlain ? fallback : fallbackText };
    }
    case 'list':
      return {
        description,
        type: 'array',
        items: jsonSchema(schema.item),
        minItems: schema.least,
        maxItems: schema.most,
      };
    case 'map':
      return { description, type: 'object', additionalProperties: jsonSchema(schema.item) };
    case 'forms':
      return { description, anyOf: Object.values(schema.forms).map(jsonSchema) };
    case 'object': {
      const whole = {
        type: 'object',
        additionalProperties: false,
        properties: Object.fromEntries(
          Object.entries(schema.fields).map(([key, field]) => [key, jsonSchema(field)]),
        ),
      };
      if (schema.words === null) return { description, ...whole };
      return { description, anyOf: [{ type: 'string' }, whole] };
    }
  }
}

/** The value that stands at a key such as `vms[].kvm.ple_window`; null if there is none. */
export function scalarAt(schema: Schema, key: string): Scalar<unknown> | null {
  let node: Schema | undefined = schema;
  for (const part of key.split('.')) {
    if (node?.kind === 'map') node = node.item;
    else if (node?.kind === 'object') {
      const name = part.replace('[]', '');
      node = Object.hasOwn(node.fields, name) ? node.fields[name] : undefined;
    } else return null;
    if (part.endsWith('[]')) node = node?.kind === 'list' ? node.item : undefined;
  }
  return node?.kind === 'scalar' ? node : null;
}

/** A line of the reference: where a value stands, what it is, what it is by default. */
export interface ReferenceLine {
  /** `vms[].vcpus` */
  readonly key: string;
  readonly summary: string;
  readonly expected: string;
  readonly fallback: string;
  readonly flag: string | null;
}

/** What stands for any key in {@link ReferenceLine.key}. */
export const ANY_KEY = '.NAME';

/** Every value that a document can have, in order. */
export function reference(schema: Schema, prefix = ''): ReferenceLine[] {
  switch (schema.kind) {
    case 'scalar':
      return [
        {
          key: prefix,
          summary: schema.summary,
          expected: schema.expected,
          fallback: schema.fallbackText,
          flag: schema.flag,
        },
      ];
    case 'list':
      return reference(schema.item, `${prefix}[]`);
    case 'map':
      return reference(schema.item, prefix + ANY_KEY);
    case 'forms':
      return Object.values(schema.forms).flatMap((form) => reference(form, prefix));
    case 'object': {
      const { words, summary, fields } = schema;
      const own = words && { key: prefix, summary, fallback: '', ...words };
      const lines = Object.entries(fields).flatMap(([key, field]) =>
        reference(field, prefix === '' ? key : `${prefix}.${key}`),
      );
      return own === null ? lines : [own, ...lines];
    }
  }
}
