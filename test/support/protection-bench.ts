// Executes one instruction at a time among segments that a test describes, at any privilege level,
// and says what came of it: `#GP(58)`, or nothing if it completed. Faults are caught before they
// are delivered, so that the state afterwards is the one that the instruction left behind.

import type Long from 'long';
import { returnsBehind, VECTOR_NAMES } from '../../src/cpu/index.ts';
import { BareMachine } from './bare-machine.ts';
import { At, Selector } from './vmx-bench.ts';

/** Types of code and data descriptors. SDM 3, "Code- and Data-Segment Descriptor Types". */
export const Type = {
  READ_ONLY: 1,
  WRITABLE: 3,
  EXECUTE_ONLY: 9,
  READABLE_CODE: 11,
  CONFORMING: 13,
  READABLE_CONFORMING: 15,
} as const;

/** Types of system descriptors in IA-32e mode. */
export const SystemType = { LDT: 2, TSS: 9, BUSY_TSS: 11, CALL_GATE: 12 } as const;

/** A descriptor; what is left out is as in a flat 64-bit code segment of DPL 0. */
export interface Descriptor {
  readonly type?: number;
  readonly isSystem?: boolean;
  readonly dpl?: number;
  readonly present?: boolean;
  readonly long?: boolean;
  readonly db?: boolean;
  readonly granular?: boolean;
  readonly base?: number;
  /** 20 bits, as the descriptor has them. */
  readonly limit?: number;
}

/** Low and high half of a descriptor. SDM 3, "Segment Descriptors". */
export function descriptorHalves(descriptor: Descriptor): readonly [low: number, high: number] {
  const { type = Type.READABLE_CODE, isSystem = false, dpl = 0, present = true } = descriptor;
  const { base = 0, limit = 0xfffff, granular = !isSystem, db = false } = descriptor;
  const { long = !isSystem && (type & 8) !== 0 } = descriptor;
  const access = type | (isSystem ? 0 : 0x10) | (dpl << 5) | (present ? 0x80 : 0);
  const flags = (long ? 2 : 0) | (db ? 4 : 0) | (granular ? 8 : 0);
  const low = (limit & 0xffff) | ((base & 0xffff) << 16);
  const middle = ((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf0000) | (flags << 20);
  return [low, middle | (base & 0xff000000)];
}

/** Selectors of descriptors that tests make; with RPL 0. The second one is in the LDT. */
export const OWN = 0x50;
export const OWN_LOCAL = 0x14;
/** Where the LDT lies, and operands of tests. */
export const LDT = At.DATA;
export const OPERANDS = At.DATA + 0x1000;
export const STACK = At.STACK - 0x100;

const LDT_LIMIT = 0x1f;
const GDT_LIMIT = 0x9f;

class Caught {
  readonly fault: string;

  constructor(fault: string) {
    this.fault = fault;
  }
}

export class ProtectionBench {
  readonly bare: BareMachine;

  constructor(cpl: 0 | 1 | 2 | 3 = 0) {
    const bare = new BareMachine(cpl === 3 ? 3 : 0);
    this.bare = bare;
    bare.set('gdtrLimit', GDT_LIMIT);
    bare.set('ldtrSelector', 0x40);
    bare.set('ldtrBase', LDT);
    bare.set('ldtrLimit', LDT_LIMIT);
    bare.set('ldtrRights', 0x82);
    bare.set('rsp', STACK);
    if (cpl === 1 || cpl === 2) this.lower(cpl);
    const { processor } = bare.machine;
    processor.virtualization = {
      ...processor.virtualization,
      exception: ({ vector, type, errorCode }) => {
        if (returnsBehind(type)) return;
        const code = errorCode === null ? '' : `(${errorCode.toString(16)})`;
        throw new Caught(`${VECTOR_NAMES.get(vector)}${code}`);
      },
    };
  }

  /** Registers as if code and stack of this privilege had been loaded. */
  private lower(cpl: number): void {
    this.bare.set('csSelector', Selector.CODE + cpl);
    this.bare.set('csRights', 0xa09b | (cpl << 5));
    this.bare.set('ssSelector', Selector.DATA + cpl);
    this.bare.set('ssRights', 0xc093 | (cpl << 5));
  }

  /** Put a descriptor where a selector finds it, in GDT or LDT. */
  describe(selector: number, descriptor: Descriptor): void {
    this.writeEntry(selector, ...descriptorHalves(descriptor));
  }

  /** Eight bytes of a descriptor table. */
  writeEntry(selector: number, low: number, high: number): void {
    this.bare.write64(this.entryAt(selector), low, high);
  }

  /** The type field of a descriptor in memory, with S, DPL and P. */
  accessByte(selector: number): number {
    return this.bare.machine.memory.view.getUint8(this.bare.hpa(this.entryAt(selector)) + 5);
  }

  private entryAt(selector: number): number {
    return ((selector & 4) === 0 ? At.GDT : LDT) + (selector & 0xfff8);
  }

  /** Write 16 bits to where operands lie. */
  write16(linear: number, value: number): void {
    const { memory } = this.bare.machine;
    memory.write(this.bare.hpa(linear), Uint8Array.of(value & 0xff, value >> 8));
  }

  /** Execute one instruction; the fault that it raises, or why it stopped, or null. */
  execute(source: string): string | null {
    const { bare } = this;
    const { processor } = bare.machine;
    bare.load(source);
    bare.set('rip', At.CODE);
    processor.stateChanged();
    try {
      return processor.step()?.kind ?? null;
    } catch (thrown) {
      if (thrown instanceof Caught) return thrown.fault;
      throw thrown;
    }
  }

  get cpl(): number {
    return this.bare.machine.processor.state.cpl;
  }

  /** An item of the processor's state, 64 bits exact. */
  wide(name: string): Long {
    return this.bare.machine.processor.state.get(name).toUnsigned();
  }

  setWide(name: string, value: Long): void {
    this.bare.machine.processor.state.set(name, value);
  }

  /** Items of the processor's state by name. */
  values(...names: readonly string[]): number[] {
    return names.map((name) => this.bare.get(name));
  }
}
