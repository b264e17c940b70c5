// .macro: its parameters, the arguments of a call, and their replacement in the text of the body.
// GNU as manual, "Macro".

import type { Origin } from '../source.ts';
import { type GasLine, offsetAt, quotedEnd } from './lines.ts';

interface MacroParameter {
  readonly name: string;
  readonly fallback: string;
  readonly required: boolean;
  /** Takes the rest of the line. */
  readonly variable: boolean;
}

export interface GasMacro {
  readonly name: string;
  readonly parameters: readonly MacroParameter[];
  readonly lines: readonly GasLine[];
  readonly origin: Origin;
}

/** What stands for `\name` in the body of a macro or a repetition. */
export interface GasCall {
  readonly texts: ReadonlyMap<string, string>;
  /** `\@`: how many macros have been called before. */
  readonly count: number;
}

const NAME = /[A-Za-z_.$][\w.$]*/y;

/** The text behind `.macro`: `name a, b=5, c:req, d:vararg`; a string says what is wrong. */
export function parseMacroHead(text: string): Pick<GasMacro, 'name' | 'parameters'> | string {
  const [, name, rest] = /^\s*([A-Za-z_.$][\w.$]*)\s*,?(.*)$/s.exec(text) ?? [];
  if (name === undefined) return 'the macro has no name';
  const parameters: MacroParameter[] = [];
  for (const piece of splitArguments(rest ?? '')) {
    const match = /^([A-Za-z_.$][\w.$]*)\s*(?::\s*(\w+))?\s*(?:=(.*))?$/s.exec(piece);
    if (match === null) return `'${piece}' is not a parameter`;
    const qualifier = match[2]?.toLowerCase() ?? '';
    if (!['', 'req', 'vararg'].includes(qualifier)) {
      return `'${qualifier}' says nothing about a parameter; expected req or vararg`;
    }
    parameters.push({
      name: match[1] as string,
      fallback: unquoted((match[3] ?? '').trim()),
      required: qualifier === 'req',
      variable: qualifier === 'vararg',
    });
  }
  return { name, parameters };
}

/** Bind the text behind a macro's name; a string says what is wrong. */
export function bindArguments(macro: GasMacro, text: string): Map<string, string> | string {
  const { parameters } = macro;
  const texts = new Map<string, string>();
  const greedy = parameters.findIndex(({ variable }) => variable);
  const given = splitArguments(text, greedy < 0 ? Number.POSITIVE_INFINITY : greedy);
  let next = 0;
  for (const argument of given) {
    const [, name, value] = /^([A-Za-z_.$][\w.$]*)\s*=([^=].*|)$/s.exec(argument) ?? [];
    const named = parameters.find((parameter) => parameter.name === name);
    const parameter = named ?? parameters[next++];
    if (parameter === undefined) {
      return `macro '${macro.name}' takes ${parameters.length} arguments, not ${given.length}`;
    }
    const isRest = parameter.variable && named === undefined;
    const bound = named === undefined ? argument : (value as string).trim();
    texts.set(parameter.name, isRest ? bound : unquoted(bound));
  }
  for (const { name, fallback, required } of parameters) {
    const bound = texts.get(name) ?? '';
    if (bound !== '') continue;
    if (required) return `macro '${macro.name}' needs a value for '${name}'`;
    texts.set(name, fallback);
  }
  return texts;
}

/**
 * Split at commas and at white space that no operator stands beside.
 * @param whole the argument from which on the rest is one
 */
export function splitArguments(text: string, whole = Number.POSITIVE_INFINITY): string[] {
  const pieces: string[] = [];
  let at = 0;
  const skipSpace = () => {
    while (/\s/.test(text[at] ?? '')) at++;
  };
  for (skipSpace(); at < text.length; skipSpace()) {
    if (pieces.length === whole) {
      pieces.push(text.slice(at).trimEnd());
      return pieces;
    }
    const start = at;
    at = argumentEnd(text, at);
    pieces.push(text.slice(start, at).trimEnd());
    skipSpace();
    if (text[at] === ',') {
      at++;
      skipSpace();
      if (at >= text.length) pieces.push('');
    }
  }
  return pieces;
}

/** Whether characters beside white space make it a part of an expression. */
const JOINS_LEFT = /[-+*/|&^~!<>=:(]$/;
const JOINS_RIGHT = /^[-+*/|&^!<>=:)]/;

function argumentEnd(text: string, from: number): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const character = text[at] as string;
    if (character === '"') {
      at = quotedEnd(text, at);
      continue;
    }
    if (character === '(') depth++;
    if (character === ')') depth--;
    if (character === ',') return at;
    if (/\s/.test(character) && depth <= 0) {
      const rest = text.slice(at).trimStart();
      if (rest === '' || rest[0] === ',') return at;
      if (!JOINS_LEFT.test(text.slice(from, at)) && !JOINS_RIGHT.test(rest)) return at;
    }
    at++;
  }
  return at;
}

function unquoted(text: string): string {
  return /^"([^"\\]|\\.)*"$/s.test(text) ? text.slice(1, -1) : text;
}

/** A line of a body with `\name`, `\@` and `\()` replaced. What was put in is where it was asked. */
export function substituted(line: GasLine, { texts, count }: GasCall): GasLine {
  if (!line.text.includes('\\')) return line;
  let text = '';
  const offsets: number[] = [];
  const put = (piece: string, from: number, moves: boolean) => {
    for (let i = 0; i < piece.length; i++) offsets.push(offsetAt(line, moves ? from + i : from));
    text += piece;
  };
  for (let at = 0; at < line.text.length; ) {
    const found = line.text[at] === '\\' ? escapeAt(line.text, at, texts, count) : null;
    if (found === null) put(line.text[at] as string, at++, true);
    else {
      put(found.text, at, false);
      at += found.length;
    }
  }
  return { text, start: line.start, offsets };
}

function escapeAt(
  text: string,
  at: number,
  texts: ReadonlyMap<string, string>,
  count: number,
): { readonly text: string; readonly length: number } | null {
  if (text[at + 1] === '@') return { text: String(count), length: 2 };
  if (text.startsWith('()', at + 1)) return { text: '', length: 3 };
  NAME.lastIndex = at + 1;
  const name = NAME.exec(text)?.[0];
  const bound = name === undefined ? undefined : texts.get(name);
  if (name === undefined || bound === undefined) return null;
  return { text: bound, length: name.length + 1 };
}
