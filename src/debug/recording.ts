// The file that a recorded run is kept in: one line that says what it is, with version and digest,
// and behind it a packed JSON document with everything that the run depends on and what it came to.
// Who reads it believes nothing: what does not look as it should is a message.

import Long from 'long';
import type { NamedRange, SourceLine, SymbolData } from '../machine/index.ts';
import { decodeUtf8, encodeUtf8, Hash } from '../sim/index.ts';
import type { RecordedEnd, RecordedRun, Sample } from './recorded-run.ts';
import type { KeptRecord, RecordedTrace } from './recorded-trace.ts';

/** A run, with all that it takes to run it again. */
export interface Recording {
  /** Version of the vmxlab that recorded it. */
  readonly vmxlab: string;
  /** The scenario as a document, with the contents of programs and modules in it. */
  readonly scenario: unknown;
  /** Names for the addresses of each program; null where the program brings its own, or none. */
  readonly symbols: readonly (SymbolData | null)[];
  /** The text of each source that the symbols have lines of, by its name. */
  readonly sources: readonly RecordedSource[];
  readonly run: RecordedRun;
}

export type RecordedSource = readonly [name: string, text: string];

/** Makes bytes fewer, and back; null for what was not made so. */
export interface Packing {
  pack(bytes: Uint8Array): Uint8Array;
  unpack(bytes: Uint8Array): Uint8Array | null;
}

const MAGIC = 'vmxlab recording ';
const VERSION = 3;

/** Longest first line. */
const MOST_HEADER_BYTES = 80;

/** Bytes of a file from which {@link isRecording} tells. */
export const RECORDING_MAGIC_BYTES = MAGIC.length;

/** True for a file that begins as recordings do, of this version or another. */
export function isRecording(bytes: Uint8Array): boolean {
  return decodeUtf8(bytes.subarray(0, MAGIC.length)) === MAGIC;
}

export function encodeRecording(recording: Recording, { pack }: Packing): Uint8Array {
  const { symbols, ...rest } = recording;
  const document = { ...rest, symbols: symbols.map((one) => one && plainSymbols(one)) };
  const body = pack(encodeUtf8(JSON.stringify(document)));
  const header = encodeUtf8(`${MAGIC}${VERSION} ${digestOf(body)}\n`);
  const file = new Uint8Array(header.length + body.length);
  file.set(header);
  file.set(body, header.length);
  return file;
}

/** The recording in a file, or what is wrong with the file, as the rest of a sentence about it. */
export function decodeRecording(
  bytes: Uint8Array,
  { unpack }: Packing,
): { readonly recording: Recording } | { readonly problem: string } {
  if (!isRecording(bytes)) return { problem: 'is no recording (vmxlab record makes one)' };
  const end = bytes.subarray(0, MOST_HEADER_BYTES).indexOf(10);
  const header = decodeUtf8(bytes.subarray(MAGIC.length, Math.max(end, 0)));
  const [, version, digest] = /^(\d{1,9}) ([\da-f]{32})$/.exec(header) ?? [];
  if (version === undefined) return { problem: 'is a damaged recording: its first line is wrong' };
  if (Number(version) !== VERSION) {
    const which = `has version ${version} of the format, and this vmxlab reads ${VERSION}`;
    return { problem: `is a recording that ${which}` };
  }
  const body = bytes.subarray(end + 1);
  if (digestOf(body) !== digest) {
    return { problem: 'is a damaged recording: its contents are cut short or changed' };
  }
  const document = documentIn(body, unpack);
  const recording = recordingOf(document);
  return recording === null
    ? { problem: 'is a damaged recording: its contents are not what a recording has' }
    : { recording };
}

function digestOf(body: Uint8Array): string {
  return new Hash().bytes(body).digest();
}

function documentIn(body: Uint8Array, unpack: Packing['unpack']): unknown {
  const unpacked = unpack(body);
  if (unpacked === null) return null;
  try {
    return JSON.parse(decodeUtf8(unpacked));
  } catch {
    return null;
  }
}

type PlainName = readonly [name: string, start: string, end: string];
type PlainLine = readonly [
  address: string,
  lengthBytes: number,
  file: number,
  line: number,
  isCode: boolean,
];

interface PlainSymbols {
  readonly names: readonly PlainName[];
  readonly files: readonly string[];
  readonly lines: readonly PlainLine[];
}

/** Names for addresses as a document has them; null for none. */
export function symbolDocument(symbols: SymbolData | null): unknown {
  return symbols && plainSymbols(symbols);
}

/** What {@link symbolDocument} made a document of; undefined for something else. */
export function symbolsOfDocument(value: unknown): SymbolData | null | undefined {
  if (!isSymbolsOrNull(value)) return undefined;
  return value && symbolsOf(value);
}

/** Addresses in hexadecimal digits; names of files once. */
function plainSymbols({ names, lines }: SymbolData): PlainSymbols {
  const files = [...new Set(lines.map(({ file }) => file))];
  const numbers = new Map(files.map((file, i) => [file, i]));
  return {
    names: names.map(({ name, start, end }) => [name, start.toString(16), end.toString(16)]),
    files,
    lines: lines.map(({ address, lengthBytes, file, line, isCode }) => {
      return [address.toString(16), lengthBytes, numbers.get(file) ?? 0, line, isCode];
    }),
  };
}

function symbolsOf({ names, files, lines }: PlainSymbols): SymbolData {
  return {
    names: names.map(
      ([name, start, end]): NamedRange => ({ name, start: longOf(start), end: longOf(end) }),
    ),
    lines: lines.map(([address, lengthBytes, file, line, isCode]): SourceLine => {
      return { address: longOf(address), lengthBytes, file: files[file], line, isCode };
    }),
  };
}

function longOf(digits: string): Long {
  return Long.fromString(digits, true, 16);
}

// What is read is of a shape if it passes the check; the checks mirror the declarations.

type Check<T> = (value: unknown) => value is T;

const isText: Check<string> = (value) => typeof value === 'string';
const isCount: Check<number> = (value): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
const isWhole: Check<number> = (value): value is number => Number.isSafeInteger(value);
const isFlag: Check<boolean> = (value) => typeof value === 'boolean';
const matches =
  (pattern: RegExp): Check<string> =>
  (value): value is string =>
    isText(value) && pattern.test(value);
const isAddress = matches(/^[\da-f]{1,16}$/);
const isHash = matches(/^[\da-f]{32}$/);
const isMark = matches(/^[\da-f]{8}$/);

function listOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.every(check);
}

function recordOf<T>(checks: { readonly [K in keyof T]: Check<T[K]> }): Check<T> {
  const entries = Object.entries(checks) as [string, Check<unknown>][];
  return (value): value is T =>
    typeof value === 'object' &&
    value !== null &&
    entries.every(([key, check]) => check((value as Record<string, unknown>)[key]));
}

/** Lists of a fixed length. */
function tupleOf<T extends readonly unknown[]>(
  checks: { readonly [K in keyof T]: Check<T[K]> },
): Check<T> {
  const each = checks as readonly Check<unknown>[];
  return (value): value is T =>
    Array.isArray(value) &&
    value.length === each.length &&
    each.every((check, i) => check(value[i]));
}

const isSample = recordOf<Sample>({
  time: isCount,
  event: isCount,
  instructions: isCount,
  hash: isHash,
  rips: listOf(isAddress),
});

const isEnd = recordOf<RecordedEnd>({
  sample: isSample,
  status: isText,
  exitCode: isCount,
  message: isText,
  output: isHash,
});

/** What a terminal shows as it is. */
const isLine = matches(/^[ -~]{1,1000}$/);

const isTrace: Check<RecordedTrace> = recordOf<RecordedTrace>({
  kept: listOf(tupleOf<KeptRecord>([isWhole, isLine])),
  stride: (value): value is number => isCount(value) && value > 0,
  count: isCount,
  marks: listOf(isMark),
  last: isMark,
});

const isRun = recordOf<RecordedRun>({ samples: listOf(isSample), end: isEnd, trace: isTrace });

const isSymbols = recordOf<PlainSymbols>({
  names: listOf(tupleOf<PlainName>([isText, isAddress, isAddress])),
  files: listOf(isText),
  lines: listOf(tupleOf<PlainLine>([isAddress, isCount, isCount, isCount, isFlag])),
});

const isSymbolsOrNull: Check<PlainSymbols | null> = (value): value is PlainSymbols | null => {
  if (value === null) return true;
  return isSymbols(value) && value.lines.every(([, , file]) => file < value.files.length);
};

const hasParts = recordOf<{
  vmxlab: string;
  symbols: readonly (PlainSymbols | null)[];
  sources: readonly RecordedSource[];
  run: RecordedRun;
  scenario: unknown;
}>({
  vmxlab: matches(/^[\w.+-]{1,40}$/),
  symbols: listOf(isSymbolsOrNull),
  sources: listOf(tupleOf<RecordedSource>([isText, isText])),
  run: isRun,
  scenario: (value): value is unknown => typeof value === 'object' && value !== null,
});

function recordingOf(document: unknown): Recording | null {
  if (!hasParts(document)) return null;
  const { vmxlab, scenario, symbols, sources, run } = document;
  const maps = symbols.map((one) => one && symbolsOf(one));
  return { vmxlab, scenario, symbols: maps, sources, run };
}
