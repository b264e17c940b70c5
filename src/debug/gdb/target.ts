// What gdb's remote protocol asks of whoever is debugged. A virtual machine is a process to gdb,
// and each of its vCPUs a thread.

import type Long from 'long';
import type { Direction } from '../session.ts';
import type { RegisterValues } from './registers.ts';

export interface GdbThread {
  /** From 1. */
  readonly process: number;
  /** From 1, within its process. */
  readonly thread: number;
  readonly name: string;
  /** The pCPU that it is on, or null. */
  readonly core: number | null;
  /** What it is doing, in some words. */
  readonly activity: string;
}

export interface ResumeRequest {
  readonly kind: 'step' | 'continue';
  readonly direction: Direction;
  /** Who steps. */
  readonly thread: GdbThread;
  /** Step on while RIP is in here: the address of the first byte, and of the first behind. */
  readonly range: readonly [start: Long, end: Long] | null;
}

/** Why the target stopped. */
export type GdbStopReason =
  | { readonly kind: 'step' }
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'breakpoint'; readonly isHardware: boolean }
  | { readonly kind: 'watchpoint'; readonly access: WatchAccess; readonly address: Long }
  /** There is nothing before, or behind, in what was or can be executed. */
  | { readonly kind: 'historyStart' }
  | { readonly kind: 'historyEnd' };

export interface GdbStop {
  readonly reason: GdbStopReason;
  readonly thread: GdbThread;
  /** What to tell people, beside what gdb says by itself. */
  readonly message: string | null;
}

export type WatchAccess = 'read' | 'write' | 'access';

export type GdbBreakpoint =
  | { readonly kind: 'breakpoint'; readonly isHardware: boolean; readonly address: Long }
  | {
      readonly kind: 'watchpoint';
      readonly access: WatchAccess;
      readonly address: Long;
      readonly lengthBytes: number;
    };

/** A file with symbols that gdb may fetch. */
export interface SymbolFile {
  /** An absolute path of the target's own, as gdb shows it. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

export interface GdbTarget {
  readonly threads: readonly GdbThread[];
  registers(thread: GdbThread): RegisterValues;
  /** As many bytes at a linear address as are mapped in a row, none if the first is not. */
  readMemory(thread: GdbThread, address: Long, lengthBytes: number): Uint8Array;
  /** False if any byte is not mapped; then nothing is written. */
  writeMemory(thread: GdbThread, address: Long, bytes: Uint8Array): boolean;
  /** False if there can be no such breakpoint. */
  insert(breakpoint: GdbBreakpoint, thread: GdbThread): boolean;
  remove(breakpoint: GdbBreakpoint, thread: GdbThread): void;
  /** Remove every breakpoint: gdb has gone. */
  removeAll(): void;
  resume(request: ResumeRequest): void;
  /** Go on for a while; how it stopped, or null if it has not. Only after {@link resume}. */
  advance(): GdbStop | null;
  /** Stop as soon as it can; said before each {@link advance} until it has stopped. */
  interrupt(): void;
  /** Execute a command of `monitor`: what it says. */
  monitor(command: string, thread: GdbThread): string;
  symbolFile(process: number): SymbolFile | null;
}
