// A program or scenario together with what it expects of one of its configurations: which one, how
// it is loaded then, and where in the file something is wrong.

import {
  type CheckPlan,
  type Expectations,
  PlaceError,
  type Property,
  placesOfProperties,
} from '../check/index.ts';
import { type GivenSetting, type NamedRam, programSymbols, SETTINGS } from '../machine/index.ts';
import { emptyPlan, readCheckedFile, saysNothing } from './check-plan.ts';
import { Failure } from './failure.ts';
import { readText } from './files.ts';
import {
  type Input,
  type InputOptions,
  isElfFile,
  isScenario,
  isSource,
  loadInput,
  pointAt,
} from './program.ts';

/**
 * What a file expects of a configuration; nothing if it has no place for that. Throws
 * {@link Failure}.
 * @param configuration its name; null for the first
 */
export function expectationsOf(path: string, configuration: string | null): Expectations {
  const hasPlace = !isElfFile(path) && (isSource(path) || isScenario(path));
  return hasPlace
    ? ofConfiguration(path, planOf(path), configuration)
    : ofConfiguration(path, emptyPlan(), configuration);
}

/** The same of a file that must expect something. */
export function statedExpectationsOf(path: string, configuration: string | null): Expectations {
  const plan = planOf(path);
  if (plan.isEmpty) throw saysNothing(path);
  return ofConfiguration(path, plan, configuration);
}

function planOf(path: string): CheckPlan {
  const { plan, problems } = readCheckedFile(path);
  if (plan === null) throw new Failure(problems);
  return plan;
}

function ofConfiguration(path: string, plan: CheckPlan, configuration: string | null) {
  const names = plan.expectations.map(({ configuration: { name } }) => name);
  const index = configuration === null ? 0 : names.indexOf(configuration);
  if (index >= 0) return plan.expectations[index];
  const known = names.filter((name) => name !== null);
  const list = known.length === 0 ? 'it names none' : `it has ${known.join(', ')}`;
  throw new Failure(`--configuration: ${path} has no RUN line named '${configuration}'; ${list}`);
}

/** A setting by the name of its flag. */
export function settingOf(flag: string, value: string | number): GivenSetting {
  const setting = SETTINGS.find((candidate) => candidate.flag === flag);
  if (setting === undefined) throw new Error(`there is no setting ${flag}`);
  return { setting, value: String(value) };
}

/**
 * Load a file as one of its configurations has it; what the options say outdoes that. Throws
 * {@link Failure}.
 * @param seed of this run, or null for that of the options or the scenario
 */
export function loadExpected(
  path: string,
  options: InputOptions,
  expectations: Expectations,
  seed: number | null,
): Input {
  const { configuration } = expectations;
  const seeds = seed === null ? [] : [settingOf('seed', seed)];
  const flags = [...configuration.settings, ...seeds, ...options.flags];
  const defines = { ...configuration.defines, ...options.defines };
  try {
    const input = loadInput(path, { ...options, defines, flags });
    checkPlaces(path, expectations, input);
    return input;
  } catch (thrown) {
    throw thrown instanceof Failure ? placed(thrown, path, options, configuration) : thrown;
  }
}

/** What is wrong with a setting is shown where the RUN line gives it. */
function placed(
  failure: Failure,
  path: string,
  { flags }: InputOptions,
  configuration: Expectations['configuration'],
): Failure {
  const lines = failure.lines.map((line) => {
    const [, flag, message] = /^vmxlab: --([\w-]+): (.*)$/.exec(line) ?? [];
    const given = configuration.settings.find(({ setting }) => setting.flag === flag);
    if (given === undefined || flags.some(({ setting }) => setting.flag === flag)) return line;
    return pointAt(path, readText(path, 'source'), { ...given, message: `${flag}: ${message}` });
  });
  return new Failure(lines, failure.exitCode);
}

/** A place that a property names and no program has is shown where the property stands. */
function checkPlaces(path: string, { properties }: Expectations, input: Input): void {
  const rams = input.programs.map((program, i) => ({
    symbols: programSymbols(program, input.symbols[i]),
    ramBytes: input.scenario.vms[i].memory,
  }));
  const problems = properties.flatMap((stated) => {
    const problem = placeProblem(stated.property, rams);
    if (problem === null) return [];
    return [pointAt(path, readText(path, 'source'), { ...stated, message: problem })];
  });
  if (problems.length > 0) throw new Failure(problems);
}

function placeProblem(property: Property, rams: readonly NamedRam[]): string | null {
  try {
    placesOfProperties([property], rams);
    return null;
  } catch (thrown) {
    if (thrown instanceof PlaceError) return thrown.message;
    throw thrown;
  }
}
