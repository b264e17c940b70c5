// Alignment checking at CPL 3. SDM 3, "Interrupt 17 - Alignment Check Exception (#AC)". What the
// manual leaves open was looked up on an Intel processor: #AC comes after a fault for an address
// that is not canonical and before page faults, and accesses of 128 bits have rules of their own.

import { describe, expect, test } from 'vitest';
import { BareMachine } from '../support/bare-machine.ts';
import { At } from '../support/vmx-bench.ts';

const AM = 0x40000;
const AC = 0x40000;
const RF = 0x10000;
const OSFXSR = 0x200;
const DATA = At.DATA;

interface Setting {
  readonly cpl?: 0 | 3;
  readonly am?: false;
  readonly ac?: false;
}

function machine({ cpl = 3, am, ac }: Setting = {}): BareMachine {
  const bare = new BareMachine(cpl);
  if (am !== false) bare.set('cr0', bare.get('cr0') + AM);
  bare.set('cr4', bare.get('cr4') | OSFXSR);
  if (ac !== false) bare.set('rflags', 2 + AC);
  bare.machine.processor.stateChanged();
  return bare;
}

/** The exception; a program at CPL 3 that completes ends with that of HLT, #GP. */
function vectorOf(bare: BareMachine, source: string): number {
  bare.load(source);
  bare.set('rip', At.CODE);
  bare.machine.processor.run(bare.machine.processor.clock + 1000);
  return (bare.get('rip') - 1 - At.HANDLERS) / 16;
}

const DONE = 13;
const CHECKED = 17;

test.each<[string, number]>([
  // [access, vector]
  [`mov al, [${DATA + 1}]`, DONE],
  [`mov ax, [${DATA + 2}]`, DONE],
  [`mov ax, [${DATA + 1}]`, CHECKED],
  [`mov eax, [${DATA + 4}]`, DONE],
  [`mov eax, [${DATA + 2}]`, CHECKED],
  [`mov eax, [${DATA + 1}]`, CHECKED],
  [`mov rax, [${DATA + 8}]`, DONE],
  [`mov rax, [${DATA + 4}]`, CHECKED],
  [`mov [${DATA + 4}], rax`, CHECKED],
  [`mov [${DATA + 2}], eax`, CHECKED],
  [`inc dword [${DATA + 2}]`, CHECKED],
  [`xchg [${DATA + 2}], eax`, CHECKED],
  [`lock add [${DATA + 2}], eax`, CHECKED],
  [`mov esi, ${DATA + 1}\nmov edi, ${DATA + 8}\nmovsd`, CHECKED],
  [`mov esi, ${DATA}\nmov edi, ${DATA + 8}\nmovsd`, DONE],
  [`mov esi, ${DATA + 1}\nmov edi, ${DATA + 8}\nmovsb`, DONE],
  ['sub rsp, 4\npush rax', CHECKED],
  ['sub rsp, 4\npush ax', DONE],
  ['sub rsp, 1\npush ax', CHECKED],
  ['sub rsp, 4\npop rax', CHECKED],
  ['sub rsp, 4\ncall $ + 5', CHECKED],
  // A bit string is accessed by operand size.
  [`mov eax, 32\nbt [${DATA + 4}], eax`, DONE],
  [`bt [${DATA + 2}], eax`, CHECKED],
  // A far pointer of 32 bits and a selector: 4. Of 16 and 16 bits: 2.
  [`lgs ebx, [${DATA + 4}]`, DONE],
  [`lgs ebx, [${DATA + 2}]`, CHECKED],
  [`lgs bx, [${DATA + 2}]`, DONE],
  [`verr [${DATA + 1}]`, CHECKED],
  // Accesses of 128 bits are exempt, smaller ones of the same instructions are not.
  [`movdqu xmm0, [${DATA + 1}]`, DONE],
  [`movups [${DATA + 1}], xmm0`, DONE],
  [`movdqu xmm0, [${DATA + 0xff9}]`, DONE],
  [`movdqa xmm0, [${DATA + 8}]`, 13],
  [`movq xmm0, [${DATA + 4}]`, CHECKED],
  [`movsd xmm0, [${DATA + 4}]`, CHECKED],
  [`addss xmm0, [${DATA + 2}]`, CHECKED],
  [`stmxcsr [${DATA + 2}]`, CHECKED],
  [`fnstcw [${DATA + 1}]`, CHECKED],
  // Without an access to data.
  [`prefetcht0 [${DATA + 1}]`, DONE],
  [`clflush [${DATA + 1}]`, DONE],
  [`lea rax, [${DATA + 1}]`, DONE],
  ['jmp here\nnop\nhere: nop', DONE],
])('%s', (access, vector) => {
  expect(vectorOf(machine(), `${access}\nhlt`)).toBe(vector);
  // Again, with the page known.
  expect(vectorOf(machine(), `mov al, [${DATA}]\nmov [${DATA}], al\n${access}\nhlt`)).toBe(vector);
});

test('pushes 0 as the error code, and RF', () => {
  const found = machine().delivered(`nop\nmov eax, [${DATA + 1}]\nhlt`);
  expect(found).toMatchObject({ vector: CHECKED, errorCode: 0, rip: At.CODE + 1 });
  expect(found.flags & RF).toBe(RF);
});

describe('is off', () => {
  const source = `mov eax, [${DATA + 1}]\nhlt`;
  test.each<[string, Setting]>([
    ['without CR0.AM', { am: false }],
    ['without RFLAGS.AC', { ac: false }],
  ])('%s', (_what, setting) => {
    expect(vectorOf(machine(setting), source)).toBe(DONE);
  });

  test('at CPL 0', () => {
    const bare = machine({ cpl: 0 });
    expect(bare.run(source)).toBe(false);
  });
});

test('POPF switches it on and off', () => {
  const bare = machine({ ac: false });
  const pop = (flags: number) => `push ${flags}\npopfq\n`;
  const access = `mov eax, [${DATA + 1}]\n`;
  expect(vectorOf(bare, `${access}${pop(AC + 2)}hlt`)).toBe(DONE);
  expect(vectorOf(machine({ ac: false }), `${access}${pop(AC + 2)}${access}hlt`)).toBe(CHECKED);
  expect(vectorOf(machine(), `${pop(2)}${access}hlt`)).toBe(DONE);
});

test('what the processor reads for itself is not checked', () => {
  const bare = machine();
  // The GDT lies at an odd address, and so does the stack of the handler.
  const { memory } = bare.machine;
  const gdt = memory.bytes.slice(bare.hpa(At.GDT), bare.hpa(At.GDT) + 0x38);
  memory.write(bare.hpa(DATA + 1), gdt);
  bare.set('gdtrBase', DATA + 1);
  expect(vectorOf(bare, 'mov eax, 0x1b\nmov ds, eax\nhlt')).toBe(DONE);
});

describe('priority', () => {
  test('before a page fault', () => {
    const bare = machine();
    bare.changeEntry(0x30000, 1, { clear: 1 });
    expect(vectorOf(bare, `mov eax, [${0x30001}]\nhlt`)).toBe(CHECKED);
    expect(vectorOf(machine(), `mov eax, [${0x30ffe}]\nhlt`)).toBe(CHECKED);
  });

  test('after the check that the address is canonical', () => {
    const source = 'mov rbx, 0x8000000000000001\nmov eax, [rbx]\nhlt';
    const { vector, rip } = machine().delivered(source);
    expect([vector, rip]).toEqual([13, At.CODE + 10]);
  });

  test('CMPXCHG16B has its own check', () => {
    expect(vectorOf(machine(), `cmpxchg16b [${DATA + 8}]`)).toBe(13);
    expect(vectorOf(machine(), `cmpxchg8b [${DATA + 4}]`)).toBe(CHECKED);
  });
});
