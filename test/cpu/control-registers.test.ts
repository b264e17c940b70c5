// Writes to CR0, CR3, CR4 and EFER in every mode: which values fault, and which mode the others
// lead to. SDM 3, "Mode Switching", "Initializing IA-32e Mode", "Process-Context Identifiers
// (PCIDs)"; SDM 2, "MOV - Move to/from Control Registers".

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { GuestFault, VECTOR_NAMES, writeMsr } from '../../src/cpu/index.ts';
import { LegacyPaging, Table } from '../support/legacy-paging.ts';

const PE = 1;
const ET = 0x10;
const WP = 0x10000;
const NW = 2 ** 29;
const CD = 2 ** 30;
const PG = 2 ** 31;

const PSE = 0x10;
const PAE = 0x20;
const PGE = 0x80;
const PCIDE = 0x20000;
const SMEP = 0x100000;

const LME = 0x100;
const LMA = 0x400;
const NXE = 0x800;
const EFER_MSR = 0xc0000080;

const LONG_CODE = 0xa09b;
const WIDE_CODE = 0xc09b;
const BUSY_TSS_16 = 0x83;
const BUSY_TSS = 0x8b;

type Names = 'cr0' | 'cr3' | 'cr4' | 'efer' | 'csRights' | 'trRights';

/** Registers as they are before the write, and after it. */
type Registers = Partial<Readonly<Record<Names, number>>>;

const REAL: Registers = { cr0: ET, cr4: 0, efer: 0, csRights: 0x9b };
const PROTECTED: Registers = { cr0: PE | ET, cr4: 0, efer: 0, csRights: WIDE_CODE };
const PAGED: Registers = { ...PROTECTED, cr0: PE + ET + PG };
const PAE_PAGED: Registers = { ...PAGED, cr4: PAE };
const LONG_READY: Registers = { ...PROTECTED, cr4: PAE, efer: LME, trRights: BUSY_TSS };
const COMPATIBILITY: Registers = { ...PAGED, cr4: PAE, efer: LME | LMA, trRights: BUSY_TSS };
const LONG: Registers = { ...COMPATIBILITY, csRights: LONG_CODE };

class Bench {
  readonly paging = new LegacyPaging({ mode: 'none' });

  constructor(registers: Registers) {
    const { memory } = this.paging.machine;
    // PDPTEs without reserved bits.
    for (let i = 0; i < 4; i++) memory.write64(Table.TOP + 8 * i, Table.MIDDLE | 1, 0);
    for (const [name, value] of Object.entries(registers)) this.paging.set(name, value);
    this.processor.stateChanged();
  }

  get processor() {
    return this.paging.machine.processor;
  }

  /** MOV to a control register; the fault, or the mode that is then in effect. */
  write(number: number, value: number | Long): string {
    const { evaluator } = this.processor;
    const wide = typeof value === 'number' ? Long.fromNumber(value) : value;
    this.processor.state.set('rax', wide);
    try {
      evaluator.call('writeControl', evaluator.constant(8, number), evaluator.register(64, 0));
    } catch (thrown) {
      if (!(thrown instanceof GuestFault)) throw thrown;
      return `${VECTOR_NAMES.get(thrown.vector)}(${thrown.errorCode})`;
    }
    return this.processor.mode;
  }

  get lma(): boolean {
    return (this.paging.get('efer') & LMA) !== 0;
  }
}

const FAULT = '#GP(0)';

describe('CR0', () => {
  test.each<[string, Registers, number, string, boolean]>([
    // [what, before, value, outcome, EFER.LMA afterwards]
    ['into protected mode', REAL, PE | ET, 'protected', false],
    ['back to real mode', PROTECTED, ET, 'real', false],
    ['paging without protection', REAL, PG + ET, FAULT, false],
    ['protection and paging at once', REAL, PE + PG + ET, 'protected', false],
    ['paging off and protection off at once', PAGED, ET, 'real', false],
    ['32-bit paging on', PROTECTED, PE + PG, 'protected', false],
    ['PAE paging on', { ...PROTECTED, cr4: PAE }, PE + PG, 'protected', false],
    ['paging off', PAGED, PE, 'protected', false],
    ['IA-32e mode on', LONG_READY, PE + PG, 'compatibility', true],
    ['IA-32e mode on, without PAE', { ...LONG_READY, cr4: 0 }, PE + PG, FAULT, false],
    ['IA-32e mode on, CS.L set', { ...LONG_READY, csRights: LONG_CODE }, PE + PG, FAULT, false],
    ['IA-32e mode on, 16-bit TSS', { ...LONG_READY, trRights: BUSY_TSS_16 }, PE + PG, FAULT, false],
    [
      'PAE paging, 16-bit TSS',
      { ...PROTECTED, cr4: PAE, trRights: 0x83 },
      PE + PG,
      'protected',
      false,
    ],
    ['paging off in compatibility mode', COMPATIBILITY, PE, 'protected', false],
    ['paging off in 64-bit mode', LONG, PE, FAULT, true],
    ['paging off with PCIDs', { ...COMPATIBILITY, cr4: PAE | PCIDE }, PE, FAULT, true],
    ['WP changed in 64-bit mode', LONG, PE + PG + WP, '64-bit', true],
    ['NW without CD', PROTECTED, PE + NW, FAULT, false],
    ['CD without NW', PROTECTED, PE + CD, 'protected', false],
    ['CD and NW', PROTECTED, PE + CD + NW, 'protected', false],
    ['protection off, paging on', PAGED, PG + ET, FAULT, false],
  ])('%s', (_what, before, value, outcome, lma) => {
    const bench = new Bench(before);
    expect(bench.write(0, value)).toBe(outcome);
    expect(bench.lma).toBe(lma);
    const old = (before.cr0 ?? 0) % 2 ** 32;
    expect(bench.paging.get('cr0')).toBe(outcome === FAULT ? old : value + (value & ET ? 0 : ET));
  });

  test('bits 63:32', () => {
    expect(new Bench(LONG).write(0, Long.fromBits((PE + PG) | 0, 1))).toBe(FAULT);
  });
});

describe('CR4', () => {
  test.each<[string, Registers, number, string]>([
    ['PAE on under 32-bit paging', PAGED, PAE, 'protected'],
    ['PAE off under PAE paging', PAE_PAGED, 0, 'protected'],
    ['PAE off in compatibility mode', COMPATIBILITY, 0, FAULT],
    ['PAE off in 64-bit mode', LONG, PSE, FAULT],
    ['PAE off with LME but no paging', LONG_READY, 0, 'protected'],
    ['PCIDE on in 64-bit mode', LONG, PAE | PCIDE, '64-bit'],
    ['PCIDE on in compatibility mode', COMPATIBILITY, PAE | PCIDE, 'compatibility'],
    ['PCIDE on in protected mode', PAE_PAGED, PAE | PCIDE, FAULT],
    ['PCIDE on with LME alone', LONG_READY, PAE | PCIDE, FAULT],
    ['PCIDE on with bit 0 of CR3', { ...LONG, cr3: 0x8001 }, PAE | PCIDE, FAULT],
    ['PCIDE on with bit 11 of CR3', { ...LONG, cr3: 0x8800 }, PAE | PCIDE, FAULT],
    ['PCIDE kept with a PCID', { ...LONG, cr4: PAE | PCIDE, cr3: 0x8fff }, PAE | PCIDE, '64-bit'],
    ['PCIDE off with a PCID', { ...LONG, cr4: PAE | PCIDE, cr3: 0x8fff }, PAE, '64-bit'],
    ['UMIP', PROTECTED, 0x800, 'protected'],
    ['bit 12 (LA57)', PROTECTED, 0x1000, FAULT],
    ['bit 18 (OSXSAVE), which is not offered', PROTECTED, 0x40000, FAULT],
    ['bit 31', PROTECTED, 2 ** 31, FAULT],
  ])('%s', (_what, before, value, outcome) => {
    const bench = new Bench(before);
    expect(bench.write(4, value)).toBe(outcome);
    expect(bench.paging.get('cr4')).toBe(outcome === FAULT ? before.cr4 : value);
  });
});

describe('CR3', () => {
  const BIT_63 = Long.fromBits(0x8000, 1 << 31);

  test.each<[string, Registers, Long, string]>([
    ['bit 45', LONG, Long.fromBits(0, 1 << 13), '64-bit'],
    ['bit 46', LONG, Long.fromBits(0, 1 << 14), FAULT],
    ['bit 62', LONG, Long.fromBits(0, 1 << 30), FAULT],
    ['bit 63 without PCIDE', LONG, BIT_63, FAULT],
    ['bit 63 with PCIDE', { ...LONG, cr4: PAE | PCIDE }, BIT_63, '64-bit'],
    [
      'bits 63 and 62 with PCIDE',
      { ...LONG, cr4: PAE | PCIDE },
      BIT_63.or(Long.ONE.shl(62)),
      FAULT,
    ],
    ['bits 11:0', LONG, Long.fromInt(0x8fff), '64-bit'],
  ])('%s', (_what, before, value, outcome) => {
    const bench = new Bench(before);
    expect(bench.write(3, value)).toBe(outcome);
    if (outcome === FAULT) return;
    // Bit 63 is not stored.
    expect(bench.paging.get('cr3')).toBe(value.and(Long.MAX_VALUE).toNumber());
  });
});

describe('PDPTEs are loaded by', () => {
  test.each<[string, Registers, number, number, boolean]>([
    // [what, before, register, value, loads]
    ['MOV to CR3 under PAE paging', PAE_PAGED, 3, Table.TOP, true],
    ['MOV to CR3 under 32-bit paging', PAGED, 3, Table.TOP, false],
    ['MOV to CR3 without paging', { ...PROTECTED, cr4: PAE }, 3, Table.TOP, false],
    ['MOV to CR3 in IA-32e mode', LONG, 3, Table.TOP, false],
    ['PG set with PAE', { ...PROTECTED, cr4: PAE }, 0, PE + PG, true],
    ['PG set without PAE', PROTECTED, 0, PE + PG, false],
    ['PG set with PAE and LME', LONG_READY, 0, PE + PG, false],
    ['CD set', PAE_PAGED, 0, PE + PG + CD, true],
    ['CD and NW set', PAE_PAGED, 0, PE + PG + CD + NW, true],
    ['WP set', PAE_PAGED, 0, PE + PG + WP, false],
    ['PG cleared', PAE_PAGED, 0, PE, false],
    ['PAE set', PAGED, 4, PAE, true],
    ['PAE cleared', PAE_PAGED, 4, 0, false],
    ['PGE set', PAE_PAGED, 4, PAE | PGE, true],
    ['PSE set', PAE_PAGED, 4, PAE | PSE, true],
    ['SMEP set', PAE_PAGED, 4, PAE | SMEP, true],
    ['TSD set', PAE_PAGED, 4, PAE | 4, false],
    ['PGE set in IA-32e mode', LONG, 4, PAE | PGE, false],
  ])('%s (%o, CR%i, %i): %o', (_what, before, number, value, loads) => {
    const good = new Bench({ ...before, cr3: Table.TOP });
    expect(good.write(number, value)).not.toBe(FAULT);
    expect(good.paging.get('pdpte3')).toBe(loads ? Table.MIDDLE | 1 : 0);
    // With a reserved bit set, what loads them faults and changes nothing.
    const bad = new Bench({ ...before, cr3: Table.TOP });
    bad.paging.entry64(Table.TOP + 16, Table.MIDDLE | 3);
    const registers = () =>
      (['cr0', 'cr3', 'cr4', 'pdpte0'] as const).map((name) => bad.paging.get(name));
    const old = registers();
    expect(bad.write(number, value) === FAULT).toBe(loads);
    if (loads) expect(registers()).toEqual(old);
  });
});

describe('EFER', () => {
  test.each<[string, Registers, number, number | null]>([
    // [what, before, value, EFER afterwards or null]
    ['LME set in protected mode', PROTECTED, LME, LME],
    ['LME set under paging', PAGED, LME, null],
    ['LME cleared in compatibility mode', COMPATIBILITY, NXE, null],
    ['LME cleared without paging', LONG_READY, NXE, NXE],
    ['LMA set: ignored', PROTECTED, LMA, 0],
    ['LMA cleared in 64-bit mode: ignored', LONG, LME | NXE, LME | LMA | NXE],
    ['SCE and NXE', LONG, LME | LMA | NXE | 1, LME | LMA | NXE | 1],
    ['bit 1', PROTECTED, 2, null],
    ['bit 12', PROTECTED, 0x1000, null],
  ])('%s', (_what, before, value, expected) => {
    const bench = new Bench(before);
    expect(writeMsr(bench.processor, EFER_MSR, Long.fromInt(value))).toBe(expected !== null);
    expect(bench.paging.get('efer')).toBe(expected ?? before.efer);
  });
});

describe('LMSW', () => {
  test.each<[string, Registers, number, string]>([
    ['enters protected mode', REAL, PE, 'protected'],
    ['does not leave it', PROTECTED, 0, 'protected'],
  ])('%s', (_what, before, status, mode) => {
    const bench = new Bench(before);
    const { evaluator } = bench.processor;
    evaluator.call('writeMachineStatus', evaluator.constant(16, status));
    expect(bench.processor.mode).toBe(mode);
  });
});

describe('what writes mean for translations', () => {
  /** Linear 0 of two tables; the second of them read-only. */
  function twoSpaces(): Bench {
    const bench = new Bench({ ...PAGED, cr3: Table.TOP });
    bench.paging.entry32(Table.TOP, Table.LOW | 7);
    bench.paging.entry32(Table.LOW, 0x1007);
    bench.paging.entry32(Table.MIDDLE, Table.PAGE | 7);
    bench.paging.entry32(Table.PAGE, 0x2005);
    bench.processor.stateChanged();
    return bench;
  }

  test('each CR3 has its own', () => {
    const bench = twoSpaces();
    const seen = [Table.TOP, Table.MIDDLE, Table.TOP, Table.MIDDLE].map((cr3) => {
      bench.write(3, cr3);
      return bench.paging.access('read', 0);
    });
    expect(seen).toEqual([0x1000, 0x2000, 0x1000, 0x2000]);
  });

  test('however many there are, and in whichever order', () => {
    const bench = new Bench(PAGED);
    const directories = [0, 1, 2, 3, 4, 5].map((i) => 0x10000 + 0x2000 * i);
    directories.forEach((directory, i) => {
      bench.paging.entry32(directory, (directory + 0x1000) | 7);
      bench.paging.entry32(directory + 0x1000, (0x20000 + 0x1000 * i) | 7);
    });
    for (const i of [0, 1, 0, 2, 3, 1, 4, 5, 0, 3, 3, 2, 5, 4]) {
      bench.write(3, directories[i] ?? 0);
      expect(bench.paging.access('read', 0)).toBe(0x20000 + 0x1000 * i);
    }
  });

  test('a store to a table counts for the CR3 that is not in use as well', () => {
    const bench = twoSpaces();
    bench.paging.access('read', 0);
    bench.write(3, Table.MIDDLE);
    bench.paging.access('read', 0);
    bench.paging.entry32(Table.LOW, 0x3007);
    bench.write(3, Table.TOP);
    expect(bench.paging.access('read', 0)).toBe(0x3000);
  });

  test('CR0.WP and CR0.PG count at once', () => {
    const bench = twoSpaces();
    bench.write(3, Table.MIDDLE);
    expect(bench.paging.access('write', 0)).toBe(0x2000);
    bench.write(0, PE + PG + WP);
    expect(bench.paging.access('write', 0)).toBe('#PF(3) at 0');
    bench.write(0, PE + PG);
    expect(bench.paging.access('write', 0)).toBe(0x2000);
    bench.write(0, PE);
    expect(bench.paging.access('write', 0)).toBe(0);
  });

  test('CR4.PSE counts at once', () => {
    const bench = twoSpaces();
    bench.paging.entry32(Table.TOP, Table.LOW | 0x87);
    expect(bench.paging.access('read', 0x1234)).toBe('#PF(0) at 1234');
    expect(bench.paging.access('read', 0)).toBe(0x1000);
    bench.write(4, PSE);
    // Bits 15 and 13 of the entry are bits 34 and 32 of the address.
    expect(bench.paging.access('read', 0)).toBe(5 * 2 ** 32);
  });
});
