// What differs between the two classes of ELF files: widths of fields, sizes of headers, and the
// order of fields in program headers and symbols. System V ABI (gABI), "Data Representation",
// "Program Header", "Symbol Table".

import Long from 'long';
import type { ByteReader } from './byte-reader.ts';

/** The layout of one class. */
export interface ElfFormat {
  readonly bits: 32 | 64;
  readonly headerBytes: number;
  readonly programHeaderBytes: number;
  readonly sectionHeaderBytes: number;
  readonly symbolBytes: number;
  /** An entry of the dynamic section: a tag and a value. */
  readonly dynamicBytes: number;
  /** What e_machine has to be, and its name. */
  readonly machine: number;
  readonly machineName: string;
  /** An address, offset or size (Elf32_Addr, Elf64_Xword and their like). */
  readonly word: (reader: ByteReader) => Long;
}

export const ElfMachine = { I386: 3, X86_64: 62 } as const;

export const ELF32: ElfFormat = {
  bits: 32,
  headerBytes: 52,
  programHeaderBytes: 32,
  sectionHeaderBytes: 40,
  symbolBytes: 16,
  dynamicBytes: 8,
  machine: ElfMachine.I386,
  machineName: 'i386',
  word: (reader) => Long.fromNumber(reader.u32(), true),
};

export const ELF64: ElfFormat = {
  bits: 64,
  headerBytes: 64,
  programHeaderBytes: 56,
  sectionHeaderBytes: 64,
  symbolBytes: 24,
  dynamicBytes: 16,
  machine: ElfMachine.X86_64,
  machineName: 'x86-64',
  word: (reader) => reader.u64(),
};

/** An entry of the program header table, unjudged. */
export interface ProgramHeader {
  readonly index: number;
  readonly type: number;
  readonly flags: number;
  readonly offset: Long;
  readonly virtual: Long;
  readonly physical: Long;
  readonly fileBytes: Long;
  readonly memoryBytes: Long;
  readonly align: Long;
}

export function readProgramHeader(
  reader: ByteReader,
  { bits, word }: ElfFormat,
  index: number,
): ProgramHeader {
  const type = reader.u32();
  const early = bits === 64 ? reader.u32() : 0;
  const offset = word(reader);
  const virtual = word(reader);
  const physical = word(reader);
  const fileBytes = word(reader);
  const memoryBytes = word(reader);
  const flags = bits === 64 ? early : reader.u32();
  const align = word(reader);
  return { index, type, flags, offset, virtual, physical, fileBytes, memoryBytes, align };
}

/** An entry of a symbol table. */
export interface RawSymbol {
  readonly nameOffset: number;
  readonly info: number;
  readonly sectionIndex: number;
  readonly value: Long;
  readonly lengthBytes: number;
}

export function readSymbol(reader: ByteReader, { bits, word }: ElfFormat): RawSymbol {
  const nameOffset = reader.u32();
  const place = () => ({ value: word(reader), lengthBytes: word(reader).toNumber() });
  const kind = () => {
    const info = reader.u8();
    reader.skip(1);
    return { info, sectionIndex: reader.u16() };
  };
  if (bits === 32) {
    const { value, lengthBytes } = place();
    return { nameOffset, value, lengthBytes, ...kind() };
  }
  const { info, sectionIndex } = kind();
  return { nameOffset, info, sectionIndex, ...place() };
}
