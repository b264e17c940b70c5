// A terminal's conversation with a session: lines in, lines out. Knows no terminal.

import { type Context, contextOf, type ReadSource } from '../commands/command.ts';
import { stopLines } from '../commands/print.ts';
import { completeLine, understand } from '../commands/table.ts';
import { DebugError } from '../debug-error.ts';
import type { Session } from '../session.ts';

/** What came of a line. */
export interface Answer {
  readonly command: string;
  readonly lines: readonly string[];
  readonly isError: boolean;
}

export class Prompt {
  /** To be looked at, and for what a full-screen view changes: its vCPU, its face. */
  readonly context: Context;
  /** What an empty line does. */
  private again = '';

  /**
   * @param source the text of sources, for `list`
   * @param hasScreen there is a terminal for a full-screen view
   */
  constructor(session: Session, source?: ReadSource, hasScreen?: boolean) {
    this.context = contextOf(session, 0, source, hasScreen);
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
   * Do what a line says; an empty one goes on with the last if that moved the machine or listed. In
   * pieces: the session may be interrupted between them.
   */
  *execute(line: string): Generator<void, Answer> {
    const text = line.trim() === '' ? this.again : line.trim();
    this.again = '';
    if (text === '' || text.startsWith('#')) return { command: '', lines: [], isError: false };
    try {
      const { command, argument, format } = understand(text, 'prompt');
      const lines = yield* command.execute(this.context, argument, format);
      if (command.again === 'same') this.again = text;
      if (command.again === 'bare') this.again = command.names[0];
      return { command: text, lines, isError: false };
    } catch (thrown) {
      if (!(thrown instanceof DebugError)) throw thrown;
      return { command: text, lines: [thrown.message], isError: true };
    }
  }

  /** What a line that is being typed can become, and the part of it that this replaces. */
  complete(line: string): readonly [candidates: readonly string[], replaced: string] {
    return completeLine(this.context, line, 'prompt');
  }
}
