// The full-screen view in use: what keys do, what is typed, said and shown. Knows no terminal: keys
// and sizes in, frames out; whoever has the terminal executes the commands that come of keys.

import type { Answer, Prompt } from '../terminal/prompt.ts';
import { type Key, keyName, LineEditor } from './editor.ts';
import { actionOf, type KeyAction } from './keys.ts';
import { type Frame, frameOf, type Size } from './layout.ts';
import { PANES, type PaneName, type Said } from './panes.ts';
import { type ScreenView, Viewer } from './view.ts';

/** What has to be done about a key beside drawing. */
export type Request =
  | { readonly kind: 'execute'; readonly line: string }
  | { readonly kind: 'none' | 'redraw' | 'suspend' };

const NONE: Request = { kind: 'none' };

/** Steps by which the lanes' scale can be changed. */
const MOST_STEPS = 20;

/** Lines of output that are kept. */
const MOST_OUTPUT = 5000;

export class Screen {
  isRunning = false;
  private readonly prompt: Prompt;
  private readonly viewer = new Viewer();
  private readonly editor: LineEditor;
  private view: ScreenView;
  private readonly output: Said[] = [];
  /** What a guest has printed since the last end of a line. */
  private printed = '';
  private focus: PaneName = 'code';
  private isZoomed = false;
  private scroll = 0;
  private page = 1;
  private finer = 0;
  private isHelp = false;
  private isPasting = false;
  /** Ctrl-X was pressed. */
  private isPrefixed = false;

  constructor(prompt: Prompt) {
    this.prompt = prompt;
    this.editor = new LineEditor(prompt.history);
    this.view = this.viewer.look(prompt.context);
    if (this.view.source !== null) this.focus = 'source';
  }

  /** Look at the session anew: something else may have moved it. */
  refresh(): void {
    this.view = this.viewer.look(this.prompt.context);
  }

  /** Do what a key means. */
  key(key: Key): Request {
    if (key.name === 'paste-start' || key.name === 'paste-end') {
      this.isPasting = key.name === 'paste-start';
      return NONE;
    }
    const name = keyName(key);
    if (this.isHelp) {
      this.isHelp = false;
      return NONE;
    }
    if (this.isPrefixed) {
      this.isPrefixed = false;
      return /^(C-)?a$/.test(name) ? { kind: 'execute', line: 'tui disable' } : NONE;
    }
    return this.isPasting ? this.pasted(name, key.text) : this.pressed(name, key.text);
  }

  private pasted(name: string, text: string): Request {
    if (name === 'return' || name === 'enter') return this.enter();
    this.editor.key(text, text);
    return NONE;
  }

  private pressed(name: string, text: string): Request {
    const { editor } = this;
    const isEmpty = editor.text === '' && editor.search === null;
    const action = actionOf(name, isEmpty);
    if (action !== null) return this.act(action);
    switch (name) {
      case 'return':
      case 'enter':
        return this.enter();
      case 'C-c':
        if (isEmpty) this.say("Ctrl-D or 'quit' leaves.");
        editor.clear();
        return NONE;
      case 'C-d':
        if (isEmpty) return { kind: 'execute', line: 'quit' };
        break;
      case 'C-x':
        this.isPrefixed = true;
        return NONE;
      case 'C-z':
        return { kind: 'suspend' };
      case 'tab':
        this.complete();
        return NONE;
    }
    editor.key(name, text);
    return NONE;
  }

  private enter(): Request {
    return { kind: 'execute', line: this.editor.take() };
  }

  private act(action: KeyAction): Request {
    switch (action.kind) {
      case 'say':
        return { kind: 'execute', line: action.command };
      case 'pane': {
        const at = PANES.indexOf(this.focus) + action.by + PANES.length;
        this.focus = PANES[at % PANES.length];
        this.scroll = 0;
        break;
      }
      case 'scroll':
        this.scroll += action.pages * this.page + action.lines;
        break;
      case 'zoom':
        this.isZoomed = !this.isZoomed;
        break;
      case 'finer':
      case 'coarser':
        this.finer = Math.max(
          -MOST_STEPS,
          Math.min(MOST_STEPS, this.finer + (action.kind === 'finer' ? 1 : -1)),
        );
        break;
      case 'help':
        this.isHelp = true;
        break;
      case 'redraw':
        return { kind: 'redraw' };
      default:
        action satisfies never;
    }
    return NONE;
  }

  /** As far as it is certain; else what there is to choose from. */
  private complete(): void {
    const { editor } = this;
    const [candidates, replaced] = this.prompt.complete(editor.text.slice(0, editor.cursor));
    const [first] = candidates;
    if (first === undefined) return;
    let common = first;
    for (const one of candidates) {
      while (!one.startsWith(common)) common = common.slice(0, -1);
    }
    const isSure = candidates.length === 1 && !common.endsWith(':');
    editor.replace(replaced.length, isSure ? `${common} ` : common);
    if (candidates.length > 1 && common === replaced) this.say(candidates.join('  '));
  }

  /** A line is about to be executed. */
  started(): void {
    this.isRunning = true;
  }

  /** It has been: show what it said, and where the machine is now. */
  answered({ command, lines, isError }: Answer): void {
    this.isRunning = false;
    if (command === '') return;
    this.say(`(vmxlab) ${command}`);
    for (const text of lines) this.say(text, isError);
    this.scroll = 0;
    this.refresh();
  }

  say(text: string, isError = false): void {
    this.output.push({ text, isError });
    if (this.output.length > MOST_OUTPUT) this.output.splice(0, this.output.length - MOST_OUTPUT);
  }

  /** What a guest prints. */
  print(text: string): void {
    const lines = (this.printed + text).split('\n');
    this.printed = lines.pop() ?? '';
    for (const one of lines) this.say(one.replace(/\r$/, ''));
  }

  draw(size: Size): Frame {
    const { focus, isZoomed, scroll, finer, isRunning, isHelp, printed } = this;
    const { text, cursor, search } = this.editor;
    const output =
      printed === '' ? this.output : [...this.output, { text: printed, isError: false }];
    const prefix = search === null ? '' : `(search '${search}') `;
    const typed = { text: `${prefix}${text}`, cursor: prefix.length + cursor };
    const frame = frameOf(
      this.view,
      { focus, isZoomed, scroll, finer, output, ...typed, isRunning, isHelp },
      size,
    );
    this.scroll = frame.scrolled;
    this.page = frame.page;
    return frame;
  }
}
