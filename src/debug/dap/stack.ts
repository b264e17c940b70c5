// Who called: a walk along frame pointers. Programs in assembly often keep none, and then RBP may
// hold anything, so a frame counts only if its return address stands behind a CALL.

import type Long from 'long';
import type { CodeSize } from '../../isa/index.ts';
import { type DisassembledLine, disassembleOne, type ReadBytes } from '../disassembly.ts';
import { longOfLittleEndian } from '../gdb/hex.ts';

export interface Frame {
  /** Linear address of the instruction: the next one, or that behind a CALL. */
  readonly address: Long;
  /** RBP in the frame. */
  readonly framePointer: Long;
}

/** Where a walk begins, and what it reads. */
export interface StackStart {
  readonly address: Long;
  readonly framePointer: Long;
  readonly codeSize: CodeSize;
  readonly read: ReadBytes;
}

const MAX_FRAMES = 64;

/** The frames, innermost first. */
export function walkStack(start: StackStart): Frame[] {
  const { codeSize, read } = start;
  const bytes = codeSize / 8;
  const frames: Frame[] = [start];
  let { framePointer } = start;
  while (frames.length < MAX_FRAMES) {
    const saved = read(framePointer, 2 * bytes);
    if (saved.length < 2 * bytes) break;
    const address = longOfLittleEndian(saved.subarray(bytes));
    if (!isBehindCall(address, codeSize, read)) break;
    const next = longOfLittleEndian(saved.subarray(0, bytes));
    frames.push({ address, framePointer: next });
    // The stack grows down: an outer frame lies higher.
    if (next.toUnsigned().lte(framePointer.toUnsigned())) break;
    framePointer = next;
  }
  return frames;
}

/** The longest near call: FF /2 with SIB, displacement and prefixes. */
const MAX_CALL_BYTES = 9;

function isBehindCall(address: Long, codeSize: CodeSize, read: ReadBytes): boolean {
  for (let lengthBytes = 2; lengthBytes <= MAX_CALL_BYTES; lengthBytes++) {
    const call = disassembleOne(address.sub(lengthBytes), codeSize, read);
    if (isCall(call) && call.bytes.length === lengthBytes) return true;
  }
  return false;
}

/** True for near and far calls. */
export function isCall({ instruction }: DisassembledLine): boolean {
  return instruction?.row.mnemonic === 'CALL';
}
