// Guest memory as a debugger sees it: by linear or physical address, without the side effects that
// an access of the guest would have, and whatever the protection.

import type Long from 'long';
import { lookUpLinear } from '../cpu/index.ts';
import type { Vcpu, Vm } from '../kvm/index.ts';

const PAGE_BYTES = 4096;

/** Bytes that lie together in host-physical memory. */
export interface Piece {
  readonly hpa: number;
  readonly lengthBytes: number;
}

/** Guest-physical address of a linear one, by the paging in effect; null if it is not mapped. */
export function guestPhysical(vcpu: Vcpu, linear: Long): number | null {
  const { vm } = vcpu;
  const { words } = vcpu.virtual.processor.state;
  return lookUpLinear(words, linear.low, linear.high, (gpa) => {
    const hpa = vm.ramAt(gpa);
    return hpa === null || hpa + 4 > vm.ramHpa + vm.ramBytes
      ? null
      : vm.memory.view.getInt32(hpa, true);
  });
}

/** Where bytes at a linear address lie; null if any of them is not in RAM. */
export function linearPieces(vcpu: Vcpu, linear: Long, lengthBytes: number): Piece[] | null {
  const pieces: Piece[] = [];
  for (let done = 0; done < lengthBytes; ) {
    const at = linear.add(done);
    const gpa = guestPhysical(vcpu, at);
    const hpa = gpa === null ? null : vcpu.vm.ramAt(gpa);
    if (hpa === null) return null;
    const inPage = PAGE_BYTES - (at.low & (PAGE_BYTES - 1));
    const length = Math.min(inPage, lengthBytes - done);
    pieces.push({ hpa, lengthBytes: length });
    done += length;
  }
  return pieces;
}

/** The same by guest-physical address. */
export function physicalPieces(vm: Vm, address: Long, lengthBytes: number): Piece[] | null {
  const gpa = address.toUnsigned().toNumber();
  const hpa = vm.ramAt(gpa);
  if (hpa === null || gpa + lengthBytes > vm.ramBytes) return null;
  return lengthBytes === 0 ? [] : [{ hpa, lengthBytes }];
}

export function readPieces(vm: Vm, pieces: readonly Piece[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.lengthBytes, 0));
  let at = 0;
  for (const { hpa, lengthBytes } of pieces) {
    bytes.set(vm.memory.bytes.subarray(hpa, hpa + lengthBytes), at);
    at += lengthBytes;
  }
  return bytes;
}

export function writePieces(vm: Vm, pieces: readonly Piece[], data: Uint8Array): void {
  let at = 0;
  for (const { hpa, lengthBytes } of pieces) {
    vm.memory.write(hpa, data.subarray(at, at + lengthBytes));
    at += lengthBytes;
  }
}
