// ELF64 files made by hand, field by field after the gABI, for tests of what reads them: nothing
// here is shared with the reader. Two segments (code, data), symbols, and a line table if wanted.

/** Offsets of fields in the ELF header (gABI, "ELF Header", Elf64_Ehdr). */
export const Ehdr = {
  CLASS: 4,
  DATA: 5,
  IDENT_VERSION: 6,
  TYPE: 16,
  MACHINE: 18,
  ENTRY: 24,
  PHOFF: 32,
  SHOFF: 40,
  EHSIZE: 52,
  PHENTSIZE: 54,
  PHNUM: 56,
  SHENTSIZE: 58,
  SHNUM: 60,
  SHSTRNDX: 62,
} as const;

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
const SHDR_BYTES = 64;

/** Offsets of fields of the first program header in the file (Elf64_Phdr); the next is 56 further. */
export const Phdr = {
  TYPE: EHDR_BYTES,
  FLAGS: EHDR_BYTES + 4,
  OFFSET: EHDR_BYTES + 8,
  VADDR: EHDR_BYTES + 16,
  PADDR: EHDR_BYTES + 24,
  FILESZ: EHDR_BYTES + 32,
  MEMSZ: EHDR_BYTES + 40,
  ALIGN: EHDR_BYTES + 48,
  NEXT: PHDR_BYTES,
} as const;

export interface ImageParts {
  readonly code: Uint8Array;
  readonly codeAddress: number;
  readonly data?: Uint8Array;
  readonly dataAddress?: number;
  /** p_memsz of the data. */
  readonly dataMemory?: number;
  /** Names, offsets into the code, sizes; the section (st_shndx) if it is not the code's. */
  readonly symbols?: readonly (readonly [
    name: string,
    offset: number,
    size: number,
    section?: number,
  ])[];
  /** Contents of more sections, by name. */
  readonly sections?: Readonly<Record<string, Uint8Array>>;
}

/** Little-endian bytes of a number. */
export function little(value: number, bytes: number): number[] {
  let rest = BigInt(value);
  return Array.from({ length: bytes }, () => {
    const byte = Number(rest & 255n);
    rest >>= 8n;
    return byte;
  });
}

const text = (value: string) => [...value].map((c) => c.charCodeAt(0));

/** A table of strings, and where each begins. */
function strings(names: readonly string[]): { bytes: number[]; at: Map<string, number> } {
  const bytes = [0];
  const at = new Map([['', 0]]);
  for (const name of names) {
    at.set(name, bytes.length);
    bytes.push(...text(name), 0);
  }
  return { bytes, at };
}

interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags?: number;
  readonly address?: number;
  readonly contents: ArrayLike<number>;
  readonly link?: number;
}

/** An executable image: header, program headers, contents, section headers. */
export function elfImage(parts: ImageParts): Uint8Array {
  const { code, codeAddress, data = new Uint8Array(), dataAddress = 0x300000 } = parts;
  const { dataMemory = data.length, symbols = [] } = parts;
  const names = strings(symbols.map(([name]) => name));
  const symtab = symbols.flatMap(([name, offset, size, section = 1]) => [
    // st_name, st_info (global function), st_other, st_shndx, st_value, st_size.
    ...little(names.at.get(name) ?? 0, 4),
    ...[0x12, 0, ...little(section, 2)],
    ...little(codeAddress + offset, 8),
    ...little(size, 8),
  ]);
  const sections: Section[] = [
    { name: '', type: 0, contents: [] },
    { name: '.text', type: 1, flags: 6, address: codeAddress, contents: code },
    { name: '.data', type: 1, flags: 3, address: dataAddress, contents: data },
    { name: '.symtab', type: 2, contents: [...Array(24).fill(0), ...symtab], link: 4 },
    { name: '.strtab', type: 3, contents: names.bytes },
    ...Object.entries(parts.sections ?? {}).map(([name, contents]) => ({
      name,
      type: 1,
      contents,
    })),
  ];
  const sectionNames = strings([...sections.map(({ name }) => name), '.shstrtab']);
  sections.push({ name: '.shstrtab', type: 3, contents: sectionNames.bytes });
  const start = EHDR_BYTES + 2 * PHDR_BYTES;
  const contents: number[] = [];
  const offsets = sections.map((section) => {
    const offset = start + contents.length;
    contents.push(...Array.from(section.contents));
    return offset;
  });
  const segment = (flags: number, i: number, address: number, memory: number) => [
    ...[...little(1, 4), ...little(flags, 4), ...little(offsets[i], 8)],
    ...[...little(address, 8), ...little(address, 8)],
    ...[...little(sections[i].contents.length, 8), ...little(memory, 8), ...little(0x1000, 8)],
  ];
  const sectionHeaders = sections.flatMap(({ name, type, flags = 0, address = 0, ...rest }, i) => [
    ...[...little(sectionNames.at.get(name) ?? 0, 4), ...little(type, 4), ...little(flags, 8)],
    ...[...little(address, 8), ...little(offsets[i], 8), ...little(rest.contents.length, 8)],
    ...[...little(rest.link ?? 0, 4), ...little(0, 4), ...little(1, 8), ...little(0, 8)],
  ]);
  const header = [
    ...[0x7f, ...text('ELF'), 2, 1, 1, 0, ...little(0, 8)],
    ...[...little(2, 2), ...little(62, 2), ...little(1, 4), ...little(codeAddress, 8)],
    ...[...little(EHDR_BYTES, 8), ...little(start + contents.length, 8), ...little(0, 4)],
    ...[...little(EHDR_BYTES, 2), ...little(PHDR_BYTES, 2), ...little(2, 2)],
    ...[...little(SHDR_BYTES, 2), ...little(sections.length, 2)],
    ...little(sections.length - 1, 2),
  ];
  return Uint8Array.from([
    ...header,
    ...segment(5, 1, codeAddress, code.length),
    ...segment(6, 2, dataAddress, dataMemory),
    ...contents,
    ...sectionHeaders,
  ]);
}

/** An edit of a file: offset, width in bytes, new value. */
export type Edit = readonly [offset: number, width: number, value: number];

/** A copy with other values at some offsets. */
export function edited(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  const copy = bytes.slice();
  for (const [offset, width, value] of edits) copy.set(little(value, width), offset);
  return copy;
}
