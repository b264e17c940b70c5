// Settings that can be given as a command-line flag or in a program's header comment: the values of
// a scenario that declare a flag. They change a scenario document before it is checked.

import { SCENARIO } from './scenario.ts';
import { ANY_KEY, type Path, type ReferenceLine, reference } from './schema.ts';

/** A scenario before it is checked. */
export type ScenarioDocument = Readonly<Record<string, unknown>>;

export interface Setting extends ReferenceLine {
  /** `vcpus` for `--vcpus`. */
  readonly flag: string;
  /** It may be given several times, for the entries of a list or for keys. */
  readonly isRepeatable: boolean;
  /** Its values are NAME=VALUE, for a key of that name. */
  readonly isNamed: boolean;
}

/** A setting, and what it is set to. */
export interface GivenSetting {
  readonly setting: Setting;
  readonly value: string;
}

const LIST_SUFFIX = '[]';

/** All settings, in the order of the scenario's declaration. */
export const SETTINGS: readonly Setting[] = reference(SCENARIO).flatMap((line) =>
  line.flag === null ? [] : [{ ...line, flag: line.flag, ...repetitionOf(line.key) }],
);

function repetitionOf(key: string): Pick<Setting, 'isRepeatable' | 'isNamed'> {
  const isNamed = key.endsWith(ANY_KEY);
  return { isRepeatable: isNamed || key.endsWith(LIST_SUFFIX), isNamed };
}

/** True if what stands in a document at a path may come from a setting that was given. */
export function isGivenAt({ setting, value }: GivenSetting, path: Path): boolean {
  const key = path.map((part) => (typeof part === 'number' ? LIST_SUFFIX : `.${part}`)).join('');
  const [name] = splitName(value);
  const own = setting.isNamed ? setting.key.replace(ANY_KEY, `.${name}`) : setting.key;
  // What is in an entry of a list is in its text.
  return `${key.slice(1)}.`.startsWith(`${own}.`);
}

/** NAME=VALUE; the value is empty if there is none. */
function splitName(text: string): readonly [name: string, value: string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

/** A document with settings changed; of one that is given twice the last counts. */
export function applySettings(
  document: ScenarioDocument,
  given: readonly GivenSetting[],
): ScenarioDocument {
  return SETTINGS.reduce((changed, setting) => {
    const values = given.filter((one) => one.setting === setting).map(({ value }) => value);
    if (values.length === 0) return changed;
    if (setting.isNamed) {
      const keys = setting.key.slice(0, -ANY_KEY.length).split('.');
      return values.reduce((named: ScenarioDocument, text) => {
        const [name, value] = splitName(text);
        return set(named, [...keys, name], value) as ScenarioDocument;
      }, changed);
    }
    return applySetting(changed, setting, setting.isRepeatable ? values : values.at(-1));
  }, document);
}

/**
 * A document with a setting changed. In a list the setting holds for every entry; an empty list
 * gets one entry that has just the setting. The value of a setting that may be repeated is a list.
 */
export function applySetting(
  document: ScenarioDocument,
  setting: Pick<Setting, 'key'>,
  value: unknown,
): ScenarioDocument {
  return set(document, setting.key.split('.'), value) as ScenarioDocument;
}

function set(node: unknown, keys: readonly string[], value: unknown): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  const record = typeof node === 'object' && node !== null && !Array.isArray(node) ? node : {};
  const name = key.replace(LIST_SUFFIX, '');
  const old = (record as Record<string, unknown>)[name];
  if (!key.endsWith(LIST_SUFFIX) || rest.length === 0)
    return { ...record, [name]: set(old, rest, value) };
  const entries = Array.isArray(old) && old.length > 0 ? old : [{}];
  return { ...record, [name]: entries.map((entry) => set(entry, rest, value)) };
}
