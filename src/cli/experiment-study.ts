// From what stands behind `vmxlab experiment` to the study that is meant: a definition file, or an
// experiment that comes with vmxlab; and every run of it with the key of its result.

import { existsSync } from 'node:fs';
import { basename, dirname, extname, isAbsolute, join } from 'node:path';
import {
  checkDefinition,
  type Definition,
  type Experiment,
  PUBLISHED,
  placeInDefinition,
  type RunId,
  type Study,
  type StudyOptions,
  studyOf,
} from '../experiment/index.ts';
import { type Issue, type Path, printPath, type ScenarioDocument } from '../machine/index.ts';
import { nearest } from '../sim/index.ts';
import { codeVersion, PACKAGE_FOLDER } from './code-version.ts';
import { Failure } from './failure.ts';
import {
  type DocumentFile,
  isScenario,
  loadDocument,
  NO_INPUT_OPTIONS,
  readDocument,
} from './program.ts';
import { keyOf } from './result-store.ts';

/** A run and how to repeat it. */
export interface PlannedRun extends RunId {
  readonly key: string;
  /** The scenario, with its seed. */
  readonly document: ScenarioDocument;
}

export interface LoadedStudy {
  readonly experiment: Pick<Experiment, 'report'>;
  readonly study: Study;
  /** Where programs are. */
  readonly folder: string;
  readonly runs: readonly PlannedRun[];
  /** Digest of the code that runs them. */
  readonly code: string;
}

/** A definition and where it is from. */
interface Source extends DocumentFile {
  readonly experiment: Pick<Experiment, 'report'>;
  /** The scenario and its programs are relative to this. */
  readonly folder: string;
  /** The name, if the definition has none. */
  readonly name: string;
}

const A_DEFINITION = 'an experiment: keys and values, such as scenario:, factors: and outputs:';

/** Load an experiment, and look at every cell. Throws {@link Failure} with all that is wrong. */
export function loadStudy(
  what: string,
  options: StudyOptions,
  only: (study: Study) => void,
): LoadedStudy {
  const source = sourceOf(what);
  const checked = checkDefinition(source.document);
  if ('issues' in checked) throw new Failure(checked.issues.map(source.describe));
  const { name } = checked.definition;
  const definition = { ...checked.definition, name: name === '' ? source.name : name };
  const base = baseOf(definition, source);
  const expanded = studyOf(definition, base.document, options);
  if ('issues' in expanded) throw new Failure(expanded.issues.map(source.describe));
  const { study } = expanded;
  only(study);
  const code = codeVersion();
  const runs = plan(study, base, source, code);
  return { experiment: source.experiment, study, folder: base.folder, runs, code };
}

function sourceOf(what: string): Source {
  const published = PUBLISHED.find(({ definition }) => definition.name === what);
  if (published !== undefined) {
    const { definition: document } = published;
    const describe = ({ path, message }: Issue) => `${what}: ${printPath(path)}: ${message}`;
    return { document, describe, experiment: published, folder: PACKAGE_FOLDER, name: what };
  }
  if (!isScenario(what) && !existsSync(what)) throw new Failure(unknownExperiment(what));
  const file = readDocument(what, A_DEFINITION);
  const name = basename(what, extname(what));
  return { ...file, experiment: {}, folder: dirname(what), name };
}

function unknownExperiment(what: string): string {
  const names = PUBLISHED.map(({ definition }) => definition.name);
  const near = nearest(what, names);
  const hint =
    near === null
      ? "'vmxlab experiment --list' lists those that are there; a definition is a .yaml file"
      : `did you mean '${near}'?`;
  return `there is no experiment '${what}'; ${hint}`;
}

/** The scenario that cells begin with. */
interface Base {
  readonly document: ScenarioDocument;
  readonly folder: string;
  /** An issue of the scenario that no factor has to do with. */
  readonly describe: (issue: Issue) => string;
}

function baseOf({ scenario }: Definition, { folder, describe }: Source): Base {
  if (typeof scenario !== 'string') {
    const inline = ({ path, message }: Issue) => describe({ path: ['scenario', ...path], message });
    return { document: scenario, folder, describe: inline };
  }
  const path = isAbsolute(scenario) ? scenario : join(folder, scenario);
  if (!existsSync(path)) {
    throw new Failure(describe({ path: ['scenario'], message: `${path}: no such file` }));
  }
  return { ...readDocument(path), folder: dirname(path) };
}

/** Check every cell, and name its results. */
function plan(study: Study, base: Base, source: Source, code: string): PlannedRun[] {
  const problems = new Set<string>();
  const runs = study.cells.flatMap((cell): PlannedRun[] => {
    const describe = ({ path, message }: Issue): string => {
      const place: Path = placeInDefinition(cell, path);
      if (place[0] === 'scenario') return base.describe({ path, message });
      return source.describe({ path: place, message: `${printPath(path)}: ${message}` });
    };
    try {
      const input = loadDocument(cell.document, base.folder, NO_INPUT_OPTIONS, describe);
      return cell.seeds.map((seed) => {
        const seeded = { ...input, scenario: { ...input.scenario, seed } };
        const key = keyOf(seeded, base.folder, code);
        return { cell, seed, key, document: { ...cell.document, seed } };
      });
    } catch (thrown) {
      if (!(thrown instanceof Failure)) throw thrown;
      for (const line of thrown.lines) problems.add(line);
      return [];
    }
  });
  if (problems.size > 0) throw new Failure([...problems]);
  return runs;
}
