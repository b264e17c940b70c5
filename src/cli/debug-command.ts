// `vmxlab debug`: the debugger at a terminal, by lines or in full screen, or fed by a script. Lines
// are read here; what they mean is the debugger's business.

import { createInterface, type Interface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import {
  type Answer,
  createSession,
  MOST_LINES,
  Prompt,
  type ReadSource,
  type Session,
} from '../debug/index.ts';
import { setRunUnderWay } from './crash.ts';
import { readText } from './files.ts';
import { DEADLY, FullScreen, isScreen, type Keypress } from './full-screen.ts';
import { GuestOutput } from './guest-output.ts';
import { addToHistory, readHistory } from './history-file.ts';
import { type InputOptions, loadInput } from './program.ts';
import { sourceReader } from './sources.ts';

export interface DebugOptions extends InputOptions {
  readonly file: string;
  readonly json: boolean;
  /** Files with commands, then commands, to be executed first. */
  readonly commandFiles: readonly string[];
  readonly commands: readonly string[];
  /** Leave behind these. */
  readonly batch: boolean;
  /** The full-screen view, if there is a terminal and no script. */
  readonly tui: boolean;
  /** Lines that are typed are kept from one session to the next, if there is a terminal. */
  readonly history: boolean;
}

const PROMPT = '(vmxlab) ';

/** Talk until `quit` or the end of the input; the exit code: 2 if a command of a script failed. */
export async function debugCommand(options: DebugOptions): Promise<number> {
  const input = loadInput(options.file, options);
  for (const warning of input.warnings) process.stderr.write(`${warning}\n`);
  setRunUnderWay(input);
  const script = [
    ...options.commandFiles.flatMap((file) => readText(file, 'command file').split(/\r?\n/)),
    ...options.commands,
  ];
  const isScript = options.json || options.batch || script.length > 0;
  const session = createSession(input.scenario, input);
  const talk = new Talk(session, sourceReader(input.places, input.sources), {
    json: options.json,
    wantsScreen: options.tui && !isScript,
    hasHistory: options.history && isTerminal() && !options.json && !options.batch,
  });
  talk.keepHistoryAtEnd();
  talk.greet();
  for (const line of script) {
    await talk.say(line, true);
    if (talk.isOver) break;
  }
  while (!talk.isOver && !options.batch) await talk.listen();
  return talk.exitCode;
}

function isTerminal(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true;
}

interface TalkOptions {
  readonly json: boolean;
  readonly wantsScreen: boolean;
  readonly hasHistory: boolean;
}

class Talk {
  exitCode = 0;
  private readonly session: Session;
  private readonly prompt: Prompt;
  private readonly json: boolean;
  private readonly hasHistory: boolean;
  /** What was typed ahead when another face was asked for. */
  private typed = '';
  private readonly output: GuestOutput;
  /** Made when it is wanted first. */
  private screen: FullScreen | null = null;
  private hasEnded = false;

  constructor(
    session: Session,
    source: ReadSource,
    { json, wantsScreen, hasHistory }: TalkOptions,
  ) {
    this.session = session;
    const hasScreen = isScreen() && !json;
    this.hasHistory = hasHistory;
    this.prompt = new Prompt(session, source, hasScreen, hasHistory ? readHistory() : []);
    this.json = json;
    this.output = new GuestOutput(session.machine, (data) => this.print(data));
    if (wantsScreen && hasScreen) this.prompt.context.face = 'screen';
  }

  get isOver(): boolean {
    return this.prompt.isOver || this.hasEnded;
  }

  /** The full-screen view shows by itself where it is. */
  greet(): void {
    if (this.json || this.prompt.context.face === 'screen') return;
    process.stdout.write(`${this.prompt.greeting().join('\n')}\n`);
  }

  /** What a guest has printed. */
  private print(data: Uint8Array | string): void {
    const { screen } = this;
    if (screen !== null && this.prompt.context.face === 'screen') screen.print(data);
    else process.stdout.write(data);
  }

  /** @param isScript it was not typed: shown first, and if it fails, so does the whole command */
  async say(line: string, isScript: boolean): Promise<void> {
    const answer = await this.execute(line);
    if (answer.command === '') return;
    if (answer.isError && isScript) this.exitCode = 2;
    this.show(answer, isScript);
  }

  private async execute(line: string): Promise<Answer> {
    const interrupt = () => this.session.interrupt();
    process.on('SIGINT', interrupt);
    try {
      const work = this.prompt.execute(line);
      for (;;) {
        const step = work.next();
        if (!this.json) this.output.pass(false);
        if (step.done === true) return step.value;
        await setImmediate();
      }
    } finally {
      process.off('SIGINT', interrupt);
    }
  }

  private show(answer: Answer, isScript: boolean): void {
    if (this.json) {
      const { event, time, pcpu } = this.session.when;
      process.stdout.write(`${JSON.stringify({ ...answer, when: { event, time, pcpu } })}\n`);
      return;
    }
    if (isScript) process.stdout.write(`${PROMPT}${answer.command}\n`);
    const stream = answer.isError ? process.stderr : process.stdout;
    for (const line of answer.lines) stream.write(`${line}\n`);
  }

  /** Until the end, or until another face is wanted. */
  async listen(): Promise<void> {
    if (this.prompt.context.face === 'prompt') return this.listenForLines();
    this.screen ??= new FullScreen(this.prompt, (line) => this.execute(line));
    this.typed = await this.screen.run(this.typed);
    if (!this.isOver) this.greet();
  }

  /** For the next session, also if a signal ends this one: a terminal that is closed, say. */
  keepHistoryAtEnd(): void {
    if (!this.hasHistory) return;
    process.on('exit', () => addToHistory(this.prompt.history.added));
    for (const [signal, number] of DEADLY) process.on(signal, () => process.exit(128 + number));
  }

  /** Lines from standard input, with history and completion if that is a terminal. */
  private async listenForLines(): Promise<void> {
    const hasTerminal = isTerminal();
    const reader = createInterface({
      input: process.stdin,
      ...(hasTerminal ? { output: process.stdout } : {}),
      terminal: hasTerminal,
      prompt: hasTerminal ? PROMPT : '',
      history: [...this.prompt.history.lines].reverse(),
      historySize: MOST_LINES,
      completer: (line: string) => this.prompt.complete(line),
    });
    // While a line is read, Ctrl-C gives it up.
    reader.on('SIGINT', () => {
      process.stdout.write('\n');
      reader.prompt();
    });
    const lines = new TypedLines(reader);
    const stopWatching = hasTerminal ? this.watchForScreen(reader, lines) : () => {};
    if (hasTerminal) reader.prompt();
    if (this.typed !== '') reader.write(this.typed);
    this.typed = '';
    for (let line = await lines.next(); line !== null; line = await lines.next()) {
      if (hasTerminal) this.prompt.history.add(line);
      await this.say(line, !hasTerminal);
      if (this.isOver || this.prompt.context.face === 'screen') break;
      if (hasTerminal && !lines.isAtEnd) reader.prompt();
    }
    stopWatching();
    this.hasEnded = !this.isOver && this.prompt.context.face === 'prompt';
    this.typed = lines.rest();
    reader.close();
  }

  /** Ctrl-X A asks for the full-screen view, as in gdb. */
  private watchForScreen(reader: Interface, lines: TypedLines): () => void {
    let isPrefixed = false;
    const pressed = (_text: string | undefined, { name, ctrl }: Keypress) => {
      const isAsked = isPrefixed && name === 'a' && this.prompt.context.hasScreen;
      isPrefixed = ctrl && name === 'x';
      if (!isAsked) return;
      // It has gone into the line already, unless it came with Ctrl.
      if (!ctrl) reader.write(null, { name: 'backspace' });
      this.prompt.context.face = 'screen';
      lines.end();
    };
    process.stdin.on('keypress', pressed);
    return () => process.stdin.off('keypress', pressed);
  }
}

/** Lines as they come: none is lost, however early. */
class TypedLines {
  private readonly reader: Interface;
  private readonly waiting: string[] = [];
  isAtEnd = false;
  private wake: () => void = () => {};

  constructor(reader: Interface) {
    this.reader = reader;
    reader.on('line', (line) => {
      this.waiting.push(line);
      this.wake();
    });
    reader.on('close', () => this.end());
  }

  /** There will be no more. */
  end(): void {
    this.isAtEnd = true;
    this.wake();
  }

  /** Null at the end. */
  async next(): Promise<string | null> {
    while (this.waiting.length === 0 && !this.isAtEnd) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.waiting.shift() ?? null;
  }

  /** What was typed and not taken. */
  rest(): string {
    return [...this.waiting, this.reader.line].join('\n');
  }
}
