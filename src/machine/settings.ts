// Settings that can be given as a command-line flag or in a program's header comment: the values of
// a scenario that declare a flag. They change a scenario document before it is checked.

import { SCENARIO } from './scenario.ts';
import { type ReferenceLine, reference } from './schema.ts';

/** A scenario before it is checked. */
export type ScenarioDocument = Readonly<Record<string, unknown>>;

export interface Setting extends ReferenceLine {
  /** `vcpus` for `--vcpus`. */
  readonly flag: string;
}

/** All settings, in the order of the scenario's declaration. */
export const SETTINGS: readonly Setting[] = reference(SCENARIO).flatMap((line) =>
  line.flag === null ? [] : [{ ...line, flag: line.flag }],
);

/**
 * A document with a setting changed. In a list the setting holds for every entry; an empty list
 * gets one entry that has just the setting.
 */
export function applySetting(
  document: ScenarioDocument,
  setting: Setting,
  value: unknown,
): ScenarioDocument {
  return set(document, setting.key.split('.'), value) as ScenarioDocument;
}

function set(node: unknown, keys: readonly string[], value: unknown): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  const record = typeof node === 'object' && node !== null && !Array.isArray(node) ? node : {};
  const name = key.replace('[]', '');
  const old = (record as Record<string, unknown>)[name];
  if (!key.endsWith('[]')) return { ...record, [name]: set(old, rest, value) };
  const entries = Array.isArray(old) && old.length > 0 ? old : [{}];
  return { ...record, [name]: entries.map((entry) => set(entry, rest, value)) };
}
