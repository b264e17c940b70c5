// Who may touch IF, IOPL and ports: CLI, STI, PUSHF, POPF and INT n by CPL and IOPL, in
// virtual-8086 mode, and with CR4.VME and CR4.PVI. SDM 2, the instructions' pages (the decision
// tables of CLI and STI, the effect table of POPF); SDM 3, "Virtual-8086 Mode", "Interrupt and
// Exception Handling in Virtual-8086 Mode"; SDM 1, "I/O Permission Bit Map".

import { describe, expect, test } from 'vitest';
import { ModeBench, type ModeStart, Place } from '../support/mode-bench.ts';

const VIRTUAL: ModeStart = { mode: 'virtual8086' };
const USER: ModeStart = { mode: 'protected', cpl: 3 };
const VME = 1;
const PVI = 2;
const TF = 0x100;
const IF = 0x200;
const RF = 0x10000;
const VM = 0x20000;
const VIF = 0x80000;
const VIP = 0x100000;
const IOPL_3 = 0x3000;
const FIXED = 2;

function withFlags(start: ModeStart, flags: number, cr4 = 0): ModeBench {
  const bench = new ModeBench(start);
  bench.set('rflags', flags | FIXED | (start.mode === 'virtual8086' ? VM : 0));
  bench.set('cr4', bench.get('cr4') | cr4);
  return bench;
}

/** Flags beyond what the mode itself sets, and a fault: RF. */
const flagsOf = (bench: ModeBench) => bench.get('rflags') & ~(VM | FIXED | RF);

describe('CLI and STI', () => {
  test.each<[ModeStart, number, number, string, number | string]>([
    // [mode, flags, CR4, instruction, flags afterwards or fault]
    [{ mode: 'real' }, IF, 0, 'cli', 0],
    [{ mode: 'real' }, 0, 0, 'sti', IF],
    [{ mode: 'protected' }, IF, 0, 'cli', 0],
    [USER, IF, 0, 'cli', '#GP(0)'],
    [USER, IOPL_3, 0, 'sti', IOPL_3 | IF],
    [VIRTUAL, IF, 0, 'cli', '#GP(0)'],
    [VIRTUAL, 0x2000, 0, 'sti', '#GP(0)'],
    [VIRTUAL, IOPL_3 | IF, 0, 'cli', IOPL_3],
    [VIRTUAL, IOPL_3, VME, 'sti', IOPL_3 | IF],
    [VIRTUAL, IF | VIF, VME, 'cli', IF],
    [VIRTUAL, IF, VME, 'sti', IF | VIF],
    [VIRTUAL, IF | VIP, VME, 'sti', '#GP(0)'],
    [VIRTUAL, IF | VIF | VIP, VME, 'cli', IF | VIP],
    [VIRTUAL, IF, PVI, 'cli', '#GP(0)'],
    [USER, IF | VIF, PVI, 'cli', IF],
    [USER, IF, PVI, 'sti', IF | VIF],
    [USER, IF | VIP, PVI, 'sti', '#GP(0)'],
    [USER, IF, VME, 'cli', '#GP(0)'],
    [USER, IOPL_3 | IF, PVI, 'cli', IOPL_3],
  ])('%o with %i, CR4 %i: %s', (start, flags, cr4, source, outcome) => {
    const bench = withFlags(start, flags, cr4);
    const fault = bench.execute(source);
    if (typeof outcome === 'string') expect([fault, flagsOf(bench)]).toEqual([outcome, flags]);
    else expect([fault, flagsOf(bench)]).toEqual(['', outcome]);
  });

  test('only a real STI makes a shadow', () => {
    const shadow = (bench: ModeBench) => {
      expect(bench.execute('sti')).toBe('');
      return bench.get('interruptibility');
    };
    expect(shadow(withFlags({ mode: 'real' }, 0))).toBe(1);
    expect(shadow(withFlags(USER, IOPL_3))).toBe(1);
    expect(shadow(withFlags(USER, 0, PVI))).toBe(0);
  });
});

describe('loads of SS hold events for one instruction', () => {
  test.each([
    // [instructions, blocking after each]
    ['mov ss, eax', [2]],
    ['mov ss, eax\nnop', [2, 0]],
    // Only the first of several.
    ['mov ss, eax\nmov ss, eax\nmov ss, eax', [2, 0, 2]],
    ['sti\nnop', [1, 0]],
  ])('%s', (source, expected) => {
    const bench = new ModeBench({ mode: 'real' });
    bench.place(source);
    const seen = expected.map(() => {
      expect(bench.processor.step()).toBe(null);
      return bench.get('interruptibility');
    });
    expect(seen).toEqual(expected);
  });
});

describe('PUSHF and POPF in virtual-8086 mode', () => {
  test.each<[number, number, string, number | string]>([
    // [flags, CR4, instruction, what is pushed or fault]
    [IOPL_3 | IF, 0, 'pushf', IOPL_3 | IF | FIXED],
    [IOPL_3 | IF, 0, 'pushfd', IOPL_3 | IF | FIXED],
    [IF, 0, 'pushf', '#GP(0)'],
    [IF, VME, 'pushfd', '#GP(0)'],
    [IF, VME, 'pushf', IOPL_3 | FIXED],
    [VIF, VME, 'pushf', IOPL_3 | IF | FIXED],
  ])('%i, CR4 %i: %s', (flags, cr4, source, pushed) => {
    const bench = withFlags(VIRTUAL, flags, cr4);
    const fault = bench.execute(source);
    expect(fault).toBe(typeof pushed === 'string' ? pushed : '');
    if (fault === '') expect(bench.read(bench.get('rsp'), 4) & 0xffff).toBe(pushed);
    else expect(bench.get('rsp')).toBe(Place.STACK);
  });

  test.each<[number, number, string, number, number | string]>([
    // [flags, CR4, instruction, what is popped, flags afterwards or fault]
    [IOPL_3, 0, 'popf', 0x0ed7, IOPL_3 | 0xed5],
    [IOPL_3, 0, 'popfd', 0x3c7fd7, IOPL_3 | 0x244fd5],
    [IF, 0, 'popf', 0, '#GP(0)'],
    [IF, VME, 'popfd', 0, '#GP(0)'],
    [IF, VME, 'popf', 0x0ed7, IF | VIF | 0xcd5],
    [IF | VIF, VME, 'popf', 0x7002, IF | 0x4000],
    [IF | VIP, VME, 'popf', IF, '#GP(0)'],
    [IF | VIP, VME, 'popf', 0, IF | VIP],
    [IF, VME, 'popf', TF, '#GP(0)'],
  ])('%i, CR4 %i: %s of %i', (flags, cr4, source, image, outcome) => {
    const bench = withFlags(VIRTUAL, flags, cr4);
    bench.write(Place.STACK, 4, image);
    const fault = bench.execute(source);
    if (typeof outcome === 'string') {
      expect([fault, flagsOf(bench), bench.get('rsp')]).toEqual([outcome, flags, Place.STACK]);
    } else expect([fault, flagsOf(bench)]).toEqual(['', outcome]);
  });
});

describe('IRET in virtual-8086 mode with VME', () => {
  test.each<[number, number, number | string]>([
    // [flags, popped, flags afterwards or fault]
    [IF, IF, IF | VIF],
    [IF | VIF, 0x47, IF | 0x45],
    [IF | VIP, IF, '#GP(0)'],
    [IF, TF, '#GP(0)'],
  ])('%i pops %i', (flags, image, outcome) => {
    const bench = withFlags(VIRTUAL, flags, VME);
    bench.writeAll(Place.STACK, 2, [0x1234, 0x5678, image]);
    const fault = bench.execute('iret');
    if (typeof outcome === 'string') {
      expect([fault, flagsOf(bench), bench.get('rip')]).toEqual([outcome, flags, Place.CODE]);
    } else {
      expect([fault, flagsOf(bench)]).toEqual(['', outcome]);
      expect(bench.values('rip', 'csBase', 'rsp')).toEqual([0x1234, 0x56780, Place.STACK + 6]);
    }
  });
});

test('IRETD in virtual-8086 mode is not for VME', () => {
  expect(withFlags(VIRTUAL, 0, VME).execute('iretd')).toBe('#GP(0)');
  expect(withFlags(VIRTUAL, IOPL_3, VME).execute('iretd')).toBe('');
});

describe('INT n in virtual-8086 mode with VME', () => {
  const VECTOR = 0x31;
  const IO_BASE = 0x88;

  /** With the redirection bitmap, in which the bit of the vector is as given. */
  function redirecting(flags: number, bit: 0 | 1): ModeBench {
    const bench = withFlags(VIRTUAL, flags, VME);
    bench.set('trLimit', 0x100);
    bench.write(Place.TSS + 0x66, 2, IO_BASE);
    for (let i = 0; i < 32; i++) bench.write(Place.TSS + IO_BASE - 32 + i, 1, bit === 0 ? 0 : 0xff);
    bench.writeAll(VECTOR * 4, 2, [0x1234, 0x5678]);
    bench.gate(VECTOR, { dpl: 3 });
    return bench;
  }

  test.each([
    // [flags, FLAGS on the stack, flags afterwards]
    [VIF | IF, IOPL_3 | IF | FIXED, IF],
    [IF, IOPL_3 | FIXED, IF],
    [IOPL_3 | IF | VIF, IOPL_3 | IF | FIXED, IOPL_3 | VIF],
  ])("the program's own handler, with %i", (flags, pushed, after) => {
    const bench = redirecting(flags, 0);
    expect(bench.execute(`int ${VECTOR}`)).toBe('');
    expect(bench.processor.mode).toBe('virtual8086');
    expect(bench.values('rip', 'csBase', 'rsp')).toEqual([0x1234, 0x56780, Place.STACK - 6]);
    expect(bench.readAll(Place.STACK - 6, 2, 3)).toEqual([Place.CODE + 2, 0, pushed]);
    expect(flagsOf(bench)).toBe(after);
  });

  test('the IDT', () => {
    const bench = redirecting(IOPL_3, 1);
    expect(bench.execute(`int ${VECTOR}`)).toBe('');
    expect(bench.processor.mode).toBe('protected');
    expect(redirecting(0, 1).execute(`int ${VECTOR}`)).toBe('#GP(0)');
    const beyond = redirecting(0, 0);
    beyond.set('trLimit', IO_BASE - 32);
    expect(beyond.execute(`int ${VECTOR}`)).toBe('#GP(0)');
  });

  test('INT3 and INTO are not redirected', () => {
    const bench = redirecting(0, 0);
    bench.gate(3, { dpl: 3 });
    expect(bench.execute('int3')).toBe('');
    expect(bench.processor.mode).toBe('protected');
  });
});

describe('ports', () => {
  const IO_BASE = 0x80;

  function withBitmap(start: ModeStart, flags: number, bits: number): ModeBench {
    const bench = withFlags(start, flags);
    bench.set('trLimit', IO_BASE + 3);
    bench.write(Place.TSS + 0x66, 2, IO_BASE);
    bench.write(Place.TSS + IO_BASE, 4, bits);
    return bench;
  }

  test.each<[ModeStart, number, number, string, string]>([
    [USER, 0, ~(1 << 9), 'in al, 9', ''],
    [USER, 0, ~(1 << 9), 'in ax, 9', '#GP(0)'],
    [USER, 0, 1 << 9, 'in al, 9', '#GP(0)'],
    [USER, 0, ~(15 << 6), 'out 6, eax', ''],
    [USER, IOPL_3, -1, 'in al, 9', ''],
    [VIRTUAL, IOPL_3, -1, 'in al, 9', '#GP(0)'],
    [VIRTUAL, 0, 0, 'in al, 9', ''],
    [{ mode: 'real' }, 0, -1, 'in al, 9', ''],
    [{ mode: 'protected' }, 0, -1, 'in al, 9', ''],
    // The second byte that the processor reads lies beyond the TSS.
    [USER, 0, 0, 'in al, 31', '#GP(0)'],
  ])('%o, flags %i, bitmap %i: %s', (start, flags, bits, source, fault) => {
    expect(withBitmap(start, flags, bits).execute(source)).toBe(fault);
  });

  test('a 16-bit TSS has no bitmap', () => {
    const bench = withBitmap(USER, 0, 0);
    bench.load('tr', { rights: 0x83 });
    expect(bench.execute('in al, 9')).toBe('#GP(0)');
  });
});

describe('SYSENTER and SYSEXIT', () => {
  function withEntry(start: ModeStart): ModeBench {
    const bench = new ModeBench(start);
    bench.set('sysenterCs', 0x100);
    bench.set('sysenterEip', 0x7_12345678);
    bench.set('sysenterEsp', 0x7_87654320);
    return bench;
  }

  test('SYSENTER in protected and virtual-8086 mode', () => {
    for (const start of [USER, VIRTUAL]) {
      const bench = withEntry(start);
      bench.set('rflags', bench.get('rflags') | IF);
      expect(bench.execute('sysenter')).toBe('');
      expect(bench.values('rip', 'rsp', 'rflags')).toEqual([0x12345678, 0x87654320, FIXED]);
      expect(bench.segment('cs')).toEqual([0x100, 0, 0xffffffff, 0xc09b]);
      expect(bench.segment('ss')).toEqual([0x108, 0, 0xffffffff, 0xc093]);
    }
  });

  test('SYSENTER in compatibility mode enters 64-bit mode', () => {
    const bench = withEntry({ mode: 'compatibility', cpl: 3 });
    expect(bench.execute('sysenter')).toBe('');
    expect(bench.values('rip', 'rsp', 'csRights')).toEqual([0x7_12345678, 0x7_87654320, 0xa09b]);
  });

  test('SYSEXIT in protected mode', () => {
    const bench = withEntry({ mode: 'protected' });
    bench.set('rdx', 0x1234);
    bench.set('rcx', 0x5678);
    expect(bench.execute('sysexit')).toBe('');
    expect(bench.values('rip', 'rsp')).toEqual([0x1234, 0x5678]);
    expect(bench.segment('cs')).toEqual([0x113, 0, 0xffffffff, 0xc0fb]);
    expect(bench.segment('ss')).toEqual([0x11b, 0, 0xffffffff, 0xc0f3]);
  });

  test('not in real mode; SYSCALL in 64-bit mode only', () => {
    expect(withEntry({ mode: 'real' }).execute('sysenter')).toBe('#GP');
    expect(withEntry({ mode: 'real' }).execute('sysexit')).toBe('#GP');
    for (const mode of ['real', 'protected', 'compatibility'] as const) {
      expect(withEntry({ mode }).execute('db 0x0f, 0x05')).toBe('#UD');
      expect(withEntry({ mode }).execute('db 0x0f, 0x07')).toBe('#UD');
    }
  });
});
