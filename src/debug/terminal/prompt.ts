// A terminal's conversation with a session: lines in, lines out. Knows no terminal.

import { type Context, contextOf, type ReadSource } from '../commands/command.ts';
import { stopLines } from '../commands/print.ts';
import { completeLine, understand } from '../commands/table.ts';
import { DebugError } from '../debug-error.ts';
import type { Session } from '../session.ts';
import { LineHistory } from './line-history.ts';

/** What came of a line. */
export interface Answer {
  readonly command: string;
  readonly lines: readonly string[];
  readonly isError: boolean;
}

/** Of what breakpoints say the last lines are kept. */
const MOST_SCRIPT_LINES = 10_000;

export class Prompt {
  /** To be looked at, and for what a full-screen view changes: its vCPU, its face. */
  readonly context: Context;
  readonly history: LineHistory;
  /** What an empty line does. */
  private again = '';

  /**
   * @param source the text of sources, for `list`
   * @param hasScreen there is a terminal for a full-screen view
   * @param before lines that were typed in earlier sessions, oldest first
   */
  constructor(
    session: Session,
    source?: ReadSource,
    hasScreen?: boolean,
    before?: readonly string[],
  ) {
    this.history = new LineHistory(before);
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
    if (this.context.writing !== null) return this.write(line.trim());
    const { session } = this.context;
    const before = session.stop;
    const answer = yield* this.obey(line);
    if (answer.isError || session.stop === before) return answer;
    return yield* this.withScripts(answer);
  }

  /** A line of what a breakpoint is to say. */
  private write(line: string): Answer {
    const { context } = this;
    const { id, lines } = context.writing as NonNullable<Context['writing']>;
    if (line === 'end') {
      context.scripts.set(id, lines);
      context.writing = null;
    } else context.writing = { id, lines: [...lines, line] };
    return { command: line, lines: [], isError: false };
  }

  /** Behind a stop, what its breakpoints say; where that moves the machine, it goes on so. */
  private *withScripts(first: Answer): Generator<void, Answer> {
    const { session, scripts } = this.context;
    const lines = [...first.lines];
    // Where what was said of the stop begins.
    let begin = 0;
    for (let stop = session.stop; ; stop = session.stop) {
      const wanted =
        stop.reason === 'breakpoint' ? stop.hits.flatMap(({ id }) => scripts.get(id) ?? []) : [];
      if (wanted[0] === 'silent') lines.splice(begin);
      for (const line of wanted) {
        if (line === 'silent') continue;
        const answer = yield* this.obey(line);
        lines.splice(0, Math.max(0, lines.length + answer.lines.length - MOST_SCRIPT_LINES));
        begin = lines.length;
        lines.push(...answer.lines);
        if (answer.isError) return { ...first, lines, isError: true };
        if (this.isOver || session.stop !== stop) break;
      }
      if (this.isOver || session.stop === stop) return { ...first, lines };
      yield;
      if (session.isInterrupted) return { ...first, lines: [...lines, 'Interrupted.'] };
    }
  }

  private *obey(line: string): Generator<void, Answer> {
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
