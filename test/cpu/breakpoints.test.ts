// Breakpoints in the debug registers, general detect, and what a debug exception leaves in DR6, DR7
// and on the stack. SDM 3, "Debug Exceptions" ("Instruction-Breakpoint Exception Condition", "Data
// Memory and I/O Breakpoint Exception Conditions", "General-Detect Exception Condition"),
// "Breakpoint Field Recognition" and "Masking Instruction Breakpoints".

import { describe, expect, test } from 'vitest';
import { BareMachine } from '../support/bare-machine.ts';
import { At } from '../support/vmx-bench.ts';

const DB = 1;
const RF = 0x10000;
const TF = 0x100;
const CR4_DE = 8;
const DR6_RESET = 0xffff0ff0;
const DR7_RESET = 0x400;
const GD = 0x2000;
const BS = 0x4000;
const BD = 0x2000;

const EXECUTE = 0;
const WRITE = 1;
const PORT = 2;
const READ_WRITE = 3;

/** LEN bits by length in bytes. */
const LEN: Readonly<Record<number, number>> = { 1: 0, 2: 1, 4: 3, 8: 2 };

/** Bits of DR7 for one breakpoint. */
function point(number: number, kind: number, lengthBytes = 1, enable: 'L' | 'G' | null = 'L') {
  const control = (kind | ((LEN[lengthBytes] ?? 0) << 2)) * 2 ** (16 + 4 * number);
  return control + (enable === null ? 0 : (enable === 'L' ? 1 : 2) << (2 * number));
}

interface Setting {
  /** DR0 to DR3. */
  readonly at: readonly number[];
  /** What {@link point} gives, summed up. */
  readonly dr7: number;
  readonly cr4?: number;
  readonly cpl?: 0 | 3;
}

function machine({ at, dr7, cr4 = 0, cpl = 0 }: Setting): BareMachine {
  const bare = new BareMachine(cpl);
  at.forEach((address, i) => {
    bare.set(`dr${i}`, address);
  });
  bare.set('dr7', DR7_RESET + dr7);
  bare.set('cr4', bare.get('cr4') | cr4);
  bare.machine.processor.stateChanged();
  return bare;
}

/** Vector, return address relative to the code, and DR6 without its fixed bits; null: no exception. */
function outcome(bare: BareMachine, source: string): readonly number[] | null {
  const { processor } = bare.machine;
  bare.load(source);
  bare.set('rip', At.CODE);
  bare.set('activity', 0);
  processor.stateChanged();
  processor.run(processor.clock + 10_000);
  const vector = (bare.get('rip') - 1 - At.HANDLERS) / 16;
  if (bare.get('rip') - 1 >= At.CODE) return null;
  const frame = bare.get('rsp') + (vector === 13 ? 8 : 0);
  return [vector, bare.read64(frame) - At.CODE, bare.get('dr6') - DR6_RESET];
}

describe('an instruction breakpoint', () => {
  const at = [At.CODE + 2];
  const source = 'xchg cl, cl\nnop\nhlt';
  const dr7 = point(0, EXECUTE);

  test('faults before the instruction, with RF as it was', () => {
    const bare = machine({ at, dr7 });
    const { vector, rip, flags } = bare.delivered(source);
    expect([vector, rip, flags & RF]).toEqual([DB, At.CODE + 2, 0]);
    expect(bare.get('dr6')).toBe(DR6_RESET + 1);
  });

  test.each<[string, number, number[] | null]>([
    ['not enabled', point(0, EXECUTE, 1, null), null],
    ['globally enabled', point(0, EXECUTE, 1, 'G'), [DB, 2, 1]],
    ['LE and GE alone', 0x300, null],
  ])('%s', (_what, bits, expected) => {
    expect(outcome(machine({ at, dr7: bits }), source)).toEqual(expected);
  });

  test('is not met within an instruction', () => {
    expect(outcome(machine({ at: [At.CODE + 1], dr7 }), source)).toBe(null);
  });

  test('comes before a fault of the instruction or of its fetch', () => {
    expect(outcome(machine({ at, dr7 }), 'xchg cl, cl\nud2')?.[0]).toBe(DB);
    const bare = machine({ at: [0x30000], dr7 });
    bare.changeEntry(0x30000, 1, { clear: 1 });
    expect(bare.delivered('mov eax, 0x30000\njmp rax').vector).toBe(DB);
  });

  /** IRET to the next instruction with RF set. */
  const resume = `mov rdx, ss\npush rdx\nlea rax, [rsp + 8]\npush rax\npush ${RF + 2}
      mov rdx, cs\npush rdx\nlea rax, [rel target]\npush rax\niretq`;

  test('RF holds it off for one instruction', () => {
    const bare = machine({ at: [0], dr7 });
    const labels = bare.load(`${resume}\ntarget: nop\nafter: nop\nhlt`);
    bare.set('dr0', labels.get('target') ?? 0);
    expect(outcome(bare, `${resume}\ntarget: nop\nafter: nop\nhlt`)).toBe(null);
    bare.set('dr0', labels.get('after') ?? 0);
    const behind = (labels.get('after') ?? 0) - At.CODE;
    const again = machine({ at: [labels.get('after') ?? 0], dr7 });
    expect(outcome(again, `${resume}\ntarget: nop\nafter: nop\nhlt`)).toEqual([DB, behind, 1]);
  });

  test('RF holds it off for all iterations of a string instruction', () => {
    const string = `mov ecx, 5\nmov edi, ${At.DATA}\n${resume}\ntarget: rep stosb\nhlt`;
    const bare = machine({ at: [0], dr7 });
    bare.set('dr0', bare.load(string).get('target') ?? 0);
    expect(outcome(bare, string)).toBe(null);
    expect(bare.get('rcx')).toBe(0);
  });

  test('a single-step trap before the instruction reports it as well', () => {
    const bare = machine({ at, dr7 });
    bare.set('rflags', TF | 2);
    expect(outcome(bare, source)).toEqual([DB, 2, BS + 1]);
  });

  test('a load of SS holds it off behind itself', () => {
    const move = 'mov eax, ss\nmov ss, eax\nhere: nop\nhlt';
    const bare = machine({ at: [0], dr7 });
    bare.set('dr0', bare.load(move).get('here') ?? 0);
    expect(outcome(bare, move)).toBe(null);
  });

  test('in 64-bit mode all bits of the address count', () => {
    const bare = machine({ at: [At.CODE + 2 + 2 ** 32], dr7 });
    expect(outcome(bare, source)).toBe(null);
  });
});

describe('a data breakpoint', () => {
  const ADDRESS = At.DATA + 0x40;

  test('traps behind the instruction, which has been executed', () => {
    const bare = machine({ at: [ADDRESS], dr7: point(0, WRITE) });
    const { vector, rip, flags } = bare.delivered(`mov byte [${ADDRESS}], 7\nnext: nop\nhlt`);
    expect([vector, rip, flags & RF]).toEqual([DB, At.CODE + 8, 0]);
    expect([bare.read64(ADDRESS) & 255, bare.get('dr6')]).toEqual([7, DR6_RESET + 1]);
  });

  test.each<[string, number, number, number, string, boolean]>([
    // [what, kind, breakpoint's length, its address, access, met]
    ['a read is no write', WRITE, 1, ADDRESS, `mov al, [${ADDRESS}]`, false],
    ['a read', READ_WRITE, 1, ADDRESS, `mov al, [${ADDRESS}]`, true],
    ['a write', READ_WRITE, 1, ADDRESS, `mov [${ADDRESS}], al`, true],
    ['a read-modify-write', WRITE, 1, ADDRESS, `inc byte [${ADDRESS}]`, true],
    ['the byte below', READ_WRITE, 1, ADDRESS, `mov al, [${ADDRESS - 1}]`, false],
    ['the byte behind', READ_WRITE, 1, ADDRESS, `mov al, [${ADDRESS + 1}]`, false],
    ['a word from below', READ_WRITE, 1, ADDRESS, `mov ax, [${ADDRESS - 1}]`, true],
    ['a quadword from below', READ_WRITE, 1, ADDRESS, `mov rax, [${ADDRESS - 7}]`, true],
    ['a quadword too far below', READ_WRITE, 1, ADDRESS, `mov rax, [${ADDRESS - 8}]`, false],
    ['the last of two bytes', READ_WRITE, 2, ADDRESS, `mov al, [${ADDRESS + 1}]`, true],
    ['behind two bytes', READ_WRITE, 2, ADDRESS, `mov al, [${ADDRESS + 2}]`, false],
    ['the last of four bytes', READ_WRITE, 4, ADDRESS, `mov al, [${ADDRESS + 3}]`, true],
    ['behind four bytes', READ_WRITE, 4, ADDRESS, `mov al, [${ADDRESS + 4}]`, false],
    ['the last of eight bytes', READ_WRITE, 8, ADDRESS, `mov al, [${ADDRESS + 7}]`, true],
    ['behind eight bytes', READ_WRITE, 8, ADDRESS, `mov al, [${ADDRESS + 8}]`, false],
    [
      'low bits of the address do not count',
      READ_WRITE,
      4,
      ADDRESS + 3,
      `mov al, [${ADDRESS}]`,
      true,
    ],
    ['low bits, eight bytes', READ_WRITE, 8, ADDRESS + 5, `mov al, [${ADDRESS}]`, true],
    ['a fetch is no access', READ_WRITE, 1, At.CODE + 1, 'xchg cl, cl', false],
    ['a push', WRITE, 8, At.STACK - 8, 'push rax', true],
    ['a pop', WRITE, 8, At.STACK, 'pop rax', false],
    ['an address that is only computed', READ_WRITE, 1, ADDRESS, `lea rax, [${ADDRESS}]`, false],
    [
      'across two pages, the first',
      WRITE,
      1,
      At.DATA + 0xfff,
      `mov [${At.DATA + 0xffe}], eax`,
      true,
    ],
    [
      'across two pages, the second',
      WRITE,
      1,
      At.DATA + 0x1001,
      `mov [${At.DATA + 0xffe}], eax`,
      true,
    ],
    [
      'across two pages, beyond',
      WRITE,
      1,
      At.DATA + 0x1002,
      `mov [${At.DATA + 0xffe}], eax`,
      false,
    ],
  ])('%s', (_what, kind, lengthBytes, at, access, met) => {
    const bare = machine({ at: [at], dr7: point(0, kind, lengthBytes) });
    // First without, so that the page is known already.
    bare.set('dr7', DR7_RESET);
    expect(outcome(bare, `${access}\nhlt`)).toBe(null);
    bare.set('rsp', At.STACK);
    bare.set('dr7', DR7_RESET + point(0, kind, lengthBytes));
    expect(outcome(bare, `${access}\nhlt`)?.[0] === DB).toBe(met);
  });

  test('no access is missed after the page was accessed', () => {
    const bare = machine({ at: [ADDRESS], dr7: point(0, READ_WRITE) });
    const source = `mov al, [${ADDRESS + 8}]\nmov al, [${ADDRESS + 8}]\nmov al, [${ADDRESS}]\nhlt`;
    expect(outcome(bare, source)).toEqual([DB, 21, 1]);
  });

  test('an instruction that faults has met nothing', () => {
    const bare = machine({ at: [ADDRESS], dr7: point(0, READ_WRITE) });
    bare.changeEntry(0x30000, 1, { clear: 1 });
    const source = `mov esi, ${ADDRESS}\nmov edi, 0x30000\nmovsb\nhlt`;
    expect(outcome(bare, source)?.[0]).toBe(14);
    expect(bare.get('dr6')).toBe(DR6_RESET);
  });

  test('of a string instruction traps behind the iteration, with RF set', () => {
    const bare = machine({ at: [ADDRESS], dr7: point(0, WRITE) });
    const source = `mov ecx, 10\nmov edi, ${ADDRESS - 3}\nhere: rep stosb\nhlt`;
    const { rip, flags } = bare.delivered(source);
    expect([rip, bare.get('rcx'), flags & RF]).toEqual([At.CODE + 10, 6, RF]);
  });

  test('waits behind a load of SS', () => {
    const bare = machine({ at: [ADDRESS], dr7: point(0, READ_WRITE) });
    bare.machine.memory.write(bare.hpa(ADDRESS), Uint8Array.of(0x10, 0));
    const labels = bare.load(`mov ss, [${ADDRESS}]\nnop\nthere: nop\nhlt`);
    const there = (labels.get('there') ?? 0) - At.CODE;
    expect(outcome(bare, `mov ss, [${ADDRESS}]\nnop\nthere: nop\nhlt`)).toEqual([DB, there, 1]);
  });

  test('and a single step are one exception', () => {
    const bare = machine({ at: [ADDRESS], dr7: point(0, WRITE) });
    const step = `pushfq\nor qword [rsp], ${TF}\npopfq\nmov byte [${ADDRESS}], 1\nhlt`;
    const labels = bare.load(
      `pushfq\nor qword [rsp], ${TF}\npopfq\nx: mov byte [${ADDRESS}], 1\ny: hlt`,
    );
    expect(outcome(bare, step)).toEqual([DB, (labels.get('y') ?? 0) - At.CODE, BS + 1]);
  });

  test('the processor looks at descriptors and gates without meeting it', () => {
    const bare = machine({ at: [At.GDT + 0x10], dr7: point(0, READ_WRITE, 8) });
    expect(outcome(bare, 'mov eax, 0x10\nmov ds, eax\nhlt')).toBe(null);
  });
});

describe('several breakpoints', () => {
  const X = At.DATA + 0x40;

  test('all that match are reported, also those that are not enabled', () => {
    const dr7 =
      point(0, WRITE) + point(1, READ_WRITE, 4, null) + point(2, EXECUTE) + point(3, WRITE, 8);
    const bare = machine({ at: [X, X, X, X], dr7 });
    expect(outcome(bare, `mov byte [${X}], 1\nhlt`)).toEqual([DB, 8, 0b1011]);
  });

  test('one that is not enabled does nothing alone', () => {
    const dr7 = point(0, WRITE) + point(1, READ_WRITE, 4, null);
    const bare = machine({ at: [X + 0x80, X], dr7 });
    expect(outcome(bare, `mov byte [${X}], 1\nhlt`)).toBe(null);
  });

  test('each has its bit; those of the last exception are replaced', () => {
    for (const number of [0, 1, 2, 3]) {
      const at = [0, 1, 2, 3].map((i) => X + 0x100 * i);
      const bare = machine({ at, dr7: point(number, WRITE) });
      bare.set('dr6', DR6_RESET + 0xf + BS);
      const source = `mov byte [${X + 0x100 * number}], 1\nhlt`;
      // BS is never cleared by the processor.
      expect(outcome(bare, source)).toEqual([DB, 8, BS + 2 ** number]);
    }
  });
});

describe('an I/O breakpoint', () => {
  const dr7 = point(0, PORT);

  test.each<[string, number, number, string, boolean]>([
    // [what, port, length, instruction, met]
    ['IN', 0x80, 1, 'in al, 0x80', true],
    ['OUT', 0x80, 1, 'out 0x80, al', true],
    ['the port below', 0x80, 1, 'in al, 0x7f', false],
    ['a doubleword across it', 0x82, 1, 'in eax, 0x80', true],
    ['a word below it', 0x82, 1, 'in ax, 0x80', false],
    ['the last of four ports', 0x80, 4, 'in al, 0x83', true],
    ['by DX', 0x3f8, 1, 'mov edx, 0x3f8\nout dx, al', true],
    ['OUTS', 0x3f8, 1, `mov edx, 0x3f8\nmov esi, ${At.DATA}\noutsb`, true],
    ['REP OUTS that does nothing', 0x3f8, 1, 'mov edx, 0x3f8\nxor ecx, ecx\nrep outsb', false],
    ['memory at that address', 0x80, 1, 'mov al, [0x80]', false],
  ])('%s', (_what, port, lengthBytes, source, met) => {
    const bits = point(0, PORT, lengthBytes);
    const bare = machine({ at: [port], dr7: bits, cr4: CR4_DE });
    expect(outcome(bare, `${source}\nhlt`)?.[0] === DB).toBe(met);
  });

  test('traps behind the instruction', () => {
    const bare = machine({ at: [0x80], dr7, cr4: CR4_DE });
    expect(outcome(bare, 'in al, 0x80\nhlt')).toEqual([DB, 2, 1]);
  });

  test('needs CR4.DE, which counts at once', () => {
    expect(outcome(machine({ at: [0x80], dr7 }), 'in al, 0x80\nhlt')).toBe(null);
    const bare = machine({ at: [0x80], dr7 });
    const enable = 'mov rax, cr4\nor eax, 8\nmov cr4, rax\nin al, 0x80\nhlt';
    expect(outcome(bare, enable)?.[0]).toBe(DB);
  });
});

describe('MOV to DR7 and DR0', () => {
  test('count from the next instruction on', () => {
    const X = At.DATA + 0x40;
    const bare = machine({ at: [], dr7: 0 });
    const source = `mov al, [${X}]
      mov eax, ${X}
      mov dr0, rax
      mov eax, ${DR7_RESET + point(0, READ_WRITE)}
      mov dr7, rax
      mov al, [${X}]
      hlt`;
    expect(outcome(bare, source)?.[0]).toBe(DB);
    const off = `mov eax, ${DR7_RESET}\nmov dr7, rax\nmov al, [${X}]\nhlt`;
    expect(outcome(bare, off)).toBe(null);
  });

  test.each([
    // [register, written, read]
    ['dr6', 0, 0xffff0ff0],
    ['dr6', 0xffffffff, 0xffffefff],
    ['dr7', 0, 0x400],
    ['dr7', 0xffff0000, 0xffff0400],
    ['dr7', 0xd300, 0x700],
  ])('%s: %i is read as %i', (register, written, read) => {
    const bare = machine({ at: [], dr7: 0 });
    expect(
      outcome(bare, `mov eax, ${written}\nmov ${register}, rax\nmov rbx, ${register}\nhlt`),
    ).toBe(null);
    expect(bare.get('rbx')).toBe(read);
  });

  test.each(['dr6', 'dr7'])('bit 32 of %s faults', (register) => {
    const bare = machine({ at: [], dr7: 0 });
    expect(outcome(bare, `mov eax, 1\nshl rax, 32\nmov ${register}, rax\nhlt`)?.[0]).toBe(13);
  });
});

describe('general detect', () => {
  test.each(['mov rax, dr0', 'mov dr3, rax', 'mov rax, dr7', 'mov dr7, rax', 'mov rax, dr4'])(
    '%s faults under DR7.GD, which the exception clears',
    (instruction) => {
      const bare = machine({ at: [], dr7: GD });
      const { vector, rip, flags } = bare.delivered(`nop\n${instruction}\nhlt`);
      expect([vector, rip, flags & RF]).toEqual([DB, At.CODE + 1, RF]);
      expect([bare.get('dr6'), bare.get('dr7')]).toEqual([DR6_RESET + BD, DR7_RESET]);
    },
  );

  test('privilege comes before it, and so does #UD', () => {
    expect(outcome(machine({ at: [], dr7: GD, cpl: 3 }), 'mov rax, dr0')?.[0]).toBe(13);
    expect(outcome(machine({ at: [], dr7: GD, cr4: CR4_DE }), 'mov rax, dr4')?.[0]).toBe(6);
  });

  test('is set by MOV to DR7', () => {
    const bare = machine({ at: [], dr7: 0 });
    expect(outcome(bare, `mov eax, ${DR7_RESET + GD}\nmov dr7, rax\nmov rbx, dr1\nhlt`)).toEqual([
      DB,
      8,
      BD,
    ]);
  });
});
