// The last instructions that a vCPU executed, for reports on guests that came to grief.

import Long from 'long';
import { codeSizeOf } from '../cpu/index.ts';
import { type CodeSize, decode, format, MAX_INSTRUCTION_BYTES } from '../isa/index.ts';
import { readGuestBytes, type Vcpu } from '../kvm/index.ts';

const SHOWN = 8;

/**
 * Linear addresses and text of the last instructions that were completed, faulted or left to the
 * host, oldest first, and of the one at RIP. Taken from the blocks that the processor entered last;
 * where their code has changed since, or is not mapped any more, the text says so.
 */
export function recentInstructions(vcpu: Vcpu): string[] {
  const lines: string[] = [];
  for (const { address, codeSize, completed, cutShort } of vcpu.virtual.processor.recentBlocks) {
    const begun = Math.min(completed, MAX_LINE) + (cutShort ? 1 : 0);
    const block = straightLine(vcpu, codeSize, address, begun);
    // What was begun before is tried again.
    if (lines.length > 0 && lines.at(-1) === block[0]) lines.pop();
    lines.push(...block);
  }
  const [here] = straightLine(vcpu, codeSizeOf(vcpu.virtual.processor.state), vcpu.linearRip, 1);
  if (lines.at(-1) !== here) lines.push(here);
  return lines.slice(-SHOWN);
}

/** So many instructions from `start` on, or up to what cannot be decoded. */
function straightLine(vcpu: Vcpu, codeSize: CodeSize, start: Long, count: number): string[] {
  const lines: string[] = [];
  let at = start;
  while (lines.length < count) {
    const address = `0x${at.toUnsigned().toString(16)}`;
    const bytes = readGuestBytes(vcpu, at, MAX_INSTRUCTION_BYTES);
    const decoded = bytes === null ? null : decode(bytes, 0, bytes.length, codeSize);
    if (decoded?.kind !== 'instruction') {
      lines.push(`${address}  (${decoded?.kind ?? 'not mapped'})`);
      break;
    }
    lines.push(`${address}  ${format(decoded.instruction, at)}`);
    at = at.add(Long.fromInt(decoded.instruction.lengthBytes));
  }
  return lines;
}

/** More than any block holds. */
const MAX_LINE = 128;
