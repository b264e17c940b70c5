// Guest memory from the host's side, by linear address, through the guest's own paging.

import type Long from 'long';
import { Access, GuestFault, OwnerStop } from '../cpu/index.ts';
import type { Vcpu } from './vcpu.ts';

/** Where a byte of the guest lies, or null if the guest could not read it. */
function hpaOf(vcpu: Vcpu, linear: Long): number | null {
  const { mmu } = vcpu.virtual.processor;
  try {
    const hpa = mmu.asHost(() => mmu.locate(linear.low, linear.high, 1, Access.READ, false));
    return hpa < 0 ? null : hpa;
  } catch (thrown) {
    if (thrown instanceof GuestFault || thrown instanceof OwnerStop) return null;
    throw thrown;
  }
}

/** Read bytes at a linear address; null if any of them is not mapped to RAM. */
export function readGuestBytes(vcpu: Vcpu, linear: Long, lengthBytes: number): Uint8Array | null {
  const bytes = new Uint8Array(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) {
    const hpa = hpaOf(vcpu, linear.add(i));
    if (hpa === null) return null;
    bytes[i] = vcpu.vm.memory.bytes[hpa];
  }
  return bytes;
}

/** Write bytes at a linear address, whatever its protection; false if any is not mapped to RAM. */
export function writeGuestBytes(vcpu: Vcpu, linear: Long, data: Uint8Array): boolean {
  const places = [...data].map((_, i) => hpaOf(vcpu, linear.add(i)));
  if (places.includes(null)) return false;
  places.forEach((hpa, i) => {
    vcpu.vm.memory.write(hpa as number, data.subarray(i, i + 1));
  });
  return true;
}
