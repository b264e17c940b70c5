// Which instructions exit, with what qualification and length, and in what order with faults. SDM
// 3, "Instructions That Cause VM Exits", "Relative Priority of Faults and VM Exits", and tables of
// exit qualifications in "Basic VM-Exit Information".

import { describe, expect, test } from 'vitest';
import { At, exitRecord, type FieldValues, handler, VmxBench } from '../support/vmx-bench.ts';

/** Bits of the primary controls. */
const Bit = {
  HLT: 7,
  INVLPG: 9,
  RDTSC: 12,
  CR3_LOAD: 15,
  CR3_STORE: 16,
  CR8_LOAD: 19,
  CR8_STORE: 20,
  MOV_DR: 23,
  IO: 24,
  IO_BITMAPS: 25,
  MSR_BITMAPS: 28,
  PAUSE: 30,
} as const;

const PRIMARY = 'CPU_BASED_VM_EXEC_CONTROL';
const CR0 = 0x80010033;
const CR4 = 0x2020;
const TSD = 4;
const DE = 8;

/** A bench with bits of the primary controls set, and HLT exiting only if it is among them. */
function withControls(...bits: readonly number[]): VmxBench {
  const bench = new VmxBench();
  bench.remove(PRIMARY, 1 << Bit.HLT);
  for (const bit of bits) bench.add(PRIMARY, 1 << bit);
  return bench;
}

/** The instruction at the start of the code, its length, and behind it VMCALL. */
function run(bench: VmxBench, instruction: string) {
  const source = `${instruction}\nbehind: vmcall`;
  const behind = bench.load(source).get('behind') ?? 0;
  return { exit: bench.exitOf(source), behind, lengthBytes: behind - At.CODE };
}

/** The guest reached its handler for an exception: with this error code, if it has one. */
function expectFault(bench: VmxBench, vector: number, errorCode: number | null): void {
  expect(bench.exit).toMatchObject({ reason: 'VMCALL', rip: handler(vector) });
  const frame = bench.stack(2);
  if (errorCode !== null) expect(frame.shift()).toBe(errorCode);
  expect(frame[0]).toBe(At.CODE);
}

describe('control off and on', () => {
  const address = At.DATA + 0x123;
  test.each<[string, number, string, number]>([
    // [instruction, control bit, exit reason, qualification]
    ['invlpg [rbx + 4 * rcx + 3]', Bit.INVLPG, 'INVLPG', address],
    [`invlpg [${address}]`, Bit.INVLPG, 'INVLPG', address],
    ['rdtsc', Bit.RDTSC, 'RDTSC', 0],
    ['rdtscp', Bit.RDTSC, 'RDTSCP', 0],
    ['pause', Bit.PAUSE, 'PAUSE_INSTRUCTION', 0],
    ['mov cr3, rbp', Bit.CR3_LOAD, 'CR_ACCESS', 0x503],
    ['mov cr3, r15', Bit.CR3_LOAD, 'CR_ACCESS', 0xf03],
    ['mov rax, cr3', Bit.CR3_STORE, 'CR_ACCESS', 0x013],
    ['mov rsi, cr3', Bit.CR3_STORE, 'CR_ACCESS', 0x613],
    ['mov cr8, rdx', Bit.CR8_LOAD, 'CR_ACCESS', 0x208],
    ['mov rbx, cr8', Bit.CR8_STORE, 'CR_ACCESS', 0x318],
    ['mov dr0, rax', Bit.MOV_DR, 'DR_ACCESS', 0x000],
    ['mov dr6, rdi', Bit.MOV_DR, 'DR_ACCESS', 0x706],
    ['mov dr5, r8', Bit.MOV_DR, 'DR_ACCESS', 0x805],
    ['mov rcx, dr7', Bit.MOV_DR, 'DR_ACCESS', 0x117],
    ['mov r14, dr3', Bit.MOV_DR, 'DR_ACCESS', 0xe13],
    ['in al, dx', Bit.IO, 'IO_INSTRUCTION', 0x03f80008],
    ['in ax, dx', Bit.IO, 'IO_INSTRUCTION', 0x03f80009],
    ['in eax, dx', Bit.IO, 'IO_INSTRUCTION', 0x03f8000b],
    ['out dx, al', Bit.IO, 'IO_INSTRUCTION', 0x03f80000],
    ['out dx, ax', Bit.IO, 'IO_INSTRUCTION', 0x03f80001],
    ['out dx, eax', Bit.IO, 'IO_INSTRUCTION', 0x03f80003],
    ['in al, 0x71', Bit.IO, 'IO_INSTRUCTION', 0x00710048],
    ['in ax, 0xfe', Bit.IO, 'IO_INSTRUCTION', 0x00fe0049],
    ['out 0x80, al', Bit.IO, 'IO_INSTRUCTION', 0x00800040],
    ['out 0xff, eax', Bit.IO, 'IO_INSTRUCTION', 0x00ff0043],
  ])('%s', (instruction, bit, reason, qualification) => {
    const bench = withControls(bit);
    const setRegisters = (of: VmxBench) => {
      of.setRegister('rbx', At.DATA + 0x100);
      of.setRegister('rcx', 8);
      // A port with its upper bits to be ignored; CR8 takes 4 bits.
      of.setRegister('rdx', instruction.includes('cr8') ? 5 : 0xabc03f8);
      of.setRegister('rbp', At.PML4);
      of.setRegister('r15', At.PML4);
    };
    setRegisters(bench);
    const { exit, lengthBytes } = run(bench, instruction);
    expect(exit).toEqual(exitRecord(reason, At.CODE, { qualification, lengthBytes }));
    // With all the other bits it executes.
    const others = withControls(...Object.values(Bit).filter((other) => other !== bit));
    if (bit === Bit.IO) others.remove(PRIMARY, 1 << Bit.IO_BITMAPS);
    setRegisters(others);
    const other = run(others, instruction);
    expect(other.exit).toMatchObject({ reason: 'VMCALL', rip: other.behind });
  });

  test('hlt', () => {
    const bench = withControls(Bit.HLT);
    expect(run(bench, 'hlt').exit).toEqual(exitRecord('HLT', At.CODE, { lengthBytes: 1 }));
    expect(bench.field('GUEST_ACTIVITY_STATE')).toBe(0);
    const halting = withControls();
    halting.load('hlt');
    halting.enter();
    expect(halting.virtual.run(1000).kind).toBe('limit');
    expect([halting.field('GUEST_ACTIVITY_STATE'), halting.field('GUEST_RIP')]).toEqual([
      1,
      At.CODE + 1,
    ]);
  });

  test.each([
    ['cpuid', 'CPUID', 2],
    ['vmcall', 'VMCALL', 3],
  ])('%s exits without any control, at CPL 0 and 3', (instruction, reason, lengthBytes) => {
    for (const user of [false, true]) {
      const bench = withControls();
      if (user) bench.enterUserMode();
      const { exit } = run(bench, instruction);
      expect(exit).toEqual(exitRecord(reason, At.CODE, { lengthBytes }));
    }
  });

  test('the length has the prefixes in it', () => {
    expect(run(withControls(), 'db 0x66, 0x0f, 0xa2').exit.lengthBytes).toBe(3);
    expect(run(withControls(Bit.RDTSC), 'db 0x48, 0x0f, 0x31').exit.lengthBytes).toBe(3);
  });

  test('CPUID with LOCK is undefined, and does not exit', () => {
    const bench = withControls();
    run(bench, 'db 0xf0, 0x0f, 0xa2');
    expectFault(bench, 6, null);
  });
});

describe('at CPL 3', () => {
  const everything = Object.values(Bit).filter((bit) => bit !== Bit.IO_BITMAPS);
  const faults = ['hlt', `invlpg [${At.DATA}]`, 'rdmsr', 'wrmsr'];
  const moves = ['cr0', 'cr3', 'cr4', 'cr8'].flatMap((name) => [
    `mov ${name}, rax`,
    `mov rax, ${name}`,
  ]);

  test.each([...faults, ...moves])('%s faults before it could exit', (instruction) => {
    const bench = withControls(...everything);
    bench.set({ CR0_GUEST_HOST_MASK: 0xffffffff, CR4_GUEST_HOST_MASK: 0xffffffff });
    bench.enterUserMode();
    run(bench, instruction);
    expectFault(bench, 13, 0);
  });

  test.each(['mov dr7, rax', 'mov rax, dr0', 'mov dr4, rax'])(
    '%s exits before it could fault: the exception to the rule',
    (instruction) => {
      const bench = withControls(Bit.MOV_DR);
      bench.enterUserMode();
      expect(run(bench, instruction).exit).toMatchObject({ reason: 'DR_ACCESS', rip: At.CODE });
      const without = withControls();
      without.enterUserMode();
      run(without, instruction);
      expectFault(without, 13, 0);
    },
  );

  test.each([
    ['pause', 'PAUSE_INSTRUCTION'],
    ['rdtsc', 'RDTSC'],
    ['rdtscp', 'RDTSCP'],
  ])('%s exits', (instruction, reason) => {
    const bench = withControls(...everything);
    bench.enterUserMode();
    expect(run(bench, instruction).exit).toMatchObject({ reason, rip: At.CODE });
  });

  test.each<[string, number, number, boolean, 'exits' | '#GP' | '#UD' | 'executes']>([
    // [instruction, CPL, CR4, RDTSCP enabled, outcome with RDTSC exiting]
    ['rdtsc', 3, CR4 | TSD, true, '#GP'],
    ['rdtsc', 0, CR4 | TSD, true, 'exits'],
    ['rdtscp', 3, CR4 | TSD, true, '#GP'],
    ['rdtscp', 0, CR4 | TSD, true, 'exits'],
    ['rdtscp', 0, CR4, false, '#UD'],
    ['rdtscp', 3, CR4, false, '#UD'],
    ['rdtscp', 3, CR4 | TSD, false, '#UD'],
    ['rdtsc', 3, CR4, false, 'exits'],
  ])('%s at CPL %i, CR4 %i, RDTSCP enabled %o: %s', (instruction, cpl, cr4, enabled, outcome) => {
    const bench = withControls(Bit.RDTSC);
    bench.set({ GUEST_CR4: cr4 });
    if (!enabled) bench.remove('SECONDARY_VM_EXEC_CONTROL', 8);
    if (cpl === 3) bench.enterUserMode();
    run(bench, instruction);
    if (outcome === 'exits') {
      expect(bench.exit.reason).toBe(instruction.toUpperCase());
    } else expectFault(bench, outcome === '#GP' ? 13 : 6, outcome === '#GP' ? 0 : null);
  });

  test.each<[string, FieldValues, readonly number[], 'exits' | '#GP']>([
    // [what, fields, bytes of the I/O permission bitmap, outcome of IN AL, 21H]
    ['IOPL 0, no bitmap', {}, [], '#GP'],
    ['IOPL 2, no bitmap', { GUEST_RFLAGS: 0x2002 }, [], '#GP'],
    ['IOPL 3, no bitmap', { GUEST_RFLAGS: 0x3002 }, [], 'exits'],
    ['IOPL 0, the port allowed', {}, [255, 255, 255, 255, 0xfd, 255], 'exits'],
    ['IOPL 0, the port denied', {}, [0, 0, 0, 0, 2, 0], '#GP'],
    ['IOPL 3, the port denied', { GUEST_RFLAGS: 0x3002 }, [255, 255, 255, 255, 255], 'exits'],
    // Two bytes are read for the port.
    ['IOPL 0, the byte behind missing', {}, [255, 255, 255, 255, 0xfd], '#GP'],
  ])('IN, %s', (_what, fields, bitmap, outcome) => {
    const bench = withControls(Bit.IO);
    bench.enterUserMode();
    bench.memory.write(bench.ramHpa + At.TSS + 0x68, Uint8Array.from(bitmap));
    bench.set({ ...fields, GUEST_TR_LIMIT: 0x67 + bitmap.length });
    run(bench, 'in al, 0x21');
    if (outcome === 'exits') expect(bench.exit.reason).toBe('IO_INSTRUCTION');
    else expectFault(bench, 13, 0);
  });
});

describe('an exit comes before faults that are not about privilege', () => {
  test.each<[string, number, string, FieldValues, number]>([
    // [instruction, control bit, exit reason, fields, vector without the control]
    ['mov cr3, r9', Bit.CR3_LOAD, 'CR_ACCESS', {}, 13],
    ['mov cr8, r9', Bit.CR8_LOAD, 'CR_ACCESS', {}, 13],
    ['mov dr7, r9', Bit.MOV_DR, 'DR_ACCESS', {}, 13],
    ['mov dr4, rax', Bit.MOV_DR, 'DR_ACCESS', { GUEST_CR4: CR4 | DE }, 6],
    ['mov rax, dr5', Bit.MOV_DR, 'DR_ACCESS', { GUEST_CR4: CR4 | DE }, 6],
  ])('%s', (instruction, bit, reason, fields, vector) => {
    for (const on of [true, false]) {
      const bench = on ? withControls(bit) : withControls();
      bench.set(fields);
      bench.setRegister('r9', 2 ** 52);
      run(bench, instruction);
      if (on) expect(bench.exit).toMatchObject({ reason, rip: At.CODE });
      else expectFault(bench, vector, vector === 13 ? 0 : null);
    }
  });

  test.each([
    ['rdmsr', 'MSR_READ'],
    ['wrmsr', 'MSR_WRITE'],
  ])('%s of an MSR that does not exist', (instruction, reason) => {
    const bench = withControls();
    bench.setRegister('rcx', 0x12345);
    expect(run(bench, instruction).exit).toEqual(exitRecord(reason, At.CODE, { lengthBytes: 2 }));
  });
});

describe('CR0 and CR4', () => {
  const TS = 8;
  const MP = 2;

  test.each<[string, number, number, number, boolean, number]>([
    // [what, mask, shadow, value written, exits, CR0 afterwards]
    ['nothing host-owned', 0, 0, CR0 | TS, false, CR0 | TS],
    ['nothing host-owned, whatever the shadow', 0, 0xffffffff, CR0, false, CR0],
    ['a host-owned bit as the shadow has it: 0', TS, 0, CR0, false, CR0],
    ['a host-owned bit as the shadow has it: 1', TS, TS, CR0 | TS, false, CR0],
    ['a host-owned bit not as the shadow has it: 1', TS, 0, CR0 | TS, true, CR0],
    ['a host-owned bit not as the shadow has it: 0', TS, TS, CR0, true, CR0],
    ['a guest-owned bit beside a host-owned one', TS, TS, CR0 ^ MP ^ TS, false, CR0 ^ MP],
    ['a bit that is not host-owned and not as shadowed', TS, 0, CR0 ^ MP, false, CR0 ^ MP],
    ['paging off, host-owned', 0x80000000, 0x80000000, CR0 ^ 0x80000000, true, CR0],
    ['all host-owned, the shadow written', 0xffffffff, 0x60000010, 0x60000010, false, CR0],
    ['all host-owned, one bit changed', 0xffffffff, 0x60000010, 0x60000011, true, CR0],
  ])('MOV to CR0: %s', (_what, mask, shadow, value, exits, after) => {
    const bench = withControls();
    bench.set({ CR0_GUEST_HOST_MASK: mask, CR0_READ_SHADOW: shadow });
    bench.setRegister('r10', value >>> 0);
    const { exit, behind } = run(bench, 'mov cr0, r10');
    expect([exit.reason, exit.rip, exit.qualification]).toEqual(
      exits ? ['CR_ACCESS', At.CODE, 0xa00] : ['VMCALL', behind, 0],
    );
    expect(bench.field('GUEST_CR0')).toBe(after >>> 0);
  });

  test.each<[string, number, number, number, boolean, number]>([
    ['VMXE host-owned, written as 0 like its shadow', 0x2000, 0, 0xa0, false, 0x20a0],
    ['VMXE host-owned, written as 1', 0x2000, 0, 0x20a0, true, CR4],
    ['PGE guest-owned', 0x2000, 0x2000, 0x20a0, false, 0x20a0],
    ['PAE host-owned, cleared', 0x2020, 0x20, 0, true, CR4],
  ])('MOV to CR4: %s', (_what, mask, shadow, value, exits, after) => {
    const bench = withControls();
    bench.set({ CR4_GUEST_HOST_MASK: mask, CR4_READ_SHADOW: shadow });
    bench.setRegister('rsp', value);
    bench.set({ GUEST_RSP: value });
    const { exit, behind } = run(bench, 'mov cr4, rsp');
    expect([exit.reason, exit.rip, exit.qualification]).toEqual(
      exits ? ['CR_ACCESS', At.CODE, 0x404] : ['VMCALL', behind, 0],
    );
    expect(bench.field('GUEST_CR4')).toBe(after);
  });

  test.each([
    // Values that VMX operation forbids, in bits that the guest owns.
    ['CR0.NE', 'cr0', CR0 ^ 0x20],
    ['CR0.PG', 'cr0', CR0 ^ 0x80000000],
    ['CR4.VMXE', 'cr4', CR4 ^ 0x2000],
    ['CR4.PAE', 'cr4', CR4 ^ 0x20],
  ])('clearing %s faults if it is guest-owned', (_what, register, value) => {
    const bench = withControls();
    bench.setRegister('rax', value >>> 0);
    run(bench, `mov ${register}, rax`);
    expectFault(bench, 13, 0);
    expect([bench.field('GUEST_CR0'), bench.field('GUEST_CR4')]).toEqual([CR0, CR4]);
  });

  test.each<[string, FieldValues, number]>([
    ['cr0', {}, CR0],
    ['cr0', { CR0_READ_SHADOW: 0xffffffff }, CR0],
    ['cr0', { CR0_GUEST_HOST_MASK: 0xffffffff, CR0_READ_SHADOW: 0x60000010 }, 0x60000010],
    ['cr0', { CR0_GUEST_HOST_MASK: TS, CR0_READ_SHADOW: 0xffffffff }, CR0 | TS],
    ['cr0', { CR0_GUEST_HOST_MASK: 0xff, CR0_READ_SHADOW: 0xffff0011 }, 0x80010011],
    ['cr4', { CR4_GUEST_HOST_MASK: 0x2000, CR4_READ_SHADOW: 0 }, 0x20],
    ['cr4', { CR4_GUEST_HOST_MASK: 0, CR4_READ_SHADOW: 0 }, CR4],
  ])('MOV from %s with %o never exits', (register, fields, value) => {
    const bench = withControls(Bit.CR3_LOAD, Bit.CR3_STORE, Bit.CR8_LOAD, Bit.CR8_STORE);
    bench.set(fields);
    expect(run(bench, `mov rax, ${register}`).exit.reason).toBe('VMCALL');
    expect(bench.register('rax')).toBe(value >>> 0);
  });
});

describe('CR3 targets', () => {
  const targets: FieldValues = {
    CR3_TARGET_VALUE0: 0x11000,
    CR3_TARGET_VALUE1: 0x12000,
    CR3_TARGET_VALUE2: 0x13000,
    CR3_TARGET_VALUE3: At.PML4,
  };

  test.each([
    // [count, value, exits]
    [0, At.PML4, true],
    [3, At.PML4, true],
    [4, At.PML4, false],
    [4, At.PML4 + 8, true],
  ])('count %i, value %i: exits %o', (count, value, exits) => {
    const bench = withControls(Bit.CR3_LOAD);
    bench.set({ ...targets, CR3_TARGET_COUNT: count });
    bench.setRegister('rdi', value);
    expect(run(bench, 'mov cr3, rdi').exit.reason).toBe(exits ? 'CR_ACCESS' : 'VMCALL');
  });

  test('the first of four', () => {
    const bench = withControls(Bit.CR3_LOAD);
    bench.set({ ...targets, CR3_TARGET_VALUE0: At.PML4, CR3_TARGET_COUNT: 1 });
    bench.setRegister('rdi', At.PML4);
    expect(run(bench, 'mov cr3, rdi').exit.reason).toBe('VMCALL');
  });
});

describe('I/O bitmaps', () => {
  function withBitmaps(ports: readonly number[]): VmxBench {
    const bench = withControls(Bit.IO_BITMAPS);
    const [a, b] = [bench.memory.allocatePages(1), bench.memory.allocatePages(1)];
    bench.set({ IO_BITMAP_A: a, IO_BITMAP_B: b });
    for (const port of ports) {
      const at = port < 0x8000 ? a + (port >> 3) : b + ((port - 0x8000) >> 3);
      bench.memory.write(at, Uint8Array.of(1 << (port & 7)));
    }
    return bench;
  }

  test.each<[readonly number[], number, 1 | 2 | 4, boolean]>([
    // [ports whose bit is set, port accessed, bytes, exits]
    [[], 0, 1, false],
    [[0], 0, 1, true],
    [[0], 1, 1, false],
    [[0x3f8], 0x3f8, 1, true],
    [[0x3f8], 0x3f7, 1, false],
    [[0x3f8], 0x3f7, 2, true],
    [[0x3f8], 0x3f6, 2, false],
    [[0x3f8], 0x3f5, 4, true],
    [[0x3f8], 0x3f4, 4, false],
    [[0x3f8], 0x3f9, 4, false],
    [[0x7fff], 0x7fff, 1, true],
    [[0x7fff], 0x8000, 1, false],
    [[0x7fff], 0xffff, 1, false],
    [[0x8000], 0x8000, 1, true],
    [[0x8000], 0, 1, false],
    // Across the border of the two bitmaps.
    [[0x8000], 0x7fff, 1, false],
    [[0x8000], 0x7fff, 2, true],
    [[0x8000], 0x7ffd, 4, true],
    [[0x8000], 0x7ffc, 4, false],
    [[0x7fff], 0x7ffe, 2, true],
    [[0x7fff], 0x7ffc, 4, true],
    [[], 0x7ffe, 4, false],
    [[0xffff], 0xffff, 1, true],
    [[0xffff], 0xfffc, 4, true],
    // Past the last port.
    [[], 0xffff, 1, false],
    [[], 0xffff, 2, true],
    [[], 0xfffe, 2, false],
    [[], 0xfffc, 4, false],
    [[], 0xfffd, 4, true],
    [[], 0xffff, 4, true],
  ])('bits %j, port %i, %i bytes: exits %o', (ports, port, lengthBytes, exits) => {
    const accumulator = { 1: 'al', 2: 'ax', 4: 'eax' }[lengthBytes];
    for (const [instruction, direction] of [
      [`in ${accumulator}, dx`, 8],
      [`out dx, ${accumulator}`, 0],
    ] as const) {
      const bench = withBitmaps(ports);
      bench.setRegister('rdx', port);
      const { exit } = run(bench, instruction);
      expect(exit.reason).toBe(exits ? 'IO_INSTRUCTION' : 'VMCALL');
      const qualification = port * 0x10000 + direction + lengthBytes - 1;
      expect(exit.qualification).toBe(exits ? qualification : 0);
    }
  });

  test('beat unconditional I/O exiting', () => {
    const bench = withBitmaps([]);
    bench.add(PRIMARY, 1 << Bit.IO);
    expect(run(bench, 'in al, 0x60').exit.reason).toBe('VMCALL');
  });
});

describe('MSR bitmaps', () => {
  const SEEN = { rdmsr: 'MSR_READ', wrmsr: 'MSR_WRITE' } as const;
  type Access = keyof typeof SEEN;

  /** What an access to an MSR leads to; those that do not exist fault. */
  function access(instruction: Access, msr: number, bytes: Uint8Array): string {
    const bench = withControls(Bit.MSR_BITMAPS);
    const page = bench.memory.allocatePages(1);
    bench.memory.write(page, bytes);
    bench.set({ MSR_BITMAP: page });
    // The upper half of RCX does not count.
    bench.setRegister('rcx', 2 ** 40 + msr);
    return run(bench, instruction).exit.reason;
  }

  test.each<[Access, number, number, number]>([
    // [instruction, MSR, offset in the page, bit]
    ['rdmsr', 0x0, 0x000, 0],
    ['rdmsr', 0x10, 0x002, 0],
    ['rdmsr', 0x174, 0x02e, 4],
    ['rdmsr', 0x1fff, 0x3ff, 7],
    ['rdmsr', 0xc0000000, 0x400, 0],
    ['rdmsr', 0xc0000080, 0x410, 0],
    ['rdmsr', 0xc0000102, 0x420, 2],
    ['rdmsr', 0xc0001fff, 0x7ff, 7],
    ['wrmsr', 0x0, 0x800, 0],
    ['wrmsr', 0x6e0, 0x8dc, 0],
    ['wrmsr', 0x1fff, 0xbff, 7],
    ['wrmsr', 0xc0000000, 0xc00, 0],
    ['wrmsr', 0xc0000101, 0xc20, 1],
    ['wrmsr', 0xc0001fff, 0xfff, 7],
  ])('%s %i: byte %i, bit %i, and no other', (instruction, msr, offset, bit) => {
    const only = new Uint8Array(4096);
    only[offset] = 1 << bit;
    expect(access(instruction, msr, only)).toBe(SEEN[instruction]);
    const allOthers = only.map((byte) => ~byte);
    expect(access(instruction, msr, allOthers)).toBe('VMCALL');
  });

  test.each([0x2000, 0x40000000, 0x4b564d01, 0xbfffffff, 0xc0002000, 0xffffffff])(
    '%i is outside of both ranges and always exits',
    (msr) => {
      expect(access('rdmsr', msr, new Uint8Array(4096))).toBe('MSR_READ');
      expect(access('wrmsr', msr, new Uint8Array(4096))).toBe('MSR_WRITE');
    },
  );

  test.each<[Access]>([['rdmsr'], ['wrmsr']])('without bitmaps every %s exits', (instruction) => {
    const bench = withControls();
    bench.setRegister('rcx', 0xc0000102);
    const { exit } = run(bench, instruction);
    expect(exit).toEqual(exitRecord(SEEN[instruction], At.CODE, { lengthBytes: 2 }));
  });
});
