// Repeated string instructions that are done by the emulator, as user space sees them: input is
// asked for in advance, and as long as there may be more to do the guest stays at the instruction.
// Linux arch/x86/kvm/emulate.c, pio_in_emulated and x86_emulate_insn.

import { Rflags, Word } from '../cpu/index.ts';
import { Gpr } from '../isa/index.ts';
import { PAGE_SIZE } from '../memory/index.ts';
import { Exit, fieldIndex } from '../vmx/index.ts';
import { readGuestBytes } from './guest-memory.ts';
import type { Vcpu } from './vcpu.ts';

const F = {
  REASON: fieldIndex('VM_EXIT_REASON'),
  QUALIFICATION: fieldIndex('EXIT_QUALIFICATION'),
  INFORMATION: fieldIndex('VMX_INSTRUCTION_INFO'),
} as const;

const STRING_INPUT = (1 << 3) | (1 << 4) | (1 << 5);
/** Bytes that are read in advance at most (struct read_cache). */
const READ_AHEAD_BYTES = 1024;

/**
 * How many elements of a repeated input user space may give at once, beyond the first: as many as
 * are to be stored in the page where the first goes. 0 for everything else.
 */
export function readAheadCount(vcpu: Vcpu, sizeBytes: number): number {
  const { vmcs, processor } = vcpu.virtual;
  const isInput =
    vmcs.get32(F.REASON) === Exit.IO_INSTRUCTION &&
    (vmcs.get32(F.QUALIFICATION) & STRING_INPUT) === STRING_INPUT;
  if (vcpu.user === null || !isInput) return 0;
  const { state } = processor;
  const addressSize = (vmcs.get32(F.INFORMATION) >> 7) & 7;
  const rcx = state.get64(2 * Gpr.RCX).toUnsigned();
  const count = addressSize === 0 ? rcx.and(0xffff) : addressSize === 1 ? rcx.and(-1 >>> 0) : rcx;
  const offset = state.words[2 * Gpr.RDI] & (PAGE_SIZE - 1);
  const isDown = (state.words[Word.RFLAGS] & Rflags.DF) !== 0;
  const inPage = Math.min(isDown ? offset : PAGE_SIZE - offset, READ_AHEAD_BYTES);
  const elements = Math.max(Math.floor(inPage / sizeBytes), 1);
  return count.gt(elements) ? elements - 1 : Math.max(count.toNumber() - 1, 0);
}

const PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3];
const REPEAT = [0xf2, 0xf3];
/** INS, OUTS, MOVS, STOS. */
const STRING_OPCODES = [0x6c, 0x6d, 0x6e, 0x6f, 0xa4, 0xa5, 0xaa, 0xab];
const MAX_LENGTH_BYTES = 15;

/** Whether the instruction at RIP is a string instruction with a repeat prefix. */
export function isRepeatedString(vcpu: Vcpu): boolean {
  let isRepeated = false;
  for (let at = 0; at < MAX_LENGTH_BYTES; at++) {
    const byte = readGuestBytes(vcpu, vcpu.linearRip.add(at), 1)?.[0];
    if (byte === undefined) return false;
    const isRex = vcpu.in64BitMode && (byte & 0xf0) === 0x40;
    if (!isRex && !PREFIXES.includes(byte)) return isRepeated && STRING_OPCODES.includes(byte);
    isRepeated ||= REPEAT.includes(byte);
  }
  return false;
}
