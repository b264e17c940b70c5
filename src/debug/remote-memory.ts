// Memory as remote clients ask for it: as much as there is from an address on.

import type Long from 'long';
import type { Session } from './session.ts';

const PAGE_BYTES = 4096;

/** As many bytes at a linear address of a vCPU as are mapped in a row, none if the first is not. */
export function readMapped(
  session: Session,
  vcpu: number,
  address: Long,
  lengthBytes: number,
): Uint8Array {
  const pieces: Uint8Array[] = [];
  let done = 0;
  while (done < lengthBytes) {
    const at = address.add(done);
    const inPage = PAGE_BYTES - (at.low & (PAGE_BYTES - 1));
    const piece = session.readMemory(vcpu, 'linear', at, Math.min(inPage, lengthBytes - done));
    if (piece === null) break;
    pieces.push(piece);
    done += piece.length;
  }
  const bytes = new Uint8Array(done);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
