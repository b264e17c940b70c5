// The last instructions that a vCPU executed, for reports on guests that came to grief.

import Long from 'long';
import { decode, format, MAX_INSTRUCTION_BYTES } from '../isa/index.ts';
import { readGuestBytes, type Vcpu } from '../kvm/index.ts';

const SHOWN = 8;

/**
 * Addresses and text of the last instructions, oldest first, the last being the one at RIP. Taken
 * from the blocks that the processor entered last; where their code has changed since, or is not
 * mapped any more, the text says so.
 */
export function recentInstructions(vcpu: Vcpu): string[] {
  const lines: string[] = [];
  const starts = vcpu.virtual.processor.recentBlocks;
  starts.forEach((start, i) => {
    const next = starts[i + 1];
    const isLast = next === undefined;
    lines.push(...straightLine(vcpu, start, isLast ? vcpu.rip : next, isLast));
  });
  return lines.slice(-SHOWN);
}

/**
 * Instructions from `start` up to a branch, to `end`, or to what cannot be decoded. A block that
 * leads to itself ends where it starts.
 */
function straightLine(vcpu: Vcpu, start: Long, end: Long, including: boolean): string[] {
  const lines: string[] = [];
  let at = start;
  while (lines.length < MAX_LINE && (including || lines.length === 0 || !at.eq(end))) {
    const address = `0x${at.toUnsigned().toString(16)}`;
    const bytes = readGuestBytes(vcpu, at, MAX_INSTRUCTION_BYTES);
    const decoded = bytes === null ? null : decode(bytes, 0, bytes.length);
    if (decoded?.kind !== 'instruction') {
      lines.push(`${address}  (${decoded?.kind ?? 'not mapped'})`);
      break;
    }
    lines.push(`${address}  ${format(decoded.instruction, at)}`);
    if (at.eq(end) || decoded.instruction.row.cost === 'branch') break;
    at = at.add(Long.fromInt(decoded.instruction.lengthBytes));
  }
  return lines;
}

/** More than any block holds. */
const MAX_LINE = 128;
