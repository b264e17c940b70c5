// A processor that nobody virtualizes and that has no board: memory from address 0, no events from
// outside. For using `cpu` alone, and as a starting point for owners that change one thing.

import Long from 'long';
import type { PhysicalMemory } from '../memory/index.ts';
import { NotImplemented } from './exceptions.ts';
import { DEVICE, type Platform, type Virtualization } from './virtualization.ts';

/** Guest-physical is host-physical up to the end of memory; everything beyond is a device. */
export function unvirtualized(memory: PhysicalMemory): Virtualization {
  return {
    beforePrivilege: () => false,
    intercept: () => false,
    pauses: () => ({ state: { first: 0, last: -1 }, gap: 0, window: Number.POSITIVE_INFINITY }),
    delays: () => false,
    exception: () => {},
    tripleFault: () => {},
    taskSwitch: () => {
      throw new NotImplemented('task switch');
    },
    translate: (gpa) => (gpa < memory.sizeBytes ? gpa : DEVICE),
    iretUnblocksNmis: () => true,
    readControl: (_number, real) => real,
    writeControl: (_number, _real, written) => written,
    timeStamp: (clock) => Long.fromNumber(clock),
    boundary: () => 'proceed',
  };
}

/** Ports and devices read as all ones, MSRs do not exist, CPUID gives zeros. */
export const EMPTY_PLATFORM: Platform = {
  portIn: () => 0xffffffff,
  portOut: () => {},
  readMsr: () => null,
  writeMsr: () => false,
  cpuid: () => [0, 0, 0, 0],
  deviceRead: () => Long.NEG_ONE,
  deviceWrite: () => {},
};
