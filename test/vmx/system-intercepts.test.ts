// Exits of CLTS, LMSW, INVD, WBINVD, RDPMC, MONITOR, MWAIT, RDPID and INT1: which controls make
// them exit, what comes before, and what is recorded. SDM 3, "Instructions That Cause VM Exits",
// "Relative Priority of Faults and VM Exits" and "Exit Qualification for Control-Register
// Accesses".

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  At,
  type ExitRecord,
  exitRecord,
  type FieldValues,
  handler,
  VmxBench,
} from '../support/vmx-bench.ts';

const PRIMARY = 'CPU_BASED_VM_EXEC_CONTROL';
const SECONDARY = 'SECONDARY_VM_EXEC_CONTROL';
/** PE, MP, ET, NE, WP and PG; without TS and EM. */
const CR0 = 0x80010033;
const CR4 = 0x2020;
const PCE = 0x100;
const [PE, MP, EM, TS] = [1, 2, 4, 8];

/** Bits of the primary controls; that of WBINVD is a secondary one. */
const Bit = { MWAIT: 10, RDPMC: 11, MONITOR: 29 } as const;
const WBINVD_EXITING = 1 << 6;
const ENABLE_RDTSCP = 1 << 3;

/** The instruction, and behind it VMCALL. */
function run(bench: VmxBench, instruction: string): ExitRecord & { readonly behind: number } {
  const source = `${instruction}\nbehind: vmcall`;
  const behind = bench.load(source).get('behind') ?? 0;
  return { ...bench.exitOf(source), behind };
}

/** The guest reached its handler for a fault of the instruction. */
function expectFault(bench: VmxBench, vector: number, errorCode: number | null): void {
  expect(bench.exit).toMatchObject({ reason: 'VMCALL', rip: handler(vector) });
  const frame = bench.stack(2);
  if (errorCode !== null) expect(frame.shift()).toBe(errorCode);
  expect(frame[0]).toBe(At.CODE);
}

function atPrivilege(cpl: 0 | 3): VmxBench {
  const bench = new VmxBench();
  if (cpl === 3) bench.enterUserMode();
  return bench;
}

describe('CLTS', () => {
  test.each([
    // [mask, shadow, CR0, exits, CR0 afterwards]
    [0, 0, CR0 | TS, false, CR0],
    // A guest-owned bit is cleared whatever the shadow says.
    [0, TS, CR0 | TS, false, CR0],
    [TS, TS, CR0 | TS, true, CR0 | TS],
    [TS, TS, CR0, true, CR0],
    // Host-owned and 0 to the guest: no exit, and the real bit stays.
    [TS, 0, CR0 | TS, false, CR0 | TS],
    [TS, PE | MP | EM, CR0 | TS, false, CR0 | TS],
    // Other bits that the host owns do not matter, and stay.
    [~TS, ~TS, CR0 | TS, false, CR0],
    [~0, PE, CR0 | TS, false, CR0 | TS],
  ])('mask %i, shadow %i, CR0 %i: exits %o', (mask, shadow, cr0, exits, after) => {
    const bench = new VmxBench();
    bench.set({
      CR0_GUEST_HOST_MASK: mask >>> 0,
      CR0_READ_SHADOW: shadow >>> 0,
      GUEST_CR0: cr0 >>> 0,
    });
    const { behind, ...exit } = run(bench, 'clts');
    expect(exit).toEqual(
      exits
        ? exitRecord('CR_ACCESS', At.CODE, { qualification: 0x20, lengthBytes: 2 })
        : exitRecord('VMCALL', behind, { lengthBytes: 3 }),
    );
    expect(bench.field('GUEST_CR0')).toBe(after >>> 0);
  });

  test('at CPL 3 faults before it could exit', () => {
    const bench = atPrivilege(3);
    bench.set({ CR0_GUEST_HOST_MASK: TS, CR0_READ_SHADOW: TS });
    run(bench, 'clts');
    expectFault(bench, 13, 0);
  });
});

describe('LMSW', () => {
  // [what, mask, shadow, source, exits, CR0 afterwards]
  const cases: readonly (readonly [string, number, number, number, boolean, number])[] = [
    ['nothing host-owned', 0, 0, 0xffff, false, CR0 | 15],
    ['nothing host-owned, shadow set', 0, 15, 0xfff1, false, CR0 & ~MP],
    ['TS as shadowed: 0', TS, 0, PE | MP, false, CR0],
    ['TS as shadowed: 1', TS, TS, PE | MP | TS, false, CR0],
    ['TS set', TS, 0, PE | MP | TS, true, CR0],
    ['TS cleared', TS, TS, PE | MP, true, CR0],
    ['EM set', EM, 0, PE | EM, true, CR0],
    ['MP cleared', MP, MP, PE, true, CR0],
    ['a host-owned bit beside guest-owned ones', MP, MP, MP | EM | TS, false, CR0 | EM | TS],
    // PE: the exit is for setting it, which is all that LMSW can do to it.
    ['PE set, 0 to the guest', PE, 0, PE | MP, true, CR0],
    ['PE set, 1 to the guest', PE, PE, PE | MP, false, CR0],
    ['PE not set, 1 to the guest', PE, PE, MP, false, CR0],
    ['PE not set, 0 to the guest', PE, 0, MP, false, CR0],
    ['bits above 3', 0xffff0, 0, 0xfff0 | PE | MP, false, CR0],
    ['bits above 3, and one that exits', ~0, CR0, 0xabc0 | PE | MP | TS, true, CR0],
  ];

  test.each(cases)('register: %s', (_what, mask, shadow, value, exits, after) => {
    const bench = new VmxBench();
    bench.set({ CR0_GUEST_HOST_MASK: mask >>> 0, CR0_READ_SHADOW: shadow >>> 0 });
    // Just 16 bits are the source.
    bench.setRegister('r9', 0x12340000 + value);
    const { behind, ...exit } = run(bench, 'lmsw r9w');
    const qualification = 0x30 + value * 2 ** 16;
    expect(exit).toEqual(
      exits
        ? exitRecord('CR_ACCESS', At.CODE, { qualification, lengthBytes: 4 })
        : exitRecord('VMCALL', behind, { lengthBytes: 3 }),
    );
    expect(bench.field('GUEST_CR0')).toBe(after >>> 0);
  });

  test.each(cases)('memory: %s', (_what, mask, shadow, value, exits, after) => {
    const bench = new VmxBench();
    bench.set({ CR0_GUEST_HOST_MASK: mask >>> 0, CR0_READ_SHADOW: shadow >>> 0 });
    bench.write64(At.DATA + 0x30, value);
    bench.setRegister('rbx', At.DATA);
    bench.set({ GUEST_GS_BASE: 0x20 });
    const { behind, ...exit } = run(bench, 'lmsw [gs:rbx + 0x10]');
    // Bit 6 tells memory, whose linear address has a field of its own.
    const qualification = 0x70 + value * 2 ** 16;
    expect(exit).toEqual(
      exits
        ? exitRecord('CR_ACCESS', At.CODE, {
            qualification,
            lengthBytes: 5,
            linear: At.DATA + 0x30,
          })
        : exitRecord('VMCALL', behind, { lengthBytes: 3 }),
    );
    expect(bench.field('GUEST_CR0')).toBe(after >>> 0);
  });

  test('a page fault of the operand comes before the exit', () => {
    const bench = new VmxBench();
    bench.set({ CR0_GUEST_HOST_MASK: 15, CR0_READ_SHADOW: 0 });
    run(bench, 'lmsw [0x180000]');
    expectFault(bench, 14, 0);
  });

  test.each(['lmsw ax', `lmsw [${At.DATA}]`])(
    '%s at CPL 3 faults before it could exit',
    (source) => {
      const bench = atPrivilege(3);
      bench.set({ CR0_GUEST_HOST_MASK: 15, CR0_READ_SHADOW: 0 });
      bench.setRegister('rax', 15);
      bench.write64(At.DATA, 15);
      run(bench, source);
      expectFault(bench, 13, 0);
    },
  );
});

test.each([
  // [instruction, mask, shadow, RCX]
  ['smsw rcx', 0, 0, CR0],
  ['smsw ecx', 0xffffffff, 0x6000001f, 0x6000001f],
  ['smsw rcx', TS, TS, CR0 | TS],
  ['smsw rcx', 0xff, 0, 0x80010000],
])('%s with mask %i and shadow %i never exits', (instruction, mask, shadow, value) => {
  const bench = atPrivilege(3);
  bench.set({ CR0_GUEST_HOST_MASK: mask, CR0_READ_SHADOW: shadow });
  expect(run(bench, instruction).reason).toBe('VMCALL');
  expect(bench.register('rcx')).toBe(value >>> 0);
});

describe('control off and on', () => {
  type Change = (bench: VmxBench) => void;
  const primary =
    (bit: number): Change =>
    (bench) =>
      bench.add(PRIMARY, 1 << bit);
  const noPrimary =
    (bit: number): Change =>
    (bench) =>
      bench.remove(PRIMARY, 1 << bit);
  const wbinvd: Change = (bench) => bench.add(SECONDARY, WBINVD_EXITING);
  const noWbinvd: Change = (bench) => bench.remove(SECONDARY, WBINVD_EXITING);

  test.each<[string, Change, string, number]>([
    // [instruction, control, exit reason, length]
    ['invd', () => {}, 'INVD', 2],
    ['wbinvd', wbinvd, 'WBINVD', 2],
    ['wbnoinvd', wbinvd, 'WBINVD', 3],
    ['monitor', primary(Bit.MONITOR), 'MONITOR_INSTRUCTION', 3],
    ['mwait', primary(Bit.MWAIT), 'MWAIT_INSTRUCTION', 3],
    ['rdpmc', primary(Bit.RDPMC), 'RDPMC', 2],
  ])('%s exits', (instruction, control, reason, lengthBytes) => {
    const bench = new VmxBench();
    control(bench);
    const { behind: _, ...exit } = run(bench, instruction);
    expect(exit).toEqual(exitRecord(reason, At.CODE, { lengthBytes }));
  });

  test.each<[string, Change]>([
    ['wbinvd', noWbinvd],
    ['wbnoinvd', noWbinvd],
    ['monitor', noPrimary(Bit.MONITOR)],
    ['mwait', noPrimary(Bit.MWAIT)],
  ])('%s executes', (instruction, control) => {
    const bench = new VmxBench();
    // Neighbours are on.
    for (const bit of Object.values(Bit)) bench.add(PRIMARY, 1 << bit);
    bench.add(SECONDARY, WBINVD_EXITING);
    control(bench);
    const { behind, ...exit } = run(bench, instruction);
    expect(exit).toMatchObject({ reason: 'VMCALL', rip: behind });
  });

  test.each<[0 | 3, number, boolean, 'exits' | '#GP']>([
    // [CPL, CR4, RDPMC exiting, outcome]
    [0, CR4, true, 'exits'],
    [3, CR4 | PCE, true, 'exits'],
    [3, CR4, true, '#GP'],
    [0, CR4, false, '#GP'],
    [3, CR4 | PCE, false, '#GP'],
  ])('RDPMC at CPL %i, CR4 %i, exiting %o: %s', (cpl, cr4, on, outcome) => {
    const bench = atPrivilege(cpl);
    bench.set({ GUEST_CR4: cr4 });
    if (on) bench.add(PRIMARY, 1 << Bit.RDPMC);
    else bench.remove(PRIMARY, 1 << Bit.RDPMC);
    run(bench, 'rdpmc');
    if (outcome === 'exits') expect(bench.exit).toMatchObject({ reason: 'RDPMC', rip: At.CODE });
    else expectFault(bench, 13, 0);
  });

  test.each([
    ['invd', 13],
    ['wbinvd', 13],
    ['wbnoinvd', 13],
    // Not #GP: to programs they do not exist.
    ['monitor', 6],
    ['mwait', 6],
  ])('%s at CPL 3: vector %i, before it could exit', (instruction, vector) => {
    const bench = atPrivilege(3);
    for (const bit of Object.values(Bit)) bench.add(PRIMARY, 1 << bit);
    bench.add(SECONDARY, WBINVD_EXITING);
    run(bench, instruction);
    expectFault(bench, vector, vector === 13 ? 0 : null);
  });
});

describe('RDPID', () => {
  test.each([0, 3] as const)('at CPL %i needs "enable RDTSCP", and never exits', (cpl) => {
    const enabled = atPrivilege(cpl);
    enabled.add(PRIMARY, 1 << 12);
    enabled.setRegister('tscAux', 0x1234);
    expect(run(enabled, 'rdpid rcx').reason).toBe('VMCALL');
    expect(enabled.register('rcx')).toBe(0x1234);
    const without = atPrivilege(cpl);
    without.remove(SECONDARY, ENABLE_RDTSCP);
    run(without, 'rdpid rcx');
    expectFault(without, 6, null);
  });
});

describe('INT1', () => {
  test('exits by bit 1 as a privileged software exception, with its length', () => {
    const bench = new VmxBench();
    bench.set({ EXCEPTION_BITMAP: 1 << 1 });
    const { behind: _, ...exit } = run(bench, 'int1');
    expect(exit).toEqual(
      exitRecord('EXCEPTION_NMI', At.CODE, { interruption: 0x80000501, lengthBytes: 1 }),
    );
  });

  test('reaches its handler if bit 1 is clear', () => {
    const bench = new VmxBench();
    bench.set({ EXCEPTION_BITMAP: ~2 >>> 0 });
    const { rip, behind } = run(bench, 'int1');
    expect([rip, bench.stack(1)[0]]).toEqual([handler(1), behind]);
  });
});

describe('what no control can enable here is undefined', () => {
  const everything: FieldValues = { CR0_GUEST_HOST_MASK: Long.NEG_ONE };
  test.each([
    ['VMFUNC', '0x0f, 0x01, 0xd4'],
    ['INVPCID', '0x66, 0x0f, 0x38, 0x82, 0x03'],
    ['XSETBV, with CR4.OSXSAVE clear', '0x0f, 0x01, 0xd1'],
    ['GETSEC, with CR4.SMXE clear', '0x0f, 0x37'],
    ['RSM outside SMM', '0x0f, 0xaa'],
    ['VMMCALL', '0x0f, 0x01, 0xd9'],
  ])('%s', (_what, bytes) => {
    for (const cpl of [0, 3] as const) {
      const bench = atPrivilege(cpl);
      bench.set(everything);
      run(bench, `db ${bytes}`);
      expectFault(bench, 6, null);
    }
  });
});
