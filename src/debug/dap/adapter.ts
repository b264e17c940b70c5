// The debug adapter: requests of the Debug Adapter Protocol in, responses and events out. Bytes
// only; who moves them is no concern of this. While the machine runs, the owner calls `advance`
// again and again. https://microsoft.github.io/debug-adapter-protocol/specification

import type { DebugProtocol } from '@vscode/debugprotocol';
import { DebugError } from '../debug-error.ts';
import { type Arguments, flagOr } from './arguments.ts';
import { BREAKPOINT_HANDLERS } from './breakpoint-requests.ts';
import { CAPABILITIES } from './capabilities.ts';
import { DATA_HANDLERS } from './data-requests.ts';
import { encodeMessage, isRecord, MessageReader } from './messages.ts';
import { MOTION_HANDLERS, type Motion } from './motion.ts';
import { BadRequest, type DapStop, type DapTarget } from './target.ts';

/** Makes machines to debug; knows files. */
export interface DapLauncher {
  /** A machine for the arguments of `launch`. Throws {@link BadRequest} with what is wrong. */
  launch(args: Arguments): DapTarget;
  /** The machine that waits for `attach`, or null. */
  attach(): DapTarget | null;
}

/** What handlers of requests work with. */
export interface AdapterState {
  readonly target: DapTarget;
  /** What is under way while the machine runs, or null. */
  motion: Motion | null;
  /** Somebody wants it to stop. */
  isPauseWanted: boolean;
  /** How it stopped last, or null if it has not run yet. */
  stop: DapStop | null;
}

/** Answers a request: the body of the response. */
export type Handler = (state: AdapterState, args: Arguments) => object | undefined;

const HANDLERS: ReadonlyMap<string, Handler> = new Map(
  Object.entries({ ...BREAKPOINT_HANDLERS, ...DATA_HANDLERS, ...MOTION_HANDLERS }),
);

/** What an adapter is asked before there is a machine. */
type Lifecycle = (args: Arguments) => { readonly body?: object; readonly afterwards?: () => void };

export class DapAdapter {
  private readonly launcher: DapLauncher;
  private readonly reader = new MessageReader();
  private readonly lifecycle: ReadonlyMap<string, Lifecycle>;
  private state: AdapterState | null = null;
  private sequence = 1;
  private output: Uint8Array[] = [];
  private stopsOnEntry = true;
  private isConfigured = false;
  /** True once the client has taken its leave. */
  isOver = false;

  constructor(launcher: DapLauncher) {
    this.launcher = launcher;
    this.lifecycle = new Map<string, Lifecycle>([
      ['initialize', () => ({ body: CAPABILITIES })],
      ['launch', (args) => this.begin(() => this.launcher.launch(args), args)],
      ['attach', (args) => this.begin(() => this.waiting(), args)],
      ['configurationDone', () => this.configured()],
      ['terminate', () => ({ afterwards: () => this.event('terminated') })],
      ['disconnect', () => ({ afterwards: () => this.leave() })],
    ]);
  }

  /** True while the machine is to go on: {@link advance} has something to do. */
  get isRunning(): boolean {
    return this.state !== null && this.state.motion !== null;
  }

  /** Take what the client sent. */
  receive(bytes: Uint8Array): void {
    for (const incoming of this.reader.receive(bytes)) {
      if (incoming.kind === 'message') this.handle(incoming.value);
      else this.print('console', `malformed message: ${incoming.what}\n`);
    }
  }

  /** Let the machine go on for a while. */
  advance(): void {
    const { state } = this;
    if (state === null || state.motion === null) return;
    const stop = advanceMotion(state, state.motion);
    this.passOutput(state.target);
    if (stop === null) return;
    state.motion = null;
    state.isPauseWanted = false;
    state.stop = stop;
    this.event('stopped', stoppedBody(stop));
  }

  /** Bytes for the client, taken away. */
  takeOutput(): Uint8Array[] {
    const { output } = this;
    this.output = [];
    return output;
  }

  /** The connection is gone. */
  disconnect(): void {
    const { state } = this;
    if (state !== null) {
      // Whoever attaches next finds a machine that stands still.
      state.isPauseWanted = true;
      while (state.motion !== null && advanceMotion(state, state.motion) === null);
      state.motion = null;
      state.target.removeAll();
    }
    this.isOver = true;
  }

  private handle(request: Readonly<Record<string, unknown>>): void {
    const { type, command, seq, arguments: given } = request;
    // What answers our own requests: there are none.
    if (type !== 'request') return;
    if (typeof command !== 'string' || !Number.isSafeInteger(seq)) {
      this.print('console', 'malformed message: a request needs seq and command\n');
      return;
    }
    const args = isRecord(given) ? given : {};
    try {
      this.respond(seq as number, command, args);
    } catch (thrown) {
      if (!(thrown instanceof BadRequest || thrown instanceof DebugError)) throw thrown;
      const { message } = thrown;
      const error = { id: ERROR_ID, format: '{what}', variables: { what: message } };
      const failed = { success: false, message, body: { error: { ...error, showUser: true } } };
      this.send({ type: 'response', request_seq: seq, command, ...failed });
    }
  }

  private respond(seq: number, command: string, args: Arguments): void {
    const lifecycle = this.lifecycle.get(command);
    const answered = { type: 'response', request_seq: seq, command, success: true };
    if (lifecycle !== undefined) {
      const { body, afterwards } = lifecycle(args);
      this.send({ ...answered, ...(body === undefined ? {} : { body }) });
      afterwards?.();
      return;
    }
    const handler = HANDLERS.get(command);
    if (handler === undefined) throw new BadRequest(`unknown request '${command}'`);
    const { state } = this;
    if (state === null) throw new BadRequest(`'${command}' before 'launch' or 'attach'`);
    if (state.motion !== null && !WHILE_RUNNING.has(command)) {
      throw new BadRequest(`'${command}' while the machine runs`);
    }
    const body = handler(state, args);
    this.send({ ...answered, ...(body === undefined ? {} : { body }) });
    this.passOutput(state.target);
  }

  private begin(make: () => DapTarget, args: Arguments) {
    if (this.state !== null) throw new BadRequest('there is a machine already');
    this.stopsOnEntry = flagOr(args, 'stopOnEntry', true);
    const target = make();
    this.state = { target, motion: null, isPauseWanted: false, stop: null };
    // Breakpoints need the program's names and lines: only now may they come.
    this.event('initialized');
    return {
      afterwards: () => {
        for (const { id } of target.threads) {
          this.event('thread', { reason: 'started', threadId: id });
        }
        this.passOutput(target);
        if (this.isConfigured) this.start();
      },
    };
  }

  private waiting(): DapTarget {
    const target = this.launcher.attach();
    if (target !== null) return target;
    throw new BadRequest("nothing to attach to: start 'vmxlab dap FILE --port N', or use 'launch'");
  }

  private configured() {
    this.isConfigured = true;
    return { afterwards: () => this.start() };
  }

  /** Both sides are ready. */
  private start(): void {
    const { state } = this;
    if (state === null) return;
    const [thread] = state.target.threads;
    if (this.stopsOnEntry) {
      const message = 'before the first instruction';
      state.stop = { reason: { kind: 'pause' }, thread, message };
      this.event('stopped', { ...stoppedBody(state.stop), reason: 'entry' });
      return;
    }
    MOTION_HANDLERS.continue(state, { threadId: thread.id });
  }

  private leave(): void {
    this.disconnect();
  }

  private passOutput(target: DapTarget): void {
    const printed = target.takeOutput();
    if (printed !== '') this.print('stdout', printed);
    for (const line of target.takeLog()) this.print('console', `${line}\n`);
  }

  private print(category: string, output: string): void {
    this.event('output', { category, output });
  }

  private event(event: string, body?: object): void {
    this.send({ type: 'event', event, ...(body === undefined ? {} : { body }) });
  }

  private send(message: object): void {
    this.output.push(encodeMessage({ seq: this.sequence++, ...message }));
  }
}

/** Again and again it is said: it may be between two pieces of what it was asked for. */
function advanceMotion({ target, isPauseWanted }: AdapterState, motion: Motion): DapStop | null {
  if (isPauseWanted) target.interrupt();
  return motion.advance();
}

const ERROR_ID = 1;

/** What may be asked while the machine runs. */
const WHILE_RUNNING = new Set(['pause', 'threads', 'completions', 'loadedSources', 'source']);

function stoppedBody({ reason, thread, message }: DapStop): DebugProtocol.StoppedEvent['body'] {
  const shown = message === '' ? {} : { description: message, text: message };
  const body = { threadId: thread.id, allThreadsStopped: true, ...shown };
  switch (reason.kind) {
    case 'breakpoint':
      return { ...body, reason: 'breakpoint', hitBreakpointIds: [...reason.ids] };
    case 'exit':
      return { ...body, reason: 'exception', text: reason.reason };
    case 'step':
      return { ...body, reason: 'step' };
    case 'pause':
      return { ...body, reason: 'pause' };
    case 'goto':
      return { ...body, reason: 'goto' };
    case 'historyStart':
      return { ...body, reason: 'entry' };
    case 'ended':
      return { ...body, reason: 'pause' };
  }
}
