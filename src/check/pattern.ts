// The pattern of one directive: fixed text, {{regular expressions}}, [[string variables]] and
// [[#numeric ones]], in the notation of LLVM's FileCheck ("FileCheck Regex Matching Syntax" and the
// sections behind it in its command guide).

import {
  anyNumber,
  evaluate,
  formatOfBlock,
  type NumberFormat,
  type NumericBlock,
  type NumericValue,
  parseNumericBlock,
  readNumber,
  thisNumber,
  variablesOf,
} from './numeric.ts';
import { escapeRegex, translateRegex } from './posix-regex.ts';

/** What variables hold while a stream is matched. */
export interface Variables {
  readonly strings: Map<string, string>;
  readonly numbers: Map<string, NumericValue>;
}

export function noVariables(): Variables {
  return { strings: new Map(), numbers: new Map() };
}

export type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'regex'; readonly source: string }
  | { readonly kind: 'define'; readonly name: string; readonly source: string }
  /** `isLocal`: defined further left in the same pattern. */
  | { readonly kind: 'use'; readonly name: string; readonly isLocal: boolean }
  | { readonly kind: 'number'; readonly block: NumericBlock };

export interface Pattern {
  /** As it was written. */
  readonly text: string;
  readonly parts: readonly Part[];
}

export interface PatternProblem {
  /** Characters from the start of the pattern. */
  readonly offset: number;
  readonly message: string;
}

/** A pattern of fixed text alone. */
export function literalPattern(text: string): Pattern {
  return { text, parts: [{ kind: 'text', text }] };
}

/**
 * Read a pattern.
 * @param line the line of its directive, from 1
 */
export function parsePattern(text: string, line: number): Pattern | PatternProblem {
  const parts: Part[] = [];
  for (let at = 0; at < text.length; ) {
    const next = nextBlock(text, at);
    if (next > at) parts.push({ kind: 'text', text: text.slice(at, next) });
    if (next === text.length) break;
    const read = text.startsWith('{{', next)
      ? regexBlock(text, next)
      : variableBlock(text, next, line, parts);
    if ('message' in read) return read;
    parts.push(read.part);
    at = read.end;
  }
  return { text, parts };
}

/** Where the next {{ or [[ begins, or the end. */
function nextBlock(text: string, from: number): number {
  const places = [text.indexOf('{{', from), text.indexOf('[[', from)].filter((at) => at >= 0);
  return places.length === 0 ? text.length : Math.min(...places);
}

type Read = { readonly part: Part; readonly end: number } | PatternProblem;

function regexBlock(text: string, start: number): Read {
  const close = text.indexOf('}}', start + 2);
  if (close < 0) return { offset: start, message: "'{{' is not closed by '}}'" };
  const translated = translateRegex(text.slice(start + 2, close));
  if ('message' in translated) return { offset: start + 2, message: translated.message };
  return { part: { kind: 'regex', source: translated.source }, end: close + 2 };
}

function variableBlock(text: string, start: number, line: number, before: readonly Part[]): Read {
  const close = endOfVariable(text, start + 2);
  if (close < 0) return { offset: start, message: "'[[' is not closed by ']]'" };
  const inner = text.slice(start + 2, close);
  const end = close + 2;
  if (inner.startsWith('#')) return numberPart(inner, start + 2, end, line, before);
  const match = /^\$?[A-Za-z_]\w*/.exec(inner);
  if (match === null) {
    return { offset: start + 2, message: `expected the name of a variable, not '${inner}'` };
  }
  const [name] = match;
  const rest = inner.slice(name.length);
  if (rest === '') {
    return { part: { kind: 'use', name, isLocal: definesString(before, name) }, end };
  }
  if (!rest.startsWith(':')) {
    return { offset: start + 2 + name.length, message: `expected ':' or ']]', not '${rest[0]}'` };
  }
  if (definesString(before, name) || definesNumber(before, name)) {
    return { offset: start + 2, message: `${name} is defined already on this line` };
  }
  const translated = translateRegex(rest.slice(1));
  if ('message' in translated) {
    return { offset: start + 3 + name.length, message: translated.message };
  }
  if (rest === ':') {
    return { offset: start + 3 + name.length, message: 'expected a regular expression' };
  }
  return { part: { kind: 'define', name, source: translated.source }, end };
}

function numberPart(
  inner: string,
  offset: number,
  end: number,
  line: number,
  before: readonly Part[],
): Read {
  const block = parseNumericBlock(inner.slice(1), line);
  if ('message' in block) return { offset: offset + 1 + block.offset, message: block.message };
  const used = block.expression === null ? [] : variablesOf(block.expression);
  const tooEarly = used.find((name) => definesNumber(before, name));
  if (tooEarly !== undefined) {
    const message = `${tooEarly} is defined on this line; use it from the next directive on`;
    return { offset, message };
  }
  return { part: { kind: 'number', block }, end };
}

/** Where ]] closes a variable; brackets of its regular expression are passed over. */
function endOfVariable(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (depth === 0 && text.startsWith(']]', at)) return at;
    if (text[at] === '\\') at++;
    else if (text[at] === '[') depth++;
    else if (text[at] === ']' && depth > 0) depth--;
  }
  return -1;
}

function definesString(parts: readonly Part[], name: string): boolean {
  return parts.some((part) => part.kind === 'define' && part.name === name);
}

function definesNumber(parts: readonly Part[], name: string): boolean {
  return parts.some((part) => part.kind === 'number' && part.block.defines === name);
}

/** True if the pattern defines or uses variables. */
export function hasVariables({ parts }: Pattern): boolean {
  return parts.some((part) => {
    if (part.kind === 'number') {
      const { defines, expression } = part.block;
      return defines !== null || (expression !== null && variablesOf(expression).length > 0);
    }
    return part.kind === 'define' || part.kind === 'use';
  });
}

export interface Match {
  readonly start: number;
  readonly end: number;
}

/** No match; `why` if that has another reason than the text. */
export interface NoMatch {
  readonly why: string | null;
}

/** Group of the JavaScript expression that holds the n-th part. */
const group = (i: number) => `v${i}`;

/** Find the first match in `text` between two offsets; variables that it defines are set. */
export function findMatch(
  pattern: Pattern,
  text: string,
  from: number,
  to: number,
  variables: Variables,
): Match | NoMatch {
  const [only] = pattern.parts;
  if (pattern.parts.length === 1 && only.kind === 'text') {
    const start = text.indexOf(only.text, from);
    const end = start + only.text.length;
    return start < 0 || end > to ? { why: null } : { start, end };
  }
  const compiled = compile(pattern, variables);
  if ('why' in compiled) return compiled;
  // As in FileCheck ^ matches where the search begins.
  const match = compiled.regex.exec(text.slice(from, to));
  if (match === null) return { why: null };
  keep(pattern, compiled.formats, match.groups ?? {}, variables);
  const start = from + match.index;
  return { start, end: start + match[0].length };
}

interface Compiled {
  readonly regex: RegExp;
  /** By part; of numbers only. */
  readonly formats: ReadonlyMap<number, NumberFormat>;
}

function compile({ parts }: Pattern, variables: Variables): Compiled | NoMatch {
  const formats = new Map<number, NumberFormat>();
  let source = '';
  for (const [i, part] of parts.entries()) {
    if (part.kind === 'text') source += escapeRegex(part.text);
    else if (part.kind === 'regex') source += `(?:${part.source})`;
    else if (part.kind === 'define') source += `(?<${groupOf(part.name)}>${part.source})`;
    else if (part.kind === 'use') {
      const value = part.isLocal ? null : variables.strings.get(part.name);
      if (value === undefined) return { why: `${part.name} is not defined` };
      source += value === null ? `\\k<${groupOf(part.name)}>` : escapeRegex(value);
    } else {
      const format = formatOfBlock(part.block, variables.numbers);
      formats.set(i, format);
      const inner = numberSource(part.block, format, variables);
      if ('why' in inner) return inner;
      source += `(?<${group(i)}>${inner.source})`;
    }
  }
  return { regex: new RegExp(source, 'm'), formats };
}

/** Group that holds a string variable. */
function groupOf(name: string): string {
  return `s_${name.replace('$', 'global_')}`;
}

function numberSource(
  { expression }: NumericBlock,
  format: NumberFormat,
  { numbers }: Variables,
): { readonly source: string } | NoMatch {
  if (expression === null) return { source: anyNumber(format) };
  const value = evaluate(expression, numbers);
  if (typeof value === 'string') return { why: value };
  const exact = thisNumber(value, format);
  return typeof exact === 'string' ? { why: exact } : exact;
}

function keep(
  { parts }: Pattern,
  formats: ReadonlyMap<number, NumberFormat>,
  groups: Readonly<Record<string, string>>,
  { strings, numbers }: Variables,
): void {
  for (const [i, part] of parts.entries()) {
    if (part.kind === 'define') strings.set(part.name, groups[groupOf(part.name)]);
    if (part.kind !== 'number' || part.block.defines === null) continue;
    const format = formats.get(i) as NumberFormat;
    numbers.set(part.block.defines, { value: readNumber(groups[group(i)], format), format });
  }
}

/** What a pattern expects, variables replaced, for messages: null if it is the pattern itself. */
export function substituted({ text, parts }: Pattern, variables: Variables): string | null {
  const shown = parts.map((part) => {
    if (part.kind === 'text') return part.text;
    if (part.kind === 'use' && !part.isLocal) return variables.strings.get(part.name) ?? null;
    if (part.kind !== 'number' || part.block.expression === null) return null;
    const value = evaluate(part.block.expression, variables.numbers);
    const format = formatOfBlock(part.block, variables.numbers);
    const exact = typeof value === 'string' ? value : thisNumber(value, format);
    return typeof exact === 'string' ? null : exact.source.replaceAll('\\', '');
  });
  if (parts.every(({ kind }) => kind === 'text' || kind === 'regex')) return null;
  const known = parts.flatMap((part, i) => {
    const isVariable = part.kind === 'use' || part.kind === 'number';
    if (!isVariable || shown[i] === null) return [];
    const name = part.kind === 'use' ? part.name : text;
    return [part.kind === 'use' ? `${name} is "${shown[i]}"` : `the number is ${shown[i]}`];
  });
  return known.length === 0 ? null : known.join(', ');
}

/** The fixed text of a pattern, by which lines that nearly match are found. */
export function fixedText({ parts }: Pattern, { strings }: Variables): string {
  return parts
    .map((part) => {
      if (part.kind === 'text') return part.text;
      return part.kind === 'use' ? (strings.get(part.name) ?? ' ') : ' ';
    })
    .join('');
}
