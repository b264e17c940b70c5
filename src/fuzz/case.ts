// What one run is made of: the program's input, values of the scenario, and the order of steps.
// Plain data, kept in files that are named by their contents.

import {
  inputBytes,
  inputText,
  type SerialInput,
  serialInputOf,
  serialText,
} from '../machine/index.ts';
import { Hash } from '../sim/index.ts';

/** A value as a scenario document has it. */
export type ParameterValue = number | string | boolean;

/** Which way the vCPUs' steps go. */
export interface CaseSchedule {
  /** Steps that are taken first, as far as they can be; see `printSchedule` of explore. */
  readonly prefix: string;
  /** Decides the rest. */
  readonly seed: number;
}

export interface FuzzCase {
  /** What the program finds at `fuzz_input`; null if it expects no input. */
  readonly input: Uint8Array | null;
  /** What comes to its serial port; left out if that is what the scenario says. */
  readonly serial?: SerialInput;
  /** Contents of its modules, of all of them; left out if they are as the scenario says. */
  readonly modules?: readonly Uint8Array[];
  /** By key of the scenario, such as `vms[].kvm.ple_window`; in a list, of every entry. */
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  /** Null where virtual time decides. */
  readonly schedule: CaseSchedule | null;
}

const FORMAT = 'vmxlab fuzz case';
const VERSION = 1;

/** The contents of a case's file. */
export function caseText({ input, serial, modules, parameters, schedule }: FuzzCase): string {
  const names = Object.keys(parameters).sort();
  const document = {
    format: FORMAT,
    version: VERSION,
    input: input === null ? null : inputText(input),
    ...(serial === undefined ? {} : { serial: serialText(serial) }),
    ...(modules === undefined ? {} : { modules: modules.map(inputText) }),
    parameters: Object.fromEntries(names.map((name) => [name, parameters[name]])),
    schedule,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Sixteen hexadecimal digits that tell cases apart. */
export function caseHash(one: FuzzCase): string {
  return new Hash().text(caseText(one)).digest().slice(0, 16);
}

/** The case in a file, or what is wrong with it, as the rest of a sentence about the file. */
export function parseCase(
  text: string,
): { readonly case: FuzzCase } | { readonly problem: string } {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return { problem: 'is no case of vmxlab fuzz: no JSON' };
  }
  if (!isRecord(data) || data.format !== FORMAT) return { problem: 'is no case of vmxlab fuzz' };
  if (data.version !== VERSION) return { problem: `version ${data.version} is not known` };
  const { input, parameters, schedule } = data;
  const bytes = typeof input === 'string' ? inputBytes(input) : null;
  if (input !== null && bytes === null) return { problem: 'input: expected hexadecimal digits' };
  const other = otherBytes(data);
  if ('problem' in other) return other;
  if (!isRecord(parameters) || !Object.values(parameters).every(isValue)) {
    return { problem: 'parameters: expected keys of a scenario, and their values' };
  }
  if (schedule !== null && !isSchedule(schedule)) {
    return { problem: 'schedule: expected null, or a prefix and a seed' };
  }
  return {
    case: { input: bytes, ...other, parameters: parameters as FuzzCase['parameters'], schedule },
  };
}

/** What comes to the program otherwise than at its label. */
function otherBytes({
  serial: text,
  modules: digits,
}: Readonly<Record<string, unknown>>):
  | Pick<FuzzCase, 'serial' | 'modules'>
  | { readonly problem: string } {
  const serial = typeof text === 'string' ? serialInputOf(text) : null;
  if (text !== undefined && serial === null) {
    return { problem: 'serial: expected hexadecimal digits and pauses' };
  }
  const texts: readonly unknown[] | null = Array.isArray(digits) ? digits : null;
  const modules = texts?.map((one) => (typeof one === 'string' ? inputBytes(one) : null));
  if (digits !== undefined && (modules === undefined || modules.includes(null))) {
    return { problem: 'modules: expected hexadecimal digits for each' };
  }
  return {
    ...(serial === null ? {} : { serial }),
    ...(modules === undefined ? {} : { modules: modules as Uint8Array[] }),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isValue(value: unknown): value is ParameterValue {
  return ['number', 'string', 'boolean'].includes(typeof value);
}

function isSchedule(value: unknown): value is CaseSchedule {
  if (!isRecord(value)) return false;
  return typeof value.prefix === 'string' && Number.isSafeInteger(value.seed);
}
