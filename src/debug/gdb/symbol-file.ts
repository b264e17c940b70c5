// An ELF file that holds what is known of a program that is none itself: symbols, and which source
// line made which bytes. Its sections have addresses but no contents, as in a file of separate
// debug information; debuggers read the bytes from the guest. System V gABI, "Object Files"; DWARF
// 4, "Line Number Information" and "Compilation Unit Entries".

import Long from 'long';
import type { NamedRange, SourceLine, SymbolMap } from '../../machine/index.ts';
import { encodeUtf8 } from '../../sim/index.ts';

/** A stretch of addresses that is all code, or all data. */
interface Stretch {
  readonly isCode: boolean;
  readonly start: Long;
  end: Long;
}

interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: Long;
  readonly sizeBytes: number;
  /** Null for sections without contents. */
  readonly contents: Uint8Array | null;
  readonly link: number;
  readonly info: number;
  readonly entryBytes: number;
}

const EHDR_BYTES = 64;
const SHDR_BYTES = 64;
const SYM_BYTES = 24;

const ET_EXEC = 2;
const EM_X86_64 = 62;
const SectionType = { PROGBITS: 1, SYMTAB: 2, STRTAB: 3, NOBITS: 8 } as const;
const SectionFlag = { WRITE: 1, ALLOC: 2, EXECINSTR: 4 } as const;
const GLOBAL = 1 << 4;
const SymbolType = { OBJECT: 1, FUNC: 2 } as const;

/** Bytes in little-endian order, one after the other. */
class Writer {
  readonly bytes: number[] = [];

  put(value: number | Long, lengthBytes: number): this {
    const long = typeof value === 'number' ? Long.fromNumber(value) : value;
    this.bytes.push(...long.toBytesLE().slice(0, lengthBytes));
    return this;
  }

  string(text: string): this {
    for (const byte of encodeUtf8(text)) this.bytes.push(byte);
    this.bytes.push(0);
    return this;
  }

  append(bytes: Iterable<number>): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }

  unsigned(value: number): this {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.bytes.push((rest % 128) | 0x80);
    this.bytes.push(rest);
    return this;
  }

  signed(value: number): this {
    let rest = value;
    while (rest < -64 || rest > 63) {
      this.bytes.push((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    this.bytes.push(rest & 0x7f);
    return this;
  }

  /** A unit of debug information, behind its length. */
  static unit(build: (writer: Writer) => void): Uint8Array {
    const body = new Writer();
    build(body);
    return Uint8Array.from(new Writer().put(body.bytes.length, 4).append(body.bytes).bytes);
  }
}

/**
 * The file for a program's names and lines, or null if it has none.
 * @param sourcePath where a source is, by the name that the program has for it
 */
export function symbolFileOf(
  { names, lines: known }: SymbolMap,
  entry: Long,
  sourcePath: (file: string) => string,
): Uint8Array | null {
  const lines = known.map((line) => ({ ...line, file: sourcePath(line.file) }));
  const stretches = stretchesOf(names, lines);
  if (stretches.length === 0) return null;
  const code = lines.filter(({ isCode }) => isCode);
  const sections: Section[] = [
    ...stretches.map(sectionOf),
    ...(code.length === 0 ? [] : debugSections(code)),
  ];
  const { table, strings, localCount } = symbolTable(names, stretches);
  const symtab = contents('.symtab', SectionType.SYMTAB, table);
  // Sections count from 1.
  const link = sections.length + 2;
  sections.push({ ...symtab, link, info: localCount, entryBytes: SYM_BYTES });
  sections.push(contents('.strtab', SectionType.STRTAB, strings));
  return layOut(sections, entry);
}

/** Where code and data lie: what a line made goes on up to where the next begins. */
function stretchesOf(names: readonly NamedRange[], lines: readonly SourceLine[]): Stretch[] {
  const found: Stretch[] = [];
  const ordered = [...lines].sort((a, b) => a.address.compare(b.address));
  for (const { address, lengthBytes, isCode } of ordered) {
    const last = found.at(-1);
    const end = address.add(lengthBytes);
    if (last !== undefined) last.end = last.isCode === isCode ? end : address;
    if (last?.isCode !== isCode) found.push({ isCode, start: address, end });
  }
  // Room that no line fills, and programs without lines.
  const start = found.at(-1)?.end ?? names[0]?.start;
  if (start === undefined) return found;
  const end = names.reduce((most, name) => (name.end.gt(most) ? name.end : most), start);
  if (end.gt(start)) found.push({ isCode: found.length === 0, start, end });
  return found;
}

function sectionOf({ isCode, start, end }: Stretch): Section {
  const flags = SectionFlag.ALLOC | (isCode ? SectionFlag.EXECINSTR : SectionFlag.WRITE);
  const none = contents(isCode ? '.text' : '.data', SectionType.NOBITS, new Uint8Array());
  const sizeBytes = end.sub(start).toNumber();
  return { ...none, flags, address: start, sizeBytes, contents: null };
}

function contents(name: string, type: number, bytes: Uint8Array): Section {
  const none = { flags: 0, address: Long.UZERO, link: 0, info: 0, entryBytes: 0 };
  return { ...none, name, type, sizeBytes: bytes.length, contents: bytes };
}

function symbolTable(names: readonly NamedRange[], stretches: readonly Stretch[]) {
  const strings = new Writer().put(0, 1);
  const table = new Writer().append(new Uint8Array(SYM_BYTES));
  names.forEach(({ name, start }, i) => {
    const at = stretches.findLastIndex((stretch) => stretch.start.lte(start));
    if (at < 0) return;
    const next = names[i + 1]?.start ?? stretches[at].end;
    const end = next.lt(stretches[at].end) ? next : stretches[at].end;
    const type = stretches[at].isCode ? SymbolType.FUNC : SymbolType.OBJECT;
    table
      .put(strings.bytes.length, 4)
      .put(GLOBAL | type, 1)
      .put(0, 1)
      .put(at + 1, 2);
    table.put(start, 8).put(end.gt(start) ? end.sub(start) : 0, 8);
    strings.string(name);
  });
  return {
    table: Uint8Array.from(table.bytes),
    strings: Uint8Array.from(strings.bytes),
    // Only the empty one is local.
    localCount: 1,
  };
}

const Tag = { COMPILE_UNIT: 0x11 } as const;
const Attribute = {
  NAME: 0x03,
  STMT_LIST: 0x10,
  LOW_PC: 0x11,
  HIGH_PC: 0x12,
  LANGUAGE: 0x13,
  PRODUCER: 0x25,
} as const;
const Form = { ADDR: 0x01, DATA2: 0x05, DATA8: 0x07, STRING: 0x08, SEC_OFFSET: 0x17 } as const;
/** DW_LANG_Mips_Assembler, which every assembler says. */
const ASSEMBLER = 0x8001;
const VERSION = 4;

function debugSections(code: readonly SourceLine[]): Section[] {
  const files = [...new Set(code.map(({ file }) => file))];
  const start = code.reduce(
    (low, { address }) => (address.lt(low) ? address : low),
    code[0].address,
  );
  const end = code.reduce((high, { address, lengthBytes }) => {
    const behind = address.add(lengthBytes);
    return behind.gt(high) ? behind : high;
  }, start);
  const { DATA2, DATA8, STRING, ADDR, SEC_OFFSET } = Form;
  const abbreviations = new Writer().append([1, Tag.COMPILE_UNIT, 0]);
  abbreviations.append([Attribute.PRODUCER, STRING, Attribute.LANGUAGE, DATA2]);
  abbreviations.append([Attribute.NAME, STRING, Attribute.STMT_LIST, SEC_OFFSET]);
  abbreviations.append([Attribute.LOW_PC, ADDR, Attribute.HIGH_PC, DATA8, 0, 0, 0]);
  const information = Writer.unit((unit) => {
    unit.put(VERSION, 2).put(0, 4).put(8, 1);
    unit.unsigned(1).string('vmxlab').put(ASSEMBLER, 2).string(files[0]).put(0, 4);
    unit.put(start, 8).put(end.sub(start), 8);
  });
  const { PROGBITS } = SectionType;
  return [
    contents('.debug_abbrev', PROGBITS, Uint8Array.from(abbreviations.bytes)),
    contents('.debug_info', PROGBITS, information),
    contents('.debug_line', PROGBITS, lineTable(code, files)),
  ];
}

const Opcode = { COPY: 1, ADVANCE_PC: 2, ADVANCE_LINE: 3, SET_FILE: 4 } as const;
const END_SEQUENCE = 1;
const SET_ADDRESS = 2;
/** Special opcodes are not used; these are what everybody has. */
const HEADER = { lineBase: 0xfb, lineRange: 14, opcodeBase: 13 } as const;
const OPERAND_COUNTS = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];

function lineTable(code: readonly SourceLine[], files: readonly string[]): Uint8Array {
  const header = new Writer().append([1, 1, 1, HEADER.lineBase, HEADER.lineRange]);
  header.put(HEADER.opcodeBase, 1).append(OPERAND_COUNTS).put(0, 1);
  for (const file of files) header.string(file).append([0, 0, 0]);
  header.put(0, 1);
  const numbers = new Map(files.map((file, i) => [file, i + 1]));
  return Writer.unit((unit) => {
    unit.put(VERSION, 2).put(header.bytes.length, 4).append(header.bytes);
    let last: SourceLine | null = null;
    let file = 1;
    let line = 1;
    for (const next of code) {
      const isGap = last !== null && !last.address.add(last.lengthBytes).eq(next.address);
      if (last !== null && isGap) endSequence(unit, last);
      if (last === null || isGap) {
        unit.append([0, 9, SET_ADDRESS]).put(next.address, 8);
        [file, line] = [1, 1];
      } else {
        unit.put(Opcode.ADVANCE_PC, 1).unsigned(last.lengthBytes);
      }
      const number = numbers.get(next.file) as number;
      if (number !== file) unit.put(Opcode.SET_FILE, 1).unsigned(number);
      if (next.line !== line) unit.put(Opcode.ADVANCE_LINE, 1).signed(next.line - line);
      unit.put(Opcode.COPY, 1);
      [last, file, line] = [next, number, next.line];
    }
    if (last !== null) endSequence(unit, last);
  });
}

function endSequence(unit: Writer, last: SourceLine): void {
  unit.put(Opcode.ADVANCE_PC, 1).unsigned(last.lengthBytes).append([0, 1, END_SEQUENCE]);
}

/** Header, contents, names of sections, section headers. */
function layOut(sections: readonly Section[], entry: Long): Uint8Array {
  const body = new Writer();
  const names = new Writer().put(0, 1);
  const headers = new Writer().append(new Uint8Array(SHDR_BYTES));
  const all = [...sections, contents('.shstrtab', SectionType.STRTAB, new Uint8Array())];
  all.forEach(({ name, type, flags, address, sizeBytes, contents, link, info, entryBytes }, i) => {
    const nameAt = names.bytes.length;
    names.string(name);
    const isNames = i === all.length - 1;
    const bytes = isNames ? names.bytes : contents;
    headers.put(nameAt, 4).put(type, 4).put(flags, 8).put(address, 8);
    headers.put(EHDR_BYTES + body.bytes.length, 8).put(isNames ? names.bytes.length : sizeBytes, 8);
    headers.put(link, 4).put(info, 4).put(1, 8).put(entryBytes, 8);
    body.append(bytes ?? []);
  });
  const header = new Writer().append([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]).put(0, 8);
  header.put(ET_EXEC, 2).put(EM_X86_64, 2).put(1, 4).put(entry, 8).put(0, 8);
  header
    .put(EHDR_BYTES + body.bytes.length, 8)
    .put(0, 4)
    .put(EHDR_BYTES, 2)
    .put(0, 4);
  header
    .put(SHDR_BYTES, 2)
    .put(all.length + 1, 2)
    .put(all.length, 2);
  return Uint8Array.from([...header.bytes, ...body.bytes, ...headers.bytes]);
}
