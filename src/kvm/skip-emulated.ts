// Going past an instruction without executing it, after an exit that need not tell its length, such
// as an EPT misconfiguration: it is decoded. Linux arch/x86/kvm/x86.c, x86_emulate_instruction with
// EMULTYPE_SKIP.

import { codeSizeOf } from '../cpu/index.ts';
import { decode } from '../isa/index.ts';
import { readGuestBytes } from './guest-memory.ts';
import type { Vcpu } from './vcpu.ts';

const MAX_LENGTH_BYTES = 15;

/** Skip the instruction at RIP; false if its bytes cannot be read or are none. */
export function skipEmulated(vcpu: Vcpu): boolean {
  const bytes: number[] = [];
  // What follows may lie in a page that is not there.
  for (let at = 0; at < MAX_LENGTH_BYTES; at++) {
    const byte = readGuestBytes(vcpu, vcpu.linearRip.add(at), 1)?.[0];
    if (byte === undefined) break;
    bytes.push(byte);
  }
  const codeSize = codeSizeOf(vcpu.virtual.processor.state);
  const decoded = decode(Uint8Array.from(bytes), 0, bytes.length, codeSize);
  if (decoded.kind !== 'instruction') return false;
  vcpu.skipInstruction(decoded.instruction.lengthBytes);
  return true;
}
