// Who called: a walk along frame pointers. Programs in assembly often keep none, and then RBP may
// hold anything, so a frame counts only if its return address stands behind a CALL. Where the
// innermost function has pushed nothing, its return address is on top of the stack.

import type Long from 'long';
import { codeSizeOf } from '../cpu/index.ts';
import type { CodeSize } from '../isa/index.ts';
import { type DisassembledLine, disassembleOne, type ReadBytes } from './disassembly.ts';
import { longOfLittleEndian } from './gdb/hex.ts';
import { readMapped } from './remote-memory.ts';
import type { Session } from './session.ts';

export interface Frame {
  /** Linear address of the instruction: the next one, or that behind a CALL. */
  readonly address: Long;
  /** RSP is above this once the frame has been left; null if nobody knows how. */
  readonly top: Long | null;
}

const MOST_FRAMES = 64;

/** The frames of a vCPU, innermost first; at least one. */
export function framesOf(session: Session, vcpu: number): Frame[] {
  const { processor } = session.vcpu(vcpu).virtual;
  const code: Code = {
    codeSize: codeSizeOf(processor.state),
    read: (address, lengthBytes) => readMapped(session, vcpu, address, lengthBytes),
  };
  const address = session.vcpu(vcpu).linearRip.toUnsigned();
  const stackPointer = session.readRegister(vcpu, 'rsp');
  const entry = functionOf(session, vcpu, address);
  const caller = entry === null ? null : callerOf(code, stackPointer, entry);
  const framePointer = session.readRegister(vcpu, 'rbp');
  if (caller === null) return outwards(code, address, framePointer);
  return [{ address, top: stackPointer }, ...outwards(code, caller, framePointer)];
}

/** Where the function of an address begins: a label that is not a local one of another. */
function functionOf(session: Session, vcpu: number, address: Long): Long | null {
  const symbols = session.symbolsOf(vcpu);
  const name = symbols.nameOf(address)?.symbol.split('+')[0];
  if (name === undefined) return null;
  const [whole] = /^\.*[^.]*/.exec(name) ?? [name];
  return symbols.addressOf(whole) ?? symbols.addressOf(name);
}

interface Code {
  readonly codeSize: CodeSize;
  readonly read: ReadBytes;
}

/** The frames from an address on, whose function may have set up RBP. */
function outwards(code: Code, from: Long, framePointerFrom: Long): Frame[] {
  const bytes = code.codeSize / 8;
  const frames: Frame[] = [];
  let address = from;
  let framePointer = framePointerFrom;
  while (frames.length < MOST_FRAMES) {
    const saved = code.read(framePointer, 2 * bytes);
    const isWhole = saved.length === 2 * bytes;
    const caller = isWhole ? longOfLittleEndian(saved.subarray(bytes)) : null;
    if (caller === null || callBefore(code, caller) === null) break;
    frames.push({ address, top: framePointer });
    const next = longOfLittleEndian(saved.subarray(0, bytes));
    address = caller;
    // The stack grows down: an outer frame lies higher.
    if (next.toUnsigned().lte(framePointer.toUnsigned())) break;
    framePointer = next;
  }
  return [...frames, { address, top: null }];
}

/** The return address on top of the stack, if it stands behind a CALL of this function. */
function callerOf(code: Code, stackPointer: Long, entry: Long): Long | null {
  const bytes = code.codeSize / 8;
  const saved = code.read(stackPointer, bytes);
  if (saved.length < bytes) return null;
  const caller = longOfLittleEndian(saved);
  const call = callBefore(code, caller);
  const [target] = call?.instruction?.operands ?? [];
  const isOurs = target?.kind === 'relative' && caller.add(target.displacement).eq(entry);
  return isOurs ? caller : null;
}

/** The longest near call: FF /2 with SIB, displacement and prefixes. */
const MOST_CALL_BYTES = 9;

/** The CALL that ends at an address, or null. */
export function callBefore({ codeSize, read }: Code, address: Long): DisassembledLine | null {
  for (let lengthBytes = 2; lengthBytes <= MOST_CALL_BYTES; lengthBytes++) {
    const call = disassembleOne(address.sub(lengthBytes), codeSize, read);
    if (isCall(call) && call.bytes.length === lengthBytes) return call;
  }
  return null;
}

/** True for near and far calls. */
export function isCall({ instruction }: DisassembledLine): boolean {
  return instruction?.row.mnemonic === 'CALL';
}
