// The commands of the debugger, under gdb's names where gdb has them: one table, of which help,
// completion and the documentation are made, for the prompt and for `monitor`.

import { nearest } from '../../sim/index.ts';
import { DebugError } from '../debug-error.ts';
import { type Command, type Context, command, type Lines } from './command.ts';
import { DISPLAYS } from './displays.ts';
import { instead, insteadOfTopic } from './elsewhere.ts';
import { LOOKS } from './looks.ts';
import { MOTIONS, thread } from './motions.ts';
import { linesOfText } from './output.ts';
import { numberOf } from './parse.ts';
import { PAST } from './past.ts';
import { STEPS } from './steps.ts';
import { STOPS } from './stops.ts';
import { TOPICS } from './topics.ts';
import { valueNames } from './words.ts';

/** Who takes commands: the prompt all, a remote client what does not move the machine. */
export type Place = 'prompt' | 'monitor';

const TOPIC_NAMES = TOPICS.map(({ names }) => names[0]);

function* info(context: Context, text: string): Lines {
  const [, name = '', argument = ''] = /^(\S*)\s*(.*)$/s.exec(text) ?? [];
  const exact = TOPICS.find(({ names }) => names.includes(name));
  const found = exact ?? TOPICS.find(({ names }) => names[0].startsWith(name));
  if (name !== '' && found !== undefined) {
    checkArgument(found, argument);
    return yield* found.execute(context, argument, '');
  }
  const told = insteadOfTopic(name);
  if (told !== null) throw new DebugError(`there is no 'info ${name}': ${told}`);
  const problem = name === '' ? '' : `nothing is known of '${shortened(name)}'; `;
  throw new DebugError(`${problem}'info' and one of: ${TOPIC_NAMES.join(', ')}`);
}

const helpFor = (place: Place) => (_: Context, text: string) => {
  const all = [...COMMANDS, ...TOPICS];
  if (text === 'info') return [...helpLines(INFO), ...helpLines(TOPICS)];
  const chosen = text === '' ? taken(place) : all.filter(({ names }) => names.includes(text));
  if (chosen.length > 0) return helpLines(chosen);
  throw unknown(
    text,
    all.map(({ names }) => names[0]),
  );
};

/** Columns that the names and arguments of help take. */
const HELP_COLUMNS = 34;

function helpLines(commands: readonly Command[]): readonly string[] {
  return commands.map((one) => `${usageOf(one).padEnd(HELP_COLUMNS)} ${one.summary}`);
}

/** `break, b [PLACE]` */
export function usageOf({ names, argument }: Command): string {
  return `${names.join(', ')} ${argument}`.trim();
}

/** As gdb has it. */
function tui(context: Context, text: string): readonly string[] {
  if (text !== 'enable' && text !== 'disable') {
    throw new DebugError("'tui enable' or 'tui disable'");
  }
  return show(context, text);
}

/** What gdb has a view of its own for is in one here. */
function layout(context: Context, text: string): readonly string[] {
  if (text === '' || !LAYOUTS.some((name) => name.startsWith(text))) {
    throw new DebugError(`'layout' and one of: ${LAYOUTS.join(', ')}`);
  }
  return show(context, 'enable');
}

const LAYOUTS = ['src', 'asm', 'split', 'regs', 'next', 'prev'];

function show(context: Context, text: 'enable' | 'disable'): readonly string[] {
  if (text === 'enable' && !context.hasScreen) {
    throw new DebugError(
      "the full-screen view needs a terminal; 'list', 'disassemble', 'info registers', " +
        "'info exits' and 'info sched' show its parts",
    );
  }
  context.face = text === 'enable' ? 'screen' : 'prompt';
  return [];
}

/** `thread apply all COMMAND`, of those that look at something. */
function* applied(context: Context, which: string, line: string): Lines {
  const { session, vcpu } = context;
  const all = session.vcpus.map((_, index) => index);
  const wanted =
    which === 'all'
      ? all
      : which
          .trim()
          .split(/[\s,]+/)
          .map(numberOf);
  const said = understand(line, 'prompt');
  if (![...LOOKS, ...INFO].includes(said.command)) {
    throw new DebugError(`'${said.command.names[0]}' is not for several vCPUs at once`);
  }
  const lines: string[] = [];
  try {
    for (const index of wanted) {
      lines.push(`${session.vcpu(index).thread.name}:`);
      context.vcpu = index;
      lines.push(...(yield* said.command.execute(context, said.argument, said.format)));
    }
  } finally {
    context.vcpu = vcpu;
  }
  return lines;
}

function* threadOrAll(context: Context, text: string): Lines {
  const [, which, line] = /^apply\s+(all|[\d\s,]*\d)\s+(.*)$/s.exec(text) ?? [];
  if (which === undefined && /^apply\b/.test(text)) {
    throw new DebugError("'all' or numbers of vCPUs, and a command: 'thread apply all info exits'");
  }
  return which === undefined ? thread(context, text) : yield* applied(context, which, line);
}

/** Every command that has a word in its names or its summary. */
function apropos(_: Context, text: string): readonly string[] {
  if (text === '') throw new DebugError('a word expected');
  const word = text.toLowerCase();
  const found = [...COMMANDS, ...TOPICS].filter((one) =>
    `${usageOf(one)} ${one.summary}`.toLowerCase().includes(word),
  );
  return found.length === 0 ? [`Nothing is about '${text}'.`] : helpLines(found);
}

const INFO: readonly Command[] = [
  command('info i', 'TOPIC', `look at: ${TOPIC_NAMES.join(', ')}`, info, {
    words: (_, before) => (before.trim() === '' ? TOPIC_NAMES : []),
    scope: 'anywhere',
  }),
];

const REST: readonly Command[] = [
  command('help h', '[COMMAND]', 'this list', helpFor('prompt'), {
    words: () => [...COMMANDS, ...TOPICS].map(({ names }) => names[0]),
  }),
  command('apropos', 'WORD', 'the commands that are about something', apropos),
  command('echo', '[TEXT]', 'say this: for scripts', (_, text) => linesOfText(text)),
  command('tui', 'enable|disable', 'the full-screen view, or the prompt alone', tui, {
    words: () => ['enable', 'disable'],
  }),
  command('layout', 'src|asm|split|regs', 'the full-screen view, which has all of them', layout, {
    words: () => LAYOUTS,
  }),
  command('quit q', '', 'leave', (context) => {
    context.isOver = true;
    return [];
  }),
];

/** What the prompt takes. */
export const COMMANDS: readonly Command[] = [
  ...STEPS,
  ...MOTIONS,
  command(
    'thread t',
    '[N | apply all|N... COMMAND]',
    'be about vCPU N, or say a command of several',
    threadOrAll,
    { words: (_, before) => (before.trim() === '' ? ['apply'] : ['all']) },
  ),
  ...STOPS,
  ...DISPLAYS,
  ...INFO,
  ...LOOKS,
  ...PAST,
  ...REST,
];

/** What `monitor` takes. */
const REMOTE: readonly Command[] = [
  ...TOPICS,
  ...[...MOTIONS, ...STOPS, ...INFO, ...LOOKS, ...PAST].filter(({ scope }) => scope === 'anywhere'),
  command('help', '[COMMAND]', 'this list', helpFor('monitor')),
];

function taken(place: Place): readonly Command[] {
  return place === 'prompt' ? COMMANDS : REMOTE;
}

/** A line that is understood. */
export interface Said {
  readonly command: Command;
  readonly argument: string;
  /** What stood behind a slash, as in `x/8gx`. */
  readonly format: string;
}

/** A name, a format behind a slash, and the rest. */
const WORDS = /^([a-z][a-z-]*)\s*(?:\/(\S+))?(?:\s+(.*))?$/s;

/** Throws {@link DebugError} if no command is meant, or it takes no argument. */
export function understand(text: string, place: Place): Said {
  const [, name = text, format = '', argument = ''] = WORDS.exec(text) ?? [];
  const found = commandNamed(name, place);
  checkArgument(found, argument);
  if (format !== '' && !found.argument.includes('/')) {
    throw new DebugError(`'${found.names[0]}' takes nothing behind a slash`);
  }
  return { command: found, argument: argument.trim(), format };
}

function checkArgument({ names: [name], argument: expected }: Command, argument: string): void {
  if (argument !== '' && expected === '') throw new DebugError(`'${name}' takes no argument`);
}

/** True for the whole name of a command. */
export function isCommandName(name: string, place: Place): boolean {
  return taken(place).some(({ names }) => names.includes(name));
}

/** By a name, or the beginning of one that no other has; first names go before. */
function commandNamed(name: string, place: Place): Command {
  const all = taken(place);
  const exact = all.find(({ names }) => names.includes(name));
  if (exact !== undefined) return exact;
  const first = name === '' ? [] : all.filter(({ names }) => names[0].startsWith(name));
  const other = name === '' ? [] : all.filter(({ names }) => names.some((n) => n.startsWith(name)));
  const fitting = first.length > 0 ? first : other;
  if (fitting.length === 1) return fitting[0];
  if (fitting.length > 1) {
    throw new DebugError(`'${name}' may be ${fitting.map(({ names }) => names[0]).join(', ')}`);
  }
  if (place === 'monitor' && isCommandName(name, 'prompt')) {
    const whose = 'gdb or the editor has steps, breakpoints and values of its own';
    throw new DebugError(`'${name}' is not taken here: ${whose}`);
  }
  throw unknown(name, [
    ...all.flatMap(({ names }) => names),
    ...(place === 'prompt' ? TOPIC_NAMES : []),
  ]);
}

/** Characters of a name that an error repeats. */
const MOST_SHOWN = 40;

function shortened(name: string): string {
  return name.slice(0, MOST_SHOWN).replace(/[^ -~]/g, '?');
}

function unknown(name: string, candidates: readonly string[]): DebugError {
  const shown = shortened(name);
  const told = instead(name.startsWith('!') ? 'shell' : name);
  if (told !== null) return new DebugError(`there is no '${shown}': ${told}`);
  if (/^[$\d]/.test(name)) {
    return new DebugError(`unknown command '${shown}'; 'print ${shown}' shows a value`);
  }
  const meant = nearest(name.slice(0, MOST_SHOWN), candidates);
  const said = meant !== null && TOPIC_NAMES.includes(meant) ? `info ${meant}` : meant;
  const hint = meant === null ? "'help' lists them" : `did you mean '${said}'?`;
  return new DebugError(`unknown command '${shown}'; ${hint}`);
}

/** What a line that is being typed can become, and the part of it that this replaces. */
export function completeLine(
  context: Context,
  line: string,
  place: Place,
): readonly [candidates: readonly string[], replaced: string] {
  const word = /[^\s$[\]()=+*,-]*$/.exec(line)?.[0] ?? '';
  // Some commands have a dash in their names.
  const first = /^\s*([a-z-]*)$/.exec(line)?.[1];
  const replaced = first ?? word;
  const before = line.slice(0, line.length - replaced.length);
  const candidates = [...wordsAt(context, before, place)];
  return [candidates.filter((candidate) => candidate.startsWith(replaced)), replaced];
}

/** What can stand where a word is being typed, given the line up to that word. */
function* wordsAt(context: Context, before: string, place: Place): Iterable<string> {
  const text = before.trimStart();
  if (text === '') yield* taken(place).map(({ names }) => names[0]);
  const [, name = '', rest = ''] = /^([a-z][a-z-]*)\s*(?:\/\S+)?\s+(.*)$/s.exec(text) ?? [];
  if (isCommandName(name, place) || (place === 'prompt' && text !== '')) {
    yield* wordsBehind(context, name, rest, place);
    // In a debug console an expression can stand for itself.
  } else if (place === 'monitor') yield* valueNames(context);
}

function wordsBehind(
  context: Context,
  name: string,
  before: string,
  place: Place,
): Iterable<string> {
  try {
    return commandNamed(name, place).words(context, before);
  } catch (thrown) {
    if (thrown instanceof DebugError) return [];
    throw thrown;
  }
}

/** Every command, for the documentation: usage, summary, and where it can be said. */
export function commandTable(): readonly (readonly [string, string, string])[] {
  const row = (one: Command, prefix: string, remote: string) =>
    [`${prefix}${usageOf(one)}`, one.summary, remote] as const;
  return [
    ...COMMANDS.map((one) => row(one, '', one.scope === 'anywhere' ? one.names[0] : '')),
    ...TOPICS.map((one) => row(one, 'info ', one.names[0])),
  ];
}
