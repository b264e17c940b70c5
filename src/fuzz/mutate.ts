// Changes to a case: bytes of the input, values of the scenario, the order of steps.

import type { SerialInput, SerialPause } from '../machine/index.ts';
import type { Prng } from '../sim/index.ts';
import type { CaseSchedule, FuzzCase } from './case.ts';
import { bytesOf, type Channel, withBytes } from './channel.ts';
import { type Domain, mutateValue } from './domain.ts';

export interface MutationOptions {
  /** By which bytes come to the program. */
  readonly channels: readonly Channel[];
  readonly domains: readonly Domain[];
  /** The order of steps may vary. */
  readonly hasSchedule: boolean;
  /** Numbers that the program compares with, as the bytes that they have in memory. */
  readonly tokens: readonly Uint8Array[];
}

type Kind = 'input' | 'parameters' | 'schedule';

/** Of so many changes to cases with an input, one is to something else. */
const OTHER_THAN_INPUT = 4;

/**
 * A case with something changed.
 * @param other another case to take something from
 * @param steps the order in which the steps of the case were taken, as text; empty if unknown
 */
export function mutateCase(
  one: FuzzCase,
  other: FuzzCase,
  steps: string,
  options: MutationOptions,
  prng: Prng,
): FuzzCase {
  const kind = chooseKind(options, prng);
  if (kind === 'schedule') {
    return { ...one, schedule: mutateSchedule(one.schedule, steps, prng) };
  }
  if (kind === 'parameters') {
    const { domains } = options;
    const domain = domains[prng.below(domains.length)];
    const value = mutateValue(domain, prng, one.parameters[domain.key]);
    return { ...one, parameters: { ...one.parameters, [domain.key]: value } };
  }
  return mutateInput(one, other, options, prng);
}

/** Of so many changes to what comes by the serial port, one is to when it comes. */
const OTHER_THAN_PAUSE = 6;

function mutateInput(
  one: FuzzCase,
  other: FuzzCase,
  { channels, tokens }: MutationOptions,
  prng: Prng,
): FuzzCase {
  const channel = channels.length === 1 ? channels[0] : channels[prng.below(channels.length)];
  const { serial } = one;
  const isTimed = channel.kind === 'serial' && serial !== undefined && serial.bytes.length > 0;
  if (isTimed && prng.below(OTHER_THAN_PAUSE) === 0) {
    return { ...one, serial: mutatePauses(serial, prng) };
  }
  const { roomBytes } = channel;
  const [old, second] = [bytesOf(one, channel), bytesOf(other, channel)];
  return withBytes(one, channel, mutateBytes(old, second, { roomBytes, tokens }, prng));
}

/** Pauses are powers of two, up to about 1 ms: a guest that polls is busy meanwhile. */
const LEAST_PAUSE_LOG = 9;
const MOST_PAUSE_LOG = 20;

/** One pause more or less, or another one. */
function mutatePauses({ bytes, pauses }: SerialInput, prng: Prng): SerialInput {
  const at = prng.below(bytes.length);
  const rest = pauses.filter((pause) => pause.at !== at);
  if (rest.length < pauses.length && prng.below(2) === 0) return { bytes, pauses: rest };
  const ns = 2 ** (LEAST_PAUSE_LOG + prng.below(MOST_PAUSE_LOG - LEAST_PAUSE_LOG + 1));
  const byPlace = (a: SerialPause, b: SerialPause) => a.at - b.at;
  return { bytes, pauses: [...rest, { at, ns }].sort(byPlace) };
}

function chooseKind({ channels, domains, hasSchedule }: MutationOptions, prng: Prng): Kind {
  const kinds: Kind[] = [];
  if (domains.length > 0) kinds.push('parameters');
  if (hasSchedule) kinds.push('schedule');
  const hasRoom = channels.some(({ roomBytes }) => roomBytes > 0);
  const isInput = hasRoom && (kinds.length === 0 || prng.below(OTHER_THAN_INPUT) !== 0);
  return isInput ? 'input' : kinds[prng.below(kinds.length)];
}

/** The same way up to some step, and then another one. */
function mutateSchedule(old: CaseSchedule | null, steps: string, prng: Prng): CaseSchedule {
  const words = steps === '' ? [] : steps.split(' ');
  const kept = prng.below(4) === 0 ? 0 : prng.below(words.length + 1);
  const prefix = prng.below(8) === 0 ? (old?.prefix ?? '') : words.slice(0, kept).join(' ');
  return { prefix, seed: prng.next() };
}

/** Values at which programs change their minds. */
const INTERESTING = [0, 1, 7, 8, 9, 10, 13, 15, 16, 31, 32, 48, 57, 64, 65, 90, 97, 122, 127, 128];

/** Several changes one after the other, up to so many, in powers of two. */
const MOST_CHANGES_LOG = 4;

/** Bytes with some changes, in the manner of AFL's havoc stage. */
export function mutateBytes(
  bytes: Uint8Array,
  other: Uint8Array,
  { roomBytes, tokens }: Pick<Channel, 'roomBytes'> & Pick<MutationOptions, 'tokens'>,
  prng: Prng,
): Uint8Array {
  let changed: number[] = [...bytes];
  const changes = 2 ** prng.below(MOST_CHANGES_LOG + 1);
  for (let i = 0; i < changes; i++) {
    const change = CHANGES[prng.below(CHANGES.length)];
    changed = change(changed, prng, other, tokens).slice(0, roomBytes);
  }
  return Uint8Array.from(changed);
}

type Change = (
  bytes: number[],
  prng: Prng,
  other: Uint8Array,
  tokens: readonly Uint8Array[],
) => number[];

function setByte(bytes: number[], prng: Prng, value: (old: number) => number): number[] {
  if (bytes.length === 0) return [value(0) & 0xff];
  const at = prng.below(bytes.length);
  bytes[at] = value(bytes[at]) & 0xff;
  return bytes;
}

/** Printable characters are more likely to be looked for than others. */
const printable = (prng: Prng) => 32 + prng.below(95);

const insert: Change = (bytes, prng) => {
  bytes.splice(prng.below(bytes.length + 1), 0, printable(prng));
  return bytes;
};

const remove: Change = (bytes, prng) => {
  if (bytes.length === 0) return bytes;
  bytes.splice(prng.below(bytes.length), 1 + prng.below(Math.min(bytes.length, 8)));
  return bytes;
};

const repeat: Change = (bytes, prng) => {
  if (bytes.length === 0) return bytes;
  const from = prng.below(bytes.length);
  const part = bytes.slice(from, from + 1 + prng.below(8));
  bytes.splice(prng.below(bytes.length + 1), 0, ...part);
  return bytes;
};

const splice: Change = (bytes, prng, other) => {
  const from = prng.below(other.length + 1);
  return [...bytes.slice(0, prng.below(bytes.length + 1)), ...other.slice(from)];
};

const overwriteWord: Change = (bytes, prng) => {
  const at = prng.below(bytes.length + 1);
  const value = INTERESTING[prng.below(INTERESTING.length)] * (prng.below(2) === 0 ? 1 : -1);
  for (let i = 0; i < 2 ** (1 + prng.below(3)); i++)
    bytes[at + i] = i < 4 ? (value >> (8 * i)) & 255 : 0;
  return bytes;
};

const putToken: Change = (bytes, prng, _other, tokens) => {
  if (tokens.length === 0) return bytes;
  const token = tokens[prng.below(tokens.length)];
  const at = prng.below(bytes.length + 1);
  const isInserted = prng.below(2) === 0;
  bytes.splice(at, isInserted ? 0 : token.length, ...token);
  return bytes;
};

const CHANGES: readonly Change[] = [
  (bytes, prng) => setByte(bytes, prng, (old) => old ^ (1 << prng.below(8))),
  (bytes, prng) => setByte(bytes, prng, () => prng.below(256)),
  (bytes, prng) => setByte(bytes, prng, () => prng.below(256)),
  (bytes, prng) => setByte(bytes, prng, () => printable(prng)),
  (bytes, prng) => setByte(bytes, prng, () => printable(prng)),
  (bytes, prng) => setByte(bytes, prng, (old) => old + 1 + prng.below(16)),
  (bytes, prng) => setByte(bytes, prng, (old) => old - 1 - prng.below(16)),
  (bytes, prng) => setByte(bytes, prng, () => INTERESTING[prng.below(INTERESTING.length)]),
  insert,
  remove,
  repeat,
  splice,
  overwriteWord,
  putToken,
];
