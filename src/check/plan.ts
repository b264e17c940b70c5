// How a file is to be checked: its configurations (RUN), what it expects of each, and what is to be
// left out. Read from the notes of a program's comments or of a scenario's `check` section.

import {
  type EndingStatus,
  EXIT_CODES,
  type GivenSetting,
  readSettingWord,
  SETTINGS,
  settingWords,
} from '../machine/index.ts';
import { nearest } from '../sim/index.ts';
import {
  CONFIGURATION_NAME,
  commentsOf,
  type Directive,
  type Note,
  type NoteLine,
  type Place,
  type Problem,
  readNote,
  type Settling,
} from './directive.ts';
import { SUFFIXES } from './directive-words.ts';
import type { Property } from './property.ts';
import { parseProperty } from './property-grammar.ts';
import { STREAMS, type StreamName } from './stream.ts';

/** One way to run the file. */
export interface Configuration {
  /** What its directives are marked with: PV in CHECK-PV. */
  readonly name: string | null;
  readonly settings: readonly (GivenSetting & Place)[];
  /** Macros for the assembler. */
  readonly defines: Readonly<Record<string, string>>;
  /** Each is a run; empty: that of the settings or the scenario. */
  readonly seeds: readonly number[];
  readonly place: Place | null;
}

/** How a run has to end: an exit code, or the word for it. */
export interface ExpectedEnding extends Place {
  readonly text: string;
  readonly exitCode: number | null;
  readonly status: EndingStatus | null;
}

/** A stream that has to be just these lines. */
export interface Golden extends Place {
  readonly stream: StreamName;
  readonly lines: readonly string[];
}

/** What holds for one configuration. */
export interface Expectations {
  readonly configuration: Configuration;
  readonly directives: readonly Directive[];
  readonly goldens: readonly Golden[];
  readonly ending: ExpectedEnding | null;
  readonly properties: readonly (Place & { readonly property: Property })[];
  /** Why not to run it, or null. */
  readonly skip: string | null;
  /** Why it is known to fail, or null. */
  readonly expectedFailure: string | null;
}

export interface CheckPlan {
  /** One at least. */
  readonly expectations: readonly Expectations[];
  /** True if nothing is expected at all. */
  readonly isEmpty: boolean;
}

/** Where notes stand. */
export interface Sheet {
  readonly notes: readonly NoteLine[];
  /** The golden lines that follow a line directly. */
  readonly goldenBehind: (line: number) => readonly string[];
  /** Lines that are no notes are mistakes: there is nothing else there. */
  readonly isStrict: boolean;
}

/** Golden lines: `;| text` in comments, `| text` in a section. */
const GOLDEN_COMMENT = /^\s*(?:;|#|\/\/)\|(?: (.*))?$/;
const GOLDEN_LINE = /^\s*\|(?: (.*))?$/;

/** The notes in the comments of a source. */
export function sheetOfSource(source: string): Sheet {
  const lines = source.split('\n');
  const goldenBehind = goldenFinder(lines, 0, GOLDEN_COMMENT);
  return { notes: [...commentsOf(source)], goldenBehind, isStrict: false };
}

/**
 * The notes in a section of a scenario.
 * @param first the line of the file that its text begins at, and the column, from 1
 * @param isBlock its lines are lines of the file, too; else all of them are `first`, and there can
 *   be no golden ones
 */
export function sheetOfSection(text: string, first: Place, isBlock = true): Sheet {
  const lines = text.split('\n');
  const notes = lines.flatMap((line, i): NoteLine[] => {
    const indent = line.length - line.trimStart().length;
    const inFile = { line: first.line + i, column: first.column + indent };
    const place = isBlock ? inFile : { line: first.line, column: first.column };
    return /^\s*(#|\||$)/.test(line) ? [] : [{ ...place, text: line.trim() }];
  });
  const goldenBehind = isBlock ? goldenFinder(lines, first.line - 1, GOLDEN_LINE) : () => [];
  return { notes, goldenBehind, isStrict: true };
}

function goldenFinder(lines: readonly string[], offset: number, pattern: RegExp) {
  return (line: number): string[] => {
    const found: string[] = [];
    for (let at = line - offset; at < lines.length; at++) {
      const match = pattern.exec(lines[at]);
      if (match === null) break;
      found.push((match[1] ?? '').trimEnd());
    }
    return found;
  };
}

/** Make a plan of the notes, or say everything that is wrong with them. */
export function readPlan(
  sheet: Sheet,
): { readonly plan: CheckPlan } | { readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const runs = sheet.notes.flatMap((line) => {
    const match = /^RUN:/.exec(line.text);
    return match === null ? [] : [configurationOf(line, problems)];
  });
  const configurations =
    runs.length > 0 ? runs : [{ name: null, settings: [], defines: {}, seeds: [], place: null }];
  checkNames(configurations, problems);
  const names = configurations.flatMap(({ name }) => name ?? []);
  const doubtful: Problem[] = [];
  const notes = sheet.notes.flatMap((line): Note[] => {
    const read = readNote(line, names);
    if (read === null && sheet.isStrict) problems.push(noNote(line));
    if (read === null) return [];
    if (!('message' in read)) return [read];
    const { line: at, column, message, isDoubtful } = read;
    (isDoubtful ? doubtful : problems).push({ line: at, column, message });
    return [];
  });
  if (sheet.isStrict || notes.length > 0) problems.push(...doubtful);
  const expectations = configurations.map((configuration) =>
    expectationsOf(configuration, notes, sheet, problems),
  );
  if (problems.length > 0) return { problems: inOrder(problems) };
  const isForExplore = (note: Note) => note.kind === 'settling' && note.settling.word === 'EXPLORE';
  const isEmpty = runs.length === 0 && notes.every(isForExplore);
  return { plan: { expectations, isEmpty } };
}

function noNote({ line, column, text }: NoteLine): Problem {
  return { line, column, message: `expected a directive such as OUTPUT: done, not '${text}'` };
}

/** Each once: what holds for several configurations is read for each. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const key = ({ line, column, message }: Problem) => `${line}:${column}:${message}`;
  const unique = new Map(problems.map((problem) => [key(problem), problem]));
  return [...unique.values()].sort((a, b) => a.line - b.line || a.column - b.column);
}

/** Keys of RUN lines that are no settings. */
const RUN_KEYS = ['name', 'define'];

const MOST_SEEDS = 10_000;

function configurationOf(line: NoteLine, problems: Problem[]): Configuration {
  const settings: (GivenSetting & Place)[] = [];
  const defines: Record<string, string> = {};
  let name: string | null = null;
  let seeds: readonly number[] = [];
  const start = 'RUN:'.length;
  const given = new Set<string | null>();
  for (const { word, offset } of settingWords(line.text.slice(start))) {
    const place = { line: line.line, column: line.column + start + offset };
    const [, key, value] = /^([^=]*)=(.+)$/.exec(word) ?? [];
    const what = key === undefined ? word : onceOf(key, value);
    if (what !== null && given.has(what)) {
      problems.push({ ...place, message: `${what} is given twice` });
    }
    given.add(what);
    if (key === 'name') {
      name = value;
      if (CONFIGURATION_NAME.test(value)) continue;
      const message = `names of configurations are in capitals, such as PV, not '${value}'`;
      problems.push({ ...place, message });
    } else if (key === 'define') {
      const at = value.indexOf('=');
      defines[at < 0 ? value : value.slice(0, at)] = at < 0 ? '' : value.slice(at + 1);
    } else if (key === 'seed') {
      const read = seedsOf(value);
      if (typeof read === 'string') problems.push({ ...place, message: read });
      else seeds = read;
    } else {
      const read = readSettingWord(word, RUN_KEYS);
      if ('message' in read) problems.push({ ...place, ...read });
      else settings.push({ ...place, ...read });
    }
  }
  return { name, settings, defines, seeds, place: { line: line.line, column: line.column } };
}

/** What can be given once only; null of settings that are lists. */
function onceOf(key: string, value: string): string | null {
  const setting = SETTINGS.find(({ flag }) => flag === key);
  if (key === 'define' || setting?.isNamed === true) return `${key}=${value.split('=')[0]}`;
  return setting?.isRepeatable === true ? null : key;
}

/** Seeds: numbers and ranges, separated by commas. */
function seedsOf(text: string): readonly number[] | string {
  const seeds: number[] = [];
  for (const part of text.split(',')) {
    const [, from, to] = /^(\d{1,15})(?:\.\.(\d{1,15}))?$/.exec(part) ?? [];
    if (from === undefined) return `seed: expected numbers such as 1..8 or 1,5,9, not '${text}'`;
    const last = Number(to ?? from);
    if (last < Number(from)) return `seed: ${part} is empty`;
    if (seeds.length + last - Number(from) >= MOST_SEEDS) {
      return `seed: more than ${MOST_SEEDS} seeds`;
    }
    for (let seed = Number(from); seed <= last; seed++) seeds.push(seed);
  }
  return seeds;
}

function checkNames(configurations: readonly Configuration[], problems: Problem[]): void {
  for (const [i, { name, place }] of configurations.entries()) {
    if (name === null || place === null) continue;
    if (Object.hasOwn(SUFFIXES, name)) {
      problems.push({ ...place, message: `'${name}' is a suffix of directives, not a name` });
    }
    if (configurations.findIndex((other) => other.name === name) < i) {
      problems.push({ ...place, message: `there is a configuration '${name}' already` });
    }
  }
}

function expectationsOf(
  configuration: Configuration,
  notes: readonly Note[],
  sheet: Sheet,
  problems: Problem[],
): Expectations {
  const isOurs = (name: string | null) => name === null || name === configuration.name;
  const directives = notes.flatMap((note) =>
    note.kind === 'directive' && isOurs(note.directive.configuration) ? [note.directive] : [],
  );
  checkFirsts(directives, problems);
  const settlings = notes.flatMap((note) =>
    note.kind === 'settling' && isOurs(note.settling.configuration) ? [note.settling] : [],
  );
  const all = (word: Settling['word']) => settlings.filter((settling) => settling.word === word);
  checkExplore(all('EXPLORE'), problems);
  return {
    configuration,
    directives,
    goldens: all('GOLDEN').flatMap((settling) => goldenOf(settling, sheet, problems)),
    ending: endingOf(all('EXPECT'), problems),
    properties: all('PROPERTY').flatMap((settling) => propertyOf(settling, problems)),
    skip: reasonOf(all('SKIP'), problems),
    expectedFailure: reasonOf(all('XFAIL'), problems),
  };
}

/** NEXT and its like need a match before them. */
function checkFirsts(directives: readonly Directive[], problems: Problem[]): void {
  for (const stream of Object.keys(STREAMS)) {
    const first = directives.find(
      ({ stream: of, kind }) => of === stream && kind !== 'not' && kind !== 'dag',
    );
    if (first === undefined || !['next', 'same', 'empty'].includes(first.kind)) continue;
    const { prefix } = STREAMS[first.stream];
    const message = `${first.word} has no ${prefix} before it to go on from`;
    problems.push({ line: first.line, column: first.column, message });
  }
}

function goldenOf(
  { text, line, textColumn }: Settling,
  sheet: Sheet,
  problems: Problem[],
): Golden[] {
  const stream = Object.values(STREAMS).find(({ name }) => name === text);
  if (stream !== undefined) {
    return [{ line, column: textColumn, stream: stream.name, lines: sheet.goldenBehind(line) }];
  }
  const names = Object.keys(STREAMS);
  const near = nearest(text, names);
  const hint = near === null ? `expected one of ${names.join(', ')}` : `did you mean '${near}'?`;
  problems.push({ line, column: textColumn, message: `no stream '${text}'; ${hint}` });
  return [];
}

const STATUSES: readonly EndingStatus[] = [
  'exited',
  ...(Object.keys(EXIT_CODES) as (keyof typeof EXIT_CODES)[]),
];

/** What can be said once only; a configuration's own outdoes that of all. */
function onlyOne(settlings: readonly Settling[], problems: Problem[]): Settling | null {
  const own = settlings.filter(({ configuration }) => configuration !== null);
  for (const all of [own, settlings.filter((settling) => !own.includes(settling))]) {
    for (const { word, line, column } of all.slice(1)) {
      const message = `a second ${word}; line ${all[0].line} has one already`;
      problems.push({ line, column, message });
    }
  }
  return own[0] ?? settlings[0] ?? null;
}

function endingOf(settlings: readonly Settling[], problems: Problem[]): ExpectedEnding | null {
  for (const { text, line, textColumn: column } of settlings) {
    if (exitCodeIn(text) !== null || statusIn(text) !== null) continue;
    const message = `expected an exit code, or one of ${STATUSES.join(', ')}, not '${text}'`;
    problems.push({ line, column, message });
  }
  const found = onlyOne(settlings, problems);
  if (found === null) return null;
  const { text, line, textColumn: column } = found;
  return { line, column, text, exitCode: exitCodeIn(text), status: statusIn(text) };
}

function exitCodeIn(text: string): number | null {
  return /^\d{1,3}$/.test(text) && Number(text) < 256 ? Number(text) : null;
}

function statusIn(text: string): EndingStatus | null {
  return STATUSES.find((known) => known === text) ?? null;
}

function propertyOf(
  { text, line, textColumn: column }: Settling,
  problems: Problem[],
): (Place & { property: Property })[] {
  const property = parseProperty(text);
  if ('claim' in property) return [{ line, column, property }];
  problems.push({ line, column: column + property.offset, message: property.message });
  return [];
}

function reasonOf(settlings: readonly Settling[], problems: Problem[]): string | null {
  for (const { word, text, line, column } of settlings) {
    if (text === '') problems.push({ line, column, message: `${word} needs a reason` });
  }
  return onlyOne(settlings, problems)?.text ?? null;
}

/** What is found and by which flags: for whoever runs `vmxlab explore`; here only its form counts. */
function checkExplore(settlings: readonly Settling[], problems: Problem[]): void {
  for (const { text, line, textColumn: column } of settlings) {
    if (/^[a-z]+(?: .+)?$/.test(text)) continue;
    const message = 'expected what is found, and flags, such as EXPLORE: livelock --store-buffers';
    problems.push({ line, column, message });
  }
}
