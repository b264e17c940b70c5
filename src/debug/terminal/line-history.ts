// Lines that were typed, at the prompt and in the full-screen view alike.

/** Lines that are remembered. */
export const MOST_LINES = 500;

export class LineHistory {
  /** Oldest first. */
  private kept: readonly string[];
  /** Those of this session: what a file of them lacks. */
  readonly added: string[] = [];

  /** @param before lines of earlier sessions, oldest first */
  constructor(before: readonly string[] = []) {
    this.kept = before.slice(-MOST_LINES);
  }

  get lines(): readonly string[] {
    return this.kept;
  }

  /** Blank lines, and the last one once more, are not kept. */
  add(line: string): void {
    if (line.trim() === '' || this.kept.at(-1) === line) return;
    this.kept = [...this.kept, line].slice(-MOST_LINES);
    this.added.push(line);
  }

  /** Index of the newest line before an index that contains a text, or -1. */
  findBefore(end: number, text: string): number {
    for (let i = Math.min(end, this.kept.length) - 1; i >= 0; i--) {
      if (this.kept[i].includes(text)) return i;
    }
    return -1;
  }
}
