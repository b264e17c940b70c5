// Colour and progress, where the other end is a terminal and wants them.

import type { Paint } from '../machine/index.ts';

const CODES = { good: '32', bad: '31', dim: '2', bold: '1' } as const;

/** Paint for a stream: colours on a terminal, unless NO_COLOR is set (https://no-color.org). */
export function paintFor(stream: NodeJS.WriteStream): Paint {
  const noColor = process.env.NO_COLOR;
  const wanted = stream.isTTY && (noColor === undefined || noColor === '');
  return (text, as) => (wanted && text !== '' ? `\x1b[${CODES[as]}m${text}\x1b[0m` : text);
}

/**
 * A line on standard error that is rewritten while something takes long. Spaces rather than control
 * sequences remove it, so that every terminal understands.
 */
export class ProgressLine {
  private readonly isTerminal = process.stderr.isTTY === true;
  private shown = 0;

  show(text: string): void {
    if (!this.isTerminal) return;
    // Some terminals say that they have no columns.
    const line = text.slice(0, Math.max(20, process.stderr.columns || 80) - 1);
    process.stderr.write(`\r${line.padEnd(this.shown)}`);
    this.shown = line.length;
  }

  /** Remove the line. */
  clear(): void {
    if (this.shown > 0) process.stderr.write(`\r${' '.repeat(this.shown)}\r`);
    this.shown = 0;
  }
}
