// Settings in a program's own text: a comment line near the top such as
//
//   ; vmxlab: vcpus=4 pcpus=2

import { nearest } from '../sim/index.ts';
import { SETTINGS, type Setting } from './settings.ts';

/** A setting that the header gives, and where. */
export interface HeaderSetting {
  readonly setting: Setting;
  readonly value: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

export interface HeaderProblem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export interface Header {
  readonly settings: readonly HeaderSetting[];
  readonly problems: readonly HeaderProblem[];
}

/** Lines that are looked at. */
const SEARCHED_LINES = 20;

/** A value with spaces stands in quotes. */
const WORD = /(?:[^\s"]|"[^"]*")+/g;

/** Read the settings in the header of an assembly source. */
export function readHeader(source: string): Header {
  const settings: HeaderSetting[] = [];
  const problems: HeaderProblem[] = [];
  source.split('\n', SEARCHED_LINES).forEach((text, i) => {
    const match = /^\s*[;#]\s*vmxlab:/.exec(text);
    if (match === null) return;
    for (const { word, offset } of settingWords(text.slice(match[0].length))) {
      const place = { line: i + 1, column: match[0].length + offset + 1 };
      const read = readSettingWord(word);
      if ('message' in read) problems.push({ ...place, ...read });
      else settings.push({ ...place, ...read });
    }
  });
  return { settings, problems };
}

/** The words of a list of settings, without their quotes, and where each begins (from 0). */
export function settingWords(
  text: string,
): readonly { readonly word: string; readonly offset: number }[] {
  return [...text.matchAll(WORD)].map(({ 0: word, index }) => ({
    word: word.replaceAll('"', ''),
    offset: index,
  }));
}

/**
 * A setting as NAME=VALUE, or what is wrong with it.
 * @param others names that are no settings but would have been right there
 */
export function readSettingWord(
  word: string,
  others: readonly string[] = [],
): { readonly setting: Setting; readonly value: string } | { readonly message: string } {
  const [name, value] = splitOnce(word, '=');
  const setting = SETTINGS.find(({ flag }) => flag === name);
  const names = [...SETTINGS.map(({ flag }) => flag), ...others];
  if (setting === undefined) {
    const near = nearest(name, names);
    const hint = near === null ? `known settings: ${names.join(', ')}` : `did you mean '${near}'?`;
    return { message: `unknown setting '${name}'; ${hint}` };
  }
  if (value === null || value === '') return { message: `expected ${name}=VALUE` };
  return { setting, value };
}

function splitOnce(text: string, separator: string): [string, string | null] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + separator.length)];
}
