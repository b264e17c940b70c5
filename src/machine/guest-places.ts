// Places in a guest that faults and properties name: code by symbol or linear address, a word of
// memory by symbol or guest-physical address with its size.

import Long from 'long';
import { LINE_SIZE } from '../memory/index.ts';
import { nearest } from '../sim/index.ts';
import type { SymbolMap } from './symbol-map.ts';

/** Where code stands. */
export interface CodePlace {
  readonly kind: 'code';
  readonly vm: number;
  /** As it was named. */
  readonly name: string;
  readonly linear: Long;
}

/** A word in guest RAM, little-endian. */
export interface WordPlace {
  readonly kind: 'word';
  readonly vm: number;
  readonly name: string;
  readonly gpa: number;
  readonly lengthBytes: number;
}

/** Where a guest's names lead. */
export interface NamedRam {
  readonly symbols: SymbolMap;
  readonly ramBytes: number;
}

export type GuestPlace = CodePlace | WordPlace;

const ADDRESS = /^0x[\da-f]{1,16}$/i;
const WORD = /^(.+?)(?::([1248]))?$/;
const WORD_BYTES = 4;

/**
 * The places that a text names, in each of some machines that has it; or what is wrong with it.
 * @param rams of each machine
 * @param vms numbers of those that are meant
 */
export function guestPlaces(
  kind: GuestPlace['kind'],
  text: string,
  rams: readonly NamedRam[],
  vms: readonly number[],
): readonly GuestPlace[] | string {
  const [, name, size] = kind === 'word' ? (WORD.exec(text) ?? []) : ['', text, undefined];
  if (name === undefined) return `expected a symbol or address, not '${text}'`;
  const found = vms.flatMap((vm): GuestPlace[] => {
    const at = ADDRESS.test(name)
      ? Long.fromString(name.slice(2), true, 16)
      : (rams[vm]?.symbols.addressOf(name) ?? null);
    if (at === null) return [];
    if (kind === 'code') return [{ kind, vm, name: text, linear: at }];
    const lengthBytes = size === undefined ? WORD_BYTES : Number(size);
    return [{ kind, vm, name: text, gpa: at.toUnsigned().toNumber(), lengthBytes }];
  });
  if (found.length === 0) return unknownSymbol(name, rams, vms);
  for (const place of found) {
    const problem = place.kind === 'word' ? wordProblem(place, rams[place.vm]) : null;
    if (problem !== null) return problem;
  }
  return found;
}

/** Words are watched by cache line. */
function wordProblem({ name, gpa, lengthBytes }: WordPlace, { ramBytes }: NamedRam): string | null {
  if (gpa + lengthBytes > ramBytes) {
    return `'${name}' is not in the guest's memory, which ends at 0x${ramBytes.toString(16)}`;
  }
  if ((gpa % LINE_SIZE) + lengthBytes <= LINE_SIZE) return null;
  return `'${name}' lies across two lines of ${LINE_SIZE} bytes; expected a word in one`;
}

function unknownSymbol(name: string, rams: readonly NamedRam[], vms: readonly number[]): string {
  const known = vms.flatMap((vm) => rams[vm]?.symbols.names.map((symbol) => symbol.name) ?? []);
  const near = nearest(name, known);
  const hint =
    near !== null
      ? `did you mean '${near}'?`
      : known.length === 0
        ? 'the program has none; an address is written as 0x100000'
        : 'expected a symbol of the program, or an address such as 0x100000';
  return `no symbol '${name}'; ${hint}`;
}
