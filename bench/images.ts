// The guest programs as multiboot images, the same for everybody who runs them.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { assemble, formatDiagnostic } from '../src/asm/index.ts';
import type { Size, Workload } from './workloads.ts';

/** The folder of package.json, wherever this runs from. */
export const ROOT = rootAbove(import.meta.dirname);

function rootAbove(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : rootAbove(dirname(folder));
}

const PROGRAMS = join(ROOT, 'bench/programs');

export interface Image {
  readonly bytes: Uint8Array;
  /** Where the program proper begins, in the mode of its size. */
  readonly main: number;
}

/** Assemble a workload's program for so many rounds. */
export function imageOf(workload: Workload, size: Size, rounds: number): Image {
  const name = `${workload.program ?? workload.name}.asm`;
  const readFile = (path: string) => readFileSync(join(PROGRAMS, path), 'utf8');
  const defines = { ...workload.defines, PROCESSORS: String(workload.processors) };
  const assembled = assemble(
    { name, text: readFile(name) },
    { readFile, defines: { ...defines, SIZE: String(size), ROUNDS: String(rounds) } },
  );
  if (assembled.kind !== 'ok') throw new Error(assembled.errors.map(formatDiagnostic).join('\n'));
  const main = assembled.symbols.find((symbol) => symbol.name === 'main');
  if (main === undefined) throw new Error(`${name} has no main`);
  return { bytes: assembled.bytes, main: main.value.toNumber() };
}
