// The full-screen view of a guest program, without a terminal: keys are pressed, and frames come.

import { loadInput } from '../../src/cli/program.ts';
import { sourceReader } from '../../src/cli/sources.ts';
import {
  createSession,
  type Frame,
  type Key,
  Prompt,
  Screen,
  type Size,
  textOf,
} from '../../src/debug/index.ts';

/** Keys with names, as Node tells of them; every other one is the character that it types. */
const NAMED: Readonly<Record<string, Partial<Key>>> = {
  Enter: { name: 'return', text: '\r' },
  Tab: { name: 'tab', text: '\t' },
  BTab: { name: 'tab', isShift: true },
  Escape: { name: 'escape', isMeta: true },
  BSpace: { name: 'backspace', text: '\x7f' },
  Up: { name: 'up' },
  Down: { name: 'down' },
  Left: { name: 'left' },
  Right: { name: 'right' },
  PageUp: { name: 'pageup' },
  PageDown: { name: 'pagedown' },
};

function keyOf(text: string): Key {
  const none = { name: '', text: '', isCtrl: false, isMeta: false, isShift: false };
  const named = NAMED[text];
  if (named !== undefined) return { ...none, ...named };
  const [, modifier, letter = ''] = /^(C|M)-(.)$/.exec(text) ?? [];
  if (modifier !== undefined) {
    return { ...none, name: letter, isCtrl: modifier === 'C', isMeta: modifier === 'M' };
  }
  return { ...none, text };
}

export class ScreenUnderTest {
  readonly prompt: Prompt;
  readonly screen: Screen;

  /** @param file relative to where tests run: the root */
  constructor(file: string, defines: Readonly<Record<string, string>> = {}) {
    const options = { flags: [], defines, includes: [], syntax: undefined, linked: [] };
    const input = loadInput(file, options);
    const session = createSession(input.scenario, input);
    this.prompt = new Prompt(session, sourceReader(input.places), true);
    this.screen = new Screen(this.prompt);
  }

  /** Press keys, under tmux's names; what comes of them is done at once. */
  press(...keys: readonly string[]): this {
    for (const key of keys) {
      const request = this.screen.key(keyOf(key));
      if (request.kind !== 'execute') continue;
      this.screen.started();
      const work = this.prompt.execute(request.line);
      for (let step = work.next(); ; step = work.next()) {
        if (step.done !== true) continue;
        this.screen.answered(step.value);
        break;
      }
    }
    return this;
  }

  /** Type a line, and Enter. */
  type(line: string): this {
    return this.press(...line, 'Enter');
  }

  frame(size: Size): Frame {
    return this.screen.draw(size);
  }

  /** What is on the screen, without spaces at the ends of lines. */
  text(columns: number, rows: number): string {
    const { lines } = this.frame({ columns, rows });
    return lines.map((one) => textOf(one).trimEnd()).join('\n');
  }
}
