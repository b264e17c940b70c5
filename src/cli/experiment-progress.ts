// How far the runs of a study have come, on standard error: a line that is rewritten on a terminal,
// and elsewhere, such as in the log of a build, a plain line now and then.

import { ProgressLine } from './terminal.ts';

/** Without a terminal: at each further tenth of the runs, but no more often than this. */
const LEAST_MS = 10_000;

/** And after this in any case, so that whoever looks at the log sees that it goes on. */
const MOST_MS = 30_000;

/** What lines are written to. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export class Progress {
  private readonly line = new ProgressLine();
  private readonly stream: ProgressStream;
  private readonly total: number;
  private readonly since = Date.now();
  private done = 0;
  private failed = 0;
  /** When the last plain line was written, and at how many tenths. */
  private saidAt = this.since;
  private saidTenths = 0;
  private timer: NodeJS.Timeout | null = null;

  constructor(total: number, stream: ProgressStream = process.stderr) {
    this.total = total;
    this.stream = stream;
    this.show();
    this.wait();
  }

  finished(isFailure: boolean): void {
    this.done++;
    if (isFailure) this.failed++;
    this.show();
    // What came of it is said at once.
    if (this.stream.isTTY === true || this.done === this.total) return;
    if (this.tenths > this.saidTenths && Date.now() - this.saidAt >= LEAST_MS) this.say();
  }

  /** Nothing more is shown. */
  clear(): void {
    this.line.clear();
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private get tenths(): number {
    return Math.floor((10 * this.done) / this.total);
  }

  private show(): void {
    this.line.show(`${this.counts}${this.left}`);
  }

  /** A plain line. */
  private say(): void {
    this.saidAt = Date.now();
    this.saidTenths = this.tenths;
    const elapsed = durationText((this.saidAt - this.since) / 1000);
    this.stream.write(`vmxlab: ${this.counts} after ${elapsed}${this.left}\n`);
    this.wait();
  }

  /** Say something when nothing has been said for long. */
  private wait(): void {
    if (this.stream.isTTY === true) return;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.say(), MOST_MS);
    this.timer.unref();
  }

  private get counts(): string {
    const failed = this.failed === 0 ? '' : `, ${this.failed} failed`;
    return `${this.done} of ${this.total} runs${failed}`;
  }

  private get left(): string {
    if (this.done === 0) return '';
    const each = (Date.now() - this.since) / this.done;
    return `, ${durationText((each * (this.total - this.done)) / 1000)} left`;
  }
}

/** `2:05`, or `1:02:05`. */
export function durationText(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const rest = `${Math.floor((whole % 3600) / 60)}:${two(whole % 60)}`;
  return hours === 0 ? rest : `${hours}:${rest.padStart(5, '0')}`;
}
