// What the Debug Adapter Protocol asks of whoever is debugged: a machine whose vCPUs are threads.

import type Long from 'long';
import type { CodeSize } from '../../isa/index.ts';
import type { SymbolMap } from '../../machine/index.ts';
import type { RegisterValues } from '../gdb/registers.ts';
import type { Direction } from '../session.ts';
import type { StepKind } from '../stepping.ts';
import type { NamedValue } from '../views.ts';

/** A vCPU, by its number among all of the host's, from 1. */
export interface DapThread {
  readonly id: number;
  readonly name: string;
  /** Names of what is in its memory. */
  readonly symbols: SymbolMap;
}

/** A breakpoint as a client asks for it. */
export interface DapBreakpoint {
  readonly where: /** A linear address in the machine of a thread. */
    | { readonly kind: 'address'; readonly address: Long; readonly thread: DapThread }
    | {
        readonly kind: 'memory';
        readonly address: Long;
        readonly lengthBytes: number;
        readonly access: 'read' | 'write' | 'readWrite';
        readonly thread: DapThread;
      }
    /** A VM exit, by the name of its reason. */
    | { readonly kind: 'exit'; readonly reason: string };
  /** An expression, or null. */
  readonly condition: string | null;
  /** Hits to pass over. */
  readonly ignoreCount: number;
  /** Print this, with expressions in braces, and go on; or null. */
  readonly logMessage: string | null;
}

/** What has become of a breakpoint that was asked for. */
export type DapVerdict =
  | { readonly verified: true; readonly id: number }
  | { readonly verified: false; readonly message: string };

export type DapStopReason =
  | { readonly kind: 'step' }
  | { readonly kind: 'pause' }
  | { readonly kind: 'goto' }
  | { readonly kind: 'breakpoint'; readonly ids: readonly number[] }
  | { readonly kind: 'exit'; readonly reason: string; readonly ids: readonly number[] }
  | { readonly kind: 'historyStart' }
  | { readonly kind: 'ended'; readonly exitCode: number };

export interface DapStop {
  readonly reason: DapStopReason;
  readonly thread: DapThread;
  /** In words, for people. */
  readonly message: string;
}

/** Sources by the names that programs have for them. */
export interface DapSources {
  /** Those of which there is code, each once. */
  readonly files: readonly string[];
  /** The path that the client knows it by. */
  pathOf(file: string): string;
  /** A file with that path has the text that the program was made of. */
  isFile(file: string): boolean;
  /** Null if its text is not to be had. */
  lines(file: string): readonly string[] | null;
}

/** How a thread is to go on; see {@link StepKind}. */
export type DapMovement = 'continue' | 'instruction' | StepKind;

export interface DapTarget {
  readonly threads: readonly DapThread[];
  registers(thread: DapThread): RegisterValues;
  /** The linear address of the next instruction. */
  linearRip(thread: DapThread): Long;
  codeSize(thread: DapThread): CodeSize;
  /** As many bytes at a linear address as are mapped in a row, none if the first is not. */
  readMemory(thread: DapThread, address: Long, lengthBytes: number): Uint8Array;
  /** False if any byte is not mapped; then nothing is written. */
  writeMemory(thread: DapThread, address: Long, bytes: Uint8Array): boolean;
  /** Replace a group of breakpoints; what became of each, in order. */
  setBreakpoints(group: string, breakpoints: readonly DapBreakpoint[]): readonly DapVerdict[];
  removeAll(): void;
  /** Begin a step of a thread, or a run up to the next stop; throws if there is no such step. */
  resume(movement: DapMovement, direction: Direction, thread: DapThread): void;
  /** Go on for a while; how it stopped, or null if it has not. */
  advance(): DapStop | null;
  /** Stop as soon as it can; said before each {@link advance} until it has stopped. */
  interrupt(): void;
  /** The value of an expression; throws {@link BadRequest} with what is wrong with it. */
  evaluate(expression: string, thread: DapThread): Long;
  /** Change what an expression stands for: a register, memory, a field of the VMCS. */
  assign(expression: string, value: string, thread: DapThread): void;
  /** What a command says that people type; null if there is no such command. */
  command(text: string, thread: DapThread): string | null;
  /** What a text that is being typed can become, and how much of its end that replaces. */
  complete(
    text: string,
    thread: DapThread,
  ): readonly [candidates: readonly string[], replaced: string];
  /** Innermost first: linear addresses of the next instruction, and of those behind calls. */
  frames(thread: DapThread): readonly Long[];
  readonly sources: DapSources;
  /** What the local APIC holds, and what the host says of the thread. */
  lapic(thread: DapThread): readonly NamedValue[];
  host(thread: DapThread): readonly NamedValue[];
  /** Why the last VM exit happened, with the control bits and fields of the VMCS behind it. */
  why(thread: DapThread): string;
  /** What guests have printed since it was asked last. */
  takeOutput(): string;
  /** What breakpoints with a message have printed since. */
  takeLog(): readonly string[];
}

/** A request that cannot be done, with what to tell the user. */
export class BadRequest {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}
