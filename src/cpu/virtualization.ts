// What a processor asks of the world around it. `Virtualization` is the owner that may stop it and
// that stands between guest-physical and host-physical memory; `Platform` is the board.

import type Long from 'long';
import type { Instruction } from '../isa/index.ts';
import type { Delay } from './delay.ts';
import type { DeliveredEvent } from './exceptions.ts';
import type { TaskSourceNumber } from './task-switch.ts';

/** Kinds of memory access; also the order of tags in the TLB. */
export const Access = { READ: 0, WRITE: 1, EXECUTE: 2 } as const;

export type AccessKind = (typeof Access)[keyof typeof Access];

/** Answer of {@link Virtualization.translate} for an address that belongs to a device. */
export const DEVICE = -1;

/** Answer of {@link Virtualization.translate}, while the processor takes it: stop there. */
export const STOPPED = -3;

export type TranslationPurpose = 'final' | 'walk' | 'pdptes';

/** What {@link Virtualization.boundary} did: nothing, delivered an event, or the guest is left. */
export type BoundaryOutcome = 'proceed' | 'delivered' | 'stop';

/** How PAUSE is watched; all times in cycles. SDM 3, "PAUSE-Loop Exiting". */
export interface PauseWatch {
  /** When the loop began, and its latest PAUSE, negative if there is none; each PAUSE moves them. */
  readonly state: { first: number; last: number };
  /** A PAUSE that comes later than this begins a loop. */
  readonly gap: number;
  /** A loop that lasts longer than this needs the owner. */
  readonly window: number;
}

/**
 * An owner stops the processor by what it answers where it is asked for that, which is cheap, and
 * anywhere by throwing `OWNER_STOP`; the state is then as it was at the start of the instruction
 * (or in the middle of the delivery that was under way).
 */
export interface Virtualization {
  /**
   * Before the privilege check of an instruction that declares an intercept: for the few of which
   * the owner's wish, or that they do not exist, comes first. True stops the processor.
   */
  beforePrivilege(instruction: Instruction): boolean;
  /**
   * Before an instruction that declares an intercept, after its privilege check. True stops the
   * processor.
   */
  intercept(instruction: Instruction): boolean;
  /**
   * How PAUSE is watched, if as long as the watch allows it need not be asked for ({@link
   * intercept}) one by one.
   */
  pauses(): PauseWatch | null;
  /**
   * Before a delay loop that goes on past the limit of the run, by its iterations before the last
   * one. True stops the processor, for whoever passes them later by
   * `passDelay`.
   */
  delays(delay: Delay, iterations: number): boolean;
  /** Before an exception is delivered; `linear` is the address of a page fault. */
  exception(event: DeliveredEvent, linear: Long): void;
  /** Instead of shutting down. */
  tripleFault(): void;
  /** Instead of a switch to the task of a TSS, whose selector and descriptor have been checked. */
  taskSwitch(selector: number, source: TaskSourceNumber): never;
  /**
   * From guest-physical to host-physical, or {@link DEVICE}; or {@link STOPPED}, which is cheaper
   * than throwing, if the instruction can be stopped by that.
   * @param purpose whether it is the address accessed, a paging structure on the way to it, or the
   * PDPTEs being loaded, for no linear address
   * @param linearLow the linear address being accessed, low half
   */
  translate(
    gpa: number,
    access: AccessKind,
    purpose: TranslationPurpose,
    linearLow: number,
    linearHigh: number,
  ): number;
  /** Whether IRET ends blocking by NMI. */
  iretUnblocksNmis(): boolean;
  /** What MOV from CR0, CR4 or CR8 reads, given the register. */
  readControl(number: number, real: Long): Long;
  /** What MOV to CR0, CR4 or CR8 makes of the register; to CR8, of a legal value. */
  writeControl(number: number, real: Long, written: Long): Long;
  /** The time stamp that the guest sees at a time in cycles. */
  timeStamp(clock: number): Long;
  /** At an instruction boundary where something may be due: deliver an event, stop, or neither. */
  boundary(): BoundaryOutcome;
}

/** The board: ports, MSRs that are not the processor's own, identification. */
export interface Platform {
  /** Zero-extended. */
  portIn(port: number, widthBits: number): number;
  portOut(port: number, widthBits: number, value: number): void;
  /** Null if there is no such MSR (#GP). */
  readMsr(index: number): Long | null;
  /** False to refuse (#GP). */
  writeMsr(index: number, value: Long): boolean;
  /** EAX, EBX, ECX, EDX. */
  cpuid(leaf: number, subleaf: number): readonly [number, number, number, number];
  /** Device memory, up to 8 bytes, little-endian. */
  deviceRead(gpa: number, lengthBytes: number): Long;
  deviceWrite(gpa: number, lengthBytes: number, value: Long): void;
}
