// What a command of the debugger is: a row of the one table (table.ts) from which the prompt, gdb's
// `monitor`, VS Code's debug console, help, completion and the documentation are made.

import type Long from 'long';
import type { Session } from '../session.ts';
import type { Display } from './displays.ts';
import type { Format } from './parse.ts';

/** The lines of a source, by the name that the program has for it; null if it is not to be had. */
export type ReadSource = (file: string) => readonly string[] | null;

/** Where `list` goes on: lines of a source, or instructions. */
export type Listed =
  | {
      readonly kind: 'source';
      readonly file: string;
      readonly first: number;
      readonly last: number;
    }
  | { readonly kind: 'code'; readonly next: Long };

/** What a command works on. */
export interface Context {
  readonly session: Session;
  readonly source: ReadSource;
  /** The vCPU that commands are about. */
  vcpu: number;
  /** The frame that commands are about, 0 for the innermost: until the machine moves. */
  frame: number;
  /** Forgotten when the machine moves. */
  listed: Listed | null;
  /** Where `x` goes on if it is told no address, and how. */
  examined: { readonly next: Long; readonly how: Format } | null;
  displays: readonly Display[];
  /** What is said by itself where a breakpoint stops the machine, by its number. */
  readonly scripts: Map<number, readonly string[]>;
  /** The breakpoint whose lines are being typed, up to `end`. */
  writing: { readonly id: number; readonly lines: readonly string[] } | null;
  isOver: boolean;
  /** What the user wants to see: lines alone, or the full-screen view. */
  face: 'prompt' | 'screen';
  /** There is a terminal for the latter. */
  readonly hasScreen: boolean;
}

/** A context for a session of which nothing was said yet. */
export function contextOf(
  session: Session,
  vcpu: number,
  source: ReadSource = () => null,
  hasScreen = false,
): Context {
  return {
    ...{ session, source, vcpu, hasScreen, frame: 0 },
    ...{ listed: null, examined: null, displays: [], scripts: new Map(), writing: null },
    ...{ isOver: false, face: 'prompt' },
  };
}

/** What a command answers. Between its pieces it may be interrupted. */
export type Lines = Generator<void, readonly string[]>;

/**
 * Where a command can be said: at the prompt only, as all that move the machine or make
 * breakpoints, of which a remote client has its own; anywhere; or as a topic: behind `info` at the
 * prompt, and by its name alone in `monitor`.
 */
export type Scope = 'prompt' | 'anywhere' | 'topic';

export interface Command {
  readonly names: readonly string[];
  /** As help shows it; empty if there is none. */
  readonly argument: string;
  readonly summary: string;
  readonly scope: Scope;
  /** What an empty line behind it does: the same once more, or the command without its argument. */
  readonly again: 'same' | 'bare' | null;
  /**
   * What can stand where a word is being typed.
   * @param before the argument up to that word
   */
  words(context: Context, before: string): Iterable<string>;
  /** @param format what stood behind a slash, as in `x/8gx` */
  execute(context: Context, argument: string, format: string): Lines;
}

type Work = (context: Context, argument: string, format: string) => readonly string[] | Lines;

/** What most rows have in common: nothing to repeat, nothing to complete. */
type Rest = Partial<Pick<Command, 'scope' | 'again' | 'words'>>;

/** A row. */
export function command(
  names: string,
  argument: string,
  summary: string,
  work: Work,
  { scope = 'prompt', again = null, words = () => [] }: Rest = {},
): Command {
  return {
    ...{ names: names.split(' '), argument, summary, scope, again, words },
    execute: function* (context, text, format) {
      const lines = work(context, text, format);
      return isDone(lines) ? lines : yield* lines;
    },
  };
}

function isDone(lines: readonly string[] | Lines): lines is readonly string[] {
  return Array.isArray(lines);
}
