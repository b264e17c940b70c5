// An experiment's definition: a scenario, factors that change it, and what to look at. Its keys are
// declared here and nowhere else; checks, the JSON schema and the reference page follow from them.

import {
  anything,
  choice,
  forms,
  type Infer,
  type Issue,
  integer,
  jsonSchema,
  list,
  map,
  number,
  object,
  type Path,
  SCENARIO,
  text,
  validate,
} from '../machine/index.ts';
import { nearest } from '../sim/index.ts';
import { outputsIn, parseExpression } from './expression.ts';
import { parsePlace } from './scenario-path.ts';

export const MAX_SEEDS = 10_000;

/** Ways in which a run may end. */
const ENDINGS = ['halted', 'exited', 'limit', 'reset', 'tripleFault', 'deadlock'] as const;

export type AcceptedEnding = (typeof ENDINGS)[number];

const KINDS = ['number', 'histogram'] as const;
const DIRECTIONS = ['lower', 'higher', 'neither'] as const;
const EFFECTS = ['ratio', 'difference'] as const;
const FIGURES = ['bars', 'lines', 'heat', 'tornado', 'histogram'] as const;

const DEFAULT_SEEDS = 5;

const seedCount = (summary: string, fallback?: number) =>
  integer(1, MAX_SEEDS, { summary, ...(fallback === undefined ? {} : { fallback }) });

const seed = integer(0, Number.MAX_SAFE_INTEGER, { summary: 'a seed' });

const seeds = (fallback?: number) =>
  forms('seeds', {
    scalar: seedCount('how many seeds, from 1 on', fallback),
    list: list(seed, 1, MAX_SEEDS, 'the seeds themselves'),
  });

const cell = (summary: string) => map(text({ summary: 'a level of that factor' }), summary);

const SETTINGS_OF_LEVEL = map(
  anything('value for a flag such as vcpus, or for a key such as vms[0].defines.LOCK'),
  'what is different in the scenario on this level',
);

export const DEFINITION = object('A vmxlab experiment', {
  vmxlab: integer(1, 1, { summary: 'version of this format', fallback: 1 }),
  name: text({ summary: 'name; else that of the file', fallback: '' }),
  title: text({ summary: 'heading of reports', fallback: '' }),
  note: text({ summary: 'what it is about, for reports', fallback: '' }),
  scenario: forms('the scenario that all cells begin with', {
    scalar: text({ summary: 'its file, relative to the definition' }),
    map: map(anything('a key of a scenario'), 'the scenario itself'),
  }),
  factors: map(
    forms('a factor: its levels', {
      map: map(SETTINGS_OF_LEVEL, 'settings by the name of the level'),
      list: list(anything('a value'), 1, 1000, 'values of what the factor is named after'),
    }),
    'what is varied; a cell is a level of each',
  ),
  seeds: seeds(DEFAULT_SEEDS),
  outputs: map(
    forms('something to look at', {
      scalar: text({ summary: 'path into the report of a run, or arithmetic on such' }),
      map: object('something to look at, with more about it', {
        value: text({ summary: 'path into the report of a run, or arithmetic on such' }),
        unit: text({ summary: 'unit, for reports', fallback: '' }),
        title: text({ summary: 'heading of columns and axes; else the name', fallback: '' }),
        kind: choice(KINDS, { summary: 'a number or a histogram', fallback: 'number' }),
        better: choice(DIRECTIONS, { summary: 'which values are good', fallback: 'neither' }),
      }),
    }),
    'what is looked at',
  ),
  endings: list(
    choice(ENDINGS, { summary: 'a way to end that is no failure' }),
    0,
    ENDINGS.length,
    'how runs may end; else halted or exited',
  ),
  compare: list(
    object('A comparison of two levels on the same seeds', {
      factor: text({ summary: 'the factor' }),
      from: text({ summary: 'level that is compared with' }),
      to: text({ summary: 'level that is compared' }),
      output: text({ summary: 'what of' }),
      as: choice(EFFECTS, { summary: 'to / from or to - from', fallback: 'ratio' }),
    }),
    0,
    100,
    'comparisons',
  ),
  measured: list(
    object('What somebody has measured in a cell', {
      cell: cell('the cell, or several: a level for some factors'),
      output: text({ summary: 'what was measured' }),
      value: number({ summary: 'its value or mean' }),
      sd: number({ summary: 'standard deviation; 0: not known', fallback: 0 }),
      source: text({ summary: 'where it is from', fallback: '' }),
    }),
    0,
    10_000,
    'published values, shown beside ours',
  ),
  exclude: list(cell('cells that are left out: a level for some factors'), 0, 1000, 'no cells'),
  seeds_of: list(
    object('Other seeds for some cells', {
      cell: cell('the cells: a level for some factors'),
      seeds: seeds(),
    }),
    0,
    100,
    'cells with other seeds',
  ),
  figures: list(
    object('A figure of the HTML page', {
      kind: choice(FIGURES, { summary: 'what it looks like', fallback: 'bars' }),
      output: text({ summary: 'what it shows' }),
      x: text({ summary: 'factor along the axis; else the last', fallback: '' }),
      y: text({ summary: 'heat: factor along the other axis; else the one before', fallback: '' }),
      base: cell('tornado: the cell that others are compared with'),
      title: text({ summary: 'heading', fallback: '' }),
    }),
    0,
    100,
    'figures; else bars of each output',
  ),
  quick: object('What is different with --quick', {
    seeds: seeds(0),
    set: SETTINGS_OF_LEVEL,
    factors: map(list(text({ summary: 'level' }), 1, 1000, 'levels'), 'only these levels'),
  }),
});

/** The JSON schema of definitions, with that of scenarios where one stands in them. */
export function definitionSchema(): Record<string, unknown> {
  const schema = jsonSchema(DEFINITION);
  const { scenario, ...properties } = schema.properties as Readonly<Record<string, object>>;
  const file = jsonSchema({ ...DEFINITION.fields.scenario.forms.scalar });
  const inline = jsonSchema(SCENARIO);
  return {
    ...schema,
    properties: { ...properties, scenario: { ...scenario, anyOf: [file, inline] } },
  };
}

export type Definition = Infer<typeof DEFINITION>;

/** A definition before it is checked: YAML's data, or a plain object of a program. */
export type DefinitionDocument = Readonly<Record<string, unknown>>;

/** Check a definition: its keys and values, and what its parts say about each other. */
export function checkDefinition(
  document: unknown,
): { readonly definition: Definition } | { readonly issues: readonly Issue[] } {
  const checked = validate(DEFINITION, document);
  if ('issues' in checked) return checked;
  const definition = checked.value;
  const issues = [
    ...factorIssues(definition),
    ...outputIssues(definition),
    ...cellIssues(definition),
    ...comparisonIssues(definition),
    ...figureIssues(definition),
    ...quickIssues(definition),
  ];
  return issues.length > 0 ? { issues } : { definition };
}

type FactorDefinition = Definition['factors'][string];

/** Names of a factor's levels, in order. */
export function levelNames(factor: FactorDefinition): string[] {
  return Array.isArray(factor) ? factor.map(String) : Object.keys(factor);
}

/** Settings of each level by its name, or null for a factor that is a list of values. */
export function levelSettings(
  factor: FactorDefinition,
): Readonly<Record<string, Readonly<Record<string, unknown>>>> | null {
  if (Array.isArray(factor)) return null;
  return factor as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

function* factorIssues({ factors }: Definition): Iterable<Issue> {
  for (const [name, factor] of Object.entries(factors)) {
    const path = ['factors', name];
    const names = levelNames(factor);
    if (names.length === 0) yield { path, message: 'has no levels' };
    const twice = names.find((level, i) => names.indexOf(level) !== i);
    if (twice !== undefined) yield { path, message: `has the level ${twice} twice` };
    const byLevel = levelSettings(factor);
    if (byLevel === null) yield* placeIssue(name, path);
    for (const [level, settings] of Object.entries(byLevel ?? {})) {
      for (const key of Object.keys(settings)) yield* placeIssue(key, [...path, level, key]);
    }
  }
}

function* placeIssue(key: string, path: Path): Iterable<Issue> {
  const place = parsePlace(key);
  if ('problem' in place) yield { path, message: `'${key}': ${place.problem}` };
}

/** An output in full. */
export function outputOf(output: Definition['outputs'][string]) {
  if (typeof output !== 'string') return output;
  return { value: output, unit: '', title: '', kind: 'number', better: 'neither' } as const;
}

function* outputIssues({ outputs }: Definition): Iterable<Issue> {
  if (Object.keys(outputs).length === 0) {
    yield { path: ['outputs'], message: 'missing; expected at least one, NAME: PATH' };
  }
  const before: string[] = [];
  for (const [name, output] of Object.entries(outputs)) {
    const { value, kind } = outputOf(output);
    const path = ['outputs', name, ...(typeof output === 'string' ? [] : ['value'])];
    if (!/^[A-Za-z_][\w-]*$/.test(name)) {
      yield { path, message: `'${name}': expected a name of letters, digits, _ and -` };
    }
    const parsed = parseExpression(value);
    if ('problem' in parsed) {
      const { offset, message } = parsed.problem;
      yield { path, message: `at character ${offset + 1} of '${value}': ${message}` };
    } else if (kind === 'histogram' && parsed.expression.kind !== 'path') {
      yield { path, message: `expected a path for a histogram, not '${value}'` };
    } else {
      for (const used of outputsIn(parsed.expression)) {
        yield* knownName(used, before, 'output before this one, of the kind number,', path);
      }
      if (kind === 'number') before.push(name);
    }
  }
}

function* cellIssues(definition: Definition): Iterable<Issue> {
  const { exclude, seeds_of: others, measured } = definition;
  for (const [i, one] of exclude.entries()) yield* levelIssues(definition, one, ['exclude', i]);
  for (const [i, one] of others.entries()) {
    yield* levelIssues(definition, one.cell, ['seeds_of', i, 'cell']);
  }
  for (const [i, one] of measured.entries()) {
    yield* levelIssues(definition, one.cell, ['measured', i, 'cell']);
    yield* knownName(one.output, outputNames(definition), 'output', ['measured', i, 'output']);
  }
}

function outputNames({ outputs }: Definition): string[] {
  return Object.keys(outputs);
}

function* levelIssues(
  { factors }: Definition,
  levels: Readonly<Record<string, string>>,
  path: Path,
): Iterable<Issue> {
  for (const [factor, level] of Object.entries(levels)) {
    yield* knownName(factor, Object.keys(factors), 'factor', [...path, factor]);
    if (!Object.hasOwn(factors, factor)) continue;
    yield* knownName(level, levelNames(factors[factor]), `level of ${factor}`, [...path, factor]);
  }
}

function* knownName(
  name: string,
  known: readonly string[],
  what: string,
  path: Path,
): Iterable<Issue> {
  if (known.includes(name)) return;
  const near = nearest(name, known);
  const hint = near === null ? `known: ${known.join(', ') || 'none'}` : `did you mean '${near}'?`;
  yield { path, message: `there is no ${what} '${name}'; ${hint}` };
}

function* comparisonIssues(definition: Definition): Iterable<Issue> {
  const { compare, factors } = definition;
  for (const [i, { factor, from, to, output }] of compare.entries()) {
    const path = ['compare', i];
    yield* knownName(output, outputNames(definition), 'output', [...path, 'output']);
    yield* knownName(factor, Object.keys(factors), 'factor', [...path, 'factor']);
    if (!Object.hasOwn(factors, factor)) continue;
    const names = levelNames(factors[factor]);
    yield* knownName(from, names, `level of ${factor}`, [...path, 'from']);
    yield* knownName(to, names, `level of ${factor}`, [...path, 'to']);
  }
}

/** Figures that need several factors. */
const FACTORS_OF_FIGURE: Readonly<Partial<Record<FigureKind, number>>> = { lines: 1, heat: 2 };

export type FigureKind = (typeof FIGURES)[number];

function* figureIssues(definition: Definition): Iterable<Issue> {
  const factors = Object.keys(definition.factors);
  for (const [i, { kind, output, x, y, base }] of definition.figures.entries()) {
    const path = ['figures', i];
    yield* knownName(output, outputNames(definition), 'output', [...path, 'output']);
    if (x !== '') yield* knownName(x, factors, 'factor', [...path, 'x']);
    if (y !== '') yield* knownName(y, factors, 'factor', [...path, 'y']);
    yield* levelIssues(definition, base, [...path, 'base']);
    const needed = FACTORS_OF_FIGURE[kind] ?? 0;
    if (factors.length < needed) {
      yield { path: [...path, 'kind'], message: `${kind} needs ${needed} factors` };
    }
    if (!Object.hasOwn(definition.outputs, output)) continue;
    const isHistogram = outputOf(definition.outputs[output]).kind === 'histogram';
    if (isHistogram !== (kind === 'histogram')) {
      const what = isHistogram ? 'a histogram' : 'a number';
      yield { path: [...path, 'output'], message: `${kind} cannot show ${output}, ${what}` };
    }
  }
}

function* quickIssues(definition: Definition): Iterable<Issue> {
  const { set, factors } = definition.quick;
  for (const key of Object.keys(set)) yield* placeIssue(key, ['quick', 'set', key]);
  for (const [factor, levels] of Object.entries(factors)) {
    const path = ['quick', 'factors', factor];
    for (const level of levels) yield* levelIssues(definition, { [factor]: level }, path);
  }
}
