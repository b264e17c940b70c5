// The frame of a compiled function: registers and flags in locals, loaded at the entry and stored
// at every way out; one loop; and the way back to the interpreter in the middle of an instruction.

import { Flag, Gpr } from '../../src/isa/index.ts';
import { type FunctionBody, Op, Type } from '../support/wasm-module.ts';

/** Where things lie in the memory of the module. */
export interface WasmLayout {
  /** The processor's state; parts by their offset in it, general registers first. */
  readonly stateHpa: number;
  readonly rflagsOffset: number;
  /** Bases by segment number; 64-bit mode has those of FS and GS only. */
  readonly baseOffsets: ReadonlyMap<number, number>;
  /** The only linear addresses that compiled code accesses by itself, and where they lie. */
  readonly windowLinear: bigint;
  readonly windowHpa: number;
  readonly windowBytes: number;
}

const FLAGS = Object.values(Flag);

export class WasmFrame {
  readonly body: FunctionBody;
  readonly layout: WasmLayout;
  private readonly start: bigint;
  /** Addresses of the instruction and of the one that follows. */
  private here: bigint;
  private end: bigint;
  private readonly registers: readonly number[];
  private readonly flags: ReadonlyMap<Flag, number>;
  private readonly rip: number;
  private readonly savedRsp: number;
  /** Labels of the block around the code and of the loop. */
  private exit = 0;
  private head = 0;
  private movesRsp = false;

  constructor(body: FunctionBody, start: bigint, layout: WasmLayout) {
    this.body = body;
    this.layout = layout;
    this.start = start;
    this.here = start;
    this.end = start;
    this.registers = Array.from({ length: 16 }, () => body.local(Type.I64));
    this.flags = new Map(FLAGS.map((flag) => [flag, body.local(Type.I32)]));
    this.rip = body.local(Type.I64);
    this.savedRsp = body.local(Type.I64);
  }

  /** Address of the instruction that follows in memory. */
  get next(): bigint {
    return this.end;
  }

  register(number: number): number {
    return this.registers[number];
  }

  flag(name: Flag): number {
    return this.flags.get(name) as number;
  }

  /** Load registers and flags, and open the blocks that exits and the loop lead to. */
  enter(): void {
    const { body, layout } = this;
    this.registers.forEach((local, of) => {
      body.i32(layout.stateHpa);
      body.memory(Op.i64Load, 8 * of);
      body.set(local);
    });
    for (const [flag, local] of this.flags) {
      body.i32(layout.stateHpa);
      body.memory(Op.i32Load, layout.rflagsOffset);
      body.i32(flag);
      body.op(Op.i32ShrU);
      body.i32(1);
      body.op(Op.i32And);
      body.set(local);
    }
    this.exit = body.open(Op.block);
    this.head = body.open(Op.loop);
  }

  /** The next instruction begins; what it does to RSP must be undone if it cannot complete. */
  begin(lengthBytes: number, movesRsp: boolean, jumps: boolean): void {
    this.here = this.end;
    this.end = this.here + BigInt(lengthBytes);
    this.movesRsp = movesRsp;
    if (movesRsp) {
      this.body.get(this.register(Gpr.RSP));
      this.body.set(this.savedRsp);
    }
    if (jumps) this.setRip(this.end);
  }

  /** Continue at the address on the stack, once the instruction is complete. */
  setTarget(): void {
    this.body.set(this.rip);
  }

  /** Not before the end of the instruction: CALL pushes after it has said where it jumps. */
  followJump(): void {
    const { body } = this;
    body.get(this.rip);
    body.i64(this.start);
    body.op(Op.i64Eq);
    this.branchIf(this.head);
    body.get(this.rip);
    body.i64(this.end);
    body.op(Op.i64Ne);
    this.branchIf(this.exit);
  }

  /** Fall out of the end; on every way out store registers and flags, and return RIP. */
  leave(): void {
    const { body, layout } = this;
    this.setRip(this.end);
    body.close();
    body.close();
    this.registers.forEach((local, of) => {
      body.i32(layout.stateHpa);
      body.get(local);
      body.memory(Op.i64Store, 8 * of);
    });
    body.i32(layout.stateHpa);
    body.i32(layout.stateHpa);
    body.memory(Op.i32Load, layout.rflagsOffset);
    body.i32(~FLAGS.reduce<number>((bits, flag) => bits | (1 << flag), 0));
    body.op(Op.i32And);
    for (const [flag, local] of this.flags) {
      body.get(local);
      body.i32(flag);
      body.op(Op.i32Shl, Op.i32Or);
    }
    body.memory(Op.i32Store, layout.rflagsOffset);
    body.get(this.rip);
  }

  private setRip(value: bigint): void {
    this.body.i64(value);
    this.body.set(this.rip);
  }

  /** Branch to an open block if the i32 on the stack is not 0. */
  branchIf(label: number): void {
    this.body.open(Op.if);
    this.body.branch(label);
    this.body.close();
  }

  /**
   * Leave the instruction to the interpreter, as if it had not begun. RSP is the only register that
   * meanings change before they may still fault.
   */
  giveUp(): void {
    const { body } = this;
    if (this.movesRsp) {
      body.get(this.savedRsp);
      body.set(this.register(Gpr.RSP));
    }
    this.setRip(this.here);
    body.branch(this.exit);
  }
}
