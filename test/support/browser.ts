// Chromium without a window, told what to do over a pair of pipes (DevTools protocol): the pages
// that we write, as somebody sees them at some width, light or dark.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

/** How a page is looked at. */
export interface View {
  /** Of the window, in CSS pixels. */
  readonly width: number;
  readonly scheme: 'light' | 'dark';
}

type Params = Readonly<Record<string, unknown>>;
type Answer = Record<string, unknown>;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Params;
  readonly result?: Answer;
  readonly error?: { readonly message: string };
}

interface Waiting {
  readonly done: (answer: Answer) => void;
  readonly failed: (error: Error) => void;
}

const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--hide-scrollbars'],
  ...['--disable-background-networking', '--disable-dev-shm-usage', '--remote-debugging-pipe'],
];

/** Pipes of the protocol, as Chromium numbers them: it reads 3 and writes 4. */
const [COMMANDS, ANSWERS] = [3, 4];

export class Browser {
  /** What the console said, and exceptions, since the page was opened. */
  readonly complaints: string[] = [];
  /** Addresses that the page asked for, its own aside. */
  readonly requests: string[] = [];
  private readonly folder = mkdtempSync(join(tmpdir(), 'vmxlab-browser-'));
  private readonly process: ChildProcess;
  private readonly commands: Writable;
  private readonly waiting = new Map<number, Waiting>();
  private readonly loads: (() => void)[] = [];
  private address = '';
  private session = '';
  private lastId = 0;
  private rest = '';

  private constructor() {
    this.process = spawn('chromium', [...FLAGS, `--user-data-dir=${this.folder}`], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      // A group of its own: its children, which write to the folder, are ended with it.
      detached: true,
    });
    this.commands = this.process.stdio[COMMANDS] as Writable;
    const answers = this.process.stdio[ANSWERS] as Readable;
    answers.setEncoding('utf8').on('data', (text: string) => this.read(text));
    // Whoever still waits when it dies would wait for ever.
    this.process.on('exit', () => {
      for (const { failed } of this.waiting.values()) failed(new Error('Chromium has ended'));
    });
    this.commands.on('error', () => {});
  }

  static async start(): Promise<Browser> {
    const browser = new Browser();
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    const attached = await browser.send('Target.attachToTarget', { targetId, flatten: true });
    browser.session = String(attached.sessionId);
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) {
      await browser.send(`${domain}.enable`);
    }
    return browser;
  }

  /** Load the page at an address anew. Resolves when all of it is there. */
  async open(address: string): Promise<void> {
    this.complaints.length = 0;
    this.requests.length = 0;
    this.address = address;
    const loaded = new Promise<void>((done) => this.loads.push(done));
    const { errorText } = await this.send('Page.navigate', { url: address });
    if (errorText !== undefined) throw new Error(`${address}: ${String(errorText)}`);
    await loaded;
  }

  async look({ width, scheme }: View): Promise<void> {
    const size = { width, height: 800, deviceScaleFactor: 1, mobile: width < 600 };
    await this.send('Emulation.setDeviceMetricsOverride', size);
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await this.send('Emulation.setEmulatedMedia', { features });
  }

  /** The value of an expression in the page. Throws what it throws. */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.send('Runtime.evaluate', { expression, returnByValue: true });
    const { result, exceptionDetails } = answer as {
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string } };
    };
    if (exceptionDetails !== undefined) {
      throw new Error(exceptionDetails.exception?.description ?? 'no value');
    }
    return result.value;
  }

  /** A picture of the whole page, as PNG. */
  async picture(): Promise<Uint8Array> {
    const { data } = await this.send('Page.captureScreenshot', { captureBeyondViewport: true });
    return Buffer.from(String(data), 'base64');
  }

  async close(): Promise<void> {
    const ended = new Promise((done) => this.process.once('exit', done));
    const { pid } = this.process;
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    await ended;
    // Its children are ended, but may take a moment longer to let go of their files.
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  private send(method: string, params: Params = {}): Promise<Answer> {
    this.lastId += 1;
    const id = this.lastId;
    const session = this.session === '' ? {} : { sessionId: this.session };
    return new Promise((done, failed) => {
      this.waiting.set(id, { done, failed });
      this.commands.write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    });
  }

  private read(text: string): void {
    const parts = (this.rest + text).split('\0');
    this.rest = parts.pop() ?? '';
    for (const part of parts) this.take(JSON.parse(part) as Message);
  }

  private take({ id, method, params, result, error }: Message): void {
    if (id !== undefined) {
      const waiting = this.waiting.get(id);
      this.waiting.delete(id);
      if (error !== undefined) waiting?.failed(new Error(error.message));
      else waiting?.done(result ?? {});
      return;
    }
    switch (method) {
      case 'Page.loadEventFired':
        this.loads.shift()?.();
        break;
      case 'Runtime.consoleAPICalled':
      case 'Runtime.exceptionThrown':
      case 'Log.entryAdded':
        this.complaints.push(JSON.stringify(params));
        break;
      case 'Network.requestWillBeSent': {
        const { url } = (params as { request: { url: string } }).request;
        if (url !== this.address) this.requests.push(url);
      }
    }
  }
}
