// Page faults of every kind with their error codes, accessed and dirty flags, and what makes a new
// translation count. SDM 3, "Access Rights", "Page-Fault Exceptions", "Accessed and Dirty Flags",
// and "Caching Translation Information".

import { describe, expect, test } from 'vitest';
import { BareMachine } from '../support/bare-machine.ts';
import { At } from '../support/vmx-bench.ts';

/** The page accessed, and the address in it. */
const PAGE = 0x30000;
const ADDRESS = PAGE + 0x18;

const P = 1;
const RW = 2;
const US = 4;
const PS = 0x80;
const A = 0x20;
const D = 0x40;
const XD = 1 << 31;
const RF = 0x10000;

const ACCESSES = {
  read: `mov rax, [${ADDRESS}]\nhlt`,
  write: `mov [${ADDRESS}], rax\nhlt`,
  fetch: `mov eax, ${ADDRESS}\njmp rax`,
} as const;

type AccessName = keyof typeof ACCESSES;

interface Control {
  /** CR0.WP and EFER.NXE, both set if not said otherwise. */
  readonly wp?: false;
  readonly nxe?: false;
}

const SUPERVISOR_WRITES: Control = { wp: false };
const NO_NXE: Control = { nxe: false };

function machine(cpl: 0 | 3, control: Control = {}): BareMachine {
  const bare = new BareMachine(cpl);
  if (control.wp === false) bare.set('cr0', bare.get('cr0') - RF);
  if (control.nxe === false) bare.set('efer', bare.get('efer') - 0x800);
  // A page that is fetched from halts, at CPL 3 by way of #GP.
  bare.machine.memory.write(bare.hpa(ADDRESS), Uint8Array.of(0xf4));
  return bare;
}

/** Error code of the page fault that an access leads to, or null. */
function errorCodeOf(bare: BareMachine, name: AccessName, cpl: 0 | 3): number | null {
  bare.set('cr2', 0x77);
  const isHandled = bare.run(ACCESSES[name]);
  const atPage = bare.get('cr2') === ADDRESS;
  if (isHandled && bare.get('rip') === At.HANDLERS + 16 * 14 + 1) {
    expect(atPage).toBe(true);
    return bare.read64(bare.get('rsp'));
  }
  expect(bare.get('cr2')).toBe(0x77);
  expect(isHandled).toBe(cpl === 3);
  return null;
}

describe('error codes', () => {
  test.each<[string, number, number, Control, 0 | 3, number | null, number | null, number | null]>([
    // [what, low bits, high bits, control, CPL, codes of read, write, fetch]
    ['not present', 0, 0, {}, 0, 0x00, 0x02, 0x10],
    ['not present', 0, 0, {}, 3, 0x04, 0x06, 0x14],
    ['not present, without NXE', 0, 0, NO_NXE, 0, 0x00, 0x02, 0x00],
    ['not present, without NXE', 0, 0, NO_NXE, 3, 0x04, 0x06, 0x04],
    ['not present, all else set', RW | US, XD | 0xfffff, {}, 0, 0x00, 0x02, 0x10],
    ['user, writable', P | RW | US, 0, {}, 0, null, null, null],
    ['user, writable', P | RW | US, 0, {}, 3, null, null, null],
    ['supervisor, writable', P | RW, 0, {}, 0, null, null, null],
    ['supervisor, writable', P | RW, 0, {}, 3, 0x05, 0x07, 0x15],
    ['supervisor, writable, without NXE', P | RW, 0, NO_NXE, 3, 0x05, 0x07, 0x05],
    ['user, read-only', P | US, 0, {}, 0, null, 0x03, null],
    ['user, read-only', P | US, 0, {}, 3, null, 0x07, null],
    ['user, read-only, WP = 0', P | US, 0, SUPERVISOR_WRITES, 0, null, null, null],
    ['user, read-only, WP = 0', P | US, 0, SUPERVISOR_WRITES, 3, null, 0x07, null],
    ['supervisor, read-only', P, 0, {}, 0, null, 0x03, null],
    ['supervisor, read-only', P, 0, {}, 3, 0x05, 0x07, 0x15],
    ['supervisor, read-only, WP = 0', P, 0, SUPERVISOR_WRITES, 0, null, null, null],
    ['execute-disable', P | RW | US, XD, {}, 0, null, null, 0x11],
    ['execute-disable', P | RW | US, XD, {}, 3, null, null, 0x15],
    ['execute-disable, without NXE: reserved', P | RW | US, XD, NO_NXE, 0, 0x09, 0x0b, 0x09],
    ['execute-disable, without NXE: reserved', P | RW | US, XD, NO_NXE, 3, 0x0d, 0x0f, 0x0d],
    ['address bit 46: reserved', P | RW | US, 1 << 14, {}, 0, 0x09, 0x0b, 0x19],
    ['address bit 51: reserved', P | RW | US, 1 << 19, {}, 3, 0x0d, 0x0f, 0x1d],
    ['ignored bits 62:52', P | RW | US, 0x7ff00000, {}, 3, null, null, null],
  ])('%s (%i, %i, %o) at CPL %i', (_what, low, high, control, cpl, read, write, fetch) => {
    const codes = (['read', 'write', 'fetch'] as const).map((name) => {
      const bare = machine(cpl, control);
      bare.changeEntry(PAGE, 1, { clear: P | RW | US, set: low, setHigh: high });
      return errorCodeOf(bare, name, cpl);
    });
    expect(codes).toEqual([read, write, fetch]);
  });

  // The page lies in a table of its own, so that the entries above it serve nothing else.
  const apart = 2 ** 40 + 2 ** 31 + 2 ** 22;
  const apartSource = `mov rbx, ${apart}\nmov [rbx], rax\nhlt`;

  test.each<[number, string, { set?: number; clear?: number; setHigh?: number }, number]>([
    // [level, what, change, code of a write at CPL 3]
    [4, 'not present', { clear: P }, 0x06],
    [3, 'not present', { clear: P }, 0x06],
    [2, 'not present', { clear: P }, 0x06],
    [4, 'read-only', { clear: RW }, 0x07],
    [3, 'read-only', { clear: RW }, 0x07],
    [2, 'read-only', { clear: RW }, 0x07],
    [4, 'supervisor', { clear: US }, 0x07],
    [3, 'supervisor', { clear: US }, 0x07],
    [2, 'supervisor', { clear: US }, 0x07],
    [4, 'reserved: bit 7', { set: PS }, 0x0f],
    [4, 'reserved: address bit 46', { setHigh: 1 << 14 }, 0x0f],
    [3, 'reserved: address bit 47', { setHigh: 1 << 15 }, 0x0f],
    [2, 'reserved: address bit 51', { setHigh: 1 << 19 }, 0x0f],
    // A large page whose address is that of the table: not aligned.
    [3, 'reserved: 1 GiB page, address bit 13', { set: PS | 0x2000 }, 0x0f],
    [2, 'reserved: 2 MiB page, address bit 20', { set: PS | 0x100000 }, 0x0f],
    [2, 'reserved, and read-only: reserved is found first', { clear: RW, setHigh: 1 << 14 }, 0x0f],
  ])('level %i: %s', (level, _what, change, code) => {
    const bare = machine(3);
    bare.machine.map(apart, 1);
    bare.changeEntry(apart, level, change);
    const { vector, errorCode, flags } = bare.delivered(apartSource);
    expect([vector, errorCode, flags & RF]).toEqual([14, code, RF]);
    expect(bare.get('cr2')).toBe(apart);
  });

  test('execute-disable of any level counts', () => {
    for (const level of [4, 3, 2, 1]) {
      const bare = machine(0);
      bare.machine.map(apart, 1);
      bare.changeEntry(apart, level, { setHigh: XD });
      expect(bare.delivered(`mov rbx, ${apart}\njmp rbx`)).toMatchObject({
        vector: 14,
        errorCode: 0x11,
        rip: apart,
      });
    }
  });
});

describe('what CR2 and RIP say', () => {
  test('the address of the access, and the instruction', () => {
    const bare = machine(0);
    bare.changeEntry(PAGE, 1, { clear: P });
    const at = bare.load(`nop\nhere: ${ACCESSES.write}`).get('here') ?? 0;
    expect(bare.delivered(`nop\n${ACCESSES.write}`).rip).toBe(at);
    expect(bare.get('cr2')).toBe(ADDRESS);
  });

  test('an access with bytes in two pages: the first byte that is refused', () => {
    const second = machine(0);
    second.changeEntry(PAGE + 0x1000, 1, { clear: P });
    second.delivered(`mov eax, [${PAGE + 0xffd}]\nhlt`);
    expect(second.get('cr2')).toBe(PAGE + 0x1000);
    const first = machine(0);
    first.changeEntry(PAGE, 1, { clear: P });
    first.delivered(`mov eax, [${PAGE + 0xffd}]\nhlt`);
    expect(first.get('cr2')).toBe(PAGE + 0xffd);
  });

  test('a write with bytes in two pages writes nothing if it is refused', () => {
    const bare = machine(0);
    bare.changeEntry(PAGE + 0x1000, 1, { clear: RW });
    bare.set('rax', 0x7fffffff);
    expect(bare.delivered(`mov [${PAGE + 0xffd}], rax\nhlt`).errorCode).toBe(3);
    expect(bare.read64(PAGE + 0xff8)).toBe(0);
  });

  test('an instruction with bytes in two pages: the second page', () => {
    const bare = machine(0);
    bare.machine.memory.write(bare.hpa(PAGE + 0xffe), Uint8Array.of(0x48, 0xb8));
    bare.changeEntry(PAGE + 0x1000, 1, { clear: P });
    const { rip, errorCode } = bare.delivered(`mov eax, ${PAGE + 0xffe}\njmp rax`);
    expect([rip, errorCode, bare.get('cr2')]).toEqual([PAGE + 0xffe, 0x10, PAGE + 0x1000]);
  });
});

describe('accesses that the processor makes for itself', () => {
  test('are supervisor accesses at CPL 3: GDT, IDT, TSS and the inner stack', () => {
    const bare = machine(3);
    for (const linear of [At.GDT, At.IDT, At.TSS, At.STACK_0 - 8, At.HANDLERS]) {
      bare.changeEntry(linear, 1, { clear: US });
    }
    expect(bare.delivered('ud2').vector).toBe(6);
  });

  test('and fault as such', () => {
    const bare = machine(3);
    bare.changeEntry(At.STACK_0 - 8, 1, { clear: P });
    bare.gate(14, { ist: 1 });
    expect(bare.delivered('ud2')).toMatchObject({ vector: 14, errorCode: 2, rip: At.CODE });
    expect(bare.get('cr2')).toBe(At.STACK_0 - 8);
  });
});

describe('accessed and dirty flags', () => {
  const flags = (bare: BareMachine) => [4, 3, 2, 1].map((level) => bare.usedFlags(PAGE, level));

  test.each<[string, string, number]>([
    ['a read', ACCESSES.read, A],
    ['a write', ACCESSES.write, A | D],
    ['a fetch', ACCESSES.fetch, A],
    ['a read-modify-write', `inc qword [${ADDRESS}]\nhlt`, A | D],
    ['a comparison', `cmp qword [${ADDRESS}], 0\nhlt`, A],
    ['an address', `lea rax, [${ADDRESS}]\nhlt`, 0],
  ])('%s', (_what, source, leaf) => {
    const bare = machine(0);
    bare.run(source);
    // Dirty flags are for leaves only.
    expect(flags(bare)).toEqual([A, A, A, leaf]);
  });

  test('a write that is refused does not make the page dirty', () => {
    const bare = machine(0);
    bare.changeEntry(PAGE, 1, { clear: RW });
    bare.run(ACCESSES.write);
    expect(bare.usedFlags(PAGE, 1) & D).toBe(0);
  });

  test('a read, then a write', () => {
    const bare = machine(0);
    bare.run(`mov rax, [${ADDRESS}]\nmov [${ADDRESS}], rax\nhlt`);
    expect(bare.usedFlags(PAGE, 1)).toBe(A | D);
  });

  test('come back after they were cleared and the page invalidated', () => {
    const bare = machine(0);
    bare.run(ACCESSES.write);
    bare.changeEntry(PAGE, 1, { clear: A | D });
    bare.run(`invlpg [${PAGE}]\n${ACCESSES.read}`);
    expect(bare.usedFlags(PAGE, 1)).toBe(A);
  });
});

describe('translations are dropped by', () => {
  const OTHER = 0x31000;

  // INVLPG, INVPCID and MOV to CR3 need not: translations are never older than their entries.
  test.each([
    ['a change of CR0.WP', 'mov rbx, cr0\nbtc rbx, 16\nmov cr0, rbx'],
    ['a change of EFER.NXE', 'mov ecx, 0xc0000080\nrdmsr\nbtc eax, 11\nwrmsr'],
  ])('%s', (_name, source) => {
    const bare = machine(0);
    bare.write64(ADDRESS, 0x11);
    bare.write64(OTHER + 0x18, 0x22);
    bare.run(`mov rax, [${ADDRESS}]\nhlt`);
    expect(bare.get('rax')).toBe(0x11);
    // Behind the back of the processor, so that only the instruction can make it look again.
    const entry = bare.entryHpa(PAGE, 1);
    const { view } = bare.machine.memory;
    view.setInt32(entry, bare.hpa(OTHER) | P | RW | US, true);
    bare.run(`${source}\nmov rcx, [${ADDRESS}]\nhlt`);
    expect(bare.get('rcx')).toBe(0x22);
  });

  test('a store of the guest to its page table, with INVLPG', () => {
    const bare = machine(0);
    bare.write64(ADDRESS, 0x11);
    bare.write64(OTHER + 0x18, 0x22);
    // The page table itself, at another linear address.
    const table = bare.entryHpa(0, 1);
    const window = 0x3f000;
    bare.machine.memory.write64(bare.entryHpa(window, 1), table | P | RW, 0);
    const entry = window + (PAGE / 0x1000) * 8;
    bare.run(`mov rax, [${ADDRESS}]
      mov rbx, [${entry + 8}]
      mov [${entry}], rbx
      invlpg [${ADDRESS}]
      mov rcx, [${ADDRESS}]
      hlt`);
    expect([bare.get('rax'), bare.get('rcx')]).toEqual([0x11, 0x22]);
  });

  test('a page that was not present needs no invalidation', () => {
    const bare = machine(0);
    bare.changeEntry(PAGE, 1, { clear: P });
    expect(bare.run(ACCESSES.read)).toBe(true);
    bare.changeEntry(PAGE, 1, { set: P });
    expect(bare.run(ACCESSES.read)).toBe(false);
  });
});

describe('large pages', () => {
  test.each([
    [2, 2 ** 21],
    [3, 2 ** 30],
  ])('at level %i translate the offset too', (level, size) => {
    const bare = machine(0);
    // The second page of this size, from physical address 0 on: all of the memory.
    const linear = 2 ** 41 + size;
    bare.machine.map(linear, 1);
    bare.machine.memory.write64(bare.entryHpa(linear, level), P | RW | PS, 0);
    bare.write64(PAGE, 0x1234);
    bare.run(`mov rbx, ${linear + bare.hpa(PAGE)}\nmov rax, [rbx]\nmov [rbx + 8], rax\nhlt`);
    expect([bare.get('rax'), bare.read64(PAGE + 8)]).toEqual([0x1234, 0x1234]);
    expect(bare.usedFlags(linear, level)).toBe(A | D);
  });
});

// SDM 3, "Determination of Access Rights" and, for codes, "Interrupt 14 - Page-Fault Exception".
describe('SMEP and SMAP', () => {
  const SMEP = 1 << 20;
  const SMAP = 1 << 21;
  const AC = 1 << 18;
  const USER = P | RW | US;
  const SUPERVISOR = P | RW;

  /** The page accessed as told; of all others only the program's belong to users, at CPL 3. */
  function narrowed(cpl: 0 | 3, low: number, cr4: number, control: Control = {}): BareMachine {
    const bare = machine(cpl, control);
    for (let at = 0; at < 0x40000; at += 0x1000) {
      const isProgram = cpl === 3 && (at === At.CODE || at === At.STACK - 0x1000);
      if (!isProgram) bare.changeEntry(at, 1, { clear: US });
    }
    bare.changeEntry(PAGE, 1, { clear: P | RW | US });
    bare.changeEntry(PAGE, 1, { set: low });
    bare.set('cr4', bare.get('cr4') + cr4);
    bare.machine.processor.stateChanged();
    return bare;
  }

  test.each<[string, number, number, number, 0 | 3, number | null, number | null, number | null]>([
    // [what, page, CR4, RFLAGS, CPL, codes of read, write, fetch]
    ['neither', USER, 0, 0, 0, null, null, null],
    ['SMEP, user page', USER, SMEP, 0, 0, null, null, 0x11],
    ['SMEP, supervisor page', SUPERVISOR, SMEP, 0, 0, null, null, null],
    ['SMEP, user page, at CPL 3', USER, SMEP, 0, 3, null, null, null],
    ['SMAP, user page', USER, SMAP, 0, 0, 0x01, 0x03, null],
    ['SMAP, user page, AC', USER, SMAP, AC, 0, null, null, null],
    ['SMAP, supervisor page', SUPERVISOR, SMAP, 0, 0, null, null, null],
    ['SMAP, user page, at CPL 3', USER, SMAP, 0, 3, null, null, null],
    ['SMAP, supervisor page, at CPL 3, AC', SUPERVISOR, SMAP, AC, 3, 0x05, 0x07, 0x15],
    ['both, user page', USER, SMEP | SMAP, 0, 0, 0x01, 0x03, 0x11],
    ['both, user page, AC', USER, SMEP | SMAP, AC, 0, null, null, 0x11],
  ])('%s', (_, low, cr4, rflags, cpl, ...codes) => {
    for (const [i, name] of (['read', 'write', 'fetch'] as const).entries()) {
      const bare = narrowed(cpl, low, cr4);
      bare.set('rflags', bare.get('rflags') | rflags);
      bare.machine.processor.stateChanged();
      expect([name, errorCodeOf(bare, name, cpl)]).toEqual([name, codes[i]]);
    }
  });

  test('without NXE, SMEP tells fetches apart all the same', () => {
    const bare = narrowed(0, 0, SMEP, NO_NXE);
    expect(errorCodeOf(bare, 'fetch', 0)).toBe(0x10);
  });

  test('CLAC and STAC take effect at once, with cached translations', () => {
    const bare = narrowed(0, USER, SMAP);
    const access = `mov rax, [${ADDRESS}]\n`;
    bare.run(`stac\n${access}clac\nmov ecx, 1\n${access}hlt`);
    expect(bare.get('rcx')).toBe(1);
    expect(bare.get('cr2')).toBe(ADDRESS);
  });

  test('POPF closes and opens, too', () => {
    const bare = narrowed(0, USER, SMAP);
    const flags = (value: number) => `push ${value}\npopf\n`;
    bare.run(`${flags(AC | 2)}mov rax, [${ADDRESS}]\n${flags(2)}mov rax, [${ADDRESS}]\nhlt`);
    expect(bare.get('cr2')).toBe(ADDRESS);
  });
});
