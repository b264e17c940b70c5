// What a multiboot loader tells a program, and where it puts that: Multiboot Specification 0.6.96,
// "Boot information format". The places are QEMU's, so that programs that run there meet nothing
// new: the structure and the memory map in the page at 9000H, everything else behind the image.
//
//   00009000  boot information, memory map, GDT
//   000F0000  ACPI tables (acpi-tables.ts)
//   image end, page-aligned: module structures, command lines, name of the boot loader
//   page-aligned after that: each module

import { encodeUtf8 } from '../sim/index.ts';
import { ACPI_BYTES, ACPI_TABLES } from './acpi-tables.ts';
import type { MultibootImage } from './multiboot.ts';
import { printSize } from './schema.ts';

/** A file that the loader puts beside the program. */
export interface BootModule {
  /** The file's name, and behind the first space what the program is to know about it. */
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** What the loader is given beside the image. */
export interface BootRequest {
  /** The program's name, with which its command line begins. */
  readonly name: string;
  /** The rest of the command line. */
  readonly append: string;
  readonly modules: readonly BootModule[];
}

/** Bytes to be written to guest-physical memory. */
export interface Placed {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export const BOOT_INFORMATION = 0x9000;
const MEMORY_MAP = BOOT_INFORMATION + 0x80;
const PAGE_BYTES = 0x1000;

/** A GDT such as QEMU leaves, although programs must not rely on one. */
export const BOOT_GDT = { address: BOOT_INFORMATION + 0xf00, code: 0x08, data: 0x10 } as const;
const DESCRIPTORS = [0, 0, 0x0000ffff, 0x00cf9b00, 0x0000ffff, 0x00cf9300];
export const BOOT_GDT_LIMIT = 4 * DESCRIPTORS.length - 1;

export const BOOT_LOADER_NAME = 'vmxlab';

const InformationFlag = {
  MEMORY: 1 << 0,
  BOOT_DEVICE: 1 << 1,
  COMMAND_LINE: 1 << 2,
  MODULES: 1 << 3,
  MEMORY_MAP: 1 << 6,
  BOOT_LOADER_NAME: 1 << 9,
} as const;

/** The first hard disk, no partition: what QEMU says, whatever there is. */
const BOOT_DEVICE = 0x8000ffff;

const MIB = 2 ** 20;
const KIB = 2 ** 10;

/** Where PCs have their extended BIOS data, adapters and firmware: not RAM for programs. */
const LOW_RAM_END = 0x9fc00;
const ADAPTERS = 0xa0000;
const FIRMWARE = 0xf0000;

const RangeType = { RAM: 1, RESERVED: 2 } as const;

/** Start, end and type of each range of memory; what is in none does not exist. */
export function memoryRanges(
  ramBytes: number,
): readonly (readonly [start: number, end: number, type: number])[] {
  return [
    [0, LOW_RAM_END, RangeType.RAM],
    [LOW_RAM_END, ADAPTERS, RangeType.RESERVED],
    [FIRMWARE, MIB, RangeType.RESERVED],
    [MIB, ramBytes, RangeType.RAM],
  ];
}

const pageAligned = (address: number) => Math.ceil(address / PAGE_BYTES) * PAGE_BYTES;
const hex = (value: number) => `0x${value.toString(16)}`;

/** Where the loader puts things whatever the image is. */
const OWN_PLACES = [
  { what: 'boot information', start: BOOT_INFORMATION, end: BOOT_INFORMATION + PAGE_BYTES },
  { what: 'ACPI tables', start: ACPI_TABLES, end: ACPI_TABLES + ACPI_BYTES },
] as const;

/** Why an image and its modules cannot be loaded into a guest's RAM; null if they can. */
export function bootProblem(
  image: MultibootImage,
  request: BootRequest,
  ramBytes: number,
): string | null {
  const outside = `is not within ${printSize(ramBytes)} of memory; --memory gives more`;
  for (const { name, address, memoryBytes } of image.segments) {
    const end = address + memoryBytes;
    const where = `${name}, at ${hex(address)} to ${hex(end)},`;
    if (end > ramBytes) return `${where} ${outside}`;
    const own = OWN_PLACES.find((place) => address < place.end && end > place.start);
    if (own !== undefined) {
      const range = `${hex(own.start)} to ${hex(own.end)}`;
      return `${where} lies where the loader puts the ${own.what} (${range})`;
    }
  }
  const { texts, modules } = layOut(image, request);
  const places = [{ what: 'the command line', ...texts }];
  places.push(...modules.map((place, i) => ({ what: `module ${i}`, ...place })));
  const beyond = places.find(({ address, bytes }) => address + bytes.length > ramBytes);
  if (beyond === undefined) return null;
  const range = `${hex(beyond.address)} to ${hex(beyond.address + beyond.bytes.length)}`;
  return `${beyond.what}, behind the image at ${range}, ${outside}`;
}

/** What lies behind the image. */
interface Layout {
  /** Module structures, and the texts that they and the boot information point to. */
  readonly texts: Placed;
  readonly modules: readonly Placed[];
  readonly commandLine: number;
  readonly loaderName: number;
}

/** Bytes of a module's structure: start, end, text, reserved. */
const MODULE_BYTES = 16;

function layOut({ segments }: MultibootImage, { name, append, modules }: BootRequest): Layout {
  const imageEnds = segments.map(({ address, memoryBytes }) => address + memoryBytes);
  const start = Math.max(MIB, pageAligned(Math.max(...imageEnds)));
  // As with QEMU the space is there even if nothing follows.
  const lines = [`${name} ${append}`, BOOT_LOADER_NAME, ...modules.map(({ text }) => text)];
  const strings = lines.map((line) => Uint8Array.from([...encodeUtf8(line), 0]));
  let next = start + MODULE_BYTES * modules.length;
  const [commandLine, loaderName, ...moduleTexts] = strings.map(({ length }) => {
    next += length;
    return next - length;
  });
  const places = modules.map(({ bytes }) => {
    const address = pageAligned(next);
    next = address + bytes.length;
    return { address, bytes };
  });
  const structures = places.map(({ address, bytes }, i) =>
    words(address, address + bytes.length, moduleTexts[i], 0),
  );
  const texts = { address: start, bytes: joined([...structures, ...strings]) };
  return { texts, modules: places, commandLine, loaderName };
}

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setUint32(4 * i, value, true);
  });
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Everything that the loader writes beside the image itself. */
export function bootInformation(
  image: MultibootImage,
  request: BootRequest,
  ramBytes: number,
): Placed[] {
  const { texts, modules, commandLine, loaderName } = layOut(image, request);
  // The size of an entry does not count itself; base and length have 64 bits.
  const map = joined(
    memoryRanges(ramBytes).map(([start, end, type]) => words(20, start, 0, end - start, 0, type)),
  );
  const information = joined([
    words(FLAGS, Math.floor(LOW_RAM_END / KIB), (ramBytes - MIB) / KIB, BOOT_DEVICE),
    words(commandLine, modules.length, texts.address),
    // No symbols of the program, four words.
    words(0, 0, 0, 0),
    words(map.length, MEMORY_MAP),
    // No drives, two words; no configuration table.
    words(0, 0, 0),
    words(loaderName),
    // No APM table, no video information.
    words(0, 0, 0, 0, 0),
  ]);
  return [
    { address: BOOT_INFORMATION, bytes: information },
    { address: MEMORY_MAP, bytes: map },
    { address: BOOT_GDT.address, bytes: words(...DESCRIPTORS) },
    texts,
    ...modules,
  ];
}

const FLAGS = Object.values(InformationFlag).reduce((flags, bit) => flags | bit, 0);
