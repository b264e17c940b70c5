// From a path on the command line to what a machine needs: a checked scenario and program bytes.
// What begins with the ELF magic is an ELF image, whatever its name, and what begins as recordings
// do is one. Else a `.yaml`, `.yml` or
// `.json` file is a scenario, `.asm`, `.nasm`, `.s` and `.S` are assembled, and anything else is a
// flat binary.

import { existsSync } from 'node:fs';
import { dirname, extname, isAbsolute, join } from 'node:path';
import Long from 'long';
import {
  type Assembled,
  assembleFiles,
  type Diagnostic,
  formatDiagnostic,
  type ReadFile,
  type Syntax,
} from '../asm/index.ts';
import type { Recording } from '../debug/index.ts';
import { ScheduleOrder, type ScheduleOrderOptions, timeless } from '../explore/index.ts';
import {
  applySettings,
  bootRequestOf,
  checkScenario,
  type ElfImage,
  elfOf,
  faultPlaceIssues,
  flatStart,
  type GivenSetting,
  hasMultibootHeader,
  type Issue,
  inputProblem,
  isElf,
  isGivenAt,
  LOAD_ADDRESS,
  loadProblem,
  type MachineOptions,
  moduleFile,
  namedPolicies,
  type PolicyFunctions,
  ProgramData,
  parseScenarioText,
  printPath,
  printSize,
  programSymbols,
  readHeader,
  roomForProgram,
  type Scenario,
  type ScenarioDocument,
  SETTINGS,
  SymbolMap,
} from '../machine/index.ts';
import { Failure } from './failure.ts';
import { firstBytes, gibibytes, isFile, readBytes, readText, sizeOf } from './files.ts';
import { loadPolicies } from './policies.ts';
import { isRecordingFile, readRecording } from './recording-file.ts';
import { isScheduleText, readSchedule, SCHEDULE_MAGIC_BYTES } from './schedule-file.ts';

export interface Input {
  readonly scenario: Scenario;
  readonly programs: readonly Uint8Array[];
  /** The files of each program's modules. */
  readonly modules: readonly (readonly Uint8Array[])[];
  /** Names for the addresses of each program, if a source gave some. */
  readonly symbols: readonly (SymbolMap | null)[];
  /** Where included files were found, by the names that their includers gave them. */
  readonly places: ReadonlyMap<string, string>;
  /** The text of sources that came with a recording, by their names. */
  readonly sources: ReadonlyMap<string, string>;
  /** The code of policies that the scenario names. */
  readonly policies: PolicyFunctions;
  /** Who decides the order of everything, if not time does. */
  readonly order?: MachineOptions['order'];
  /** Warnings of the assembler, to be shown. */
  readonly warnings: readonly string[];
}

/** What the command line says about assembling. */
export interface AssemblyOptions {
  /** Macros from `-D`. */
  readonly defines: Readonly<Record<string, string>>;
  /** Folders from `-I`. */
  readonly includes: readonly string[];
  /** What the sources are written in, if their names do not tell. */
  readonly syntax: Syntax | undefined;
  /** Sources that are linked behind the first. */
  readonly linked: readonly string[];
}

export interface InputOptions extends AssemblyOptions {
  readonly flags: readonly GivenSetting[];
}

/** Programs that are assembled as their scenario says, and nothing else. */
export const NO_INPUT_OPTIONS: InputOptions = {
  flags: [],
  defines: {},
  includes: [],
  syntax: undefined,
  linked: [],
};

const SCENARIO_EXTENSIONS = ['.yaml', '.yml', '.json'];
const SOURCE_EXTENSIONS = ['.asm', '.nasm', '.s'];

export function isSource(path: string): boolean {
  return SOURCE_EXTENSIONS.includes(extname(path).toLowerCase());
}

export function isScenario(path: string): boolean {
  return SCENARIO_EXTENSIONS.includes(extname(path).toLowerCase());
}

/** True if the file is there and begins with the ELF magic. */
export function isElfFile(path: string): boolean {
  return isElf(firstBytes(path, 4));
}

/** Load a program or scenario. Throws {@link Failure} with everything that is wrong. */
export function loadInput(path: string, options: InputOptions): Input {
  const other = [path, ...options.linked].find((file) => !isSource(file));
  if (options.linked.length > 0 && other !== undefined) {
    throw new Failure(`${other}: only assembly sources are linked to one program`);
  }
  if (isScheduleFile(path)) return inputOfSchedule(path, options);
  if (isRecordingFile(path)) return inputOfRecording(path, readRecording(path), options);
  return isScenario(path) && !isElfFile(path)
    ? loadScenario(path, options)
    : loadProgram(path, options);
}

/** One bracket too many can make YAML complain about every line after it. */
const MAX_SYNTAX_ERRORS = 20;

function loadScenario(path: string, options: InputOptions): Input {
  const { document, describe } = readDocument(path);
  return loadDocument(document, dirname(path), options, describe);
}

/** A YAML or JSON file of keys and values. */
export interface DocumentFile {
  readonly document: ScenarioDocument;
  /** An issue as a message with the line that it is about. */
  readonly describe: (issue: Issue) => string;
}

/**
 * Read a scenario, or something else that is written like one. Throws {@link Failure}.
 * @param expected what the file is, if it is no scenario
 */
export function readDocument(path: string, expected?: string): DocumentFile {
  const text = readText(path, 'scenario');
  const parsed = parseScenarioText(text, expected);
  if (parsed.kind === 'errors') {
    const shown = parsed.errors.slice(0, MAX_SYNTAX_ERRORS);
    throw new Failure(shown.map((error) => pointAt(path, text, error)));
  }
  const describe = (issue: Issue) => {
    const message = `${printPath(issue.path)}: ${issue.message}`;
    return pointAt(path, text, { ...parsed.placeOf(issue.path), message });
  };
  return { document: parsed.document, describe };
}

/**
 * Load a scenario that is no file.
 * @param folder where its programs are
 * @param describe an issue as a line for the user
 */
export function loadDocument(
  document: ScenarioDocument,
  folder: string,
  options: InputOptions,
  describe: (issue: Issue) => string,
): Input {
  const scenario = check(document, options, describe);
  const missing = scenario.vms.flatMap((vm, i): Issue[] => {
    const isThere = vm.image !== '' || existsSync(inFolder(folder, vm.program));
    return isThere ? [] : [{ path: ['vms', i, 'program'], message: `${vm.program}: no such file` }];
  });
  if (missing.length > 0) throw new Failure(missing.map(describe));
  return withPrograms(scenario, folder, options, describe);
}

/** True if the file is there and begins as schedules do. */
function isScheduleFile(path: string): boolean {
  return isScheduleText(new TextDecoder().decode(firstBytes(path, SCHEDULE_MAGIC_BYTES)));
}

/** What a schedule is of, in the order of the schedule. */
function inputOfSchedule(path: string, options: InputOptions): Input {
  const { schedule, storeBuffers, shared, violation, ...contained } = readSchedule(path);
  const input = inputOfContained(path, contained, options, 'schedule');
  const { kind, message } = violation;
  const order: ScheduleOrderOptions = {
    ...{ schedule, storeBuffers, shared },
    end: kind === 'livelock' ? message : `${kind}: ${message}`,
  };
  const scenario = timeless(input.scenario);
  return { ...input, scenario, order: (machine) => new ScheduleOrder(machine, order) };
}

/** What was recorded, with other settings if the command line gives some. */
export function inputOfRecording(path: string, recording: Recording, options: InputOptions): Input {
  return inputOfContained(path, recording, options, 'recording');
}

function inputOfContained(
  path: string,
  {
    scenario: document,
    symbols,
    sources = [],
  }: Pick<Recording, 'scenario' | 'symbols'> & Partial<Pick<Recording, 'sources'>>,
  options: InputOptions,
  what: 'recording' | 'schedule',
): Input {
  const describe = ({ path: where, message }: Issue) => `${path}: ${printPath(where)}: ${message}`;
  const scenario = check(document as ScenarioDocument, options, describe);
  // A file from elsewhere does not decide which files of ours are read, let alone executed.
  const isWhole = scenario.vms.every(
    ({ image, modules, module_images: images }) => image !== '' && images.length === modules.length,
  );
  if (!isWhole || symbols.length !== scenario.vms.length || namedPolicies(scenario).length > 0) {
    throw new Failure(`${path}: is a damaged ${what}: it does not contain its programs`);
  }
  const given = symbols.map((data) => data && SymbolMap.of(data));
  const input = withPrograms(scenario, dirname(path), options, describe, given);
  return { ...input, sources: new Map(sources) };
}

function loadProgram(path: string, options: InputOptions): Input {
  let document: ScenarioDocument = { vms: [{ program: path }] };
  let describe = ({ path: where, message }: Issue) => `vmxlab: ${printPath(where)}: ${message}`;
  if (isSource(path) && !isElfFile(path)) {
    const text = readText(path, 'source');
    const { settings, problems } = readHeader(text);
    if (problems.length > 0) throw new Failure(problems.map((p) => pointAt(path, text, p)));
    document = applySettings(document, settings);
    const plain = describe;
    describe = (issue) => {
      const given = settings.findLast((one) => isGivenAt(one, issue.path));
      if (given === undefined) return plain(issue);
      const message = messageOf(given, issue);
      return pointAt(path, text, { ...given, message });
    };
  } else sizeOf(path);
  const scenario = check(document, options, describe);
  return withPrograms(scenario, '', options, describe);
}

/** A message with the line that it is about and a caret, as the assembler prints its own. */
export function pointAt(
  file: string,
  text: string,
  { line, column, message }: { line: number; column: number; message: string },
): string {
  const sourceLine = text.split('\n', line)[line - 1]?.trimEnd() ?? '';
  const rest = { severity: 'error', expected: [], chain: [] } as const;
  return formatDiagnostic({ file, line, column, message, sourceLine, ...rest });
}

function check(
  document: ScenarioDocument,
  options: InputOptions,
  describe: (issue: Issue) => string,
): Scenario {
  const checked = checkScenario(applySettings(document, options.flags));
  if ('scenario' in checked) return checked.scenario;
  throw failureOf(checked.issues, options, describe);
}

/** What is wrong with a scenario; where a flag gave it, in terms of the flag. */
function failureOf(
  issues: readonly Issue[],
  options: InputOptions,
  describe: (issue: Issue) => string,
): Failure {
  const lines = issues.map((issue) => {
    const given = options.flags.findLast((one) => isGivenAt(one, issue.path));
    return given === undefined ? describe(issue) : `vmxlab: --${messageOf(given, issue)}`;
  });
  return new Failure([...new Set(lines)]);
}

/** `seed: expected ...`, or `parameter: NAME: expected ...` */
function messageOf({ setting }: GivenSetting, { path, message }: Issue): string {
  const name = setting.isNamed ? `${path.at(-1)}: ` : '';
  return `${setting.flag}: ${name}${message}`;
}

interface LoadedProgram {
  readonly bytes: Uint8Array;
  /** How a flat program has to start, if its source says. */
  readonly start?: 'protected';
  readonly symbols: SymbolMap | null;
  readonly warnings: readonly Diagnostic[];
}

function withPrograms(
  scenario: Scenario,
  folder: string,
  options: InputOptions,
  describe: (issue: Issue) => string,
  given: readonly (SymbolMap | null)[] = [],
): Input {
  const isAnyAssembled = scenario.vms.some((vm) => isAssembled(vm, folder));
  if (Object.keys(options.defines).length > 0 && !isAnyAssembled) {
    throw new Failure('-D: expected a source to assemble; images run as they are');
  }
  const places = new Map<string, string>();
  const programs = scenario.vms.map((vm, id) => {
    const modules = vm.modules.map((text, i) => {
      const image = vm.module_images[i];
      if (image !== undefined) return Buffer.from(image, 'base64');
      return readBytes(inFolder(folder, moduleFile(text)));
    });
    const loaded = { ...programOf(vm, folder, options, places), modules };
    const name = vm.program === '' ? 'image' : inFolder(folder, vm.program);
    const problem = loadProblem(loaded.bytes, bootRequestOf(vm, modules), vm.memory);
    if (problem !== null) throw new Failure(`${name}: ${problem}`);
    const symbols = loaded.symbols ?? given[id] ?? null;
    const issues = parameterIssues(name, { ...loaded, symbols }, vm, id);
    if (issues.length > 0) throw failureOf(issues, options, describe);
    return { ...loaded, symbols };
  });
  if (scenario.faults.length > 0) {
    const rams = programs.map(({ bytes, symbols }, i) => ({
      symbols: programSymbols(bytes, symbols),
      ramBytes: scenario.vms[i].memory,
    }));
    const issues = faultPlaceIssues(scenario.faults, rams);
    if (issues.length > 0) throw failureOf(issues, options, describe);
  }
  const vms = scenario.vms.map((vm, i) => ({ ...vm, start: programs[i].start ?? vm.start }));
  return {
    scenario: { ...scenario, vms },
    programs: programs.map(({ bytes }) => bytes),
    modules: programs.map(({ modules }) => modules),
    symbols: programs.map(({ symbols }) => symbols),
    places,
    sources: new Map(),
    policies: loadPolicies(scenario, folder),
    warnings: programs.flatMap(({ warnings }) => warnings.map(formatDiagnostic)),
  };
}

type VmScenario = Scenario['vms'][number];

/** What is wrong with what a program is given; throws {@link Failure} if its labels are. */
function parameterIssues(
  file: string,
  { bytes, symbols }: LoadedProgram,
  { memory, parameters, input }: VmScenario,
  id: number,
): readonly Issue[] {
  const data = new ProgramData(bytes, programSymbols(bytes, symbols), memory);
  const wrongInput = inputProblem(data, input);
  return [
    ...data.issues(parameters).map(({ name, message }) => {
      if (name === null) throw new Failure(`${file}: ${message}`);
      return { path: ['vms', id, 'parameters', name], message };
    }),
    ...(wrongInput === null ? [] : [{ path: ['vms', id, 'input'], message: wrongInput }]),
  ];
}

function isAssembled({ image, program }: VmScenario, folder: string): boolean {
  const path = inFolder(folder, program);
  return image === '' && isSource(path) && !isElfFile(path);
}

function programOf(
  vm: VmScenario,
  folder: string,
  options: InputOptions,
  places: Map<string, string>,
): LoadedProgram {
  if (vm.image !== '') {
    const bytes = Buffer.from(vm.image, 'base64');
    if (isPlain(bytes)) checkFits('image', bytes.length, vm.memory);
    return { bytes, symbols: null, warnings: [] };
  }
  const path = inFolder(folder, vm.program);
  if (!isAssembled(vm, folder)) {
    return { bytes: readImage(path, vm.memory), symbols: null, warnings: [] };
  }
  const defines = { ...vm.defines, ...options.defines };
  const assembled = assembleFile(path, { ...options, defines }, places);
  const { bytes, origin, warnings } = assembled;
  if (bytes.length === 0) throw new Failure(`${path}: has no instructions to run`);
  if (isPlain(bytes)) {
    checkOrigin(path, origin);
    checkFits(path, endOf(assembled), vm.memory);
  }
  const start = vm.start === 'auto' && isPlain(bytes) ? startOf(path, assembled) : {};
  return { bytes, symbols: SymbolMap.ofAssembly(assembled), warnings, ...start };
}

/** A source for 32 bits starts in 32-bit protected mode. */
function startOf(path: string, { lineMap }: AssembledOk): Pick<LoadedProgram, 'start'> {
  const start = flatStart(lineMap);
  if (start === null) {
    throw new Failure(
      `${path}: begins with 16-bit code, but programs start in 64-bit mode, or after 'bits 32' ` +
        'in 32-bit protected mode',
    );
  }
  return start === 'protected' ? { start } : {};
}

/** True for a flat binary, which says nothing of where it goes. */
function isPlain(program: Uint8Array): boolean {
  return !isElf(program) && !hasMultibootHeader(program);
}

/** Relative paths of a scenario are relative to it. */
function inFolder(folder: string, path: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

type AssembledOk = Extract<Assembled, { kind: 'ok' }>;

/** Bytes of memory that a program takes, sections without contents included. */
function endOf({ bytes, origin, sections }: AssembledOk): number {
  const ends = sections.map(
    ({ address, lengthBytes }) => address.sub(origin).toNumber() + lengthBytes,
  );
  return Math.max(bytes.length, ...ends);
}

/**
 * Assemble a file with its includes and with what is linked behind it. Throws {@link Failure} with
 * every error of the sources.
 * @param places where included files were found is entered here, by their names
 */
export function assembleFile(
  path: string,
  options: AssemblyOptions,
  places = new Map<string, string>(),
): AssembledOk {
  const paths = [path, ...options.linked];
  const { syntax } = options;
  const assembled = assembleFiles(
    paths.map((name) => {
      const source = { name, text: readText(name, 'source') };
      return syntax === undefined ? source : { ...source, syntax };
    }),
    {
      readFile: includeReader(paths, options.includes, places),
      defines: options.defines,
      origin: Long.fromNumber(LOAD_ADDRESS),
    },
  );
  if (assembled.kind === 'ok') return assembled;
  throw new Failure([
    ...assembled.warnings.map(formatDiagnostic),
    ...assembled.errors.map(formatDiagnostic),
    countErrors(assembled.errors),
  ]);
}

function countErrors(errors: readonly Diagnostic[]): string {
  return errors.length === 1 ? '1 error' : `${errors.length} errors`;
}

/** Includes are looked for beside the sources, then in the given folders, then where we are. */
function includeReader(
  sources: readonly string[],
  folders: readonly string[],
  found: Map<string, string>,
): ReadFile {
  return (path, kind) => {
    const candidates = isAbsolute(path)
      ? [path]
      : [...sources.map((source) => dirname(source)), ...folders, '.'].map((folder) =>
          join(folder, path),
        );
    for (const place of candidates) {
      if (!isFile(place)) continue;
      found.set(path, place);
      return kind === 'text' ? readText(place, 'source') : readBytes(place);
    }
    return null;
  };
}

function checkOrigin(path: string, origin: Long): void {
  if (origin.eq(LOAD_ADDRESS)) return;
  const expected = `0x${LOAD_ADDRESS.toString(16)}`;
  throw new Failure(
    `${path}: org 0x${origin.toString(16)}, but programs are loaded at ${expected}; ` +
      `write 'org ${expected}', or leave it out`,
  );
}

/** The image in the bytes of an ELF file. Throws {@link Failure} if it is none. */
export function elfImage(name: string, bytes: Uint8Array): ElfImage {
  const image = elfOf(bytes);
  if (image?.kind === 'image') return image;
  throw new Failure(`${name}: ${image?.message ?? 'is no ELF file'}`);
}

function checkFits(path: string, lengthBytes: number, memory: number): void {
  const room = roomForProgram(memory);
  if (lengthBytes <= room) return;
  const most = SETTINGS.find(({ flag }) => flag === 'memory')?.expected;
  throw new Failure(
    `${path}: the program takes ${gibibytes(lengthBytes)}, but ${printSize(memory)} of memory ` +
      `leave ${gibibytes(room)} above the load address; --memory gives more (${most})`,
  );
}

/** Bytes of a file in which a multiboot header is looked for. */
const HEADER_SEARCH_BYTES = 8192;

function readImage(path: string, memory: number): Uint8Array {
  // A flat binary that is too large is not read at all.
  const isFlat = isPlain(firstBytes(path, HEADER_SEARCH_BYTES));
  if (isFlat) checkFits(path, sizeOf(path), memory);
  const bytes = readBytes(path);
  if (bytes.length === 0) throw new Failure(`${path}: is empty`);
  return bytes;
}
