// Random guest programs: blocks of any instructions that end in branches to each other, with data
// beside the code, stores into the code, and changes to the page table. Faults lead to a handler in
// 64-bit code that sets the registers up anew and goes on somewhere else, at either privilege, in
// code of the program's size.

import { type CodeSize, type Row, rowsIn } from '../../src/isa/index.ts';
import type { Prng } from '../../src/sim/index.ts';
import { randomEncoding } from '../support/row-encodings.ts';
import { At, assembleAt, Selector } from '../support/vmx-bench.ts';
import { floatCell } from './random-floats.ts';

/** Linear addresses. */
export const Place = {
  RECOVERY: At.CODE,
  TABLE: At.CODE + 0x800,
  CODE: At.CODE + 0x1000,
  /** The code pages again. */
  ALIAS: 0x30000,
  DATA: 0x20000,
  /** The page table that maps all of these. */
  PAGE_TABLE: 0x3f000,
} as const;

export const CODE_PAGES = 2;
const DATA_PAGES = 4;
const BLOCKS = 16;
const TARGETS = 32;

/** Behind those of the bench, for code of 16 and 32 bits: selector and descriptor. */
export const DESCRIPTORS: readonly (readonly [selector: number, low: number, high: number])[] = [
  [0x38, 0xffff, 0x00cf9b00], // code of 32 bits
  [0x43, 0xffff, 0x00cffb00], // the same at CPL 3
  [0x48, 0xffff, 0x00009b01], // code of 16 bits, from 64 KiB on
  [0x53, 0xffff, 0x0000fb01],
  [0x5b, 0xffff, 0x0040f302], // data pages
  [0x63, 0xffff, 0x0040f301], // code as data
  [0x6b, 0xffff, 0x00cff100], // cannot be written
  [0x73, 0x0fff, 0x0040f700], // expands down
];

const FLAT = Selector.USER_DATA;
const [ON_DATA, ON_CODE, READ_ONLY, EXPAND_DOWN] = [0x5b, 0x63, 0x6b, 0x73];

/** How programs of one code size are written. */
interface Dialect {
  readonly bits: CodeSize;
  /** Linear addresses of what offset 0 of code and data is. */
  readonly codeBase: number;
  readonly dataBase: number;
  /** Prefix of registers, and of operands in memory of that size. */
  readonly wide: 'r' | 'e';
  readonly size: 'qword' | 'dword';
  readonly pointers: readonly string[];
  /** Segments by which code is read as data, written, and the page table reached. */
  readonly readCode: string;
  readonly writeCode: string;
  readonly codeSelectors: readonly [supervisor: number, user: number];
}

const NARROW = { wide: 'e', size: 'dword', pointers: ['esi', 'edi', 'ebx', 'ebp'] } as const;

const DIALECTS: Readonly<Record<CodeSize, Dialect>> = {
  64: {
    ...{ bits: 64, codeBase: 0, dataBase: 0, wide: 'r', size: 'qword' },
    ...{ readCode: '', writeCode: '', codeSelectors: [Selector.CODE, Selector.USER_CODE] },
    pointers: ['rsi', 'rdi', 'rbx', 'r8', 'r12', 'rbp'],
  },
  32: {
    ...{ ...NARROW, bits: 32, codeBase: 0, dataBase: 0 },
    ...{ readCode: '', writeCode: '', codeSelectors: [0x38, 0x43] },
  },
  16: {
    ...{ ...NARROW, bits: 16, codeBase: At.CODE, dataBase: Place.DATA },
    ...{ readCode: 'cs:', writeCode: 'fs:', codeSelectors: [0x48, 0x53] },
  },
};

function rowsOf(bits: CodeSize) {
  // What stops the run, or leads to handlers without an end, is rare.
  const all = rowsIn(bits).filter(({ encodeOnly }) => !encodeOnly);
  const ordinary = all.filter(
    ({ cost, privilege, intercept, mnemonic }) =>
      privilege === undefined &&
      intercept === undefined &&
      ['simple', 'multiply', 'divide', 'string'].includes(cost) &&
      mnemonic !== 'UD2',
  );
  const others = all.filter(
    ({ cost, mnemonic }) =>
      ['branch', 'fence', 'interrupt', 'pause', 'system', 'timestamp', 'cpuid'].includes(cost) &&
      !/^(MOV|L[GI]DT|LMSW|LTR|LLDT|WRMSR|SWAPGS|SYS|VM|INV|XSETBV|GETSEC|RSM)/.test(mnemonic),
  );
  return { ordinary, others, vectors: ordinary.filter(({ unit }) => unit === 'sse') };
}

const ROWS = { 16: rowsOf(16), 32: rowsOf(32), 64: rowsOf(64) };

const CONDITIONS = 'o no b ae e ne be a s ns p np l ge le g'.split(' ');

export interface RandomProgram {
  readonly bits: CodeSize;
  readonly recovery: Uint8Array;
  readonly table: Uint8Array;
  readonly code: Uint8Array;
  readonly data: Uint8Array;
  readonly mxcsr: number;
}

/** @param delays with loops that only count, too */
export function randomProgram(prng: Prng, delays: boolean): RandomProgram {
  const bits = pick(prng, [64, 64, 64, 64, 32, 32, 32, 16] as const);
  const dialect = DIALECTS[bits];
  const writer = new Writer(prng, dialect, delays);
  const source = `bits ${bits}\n${writer.program()}`;
  const { bytes, labels } = assembleAt(Place.CODE - dialect.codeBase, source);
  const table = new Uint8Array(8 * TARGETS);
  for (let i = 0; i < TARGETS; i++) {
    const address = labels.get(`b${prng.below(BLOCKS)}`) as number;
    const isAlias = bits !== 16 && prng.below(6) === 0;
    new DataView(table.buffer).setUint32(
      8 * i,
      isAlias ? address - Place.CODE + Place.ALIAS : address,
      true,
    );
  }
  const data = new BigUint64Array((DATA_PAGES * 4096) / 8);
  for (let i = 0; i < data.length; i++) data[i] = floatCell(prng);
  return {
    bits,
    recovery: assembleAt(Place.RECOVERY, recovery(prng, dialect)).bytes,
    table,
    code: bytes,
    data: new Uint8Array(data.buffer),
    mxcsr: pick(prng, MXCSRS),
  };
}

/** Usual, with inexactness seen before, and with rounding, masks, FTZ and DAZ as they come. */
const MXCSRS = [0x1f80, 0x1fa0, 0x1fa0, 0x1fa0, 0x1fbf, 0x3fa0, 0x9fa0, 0x1fe0, 0x1780];

/** All handlers jump here. The counter lies behind the table. */
function recovery(prng: Prng, { bits, dataBase, codeSelectors }: Dialect): string {
  const data = Place.DATA - dataBase;
  const [supervisor, user] = codeSelectors;
  const segments =
    bits === 64
      ? []
      : [
          ['ds', bits === 32 ? FLAT : ON_DATA],
          ['es', bits === 32 && prng.below(3) > 0 ? FLAT : ON_DATA],
          ['fs', ON_CODE],
          ['gs', bits === 16 ? FLAT : pick(prng, [FLAT, ON_DATA, READ_ONLY, EXPAND_DOWN])],
        ];
  return `
  mov rsp, ${At.STACK}
  ${segments.map(([name, selector]) => `mov eax, ${selector}\nmov ${name}, eax`).join('\n')}
  mov eax, [${Place.TABLE + 8 * TARGETS}]
  inc dword [${Place.TABLE + 8 * TARGETS}]
  and eax, ${TARGETS - 1}
  mov rcx, [${Place.TABLE} + rax * 8]
  imul edx, eax, 0x134
  lea rsi, [rdx + ${data}]
  lea rdi, [rdx + ${data + 0x400}]
  lea rbx, [rdx + ${data + 0x800}]
  lea r8, [rdx + ${data + 0x900}]
  lea r12, [rdx + ${data + 0xa00}]
  lea rbp, [rdx + ${data + 0xb00}]
  mov r15d, 5
  cld
  test al, 1
  jz .user
  ${bits === 64 ? 'push rcx\nmov ecx, 7\nret' : ''}
  push ${Selector.DATA}
  push ${At.STACK}
  push 0x2
  push ${supervisor}
  push rcx
  mov ecx, 7
  iretq
.user:
  push ${Selector.USER_DATA}
  push ${Place.DATA + 0x3800}
  push 0x202
  push ${user}
  push rcx
  mov ecx, 9
  iretq
`;
}

function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[prng.below(from.length)];
}

class Writer {
  private readonly prng: Prng;
  private readonly dialect: Dialect;
  /** Offset of the data pages in their segment. */
  private readonly data: number;
  private readonly delays: boolean;

  constructor(prng: Prng, dialect: Dialect, delays: boolean) {
    this.prng = prng;
    this.dialect = dialect;
    this.delays = delays;
    this.data = Place.DATA - dialect.dataBase;
  }

  program(): string {
    const { prng } = this;
    const lines: string[] = [];
    for (let block = 0; block < BLOCKS; block++) {
      lines.push(`b${block}:`);
      const count = 1 + prng.below(9);
      for (let i = 0; i < count; i++) lines.push(this.line(block));
      if (this.delays && prng.below(3) === 0) lines.push(this.delay(block));
      if (prng.below(4) !== 0) lines.push(this.branch(block));
      if (prng.below(3) === 0) lines.push(`jmp b${prng.below(BLOCKS)}`, `d${block}: dd 5, 6`);
      else lines.push(`jmp near skip${block}`, `d${block}: dd 3, 4`, `skip${block}:`);
      lines.push(`s${block}: mov edx, ${prng.below(1000)}`);
    }
    lines.push('jmp b0');
    return lines.join('\n');
  }

  /** A general register by the letters of its legacy name. */
  private r(letters: string): string {
    return this.dialect.wide + letters;
  }

  private line(block: number): string {
    const { prng, dialect } = this;
    const { size, readCode, writeCode, bits } = dialect;
    const other = prng.below(BLOCKS);
    const pointer = pick(prng, dialect.pointers);
    const at = prng.below(128) - 64;
    switch (prng.below(26)) {
      case 0:
        return `mov ${pointer}, ${this.data + prng.below(DATA_PAGES * 4096)}`;
      case 1:
        return `add ${size} [${pointer} + ${at}], ${1 + prng.below(100)}`;
      case 2:
        return `mov ${this.r('dx')}, [${pointer} + ${at}]`;
      case 3:
        return `mov [${pointer} + ${this.r('cx')} + ${at}], eax`;
      case 4:
        return `inc dword [${writeCode}d${other}]`;
      case 5:
        return prng.below(3) === 0 ? `mov [${writeCode}s${other} + 1], al` : this.lea();
      case 6:
        return prng.below(3) === 0 ? this.pageTableEdit() : this.rr('adc', 'dx', 'ax');
      case 7:
        return `add ${this.r('ax')}, [${readCode}d${block}]`;
      case 8:
        return `cmp eax, ${prng.below(300)}`;
      case 9:
        return this.rr('sub', 'dx', 'cx');
      case 10:
        return prng.below(2) === 0 ? `push ${this.r('ax')}` : `pop ${this.r('dx')}`;
      case 11:
        return this.encoded(ROWS[bits].others);
      case 12:
        return prng.below(4) === 0 ? 'int 0x30' : 'xor eax, edx';
      case 13:
        return this.repeated();
      case 14:
        return this.vectors();
      default:
        return this.encoded(ROWS[bits].ordinary);
    }
  }

  private rr(mnemonic: string, first: string, second: string): string {
    return `${mnemonic} ${this.r(first)}, ${this.r(second)}`;
  }

  private lea(): string {
    return `lea ${this.r('ax')}, [${this.r('ax')} + ${this.r('ax')} * 2 + 1]`;
  }

  private encoded(rows: readonly Row[]): string {
    const { bits } = this.dialect;
    const into = {
      absolute: this.data + 0x1c00,
      ripRelative: Place.DATA - Place.CODE + 0x800,
    };
    return `db ${[...randomEncoding(pick(this.prng, rows), this.prng, into, bits)].join(', ')}`;
  }

  /** A string instruction that is repeated often enough for shortcuts to be taken. */
  private repeated(): string {
    const { prng, dialect } = this;
    const names = ['movs', 'movs', 'stos', 'stos', 'lods', 'scas', 'cmps'];
    const sizes = dialect.bits === 64 ? ['b', 'w', 'd', 'q'] : ['b', 'w', 'd'];
    const name = pick(prng, names);
    const isComparison = name === 'scas' || name === 'cmps';
    const from = this.data + prng.below(DATA_PAGES * 4096);
    const isNear = prng.below(2) === 0;
    const to = isNear ? from + prng.below(80) - 40 : this.data + prng.below(DATA_PAGES * 4096);
    return [
      prng.below(3) === 0 ? 'std' : 'cld',
      `mov ecx, ${prng.below(prng.below(2) === 0 ? 20 : 700)}`,
      `mov ${this.r('si')}, ${from}`,
      `mov ${this.r('di')}, ${Math.max(to, 0)}`,
      ...(prng.below(4) === 0 ? ['xor eax, eax'] : []),
      `${isComparison && prng.below(2) === 0 ? 'repne' : 'rep'} ${name}${pick(prng, sizes)}`,
      ...(prng.below(3) === 0 ? [] : ['cld']),
    ].join('\n');
  }

  /** Some instructions on the same few registers, which data are loaded to. */
  private vectors(): string {
    const { prng, dialect } = this;
    const x = () => `xmm${prng.below(3)}`;
    const lines = [`movups ${x()}, [${pick(prng, dialect.pointers)} + ${prng.below(64)}]`];
    for (let n = prng.below(4); n > 0; n--) {
      const operation = pick(prng, ['add', 'sub', 'mul', 'div', 'min', 'max', 'sqrt', 'ucomi']);
      const isScalar = operation === 'ucomi' || prng.below(2) === 0;
      const shape = isScalar ? pick(prng, ['sd', 'ss']) : pick(prng, ['pd', 'ps']);
      lines.push(`${operation}${shape} ${x()}, ${x()}`);
      if (prng.below(3) === 0) lines.push(this.encoded(ROWS[dialect.bits].vectors));
    }
    return lines.join('\n');
  }

  /** Flip a bit of an entry (P, RW, US, A, D), or exchange two. */
  private pageTableEdit(): string {
    const { prng, dialect } = this;
    const number = Place.DATA / 4096 + prng.below(DATA_PAGES);
    const entry = Place.PAGE_TABLE + 8 * number;
    const bit = pick(prng, [1, 2, 4, 0x20, 0x40]);
    if (dialect.bits === 16) return `mov ebp, ${entry}\nxor byte [gs:ebp], ${bit}`;
    if (prng.below(2) === 0) return `xor byte [${entry}], ${bit}`;
    const ax = this.r('ax');
    return `mov ${ax}, [${entry}]\nxchg [${entry}], ${ax}\nmov [${entry}], ${ax}`;
  }

  /** A loop that counts down, mostly with so many iterations that they pass at once. */
  private delay(block: number): string {
    const { prng } = this;
    const count = 1 + prng.below(2 ** (1 + prng.below(9)));
    const step = 1 + prng.below(5);
    const label = `delay${block}`;
    return pick(prng, [
      `mov ecx, ${count}\n${label}: dec ecx\njnz ${label}`,
      `mov edx, ${count * step}\n${label}: nop\nsub edx, ${step}\njnz ${label}`,
      `mov ecx, ${count}\n${label}: loop ${label}, ecx`,
      // Comes to 0 by chance, or is left where the slice ends.
      `${label}: sub eax, ${step}\njnz ${label}`,
    ]);
  }

  private branch(block: number): string {
    const { prng, dialect } = this;
    const target = `b${prng.below(BLOCKS)}`;
    const entry = Place.TABLE + 8 * prng.below(TARGETS) - dialect.codeBase;
    const chosen = `mov eax, [${dialect.readCode}${entry}]`;
    switch (prng.below(8)) {
      case 0:
        return `dec ${dialect.bits === 64 ? 'r15d' : 'cl'}\njnz near b${block}`;
      case 1:
        return `dec ecx\njnz near ${target}`;
      case 2:
        return `call ${target}`;
      case 3:
        return 'ret';
      case 4:
        return `${chosen}\njmp ${this.r('ax')}`;
      case 5:
        return `${chosen}\ncall ${this.r('ax')}`;
      default:
        return `j${pick(prng, CONDITIONS)} near ${target}`;
    }
  }
}
