// The line table of DWARF debug information, versions 2 to 5: which source line each stretch of
// code comes from. DWARF 5, "Line Number Information"; versions 2 to 4 differ in how they list
// folders and files. Units that cannot be read are passed over: a program runs without.

import Long from 'long';
import { ByteReader, Malformed } from './byte-reader.ts';

/** A stretch of code without gaps, in order of address. */
export interface LineSequence {
  readonly start: Long;
  readonly lengthBytes: number;
  readonly rows: readonly LineRow[];
}

export interface LineRow {
  /** From the start of the sequence. */
  readonly offset: number;
  /** As the compiler was told it, with its folder; empty if the table does not say. */
  readonly file: string;
  /** From 1; 0 for code that no line made. */
  readonly line: number;
}

/** The sections that line tables are in; null for those that a file does not have. */
export interface LineSections {
  /** .debug_line */
  readonly line: Uint8Array | null;
  /** .debug_line_str */
  readonly lineStrings: Uint8Array | null;
  /** .debug_str */
  readonly strings: Uint8Array | null;
}

/** Every sequence of every unit. Never throws, whatever the bytes are. */
export function readLines(sections: LineSections): LineSequence[] {
  const { line } = sections;
  if (line === null) return [];
  const sequences: LineSequence[] = [];
  const reader = new ByteReader(line);
  while (!reader.isAtEnd) {
    const unit = attempt(() => nextUnit(reader));
    // Without a length that fits nobody knows where the next one begins.
    if (unit === null) break;
    const program = attempt(() => new LineProgram(unit, sections));
    if (program === null) continue;
    // What came before a mistake in the program still holds.
    attempt(() => program.run());
    sequences.push(...program.sequences);
  }
  return sequences;
}

function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof Malformed) return null;
    throw thrown;
  }
}

/** The bytes of one compilation unit's table behind its length. */
interface Unit {
  readonly reader: ByteReader;
  /** Offsets have eight bytes: DWARF 5, "32-Bit and 64-Bit DWARF Formats". */
  readonly is64: boolean;
}

const DWARF64 = 0xffffffff;

function nextUnit(reader: ByteReader): Unit {
  const first = reader.u32();
  const is64 = first === DWARF64;
  const lengthBytes = is64 ? reader.u64().toNumber() : first;
  const start = reader.skip(lengthBytes);
  return { reader: new ByteReader(reader.bytes, start, start + lengthBytes), is64 };
}

/** Opcodes of the line number program that do not add to the table in the ordinary way. */
const Opcode = {
  EXTENDED: 0,
  COPY: 1,
  ADVANCE_PC: 2,
  ADVANCE_LINE: 3,
  SET_FILE: 4,
  CONST_ADD_PC: 8,
  FIXED_ADVANCE_PC: 9,
} as const;

const Extended = { END_SEQUENCE: 1, SET_ADDRESS: 2, DEFINE_FILE: 3 } as const;

/** The line number program of one unit: its header, and the machine that runs it. */
class LineProgram {
  readonly sequences: LineSequence[] = [];

  private readonly reader: ByteReader;
  private readonly is64: boolean;
  private readonly sections: LineSections;
  private readonly version: number;
  private readonly instructionBytes: number;
  private readonly lineBase: number;
  private readonly lineRange: number;
  private readonly opcodeBase: number;
  /** LEB128 operands of each standard opcode, from 1 on. */
  private readonly operandCounts: readonly number[];
  private folders: readonly string[] = [];
  private files: string[] = [];

  private start: Long = Long.UZERO;
  private address = 0;
  private file = 1;
  private line = 1;
  private rows: LineRow[] = [];

  constructor({ reader, is64 }: Unit, sections: LineSections) {
    this.reader = reader;
    this.is64 = is64;
    this.sections = sections;
    this.version = reader.u16();
    if (this.version < 2 || this.version > 5) throw new Malformed('an unknown version of DWARF');
    // Sizes of addresses and segment selectors.
    if (this.version >= 5) reader.skip(2);
    const programAt = this.offset() + reader.at;
    this.instructionBytes = reader.u8();
    // Operations of one instruction: always one on x86.
    if (this.version >= 4) reader.skip(1);
    reader.skip(1);
    this.lineBase = reader.i8();
    this.lineRange = reader.u8();
    this.opcodeBase = reader.u8();
    if (this.lineRange === 0 || this.opcodeBase === 0) throw new Malformed('an impossible header');
    this.operandCounts = Array.from({ length: this.opcodeBase - 1 }, () => reader.u8());
    if (this.version >= 5) this.readEntries();
    else this.readLists();
    reader.skip(programAt - reader.at);
  }

  private offset(): number {
    return this.is64 ? this.reader.u64().toNumber() : this.reader.u32();
  }

  /** Folders and files of versions 2 to 4: two lists that end with an empty name. */
  private readLists(): void {
    const { reader } = this;
    // Folder 0 is where the compiler was started, and file 0 nothing.
    const folders = [''];
    for (let name = reader.text(); name !== ''; name = reader.text()) folders.push(name);
    this.folders = folders;
    this.files.push('');
    for (let name = reader.text(); name !== ''; name = reader.text()) this.addFile(name);
  }

  /** What follows a file's name in versions 2 to 4: folder, time, length. */
  private addFile(name: string): void {
    const folder = this.reader.uleb();
    this.reader.uleb();
    this.reader.uleb();
    this.files.push(joined(this.folders[folder], name));
  }

  /** Folders and files of version 5: two tables that describe their own columns. */
  private readEntries(): void {
    const folders = this.readTable().map(({ path }) => path);
    this.folders = ['', ...folders.slice(1)];
    this.files = this.readTable().map(({ path, folder }) => joined(this.folders[folder], path));
  }

  private readTable(): { path: string; folder: number }[] {
    const { reader } = this;
    const columns = Array.from({ length: reader.u8() }, () => ({
      content: reader.uleb(),
      form: reader.uleb(),
    }));
    const count = reader.uleb();
    // Entries without columns would take no bytes, and there could be any number of them.
    if (columns.length === 0 && count > 0) throw new Malformed('a table without columns');
    const entries: { path: string; folder: number }[] = [];
    for (let i = 0; i < count; i++) {
      const entry = { path: '', folder: 0 };
      for (const { content, form } of columns) {
        const value = this.form(form);
        if (content === Content.PATH) entry.path = String(value);
        if (content === Content.DIRECTORY_INDEX) entry.folder = Number(value);
      }
      entries.push(entry);
    }
    return entries;
  }

  /** A value in one of the forms that these tables use (DWARF 5, "Attribute Encodings"). */
  private form(form: number): string | number {
    const { reader, sections } = this;
    switch (form) {
      case Form.STRING:
        return reader.text();
      case Form.LINE_STRP:
        return stringAt(sections.lineStrings, this.offset());
      case Form.STRP:
        return stringAt(sections.strings, this.offset());
      case Form.UDATA:
        return reader.uleb();
      case Form.DATA1:
        return reader.u8();
      case Form.DATA2:
        return reader.u16();
      case Form.DATA4:
        return reader.u32();
      case Form.DATA8:
        return reader.skip(8);
      case Form.DATA16:
        return reader.skip(16);
      case Form.BLOCK:
        return reader.skip(reader.uleb());
      default:
        throw new Malformed('an unknown form');
    }
  }

  run(): void {
    const { reader } = this;
    while (!reader.isAtEnd) {
      const opcode = reader.u8();
      if (opcode >= this.opcodeBase) this.special(opcode - this.opcodeBase);
      else if (opcode === Opcode.EXTENDED) this.extended();
      else this.standard(opcode);
    }
  }

  private special(adjusted: number): void {
    this.advance(Math.floor(adjusted / this.lineRange));
    this.line += this.lineBase + (adjusted % this.lineRange);
    this.addRow();
  }

  private advance(operations: number): void {
    this.address += operations * this.instructionBytes;
  }

  private addRow(): void {
    const file = this.files[this.file] ?? '';
    this.rows.push({ offset: this.address, file, line: this.line });
  }

  private standard(opcode: number): void {
    const { reader } = this;
    switch (opcode) {
      case Opcode.COPY:
        this.addRow();
        return;
      case Opcode.ADVANCE_PC:
        this.advance(reader.uleb());
        return;
      case Opcode.ADVANCE_LINE:
        this.line += reader.sleb();
        return;
      case Opcode.SET_FILE:
        this.file = reader.uleb();
        return;
      case Opcode.CONST_ADD_PC:
        this.advance(Math.floor((255 - this.opcodeBase) / this.lineRange));
        return;
      case Opcode.FIXED_ADVANCE_PC:
        this.address += reader.u16();
        return;
      default:
        // Columns, statements, blocks, prologues; or something of a later version.
        for (let i = 0; i < this.operandCounts[opcode - 1]; i++) reader.uleb();
    }
  }

  private extended(): void {
    const { reader } = this;
    const lengthBytes = reader.uleb();
    const start = reader.skip(lengthBytes);
    if (lengthBytes === 0) return;
    const operands = new ByteReader(reader.bytes, start, reader.at);
    switch (operands.u8()) {
      case Extended.END_SEQUENCE:
        this.endSequence();
        return;
      case Extended.SET_ADDRESS: {
        // As wide as an address of the program.
        const address = lengthBytes > 5 ? operands.u64() : Long.fromNumber(operands.u32(), true);
        if (this.rows.length === 0) {
          this.start = address;
          this.address = 0;
        } else this.address = address.sub(this.start).toNumber();
        return;
      }
      case Extended.DEFINE_FILE:
        this.files.push(operands.text());
    }
  }

  private endSequence(): void {
    const { start, address, rows } = this;
    if (rows.length > 0) this.sequences.push({ start, lengthBytes: address, rows });
    this.start = Long.UZERO;
    this.address = 0;
    this.file = 1;
    this.line = 1;
    this.rows = [];
  }
}

const Content = { PATH: 1, DIRECTORY_INDEX: 2 } as const;

const Form = {
  DATA2: 0x05,
  DATA4: 0x06,
  DATA8: 0x07,
  STRING: 0x08,
  BLOCK: 0x09,
  DATA1: 0x0b,
  STRP: 0x0e,
  UDATA: 0x0f,
  DATA16: 0x1e,
  LINE_STRP: 0x1f,
} as const;

/** The folder that the compiler was started in is left out: it says nothing about the program. */
function joined(folder: string | undefined, name: string): string {
  const isAlone = folder === undefined || folder === '' || name.startsWith('/');
  return isAlone ? name : `${folder}/${name}`;
}

function stringAt(strings: Uint8Array | null, offset: number): string {
  if (strings === null) throw new Malformed('a section of strings is missing');
  const reader = new ByteReader(strings);
  reader.skip(offset);
  return reader.text();
}

/** The row that covers an address, or null. */
export function rowAt(sequences: readonly LineSequence[], address: Long): LineRow | null {
  const at = address.toUnsigned();
  for (const { start, lengthBytes, rows } of sequences) {
    const from = at.sub(start);
    if (from.ge(lengthBytes)) continue;
    const offset = from.toNumber();
    return rows.findLast((row) => row.offset <= offset) ?? null;
  }
  return null;
}
