// A definition multiplied out: the cells, each with the scenario that it runs.

import type { Issue, Path, ScenarioDocument } from '../machine/index.ts';
import {
  type AcceptedEnding,
  type Definition,
  levelNames,
  levelSettings,
  outputOf,
} from './definition.ts';
import { type Expression, parseExpression } from './expression.ts';
import {
  isWithin,
  NoSuchEntry,
  parsePlace,
  type ScenarioPlace,
  withValue,
} from './scenario-path.ts';

/** A level for each factor, by its name; or for some, where cells are chosen. */
export type Levels = Readonly<Record<string, string>>;

export interface Factor {
  readonly name: string;
  readonly levels: readonly string[];
}

/** A change of the scenario, and the place in the definition that asks for it. */
interface Change {
  readonly place: ScenarioPlace;
  readonly value: unknown;
  readonly from: Path;
}

export interface Cell {
  /** From 0, in the order of the study. */
  readonly index: number;
  readonly levels: Levels;
  /** The scenario, but for its seed; not checked. */
  readonly document: ScenarioDocument;
  readonly seeds: readonly number[];
  readonly changes: readonly Change[];
}

export interface Output {
  readonly name: string;
  /** For columns and axes. */
  readonly title: string;
  readonly unit: string;
  readonly kind: 'number' | 'histogram';
  readonly better: 'lower' | 'higher' | 'neither';
  /** Null if the experiment computes it itself (see `experiment.ts`). */
  readonly expression: Expression | null;
}

export interface Study {
  readonly name: string;
  readonly title: string;
  readonly note: string;
  readonly factors: readonly Factor[];
  readonly cells: readonly Cell[];
  readonly outputs: readonly Output[];
  readonly endings: readonly AcceptedEnding[];
  readonly comparisons: Definition['compare'];
  readonly measured: Definition['measured'];
  readonly figures: Definition['figures'];
}

export interface StudyOptions {
  readonly quick: boolean;
  /** Seeds in place of those of the definition, or null. */
  readonly seeds: readonly number[] | null;
  /** Only cells on one of these levels of each factor; all if it names none. */
  readonly only: Readonly<Record<string, readonly string[]>>;
}

export const WHOLE_STUDY: StudyOptions = { quick: false, seeds: null, only: {} };

/** More is a mistake. */
const MAX_CELLS = 100_000;

/**
 * Multiply out a checked definition.
 * @param base the scenario that it names or contains
 */
export function studyOf(
  definition: Definition,
  base: ScenarioDocument,
  options: StudyOptions = WHOLE_STUDY,
): { readonly study: Study } | { readonly issues: readonly Issue[] } {
  const factors = factorsOf(definition, options);
  const count = factors.reduce((product, { levels }) => product * levels.length, 1);
  if (count > MAX_CELLS) {
    return {
      issues: [{ path: ['factors'], message: `make ${count} cells; at most ${MAX_CELLS}` }],
    };
  }
  const chosen = combinations(factors).filter((levels) => {
    return !definition.exclude.some((one) => isOn(levels, one));
  });
  const issues: Issue[] = [];
  const cells = chosen.map((levels, index): Cell => {
    const changes = changesOf(definition, levels, options);
    const document = changed(base, changes, issues);
    return { index, levels, document, seeds: seedsOf(definition, levels, options), changes };
  });
  if (issues.length > 0) return { issues };
  const { name, title, note, compare, measured, figures } = definition;
  const endings = definition.endings.length > 0 ? definition.endings : DEFAULT_ENDINGS;
  const rest = { factors, cells, endings, comparisons: compare, measured, figures };
  const outputs = outputsOf(definition);
  return { study: { name, title: title === '' ? name : title, note, outputs, ...rest } };
}

const DEFAULT_ENDINGS = ['halted', 'exited'] as const;

function factorsOf(definition: Definition, { quick, only }: StudyOptions): Factor[] {
  return Object.entries(definition.factors).map(([name, factor]) => {
    const fewer = quick ? definition.quick.factors[name] : undefined;
    const isWanted = (level: string) =>
      (fewer?.includes(level) ?? true) && (only[name]?.includes(level) ?? true);
    return { name, levels: levelNames(factor).filter(isWanted) };
  });
}

/** The last factor changes fastest. */
function combinations(factors: readonly Factor[]): Levels[] {
  return factors.reduce<Levels[]>(
    (all, { name, levels }) =>
      all.flatMap((some) => levels.map((level) => ({ ...some, [name]: level }))),
    [{}],
  );
}

/** True if a cell is on all of some levels. */
export function isOn(levels: Levels, some: Levels): boolean {
  return Object.entries(some).every(([factor, level]) => levels[factor] === level);
}

function changesOf(definition: Definition, levels: Levels, { quick }: StudyOptions): Change[] {
  const changes: Change[] = [];
  const add = (settings: Readonly<Record<string, unknown>>, path: Path) => {
    for (const [key, value] of Object.entries(settings)) {
      const place = parsePlace(key);
      if (!('problem' in place)) changes.push({ place, value, from: [...path, key] });
    }
  };
  for (const [name, factor] of Object.entries(definition.factors)) {
    const level = levels[name];
    const byLevel = levelSettings(factor);
    if (byLevel !== null) add(byLevel[level], ['factors', name, level]);
    const place = parsePlace(name);
    if (!Array.isArray(factor) || 'problem' in place) continue;
    const at = levelNames(factor).indexOf(level);
    changes.push({ place, value: factor[at] as unknown, from: ['factors', name, at] });
  }
  if (quick) add(definition.quick.set, ['quick', 'set']);
  return changes;
}

function changed(
  base: ScenarioDocument,
  changes: readonly Change[],
  issues: Issue[],
): ScenarioDocument {
  let document = base;
  for (const { place, value, from } of changes) {
    try {
      document = withValue(document, place, value);
    } catch (thrown) {
      if (!(thrown instanceof NoSuchEntry)) throw thrown;
      const isNew = !issues.some(({ path }) => path.join() === from.join());
      if (isNew) issues.push({ path: from, message: thrown.message });
    }
  }
  return document;
}

function seedsOf(definition: Definition, levels: Levels, options: StudyOptions): readonly number[] {
  if (options.seeds !== null) return options.seeds;
  const { seeds } = definition.quick;
  if (options.quick && seeds !== 0) return seedList(seeds);
  const own = definition.seeds_of.find(({ cell }) => isOn(levels, cell));
  return seedList(own?.seeds ?? definition.seeds);
}

/** A number stands for the seeds from 1 on. */
function seedList(seeds: number | readonly number[]): readonly number[] {
  return typeof seeds === 'number' ? Array.from({ length: seeds }, (_, i) => i + 1) : seeds;
}

function outputsOf({ outputs }: Definition): Output[] {
  return Object.entries(outputs).map(([name, output]) => {
    const { value, unit, title, kind, better } = outputOf(output);
    const parsed = parseExpression(value);
    if ('problem' in parsed) throw new Error(`output ${name} has not been checked`);
    const rest = { unit, kind, better, expression: parsed.expression };
    return { name, title: title === '' ? name : title, ...rest };
  });
}

/** Where in the definition a problem of a cell's scenario has its reason. */
export function placeInDefinition(cell: Cell, path: Path): Path {
  const change = cell.changes.findLast(({ place }) => isWithin(place, path));
  return change?.from ?? ['scenario', ...path];
}

/** `lock=ticket vcpus=4`, or `all` without factors. */
export function labelOf(levels: Levels): string {
  const words = Object.entries(levels).map(([factor, level]) => `${factor}=${level}`);
  return words.length === 0 ? 'all' : words.join(' ');
}
