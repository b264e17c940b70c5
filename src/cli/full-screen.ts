// The full-screen view on a terminal: raw keys in, control sequences out, and the terminal as it
// was on every way out. What keys mean and what is shown is the debugger's business.

import { emitKeypressEvents } from 'node:readline';
import {
  type Answer,
  ENTER,
  type Frame,
  isPrintable,
  type Key,
  LEAVE,
  type Prompt,
  paint,
  Screen,
  type Size,
} from '../debug/index.ts';

/** As Node's readline tells of a key. */
export interface Keypress {
  readonly name?: string;
  readonly ctrl: boolean;
  readonly meta: boolean;
  readonly shift: boolean;
}

/** Keys that wait while something runs; more are forgotten. */
const MOST_WAITING = 100_000;

/** True if both ends are a terminal that understands control sequences. */
export function isScreen(): boolean {
  const { TERM = '' } = process.env;
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  return isTerminal && TERM !== '' && TERM !== 'dumb';
}

/** The longest that a timer takes. */
const FOREVER_MS = 2 ** 31 - 1;

/** Signals that end the process, with their numbers. */
export const DEADLY = [
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const;

export class FullScreen {
  private readonly prompt: Prompt;
  private readonly screen: Screen;
  private readonly execute: (line: string) => Promise<Answer>;
  private readonly hasColour: boolean;
  private isOpen = false;
  private shown: Frame | null = null;
  private readonly waiting: Key[] = [];
  private hasEnded = false;
  private wake: (() => void) | null = null;
  private keptAlive: NodeJS.Timeout | undefined;

  /** @param execute a line, to be interrupted by the session */
  constructor(prompt: Prompt, execute: (line: string) => Promise<Answer>) {
    this.prompt = prompt;
    this.screen = new Screen(prompt);
    this.execute = execute;
    // https://no-color.org
    this.hasColour = (process.env.NO_COLOR ?? '') === '';
  }

  /**
   * Until the session is over, or the prompt is wanted.
   * @param typed what was typed ahead for this
   * @returns what was typed ahead for the prompt
   */
  async run(typed: string): Promise<string> {
    const { context } = this.prompt;
    this.screen.refresh();
    this.waiting.push(...[...typed].map(keyThatTypes));
    this.listen();
    this.open();
    try {
      while (!context.isOver && context.face === 'screen') {
        if (this.waiting.length === 0) this.draw();
        const key = await this.nextKey();
        if (key === null) context.isOver = true;
        else await this.handle(key);
      }
    } finally {
      this.close();
      this.unlisten();
    }
    return this.waiting
      .splice(0)
      .map(({ name, text }) => (name === 'return' || name === 'enter' ? '\n' : text))
      .filter((text) => text === '\n' || isPrintable(text))
      .join('');
  }

  /** What a guest prints. */
  print(data: Uint8Array | string): void {
    this.screen.print(Buffer.from(data).toString());
  }

  private async handle(key: Key): Promise<void> {
    const request = this.screen.key(key);
    switch (request.kind) {
      case 'none':
        return;
      case 'redraw':
        this.shown = null;
        return;
      case 'suspend':
        return this.suspend();
      case 'execute':
        this.screen.started();
        this.draw();
        this.screen.answered(await this.execute(request.line));
        return;
      default:
        request satisfies never;
    }
  }

  private draw(): void {
    if (!this.isOpen) return;
    const frame = this.screen.draw(sizeOf(process.stdout));
    process.stdout.write(paint(this.shown, frame, this.hasColour));
    this.shown = frame;
  }

  // Keys

  /** Null when there will be no more. */
  private async nextKey(): Promise<Key | null> {
    while (this.waiting.length === 0 && !this.hasEnded) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.waiting.shift() ?? null;
  }

  private readonly pressed = (text: string | undefined, { name, ctrl, meta, shift }: Keypress) => {
    const key = { name: name ?? '', text: text ?? '', isCtrl: ctrl, isMeta: meta, isShift: shift };
    if (this.screen.isRunning && ctrl && name === 'c') this.interrupt();
    else if (this.waiting.length < MOST_WAITING) this.waiting.push(key);
    this.wake?.();
  };

  private readonly ended = () => {
    this.hasEnded = true;
    this.interrupt();
    this.wake?.();
  };

  private readonly interrupt = () => {
    this.waiting.length = 0;
    this.prompt.context.session.interrupt();
  };

  // The terminal

  private open(): void {
    if (this.isOpen) return;
    this.isOpen = true;
    this.shown = null;
    process.stdin.setRawMode(true);
    process.stdin.resume();
    process.stdout.write(ENTER);
  }

  private readonly close = () => {
    if (!this.isOpen) return;
    this.isOpen = false;
    process.stdout.write(LEAVE);
    process.stdin.setRawMode(false);
    process.stdin.pause();
  };

  private readonly resized = () => {
    this.shown = null;
    this.draw();
  };

  private listen(): void {
    emitKeypressEvents(process.stdin);
    process.stdin.on('keypress', this.pressed).on('end', this.ended);
    process.stdout.on('resize', this.resized);
    // Also where nobody gets to a `finally`.
    process.on('exit', this.close).on('uncaughtExceptionMonitor', this.close);
    process.on('SIGINT', this.interrupt).on('SIGCONT', this.continued);
    for (const [signal] of DEADLY) process.on(signal, this.killed);
  }

  private unlisten(): void {
    process.stdin.off('keypress', this.pressed).off('end', this.ended);
    process.stdout.off('resize', this.resized);
    process.off('exit', this.close).off('uncaughtExceptionMonitor', this.close);
    process.off('SIGINT', this.interrupt).off('SIGCONT', this.continued);
    for (const [signal] of DEADLY) process.off(signal, this.killed);
  }

  private readonly killed = (signal: NodeJS.Signals) => {
    this.close();
    const [, number] = DEADLY.find(([name]) => name === signal) ?? DEADLY[0];
    process.exit(128 + number);
  };

  /** Ctrl-Z: with the whole job, as the terminal would. */
  private suspend(): void {
    this.close();
    // Without a terminal to read nothing else keeps the process from ending.
    this.keptAlive ??= setInterval(() => {}, FOREVER_MS);
    process.kill(0, 'SIGTSTP');
  }

  private readonly continued = () => {
    clearInterval(this.keptAlive);
    this.keptAlive = undefined;
    this.open();
    this.draw();
  };
}

function keyThatTypes(text: string): Key {
  const none = { isCtrl: false, isMeta: false, isShift: false };
  if (text === '\n') return { ...none, name: 'return', text: '\r' };
  return { ...none, name: text, text };
}

/** Some terminals say that they have no columns. */
function sizeOf({ columns, rows }: NodeJS.WriteStream): Size {
  return { columns: columns || 80, rows: rows || 24 };
}
