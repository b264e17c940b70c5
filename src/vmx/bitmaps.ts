// I/O and MSR bitmaps: which ports and MSRs exit. SDM 3, "I/O-Bitmap Addresses" and "MSR-Bitmap
// Address".

import type { PhysicalMemory } from '../memory/index.ts';

const PORTS_PER_BITMAP = 0x8000;

/**
 * Whether an access to ports exits: if the bit of any byte is 1, or if it wraps past port FFFFH.
 * @param bitmapA hpa of the bitmap for ports 0 to 7FFFH
 * @param bitmapB hpa of the bitmap for ports 8000H to FFFFH
 */
export function portExits(
  memory: PhysicalMemory,
  bitmapA: number,
  bitmapB: number,
  port: number,
  lengthBytes: number,
): boolean {
  if (port + lengthBytes > 0x10000) return true;
  for (let at = port; at < port + lengthBytes; at++) {
    const base = at < PORTS_PER_BITMAP ? bitmapA : bitmapB;
    const bit = at % PORTS_PER_BITMAP;
    if ((memory.bytes[base + (bit >> 3)] & (1 << (bit & 7))) !== 0) return true;
  }
  return false;
}

/** MSRs that a half of the bitmap covers. */
const MSR_COUNT = 0x2000;
const HIGH_MSRS = 0xc0000000;

/** Offsets of the four parts of the MSR bitmap page. */
const READ_LOW = 0x000;
const READ_HIGH = 0x400;
const WRITE_LOW = 0x800;
const WRITE_HIGH = 0xc00;

/** Where the bit of an MSR lies in the bitmap page, or null for MSRs that it does not cover. */
function msrBit(index: number, write: boolean): { offset: number; mask: number } | null {
  const high = index >= HIGH_MSRS;
  const within = high ? index - HIGH_MSRS : index;
  if (within >= MSR_COUNT) return null;
  const part = write ? (high ? WRITE_HIGH : WRITE_LOW) : high ? READ_HIGH : READ_LOW;
  return { offset: part + (within >> 3), mask: 1 << (within & 7) };
}

/** Whether RDMSR or WRMSR of an MSR exits; those outside the bitmap's ranges always do. */
export function msrExits(
  memory: PhysicalMemory,
  bitmap: number,
  index: number,
  write: boolean,
): boolean {
  const bit = msrBit(index, write);
  if (bit === null) return true;
  return (memory.bytes[bitmap + bit.offset] & bit.mask) !== 0;
}

/**
 * Let the guest access an MSR without exit, or make it exit. Outside the ranges nothing changes.
 */
export function setMsrExit(
  memory: PhysicalMemory,
  bitmap: number,
  index: number,
  write: boolean,
  exits: boolean,
): void {
  const bit = msrBit(index, write);
  if (bit === null) return;
  const at = bitmap + bit.offset;
  const old = memory.bytes[at];
  memory.bytes[at] = exits ? old | bit.mask : old & ~bit.mask;
  memory.noteWrite(at, 1);
}
