// A real pseudo-terminal with a screen that can be read: tmux, on a server of its own.

import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where it is missing nothing is tested, but in CI, where it is an error. */
export const HAS_TMUX = spawnSync('tmux', ['-V']).status === 0 || process.env.CI === 'true';

if (!HAS_TMUX) process.stdout.write('without tmux no terminal is tested\n');

/** Milliseconds between two looks, and looks before giving up. */
const PAUSE_MS = 50;
const MOST_LOOKS = 300;

let started = 0;

export class Tmux {
  private readonly name: string;
  private readonly state: string;

  /** A shell with the prompt `$ `, in a folder; `environment` is what `env` takes. */
  constructor(folder: string, columns: number, rows: number, environment: readonly string[] = []) {
    this.name = `vmxlab-test-${process.pid}-${++started}`;
    // What is typed in tests is not for the history of whoever runs them.
    this.state = join(tmpdir(), this.name);
    const variables = [`XDG_STATE_HOME=${this.state}`, ...environment, "'PS1=$ '"];
    const shell = `env -u NO_COLOR ${variables.join(' ')} bash --norc --noprofile`;
    const size = ['-x', String(columns), '-y', String(rows)];
    this.tmux(
      '-f',
      '/dev/null',
      'new-session',
      '-d',
      '-s',
      this.name,
    )('-c', folder, ...size, shell);
    this.waitFor(/^\$/m);
  }

  private tmux(...words: readonly string[]) {
    return (...more: readonly string[]): string =>
      execFileSync('tmux', ['-L', this.name, ...words, ...more], { encoding: 'utf8' });
  }

  /** Press keys, under tmux's names. */
  press(...keys: readonly string[]): void {
    this.tmux('send-keys', '-t', this.name)(...keys);
  }

  /** Send bytes as they are. */
  send(bytes: Uint8Array): void {
    const hex = [...bytes].map((byte) => byte.toString(16));
    this.tmux('send-keys', '-t', this.name, '-H')(...hex);
  }

  /** Type a line, and Enter. */
  type(line: string): void {
    this.tmux('send-keys', '-t', this.name, '-l')(line);
    this.press('Enter');
  }

  resize(columns: number, rows: number): void {
    this.tmux('resize-window', '-t', this.name)('-x', String(columns), '-y', String(rows));
  }

  /** The screen, without spaces at the ends of lines. */
  get screen(): string {
    const text = this.tmux('capture-pane', '-p', '-t', this.name)();
    return text.replace(/ +$/gm, '').replace(/\n$/, '');
  }

  /** The screen with its colours and weights as control sequences. */
  get styled(): string {
    return this.tmux('capture-pane', '-e', '-p', '-t', this.name)();
  }

  /** True while a full-screen program has the terminal. */
  get isAlternate(): boolean {
    return this.tmux('display-message', '-p', '-t', this.name)('#{alternate_on}').trim() === '1';
  }

  /** What the shell started, or null: its process id. */
  get child(): number | null {
    const shell = this.tmux('display-message', '-p', '-t', this.name)('#{pane_pid}').trim();
    const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', shell], { encoding: 'utf8' });
    return stdout.trim() === '' ? null : Number(stdout.trim().split('\n')[0]);
  }

  /** Look until the screen is as wanted. */
  waitFor(wanted: RegExp | string): string {
    let screen = '';
    for (let i = 0; i < MOST_LOOKS; i++) {
      screen = this.screen;
      if (typeof wanted === 'string' ? screen === wanted : wanted.test(screen)) return screen;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
    throw new Error(`${wanted}\ndid not appear, but:\n${screen}`);
  }

  end(): void {
    spawnSync('tmux', ['-L', this.name, 'kill-server']);
    rmSync(this.state, { recursive: true, force: true });
  }
}
