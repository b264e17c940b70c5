// The debug registers: MOV to and from them, breakpoints on instructions, data and ports, and what
// a debug exception leaves in them. SDM 3, "Debug Registers", "Debug Exceptions"; SDM 2, "MOV -
// Move to/from Debug Registers".

import Long from 'long';
import { GuestFault, Vector } from './exceptions.ts';
import type { Processor } from './processor.ts';
import { Cr4, PendingDebug, type ProcessorState, Word, wordOf } from './state.ts';

/** Bits of DR7. */
export const Dr7 = {
  /** L0, G0 to L3, G3. */
  ENABLES: 0xff,
  /** General detect. */
  GD: 1 << 13,
} as const;

const DR6_FIXED = 0xffff0ff0 | 0;
const DR7_FIXED = 0x400;
/** Debug register access detected: MOV to or from one under DR7.GD. */
const DR6_BD = 1 << 13;

/** DR4 and DR5 are DR6 and DR7, unless CR4.DE makes them undefined. */
function debugWord(processor: Processor, number: number): number {
  const { words } = processor.state;
  let actual = number;
  if (number === 4 || number === 5) {
    if ((words[Word.CR4] & Cr4.DE) !== 0) {
      throw new GuestFault(Vector.UD);
    }
    actual = number + 2;
  }
  if ((words[Word.DR7] & Dr7.GD) !== 0) throw new GuestFault(Vector.DB, null, DR6_BD);
  return wordOf(`dr${actual}`);
}

export function readDebug(processor: Processor, number: number): Long {
  return processor.state.get64(debugWord(processor, number));
}

export function writeDebug(processor: Processor, number: number, value: Long): void {
  const word = debugWord(processor, number);
  let written = value;
  if (word === Word.DR6 || word === Word.DR7) {
    if (value.high !== 0) throw new GuestFault(Vector.GP, 0);
    written =
      word === Word.DR7
        ? Long.fromBits((value.low & ~0xd000) | DR7_FIXED, 0)
        : Long.fromBits((value.low & ~0x1000) | DR6_FIXED, 0);
  }
  processor.state.set64(word, written);
  processor.updateBreakpoints();
}

/** What DR6 and DR7 become when a debug exception is delivered for conditions, in DR6's layout. */
export function recordDebugException({ words }: ProcessorState, conditions: number): void {
  words[Word.DR6] = (words[Word.DR6] & ~PendingDebug.BREAKPOINTS) | conditions;
  // So that the handler may access debug registers.
  words[Word.DR7] &= ~Dr7.GD;
}

/** True for the one debug exception that is a fault with RF as it was. */
export function isInstructionBreakpoint(fault: GuestFault): boolean {
  return fault.vector === Vector.DB && (fault.linearLow & PendingDebug.BREAKPOINTS) !== 0;
}

/** R/W bits of DR7. */
const Kind = { EXECUTE: 0, WRITE: 1, PORT: 2, READ_WRITE: 3 } as const;

const LENGTHS: readonly number[] = [1, 2, 8, 4];

interface Breakpoint {
  /** Its bit in DR6. */
  readonly bit: number;
  readonly enabled: boolean;
  readonly kind: number;
  /** First address, aligned to the length. */
  readonly low: number;
  readonly high: number;
  readonly lengthBytes: number;
}

/** What a debugger wants to see of accesses to data; nothing that the guest could notice. */
export interface DataWatch {
  /** First addresses and lengths in bytes, in linear addresses. */
  readonly ranges: readonly { readonly linear: Long; readonly lengthBytes: number }[];
  /** An instruction is about to access bytes in a page with one of them. */
  accessed(linear: Long, lengthBytes: number, isWrite: boolean): void;
}

/**
 * The breakpoints in DR0 to DR3, kept at hand. Those that are not enabled match as well: an
 * exception for one that is reports them too.
 */
export class Breakpoints {
  /** Some breakpoint is enabled: every instruction has to be looked at. */
  armed = false;
  hasData = false;
  hasPorts = false;
  /** Of a debugger; it is asked as well. */
  watch: DataWatch | null = null;
  private all: readonly Breakpoint[] = [];
  /** Bits of those that the instruction being executed has met. */
  private met = 0;

  /** True while what an instruction reads may have to be noted. */
  get isLooking(): boolean {
    return this.armed || this.watch !== null;
  }

  /** Take over the registers. */
  update(state: ProcessorState): void {
    const { words } = state;
    const dr7 = words[Word.DR7];
    this.armed = this.hasPorts = false;
    this.hasData = this.watch !== null;
    if ((dr7 & Dr7.ENABLES) === 0) {
      this.all = [];
      return;
    }
    const hasPortKind = (words[Word.CR4] & Cr4.DE) !== 0;
    this.all = [0, 1, 2, 3].map((number) => describe(state, dr7, number));
    const isEnabled = (kinds: readonly number[]) =>
      this.all.some(({ enabled, kind }) => enabled && kinds.includes(kind));
    const hasData = isEnabled([Kind.WRITE, Kind.READ_WRITE]);
    this.hasData ||= hasData;
    this.hasPorts = hasPortKind && isEnabled([Kind.PORT]);
    this.armed = hasData || this.hasPorts || isEnabled([Kind.EXECUTE]);
  }

  /** Bits of the instruction breakpoints at a linear address; 0 unless one is enabled. */
  atInstruction(low: number, high: number): number {
    return this.matching((point) => point.kind === Kind.EXECUTE && overlaps(point, low, high, 1));
  }

  /** Data of the instruction being executed. */
  noteData(low: number, high: number, lengthBytes: number, isWrite: boolean): void {
    this.watch?.accessed(Long.fromBits(low, high), lengthBytes, isWrite);
    this.met |= this.matching(
      (point) =>
        (point.kind === Kind.READ_WRITE || (isWrite && point.kind === Kind.WRITE)) &&
        overlaps(point, low, high, lengthBytes),
    );
  }

  /** Ports of the instruction being executed. */
  notePort(port: number, lengthBytes: number): void {
    this.met |= this.matching(
      (point) => point.kind === Kind.PORT && overlaps(point, port, 0, lengthBytes),
    );
  }

  /** What was met since the last call. */
  take(): number {
    const { met } = this;
    this.met = 0;
    return met;
  }

  /** True if data in a page must not be found without {@link noteData}. */
  watchesPage(low: number, high: number): boolean {
    const isSamePage = (point: { low: number; high: number }) =>
      point.high === high && point.low >> 12 === low >> 12;
    const isWatched = this.watch?.ranges.some(({ linear, lengthBytes }) => {
      return isSamePage(linear) || isSamePage(linear.add(lengthBytes - 1));
    });
    if (isWatched) return true;
    return this.all.some((point) => point.enabled && isSamePage(point));
  }

  private matching(meets: (point: Breakpoint) => boolean): number {
    let bits = 0;
    let isEnabled = false;
    for (const point of this.all) {
      if (!meets(point)) continue;
      bits |= point.bit;
      isEnabled ||= point.enabled;
    }
    return isEnabled ? bits : 0;
  }
}

function describe(state: ProcessorState, dr7: number, number: number): Breakpoint {
  const address = state.get64(wordOf(`dr${number}`));
  const control = (dr7 >>> (16 + 4 * number)) & 15;
  const kind = control & 3;
  const lengthBytes = kind === Kind.EXECUTE ? 1 : LENGTHS[control >> 2];
  const enabled = ((dr7 >> (2 * number)) & 3) !== 0;
  const low = address.low & -lengthBytes;
  return { bit: 1 << number, enabled, kind, low, high: address.high, lengthBytes };
}

/** Whether `lengthBytes` bytes from an address meet a breakpoint. */
function overlaps(point: Breakpoint, low: number, high: number, lengthBytes: number): boolean {
  const distance = Long.fromBits(low, high).sub(Long.fromBits(point.low, point.high));
  return distance.gt(-lengthBytes) && distance.lt(point.lengthBytes);
}
