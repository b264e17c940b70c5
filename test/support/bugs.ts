// The catalogue of known bugs, guest-programs/bugs: which programs are for `explore` and which for
// `check`. Of a scenario the corrected twin is NAME-fixed.yaml; a program has it in itself.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** From the root of the project. */
export const BUGS = 'guest-programs/bugs';

/** A program whose bug only some schedule shows: its EXPLORE line. */
export interface ScheduleBug {
  readonly name: string;
  /** What is found. */
  readonly kind: string;
  readonly flags: readonly string[];
}

const EXPLORE = /^; EXPLORE: (\w+)((?: \S+)*)$/gm;

/** Everything in the catalogue that can be run, without twins. */
function files(root: string): readonly string[] {
  const names = readdirSync(join(root, BUGS)).toSorted();
  return names.filter((name) => /\.(asm|yaml)$/.test(name) && !name.endsWith('-fixed.yaml'));
}

function exploredIn(root: string, file: string): readonly ScheduleBug[] {
  const text = readFileSync(join(root, BUGS, file), 'utf8');
  return [...text.matchAll(EXPLORE)].map(([, kind, flags]) => {
    return { name: file.replace(/\.asm$/, ''), kind, flags: flags.split(' ').slice(1) };
  });
}

export function scheduleBugs(root: string): readonly ScheduleBug[] {
  return files(root).flatMap((file) => exploredIn(root, file));
}

/** File names of those whose bug any run shows. */
export function runBugs(root: string): readonly string[] {
  return files(root).filter((file) => exploredIn(root, file).length === 0);
}

/** The file with the correction of one that any run shows. */
export function twinOf(file: string): string {
  return file.replace(/\.yaml$/, '-fixed.yaml');
}
