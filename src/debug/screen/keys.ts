// The keys of the full-screen view. On an empty command line signs, digits and arrows act at once:
// no command begins with one of them, so that commands can be typed at any time. The line of help,
// the list of keys and the documentation are made of this table.

/** What a key does; `say` is a command. */
export type KeyAction =
  | { readonly kind: 'say'; readonly command: string }
  | { readonly kind: 'pane'; readonly by: number }
  | { readonly kind: 'scroll'; readonly pages: number; readonly lines: number }
  | { readonly kind: 'zoom' | 'finer' | 'coarser' | 'help' | 'redraw' };

export interface KeyRow {
  /** As {@link keyName} gives them. */
  readonly keys: readonly string[];
  readonly summary: string;
  /** Works whatever is on the command line; else only on an empty one. */
  readonly isAlways: boolean;
  readonly action: KeyAction;
}

const say = (keys: string, command: string, summary: string): KeyRow => ({
  keys: keys.split(' '),
  summary,
  isAlways: false,
  action: { kind: 'say', command },
});

const act = (keys: string, summary: string, action: KeyAction, isAlways = false): KeyRow => ({
  keys: keys.split(' '),
  summary,
  isAlways,
  action,
});

const scroll = (keys: string, pages: number, lines: number, summary: string) =>
  act(keys, summary, { kind: 'scroll', pages, lines }, true);

const DIGITS = Array.from({ length: 10 }, (_, i) => String(i));

export const KEYS: readonly KeyRow[] = [
  say('. right f4', 'stepi', 'one instruction'),
  say(', left f3', 'reverse-stepi', 'one instruction back'),
  say('> f6', 'exit', 'to the next VM exit'),
  say('< f5', 'rexit', 'back to the last VM exit'),
  say('] f8', 'host', 'to what the host does next'),
  say('[ f7', 'rhost', 'back to what it did before'),
  say('} f10', 'continue', 'to the next breakpoint'),
  say('{ f9', 'reverse-continue', 'back to the last breakpoint'),
  ...DIGITS.map((digit) => say(digit, `thread ${digit}`, `be about vCPU ${digit}`)),
  act('tab', 'the next pane', { kind: 'pane', by: 1 }),
  act('S-tab', 'the pane before', { kind: 'pane', by: -1 }, true),
  act('=', 'this pane alone, or all', { kind: 'zoom' }),
  scroll('pageup', -1, 0, 'scroll it up'),
  scroll('pagedown', 1, 0, 'scroll it down'),
  scroll('S-up', 0, -1, 'one line up'),
  scroll('S-down', 0, 1, 'one line down'),
  act('+', 'lanes: less time a column', { kind: 'finer' }),
  act('-', 'lanes: more time a column', { kind: 'coarser' }),
  act('? f1', 'this list', { kind: 'help' }),
  act('C-l', 'draw everything anew', { kind: 'redraw' }, true),
];

/** Keys that are no rows: they act on the command line and the terminal. */
const OTHER_KEYS: readonly (readonly [keys: string, summary: string])[] = [
  ['Enter', 'does it; if empty, again'],
  ['Tab', 'completes what is typed'],
  ['Up, Down', 'earlier commands'],
  ['Ctrl-R', 'searches them'],
  ['Ctrl-C', 'stops the run, or the line'],
  ['Ctrl-D', 'leaves, if nothing is typed'],
  ['Ctrl-X A', 'the prompt alone'],
  ['Ctrl-Z', 'suspends'],
];

const SPELT: Readonly<Record<string, string>> = {
  right: 'Right',
  left: 'Left',
  tab: 'Tab',
  'S-tab': 'Shift-Tab',
  pageup: 'PgUp',
  pagedown: 'PgDn',
  'S-up': 'Shift-Up',
  'S-down': 'Shift-Down',
  'C-l': 'Ctrl-L',
};

/** Every key with what it does; the digits together. */
export function keyTable(): readonly (readonly [keys: string, summary: string])[] {
  const rows = KEYS.filter(({ keys: [key] }) => !/^[1-9]$/.test(key)).map(({ keys, summary }) => {
    if (keys[0] === '0') return ['0 to 9', 'be about that vCPU'] as const;
    return [keys.map((key) => SPELT[key] ?? key.replace(/^f/, 'F')).join(' '), summary] as const;
  });
  return [...rows, ...OTHER_KEYS];
}

/** What a key does, given whether the command line is empty. */
export function actionOf(name: string, isEmpty: boolean): KeyAction | null {
  const row = KEYS.find(({ keys }) => keys.includes(name));
  return row !== undefined && (isEmpty || row.isAlways) ? row.action : null;
}

/** At the bottom of the screen. */
export const HELP_LINE =
  ', . instruction  < > VM exit  [ ] host  { } continue  Tab pane  = zoom  ? keys';
