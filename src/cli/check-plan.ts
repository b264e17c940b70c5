// From the paths of `vmxlab check` to the files that say what they expect, and what that is: the
// comments of an assembly source, or the `check` section of a scenario.

import { readdirSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import {
  type CheckPlan,
  type Place,
  readPlan,
  type Sheet,
  sheetOfSection,
  sheetOfSource,
} from '../check/index.ts';
import { type ParsedDocument, parseScenarioText } from '../machine/index.ts';
import { Failure } from './failure.ts';
import { asFailure, readText } from './files.ts';
import { isElfFile, isScenario, isSource, pointAt } from './program.ts';

/** A file with what it expects, or with what is wrong with that. */
export interface CheckedFile {
  readonly path: string;
  readonly plan: CheckPlan | null;
  /** Lines for the user if there is no plan. */
  readonly problems: readonly string[];
}

/** Files of a folder that are looked at; JSON there is as often something else. */
const FOLDER_EXTENSIONS = ['.asm', '.nasm', '.s', '.yaml', '.yml'];

/** The files that are meant by paths: files, and folders with all below them, in order of name. */
export function findFiles(paths: readonly string[]): string[] {
  const files = paths.flatMap((path) => {
    if (!isFolder(path)) return [path];
    const found = filesBelow(path);
    if (found.length > 0) return found;
    throw new Failure(`${path}: has no programs (.asm, .s) and no scenarios (.yaml)`);
  });
  return [...new Set(files)];
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (thrown) {
    throw asFailure(thrown, path);
  }
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(path);
    return FOLDER_EXTENSIONS.includes(extname(path).toLowerCase()) ? [path] : [];
  });
}

/** Read what a file expects. Throws {@link Failure} if it cannot be read. */
export function readCheckedFile(path: string): CheckedFile {
  if (isElfFile(path) || !(isSource(path) || isScenario(path))) {
    throw new Failure(
      `${path}: has no place for expectations; write a scenario that runs it, with a check section`,
    );
  }
  const text = readText(path, isSource(path) ? 'source' : 'scenario');
  const sheet = isSource(path) ? sheetOfSource(text) : sheetOfScenario(text);
  // What is wrong with the scenario itself is said when it is loaded.
  if (sheet === null) return { path, plan: EMPTY, problems: [] };
  const read = readPlan(sheet);
  if ('plan' in read) return { path, plan: read.plan, problems: [] };
  return { path, plan: null, problems: read.problems.map((one) => pointAt(path, text, one)) };
}

/** To be thrown about a file whose plan is empty, if that is what is wrong. */
export function saysNothing(path: string): Failure {
  return new Failure(
    `${path}: says nothing of what it expects; such as '; EXPECT: 0' or '; OUTPUT: done'`,
  );
}

const EMPTY_SHEET: Sheet = { notes: [], goldenBehind: () => [], isStrict: true };
const EMPTY = emptyPlan();

/** Of a file that has no place for expectations. */
export function emptyPlan(): CheckPlan {
  const read = readPlan(EMPTY_SHEET);
  if ('plan' in read) return read.plan;
  throw new Error('nothing at all is no plan');
}

function sheetOfScenario(text: string): Sheet | null {
  const parsed = parseScenarioText(text);
  if (parsed.kind === 'errors') return null;
  if (parsed.document.check === undefined) return EMPTY_SHEET;
  const section = String(parsed.document.check);
  const block = startOfBlock(text, section, parsed);
  return block === null
    ? sheetOfSection(section, parsed.placeOf(['check']), false)
    : sheetOfSection(section, block);
}

/** Where the text of the section begins in the file if it is a block (`|`) behind its key. */
function startOfBlock(
  text: string,
  section: string,
  parsed: Extract<ParsedDocument, { kind: 'ok' }>,
): Place | null {
  const key = parsed.placeOf(['check']);
  const first = section.split('\n')[0];
  const line = text.split('\n')[key.line] ?? '';
  if (line.trim() !== first.trim()) return null;
  return { line: key.line + 1, column: line.length - line.trimStart().length + 1 };
}
