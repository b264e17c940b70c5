// ELF images, ELF64 for x86-64 and ELF32 for i386: what a loader, a disassembler and a report need
// of them. After the System V Application Binary Interface (gABI), "Object Files" and "Program
// Loading and Dynamic Linking", and its supplements for the two processors. Static images only:
// nothing here relocates or links.

import type Long from 'long';
import { ByteReader, Malformed } from './byte-reader.ts';
import {
  ELF32,
  ELF64,
  type ElfFormat,
  ElfMachine,
  type ProgramHeader,
  readProgramHeader,
} from './elf-format.ts';
import {
  type ElfSection,
  type ElfSymbol,
  type ElfTable,
  readSections,
  readSymbols,
} from './elf-sections.ts';

/** A PT_LOAD entry of the program header (gABI, "Program Header"). */
export interface ElfSegment {
  /** Its place in the program header table. */
  readonly index: number;
  /** p_paddr: where the bytes go. */
  readonly physical: number;
  /** p_vaddr: where the program believes them to be. */
  readonly virtual: Long;
  /** p_memsz: what is beyond the contents is zero. */
  readonly memoryBytes: number;
  readonly contents: Uint8Array;
  /** PF_X. */
  readonly isExecutable: boolean;
}

export interface ElfImage {
  readonly kind: 'image';
  /** Of its class, and of the code in it. */
  readonly bits: 32 | 64;
  /** e_entry, a physical address here. */
  readonly entry: Long;
  /** In the order of the file, which is that of virtual addresses. */
  readonly segments: readonly ElfSegment[];
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  /** What was added to every address of an ET_DYN image; 0 for ET_EXEC. */
  readonly bias: number;
}

/** Why a file is no image that can be loaded. */
export interface ElfProblem {
  readonly kind: 'problem';
  /** To follow the file's name and a colon. */
  readonly message: string;
}

/** True if a file begins with the ELF magic (gABI, "ELF Identification"). */
export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

const ElfClass = { ELF32: 1, ELF64: 2 } as const;
const LITTLE_ENDIAN = 1;
const EV_CURRENT = 1;
const ET_EXEC = 2;
const ET_DYN = 3;
const PN_XNUM = 0xffff;

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const PF_X = 1;

/** What e_type says of files that are no programs, as far as people meet them. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  1: 'an object file that has not been linked; link it with ld or gcc',
  4: 'a core dump, not a program',
};

/** Names of e_machine that people are likely to have compilers for. */
const MACHINES: Readonly<Record<number, string>> = {
  [ElfMachine.I386]: 'i386',
  [ElfMachine.X86_64]: 'x86-64',
  8: 'MIPS',
  20: 'PowerPC',
  21: '64-bit PowerPC',
  22: 's390',
  40: 'Arm',
  183: 'AArch64',
  243: 'RISC-V',
  258: 'LoongArch',
};

/**
 * Read an image. Never throws, whatever the bytes are.
 * @param base where an ET_DYN image, whose addresses begin at 0, is to lie
 */
export function readElf(bytes: Uint8Array, base: number): ElfImage | ElfProblem {
  try {
    return new ElfFile(bytes).image(base);
  } catch (thrown) {
    if (thrown instanceof Malformed) return { kind: 'problem', message: thrown.message };
    throw thrown;
  }
}

const SHF_EXECINSTR = 4;

/** A stretch of machine code. */
export interface ElfCode {
  readonly address: Long;
  readonly bytes: Uint8Array;
}

/** Executable sections; executable segments, if a stripped file has no section headers. */
export function codeOf({ sections, segments }: ElfImage): ElfCode[] {
  const code = sections.filter(
    ({ flags, contents }) => (flags & SHF_EXECINSTR) !== 0 && contents.length > 0,
  );
  if (code.length > 0) return code.map(({ address, contents }) => ({ address, bytes: contents }));
  return segments
    .filter(({ isExecutable }) => isExecutable)
    .map(({ virtual, contents }) => ({ address: virtual, bytes: contents }));
}

/** The ELF header (gABI, "ELF Header"), as far as it is needed. */
interface Header {
  readonly type: number;
  readonly entry: Long;
  readonly programHeaders: ElfTable;
  readonly sectionHeaders: ElfTable;
  /** Index of the section with the names of sections. */
  readonly names: number;
}

/** One file while it is being read. Everything in it throws {@link Malformed}. */
class ElfFile {
  private readonly bytes: Uint8Array;
  private readonly format: ElfFormat;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.format = bytes[4] === ElfClass.ELF32 ? ELF32 : ELF64;
  }

  image(base: number): ElfImage {
    this.checkIdentification();
    const header = this.header();
    const headers = this.programHeaders(header);
    this.checkStatic(headers);
    const loads = headers.filter(({ type, memoryBytes }) => type === PT_LOAD && !memoryBytes.eqz());
    if (loads.length === 0) throw new Malformed('has no segments to load');
    const bias = header.type === ET_DYN ? biasOf(loads, base) : 0;
    const segments = loads.map((load) => this.segment(load, bias));
    checkOverlap(segments);
    const { bytes, format } = this;
    const sections = readSections(bytes, format, header.sectionHeaders, header.names, bias);
    const symbols = readSymbols(sections, format, bias);
    const entry = header.entry.add(bias);
    return { kind: 'image', bits: format.bits, entry, segments, sections, symbols, bias };
  }

  private checkIdentification(): void {
    const { bytes, format } = this;
    const { headerBytes, machineName } = format;
    if (!isElf(bytes)) throw new Malformed('is no ELF file');
    if (bytes.length < headerBytes) {
      const length = `${bytes.length} of ${headerBytes} bytes`;
      throw new Malformed(`is an ELF file that ends within its header (${length})`);
    }
    const fileClass = bytes[4];
    if (fileClass !== ElfClass.ELF32 && fileClass !== ElfClass.ELF64) {
      const expected = `ELF32 (${ElfClass.ELF32}) or ELF64 (${ElfClass.ELF64})`;
      throw new Malformed(`is an ELF file of class ${fileClass}; expected ${expected}`);
    }
    const machine = bytes[18] | (bytes[19] << 8);
    if (fileClass === ElfClass.ELF32 && machine === ElfMachine.X86_64) {
      throw new Malformed(
        'is an x32 program (ELF32 for x86-64); expected ELF64, or ELF32 for i386',
      );
    }
    if (bytes[5] === LITTLE_ENDIAN && machine !== format.machine) {
      const name = MACHINES[machine];
      const which = name === undefined ? `e_machine ${machine}` : `${name} (e_machine ${machine})`;
      const expected = `${machineName} (${format.machine})`;
      throw new Malformed(`is an ELF file for ${which}; expected ${expected}`);
    }
    if (bytes[5] !== LITTLE_ENDIAN) {
      throw new Malformed(
        `is an ELF file of data encoding ${bytes[5]}; expected little-endian (1)`,
      );
    }
    if (bytes[6] !== EV_CURRENT) {
      throw new Malformed(`is an ELF file of version ${bytes[6]}; expected 1`);
    }
  }

  private header(): Header {
    const reader = new ByteReader(this.bytes, 16);
    const type = reader.u16();
    if (type !== ET_EXEC && type !== ET_DYN) {
      const what = OTHER_TYPES[type] ?? `of type ${type}; expected ET_EXEC (2) or ET_DYN (3)`;
      throw new Malformed(`is an ELF file, but ${what}`);
    }
    reader.skip(6);
    const { headerBytes: expected, programHeaderBytes, sectionHeaderBytes, word } = this.format;
    const entry = word(reader);
    const programOffset = word(reader);
    const sectionOffset = word(reader);
    reader.skip(4);
    const headerBytes = reader.u16();
    if (headerBytes < expected) {
      throw new Malformed(`has an ELF header of ${headerBytes} bytes; expected ${expected}`);
    }
    const programHeaders = this.table(reader, 'program', programOffset, programHeaderBytes);
    const sectionHeaders = this.table(reader, 'section', sectionOffset, sectionHeaderBytes);
    return { type, entry, programHeaders, sectionHeaders, names: reader.u16() };
  }

  /** Size and number of entries follow in the header; where they begin stands before. */
  private table(
    reader: ByteReader,
    name: 'program' | 'section',
    offset: Long,
    leastBytes: number,
  ): ElfTable {
    const entryBytes = reader.u16();
    const count = reader.u16();
    if (count === 0) return { offset: 0, count, entryBytes };
    if (count === PN_XNUM) throw new Malformed(`has too many ${name} headers`);
    if (entryBytes < leastBytes) {
      throw new Malformed(`has ${name} headers of ${entryBytes} bytes; expected ${leastBytes}`);
    }
    const where = `${name} headers at offset 0x${offset.toString(16)}`;
    if (offset.lt(this.format.headerBytes))
      throw new Malformed(`has ${where}, over the ELF header`);
    const length = this.bytes.length;
    if (offset.gt(length) || offset.toNumber() + count * entryBytes > length) {
      const all = `${where}, ${count} of ${entryBytes} bytes`;
      throw new Malformed(`has ${all}, but ends at 0x${length.toString(16)}: it is truncated`);
    }
    return { offset: offset.toNumber(), count, entryBytes };
  }

  private programHeaders({ programHeaders: table, sectionHeaders }: Header): ProgramHeader[] {
    if (table.count === 0) throw new Malformed('has no program headers, so nothing to load');
    const end = table.offset + table.count * table.entryBytes;
    const sectionsEnd = sectionHeaders.offset + sectionHeaders.count * sectionHeaders.entryBytes;
    if (table.offset < sectionsEnd && sectionHeaders.offset < end) {
      throw new Malformed('has program headers and section headers that overlap');
    }
    return Array.from({ length: table.count }, (_, index) => {
      const reader = new ByteReader(this.bytes, table.offset + index * table.entryBytes);
      return readProgramHeader(reader, this.format, index);
    });
  }

  /** What needs a dynamic linker or relocations cannot run here. */
  private checkStatic(headers: readonly ProgramHeader[]): void {
    const interpreter = headers.find(({ type }) => type === PT_INTERP);
    if (interpreter !== undefined) {
      const name = printable(this.contents(interpreter));
      throw new Malformed(
        `needs the dynamic linker ${name}; link it with -static -no-pie -nostdlib`,
      );
    }
    const dynamic = headers.find(({ type }) => type === PT_DYNAMIC);
    if (dynamic === undefined) return;
    const contents = this.contents(dynamic);
    const { dynamicBytes, word } = this.format;
    if (contents.length % dynamicBytes !== 0) {
      const expected = `a multiple of ${dynamicBytes}`;
      throw new Malformed(
        `has a dynamic section of ${contents.length} bytes; expected ${expected}`,
      );
    }
    const reader = new ByteReader(contents);
    while (!reader.isAtEnd) {
      const tag = word(reader);
      const value = word(reader);
      if (tag.eqz()) break;
      const problem = tag.lt(64) ? DYNAMIC_PROBLEMS[tag.toNumber()] : undefined;
      if (problem !== undefined && (!value.eqz() || tag.eq(DT_NEEDED))) {
        throw new Malformed(`${problem}; link it with -static -no-pie -nostdlib`);
      }
    }
  }

  /** The bytes of a segment that are in the file. */
  private contents({ index, offset, fileBytes }: ProgramHeader): Uint8Array {
    const { length } = this.bytes;
    if (offset.gt(length) || fileBytes.gt(length - offset.toNumber())) {
      const range = `${fileBytes} bytes at offset 0x${offset.toString(16)}`;
      throw new Malformed(
        `has ${range} in segment ${index}, but ends at 0x${length.toString(16)}: it is truncated`,
      );
    }
    const start = offset.toNumber();
    return this.bytes.subarray(start, start + fileBytes.toNumber());
  }

  private segment(header: ProgramHeader, bias: number): ElfSegment {
    const { index, fileBytes, memoryBytes, flags } = header;
    const contents = this.contents(header);
    if (fileBytes.gt(memoryBytes)) {
      throw new Malformed(
        `has ${fileBytes} bytes in segment ${index}, which takes ${memoryBytes} bytes of memory`,
      );
    }
    const physical = header.physical.add(bias);
    if (physical.gt(MAX_ADDRESS) || memoryBytes.gt(MAX_ADDRESS)) {
      const range = `${memoryBytes} bytes at 0x${physical.toString(16)}`;
      throw new Malformed(`has ${range} in segment ${index}, which is beyond all RAM`);
    }
    return {
      index,
      physical: physical.toNumber(),
      virtual: header.virtual.add(bias),
      memoryBytes: memoryBytes.toNumber(),
      contents,
      isExecutable: (flags & PF_X) !== 0,
    };
  }
}

/** 4 GiB: more than any guest has. */
const MAX_ADDRESS = 2 ** 32;

const DT_NEEDED = 1;

/** Entries of the dynamic section (gABI, "Dynamic Section") that ask for a dynamic linker. */
const DYNAMIC_PROBLEMS: Readonly<Record<number, string>> = {
  [DT_NEEDED]: 'needs shared libraries',
  2: 'has relocations (DT_PLTRELSZ)',
  8: 'has relocations (DT_RELASZ)',
  18: 'has relocations (DT_RELSZ)',
  35: 'has relocations (DT_RELRSZ)',
};

/** What to add to the addresses of an ET_DYN image, in keeping with its alignment. */
function biasOf(loads: readonly ProgramHeader[], base: number): number {
  const lowest = loads.reduce(
    (least, { physical }) => (physical.lt(least) ? physical : least),
    loads[0].physical,
  );
  if (lowest.ge(base)) return 0;
  const align = Math.max(0x1000, ...loads.map((load) => load.align.toNumber()));
  if (align > MAX_ADDRESS) throw new Malformed(`has a segment aligned to ${align} bytes`);
  const start = Math.floor(lowest.toNumber() / align) * align;
  return Math.ceil(base / align) * align - start;
}

function checkOverlap(segments: readonly ElfSegment[]): void {
  const ordered = [...segments].sort((a, b) => a.physical - b.physical);
  ordered.forEach((segment, i) => {
    const next = ordered[i + 1];
    if (next === undefined || segment.physical + segment.memoryBytes <= next.physical) return;
    const [first, second] = [segment.index, next.index].sort((a, b) => a - b);
    throw new Malformed(`has segments ${first} and ${second} that overlap in memory`);
  });
}

const MAX_PRINTED = 60;

/** Text out of a file, fit for a terminal. */
function printable(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const text = [...bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, MAX_PRINTED))];
  return text.map((byte) => (byte > 32 && byte < 127 ? String.fromCharCode(byte) : '?')).join('');
}
