// SYSCALL, SYSRET, SYSENTER, SYSEXIT and SWAPGS: registers, segments, flags and privilege, and what
// makes them fault. SDM 2, the instructions' pages; the segments' hidden parts are those of their
// "Operation" sections.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { BareMachine } from '../support/bare-machine.ts';
import { ProtectionBench, STACK } from '../support/protection-bench.ts';
import { At, Selector } from '../support/vmx-bench.ts';

const SCE = 1;
const FLAT = 0xffffffff;
/** Access rights: 64-bit code and data, flat, accessed, of DPL 0 and 3. */
const KERNEL = { CS: 0xa09b, SS: 0xc093 };
const USER = { CS: 0xa0fb, SS: 0xc0f3 };
const COMPATIBLE_CODE = 0xc0fb;

const hex = (digits: string) => Long.fromString(digits, true, 16);

/** A processor with its MSRs set, at a privilege level. */
function fastBench(cpl: 0 | 3, change: Readonly<Record<string, Long>> = {}): ProtectionBench {
  const bench = new ProtectionBench(cpl);
  bench.setWide('efer', bench.wide('efer').or(SCE));
  bench.setWide('star', Long.fromBits(0x1234, 0x0023_0010));
  bench.setWide('lstar', hex('ffff800012345678'));
  bench.setWide('sfmask', Long.fromInt(0x47700));
  bench.setWide('sysenterCs', Long.fromInt(0x10));
  bench.setWide('sysenterEip', hex('ffffffff81000000'));
  bench.setWide('sysenterEsp', hex('ffffffff82000000'));
  for (const [name, value] of Object.entries(change)) bench.setWide(name, value);
  return bench;
}

function segments(bench: ProtectionBench): readonly number[] {
  return bench.values('csSelector', 'csRights', 'ssSelector', 'ssRights');
}

function expectFlat(bench: ProtectionBench): void {
  expect(bench.values('csBase', 'csLimit', 'ssBase', 'ssLimit')).toEqual([0, FLAT, 0, FLAT]);
}

describe('SYSCALL', () => {
  test.each([0, 3] as const)('at CPL %i', (cpl) => {
    const bench = fastBench(cpl);
    bench.bare.set('rflags', 0x246);
    expect(bench.execute('syscall')).toBe(null);
    expect(bench.wide('rip').toString(16)).toBe('ffff800012345678');
    // RCX gets the address behind it, R11 the flags; RSP stays as it is.
    expect(bench.values('rcx', 'r11', 'rsp')).toEqual([At.CODE + 2, 0x246, STACK]);
    expect(segments(bench)).toEqual([0x10, KERNEL.CS, 0x18, KERNEL.SS]);
    expectFlat(bench);
    expect(bench.cpl).toBe(0);
  });

  test.each([
    // [SFMASK, flags before, flags afterwards]
    [0, 0x3d7, 0x3d7],
    [0x200, 0x246, 0x46],
    [0xffffffff, 0x243ed7, 2],
    [0x47700, 0x40f57, 0x857],
    [2, 0x46, 0x46],
    [0x3000, 0x3202, 0x202],
  ])('mask %i: flags %i become %i', (mask, before, after) => {
    const bench = fastBench(3, { sfmask: Long.fromInt(mask) });
    bench.bare.set('rflags', before);
    expect(bench.execute('syscall')).toBe(null);
    expect(bench.values('rflags', 'r11')).toEqual([after, before]);
  });

  test.each([
    // [bits 47:32 of STAR, CS, SS]: the RPL of CS is masked, that of SS is not.
    [0x0008, 0x08, 0x10],
    [0x000b, 0x08, 0x13],
    [0xfff8, 0xfff8, 0x0000],
    [0, 0, 8],
  ])('selectors from %i', (star, cs, ss) => {
    const bench = fastBench(3, { star: Long.fromBits(0, 0x00230000 | star) });
    expect(bench.execute('syscall')).toBe(null);
    expect(bench.values('csSelector', 'ssSelector')).toEqual([cs, ss]);
  });

  test('without EFER.SCE is undefined, as is SYSRET', () => {
    for (const cpl of [0, 3] as const) {
      for (const source of ['syscall', 'o64 sysret']) {
        const bench = fastBench(cpl);
        bench.setWide('efer', bench.wide('efer').and(~SCE));
        expect([bench.execute(source), bench.bare.get('rip')]).toEqual(['#UD', At.CODE]);
      }
    }
  });

  test('no descriptor is read', () => {
    const bench = fastBench(3);
    bench.bare.set('gdtrLimit', 0);
    bench.bare.set('gdtrBase', 0x80000);
    expect(bench.execute('syscall')).toBe(null);
  });

  test('with LOCK is undefined', () => {
    expect(fastBench(3).execute('db 0xf0\nsyscall')).toBe('#UD');
  });
});

describe('SYSRET to 64-bit mode', () => {
  const SYSRET = 'db 0x48, 0x0f, 0x07';

  test('takes RIP from RCX and flags from R11', () => {
    const bench = fastBench(0, { rcx: hex('7fffffffffff'), r11: Long.fromInt(0x246) });
    expect(bench.execute(SYSRET)).toBe(null);
    expect(bench.values('rip', 'rsp', 'rflags')).toEqual([0x7fffffffffff, STACK, 0x246]);
    expect(segments(bench)).toEqual([0x33, USER.CS, 0x2b, USER.SS]);
    expectFlat(bench);
    expect(bench.cpl).toBe(3);
  });

  test.each([
    // [R11, flags afterwards]: under 3C7FD7H, with bit 1.
    ['0', 0x2],
    ['ffffffffffffffff', 0x3c7fd7],
    ['30000', 0x2],
    ['7', 0x7],
  ])('R11 of %s', (r11, flags) => {
    const bench = fastBench(0, { rcx: Long.fromInt(0x1000), r11: hex(r11) });
    bench.bare.set('rflags', 0x3202);
    expect(bench.execute(SYSRET)).toBe(null);
    expect(bench.bare.get('rflags')).toBe(flags);
  });

  test.each([
    // [bits 63:48 of STAR, CS, SS]
    [0x0020, 0x33, 0x2b],
    [0x0023, 0x33, 0x2b],
    [0x0000, 0x13, 0x0b],
    [0xfff8, 0x000b, 0x0003],
  ])('selectors from %i', (star, cs, ss) => {
    const bench = fastBench(0, { star: Long.fromBits(0, (star << 16) | 0x10) });
    expect(bench.execute(SYSRET)).toBe(null);
    expect(bench.values('csSelector', 'ssSelector')).toEqual([cs, ss]);
  });

  test.each<[string, 0 | 3, string, string, string]>([
    // [what, CPL, bytes, RCX, outcome]
    ['at CPL 3', 3, SYSRET, '1000', '#GP(0)'],
    ['a target that is not canonical', 0, SYSRET, '800000000000', '#GP(0)'],
    ['a target that is not canonical', 0, SYSRET, 'ffff7fffffffffff', '#GP(0)'],
    ['a target in the upper half', 0, SYSRET, 'ffff800000000000', ''],
    ['to compatibility mode at CPL 3', 3, 'db 0x0f, 0x07', '1000', '#GP(0)'],
  ])('%s, CPL %i, %s, %s', (_what, cpl, source, rcx, outcome) => {
    const bench = fastBench(cpl, { rcx: hex(rcx) });
    const before = segments(bench);
    expect(bench.execute(source) ?? '').toBe(outcome);
    if (outcome !== '') expect(segments(bench)).toEqual(before);
  });
});

test('SYSRET to compatibility mode', () => {
  const bench = fastBench(0, { rcx: hex('123400001000'), r11: Long.fromInt(0x246) });
  expect(bench.execute('db 0x0f, 0x07')).toBe(null);
  // 32 bits of RCX; CS is as STAR says, SS 8 above.
  expect(bench.values('rip', 'rsp', 'rflags')).toEqual([0x1000, STACK, 0x246]);
  expect(segments(bench)).toEqual([0x23, COMPATIBLE_CODE, 0x2b, USER.SS]);
  expect(bench.cpl).toBe(3);
});

describe('SYSENTER', () => {
  test.each([0, 3] as const)('at CPL %i', (cpl) => {
    const bench = fastBench(cpl, { rcx: Long.fromInt(7), rdx: Long.fromInt(8) });
    bench.bare.set('rflags', 0x3ed7);
    expect(bench.execute('sysenter')).toBe(null);
    expect(bench.wide('rip').toString(16)).toBe('ffffffff81000000');
    expect(bench.wide('rsp').toString(16)).toBe('ffffffff82000000');
    // Only IF (and VM) is cleared, and nothing is kept.
    expect(bench.values('rflags', 'rcx', 'rdx')).toEqual([0x3cd7, 7, 8]);
    expect(segments(bench)).toEqual([0x10, KERNEL.CS, 0x18, KERNEL.SS]);
    expectFlat(bench);
  });

  test.each([
    // [IA32_SYSENTER_CS, CS, SS, or a fault]
    [0x13, 0x10, 0x18],
    [0x12340008, 0x08, 0x10],
    [0, -1, -1],
    [3, -1, -1],
    [0x10000, -1, -1],
  ])('IA32_SYSENTER_CS of %i', (value, cs, ss) => {
    const bench = fastBench(3, { sysenterCs: Long.fromInt(value) });
    const outcome = bench.execute('sysenter') ?? '';
    if (cs < 0) expect([outcome, bench.bare.get('rsp')]).toEqual(['#GP(0)', STACK]);
    else expect([outcome, ...bench.values('csSelector', 'ssSelector')]).toEqual(['', cs, ss]);
  });
});

describe('SYSEXIT to 64-bit mode', () => {
  const SYSEXIT = 'db 0x48, 0x0f, 0x35';
  const canonical = { rcx: hex('7ffffffff000'), rdx: hex('400000') };

  test('takes RSP from RCX and RIP from RDX', () => {
    const bench = fastBench(0, canonical);
    bench.bare.set('rflags', 0x46);
    expect(bench.execute(SYSEXIT)).toBe(null);
    expect(bench.values('rip', 'rsp', 'rflags')).toEqual([0x400000, 0x7ffffffff000, 0x46]);
    // 32 and 40 above IA32_SYSENTER_CS.
    expect(segments(bench)).toEqual([0x33, USER.CS, 0x3b, USER.SS]);
    expectFlat(bench);
    expect(bench.cpl).toBe(3);
  });

  test.each<[string, 0 | 3, Readonly<Record<string, Long>>, string]>([
    ['at CPL 3', 3, {}, '#GP(0)'],
    ['IA32_SYSENTER_CS of 0', 0, { sysenterCs: Long.ZERO }, '#GP(0)'],
    ['IA32_SYSENTER_CS of 3', 0, { sysenterCs: Long.fromInt(3) }, '#GP(0)'],
    ['RCX not canonical', 0, { rcx: Long.ONE.shl(47) }, '#GP(0)'],
    ['RDX not canonical', 0, { rdx: Long.ONE.shl(63) }, '#GP(0)'],
    ['both in the upper half', 0, { rcx: hex('ffff800000000000'), rdx: Long.NEG_ONE }, ''],
  ])('%s', (_what, cpl, change, fault) => {
    const bench = fastBench(cpl, { ...canonical, ...change });
    const before = [...segments(bench), STACK];
    expect(bench.execute(SYSEXIT) ?? '').toBe(fault);
    if (fault !== '') expect([...segments(bench), bench.bare.get('rsp')]).toEqual(before);
  });

  test('to compatibility mode', () => {
    const bench = fastBench(0, canonical);
    expect(bench.execute('db 0x0f, 0x35')).toBe(null);
    expect(bench.values('rip', 'rsp')).toEqual([0x400000, 0xfffff000]);
    // 16 and 24 above IA32_SYSENTER_CS.
    expect(segments(bench)).toEqual([0x23, COMPATIBLE_CODE, 0x2b, USER.SS]);
  });
});

test('a system call there and back', () => {
  const bench = fastBench(3, { lstar: Long.fromInt(At.CODE + 0x100) });
  bench.bare.set('rflags', 0x202);
  bench.bare.load('syscall\nhlt');
  bench.bare.set('rip', At.CODE);
  const { processor } = bench.bare.machine;
  processor.stateChanged();
  const steps = (count: number) => {
    for (let i = 0; i < count; i++) expect(processor.step()).toBe(null);
    return [bench.cpl, bench.bare.get('rip'), bench.bare.get('rflags')];
  };
  bench.bare.machine.memory.write(
    bench.bare.hpa(At.CODE + 0x100),
    // CLI, which needs CPL 0, then SYSRET.
    Uint8Array.of(0xfa, 0x48, 0x0f, 0x07),
  );
  expect(steps(1)).toEqual([0, At.CODE + 0x100, 2]);
  expect(steps(2)).toEqual([3, At.CODE + 2, 0x202]);
});

describe('what paging makes of the privilege', () => {
  /** A page for supervisors only. */
  const SECRET = At.DATA + 0x2000;
  const READ = `mov rbx, [${SECRET}]`;

  function guarded(cpl: 0 | 3): BareMachine {
    const bare = new BareMachine(cpl);
    bare.changeEntry(SECRET, 1, { clear: 4 });
    bare.set('star', 0x0013_0008 * 2 ** 32);
    bare.set('sysenterCs', 8);
    bare.set('sysenterEsp', At.STACK);
    for (const name of ['lstar', 'sysenterEip']) bare.set(name, At.CODE + 2);
    return bare;
  }

  test.each(['syscall', 'sysenter'])('%s opens it', (call) => {
    // The system begins right behind the call, with the same access.
    const bare = guarded(3);
    expect(bare.run(`${call}\n${READ}\nhlt`)).toBe(false);
    expect(guarded(3).delivered(`nop\nnop\n${READ}`)).toMatchObject({ vector: 14, errorCode: 5 });
  });

  const FRAME = `push ${Selector.USER_DATA}\npush rsp\npush ${Selector.USER_CODE}\npush user`;
  test.each([
    ['o64 sysret', 'mov ecx, user\nxor r11d, r11d\no64 sysret'],
    ['o64 sysexit', 'mov edx, user\nmov rcx, rsp\no64 sysexit'],
    ['retfq', `${FRAME}\nretfq`],
  ])('%s closes it', (_what, source) => {
    const text = `${READ}\n${source}\nuser: ${READ}\nhlt`;
    const bare = guarded(0);
    const user = bare.load(text).get('user');
    expect(bare.delivered(text)).toMatchObject({ vector: 14, errorCode: 5, rip: user });
  });
});

describe('single steps over fast calls', () => {
  const TF = 0x100;
  const KERNEL_CODE = At.CODE + 0x100;

  /** A machine at CPL 3 or 0 with TF as given, and NOPs where SYSCALL and SYSENTER lead. */
  function stepping(cpl: 0 | 3, flags: number, mask: number): BareMachine {
    const bare = new BareMachine(cpl);
    bare.set('rflags', flags);
    bare.set('star', 0x0013_0008 * 2 ** 32);
    bare.set('lstar', KERNEL_CODE);
    bare.set('sfmask', mask);
    bare.set('sysenterCs', 8);
    bare.set('sysenterEip', KERNEL_CODE);
    bare.set('sysenterEsp', At.STACK);
    bare.machine.memory.write(bare.hpa(KERNEL_CODE), Uint8Array.of(0x90, 0x90, 0xf4));
    return bare;
  }

  // TF counts for SYSCALL and SYSRET as it is behind them, so that a system can mask it. Linux
  // commit c8401dda2f0a, "KVM: x86: fix singlestepping over syscall"; for SYSENTER as ever.
  test('SYSCALL that masks TF does not trap in the system', () => {
    const bare = stepping(3, TF + 2, TF);
    expect(bare.run('syscall')).toBe(false);
    expect([bare.get('rip'), bare.get('r11')]).toEqual([KERNEL_CODE + 3, TF + 2]);
  });

  test('SYSCALL that does not mask TF traps at the first instruction of the system', () => {
    expect(stepping(3, TF + 2, 0).delivered('syscall')).toMatchObject({
      vector: 1,
      rip: KERNEL_CODE,
      cs: 8,
      flags: TF + 2,
    });
  });

  test('SYSENTER traps there too', () => {
    expect(stepping(3, TF + 2, TF).delivered('sysenter')).toMatchObject({
      vector: 1,
      rip: KERNEL_CODE,
      cs: 8,
    });
  });

  test('SYSRET that sets TF traps before the next instruction', () => {
    const bare = stepping(0, 2, 0);
    bare.set('rcx', At.CODE + 0x200);
    bare.set('r11', TF + 2);
    expect(bare.delivered('nop\no64 sysret')).toMatchObject({
      vector: 1,
      rip: At.CODE + 0x200,
      cs: 0x23,
      flags: TF + 2,
    });
    expect(bare.get('dr6')).toBe(0xffff4ff0);
  });

  test('SYSRET that clears TF does not trap', () => {
    const bare = stepping(0, TF + 2, 0);
    bare.set('rcx', At.CODE + 0x200);
    bare.set('r11', 2);
    bare.machine.memory.write(bare.hpa(At.CODE + 0x200), Uint8Array.of(0x90, 0xf4));
    // HLT at CPL 3, behind a NOP.
    expect(bare.delivered('o64 sysret')).toMatchObject({ vector: 13, rip: At.CODE + 0x201 });
  });
});

describe('SWAPGS', () => {
  test('exchanges the base of GS and IA32_KERNEL_GS_BASE, and nothing else', () => {
    const bases = { gsBase: hex('7fff00001000'), kernelGsBase: hex('ffff888000000000') };
    const bench = fastBench(0, bases);
    const others = () => bench.values('gsSelector', 'gsLimit', 'gsRights', 'fsBase');
    const before = others();
    for (const [gs, kernel] of [
      [bases.kernelGsBase, bases.gsBase],
      [bases.gsBase, bases.kernelGsBase],
    ]) {
      expect(bench.execute('swapgs')).toBe(null);
      expect([bench.wide('gsBase'), bench.wide('kernelGsBase')]).toEqual([gs, kernel]);
      expect(others()).toEqual(before);
    }
  });

  test.each([1, 2, 3] as const)('at CPL %i faults', (cpl) => {
    const bench = new ProtectionBench(cpl);
    bench.bare.set('kernelGsBase', 0x1000);
    expect(bench.execute('swapgs')).toBe('#GP(0)');
    expect(bench.values('gsBase', 'kernelGsBase')).toEqual([0, 0x1000]);
  });
});
