// The command line as it is typed: a text, a cursor, and what was said before.

import { LineHistory } from '../terminal/line-history.ts';

export interface Key {
  /** As Node's readline names it: `up`, `return`, `a`; empty if it has no name. */
  readonly name: string;
  /** What it types, if it is a character. */
  readonly text: string;
  readonly isCtrl: boolean;
  readonly isMeta: boolean;
  readonly isShift: boolean;
}

/** `C-a` for Ctrl-A, `M-b` for Alt-B, `S-up` for Shift and an arrow, else the name or the text. */
export function keyName({ name, text, isCtrl, isMeta, isShift }: Key): string {
  const base = isPrintable(text) && !isCtrl && !isMeta ? text : name;
  if (base === '') return '';
  const shift = isShift && base.length > 1 ? 'S-' : '';
  return `${isCtrl ? 'C-' : ''}${isMeta ? 'M-' : ''}${shift}${base}`;
}

export function isPrintable(text: string): boolean {
  return text.length === 1 && text >= ' ' && text !== '\x7f' && !(text >= '\x80' && text < '\xa0');
}

export class LineEditor {
  text = '';
  /** Characters before it. */
  cursor = 0;
  /** What is looked for among earlier lines, or null. */
  search: string | null = null;
  private readonly history: LineHistory;
  /** Which line of history is shown; their number for what is typed. */
  private at: number;
  /** What was typed before history was shown. */
  private draft = '';
  /** What was cut last, for Ctrl-Y. */
  private killed = '';

  constructor(history: LineHistory = new LineHistory()) {
    this.history = history;
    this.at = history.lines.length;
  }

  set(text: string): void {
    this.text = text;
    this.cursor = text.length;
  }

  insert(text: string): void {
    this.text = this.text.slice(0, this.cursor) + text + this.text.slice(this.cursor);
    this.cursor += text.length;
  }

  /** Replace so many characters before the cursor. */
  replace(count: number, text: string): void {
    this.cut(this.cursor - count, this.cursor);
    this.insert(text);
  }

  /** Take the line, and remember it. */
  take(): string {
    const { text } = this;
    this.history.add(text);
    this.clear();
    return text;
  }

  clear(): void {
    this.at = this.history.lines.length;
    this.search = null;
    this.set('');
  }

  /** Do what a key means here; false if it means nothing. */
  key(name: string, text: string): boolean {
    if (this.search !== null && this.searching(this.search, name, text)) return true;
    const action = ACTIONS[name];
    if (action === undefined) {
      if (!isPrintable(text) || name !== text) return false;
      this.insert(text);
      return true;
    }
    action(this);
    return true;
  }

  /** Look for earlier lines that contain what is typed, as readline does. */
  beginSearch(): void {
    this.draft = this.text;
    this.search = '';
  }

  /** True if the key belongs to the search; any other ends it, with what was found. */
  private searching(sought: string, name: string, text: string): boolean {
    switch (name) {
      case 'C-r':
        this.find(sought, this.at);
        return true;
      case 'backspace':
      case 'C-h':
        this.find(sought.slice(0, -1), this.history.lines.length);
        return true;
      case 'C-g':
      case 'M-escape':
        this.search = null;
        this.at = this.history.lines.length;
        this.set(this.draft);
        return true;
    }
    if (isPrintable(text) && name === text) {
      this.find(sought + text, this.at + 1);
      return true;
    }
    this.search = null;
    return false;
  }

  /** The newest line before an index with the text; where there is none, nothing changes. */
  private find(sought: string, end: number): void {
    const found = sought === '' ? -1 : this.history.findBefore(end, sought);
    this.search = sought;
    if (found < 0) return;
    this.at = found;
    this.set(this.history.lines[found]);
    this.moveTo(this.text.indexOf(sought));
  }

  moveTo(cursor: number): void {
    this.cursor = Math.max(0, Math.min(this.text.length, cursor));
  }

  cut(from: number, to: number): string {
    const [start, end] = [Math.max(0, from), Math.min(this.text.length, to)];
    const gone = this.text.slice(start, end);
    this.text = this.text.slice(0, start) + this.text.slice(end);
    this.cursor = start;
    return gone;
  }

  kill(from: number, to: number): void {
    this.killed = this.cut(from, to);
  }

  yank(): void {
    this.insert(this.killed);
  }

  /** Where the word before the cursor begins. */
  get wordStart(): number {
    return this.text.slice(0, this.cursor).replace(/\w+\W*$|\W+$/, '').length;
  }

  /** Where the word behind the cursor ends. */
  get wordEnd(): number {
    return this.cursor + (/^\W*\w*/.exec(this.text.slice(this.cursor))?.[0].length ?? 0);
  }

  recall(by: number): void {
    const { lines } = this.history;
    const to = Math.max(0, Math.min(lines.length, this.at + by));
    if (to === this.at) return;
    if (this.at === lines.length) this.draft = this.text;
    this.at = to;
    this.set(lines[to] ?? this.draft);
  }
}

type Action = (editor: LineEditor) => void;

const backspace: Action = (editor) => {
  editor.cut(editor.cursor - 1, editor.cursor);
};
const deleteNext: Action = (editor) => {
  editor.cut(editor.cursor, editor.cursor + 1);
};
const left: Action = (editor) => editor.moveTo(editor.cursor - 1);
const right: Action = (editor) => editor.moveTo(editor.cursor + 1);
const home: Action = (editor) => editor.moveTo(0);
const end: Action = (editor) => editor.moveTo(editor.text.length);
const older: Action = (editor) => editor.recall(-1);
const newer: Action = (editor) => editor.recall(1);
const wordLeft: Action = (editor) => editor.moveTo(editor.wordStart);
const wordRight: Action = (editor) => editor.moveTo(editor.wordEnd);
const killWord: Action = (editor) => editor.kill(editor.wordStart, editor.cursor);

/** What readline's keys do. */
const ACTIONS: Readonly<Record<string, Action>> = {
  backspace,
  'C-h': backspace,
  delete: deleteNext,
  'C-d': deleteNext,
  left,
  'C-b': left,
  right,
  'C-f': right,
  home,
  'C-a': home,
  end,
  'C-e': end,
  up: older,
  'C-p': older,
  down: newer,
  'C-n': newer,
  'C-left': wordLeft,
  'M-b': wordLeft,
  'C-right': wordRight,
  'M-f': wordRight,
  'C-w': killWord,
  'M-backspace': killWord,
  'C-k': (editor) => editor.kill(editor.cursor, editor.text.length),
  'C-u': (editor) => editor.kill(0, editor.cursor),
  'C-y': (editor) => editor.yank(),
  'C-r': (editor) => editor.beginSearch(),
  // Node counts the key itself as its prefix.
  'M-escape': (editor) => editor.clear(),
};
