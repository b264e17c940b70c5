// Multiboot images: programs of any format with a multiboot header, as `qemu -kernel` and GRUB load
// them. Multiboot Specification 0.6.96, "OS image format": the header, and which bytes go where,
// after its address fields or after the program headers of an ELF image.

import { ByteReader } from './byte-reader.ts';
import { isElf, readElf } from './elf.ts';

/** A stretch of memory that the image fills; what is beyond the contents is zero. */
export interface MultibootSegment {
  /** What messages call it. */
  readonly name: string;
  readonly address: number;
  readonly memoryBytes: number;
  readonly contents: Uint8Array;
}

export interface MultibootImage {
  readonly kind: 'multiboot';
  /** A physical address. */
  readonly entry: number;
  readonly segments: readonly MultibootSegment[];
}

/** Why a program with a multiboot header cannot be loaded; to follow its name and a colon. */
export interface MultibootProblem {
  readonly kind: 'problem';
  readonly message: string;
}

const HEADER_MAGIC = 0x1badb002;

/** The header lies within so many bytes from the start of the file, at a multiple of 4. */
const SEARCHED_BYTES = 8192;

const HeaderFlag = {
  ALIGN_MODULES: 1 << 0,
  MEMORY_INFORMATION: 1 << 1,
  VIDEO_MODE: 1 << 2,
  ADDRESS_FIELDS: 1 << 16,
} as const;

/** Modules are always aligned, and memory information always there. */
const HONOURED = HeaderFlag.ALIGN_MODULES | HeaderFlag.MEMORY_INFORMATION;
/** As QEMU: a program that prefers a video mode gets none, and is not told of one. */
const IGNORED = HeaderFlag.VIDEO_MODE;
/** A loader must refuse what it does not know among these. */
const REQUIREMENTS = 0xffff;

/** Bytes of magic, flags and checksum. */
const HEADER_BYTES = 12;
const ADDRESS_BYTES = 20;

interface Header {
  /** From the start of the file. */
  readonly offset: number;
  readonly flags: number;
}

function findHeader(bytes: Uint8Array): Header | null {
  const end = Math.min(bytes.length, SEARCHED_BYTES);
  for (let offset = 0; offset + HEADER_BYTES <= end; offset += 4) {
    if (bytes[offset] !== (HEADER_MAGIC & 0xff)) continue;
    const reader = new ByteReader(bytes, offset);
    if (reader.u32() !== HEADER_MAGIC) continue;
    const flags = reader.u32();
    const checksum = reader.u32();
    if (((HEADER_MAGIC + flags + checksum) | 0) === 0) return { offset, flags };
  }
  return null;
}

/** True if a program is a multiboot image; its first 8192 bytes are enough to tell. */
export function hasMultibootHeader(program: Uint8Array): boolean {
  return findHeader(program) !== null;
}

/** The multiboot image in a program's bytes, or what is wrong with it; null if it is none. */
export function multibootOf(program: Uint8Array): MultibootImage | MultibootProblem | null {
  const header = findHeader(program);
  if (header === null) return null;
  const unknown = header.flags & REQUIREMENTS & ~(HONOURED | IGNORED);
  if (unknown !== 0) {
    const flags = `0x${header.flags.toString(16)}`;
    return problem(`has a multiboot header whose flags, ${flags}, ask for what nobody knows`);
  }
  if ((header.flags & HeaderFlag.ADDRESS_FIELDS) !== 0) return placedByHeader(program, header);
  if (isElf(program)) return placedByElf(program);
  return problem(
    'has a multiboot header without address fields (bit 16 of its flags), and is no ELF image: ' +
      'nobody can know where it goes',
  );
}

function problem(message: string): MultibootProblem {
  return { kind: 'problem', message };
}

const hex = (value: number) => `0x${value.toString(16)}`;

/** "The address fields of Multiboot header". */
function placedByHeader(
  program: Uint8Array,
  { offset }: Header,
): MultibootImage | MultibootProblem {
  const at = offset + HEADER_BYTES;
  if (at + ADDRESS_BYTES > Math.min(program.length, SEARCHED_BYTES)) {
    return problem('has a multiboot header that ends within its address fields');
  }
  const reader = new ByteReader(program, at);
  const headerAddress = reader.u32();
  const loadAddress = reader.u32();
  const loadEnd = reader.u32();
  const bssEnd = reader.u32();
  const entry = reader.u32();
  const wrong = (what: string) => problem(`has a multiboot header with ${what}`);
  const before = headerAddress - loadAddress;
  if (before < 0) {
    return wrong(`load_addr ${hex(loadAddress)} above header_addr ${hex(headerAddress)}`);
  }
  if (before > offset) {
    const claimed = `header_addr ${hex(headerAddress)} and load_addr ${hex(loadAddress)}`;
    return wrong(`${claimed}, but it stands at offset ${hex(offset)} of the file`);
  }
  const start = offset - before;
  if (loadEnd !== 0 && loadEnd < loadAddress) {
    return wrong(`load_end_addr ${hex(loadEnd)} below load_addr ${hex(loadAddress)}`);
  }
  const length = loadEnd === 0 ? program.length - start : loadEnd - loadAddress;
  if (start + length > program.length) {
    const range = `${length} bytes at offset ${hex(start)}`;
    return problem(`has ${range} to load, but ends at ${hex(program.length)}: it is truncated`);
  }
  const end = loadAddress + length;
  if (bssEnd !== 0 && bssEnd < end) {
    return wrong(`bss_end_addr ${hex(bssEnd)} below the end of what is loaded, ${hex(end)}`);
  }
  const memoryBytes = bssEnd === 0 ? length : bssEnd - loadAddress;
  const contents = program.subarray(start, start + length);
  const segment = { name: 'the image', address: loadAddress, memoryBytes, contents };
  return started(entry, [segment]);
}

/**
 * QEMU takes 32-bit images only; GRUB also ELF64, which is what compilers for 64 bits make. The
 * entry point is a virtual address there: its place in the segment counts, as with both loaders.
 */
function placedByElf(program: Uint8Array): MultibootImage | MultibootProblem {
  const image = readElf(program, 0);
  if (image.kind === 'problem') return problem(image.message);
  const { entry } = image;
  const home = image.segments.find(
    ({ virtual, memoryBytes, isExecutable }) =>
      isExecutable && entry.ge(virtual) && entry.lt(virtual.add(memoryBytes)),
  );
  const physical = home === undefined ? entry : entry.sub(home.virtual).add(home.physical);
  const segments = image.segments.map(({ index, physical: address, memoryBytes, contents }) => ({
    name: `segment ${index}`,
    address,
    memoryBytes,
    contents,
  }));
  return started(physical.toNumber(), segments);
}

function started(
  entry: number,
  segments: readonly MultibootSegment[],
): MultibootImage | MultibootProblem {
  const isWithin = segments.some(
    ({ address, memoryBytes }) => entry >= address && entry < address + memoryBytes,
  );
  if (isWithin) return { kind: 'multiboot', entry, segments };
  return problem(`the entry point ${hex(entry)} is in none of its segments`);
}
