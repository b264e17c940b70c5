// The file that a schedule is kept in: a JSON document with the schedule, what is wrong at its end,
// and the whole of what it is a schedule of, so that it can be opened in the debugger by itself.

import { readFileSync } from 'node:fs';
import { symbolDocument, symbolsOfDocument } from '../debug/index.ts';
import { type Action, parseSchedule, printSchedule } from '../explore/index.ts';
import type { SymbolData, SymbolMap } from '../machine/index.ts';
import { Hash } from '../sim/index.ts';
import { Failure } from './failure.ts';
import { readBytes, writeOutput } from './files.ts';
import { type Contained, selfContained } from './self-contained.ts';

/** What a file is about. */
export interface SavedSchedule {
  /** Identifies the bytes of the program. */
  readonly program: string;
  readonly storeBuffers: boolean;
  readonly violation: { readonly kind: string; readonly message: string };
  readonly schedule: readonly Action[];
  /** What the schedule takes to be shared; nothing without store buffers. */
  readonly shared: readonly number[];
  /** The scenario as a document, with the contents of the program in it. */
  readonly scenario: unknown;
  readonly symbols: readonly (SymbolData | null)[];
}

const FORMAT = 'vmxlab schedule';
const VERSION = 2;

/** What a schedule is of. */
export interface ScheduledInput extends Contained {
  readonly symbols: readonly (SymbolMap | null)[];
}

export function programHash(programs: readonly Uint8Array[]): string {
  const hash = new Hash();
  for (const program of programs) hash.number(program.length).bytes(program);
  return hash.digest();
}

export function saveSchedule(
  path: string,
  found: Pick<SavedSchedule, 'storeBuffers' | 'violation' | 'shared'> & {
    readonly schedule: readonly Action[] | null;
  },
  input: ScheduledInput,
): void {
  const { storeBuffers, violation, schedule, shared } = found;
  const file = {
    format: FORMAT,
    version: VERSION,
    program: programHash(input.programs),
    storeBuffers,
    violation: { kind: violation.kind, message: violation.message },
    schedule: printSchedule(schedule ?? []),
    shared: storeBuffers ? shared : [],
    scenario: selfContained(input),
    symbols: input.symbols.map(symbolDocument),
  };
  writeOutput(path, `${JSON.stringify(file, null, 1)}\n`);
}

/** Bytes at the beginning of a file in which its format is named. */
export const SCHEDULE_MAGIC_BYTES = 200;

/** True for text that begins as these files do. */
export function isScheduleText(text: string): boolean {
  return /^\s*\{\s*"format":\s*"vmxlab schedule"/.test(text);
}

/** Throws {@link Failure} if the file is none of ours, or damaged. */
export function readSchedule(path: string): SavedSchedule {
  readBytes(path);
  const what = 'a schedule that --save wrote';
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    throw new Failure(`${path}: is not ${what}: no JSON`);
  }
  const file = data as Readonly<Record<string, unknown>> | null;
  if (file?.format !== FORMAT || typeof file.schedule !== 'string') {
    throw new Failure(`${path}: is not ${what}`);
  }
  if (file.version !== VERSION) {
    const hint = 'explore again, and save it again';
    throw new Failure(`${path}: version ${file.version} of the format is not known; ${hint}`);
  }
  const schedule = parseSchedule(file.schedule);
  if (schedule === null) throw new Failure(`${path}: the schedule cannot be read`);
  const { shared, violation, symbols, program, storeBuffers, scenario } = file;
  if (!Array.isArray(shared) || !shared.every((word) => Number.isSafeInteger(word))) {
    throw new Failure(`${path}: shared: expected whole numbers`);
  }
  const names = Array.isArray(symbols) ? symbols.map(symbolsOfDocument) : [undefined];
  const hasMessage = typeof (violation as { message?: unknown } | null)?.message === 'string';
  const isWhole = hasMessage && typeof program === 'string' && !names.includes(undefined);
  if (!isWhole) throw new Failure(`${path}: is a damaged schedule`);
  return {
    ...{ program, schedule, shared, scenario },
    storeBuffers: storeBuffers === true,
    violation: violation as SavedSchedule['violation'],
    symbols: names as readonly (SymbolData | null)[],
  };
}
