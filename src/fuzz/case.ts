// What one run is made of: the program's input, values of the scenario, and the order of steps.
// Plain data, kept in files that are named by their contents.

import { inputBytes, inputText } from '../machine/index.ts';
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
  /** By key of the scenario, such as `vms[].kvm.ple_window`; in a list, of every entry. */
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  /** Null where virtual time decides. */
  readonly schedule: CaseSchedule | null;
}

const FORMAT = 'vmxlab fuzz case';
const VERSION = 1;

/** The contents of a case's file. */
export function caseText({ input, parameters, schedule }: FuzzCase): string {
  const names = Object.keys(parameters).sort();
  const document = {
    format: FORMAT,
    version: VERSION,
    input: input === null ? null : inputText(input),
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
  if (!isRecord(parameters) || !Object.values(parameters).every(isValue)) {
    return { problem: 'parameters: expected keys of a scenario, and their values' };
  }
  if (schedule !== null && !isSchedule(schedule)) {
    return { problem: 'schedule: expected null, or a prefix and a seed' };
  }
  return {
    case: { input: bytes, parameters: parameters as FuzzCase['parameters'], schedule },
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
