// EPT in non-root operation: translation at every page size, violations and misconfigurations, and
// what their exits record. SDM 3, "The Extended Page Table Mechanism (EPT)" and "Exit Qualification
// for EPT Violations".

import { describe, expect, test } from 'vitest';
import { At, type ExitRecord, exitRecord, handler, VmxBench } from '../support/vmx-bench.ts';

const PAGE = At.DATA;
/** Linear address of that page, so that it differs from the guest-physical one. */
const LINEAR = 0x150000;

const READ = 1;
const WRITE = 2;
const EXECUTE = 4;
const ALL = READ | WRITE | EXECUTE;
const WRITE_BACK = 6 << 3;
const LARGE = 0x80;

/** Bits of the qualification. */
const LINEAR_VALID = 0x80;
const FINAL = 0x100;
const NMI_UNBLOCKED = 0x1000;

const RF = 0x10000;
const ACCESSED_DIRTY = 0x67;

function mapped(): VmxBench {
  const bench = new VmxBench();
  bench.map(LINEAR, PAGE);
  return bench;
}

const ACCESSES = {
  read: { bit: READ, source: `mov rax, [${LINEAR + 0x124}]` },
  write: { bit: WRITE, source: `mov [${LINEAR + 0x124}], rax` },
  execute: { bit: EXECUTE, source: `mov rbx, ${LINEAR + 0x124}\njmp rbx` },
} as const;

type AccessName = keyof typeof ACCESSES;

function violation(rip: number, qualification: number, linear: number, gpa: number): ExitRecord {
  return exitRecord('EPT_VIOLATION', rip, { qualification, linear, gpa });
}

describe('access rights', () => {
  test.each<[number, AccessName, boolean]>([
    // [rights of the page, access, allowed]
    [0, 'read', false],
    [0, 'write', false],
    [0, 'execute', false],
    [READ, 'read', true],
    [READ, 'write', false],
    [READ, 'execute', false],
    [READ | WRITE, 'read', true],
    [READ | WRITE, 'write', true],
    [READ | WRITE, 'execute', false],
    [READ | EXECUTE, 'read', true],
    [READ | EXECUTE, 'write', false],
    [READ | EXECUTE, 'execute', true],
    [ALL, 'write', true],
    [ALL, 'execute', true],
  ])('%i: %s allowed %o', (rights, name, allowed) => {
    const bench = mapped();
    bench.load('vmcall', PAGE + 0x124);
    bench.setEpt(PAGE, rights);
    const { bit, source } = ACCESSES[name];
    const exit = bench.exitOf(`${source}\nvmcall`);
    if (allowed) {
      expect(exit.reason).toBe('VMCALL');
      return;
    }
    const qualification = bit | (rights << 3) | LINEAR_VALID | FINAL;
    const rip = name === 'execute' ? LINEAR + 0x124 : At.CODE;
    expect(exit).toEqual(violation(rip, qualification, LINEAR + 0x124, PAGE + 0x124));
    // As for a fault, RF is set in what is saved.
    expect(bench.field('GUEST_RFLAGS') & RF).toBe(RF);
  });

  test.each([4, 3, 2] as const)('of an entry at level %i count too', (level) => {
    const bench = mapped();
    const at = bench.eptEntry(level, PAGE);
    const entry = bench.memory.view.getInt32(at, true);
    // The entry serves the paging structures too: they are accessed already.
    for (const table of [At.PML4, At.PDPT, At.PAGE_DIRECTORY]) {
      bench.write64(table, bench.read64(table) | ACCESSED_DIRTY);
    }
    for (const linear of [At.CODE, LINEAR]) {
      bench.map(linear, linear === LINEAR ? PAGE : linear, ACCESSED_DIRTY);
    }
    bench.memory.write64(at, entry & ~WRITE, 0);
    expect(bench.exitOf(ACCESSES.write.source)).toMatchObject({
      qualification: WRITE | ((READ | EXECUTE) << 3) | LINEAR_VALID | FINAL,
      gpa: PAGE + 0x124,
    });
  });

  test.each([4, 3, 2, 1] as const)('are none if level %i is not present', (level) => {
    const bench = new VmxBench();
    // A gpa whose entries serve nothing else: the second page beyond RAM at each level.
    const gpa = At.END;
    bench.map(LINEAR, gpa);
    if (level > 1) bench.map(LINEAR, 2 ** (9 * level + 3));
    const target = level > 1 ? 2 ** (9 * level + 3) : gpa;
    // Without rights the other bits mean nothing.
    bench.memory.write64(bench.eptEntry(level, target), 0xf8, 0);
    expect(bench.exitOf(ACCESSES.read.source)).toEqual(
      violation(At.CODE, READ | LINEAR_VALID | FINAL, LINEAR + 0x124, target + 0x124),
    );
  });

  test('a read-modify-write is a write', () => {
    const bench = mapped();
    bench.setEpt(PAGE, READ | EXECUTE);
    const { qualification } = bench.exitOf(`inc qword [${LINEAR}]`);
    // Whether bit 0 is set as well is left to the processor.
    expect(qualification & ~READ).toBe(WRITE | (5 << 3) | LINEAR_VALID | FINAL);
  });

  test('of the second page of an access that has bytes in two', () => {
    const bench = mapped();
    const next = 0x30000;
    bench.map(LINEAR + 0x1000, next);
    bench.setEpt(next, READ);
    bench.setRegister('rax', 0x7fffffff);
    expect(bench.exitOf(`mov [${LINEAR + 0xffd}], rax`)).toEqual(
      violation(At.CODE, WRITE | (READ << 3) | LINEAR_VALID | FINAL, LINEAR + 0x1000, next),
    );
    expect(bench.read64(PAGE + 0xff8)).toBe(0);
  });

  test('the instruction is executed again once the host has mapped the page', () => {
    const bench = mapped();
    bench.setEpt(PAGE, READ);
    bench.setRegister('rax', 0x1234);
    bench.exitOf(`${ACCESSES.write.source}\npushfq\nvmcall`);
    bench.setEpt(PAGE, ALL);
    expect(bench.resume().reason).toBe('VMCALL');
    expect(bench.read64(PAGE + 0x124)).toBe(0x1234);
    expect(bench.field('GUEST_RFLAGS')).toBe(2);
  });
});

describe('accesses to the paging structures of the guest', () => {
  const tables = [
    ['PML4', At.PML4, 0],
    ['PDPT', At.PDPT, 0],
    ['page directory', At.PAGE_DIRECTORY, 0],
    ['page table', At.PAGE_TABLE, (LINEAR / 0x1000) * 8],
  ] as const;

  test.each(tables)('%s not readable', (_name, table, offset) => {
    const bench = mapped();
    bench.setEpt(table, 0);
    // The first access is the fetch; the walk is for data.
    const entry = table + (table === At.PAGE_TABLE ? (At.CODE / 0x1000) * 8 : offset);
    expect(bench.exitOf('nop')).toEqual(violation(At.CODE, READ | LINEAR_VALID, At.CODE, entry));
  });

  test.each(tables)('%s not writable: setting a flag is a write', (_name, table, offset) => {
    const bench = mapped();
    for (const [, gpa, at] of tables) {
      if (gpa !== table) bench.write64(gpa + at, bench.read64(gpa + at) | ACCESSED_DIRTY);
    }
    bench.setEpt(table, READ | EXECUTE);
    const entry = table + (table === At.PAGE_TABLE ? (At.CODE / 0x1000) * 8 : offset);
    const exit = bench.exitOf('nop');
    expect({ ...exit, qualification: exit.qualification & ~READ }).toEqual(
      violation(At.CODE, WRITE | (5 << 3) | LINEAR_VALID, At.CODE, entry),
    );
    expect(bench.read64(entry) & 0x20).toBe(0);
  });

  test('nothing is written if the flags are set already', () => {
    const bench = mapped();
    for (const [, gpa] of tables) {
      for (let i = 0; i < 512; i++) {
        const entry = bench.read64(gpa + 8 * i);
        if (entry !== 0) bench.write64(gpa + 8 * i, entry | ACCESSED_DIRTY);
      }
      bench.setEpt(gpa, READ);
    }
    expect(bench.exitOf(`${ACCESSES.write.source}\nvmcall`).reason).toBe('VMCALL');
  });

  test('a guest table outside of what EPT maps', () => {
    const bench = mapped();
    bench.write64(At.PAGE_DIRECTORY + 8, At.END + 0x3007);
    expect(bench.exitOf(`mov rax, [${0x200000 + 0x5008}]`)).toEqual(
      violation(At.CODE, READ | LINEAR_VALID, 0x205008, At.END + 0x3028),
    );
  });
});

describe('order against page faults', () => {
  test('what the guest tables forbid is a page fault, whatever EPT says of the page', () => {
    const bench = mapped();
    bench.map(LINEAR, PAGE, 5);
    bench.setEpt(PAGE, 0);
    expect(bench.exitOf(ACCESSES.write.source)).toMatchObject({
      reason: 'VMCALL',
      rip: handler(14),
    });
    expect(bench.register('cr2')).toBe(LINEAR + 0x124);
  });

  test('a violation leaves CR2 alone', () => {
    const bench = mapped();
    bench.setRegister('cr2', 0x99);
    bench.setEpt(PAGE, 0);
    bench.exitOf(ACCESSES.read.source);
    expect(bench.register('cr2')).toBe(0x99);
  });
});

describe('misconfigurations', () => {
  const target = PAGE + 0x124;

  test.each<[string, number, number, number]>([
    // [what, bits of the entry, bits of its upper half, qualification or -1 if it is none]
    ['write without read', WRITE | WRITE_BACK, 0, 0],
    ['write and execute without read', WRITE | EXECUTE | WRITE_BACK, 0, 0],
    ['execute only, which is not offered', EXECUTE | WRITE_BACK, 0, 0],
    ['memory type 2', ALL | (2 << 3), 0, 0],
    ['memory type 3', ALL | (3 << 3), 0, 0],
    ['memory type 7', ALL | (7 << 3), 0, 0],
    ['address bit 46', ALL | WRITE_BACK, 1 << 14, 0],
    ['address bit 51', ALL | WRITE_BACK, 1 << 19, 0],
    ['memory type 0', ALL, 0, -1],
    ['memory type 1', ALL | (1 << 3), 0, -1],
    ['memory type 4', ALL | (4 << 3), 0, -1],
    ['memory type 5', ALL | (5 << 3), 0, -1],
    ['ignore PAT', ALL | WRITE_BACK | 0x40, 0, -1],
    ['ignored bits 11:7', ALL | WRITE_BACK | 0xf80, 0, -1],
    ['ignored bits 62:52', ALL | WRITE_BACK, 0x7ff00000, -1],
    ['nothing present, reserved bits set', 0xff8, 1 << 14, -1],
  ])('4 KiB leaf: %s', (_what, low, high, qualification) => {
    const bench = mapped();
    bench.memory.write64(bench.eptEntry(1, PAGE), (bench.ramHpa + PAGE) | low, high);
    const exit = bench.exitOf(`${ACCESSES.read.source}\nvmcall`);
    if (qualification === 0) {
      // Only the guest-physical address is defined.
      expect(exit).toEqual(exitRecord('EPT_MISCONFIG', At.CODE, { gpa: target }));
    } else expect(exit.reason).toBe((low & ALL) === 0 ? 'EPT_VIOLATION' : 'VMCALL');
  });

  test.each<[string, 4 | 3 | 2, number, number]>([
    ['PML4 entry, bit 3', 4, ALL | 0x08, 0],
    ['PML4 entry, bit 7', 4, ALL | 0x80, 0],
    ['PML4 entry, address bit 46', 4, ALL, 1 << 14],
    ['PDPT entry, bit 6', 3, ALL | 0x40, 0],
    ['directory entry, bit 5', 2, ALL | 0x20, 0],
    ['directory entry, write only', 2, WRITE, 0],
    ['1 GiB leaf, address bit 12', 3, ALL | LARGE | WRITE_BACK | 0x1000, 0],
    ['1 GiB leaf, address bit 29', 3, ALL | LARGE | WRITE_BACK | 0x20000000, 0],
    ['1 GiB leaf, memory type 7', 3, ALL | LARGE | (7 << 3), 0],
    ['2 MiB leaf, address bit 12', 2, ALL | LARGE | WRITE_BACK | 0x1000, 0],
    ['2 MiB leaf, address bit 20', 2, ALL | LARGE | WRITE_BACK | 0x100000, 0],
    ['2 MiB leaf, memory type 2', 2, ALL | LARGE | (2 << 3), 0],
    ['2 MiB leaf, address bit 47', 2, ALL | LARGE | WRITE_BACK, 1 << 15],
  ])('%s', (_what, level, low, high) => {
    const bench = new VmxBench();
    // An address that has an entry of its own at this level.
    const gpa = 2 ** (9 * level + 3) + 0x1000;
    bench.map(LINEAR, gpa);
    bench.memory.write64(bench.eptEntry(level, gpa), low, high);
    expect(bench.exitOf(ACCESSES.read.source)).toEqual(
      exitRecord('EPT_MISCONFIG', At.CODE, { gpa: gpa + 0x124 }),
    );
  });

  test('one further down beats a violation further up', () => {
    const bench = new VmxBench();
    const gpa = 2 ** 21;
    bench.map(LINEAR, gpa);
    const table = bench.memory.allocatePages(1);
    bench.memory.write64(bench.eptEntry(2, gpa), table | READ, 0);
    bench.memory.write64(table, WRITE, 0);
    expect(bench.exitOf(ACCESSES.write.source).reason).toBe('EPT_MISCONFIG');
  });

  test('none is found below an entry that is not present', () => {
    const bench = new VmxBench();
    const gpa = 2 ** 21;
    bench.map(LINEAR, gpa);
    const table = bench.memory.allocatePages(1);
    bench.memory.write64(bench.eptEntry(2, gpa), table, 0);
    bench.memory.write64(table, WRITE, 0);
    expect(bench.exitOf(ACCESSES.write.source).reason).toBe('EPT_VIOLATION');
  });

  test('of a paging structure of the guest', () => {
    const bench = mapped();
    bench.memory.write64(bench.eptEntry(1, At.PAGE_DIRECTORY), WRITE, 0);
    expect(bench.exitOf('nop')).toEqual(
      exitRecord('EPT_MISCONFIG', At.CODE, { gpa: At.PAGE_DIRECTORY }),
    );
  });
});

describe('large pages', () => {
  /** A large page from hpa 0 on, at the second entry of its level: all of the bench's memory. */
  function large(level: 2 | 3, rights: number): VmxBench {
    const bench = new VmxBench();
    const gpa = 2 ** (9 * level + 3);
    bench.memory.write64(bench.eptEntry(level, gpa), rights | LARGE | WRITE_BACK, 0);
    bench.map(LINEAR, gpa + bench.ramHpa + PAGE);
    return bench;
  }

  test.each([2, 3] as const)('at level %i translate the offset too', (level) => {
    const bench = large(level, ALL);
    bench.write64(PAGE + 0x124, 0x12345678);
    expect(bench.exitOf(`${ACCESSES.read.source}\nvmcall`).reason).toBe('VMCALL');
    expect(bench.register('rax')).toBe(0x12345678);
  });

  test.each([2, 3] as const)('at level %i have rights', (level) => {
    const bench = large(level, READ);
    const gpa = 2 ** (9 * level + 3) + bench.ramHpa + PAGE + 0x124;
    expect(bench.exitOf(ACCESSES.write.source)).toEqual(
      violation(At.CODE, WRITE | (READ << 3) | LINEAR_VALID | FINAL, LINEAR + 0x124, gpa),
    );
  });
});

describe('during the delivery of an event', () => {
  test.each<[string, number, number, number]>([
    // [what, guest-physical address, rights left, access]
    ['IDT', At.IDT + 0x21 * 16, 0, READ],
    ['GDT', At.GDT + 8, 0, READ],
    ['stack', At.STACK - 8, READ, WRITE],
  ])('%s: which address, and what was delivered', (_what, gpa, rights, access) => {
    const bench = mapped();
    bench.setEpt(gpa, rights);
    expect(bench.exitOf('int 0x21')).toEqual({
      ...violation(At.CODE, access | (rights << 3) | LINEAR_VALID | FINAL, gpa, gpa),
      idtVectoring: 0x80000421,
      lengthBytes: 2,
    });
    // RF is what the push would have held.
    expect(bench.field('GUEST_RFLAGS')).toBe(2);
  });

  test('a fault would have pushed RF', () => {
    const bench = mapped();
    bench.setEpt(At.STACK - 8, READ);
    expect(bench.exitOf('ud2').idtVectoring).toBe(0x80000306);
    expect(bench.field('GUEST_RFLAGS')).toBe(2 | RF);
  });

  test('the TSS, for the stack of CPL 0', () => {
    const bench = mapped();
    bench.gate(0x21, { dpl: 3 });
    bench.enterUserMode();
    bench.setEpt(At.TSS, 0);
    expect(bench.exitOf('int 0x21')).toMatchObject({ gpa: At.TSS + 4, idtVectoring: 0x80000421 });
  });
});

describe('IRET that has ended the blocking of NMIs', () => {
  test('says so in bit 12', () => {
    const bench = mapped();
    bench.set({ GUEST_INTERRUPTIBILITY_INFO: 8, GUEST_RSP: LINEAR });
    bench.setEpt(PAGE, 0);
    expect(bench.exitOf('iretq')).toEqual(
      violation(At.CODE, READ | LINEAR_VALID | FINAL | NMI_UNBLOCKED, LINEAR, PAGE),
    );
    expect(bench.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(0);
  });

  test('not if there was none', () => {
    const bench = mapped();
    bench.set({ GUEST_RSP: LINEAR });
    bench.setEpt(PAGE, 0);
    expect(bench.exitOf('iretq').qualification).toBe(READ | LINEAR_VALID | FINAL);
  });

  test('nor in an instruction after it', () => {
    const bench = mapped();
    bench.set({ GUEST_INTERRUPTIBILITY_INFO: 8 });
    bench.setEpt(PAGE, 0);
    const frame = 'push 0x10\npush 0xa000\npush 2\npush 8\npush there';
    const exit = bench.exitOf(`${frame}\niretq\nthere: ${ACCESSES.read.source}`);
    expect(exit.qualification).toBe(READ | LINEAR_VALID | FINAL);
  });
});

describe('without EPT', () => {
  test('guest-physical addresses are physical', () => {
    const bench = new VmxBench();
    const { ramHpa } = bench;
    bench.write64(At.PML4, (ramHpa + At.PDPT) | 7);
    bench.write64(At.PDPT, (ramHpa + At.PAGE_DIRECTORY) | 7);
    bench.write64(At.PAGE_DIRECTORY, (ramHpa + At.PAGE_TABLE) | 7);
    for (let linear = 0; linear < At.END; linear += 0x1000) bench.map(linear, ramHpa + linear);
    bench.remove('SECONDARY_VM_EXEC_CONTROL', 2);
    bench.set({ GUEST_CR3: ramHpa + At.PML4, EPT_POINTER: 0 });
    bench.write64(PAGE, 0x5555);
    expect(bench.exitOf(`mov rax, [${PAGE}]\nvmcall`).reason).toBe('VMCALL');
    expect(bench.register('rax')).toBe(0x5555);
  });
});
