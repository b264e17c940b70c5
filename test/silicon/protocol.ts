// The two ends of a pipe: what a case is in bytes, what comes back, and the program that executes
// cases on the processor of this machine (oracle.c), built when it is first wanted.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CodeSize } from '../../src/isa/index.ts';
import { FOLLOWED_MODELS } from './undefined-flags.ts';

/**
 * Linear addresses, the same in the program and in the interpreter's machine. They are not among
 * the values that states are made of: what follows the code is not the same in both.
 */
export const CODE = 0x14561000;
export const DATA = 0x26785000;
export const PAGE = 4096;
/** The first page of data can be written to; the second one only read; there is no third. */
export const DATA_BYTES = 2 * PAGE;

/** Bits of {@link Case.mode}. */
export const Mode = {
  /** TF is set, so that nothing but the instruction is executed; for REP, one iteration. */
  SINGLE_STEP: 1,
  /** The code ends where its page does, and nothing follows. */
  AT_PAGE_END: 2,
  /** Registers of FPU and SSE are part of the case. */
  VECTORS: 4,
  /** Segment registers and bases are part of the outcome. */
  SEGMENTS: 8,
  /** In compatibility mode, in code of 32 or of 16 bits. */
  CODE32: 16,
  CODE16: 32,
} as const;

export function codeSizeOf(mode: number): CodeSize {
  return (mode & Mode.CODE32) !== 0 ? 32 : (mode & Mode.CODE16) !== 0 ? 16 : 64;
}

/** The bits of {@link Case.mode} that ask for a code size. */
export function modeFor(codeSize: CodeSize): number {
  return { 16: Mode.CODE16, 32: Mode.CODE32, 64: 0 }[codeSize];
}

/** In 16-bit code the upper half of ESP is what the program on the processor left there. */
export const ESP_UPPER_HALF = 0x33440000;

/** An image as FXSAVE64 stores it. */
export const VECTOR_BYTES = 512;

/** An instruction and the state before it. */
export interface Case {
  readonly code: Uint8Array;
  readonly mode: number;
  /** Sixteen registers in halves, low first. */
  readonly registers: Int32Array;
  readonly rflags: number;
  readonly fsBase: number;
  readonly gsBase: number;
  /** Words written to data beforehand: offset (a multiple of 8), low and high half. */
  readonly pokes: readonly (readonly [offset: number, low: number, high: number])[];
  readonly vectors: Uint8Array | null;
}

/** Trap number of an instruction that completed. */
export const COMPLETED = 0xff;

/** What came of a case: a view of bytes that came back. */
export class Outcome {
  private readonly view: DataView;
  private readonly start: number;
  readonly registers: Int32Array;
  readonly vectors: Uint8Array | null;

  constructor(buffer: ArrayBuffer, start: number, hasVectors: boolean) {
    this.view = new DataView(buffer);
    this.start = start;
    this.registers = new Int32Array(buffer, start, 32);
    const end = start + RESPONSE_BYTES + 16 * this.changed;
    this.vectors = hasVectors ? new Uint8Array(buffer, end, VECTOR_BYTES) : null;
  }

  /** Low and high half. */
  get rflags(): number {
    return this.view.getInt32(this.start + 128, true);
  }

  get rip(): bigint {
    return this.view.getBigUint64(this.start + 136, true);
  }

  get cr2(): bigint {
    return this.view.getBigUint64(this.start + 144, true);
  }

  get errorCode(): number {
    return this.view.getUint32(this.start + 152, true);
  }

  /** Vector of the exception, or {@link COMPLETED}. */
  get trap(): number {
    return this.view.getUint8(this.start + 156);
  }

  get signal(): number {
    return this.view.getUint8(this.start + 157);
  }

  /** Words of the first page of data that differ from what the batch brought. */
  get changed(): number {
    return this.view.getUint16(this.start + 158, true);
  }

  get fsBase(): bigint {
    return this.view.getBigUint64(this.start + 160, true);
  }

  get gsBase(): bigint {
    return this.view.getBigUint64(this.start + 168, true);
  }

  /** ES, DS, FS, GS. */
  get selectors(): number[] {
    return [0, 1, 2, 3].map((i) => this.view.getUint16(this.start + 176 + 2 * i, true));
  }

  /** CS where a signal found the processor, or 0. */
  get codeSelector(): number {
    return this.view.getUint16(this.start + 184, true);
  }

  /** Write the changed words over a copy of what the batch brought. */
  applyChanges(data: DataView): void {
    const first = this.start + RESPONSE_BYTES;
    for (let at = first; at < first + 16 * this.changed; at += 16) {
      const offset = this.view.getUint32(at, true);
      data.setBigUint64(offset, this.view.getBigUint64(at + 8, true), true);
    }
  }
}

const MAGIC = 0x314f4c49;
const HEADER_BYTES = 16 + DATA_BYTES;
const REQUEST_BYTES = 176;
const RESPONSE_BYTES = 192;

/** Cases that share what data holds beforehand. */
export interface Batch {
  readonly data: Uint8Array;
  readonly cases: readonly Case[];
}

function packed({ data, cases }: Batch): Uint8Array {
  const sizes = cases.map(({ pokes, vectors }) => {
    return REQUEST_BYTES + 16 * pokes.length + (vectors === null ? 0 : VECTOR_BYTES);
  });
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const bytes = new Uint8Array(HEADER_BYTES + total);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, cases.length, true);
  view.setUint32(8, total, true);
  bytes.set(data, 16);
  let at = HEADER_BYTES;
  cases.forEach((one, i) => {
    pack(one, bytes, view, at);
    at += sizes[i];
  });
  return bytes;
}

function pack(one: Case, bytes: Uint8Array, view: DataView, start: number): void {
  const { code, mode, registers, rflags, fsBase, gsBase, pokes, vectors } = one;
  bytes.set(new Uint8Array(registers.buffer, registers.byteOffset, 128), start);
  view.setUint32(start + 128, rflags, true);
  view.setUint32(start + 136, fsBase, true);
  view.setUint32(start + 144, gsBase, true);
  bytes.set(code, start + 152);
  bytes[start + 168] = code.length;
  bytes[start + 169] = mode;
  bytes[start + 170] = pokes.length;
  let at = start + REQUEST_BYTES;
  for (const [offset, low, high] of pokes) {
    view.setUint32(at, offset, true);
    view.setInt32(at + 8, low, true);
    view.setInt32(at + 12, high, true);
    at += 16;
  }
  if (vectors !== null) bytes.set(vectors, at);
}

interface Awaited {
  readonly batch: Batch;
  readonly done: (outcomes: Outcome[]) => void;
  readonly failed: (reason: Error) => void;
}

/** The program, running. Batches are answered in order; several may be under way. */
export class Oracle {
  private readonly child: ChildProcess;
  private readonly waiting: Awaited[] = [];
  private received = new Uint8Array(1 << 20);
  private receivedBytes = 0;
  private isClosed = false;

  constructor(program: string) {
    this.child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout?.on('data', (chunk: Uint8Array) => this.receive(chunk));
    this.child.on('exit', (status, signal) => this.ended(`${status ?? signal}`));
    this.child.stdin?.on('error', () => {});
  }

  run(batch: Batch): Promise<Outcome[]> {
    return new Promise((done, failed) => {
      this.waiting.push({ batch, done, failed });
      this.child.stdin?.write(packed(batch));
    });
  }

  close(): void {
    this.isClosed = true;
    this.child.stdin?.end();
  }

  private ended(how: string): void {
    if (this.isClosed && this.waiting.length === 0) return;
    const reason = new Error(`the program on the processor ended with ${how}`);
    for (const { failed } of this.waiting.splice(0)) failed(reason);
  }

  private receive(chunk: Uint8Array): void {
    const needed = this.receivedBytes + chunk.length;
    if (needed > this.received.length) {
      const larger = new Uint8Array(2 * needed);
      larger.set(this.received.subarray(0, this.receivedBytes));
      this.received = larger;
    }
    this.received.set(chunk, this.receivedBytes);
    this.receivedBytes = needed;
    while (this.waiting.length > 0 && this.answerFirst());
  }

  /** Hand over the outcomes of the oldest batch if they have all come. */
  private answerFirst(): boolean {
    const [{ batch, done }] = this.waiting;
    const view = new DataView(this.received.buffer);
    const starts: number[] = [];
    let at = 0;
    for (const { vectors } of batch.cases) {
      starts.push(at);
      if (at + RESPONSE_BYTES > this.receivedBytes) return false;
      at += RESPONSE_BYTES + 16 * view.getUint16(at + 158, true);
      if (vectors !== null) at += VECTOR_BYTES;
    }
    if (at > this.receivedBytes) return false;
    const answer = this.received.buffer.slice(0, at);
    this.received.copyWithin(0, at, this.receivedBytes);
    this.receivedBytes -= at;
    this.waiting.shift();
    done(starts.map((start, i) => new Outcome(answer, start, batch.cases[i].vectors !== null)));
    return true;
  }
}

const SOURCE = join(import.meta.dirname, 'oracle.c');
/** No library, nothing that needs FS or vector registers, and an address that nothing else has. */
const COMPILER_FLAGS = [
  ...['-O2', '-Wall', '-Wextra', '-Werror', '-fpie', '-ffreestanding', '-fno-stack-protector'],
  ...['-fcf-protection=none', '-mgeneral-regs-only', '-nostdlib', '-static'],
  '-Wl,-Ttext-segment=0x600000000000',
];

/** Why nothing can be executed on this machine, or null. Throws on a CI machine without gcc. */
export function whyNotHere(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `this is ${process.platform} on ${process.arch}, not Linux on x86-64`;
  }
  if (cpuInfo('vendor_id') !== 'GenuineIntel') {
    return "this processor is not Intel's, which the SDM describes";
  }
  if (processorFlags().has('la57')) return 'user addresses may have 57 bits here';
  try {
    // It must find the kernel's headers, too.
    execFileSync('gcc', ['-fsyntax-only', sourceFile()], { stdio: 'ignore' });
    return null;
  } catch {
    if (process.env.CI) throw new Error('gcc and the headers of Linux must be installed here');
    return 'gcc or the headers of Linux are not installed';
  }
}

/** Build the program in a folder and start it. */
export function startOracle(folder: string): Oracle {
  mkdirSync(folder, { recursive: true });
  const program = join(folder, 'oracle');
  execFileSync('gcc', [...COMPILER_FLAGS, '-o', program, sourceFile()], { stdio: 'inherit' });
  return new Oracle(program);
}

/** Also found from build/test/silicon, where the compiled form of this file lies. */
function sourceFile(): string {
  if (existsSync(SOURCE)) return SOURCE;
  return join(import.meta.dirname, '../../../test/silicon/oracle.c');
}

/** Names of features as the kernel lists them. */
export function processorFlags(): ReadonlySet<string> {
  return new Set(cpuInfo('flags').split(' '));
}

/** Whether this is a processor on which the interpreter also follows what the SDM leaves open. */
export function followsUndefinedFlags(): boolean {
  return cpuInfo('cpu family') === '6' && FOLLOWED_MODELS.includes(Number(cpuInfo('model')));
}

function cpuInfo(key: string): string {
  const text = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  return new RegExp(`^${key}\\s*: (.*)$`, 'm').exec(text)?.[1] ?? '';
}
