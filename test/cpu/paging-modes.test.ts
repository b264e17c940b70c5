// Translation without paging, by 32-bit and by PAE paging: addresses, page sizes, reserved bits,
// error codes, accessed and dirty flags. SDM 3, "Paging" ("32-Bit Paging", "PAE Paging", "Access
// Rights", "Page-Fault Exceptions").

import { describe, expect, test } from 'vitest';
import { BareMachine } from '../support/bare-machine.ts';
import { LegacyPaging, type PagingOptions, Table } from '../support/legacy-paging.ts';

const P = 1;
const RW = 2;
const US = 4;
const A = 0x20;
const D = 0x40;
const PS = 0x80;
const OPEN = P | RW | US;
const XD = 2 ** 31;

const CR4_PSE = 0x10;
const CR4_SMEP = 1 << 20;
const CR4_SMAP = 1 << 21;

/** In the 4-MiB region 0x12c00000, page 0x345. */
const LINEAR = 0x12f45678;

describe('without paging', () => {
  test.each([0, 0x3f123, 0xfffff000, 0xffffffff])('%i is the physical address', (linear) => {
    const paging = new LegacyPaging({ mode: 'none' });
    const outcomes = (['read', 'write', 'fetch'] as const).map((name) =>
      paging.access(name, linear),
    );
    expect(outcomes).toEqual([linear, linear, linear]);
  });

  test('SMEP, SMAP and NXE have nothing to say', () => {
    const options: PagingOptions = { mode: 'none', cr4: CR4_SMEP | CR4_SMAP, nxe: true };
    expect(new LegacyPaging(options).codes(0x3f000)).toEqual([null, null, null]);
    expect(new LegacyPaging({ ...options, cpl: 3 }).codes(0x3f000)).toEqual([null, null, null]);
  });
});

describe('32-bit paging', () => {
  /** LINEAR is mapped to a page by two levels. */
  function mapped(options: Partial<PagingOptions>, directory = OPEN, table = OPEN): LegacyPaging {
    const paging = new LegacyPaging({ mode: '32-bit', ...options });
    paging.entry32(Table.TOP + 4 * (LINEAR >>> 22), Table.LOW | directory);
    paging.entry32(Table.LOW + 4 * ((LINEAR >>> 12) & 1023), Table.PAGE | table);
    return paging;
  }

  test('two levels of 10 bits each', () => {
    expect(mapped({}).access('read', LINEAR)).toBe(Table.PAGE + 0x678);
    expect(mapped({}).access('read', LINEAR + 0x1000)).toBe('#PF(0) at 12f46678');
    expect(mapped({}).access('read', LINEAR - 2 ** 22)).toBe('#PF(0) at 12b45678');
  });

  test('entries are 4 bytes, and their upper 20 bits count', () => {
    const paging = mapped({});
    paging.entry32(Table.LOW + 4 * ((LINEAR >>> 12) & 1023), 0xfedcb000 | OPEN);
    expect(paging.access('read', LINEAR)).toBe(0xfedcb678);
  });

  test('bits 11:0 of CR3 are no address', () => {
    const paging = mapped({});
    paging.set('cr3', Table.TOP | 0xfff);
    expect(paging.access('read', LINEAR)).toBe(Table.PAGE + 0x678);
  });

  test.each<[string, number, number, Partial<PagingOptions>, (number | null)[]]>([
    // [what, page directory entry, page table entry, control, codes of read, write, fetch]
    ['all open', OPEN, OPEN, {}, [null, null, null]],
    ['all open', OPEN, OPEN, { cpl: 3 }, [null, null, null]],
    ['directory entry not present', RW | US, OPEN, {}, [0, 2, 0]],
    ['directory entry not present', RW | US, OPEN, { cpl: 3 }, [4, 6, 4]],
    ['page not present, all else set', OPEN, 0xfffffffe, {}, [0, 2, 0]],
    ['not present, with NXE, which counts with PAE only', OPEN, 0, { nxe: true }, [0, 2, 0]],
    ['not present, with SMEP', OPEN, 0, { cr4: CR4_SMEP }, [0, 2, 0x10]],
    ['directory read-only', P | US, OPEN, {}, [null, 3, null]],
    ['page read-only', OPEN, P | US, {}, [null, 3, null]],
    ['page read-only, WP = 0', OPEN, P | US, { wp: false }, [null, null, null]],
    ['page read-only, WP = 0', OPEN, P | US, { wp: false, cpl: 3 }, [null, 7, null]],
    ['directory supervisor', P | RW, OPEN, { cpl: 3 }, [5, 7, 5]],
    ['page supervisor', OPEN, P | RW, { cpl: 3 }, [5, 7, 5]],
    ['user page, SMEP', OPEN, OPEN, { cr4: CR4_SMEP }, [null, null, 0x11]],
    ['user page, SMAP', OPEN, OPEN, { cr4: CR4_SMAP }, [1, 3, null]],
    [
      'supervisor page, SMEP and SMAP',
      P | RW,
      OPEN,
      { cr4: CR4_SMEP | CR4_SMAP },
      [null, null, null],
    ],
    ['bits 11:9 and PAT set', OPEN | 0xe00, OPEN | 0xe80, {}, [null, null, null]],
    ['PS set without CR4.PSE: a table all the same', OPEN | PS, OPEN, {}, [null, null, null]],
  ])('%s: %i, %i, %o', (_what, directory, table, options, codes) => {
    expect(mapped(options, directory, table).codes(LINEAR)).toEqual(codes);
  });

  test('accessed and dirty flags', () => {
    const paging = mapped({});
    const directory = Table.TOP + 4 * (LINEAR >>> 22);
    const table = Table.LOW + 4 * ((LINEAR >>> 12) & 1023);
    const flags = () => [directory, table].map((at) => paging.read32(at) & (A | D));
    expect(flags()).toEqual([0, 0]);
    paging.access('read', LINEAR);
    expect(flags()).toEqual([A, A]);
    paging.access('write', LINEAR);
    expect(flags()).toEqual([A, A | D]);
    // The entries beside them are as they were.
    expect([paging.read32(directory + 4), paging.read32(table + 4)]).toEqual([0, 0]);
  });

  test('a store to an entry takes effect at once', () => {
    const paging = mapped({});
    paging.access('read', LINEAR);
    paging.entry32(Table.LOW + 4 * ((LINEAR >>> 12) & 1023), 0x3000 | OPEN);
    expect(paging.access('read', LINEAR)).toBe(0x3678);
  });

  describe('4-MiB pages', () => {
    /** The page directory entry is the leaf. */
    function leaf(entry: number, options: Partial<PagingOptions> = {}): LegacyPaging {
      const paging = new LegacyPaging({ mode: '32-bit', cr4: CR4_PSE, ...options });
      paging.entry32(Table.TOP + 4 * (LINEAR >>> 22), entry);
      return paging;
    }

    test('22 bits of offset', () => {
      expect(leaf(0x00c00000 | PS | OPEN).access('read', LINEAR)).toBe(0x00f45678);
    });

    test('bits 20:13 are bits 39:32 of the address (PSE-36)', () => {
      const entry = 0x00c00000 | (0x81 << 13) | PS | OPEN;
      expect(leaf(entry).access('read', LINEAR)).toBe(0x81 * 2 ** 32 + 0x00f45678);
    });

    test.each<[string, number, Partial<PagingOptions>, (number | null)[]]>([
      ['bit 21 is reserved', 1 << 21, {}, [9, 11, 9]],
      ['bit 21 is reserved', 1 << 21, { cpl: 3 }, [13, 15, 13]],
      ['bit 21 is reserved; SMEP tells fetches', 1 << 21, { cr4: CR4_PSE | CR4_SMEP }, [9, 11, 25]],
      ['bit 12 is PAT', 1 << 12, {}, [null, null, null]],
    ])('%s (%i, %o)', (_what, bits, options, codes) => {
      expect(leaf(0x00c00000 | PS | OPEN | bits, options).codes(LINEAR)).toEqual(codes);
    });

    test('accessed and dirty flags', () => {
      const paging = leaf(PS | OPEN);
      paging.access('write', LINEAR);
      expect(paging.read32(Table.TOP + 4 * (LINEAR >>> 22)) & (A | D)).toBe(A | D);
    });
  });
});

describe('PAE paging', () => {
  /** LINEAR is mapped by a PDPTE, a directory and a table. */
  function mapped(
    options: Partial<PagingOptions>,
    change: {
      directory?: number;
      directoryHigh?: number;
      table?: number;
      tableHigh?: number;
    } = {},
  ): LegacyPaging {
    const { directory = OPEN, directoryHigh = 0, table = OPEN, tableHigh = 0 } = change;
    const paging = new LegacyPaging({ mode: 'PAE', ...options });
    paging.entry64(Table.TOP + 8 * (LINEAR >>> 30), Table.MIDDLE | P);
    paging.entry64(DIRECTORY_ENTRY, Table.LOW | directory, directoryHigh);
    paging.entry64(TABLE_ENTRY, Table.PAGE | table, tableHigh);
    paging.loadCr3();
    return paging;
  }

  const DIRECTORY_ENTRY = Table.MIDDLE + 8 * ((LINEAR >>> 21) & 511);
  const TABLE_ENTRY = Table.LOW + 8 * ((LINEAR >>> 12) & 511);

  test('2, 9 and 9 bits', () => {
    const paging = mapped({});
    expect(paging.access('read', LINEAR)).toBe(Table.PAGE + 0x678);
    expect(paging.access('read', LINEAR + 2 ** 12)).toBe('#PF(0) at 12f46678');
    expect(paging.access('read', LINEAR + 2 ** 21)).toBe('#PF(0) at 13145678');
    expect(paging.access('write', LINEAR + 2 ** 30)).toBe('#PF(2) at 52f45678');
  });

  test.each([0, 1, 2, 3])('PDPTE %i translates its gigabyte', (number) => {
    const paging = new LegacyPaging({ mode: 'PAE' });
    paging.entry64(Table.TOP + 8 * number, Table.MIDDLE | P);
    paging.entry64(Table.MIDDLE, PS | OPEN);
    paging.loadCr3();
    const outcomes = [0, 1, 2, 3].map((other) => paging.access('read', other * 2 ** 30 + 5));
    expect(outcomes.map((outcome) => outcome === 5)).toEqual([0, 1, 2, 3].map((i) => i === number));
  });

  test('addresses have 46 bits', () => {
    const paging = mapped({}, { tableHigh: 0x3fff });
    expect(paging.access('read', LINEAR)).toBe(0x3fff * 2 ** 32 + Table.PAGE + 0x678);
  });

  test('a 2-MiB page', () => {
    const paging = mapped({}, {});
    paging.entry64(DIRECTORY_ENTRY, 0x00e00000 | PS | OPEN, 1);
    expect(paging.access('read', LINEAR)).toBe(2 ** 32 + 0x00f45678);
  });

  test.each<[string, Parameters<typeof mapped>[1], Partial<PagingOptions>, (number | null)[]]>([
    ['page not present', { table: 0 }, {}, [0, 2, 0]],
    ['page not present, NXE', { table: 0 }, { nxe: true }, [0, 2, 0x10]],
    ['page not present, SMEP', { table: 0 }, { cr4: CR4_SMEP }, [0, 2, 0x10]],
    ['directory entry not present', { directory: 0 }, { cpl: 3 }, [4, 6, 4]],
    ['execute-disable', { tableHigh: XD }, { nxe: true }, [null, null, 0x11]],
    ['execute-disable in the directory', { directoryHigh: XD }, { nxe: true }, [null, null, 0x11]],
    ['execute-disable without NXE: reserved', { tableHigh: XD }, {}, [9, 11, 9]],
    ['bit 46: reserved', { tableHigh: 1 << 14 }, {}, [9, 11, 9]],
    ['bit 52: reserved, unlike with four levels', { tableHigh: 1 << 20 }, {}, [9, 11, 9]],
    ['bit 62: reserved', { tableHigh: 1 << 30 }, {}, [9, 11, 9]],
    ['bit 62 of the directory', { directoryHigh: 1 << 30 }, { cpl: 3 }, [13, 15, 13]],
    ['2-MiB page, bit 13', { directory: PS | OPEN | 0x2000 }, {}, [9, 11, 9]],
    ['page read-only', { table: P | US }, {}, [null, 3, null]],
    ['directory supervisor', { directory: P | RW }, { cpl: 3 }, [5, 7, 5]],
    ['bits 11:9', { directory: OPEN | 0xe00, table: OPEN | 0xe00 }, {}, [null, null, null]],
  ])('%s: %o, %o', (_what, change, options, codes) => {
    expect(mapped(options, change).codes(LINEAR)).toEqual(codes);
  });

  test('the PDPTEs are those that MOV to CR3 has loaded', () => {
    const paging = mapped({});
    paging.entry64(Table.TOP + 8 * (LINEAR >>> 30), 0);
    expect(paging.access('read', LINEAR)).toBe(Table.PAGE + 0x678);
    paging.loadCr3();
    expect(paging.access('read', LINEAR)).toBe('#PF(0) at 12f45678');
  });

  test('PDPTEs get no accessed flag, the other entries do', () => {
    const paging = mapped({});
    paging.access('write', LINEAR);
    const flags = [Table.TOP, DIRECTORY_ENTRY, TABLE_ENTRY].map(
      (at) => paging.read32(at) & (A | D),
    );
    expect(flags).toEqual([0, A, A | D]);
  });

  test.each<[string, number, number, boolean]>([
    ['bit 1', P | 2, 0, false],
    ['bit 2', P | 4, 0, false],
    ['bit 5', P | 0x20, 0, false],
    ['bit 6', P | 0x40, 0, false],
    ['bit 7', P | 0x80, 0, false],
    ['bit 8', P | 0x100, 0, false],
    ['bit 46', P, 1 << 14, false],
    ['bit 63', P, XD, false],
    ['PWT, PCD and ignored bits', P | 0xe18, 0, true],
    ['bit 45', P, 1 << 13, true],
    ['reserved bits of one that is not present', 0x1e6, XD, true],
  ])('a PDPTE with %s (%i, %i) may be loaded: %o', (_what, low, high, legal) => {
    for (const number of [0, 3]) {
      const paging = mapped({ nxe: true });
      paging.entry64(Table.TOP + 8 * number, low, high);
      const before = paging.get('pdpte0');
      paging.set('cr3', 0x7000);
      const load = () => paging.loadCr3();
      if (legal) expect(load).not.toThrow();
      else {
        expect(load).toThrow(expect.objectContaining({ vector: 13, errorCode: 0 }));
        expect([paging.get('cr3'), paging.get('pdpte0')]).toEqual([0x7000, before]);
      }
    }
  });

  test('the table of PDPTEs is aligned to 32 bytes; bits 4:0 of CR3 do not count', () => {
    const paging = mapped({});
    paging.entry64(Table.TOP + 0x20, Table.LOW | P);
    paging.set('cr3', 0);
    paging.machine.processor.evaluator.call(
      'writeControl',
      paging.machine.processor.evaluator.constant(8, 3),
      paging.machine.processor.evaluator.constant(64, Table.TOP + 0x3f),
    );
    expect([paging.get('pdpte0'), paging.get('pdpte1')]).toEqual([Table.LOW | P, 0]);
    expect(paging.get('cr3')).toBe(Table.TOP + 0x3f);
  });
});

describe('an access at the end of the 32-bit address space', () => {
  test('goes on at address 0', () => {
    const paging = new LegacyPaging({ mode: '32-bit' });
    paging.entry32(Table.TOP, PS | OPEN);
    paging.entry32(Table.TOP + 4 * 1023, Table.LOW | OPEN);
    paging.entry32(Table.LOW + 4 * 1023, Table.PAGE | OPEN);
    paging.set('cr4', CR4_PSE);
    paging.machine.memory.write(Table.PAGE + 0xffe, Uint8Array.of(0x11, 0x22));
    paging.machine.memory.write(0, Uint8Array.of(0x33, 0x44));
    expect(paging.mmu.read(0xfffffffe | 0, 0, 4).low).toBe(0x44332211);
  });

  test('also in compatibility mode, and not in 64-bit mode', () => {
    const bare = new BareMachine();
    const { machine } = bare;
    const last = machine.map(0xfffff000, 1);
    const beyond = machine.map(2 ** 32, 1);
    machine.memory.write(last + 0xffe, Uint8Array.of(0x11, 0x22));
    machine.memory.write(beyond, Uint8Array.of(0x55, 0x66));
    machine.memory.write(bare.hpa(0), Uint8Array.of(0x33, 0x44));
    const read = () => machine.processor.mmu.read(0xfffffffe | 0, 0, 4).low;
    expect(read()).toBe(0x66552211);
    bare.set('csRights', 0xc09b);
    machine.processor.stateChanged();
    expect(read()).toBe(0x44332211);
  });
});
