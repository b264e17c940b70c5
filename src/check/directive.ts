// Directives in the manner of LLVM's FileCheck: which there are, and how they are found in comments
// of programs and in the `check` section of scenarios.

import { nearest } from '../sim/index.ts';
import { type DirectiveKind, SETTLING, type SettlingWord, SUFFIXES } from './directive-words.ts';
import { nearMiss } from './near-miss.ts';
import { hasVariables, literalPattern, type Pattern, parsePattern } from './pattern.ts';
import { STREAMS, type StreamName } from './stream.ts';

/** A place in a source, from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Problem extends Place {
  readonly message: string;
  /** It may be prose: a mistake only beside directives. */
  readonly isDoubtful?: boolean;
}

export interface Directive extends Place {
  readonly kind: DirectiveKind;
  /** As it stands there: CHECK-NEXT. */
  readonly word: string;
  readonly stream: StreamName;
  /** The configuration that it is for, or null for all. */
  readonly configuration: string | null;
  readonly pattern: Pattern;
  /** How many matches in a row: 1 but for COUNT. */
  readonly times: number;
}

/** What stands behind a comment marker, or on a line of a scenario's section. */
export interface NoteLine extends Place {
  readonly text: string;
}

/** One of {@link SETTLING}, with what follows it. */
export interface Settling extends Place {
  readonly word: SettlingWord;
  readonly configuration: string | null;
  /** Trimmed; may be empty. */
  readonly text: string;
  /** Column at which the text begins. */
  readonly textColumn: number;
}

export type Note =
  | { readonly kind: 'directive'; readonly directive: Directive }
  | { readonly kind: 'settling'; readonly settling: Settling };

/** CHECK-PV-NEXT{LITERAL}: and the rest of the line. */
const NOTE = /^([A-Z]\w*(?:-\w+)*)(\{[^}]*\})?:(.*)$/;

/** Names of configurations: capitals, so that they look like the rest of a directive. */
export const CONFIGURATION_NAME = /^[A-Z][A-Z0-9_]*$/;

/**
 * Read a line that may be a directive.
 * @param configurations names that RUN lines give
 * @returns null if it is something else
 */
export function readNote(note: NoteLine, configurations: readonly string[]): Note | Problem | null {
  const match = NOTE.exec(note.text);
  if (match === null) return lookalike(note);
  const [, word, modifier, rest] = match;
  const [first, ...more] = word.split('-');
  const isSettling = SETTLING.some((known) => known === first);
  const stream = Object.values(STREAMS).find(({ prefix }) => prefix === first);
  if (!isSettling && stream === undefined) return lookalike(note);
  const problem = (message: string): Problem => ({ ...placeOf(note), message });
  const named = more.length > 0 && configurations.includes(more[0]) ? more[0] : null;
  const suffix = named === null ? more : more.slice(1);
  if (stream === undefined) {
    if (suffix.length > 0) return problem(unknownConfiguration(word, suffix[0], configurations));
    if (modifier !== undefined) return problem(`${word} takes no ${modifier}`);
    if (first === 'RUN' && named !== null) return problem(`${word}: expected RUN: name=${named}`);
    if (first === 'EXPLORE' && named !== null) return problem(`${word}: expected EXPLORE:`);
    return settlingOf(note, first as SettlingWord, named, rest);
  }
  const asked = kindOf(suffix);
  if (typeof asked === 'string') {
    const isOneWord = suffix.length === 1 && SUFFIXES[suffix[0]] === undefined;
    return problem(
      isOneWord ? unknownSuffix(word, suffix[0], configurations) : `${word}: ${asked}`,
    );
  }
  if (modifier !== undefined && modifier !== '{LITERAL}') {
    return problem(`unknown modifier ${modifier}; expected {LITERAL}`);
  }
  const head = { ...placeOf(note), ...asked, word, stream: stream.name, configuration: named };
  return directiveOf(note, head, rest, modifier !== undefined);
}

function lookalike(note: NoteLine): Problem | null {
  const near = nearMiss(note.text);
  return near && { ...placeOf(note), message: near.message, isDoubtful: !near.isCertain };
}

type Head = Omit<Directive, 'pattern'>;

function directiveOf(note: NoteLine, head: Head, rest: string, isLiteral: boolean): Note | Problem {
  const text = collapse(rest).trim();
  const column = note.column + note.text.length - rest.trimStart().length;
  if (head.kind === 'empty') {
    if (text !== '') {
      return { line: note.line, column, message: `${head.word} takes no pattern` };
    }
    return { kind: 'directive', directive: { ...head, pattern: literalPattern('') } };
  }
  if (text === '') {
    const message = `${head.word} needs a pattern; to match any line, write {{.*}}`;
    return { ...placeOf(note), message };
  }
  const pattern = isLiteral ? literalPattern(text) : parsePattern(text, note.line);
  if ('message' in pattern) {
    return { line: note.line, column: column + pattern.offset, message: pattern.message };
  }
  if (head.kind === 'label' && hasVariables(pattern)) {
    return { line: note.line, column, message: `${head.word} cannot define or use variables` };
  }
  return { kind: 'directive', directive: { ...head, pattern } };
}

function settlingOf(
  note: NoteLine,
  word: SettlingWord,
  configuration: string | null,
  rest: string,
): Note {
  const textColumn = note.column + note.text.length - rest.trimStart().length;
  const settling = { ...placeOf(note), word, configuration, text: rest.trim(), textColumn };
  return { kind: 'settling', settling };
}

function placeOf({ line, column }: Place): Place {
  return { line, column };
}

/** Horizontal space counts as one space, here as in the text that is matched. */
export function collapse(text: string): string {
  return text.replace(/[ \t]+/g, ' ');
}

/** What the words behind prefix and configuration ask, or what is wrong with them. */
function kindOf(words: readonly string[]): Pick<Directive, 'kind' | 'times'> | string {
  const [word, ...rest] = words;
  if (word === undefined) return { kind: 'plain', times: 1 };
  const kind = Object.hasOwn(SUFFIXES, word) ? SUFFIXES[word] : undefined;
  if (kind === undefined) return `unknown suffix '${word}'`;
  if (kind === 'count') {
    const times = /^[1-9]\d{0,8}$/.test(rest[0] ?? '') ? Number(rest[0]) : 0;
    if (times > 0 && rest.length === 1) return { kind, times };
    return 'expected COUNT and a number from 1, such as CHECK-COUNT-3';
  }
  return rest.length === 0 ? { kind, times: 1 } : `${word} cannot be combined with ${rest[0]}`;
}

function unknownSuffix(word: string, suffix: string, configurations: readonly string[]): string {
  const known = [...Object.keys(SUFFIXES), ...configurations];
  const near = nearest(suffix, known);
  const list = `the suffixes are ${Object.keys(SUFFIXES).join(', ')}`;
  const names = configurations.length === 0 ? '' : `; configurations ${configurations.join(', ')}`;
  const hint = near === null ? list + names : `did you mean '${near}'?`;
  return `${word}: unknown '${suffix}'; ${hint}`;
}

function unknownConfiguration(
  word: string,
  name: string,
  configurations: readonly string[],
): string {
  const near = nearest(name, configurations);
  const list =
    configurations.length === 0
      ? 'no RUN line gives a name'
      : `the configurations are ${configurations.join(', ')}`;
  const hint = near === null ? list : `did you mean '${near}'?`;
  return `${word}: unknown configuration '${name}'; ${hint}`;
}

/** Comments of assembly sources in either syntax, and of YAML, with what is behind the marker. */
const COMMENT = /(?:;|#|\/\/)\s*/g;

/** The comment lines of a source that may be directives; golden lines (`;| text`) are none. */
export function* commentsOf(source: string): Iterable<NoteLine> {
  for (const [i, line] of source.split('\n').entries()) {
    for (const match of line.matchAll(COMMENT)) {
      const column = match.index + match[0].length;
      const text = line.slice(column).trimEnd();
      if (!/^[A-Z]/.test(text) && nearMiss(text) === null) continue;
      yield { line: i + 1, column: column + 1, text };
      break;
    }
  }
}
