// Events through the IDT without VMX: gates, stacks, flags, error codes, faults during delivery,
// and the way back. SDM 3, "Interrupt and Exception Handling", chiefly "64-Bit Mode Exception and
// Interrupt Handling", "Error Code", and "Interrupt 8 - Double Fault Exception".

import { describe, expect, test } from 'vitest';
import { combine } from '../../src/cpu/exceptions.ts';
import { BareMachine } from '../support/bare-machine.ts';
import { At, type GateChange, handler, Selector } from '../support/vmx-bench.ts';

const UNMAPPED = 0x80000;
const NONCANONICAL = 'mov rax, 1 << 47\n';
const RF = 0x10000;
const IF = 0x200;

/** Another descriptor in place of the null one at the end of the GDT. */
const SPARE = 0x30;

function withSpare(high: number, cpl: 0 | 3 = 0): BareMachine {
  const bare = new BareMachine(cpl);
  bare.write64(At.GDT + SPARE, 0xffff, high);
  return bare;
}

describe('error codes of general protection and its relatives', () => {
  const stack = 'mov rsp, (1 << 47) + 64\n';
  test.each<[string, 0 | 3, number, number, string]>([
    // [what, CPL, vector, error code, code]
    ['selector beyond the GDT', 0, 13, 0x58, 'mov eax, 0x58\nmov ds, eax'],
    ['RPL is not in the code', 0, 13, 0x58, 'mov eax, 0x5b\nmov es, eax'],
    ['a system segment', 0, 13, Selector.TSS, `mov eax, ${Selector.TSS}\nmov fs, eax`],
    ['data of DPL 0 at CPL 3', 3, 13, Selector.DATA, 'mov eax, 0x10\nmov ds, eax'],
    ['SS of DPL 3 at CPL 0', 0, 13, 0x18, 'mov eax, 0x18\nmov ss, eax'],
    ['SS with an RPL of 3 at CPL 0', 0, 13, 0x10, 'mov eax, 0x13\nmov ss, eax'],
    ['code in SS', 0, 13, 0x08, 'mov eax, 8\nmov ss, eax'],
    ['null in SS at CPL 3', 3, 13, 0, 'mov eax, 3\nmov ss, eax'],
    ['null in SS with RPL 3 at CPL 0', 0, 13, 0, 'mov eax, 3\nmov ss, eax'],
    ['LTR of null', 0, 13, 0, 'xor eax, eax\nltr ax'],
    ['LTR of data', 0, 13, 0x10, 'mov eax, 0x10\nltr ax'],
    ['LTR of a busy TSS', 0, 13, Selector.TSS, `mov eax, ${Selector.TSS}\nltr ax`],
    ['LTR at CPL 3', 3, 13, 0, `mov eax, ${Selector.TSS}\nltr ax`],
    ['a noncanonical read', 0, 13, 0, `${NONCANONICAL}mov rbx, [rax]`],
    ['a noncanonical read by RSP', 0, 12, 0, `${stack}mov rbx, [rsp]`],
    ['a noncanonical read by RBP', 0, 12, 0, 'mov rbp, 1 << 47\nmov rbx, [rbp + 8]'],
    ['a noncanonical push', 0, 12, 0, `${stack}push rax`],
    ['a read whose last byte is noncanonical', 0, 13, 0, 'mov rax, (1 << 47) - 4\nmov rbx, [rax]'],
    ['a noncanonical jump', 0, 13, 0, `${NONCANONICAL}jmp rax`],
    ['HLT at CPL 3', 3, 13, 0, 'hlt'],
    ['CLI at CPL 3', 3, 13, 0, 'cli'],
    ['RDMSR at CPL 3', 3, 13, 0, 'rdmsr'],
    ['CR0 with NW but not CD', 0, 13, 0, 'mov rax, cr0\nbts rax, 29\nmov cr0, rax'],
    ['CR0 without PG', 0, 13, 0, 'mov rax, cr0\nbtr rax, 31\nmov cr0, rax'],
    ['CR4 without PAE', 0, 13, 0, 'mov rax, cr4\nbtr rax, 5\nmov cr4, rax'],
    ['CR4 with a reserved bit', 0, 13, 0, 'mov rax, cr4\nbts rax, 31\nmov cr4, rax'],
    ['CR8 with bit 4', 0, 13, 0, 'mov eax, 16\nmov cr8, rax'],
    ['CR3 with bit 46', 0, 13, 0, 'mov rax, 1 << 46\nmov cr3, rax'],
    ['an instruction of more than 15 bytes', 0, 13, 0, 'times 15 db 0x66\nnop'],
  ])('%s at CPL %i: vector %i, code %i', (_what, cpl, vector, code, source) => {
    const bare = new BareMachine(cpl);
    // RSP may be of no use.
    bare.gate(12, { ist: 1 });
    const outcome = bare.delivered(`${source}\nhlt`);
    expect([outcome.vector, outcome.errorCode, outcome.flags & RF]).toEqual([vector, code, RF]);
  });

  test.each<[string, number, number, number, string]>([
    // [what, high half of the descriptor, vector, error code, code]
    ['data not present', 0x00cf1300, 11, SPARE, 'mov eax, 0x30\nmov ds, eax'],
    ['stack not present', 0x00cf1300, 12, SPARE, 'mov eax, 0x30\nmov ss, eax'],
    ['read-only data in SS', 0x00cf9100, 13, SPARE, 'mov eax, 0x30\nmov ss, eax'],
    ['code that cannot be read', 0x00af9900, 13, SPARE, 'mov eax, 0x30\nmov ds, eax'],
    ['an LDT in TR', 0x00008200, 13, SPARE, 'mov eax, 0x30\nltr ax'],
    ['a TSS not present', 0x00000900, 11, SPARE, 'mov eax, 0x30\nltr ax'],
  ])('%s', (_what, high, vector, code, source) => {
    const bare = withSpare(high);
    expect(bare.delivered(`${source}\nhlt`)).toMatchObject({ vector, errorCode: code });
  });

  test('null in DS, and in SS at CPL 0, does not fault', () => {
    const bare = new BareMachine();
    expect(bare.run('xor eax, eax\nmov ds, eax\nmov ss, eax\nhlt')).toBe(false);
  });

  test('a fault leaves registers, flags and memory as they were', () => {
    const bare = new BareMachine();
    const { rip, rsp } = bare.delivered(`${NONCANONICAL}add rbx, 1\nhere: pop qword [rax]`);
    const at = bare.load(`${NONCANONICAL}add rbx, 1\nhere: nop`).get('here');
    expect([rip, rsp]).toEqual([at, At.STACK]);
  });
});

describe('gates', () => {
  test.each<[string, GateChange, string, number, number]>([
    // [what, gate of 21H or 6, code, vector, error code]
    ['INT, not present', { present: false }, 'int 0x21', 11, 0x21 * 8 + 2],
    ['#UD, not present', { present: false }, 'ud2', 11, 6 * 8 + 3],
    ['INT, a task gate', { type: 5 }, 'int 0x21', 13, 0x21 * 8 + 2],
    ['#UD, a call gate', { type: 0xc }, 'ud2', 13, 6 * 8 + 3],
    ['INT, a 16-bit gate', { type: 6 }, 'int 0x21', 13, 0x21 * 8 + 2],
    ['wrong type and not present', { type: 5, present: false }, 'int 0x21', 13, 0x21 * 8 + 2],
    ['INT, null selector', { selector: 0 }, 'int 0x21', 13, 0],
    ['#UD, null selector', { selector: 3 }, 'ud2', 13, 1],
    ['INT, selector beyond the GDT', { selector: 0x58 }, 'int 0x21', 13, 0x58],
    ['#UD, selector beyond the GDT', { selector: 0x58 }, 'ud2', 13, 0x59],
    ['INT, data', { selector: Selector.DATA }, 'int 0x21', 13, Selector.DATA],
    ['#UD, data', { selector: Selector.DATA }, 'ud2', 13, Selector.DATA + 1],
    ['code of DPL 3 at CPL 0', { selector: Selector.USER_CODE }, 'int 0x21', 13, 0x20],
  ])('%s', (_what, change, source, vector, errorCode) => {
    const bare = new BareMachine();
    bare.gate(source === 'ud2' ? 6 : 0x21, change);
    expect(bare.delivered(source)).toMatchObject({ vector, errorCode, rip: At.CODE });
  });

  test.each<[string, number, number, number]>([
    ['code not present', 0x00af1b00, 11, SPARE],
    ['compatibility-mode code', 0x00cf9b00, 13, SPARE],
    ['code with both L and D', 0x00ef9b00, 13, SPARE],
  ])('%s', (_what, high, vector, errorCode) => {
    const bare = withSpare(high);
    bare.gate(0x21, { selector: SPARE });
    expect(bare.delivered('int 0x21')).toMatchObject({ vector, errorCode });
  });

  test.each([
    // [limit of the IDT, vector, vector that is reached]
    [0x21f, 0x21, 0x21],
    [0x21e, 0x21, 13],
    [0x20f, 0x21, 13],
  ])('limit %i, INT %i: %i', (limit, vector, reached) => {
    const bare = new BareMachine();
    bare.set('idtrLimit', limit);
    const outcome = bare.delivered(`int ${vector}`);
    expect(outcome.vector).toBe(reached);
    if (reached === 13) expect(outcome.errorCode).toBe(vector * 8 + 2);
  });

  test('an offset that is not canonical', () => {
    const bare = new BareMachine();
    bare.write64(At.IDT + 16 * 0x21 + 8, 0x8000);
    expect(bare.delivered('int 0x21')).toMatchObject({ vector: 13, errorCode: 0 });
  });

  test.each<[string, number, number, number]>([
    // [code at CPL 3, DPL of the gate, vector that is reached, error code or -1]
    ['int 0x21', 0, 13, 0x21 * 8 + 2],
    ['int 0x21', 2, 13, 0x21 * 8 + 2],
    ['int 0x21', 3, 0x21, -1],
    ['int3', 0, 13, 3 * 8 + 2],
    ['int3', 3, 3, -1],
    ['ud2', 0, 6, -1],
    ['xor ecx, ecx\ndiv ecx', 0, 0, -1],
  ])('%s at CPL 3, DPL %i: vector %i', (source, dpl, vector, errorCode) => {
    const bare = new BareMachine(3);
    for (const each of [0, 3, 6, 0x21]) bare.gate(each, { dpl });
    const outcome = bare.delivered(source);
    expect([outcome.vector, outcome.errorCode ?? -1]).toEqual([vector, errorCode]);
  });

  test('privilege comes before presence', () => {
    const bare = new BareMachine(3);
    bare.gate(0x21, { dpl: 0, present: false });
    expect(bare.delivered('int 0x21').vector).toBe(13);
  });

  test('conforming code keeps CPL 3 and its stack', () => {
    const bare = withSpare(0x00af9f00, 3);
    bare.gate(0x21, { dpl: 3, selector: SPARE });
    // The handler's HLT faults at CPL 3; that is what is seen.
    const outcome = bare.delivered('int 0x21');
    expect(outcome).toMatchObject({ vector: 13, rip: handler(0x21), cs: SPARE + 3 });
    expect([outcome.ss, outcome.rsp]).toEqual([Selector.USER_DATA, At.STACK - 40]);
  });

  test('conforming code at CPL 3 has its frame pushed with the rights of CPL 3', () => {
    const bare = withSpare(0x00af9f00, 3);
    bare.gate(0x21, { dpl: 3, selector: SPARE });
    bare.changeEntry(At.STACK - 8, 1, { clear: 4 });
    expect(bare.delivered('int 0x21')).toMatchObject({ vector: 14, errorCode: 7 });
  });
});

describe('flags', () => {
  // TF is left out: it would trap.
  const BEFORE = 0x4000 | IF | 0x40000 | 0x8d7;

  test.each<[string, number, number]>([
    ['interrupt gate: IF, NT and RF are cleared', 0xe, BEFORE & ~(0x4000 | IF)],
    ['trap gate: IF stays', 0xf, BEFORE & ~0x4000],
  ])('%s', (_what, type, after) => {
    const bare = new BareMachine();
    bare.gate(0x21, { type });
    bare.set('rflags', BEFORE);
    expect(bare.delivered('int 0x21').flags).toBe(BEFORE);
    expect(bare.get('rflags')).toBe(after);
  });

  test.each([
    ['int 0x21', 0],
    ['int3', 0],
    ['ud2', RF],
    [`mov [${UNMAPPED}], rax`, RF],
    [`${NONCANONICAL}mov rbx, [rax]`, RF],
  ])('%j: RF in what is pushed is %i', (source, rf) => {
    expect(new BareMachine().delivered(source).flags & RF).toBe(rf);
  });

  test('a single step clears TF in the handler and pushes it', () => {
    const bare = new BareMachine();
    bare.set('rflags', 0x102);
    expect(bare.delivered('nop')).toMatchObject({ vector: 1, flags: 0x102, rip: At.CODE + 1 });
    expect(bare.get('rflags') & 0x100).toBe(0);
  });
});

describe('stacks', () => {
  test('no switch at CPL 0, but the frame is aligned to 16 bytes', () => {
    for (const offset of [0, 1, 8, 15]) {
      const bare = new BareMachine();
      bare.set('rsp', At.STACK - offset);
      const outcome = bare.delivered('int 0x21');
      expect([outcome.rsp, outcome.ss]).toEqual([At.STACK - offset, Selector.DATA]);
      expect(bare.get('rsp')).toBe(At.STACK - (offset === 0 ? 0 : 16) - 40);
      expect(bare.get('ssSelector')).toBe(Selector.DATA);
    }
  });

  test('from CPL 3: RSP0, a null SS, and what to return to', () => {
    const bare = new BareMachine(3);
    bare.write64(At.TSS + 4, At.STACK_0 - 4);
    expect(bare.delivered('ud2')).toEqual({
      vector: 6,
      errorCode: null,
      rip: At.CODE,
      cs: Selector.USER_CODE,
      flags: RF | 2,
      rsp: At.STACK,
      ss: Selector.USER_DATA,
    });
    expect([bare.get('rsp'), bare.get('ssSelector')]).toEqual([At.STACK_0 - 16 - 40, 0]);
    expect(bare.get('csSelector')).toBe(Selector.CODE);
  });

  test.each([0, 3] as const)('IST from CPL %i', (cpl) => {
    for (let ist = 1; ist <= 7; ist++) {
      const bare = new BareMachine(cpl);
      const top = At.STACK_IST - 0x100 * ist;
      bare.write64(At.TSS + 0x1c + 8 * ist, top);
      bare.gate(6, { ist });
      expect(bare.delivered('ud2').rsp).toBe(At.STACK);
      expect(bare.get('rsp')).toBe(top - 40);
      expect(bare.get('ssSelector')).toBe(cpl === 0 ? Selector.DATA : 0);
    }
  });

  test('an IST is taken anew each time', () => {
    const bare = new BareMachine();
    bare.gate(6, { ist: 1 });
    bare.set('rsp', At.STACK_IST - 8);
    expect(bare.delivered('ud2').rsp).toBe(At.STACK_IST - 8);
    expect(bare.get('rsp')).toBe(At.STACK_IST - 40);
  });

  test.each<[string, 0 | 3, string, number, number, number, number]>([
    // [what, CPL, code, IST of its gate, limit of the TSS, vector, error code]
    ['IST 2 beyond the TSS, INT', 0, 'int 0x21', 2, 0x32, 10, Selector.TSS],
    ['IST 2 beyond the TSS, #UD', 0, 'ud2', 2, 0x32, 10, Selector.TSS + 1],
    ['IST 2 just within', 0, 'int 0x21', 2, 0x33, 0x21, -1],
    ['RSP0 just within', 3, 'int 0x21', 0, 0x0b, 0x21, -1],
  ])('%s', (_what, cpl, source, ist, limit, vector, errorCode) => {
    const bare = new BareMachine(cpl);
    bare.gate(source === 'ud2' ? 6 : 0x21, { dpl: 3, ist });
    bare.set('trLimit', limit);
    const outcome = bare.delivered(source);
    expect([outcome.vector, outcome.errorCode ?? -1]).toEqual([vector, errorCode]);
  });

  test('RSP0 beyond the TSS: no handler of CPL 0 has a stack', () => {
    const bare = new BareMachine(3);
    bare.set('trLimit', 0x0a);
    bare.expectShutdown('ud2');
  });

  test.each<[string, string, number]>([
    ['INT', 'int 0x21', 0],
    ['#UD', 'ud2', 1],
  ])('a stack from the TSS that is not canonical: #SS, %s', (_what, source, errorCode) => {
    const bare = new BareMachine();
    bare.write64(At.TSS + 0x24, 0, 0x8000);
    bare.gate(6, { ist: 1 });
    bare.gate(0x21, { ist: 1 });
    expect(bare.delivered(source)).toMatchObject({ vector: 12, errorCode });
  });
});

describe('double faults', () => {
  // The table of the manual. #VE and #CP (20, 21) do not exist here.
  const BENIGN = [1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19];
  const CONTRIBUTORY = [0, 10, 11, 12, 13];
  const PAGE_FAULT = [14];

  test.each([
    ['benign', BENIGN, 'benign', BENIGN, 'second'],
    ['benign', BENIGN, 'contributory', CONTRIBUTORY, 'second'],
    ['benign', BENIGN, 'a page fault', PAGE_FAULT, 'second'],
    ['contributory', CONTRIBUTORY, 'benign', BENIGN, 'second'],
    ['contributory', CONTRIBUTORY, 'contributory', CONTRIBUTORY, 'doubleFault'],
    ['contributory', CONTRIBUTORY, 'a page fault', PAGE_FAULT, 'second'],
    ['a page fault', PAGE_FAULT, 'benign', BENIGN, 'second'],
    ['a page fault', PAGE_FAULT, 'contributory', CONTRIBUTORY, 'doubleFault'],
    ['a page fault', PAGE_FAULT, 'a page fault', PAGE_FAULT, 'doubleFault'],
    ['a double fault', [8], 'contributory', CONTRIBUTORY, 'tripleFault'],
    ['a double fault', [8], 'a page fault', PAGE_FAULT, 'tripleFault'],
  ])('%s %j, then %s %j: %s', (_a, firsts, _b, seconds, expected) => {
    for (const first of firsts) {
      for (const second of seconds) expect(combine(first, second)).toBe(expected);
    }
  });

  const FIRST: Readonly<Record<string, readonly [vector: number, source: string]>> = {
    '#DE': [0, 'xor ecx, ecx\ndiv ecx'],
    '#UD': [6, 'ud2'],
    '#NP': [11, 'mov eax, 0x30\nmov ds, eax'],
    '#SS': [12, 'mov rbp, 1 << 47\nmov rbx, [rbp]'],
    '#GP': [13, `${NONCANONICAL}mov rbx, [rax]`],
    '#PF': [14, `mov rbx, [${UNMAPPED}]`],
    INT: [0x21, 'int 0x21'],
  };

  /** Ways to make the delivery of a vector fault. */
  const DISTURB: Readonly<Record<string, (bare: BareMachine, vector: number) => void>> = {
    '#TS': (bare, vector) => {
      bare.gate(vector, { ist: 7 });
      bare.set('trLimit', 0x50);
    },
    '#NP': (bare, vector) => bare.gate(vector, { present: false }),
    '#SS': (bare, vector) => {
      bare.gate(vector, { ist: 7 });
      bare.write64(At.TSS + 0x54, 0, 0x8000);
    },
    '#GP': (bare, vector) => bare.gate(vector, { type: 5 }),
    '#PF': (bare, vector) => {
      bare.gate(vector, { ist: 7 });
      bare.write64(At.TSS + 0x54, UNMAPPED);
    },
  };

  const VECTORS: Readonly<Record<string, number>> = {
    '#DF': 8,
    '#TS': 10,
    '#NP': 11,
    '#SS': 12,
    '#GP': 13,
    '#PF': 14,
  };

  test.each<[string, string, string, string, string, string]>([
    // [first, handler reached if its delivery meets #TS, #NP, #SS, #GP, #PF]
    ['#UD', '#TS', '#NP', '#SS', '#GP', '#PF'],
    ['INT', '#TS', '#NP', '#SS', '#GP', '#PF'],
    ['#DE', '#DF', '#DF', '#DF', '#DF', '#PF'],
    ['#NP', '#DF', '#DF', '#DF', '#DF', '#PF'],
    ['#SS', '#DF', '#DF', '#DF', '#DF', '#PF'],
    ['#GP', '#DF', '#DF', '#DF', '#DF', '#PF'],
    ['#PF', '#DF', '#DF', '#DF', '#DF', '#DF'],
  ])('%s, then #TS %s, #NP %s, #SS %s, #GP %s, #PF %s', (name, ...expected) => {
    const [vector, source] = FIRST[name] ?? [0, ''];
    const reached = Object.values(DISTURB).map((disturb) => {
      const bare = withSpare(0x00cf1300);
      disturb(bare, vector);
      const outcome = bare.delivered(source);
      if (outcome.vector === 8) expect(outcome.errorCode).toBe(0);
      return outcome.vector;
    });
    expect(reached).toEqual(expected.map((each) => VECTORS[each]));
  });

  test.each(Object.keys(DISTURB))('%s while #DF is delivered: shutdown', (name) => {
    const bare = new BareMachine();
    bare.gate(13, { present: false });
    DISTURB[name]?.(bare, 8);
    bare.expectShutdown(`${NONCANONICAL}mov rbx, [rax]`);
  });

  test('CR2 is of the second page fault, and the frame of #DF is of the instruction', () => {
    const bare = new BareMachine();
    bare.set('rsp', UNMAPPED + 0x100);
    bare.gate(8, { ist: 1 });
    const source = `mov rbx, [${UNMAPPED + 0x1000}]`;
    const outcome = bare.delivered(source);
    expect(outcome).toMatchObject({ vector: 8, rip: At.CODE, rsp: UNMAPPED + 0x100 });
    expect(bare.get('cr2')).toBe(UNMAPPED + 0x100 - 8);
    // Also if it comes while #DF is delivered.
    const shut = new BareMachine();
    shut.set('rsp', UNMAPPED + 0x100);
    shut.gate(8, { ist: 7 });
    shut.write64(At.TSS + 0x54, UNMAPPED + 0x200);
    shut.expectShutdown(source);
    expect(shut.get('cr2')).toBe(UNMAPPED + 0x200 - 8);
  });
});

describe('IRETQ', () => {
  /** Push a frame and return by it. */
  const frame = (change: {
    rip?: string;
    cs?: number;
    flags?: number;
    rsp?: string;
    ss?: number;
  }): string => {
    const { rip = 'there', cs = 8, flags = 2, rsp = `${At.STACK}`, ss = 0x10 } = change;
    const parts = [ss, rsp, flags, cs, rip];
    const pushes = parts.map((part) => `mov rax, ${part}\npush rax`).join('\n');
    return `${pushes}\nhere: iretq\nthere:\nhlt`;
  };

  const USER = { cs: Selector.USER_CODE, ss: Selector.USER_DATA };

  test('to CPL 3 and back by a fault', () => {
    const bare = new BareMachine();
    const source = frame({ ...USER, flags: 0x3202, rsp: `${At.STACK - 0x80}` });
    const there = bare.load(source).get('there');
    // HLT at CPL 3.
    expect(bare.delivered(source)).toEqual({
      vector: 13,
      errorCode: 0,
      rip: there,
      cs: Selector.USER_CODE,
      flags: RF | 0x3202,
      rsp: At.STACK - 0x80,
      ss: Selector.USER_DATA,
    });
    expect(bare.get('rsp')).toBe(At.STACK_0 - 48);
  });

  test('data segments of DPL 0 are nulled on the way out, others stay', () => {
    const bare = new BareMachine();
    bare.delivered(`mov eax, ${Selector.USER_DATA}\nmov fs, eax\n${frame(USER)}`);
    expect(['ds', 'es', 'fs', 'gs'].map((name) => bare.get(`${name}Selector`))).toEqual([
      0,
      0,
      Selector.USER_DATA,
      0,
    ]);
  });

  test('to the same level pops RSP and SS too', () => {
    const bare = new BareMachine();
    expect(bare.run(frame({ rsp: '0x9876', ss: 0, flags: 0x246 }))).toBe(false);
    expect([bare.get('rsp'), bare.get('ssSelector'), bare.get('rflags')]).toEqual([
      0x9876, 0, 0x246,
    ]);
  });

  test.each<[string, string, number, number]>([
    ['null CS', frame({ cs: 0 }), 13, 0],
    ['CS beyond the GDT', frame({ cs: 0x58 }), 13, 0x58],
    ['data in CS', frame({ cs: 0x10 }), 13, 0x10],
    ['RPL of CS above its DPL', frame({ cs: 0x0b, ss: 0x1b }), 13, 0x08],
    ['CS of DPL 3 with RPL 0', frame({ cs: 0x20 }), 13, 0x20],
    ['RIP not canonical', frame({ rip: '1 << 47' }), 13, 0],
    ['null SS for CPL 3', frame({ ...USER, ss: 3 }), 13, 0],
    ['SS of DPL 0 for CPL 3', frame({ ...USER, ss: 0x13 }), 13, 0x10],
    ['SS with another RPL', frame({ ...USER, ss: 0x18 }), 13, 0x18],
    ['code in SS', frame({ ss: 8 }), 13, 8],
    ['SS not present', frame({ ss: SPARE }), 11, SPARE],
    ['a stack that is not mapped', `mov rsp, ${UNMAPPED}\nhere: iretq`, 14, 0],
    ['a stack that is not canonical', 'mov rsp, 1 << 47\nhere: iretq', 12, 0],
  ])('%s: vector %i, code %i', (_what, source, vector, errorCode) => {
    const bare = withSpare(0x00cf1300);
    if (vector === 14 || source.includes('1 << 47\nhere')) {
      for (const each of [12, 14]) bare.gate(each, { ist: 1 });
    }
    const rip = bare.load(source).get('here');
    expect(bare.delivered(source)).toMatchObject({ vector, errorCode, rip, cs: 8 });
  });

  test('with NT set faults', () => {
    const bare = new BareMachine();
    const source = frame({});
    bare.set('rflags', 0x4002);
    expect(bare.delivered(source)).toMatchObject({ vector: 13, errorCode: 0 });
  });

  test('inward, from CPL 3 to CPL 0, faults', () => {
    const bare = new BareMachine(3);
    expect(bare.delivered(frame({}))).toMatchObject({ vector: 13, errorCode: 8 });
  });

  test.each<[string, number, number, number]>([
    // [what, flags before at CPL 3, flags popped, flags afterwards]
    ['IF and IOPL stay with IOPL 0', 2, 0x3202, 2],
    ['IF changes with IOPL 3, IOPL stays', 0x3002, 0x202, 0x3202],
    ['status flags and AC change', 2, 0x408d7, 0x408d7],
  ])('at CPL 3: %s', (_what, before, popped, after) => {
    const bare = new BareMachine(3);
    bare.set('rflags', before);
    // HLT at CPL 3 then faults and shows the flags.
    expect(bare.delivered(frame({ ...USER, flags: popped })).flags).toBe(RF | after);
  });
});

describe('blocking by STI and MOV SS', () => {
  test.each<[string, readonly number[]]>([
    // [instructions, interruptibility after each]
    ['sti\nnop\nnop', [1, 0, 0]],
    ['sti\nsti\nnop', [1, 0, 0]],
    ['sti\ncli\nsti', [1, 0, 1]],
    ['mov ss, eax\nnop', [2, 0]],
    ['mov ds, eax\nnop', [0, 0]],
    ['sti\nmov ss, eax\nnop', [1, 2, 0]],
    ['mov ss, eax\nsti\nnop', [2, 1, 0]],
    ['sti\nhlt', [1, 0]],
    ['mov ss, ebx\nnop', [0, 0]],
  ])('%j: %j', (source, expected) => {
    const bare = new BareMachine();
    bare.set('rax', 0x10);
    // A selector beyond the GDT: the load faults and blocks nothing.
    bare.set('rbx', 0x58);
    bare.load(source);
    const { processor } = bare.machine;
    const blocking = expected.map(() => {
      processor.step();
      return bare.get('interruptibility');
    });
    expect(blocking).toEqual(expected);
  });

  test('is over in a handler', () => {
    const bare = new BareMachine();
    bare.delivered('sti\nud2');
    expect(bare.get('interruptibility')).toBe(0);
  });
});
