// The power-management timer, where QEMU's PIIX4 has it. ACPI specification, "Power Management
// Timer": 24 bits that count at 3.579545 MHz.

import { ticksIn } from '../../sim/index.ts';
import type { PortDevice } from './device.ts';

/** Its first port, of four; ACPI tables say so. */
export const PM_TIMER_PORT = 0x608;

const HZ = 3_579_545;
const MASK = 0xffffff;

export const pmTimer: PortDevice<Record<string, never>> = {
  initial: () => ({}),
  read: (_state, port, { nowNs }, sizeBytes) => {
    const shifted = Math.floor((ticksIn(nowNs, HZ) & MASK) / 256 ** port);
    return shifted % 256 ** sizeBytes;
  },
  write: () => null,
};
