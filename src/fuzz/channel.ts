// The ways by which bytes of a case come to its program: at a label, by the serial port, as modules
// of a multiboot loader. Whoever changes bytes, or leaves some out, need not know by which.

import { inputBytes, type Scenario, type SerialInput, serialInputOf } from '../machine/index.ts';
import type { FuzzCase } from './case.ts';

export interface Channel {
  readonly kind: 'input' | 'serial' | 'module';
  /** Which module; else 0. */
  readonly index: number;
  /** Bytes at most. */
  readonly roomBytes: number;
}

/** By the key of the scenario that gives the bytes. */
const KINDS: Readonly<Record<string, Channel['kind']>> = {
  'vms[].input': 'input',
  'vms[].serial_input': 'serial',
  'vms[].modules': 'module',
};

/** Bytes that come by the serial port, or are in a module, if nobody says how many. */
export const SERIAL_BYTES = 64;
const MODULE_BYTES = 256;

/** Nobody needs more. */
const MOST_BYTES = 2 ** 20;

const NO_BYTES = new Uint8Array();

/** What a program and its scenario have for bytes to come by. */
export interface Places {
  readonly scenario: Scenario;
  /** Bytes that the program has room for at its label; null if it has no such label. */
  readonly labelBytes: number | null;
  /** Contents of the modules of the first machine. */
  readonly modules: readonly Uint8Array[];
}

/**
 * The channels of `KEY` or `KEY=0..MOST`, if that is a key that gives bytes; what is wrong with it;
 * or null for other keys.
 */
export function parseChannels(
  text: string,
  places: Places,
): { readonly channels: readonly Channel[] } | { readonly problem: string } | null {
  const [key, range] = text.split('=', 2);
  if (!Object.hasOwn(KINDS, key)) return null;
  const most = range === undefined ? null : mostOf(range);
  if (most === undefined) {
    return { problem: `${key}: expected a length as 0..64, not '${range}'` };
  }
  return channelsOf(KINDS[key], most, places);
}

function mostOf(range: string): number | undefined {
  const [, most] = /^0\.\.(\d{1,7})$/.exec(range) ?? [];
  return most === undefined ? undefined : Math.min(Number(most), MOST_BYTES);
}

function channelsOf(kind: Channel['kind'], most: number | null, places: Places) {
  const { labelBytes, modules } = places;
  switch (kind) {
    case 'input':
      if (labelBytes === null) {
        return { problem: 'vms[].input: the program has no label fuzz_input with room behind it' };
      }
      return {
        channels: [{ kind, index: 0, roomBytes: Math.min(most ?? labelBytes, labelBytes) }],
      };
    case 'serial':
      return { channels: [{ kind, index: 0, roomBytes: most ?? SERIAL_BYTES }] };
    case 'module':
      if (modules.length === 0) return { problem: 'vms[].modules: the program is given none' };
      return {
        channels: modules.map(({ length }, index) => {
          return { kind, index, roomBytes: most ?? Math.max(MODULE_BYTES, 2 * length) };
        }),
      };
  }
}

export function bytesOf(one: FuzzCase, { kind, index }: Channel): Uint8Array {
  switch (kind) {
    case 'input':
      return one.input ?? NO_BYTES;
    case 'serial':
      return one.serial?.bytes ?? NO_BYTES;
    case 'module':
      return one.modules?.[index] ?? NO_BYTES;
  }
}

/** The same case with other bytes; pauses stay before the byte of that number. */
export function withBytes(
  one: FuzzCase,
  { kind, index }: Pick<Channel, 'kind' | 'index'>,
  bytes: Uint8Array,
): FuzzCase {
  switch (kind) {
    case 'input':
      return { ...one, input: bytes };
    case 'serial': {
      const pauses = (one.serial?.pauses ?? []).filter(({ at }) => at < bytes.length);
      return { ...one, serial: { bytes, pauses } };
    }
    case 'module':
      return { ...one, modules: (one.modules ?? []).with(index, bytes) };
  }
}

/** The channels that a case has bytes for. */
export function channelsIn({ input, serial, modules }: FuzzCase): Channel[] {
  const roomBytes = MOST_BYTES;
  return [
    ...(input === null ? [] : [{ kind: 'input' as const, index: 0, roomBytes }]),
    ...(serial === undefined ? [] : [{ kind: 'serial' as const, index: 0, roomBytes }]),
    ...(modules ?? []).map((_, index) => ({ kind: 'module' as const, index, roomBytes })),
  ];
}

/** What the scenario gives by some channels. */
export function givenBytes(channels: readonly Channel[], places: Places): FuzzCase {
  const has = (kind: Channel['kind']) => channels.some((channel) => channel.kind === kind);
  const { input, serial_input: serial } = places.scenario.vms[0];
  return {
    input: has('input') ? (inputBytes(input) ?? NO_BYTES) : null,
    ...(has('serial') ? { serial: serialInputOf(serial) ?? NOTHING_SERIAL } : {}),
    ...(has('module') ? { modules: places.modules } : {}),
    parameters: {},
    schedule: null,
  };
}

const NOTHING_SERIAL: SerialInput = { bytes: NO_BYTES, pauses: [] };
