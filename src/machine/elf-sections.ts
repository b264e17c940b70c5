// The sections of an ELF file, and the symbols in them: gABI, "Sections", "String Table", "Symbol
// Table". They are only there to give names and lines: what cannot be read is left out, and the
// program runs without.

import type Long from 'long';
import { ByteReader } from './byte-reader.ts';
import { type ElfFormat, readSymbol } from './elf-format.ts';

/** An entry of the section header table. */
export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: Long;
  readonly lengthBytes: number;
  /** Empty if the file has none, or less than the header says. */
  readonly contents: Uint8Array;
  /** sh_link: of a symbol table, the section with its names. */
  readonly link: number;
}

/** A named address, from .symtab. */
export interface ElfSymbol {
  readonly name: string;
  readonly address: Long;
  /** st_size; 0 if the file does not say. */
  readonly lengthBytes: number;
  readonly isFunction: boolean;
  readonly isGlobal: boolean;
  /** The section that it is defined in. */
  readonly section: ElfSection | null;
}

/** A table of headers in the file; it lies within. */
export interface ElfTable {
  readonly offset: number;
  readonly count: number;
  readonly entryBytes: number;
}

const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;
/** Contents are compressed: nobody here expands them. */
const SHF_COMPRESSED = 0x800;

/**
 * Every section.
 * @param names index of the section with the names of sections
 * @param bias what to add to addresses
 */
export function readSections(
  bytes: Uint8Array,
  format: ElfFormat,
  table: ElfTable,
  names: number,
  bias: number,
): ElfSection[] {
  const raw = Array.from({ length: table.count }, (_, i) =>
    rawSection(new ByteReader(bytes, table.offset + i * table.entryBytes), format, bias),
  );
  const nameTable = raw[names]?.contents ?? new Uint8Array();
  return raw.map(({ nameOffset, ...section }) => ({
    ...section,
    name: nameAt(nameTable, nameOffset) ?? '',
  }));
}

function rawSection(reader: ByteReader, { word }: ElfFormat, bias: number) {
  const nameOffset = reader.u32();
  const type = reader.u32();
  const flags = word(reader).getLowBitsUnsigned();
  const address = word(reader).add(bias);
  const offset = word(reader).toNumber();
  const lengthBytes = word(reader).toNumber();
  const link = reader.u32();
  const { bytes } = reader;
  const isThere = type !== SHT_NOBITS && offset + lengthBytes <= bytes.length;
  const contents = isThere ? bytes.subarray(offset, offset + lengthBytes) : new Uint8Array();
  return { nameOffset, type, flags, address, lengthBytes, contents, link };
}

/** The contents of a section by name, or null if there are none that can be read. */
export function sectionBytes(sections: readonly ElfSection[], name: string): Uint8Array | null {
  const section = sections.find((candidate) => candidate.name === name);
  if (section === undefined || (section.flags & SHF_COMPRESSED) !== 0) return null;
  return section.contents.length === 0 ? null : section.contents;
}

const SHN_LORESERVE = 0xff00;

/** st_info's types that name an address: none, object, function, indirect function. */
const STT_FUNC = 2;
const NAMING_TYPES = [0, 1, STT_FUNC, 10];

/** The symbols of .symtab that name an address; there is at most one such table. */
export function readSymbols(
  sections: readonly ElfSection[],
  format: ElfFormat,
  bias: number,
): ElfSymbol[] {
  const table = sections.find(({ type }) => type === SHT_SYMTAB);
  const names = table === undefined ? undefined : sections[table.link]?.contents;
  if (table === undefined || names === undefined) return [];
  const count = Math.floor(table.contents.length / format.symbolBytes);
  const reader = new ByteReader(table.contents);
  const symbols: ElfSymbol[] = [];
  for (let i = 0; i < count; i++) {
    const { nameOffset, info, sectionIndex, value, lengthBytes } = readSymbol(reader, format);
    const address = value.add(bias);
    const isNumber = sectionIndex === 0 || sectionIndex >= SHN_LORESERVE;
    if (isNumber || !NAMING_TYPES.includes(info & 15)) continue;
    const name = nameAt(names, nameOffset);
    if (name === null || name === '') continue;
    const section = sections[sectionIndex] ?? null;
    const isFunction = (info & 15) === STT_FUNC;
    symbols.push({ name, address, lengthBytes, isFunction, isGlobal: info >= 16, section });
  }
  return symbols;
}

/** A string of a string table, or null. */
function nameAt(table: Uint8Array, offset: number): string | null {
  const end = table.indexOf(0, offset);
  return offset >= table.length || end < 0 ? null : new ByteReader(table, offset).text();
}
