// A client of the Debug Adapter Protocol, for tests: in one process with the adapter, or on the
// streams of a process. Frames after the specification's "Base Protocol"; shares nothing with the
// adapter, and takes the messages' types from the protocol's own package.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { DebugProtocol } from '@vscode/debugprotocol';

/** A message as bytes on the wire. */
export function frameOf(message: object): Buffer {
  const content = Buffer.from(JSON.stringify(message));
  return Buffer.concat([Buffer.from(`Content-Length: ${content.length}\r\n\r\n`), content]);
}

/** Takes whole messages from the front of what has come; throws if a frame is wrong. */
export class FrameReader {
  private rest = Buffer.alloc(0);

  take(bytes: Uint8Array): DebugProtocol.ProtocolMessage[] {
    this.rest = Buffer.concat([this.rest, bytes]);
    const messages: DebugProtocol.ProtocolMessage[] = [];
    for (;;) {
      const end = this.rest.indexOf('\r\n\r\n');
      if (end < 0) return messages;
      const header = this.rest.subarray(0, end).toString('latin1');
      const length = /^Content-Length: (\d+)$/.exec(header)?.[1];
      if (length === undefined) throw new Error(`not a header: ${header}`);
      const content = this.rest.subarray(end + 4, end + 4 + Number(length));
      if (content.length < Number(length)) return messages;
      messages.push(JSON.parse(content.toString('utf8')) as DebugProtocol.ProtocolMessage);
      this.rest = this.rest.subarray(end + 4 + Number(length));
    }
  }
}

export const isEvent = (message: DebugProtocol.ProtocolMessage): message is DebugProtocol.Event =>
  message.type === 'event';

/** A client of `vmxlab dap`, which talks on its standard input and output. */
export class DapProcess {
  readonly received: DebugProtocol.ProtocolMessage[] = [];
  /** What went to standard error, and with which code it ended. */
  stderr = '';
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcessWithoutNullStreams;
  private sequence = 1;
  private takeText: ((text: string) => void) | null = null;
  private readonly waiting: {
    readonly isDone: () => boolean;
    readonly resolve: () => void;
    readonly reject: (error: Error) => void;
    readonly what: string;
  }[] = [];

  constructor(folder: string, program: string, words: readonly string[]) {
    this.child = spawn(process.execPath, [program, ...words], { cwd: folder });
    const frames = new FrameReader();
    this.child.stdout.on('data', (bytes: Buffer) => {
      if (this.takeText !== null) {
        this.takeText(bytes.toString());
        return;
      }
      this.received.push(...frames.take(bytes));
      for (const { isDone, resolve } of this.waiting) if (isDone()) resolve();
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve) => {
      this.child.on('close', (code) => {
        for (const { what, reject } of this.waiting) {
          reject(new Error(`ended without ${what}\n${this.stderr}`));
        }
        resolve(code);
      });
    });
  }

  /** It serves others, and what it prints is no protocol. */
  onText(take: (text: string) => void): void {
    this.takeText = take;
  }

  kill(): void {
    this.child.kill();
  }

  sendRaw(bytes: Uint8Array | string): void {
    this.child.stdin.write(bytes);
  }

  end(): void {
    this.child.stdin.end();
  }

  private until(isDone: () => boolean, what: string): Promise<void> {
    if (isDone()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.waiting.push({ isDone, resolve, reject, what });
    });
  }

  /** Send a request, and wait for its response. */
  async request<R extends DebugProtocol.Response>(command: string, args?: object): Promise<R> {
    const seq = this.sequence++;
    this.sendRaw(frameOf({ seq, type: 'request', command, arguments: args }));
    const find = () =>
      this.received.find(
        (message) =>
          message.type === 'response' && (message as DebugProtocol.Response).request_seq === seq,
      ) as R | undefined;
    await this.until(() => find() !== undefined, `a response to ${command}`);
    return find() as R;
  }

  /** Wait for the n-th event of a name, counted from 1. */
  async event<E extends DebugProtocol.Event>(name: string, number = 1): Promise<E> {
    const all = () => this.received.filter(isEvent).filter(({ event }) => event === name);
    await this.until(() => all().length >= number, `event ${number} named ${name}`);
    return all()[number - 1] as E;
  }
}
