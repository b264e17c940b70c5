// Places in a scenario by name, `vms[0].defines.LOCK` or a flag such as `vcpus`, and scenarios with
// something else in such a place.

import { type Path, SCENARIO, type ScenarioDocument, SETTINGS } from '../machine/index.ts';
import { nearest } from '../sim/index.ts';

/** A part of a place: a key, the number of an entry, or `all` entries of a list. */
type Part = string | number | typeof ALL;

const ALL = Symbol('all entries');

/** A place in a scenario. */
export interface ScenarioPlace {
  readonly parts: readonly Part[];
}

/** The place that a text names, or what is wrong with it. */
export function parsePlace(text: string): ScenarioPlace | { readonly problem: string } {
  const setting = SETTINGS.find(({ flag, isNamed }) => flag === text && !isNamed);
  const key = setting?.key ?? text;
  // A flag of a list sets the whole list.
  const whole = setting?.isRepeatable ? key.replace(/\[\]$/, '') : key;
  const words = whole.match(/[^.[\]]+|\[\d{1,6}\]|\[\]/g) ?? [];
  const written = words.map((word) => (word.startsWith('[') ? word : `.${word}`)).join('');
  if (written.slice(1) !== whole || whole === '') {
    return { problem: `expected a flag such as vcpus, or a key such as vms[0].vcpus` };
  }
  if (words.length === 1 && setting === undefined && !TOP_LEVEL.has(whole)) {
    const near = nearest(text, [...TOP_LEVEL, ...SETTINGS.map(({ flag }) => flag)]);
    const hint = near === null ? 'keys are such as vms[0].vcpus' : `did you mean '${near}'?`;
    return { problem: `is no flag and no key of a scenario; ${hint}` };
  }
  const parts = words.map((word): Part => {
    if (word === '[]') return ALL;
    return word.startsWith('[') ? Number(word.slice(1, -1)) : word;
  });
  return { parts };
}

/** Keys of a scenario that stand in no other. */
const TOP_LEVEL = new Set(Object.keys(SCENARIO.fields));

/** A list has no such entry, and is not just one short of it. */
export class NoSuchEntry {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

/** A scenario with a value in a place. Throws {@link NoSuchEntry}. */
export function withValue(
  document: ScenarioDocument,
  { parts }: ScenarioPlace,
  value: unknown,
): ScenarioDocument {
  return put(document, parts, value, '') as ScenarioDocument;
}

function put(node: unknown, parts: readonly Part[], value: unknown, where: string): unknown {
  const [part, ...rest] = parts;
  if (part === undefined) return value;
  if (typeof part === 'string') {
    const isRecord = typeof node === 'object' && node !== null && !Array.isArray(node);
    const record = (isRecord ? node : {}) as Readonly<Record<string, unknown>>;
    const inner = where === '' ? part : `${where}.${part}`;
    return { ...record, [part]: put(record[part], rest, value, inner) };
  }
  const list: readonly unknown[] = Array.isArray(node) ? node : [];
  if (part === ALL) {
    const entries = list.length > 0 ? list : [undefined];
    return entries.map((entry, i) => put(entry, rest, value, `${where}[${i}]`));
  }
  if (part > list.length) {
    throw new NoSuchEntry(`there is no ${where}[${part}]; there are ${list.length} entries`);
  }
  const changed = [...list];
  changed[part] = put(list[part], rest, value, `${where}[${part}]`);
  return changed;
}

/** True if what stands at a path of a document was put there by way of the place. */
export function isWithin({ parts }: ScenarioPlace, path: Path): boolean {
  return parts.every((part, i) => {
    return i >= path.length || (part === ALL ? typeof path[i] === 'number' : part === path[i]);
  });
}
