// The memory management unit of a bare processor outside IA-32e mode, for tests of how it
// translates: the test writes the tables, and asks where an access leads.

import Long from 'long';
import { GuestFault, type Mmu, VECTOR_NAMES } from '../../src/cpu/index.ts';
import { TestMachine } from './test-processor.ts';

const PE = 1;
const WP = 0x10000;
const PG = 0x80000000;
const PAE = 0x20;
const NXE = 0x800;

/** Page-aligned places for tables, below the memory that entries point to. */
export const Table = { TOP: 0x8000, MIDDLE: 0x9000, LOW: 0xa000, PAGE: 0xb000 } as const;

export type AccessName = 'read' | 'write' | 'fetch';

const KINDS: Readonly<Record<AccessName, 0 | 1 | 2>> = { read: 0, write: 1, fetch: 2 };

export interface PagingOptions {
  readonly mode: 'none' | '32-bit' | 'PAE';
  readonly cpl?: 0 | 3;
  /** Bits of CR4 beyond PAE. */
  readonly cr4?: number;
  readonly wp?: false;
  /** EFER.NXE, off if not said otherwise. */
  readonly nxe?: true;
}

export class LegacyPaging {
  readonly machine = new TestMachine(64);
  readonly mmu: Mmu = this.machine.processor.mmu;

  constructor({ mode, cpl = 0, cr4 = 0, wp, nxe }: PagingOptions) {
    this.set('cr0', PE + (mode === 'none' ? 0 : PG) + (wp === false ? 0 : WP));
    this.set('cr4', cr4 | (mode === 'PAE' ? PAE : 0));
    this.set('efer', nxe === true ? NXE : 0);
    this.set('cr3', Table.TOP);
    const privilege = cpl << 5;
    this.set('csRights', 0xc09b | privilege);
    this.set('ssRights', 0xc093 | privilege);
    this.machine.processor.stateChanged();
  }

  set(name: string, value: number | Long): void {
    const wide = typeof value === 'number' ? Long.fromNumber(value) : value;
    this.machine.processor.state.set(name, wide);
  }

  get(name: string): number {
    return this.machine.processor.state.get(name).toUnsigned().toNumber();
  }

  /** A 4-byte entry. */
  entry32(at: number, value: number): void {
    this.machine.memory.write(at, new Uint8Array(Uint32Array.of(value).buffer));
  }

  read32(at: number): number {
    return this.machine.memory.view.getUint32(at, true);
  }

  /** An 8-byte entry. */
  entry64(at: number, low: number, high = 0): void {
    this.machine.memory.write64(at, low, high);
  }

  /** Load the PDPTE registers of PAE paging from the table at CR3, by MOV to CR3. */
  loadCr3(): void {
    this.machine.processor.evaluator.call('writeControl', ...this.slots(3, Table.TOP));
  }

  private slots(...values: number[]): number[] {
    const { evaluator } = this.machine.processor;
    return values.map((value) => evaluator.constant(64, value));
  }

  /** Guest-physical address that an access leads to, or the fault; #PF with its address. */
  access(name: AccessName, linear: number): number | string {
    try {
      const hpa = this.mmu.locate(linear | 0, 0, 1, KINDS[name], false);
      return hpa < 0 ? this.mmu.deviceGpa : hpa;
    } catch (thrown) {
      if (!(thrown instanceof GuestFault)) throw thrown;
      const at = thrown.vector === 14 ? ` at ${(thrown.linearLow >>> 0).toString(16)}` : '';
      return `${VECTOR_NAMES.get(thrown.vector)}(${thrown.errorCode?.toString(16)})${at}`;
    }
  }

  /** What reading, writing and fetching at an address lead to: error codes, or null. */
  codes(linear: number): (number | null)[] {
    return (['read', 'write', 'fetch'] as const).map((name) => {
      const outcome = this.access(name, linear);
      const code = /^#PF\((\w+)\) at/.exec(String(outcome));
      return code === null ? null : Number.parseInt(code[1] ?? '', 16);
    });
  }
}
