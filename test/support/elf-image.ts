// ELF files made by hand, field by field after the gABI, for tests of what reads them: nothing
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

/** The same in files of 32 bits (Elf32_Ehdr), where they are elsewhere. */
export const Ehdr32 = {
  ...{ CLASS: 4, DATA: 5, IDENT_VERSION: 6, TYPE: 16, MACHINE: 18 },
  ...{ ENTRY: 24, PHOFF: 28, SHOFF: 32, EHSIZE: 40, PHENTSIZE: 42, PHNUM: 44 },
  ...{ SHENTSIZE: 46, SHNUM: 48, SHSTRNDX: 50 },
} as const;

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
const SHDR_BYTES = 64;
const EHDR32_BYTES = 52;
const PHDR32_BYTES = 32;
const SHDR32_BYTES = 40;

/** Offsets of fields of the first program header in the file (Elf32_Phdr); the next is 32 further. */
export const Phdr32 = {
  TYPE: EHDR32_BYTES,
  OFFSET: EHDR32_BYTES + 4,
  VADDR: EHDR32_BYTES + 8,
  PADDR: EHDR32_BYTES + 12,
  FILESZ: EHDR32_BYTES + 16,
  MEMSZ: EHDR32_BYTES + 20,
  FLAGS: EHDR32_BYTES + 24,
  NEXT: PHDR32_BYTES,
} as const;

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

/** An executable image of 64 bits: header, program headers, contents, section headers. */
export function elfImage(parts: ImageParts): Uint8Array {
  return imageOf(parts, 64);
}

/** The same in 32 bits, for i386. */
export function elf32Image(parts: ImageParts): Uint8Array {
  return imageOf(parts, 32);
}

function imageOf(parts: ImageParts, bits: 32 | 64): Uint8Array {
  const isWide = bits === 64;
  const [ehdrBytes, phdrBytes, shdrBytes] = isWide
    ? [EHDR_BYTES, PHDR_BYTES, SHDR_BYTES]
    : [EHDR32_BYTES, PHDR32_BYTES, SHDR32_BYTES];
  const word = (value: number) => little(value, bits / 8);
  const { code, codeAddress, data = new Uint8Array(), dataAddress = 0x300000 } = parts;
  const { dataMemory = data.length, symbols = [] } = parts;
  const names = strings(symbols.map(([name]) => name));
  const symtab = symbols.flatMap(([name, offset, size, section = 1]) => {
    // st_name; st_info (global function), st_other, st_shndx; st_value, st_size.
    const place = [...word(codeAddress + offset), ...word(size)];
    const kind = [0x12, 0, ...little(section, 2)];
    const rest = isWide ? [...kind, ...place] : [...place, ...kind];
    return [...little(names.at.get(name) ?? 0, 4), ...rest];
  });
  const sections: Section[] = [
    { name: '', type: 0, contents: [] },
    { name: '.text', type: 1, flags: 6, address: codeAddress, contents: code },
    { name: '.data', type: 1, flags: 3, address: dataAddress, contents: data },
    {
      name: '.symtab',
      type: 2,
      contents: [...Array(isWide ? 24 : 16).fill(0), ...symtab],
      link: 4,
    },
    { name: '.strtab', type: 3, contents: names.bytes },
    ...Object.entries(parts.sections ?? {}).map(([name, contents]) => ({
      name,
      type: 1,
      contents,
    })),
  ];
  const sectionNames = strings([...sections.map(({ name }) => name), '.shstrtab']);
  sections.push({ name: '.shstrtab', type: 3, contents: sectionNames.bytes });
  const start = ehdrBytes + 2 * phdrBytes;
  const contents: number[] = [];
  const offsets = sections.map((section) => {
    const offset = start + contents.length;
    contents.push(...Array.from(section.contents));
    return offset;
  });
  const segment = (flags: number, i: number, address: number, memory: number) => [
    ...[...little(1, 4), ...(isWide ? little(flags, 4) : []), ...word(offsets[i])],
    ...[...word(address), ...word(address)],
    ...[...word(sections[i].contents.length), ...word(memory)],
    ...[...(isWide ? [] : little(flags, 4)), ...word(0x1000)],
  ];
  const sectionHeaders = sections.flatMap(({ name, type, flags = 0, address = 0, ...rest }, i) => [
    ...[...little(sectionNames.at.get(name) ?? 0, 4), ...little(type, 4), ...word(flags)],
    ...[...word(address), ...word(offsets[i]), ...word(rest.contents.length)],
    ...[...little(rest.link ?? 0, 4), ...little(0, 4), ...word(1), ...word(0)],
  ]);
  const header = [
    ...[0x7f, ...text('ELF'), isWide ? 2 : 1, 1, 1, 0, ...little(0, 8)],
    ...[...little(2, 2), ...little(isWide ? 62 : 3, 2), ...little(1, 4), ...word(codeAddress)],
    ...[...word(ehdrBytes), ...word(start + contents.length), ...little(0, 4)],
    ...[...little(ehdrBytes, 2), ...little(phdrBytes, 2), ...little(2, 2)],
    ...[...little(shdrBytes, 2), ...little(sections.length, 2)],
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
