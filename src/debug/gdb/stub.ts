// The remote stub: gdb's packets in, answers out. Bytes only; who moves them is no concern of this.
// While the target runs, the owner calls `advance` again and again. gdb's manual, "Packets".

import { DebugError } from '../debug-error.ts';
import { bytesOfText, countOfHex, hexOfBytes } from './hex.ts';
import { handleMemory } from './memory-packets.ts';
import { encodePacket, PacketReader } from './packets.ts';
import { handleQuery } from './queries.ts';
import { handleRegisters } from './register-packets.ts';
import { RESUME_ACTIONS, resumeOf, stopReply } from './resume.ts';
import { IMPOSSIBLE, MALFORMED, type StubState, threadOf } from './stub-state.ts';
import type { GdbTarget } from './target.ts';
import { parseThread } from './thread-ids.ts';
import { TransferredFiles } from './transferred-files.ts';

export class GdbStub {
  private readonly reader = new PacketReader();
  private readonly state: StubState;
  /** Whole packets, in order; those behind one that lets the target go on wait. */
  private readonly waiting: string[] = [];
  private output: Uint8Array[] = [];
  private lastReply: Uint8Array | null = null;
  private running = false;
  /** Ctrl-C came, and the target has not stopped yet. */
  private isInterrupted = false;
  /** Processes that gdb has detached from. */
  private readonly left = new Set<number>();
  /** How gdb has taken its leave, or null. */
  ending: 'detached' | 'killed' | null = null;

  /** The target must have a thread at least, and stand still. */
  constructor(target: GdbTarget) {
    const [thread] = target.threads;
    if (thread === undefined) throw new RangeError('a target without threads');
    this.state = {
      target,
      thread,
      resumed: null,
      features: new Set(),
      files: new TransferredFiles(target),
      stop: { reason: { kind: 'step' }, thread, message: null },
    };
  }

  /** True while the target is to go on: {@link advance} has something to do. */
  get isRunning(): boolean {
    return this.running;
  }

  /** Take what gdb sent. */
  receive(bytes: Uint8Array): void {
    for (const incoming of this.reader.receive(bytes)) {
      switch (incoming.kind) {
        case 'packet':
          if (this.reader.checksChecksums) this.send(ACK);
          this.waiting.push(incoming.text);
          break;
        case 'damaged':
          if (this.reader.checksChecksums) this.send(NACK);
          // Nothing is sent again then, and gdb waits for something.
          else this.waiting.push('');
          break;
        case 'nack':
          if (this.lastReply !== null) this.send(this.lastReply);
          break;
        case 'interrupt':
          this.isInterrupted = this.running;
          break;
        case 'ack':
          break;
      }
      this.handleWaiting();
    }
  }

  /** Let the target go on for a while. */
  advance(): void {
    if (!this.running) return;
    // Again and again: it may be between two pieces of what it was asked for.
    if (this.isInterrupted) this.state.target.interrupt();
    const stop = this.state.target.advance();
    if (stop === null) return;
    this.running = false;
    this.isInterrupted = false;
    this.state.stop = stop;
    this.state.thread = stop.thread;
    if (stop.message !== null) this.print(stop.message);
    this.reply(stopReply(stop, this.state.features));
    this.handleWaiting();
  }

  /** Bytes for gdb, taken away. */
  takeOutput(): Uint8Array[] {
    const { output } = this;
    this.output = [];
    return output;
  }

  /** The connection is gone: what gdb set is taken back, and the target stands still. */
  disconnect(): void {
    while (this.running) {
      this.isInterrupted = true;
      this.advance();
    }
    this.state.target.removeAll();
    this.ending ??= 'detached';
  }

  private handleWaiting(): void {
    while (!this.running && this.ending === null) {
      const text = this.waiting.shift();
      if (text === undefined) return;
      const answer = this.attempt(text);
      if (answer !== null) this.reply(answer);
      if (text === 'QStartNoAckMode') this.reader.checksChecksums = false;
    }
  }

  private attempt(text: string): string | null {
    try {
      return this.handle(text);
    } catch (thrown) {
      // The session says why, but gdb has no use for it.
      if (thrown instanceof DebugError) return IMPOSSIBLE;
      throw thrown;
    }
  }

  /** The answer, or null if there is none (yet). Unknown packets have an empty one. */
  private handle(text: string): string | null {
    const { state } = this;
    switch (text[0]) {
      case '?':
        return stopReply(state.stop, state.features);
      case 'H':
        return this.setThread(text);
      case 'T':
        return threadOf(state, text.slice(1)) === null ? MALFORMED : 'OK';
      case 'g':
      case 'G':
      case 'p':
      case 'P':
        return handleRegisters(state, text);
      case 'm':
      case 'M':
      case 'X':
      case 'Z':
      case 'z':
        return handleMemory(state, text);
      case 'q':
      case 'Q':
        return handleQuery(state, text, (message) => this.print(message));
      case 'D':
        return this.detach(text);
      case 'k':
        this.ending = 'killed';
        return null;
      case 'v':
        return this.handleNamed(text);
      default:
        return this.resume(text);
    }
  }

  /** `Hg` and `Hc`, with a thread. */
  private setThread(text: string): string {
    const [, operation] = text;
    if (operation !== 'g' && operation !== 'c') return '';
    const id = parseThread(text.slice(2));
    const thread = threadOf(this.state, text.slice(2));
    if (id === null || thread === null) return MALFORMED;
    if (operation === 'g') this.state.thread = thread;
    else this.state.resumed = typeof id.thread === 'number' ? thread : null;
    return 'OK';
  }

  private handleNamed(text: string): string | null {
    if (text === 'vCont?') return `vCont;${RESUME_ACTIONS.join(';')}`;
    if (text.startsWith('vCont;')) return this.resume(text);
    if (text.startsWith('vFile:')) return this.state.files.handle(text.slice('vFile:'.length));
    if (!text.startsWith('vKill')) return '';
    this.ending = 'killed';
    return 'OK';
  }

  /** `D`, or `D;process`: gdb is gone when it has left every process. */
  private detach(text: string): string {
    const process = text === 'D' ? null : countOfHex(text.slice('D;'.length));
    const known = new Set(this.state.target.threads.map((thread) => thread.process));
    if (text !== 'D' && (text[1] !== ';' || process === null || !known.has(process))) {
      return MALFORMED;
    }
    if (process !== null) this.left.add(process);
    if (process === null || this.left.size === known.size) this.ending = 'detached';
    return 'OK';
  }

  private resume(text: string): string | null {
    const request = resumeOf(this.state, text);
    if (typeof request === 'string') return request;
    this.state.target.resume(request);
    this.running = true;
    return null;
  }

  /** Show a text to whoever sits in front of gdb, while gdb waits for an answer. */
  private print(text: string): void {
    const bytes = bytesOfText(text.endsWith('\n') ? text : `${text}\n`);
    for (let from = 0; from < bytes.length; from += CONSOLE_CHUNK_BYTES) {
      this.reply(`O${hexOfBytes(bytes.subarray(from, from + CONSOLE_CHUNK_BYTES))}`);
    }
  }

  private reply(text: string): void {
    this.lastReply = encodePacket(text);
    this.send(this.lastReply);
  }

  private send(bytes: Uint8Array): void {
    this.output.push(bytes);
  }
}

const ACK = Uint8Array.of(0x2b);
const NACK = Uint8Array.of(0x2d);
const CONSOLE_CHUNK_BYTES = 1024;
