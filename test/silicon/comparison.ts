// Compares what the interpreter made of a case with what the processor made of it.

import { hasErrorCode, VECTOR_NAMES, Word } from '../../src/cpu/index.ts';
import { GPR_NAMES, Gpr, type Instruction } from '../../src/isa/index.ts';
import { DEPARTURES, type Departure } from './departures.ts';
import { IMAGE_PARTS, partText, XMM_END } from './fxsave-image.ts';
import { CPU_NUMBER, type Interpreter, type Result, trapName } from './interpreter.ts';
import { type Case, COMPLETED, codeSizeOf, Mode, type Outcome, PAGE } from './protocol.ts';
import { codeOffset } from './segments.ts';
import { ownAnswers } from './selection.ts';
import { undefinedFlags } from './undefined-flags.ts';

const DEBUG = 1;
const BREAKPOINT = 3;
const OVERFLOW = 4;
const PAGE_FAULT = 14;
/** A fault leaves it set for the next attempt, which is nothing that a program can see. */
const RF = 1 << 16;
/** The kernel does not tell whether pages are present that no user program may have. */
const FORBIDDEN_ADDRESSES = (1n << 47n) - BigInt(PAGE);
const PRESENT = 1;

export class Comparison {
  private readonly interpreter: Interpreter;
  private readonly data: Uint8Array;
  private readonly followsFlags: boolean;
  private readonly expected: Uint8Array;
  private readonly expectedView: DataView;

  /**
   * @param data what it holds before every case
   * @param followsFlags compare flags that are undefined, too
   */
  constructor(interpreter: Interpreter, data: Uint8Array, followsFlags: boolean) {
    this.interpreter = interpreter;
    this.data = data.subarray(0, PAGE);
    this.followsFlags = followsFlags;
    this.expected = this.data.slice();
    this.expectedView = new DataView(this.expected.buffer);
    interpreter.setData(data);
  }

  /**
   * Execute the case and say what is different; null if something is not implemented.
   */
  differences(one: Case, instruction: Instruction, outcome: Outcome): readonly string[] | null {
    const result = this.interpreter.run(one);
    const start = codeOffset(codeSizeOf(one.mode));
    const isStepped = (one.mode & Mode.SINGLE_STEP) !== 0;
    const trap = isStepped && outcome.trap === DEBUG ? COMPLETED : outcome.trap;
    const found: string[] = [];
    // One IRET or far branch in some hundred thousand, always the same, ends in #DB with RF set and
    // nothing done: a fault, by that, which the vector does not tell. Seen on a virtual machine;
    // not explained.
    const isUntold =
      isStepped &&
      outcome.trap === DEBUG &&
      outcome.rip === BigInt(start) &&
      outcome.registers[2 * Gpr.RSP] === one.registers[2 * Gpr.RSP] &&
      (outcome.rflags & RF) !== 0;
    if (result.trap === null || isUntold) {
      this.compareMemory(outcome, []);
      return isUntold ? [] : null;
    }
    const ours = result.trap;
    const known = DEPARTURES.filter(({ applies }) => applies(instruction, ours, trap));
    const differs: Differs = (what, mine, theirs) =>
      found.push(`${what} is ${mine}, on the processor ${theirs}`);
    if (known.every(({ exception }) => exception === undefined)) {
      if (ours !== trap) differs('what it raises', trapName(ours), trapName(trap));
      else this.compareEnd(result, instruction, outcome, differs);
      if (ours === COMPLETED && outcome.codeSelector !== 0) {
        const { codeSelector } = this.interpreter;
        if (codeSelector !== outcome.codeSelector) {
          differs('cs', codeSelector.toString(16), outcome.codeSelector.toString(16));
        }
      }
    }
    this.compareRegisters(one, instruction, known, outcome, differs);
    this.compareFlags(one, instruction, known, outcome, differs);
    if ((one.mode & Mode.SEGMENTS) !== 0) this.compareSegments(outcome, differs);
    if (outcome.vectors !== null) this.compareVectors(outcome.vectors, differs);
    const isMemoryKnown = known.some(({ memory }) => memory === true);
    this.compareMemory(outcome, isMemoryKnown ? [] : found);
    return found;
  }

  private compareEnd(
    { trap, errorCode, linear }: Result,
    { lengthBytes, codeSize }: Instruction,
    outcome: Outcome,
    differs: Differs,
  ): void {
    if (trap === COMPLETED) {
      const rip = this.interpreter.rip();
      if (rip !== outcome.rip) differs('rip', hex(rip), hex(outcome.rip));
      return;
    }
    const isTrap = trap === BREAKPOINT || trap === DEBUG || trap === OVERFLOW;
    const rip = BigInt(codeOffset(codeSize) + (isTrap ? lengthBytes : 0));
    if (rip !== outcome.rip) differs('rip', hex(rip), hex(outcome.rip));
    if (!VECTOR_NAMES.has(trap ?? -1) || !hasErrorCode(trap ?? -1)) return;
    const { cr2 } = outcome;
    const hidden = trap === PAGE_FAULT && cr2 >= FORBIDDEN_ADDRESSES ? PRESENT : 0;
    if ((errorCode | hidden) !== (outcome.errorCode | hidden)) {
      differs('the error code', errorCode.toString(16), outcome.errorCode.toString(16));
    }
    const address = linear.toUnsigned().toBigInt();
    if (trap === PAGE_FAULT && address !== cr2) differs('cr2', hex(address), hex(cr2));
  }

  private compareRegisters(
    one: Case,
    instruction: Instruction,
    known: readonly Departure[],
    outcome: Outcome,
    differs: Differs,
  ): void {
    const { words } = this.interpreter;
    if (known.some(({ registers }) => registers === true)) return;
    const theirs = outcome.registers;
    for (let i = 0; i < 32; i++) {
      if (words[i] === theirs[i]) continue;
      const number = i >> 1;
      if (this.isOwnAnswer(instruction, number)) continue;
      const keepsUpper = words[i] === one.registers[i] && theirs[i] === 0 && (i & 1) === 1;
      const isKnown = known.some(({ upperHalves }) => upperHalves?.includes(number) === true);
      if (keepsUpper && isKnown) continue;
      const isPart = known.some(({ upperParts }) => upperParts?.includes(number) === true);
      if (isPart && ((words[i] ^ theirs[i]) & (i % 2 === 0 ? 0xffff : 0)) === 0) continue;
      const value = (from: Int32Array) => hex(new BigUint64Array(from.slice(0, 32).buffer)[number]);
      differs(GPR_NAMES[number], value(words), value(theirs));
      i = 2 * number + 1;
    }
  }

  private isOwnAnswer({ row, operands }: Instruction, number: number): boolean {
    const [first] = operands;
    const named = first?.kind === 'register' ? first.number : -1;
    if (ownAnswers(row, named).includes(number)) return true;
    return row.mnemonic === 'LSL' && (this.interpreter.words[2 * number] & 0xffff) === CPU_NUMBER;
  }

  private compareFlags(
    one: Case,
    instruction: Instruction,
    known: readonly Departure[],
    outcome: Outcome,
    differs: Differs,
  ): void {
    const undefinedOnes = this.followsFlags ? 0 : undefinedFlags(instruction, one);
    const ignored = known.reduce((mask, { flags = 0 }) => mask | flags, RF | undefinedOnes);
    const flags = this.interpreter.words[Word.RFLAGS] & ~ignored;
    const wanted = outcome.rflags & ~ignored;
    if (flags !== wanted) differs('rflags', flags.toString(16), wanted.toString(16));
  }

  private compareVectors(theirs: Uint8Array, differs: Differs): void {
    const ours = this.interpreter.image();
    if (Buffer.compare(ours.subarray(0, XMM_END), theirs.subarray(0, XMM_END)) === 0) return;
    for (const [name, from, to] of IMAGE_PARTS) {
      const [mine, other] = [ours, theirs].map((image) => partText(image, from, to));
      if (mine !== other) differs(name, mine, other);
    }
  }

  private compareSegments(outcome: Outcome, differs: Differs): void {
    const { interpreter } = this;
    // If the kernel comes in between, its IRET makes 0 of the null selectors 1 to 3.
    const asSeen = (selector: number) => (selector < 4 ? 0 : selector);
    const ours = [...interpreter.selectors().map(asSeen), ...interpreter.bases().map(hex)].join();
    const bases = [outcome.fsBase, outcome.gsBase].map(hex);
    const theirs = [...outcome.selectors.map(asSeen), ...bases].join();
    if (ours !== theirs) differs('es, ds, fs, gs and bases', ours, theirs);
  }

  /** Also puts everything back. */
  private compareMemory(outcome: Outcome, found: string[]): void {
    const { interpreter, expected, expectedView, data } = this;
    if (outcome.changed > 0) outcome.applyChanges(expectedView);
    if (Buffer.compare(interpreter.data, expected) !== 0) {
      const at = interpreter.data.findIndex((byte, i) => byte !== expected[i]) & ~7;
      const shown = (bytes: Uint8Array) => Buffer.from(bytes.subarray(at, at + 16)).toString('hex');
      const where = at.toString(16);
      found.push(
        `data from ${where} on is ${shown(interpreter.data)}, on the processor ${shown(expected)}`,
      );
    }
    if (outcome.changed > 0) expected.set(data);
    if (Buffer.compare(interpreter.data, data) !== 0) interpreter.restoreData(data);
  }
}

type Differs = (what: string, ours: unknown, theirs: unknown) => void;

function hex(value: bigint): string {
  return value.toString(16);
}
