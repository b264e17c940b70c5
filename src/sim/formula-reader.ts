// What readers of formulas have in common: a place in a text, and the ways on from there.

/** What is wrong with a formula, and where; thrown while it is read. */
export class Complaint {
  /** Characters from the start of the text. */
  readonly offset: number;
  readonly message: string;

  constructor(offset: number, message: string) {
    this.offset = offset;
    this.message = message;
  }
}

export class FormulaReader {
  protected readonly text: string;
  protected at: number;

  constructor(text: string, at = 0) {
    this.text = text;
    this.at = at;
  }

  /** What stands between parentheses, of which the first one comes next. */
  protected inParentheses<T>(read: () => T): T {
    this.at++;
    const inner = read();
    if (this.peek() !== ')') throw new Complaint(this.at, "expected ')'");
    this.at++;
    return inner;
  }

  /** What a pattern finds here, with which it goes on; null for nothing. */
  protected take(pattern: RegExp): string | null {
    const found = pattern.exec(this.text.slice(this.at))?.[0] ?? null;
    this.at += found?.length ?? 0;
    return found;
  }

  /** The next character that is no space; empty at the end. */
  protected peek(): string {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++;
    return this.text[this.at] ?? '';
  }
}
