// A terminal's conversation with a session: lines in, lines out. Knows no terminal.

import { nearest } from '../../sim/index.ts';
import { DebugError } from '../debug-error.ts';
import { REGISTER_NAMES } from '../registers.ts';
import type { Session } from '../session.ts';
import { COMMANDS, type Command, type Context, TOPIC_NAMES } from './commands.ts';
import { stopLines } from './print.ts';

/** What came of a line. */
export interface Answer {
  readonly command: string;
  readonly lines: readonly string[];
  readonly isError: boolean;
}

export class Prompt {
  private readonly context: Context;
  private last = '';

  constructor(session: Session) {
    this.context = { session, vcpu: 0, isOver: false };
  }

  /** True once `quit` was said. */
  get isOver(): boolean {
    return this.context.isOver;
  }

  /** Where the session is, for a start. */
  greeting(): readonly string[] {
    const { session } = this.context;
    return stopLines(session, { ...session.stop, reason: 'step' });
  }

  /**
   * Do what a line says; an empty one does the last again if that moved the machine. In pieces: the
   * session may be interrupted between them.
   */
  *execute(line: string): Generator<void, Answer> {
    const text = line.trim() === '' ? this.last : line.trim();
    this.last = '';
    if (text === '' || text.startsWith('#')) return { command: '', lines: [], isError: false };
    const [, name = '', format = '', argument = ''] = WORDS.exec(text) ?? [];
    try {
      const command = commandNamed(name === '' ? text : name);
      const lines = yield* command.execute(this.context, argument.trim(), format);
      if (command.argument === '[COUNT]') this.last = text;
      return { command: text, lines, isError: false };
    } catch (thrown) {
      if (!(thrown instanceof DebugError)) throw thrown;
      return { command: text, lines: [thrown.message], isError: true };
    }
  }

  /** What a line that is being typed can become, and the part of it that this replaces. */
  complete(line: string): readonly [candidates: readonly string[], replaced: string] {
    const word = /[^\s$[\]()=+*,-]*$/.exec(line)?.[0] ?? '';
    const isFirst = line.trimStart() === word;
    const candidates = isFirst
      ? COMMANDS.map(({ names }) => names[0])
      : /^\s*i(nfo)?\s/.test(line)
        ? TOPIC_NAMES
        : this.symbols();
    return [candidates.filter((candidate) => candidate.startsWith(word)), word];
  }

  private symbols(): readonly string[] {
    const { session, vcpu } = this.context;
    return [...session.symbolsOf(vcpu).names.map(({ name }) => name), ...REGISTER_NAMES];
  }
}

/** A name, a format behind a slash, and the rest. */
const WORDS = /^([a-z-]+)(?:\/(\S+))?(?:\s+(.*))?$/s;

/** By a name, or the beginning of a first name that no other has. */
function commandNamed(name: string): Command {
  const exact = COMMANDS.find(({ names }) => names.includes(name));
  if (exact !== undefined) return exact;
  const fitting = COMMANDS.filter(({ names }) => names[0].startsWith(name));
  if (fitting.length === 1) return fitting[0];
  const all = COMMANDS.flatMap(({ names }) => names);
  const meant = nearest(name, all);
  const shown = name.slice(0, 40).replace(/[^ -~]/g, '?');
  if (fitting.length > 1) {
    throw new DebugError(`'${shown}' may be ${fitting.map(({ names }) => names[0]).join(', ')}`);
  }
  const hint = meant === null ? "'help' lists them" : `did you mean '${meant}'?`;
  throw new DebugError(`unknown command '${shown}'; ${hint}`);
}
