// Runs of an experiment that failed, as scenarios of their own: what `vmxlab run` and `debug` take.

import { mkdirSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { labelOf } from '../experiment/index.ts';
import type { ScenarioDocument } from '../machine/index.ts';
import type { LoadedStudy, PlannedRun } from './experiment-study.ts';
import { asWriteFailure } from './files.ts';
import { shellLine } from './shell-words.ts';

/** More are not written out: what makes them fail is most likely the same. */
const MAX_WRITTEN = 10;

/** Write scenarios to a folder; gives the commands that run them. */
export function writeFailedRuns(
  runs: readonly PlannedRun[],
  { study, folder }: LoadedStudy,
  to: string,
): string[] {
  const lines = runs.slice(0, MAX_WRITTEN).map((run) => {
    const { cell, seed, key, document } = run;
    const path = join(to, `${study.name}-${key.slice(0, 12)}.json`);
    const note = `${study.name}: ${labelOf(cell.levels)} seed=${seed}`;
    const moved = { ...movedTo(document, folder, to), note };
    try {
      mkdirSync(to, { recursive: true });
      writeFileSync(path, `${JSON.stringify(moved, null, 2)}\n`);
    } catch (thrown) {
      throw asWriteFailure(thrown, path);
    }
    return `${shellLine(['vmxlab', 'run', path])}  # ${note}`;
  });
  const more = runs.length - lines.length;
  return more > 0 ? [...lines, `(and ${more} more)`] : lines;
}

/** A scenario whose files are relative to one folder, for another one. */
function movedTo(document: ScenarioDocument, from: string, to: string): ScenarioDocument {
  const moved = (path: unknown) =>
    typeof path !== 'string' || path === '' || isAbsolute(path)
      ? path
      : relative(resolve(to), resolve(from, path));
  const movedFirstWord = (text: unknown) =>
    typeof text === 'string' ? text.replace(/^[^ ]+/, (path) => String(moved(path))) : text;
  const { host, vms } = document as {
    readonly host?: { readonly policies?: Tree };
    readonly vms?: readonly { readonly policies?: Tree; readonly modules?: readonly unknown[] }[];
  };
  return {
    ...document,
    ...(host?.policies && { host: { ...host, policies: leaves(host.policies, moved) } }),
    vms: (vms ?? []).map((vm) => ({
      ...vm,
      ...('program' in vm && { program: moved(vm.program) }),
      ...(vm.modules && { modules: vm.modules.map(movedFirstWord) }),
      ...(vm.policies && { policies: leaves(vm.policies, moved) }),
    })),
  };
}

/** Files by key, and by key below. */
interface Tree {
  readonly [key: string]: unknown;
}

function leaves(tree: Tree, change: (leaf: unknown) => unknown): Tree {
  return Object.fromEntries(
    Object.entries(tree).map(([key, value]) => [
      key,
      typeof value === 'object' && value !== null ? leaves(value as Tree, change) : change(value),
    ]),
  );
}
