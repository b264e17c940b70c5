// QEMU's firmware configuration device, by which guests learn what firmware would tell them: a
// selector at port 510H, the bytes of the selected item at 511H, one after the other.
// QEMU docs/specs/fw_cfg.rst. Items that do not exist here read as zeros; there is no DMA.

import type { PortDevice, Surroundings } from './device.ts';

export interface FwCfgState {
  selector: number;
  /** Offset of the next byte. */
  offset: number;
}

const Item = {
  SIGNATURE: 0x0000,
  ID: 0x0001,
  UUID: 0x0002,
  RAM_SIZE: 0x0003,
  NOGRAPHIC: 0x0004,
  NB_CPUS: 0x0005,
  MAX_CPUS: 0x000f,
  FILE_DIRECTORY: 0x0019,
} as const;

/** The traditional interface only. */
const ID_TRADITIONAL = 1;

/** Set in a selector that used to mean writing, which nobody offers any more. */
const WRITE_CHANNEL = 0x4000;

/** Numbers in items are little-endian, but for those of the file directory. */
function little(value: number, lengthBytes: number): number[] {
  return Array.from({ length: lengthBytes }, (_, i) => Math.floor(value / 256 ** i) % 256);
}

function itemBytes(selector: number, { ramBytes, vcpuCount }: Surroundings): readonly number[] {
  switch (selector & ~WRITE_CHANNEL) {
    case Item.SIGNATURE:
      return [...'QEMU'].map((c) => c.charCodeAt(0));
    case Item.ID:
      return little(ID_TRADITIONAL, 4);
    case Item.UUID:
      return little(0, 16);
    case Item.RAM_SIZE:
      return little(ramBytes, 8);
    case Item.NOGRAPHIC:
      return little(1, 2);
    case Item.NB_CPUS:
    case Item.MAX_CPUS:
      return little(vcpuCount, 2);
    case Item.FILE_DIRECTORY:
      // No files: a count of zero.
      return little(0, 4);
    default:
      return [];
  }
}

const SELECTOR_BYTES = 2;

export const fwCfg: PortDevice<FwCfgState> = {
  initial: () => ({ selector: 0, offset: 0 }),
  // The selector cannot be read back: both ports give data.
  read: (state, _port, around) => {
    const byte = itemBytes(state.selector, around)[state.offset] ?? 0;
    state.offset++;
    return byte;
  },
  write: (state, port, value, _around, sizeBytes) => {
    if (port !== 0 || sizeBytes < SELECTOR_BYTES) return null;
    state.selector = value & 0xffff;
    state.offset = 0;
    return null;
  },
};
