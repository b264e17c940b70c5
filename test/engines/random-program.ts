// Random guest programs: blocks of any instructions that end in branches to each other, with data
// beside the code, stores into the code, and changes to the page table. Faults lead to a handler
// that sets the registers up anew and goes on somewhere else, at either privilege.

import { type Row, rowsIn } from '../../src/isa/index.ts';
import type { Prng } from '../../src/sim/index.ts';
import { randomEncoding } from '../support/row-encodings.ts';
import { At, assembleAt, Selector } from '../support/vmx-bench.ts';

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

const INTO_DATA = { absolute: Place.DATA + 0x1c00, ripRelative: Place.DATA - Place.CODE + 0x800 };

/** What stops the run, or leads to handlers without an end, is rare. */
const ORDINARY = rowsIn(64).filter(
  ({ encodeOnly, cost, privilege, intercept, mnemonic }) =>
    !encodeOnly &&
    privilege === undefined &&
    intercept === undefined &&
    ['simple', 'multiply', 'divide', 'string'].includes(cost) &&
    mnemonic !== 'UD2',
);
const OTHERS = rowsIn(64).filter(
  ({ encodeOnly, cost, mnemonic }) =>
    !encodeOnly &&
    ['branch', 'fence', 'interrupt', 'system', 'timestamp', 'cpuid'].includes(cost) &&
    !/^(MOV|L[GI]DT|LMSW|LTR|LLDT|WRMSR|SWAPGS|SYS|VM|INV|XSETBV|GETSEC|RSM)/.test(mnemonic),
);

const POINTERS = ['rsi', 'rdi', 'rbx', 'r8', 'r12', 'rbp'];
const CONDITIONS = 'o no b ae e ne be a s ns p np l ge le g'.split(' ');

export interface RandomProgram {
  readonly recovery: Uint8Array;
  readonly table: Uint8Array;
  readonly code: Uint8Array;
}

export function randomProgram(prng: Prng): RandomProgram {
  const { bytes, labels } = assembleAt(Place.CODE, sourceOf(prng));
  const table = new Uint8Array(8 * TARGETS);
  for (let i = 0; i < TARGETS; i++) {
    const address = labels.get(`b${prng.below(BLOCKS)}`) as number;
    const isAlias = prng.below(6) === 0;
    new DataView(table.buffer).setUint32(
      8 * i,
      isAlias ? address - Place.CODE + Place.ALIAS : address,
      true,
    );
  }
  return { recovery: assembleAt(Place.RECOVERY, RECOVERY).bytes, table, code: bytes };
}

/** All handlers jump here. The counter lies behind the table. */
const RECOVERY = `
  mov rsp, ${At.STACK}
  mov eax, [${Place.TABLE + 8 * TARGETS}]
  inc dword [${Place.TABLE + 8 * TARGETS}]
  and eax, ${TARGETS - 1}
  mov rcx, [${Place.TABLE} + rax * 8]
  imul edx, eax, 0x134
  lea rsi, [rdx + ${Place.DATA}]
  lea rdi, [rdx + ${Place.DATA + 0x400}]
  lea rbx, [rdx + ${Place.DATA + 0x800}]
  lea r8, [rdx + ${Place.DATA + 0x900}]
  lea r12, [rdx + ${Place.DATA + 0xa00}]
  lea rbp, [rdx + ${Place.DATA + 0xb00}]
  mov r15d, 5
  cld
  test al, 1
  jz .user
  push rcx
  mov ecx, 7
  ret
.user:
  push ${Selector.USER_DATA}
  push ${Place.DATA + 0x3800}
  push 0x202
  push ${Selector.USER_CODE}
  push rcx
  mov ecx, 9
  iretq
`;

function sourceOf(prng: Prng): string {
  const lines: string[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    lines.push(`b${block}:`);
    const count = 1 + prng.below(9);
    for (let i = 0; i < count; i++) lines.push(line(prng, block));
    if (prng.below(4) !== 0) lines.push(branch(prng, block));
    if (prng.below(3) === 0) lines.push(`jmp b${prng.below(BLOCKS)}`, `d${block}: dd 5, 6`);
    else lines.push(`jmp near skip${block}`, `d${block}: dd 3, 4`, `skip${block}:`);
    lines.push(`s${block}: mov edx, ${prng.below(1000)}`);
  }
  lines.push('jmp b0');
  return lines.join('\n');
}

function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[prng.below(from.length)];
}

function line(prng: Prng, block: number): string {
  const other = prng.below(BLOCKS);
  const pointer = pick(prng, POINTERS);
  const at = prng.below(128) - 64;
  switch (prng.below(24)) {
    case 0:
      return `mov ${pointer}, ${Place.DATA + prng.below(DATA_PAGES * 4096)}`;
    case 1:
      return `add qword [${pointer} + ${at}], ${1 + prng.below(100)}`;
    case 2:
      return `mov rdx, [${pointer} + ${at}]`;
    case 3:
      return `mov [${pointer} + rcx + ${at}], eax`;
    case 4:
      return `inc dword [d${other}]`;
    case 5:
      return prng.below(3) === 0 ? `mov [s${other} + 1], al` : 'lea rax, [rax + rax * 2 + 1]';
    case 6:
      return prng.below(3) === 0 ? pageTableEdit(prng) : 'adc rdx, rax';
    case 7:
      return `add rax, [d${block}]`;
    case 8:
      return `cmp eax, ${prng.below(300)}`;
    case 9:
      return 'sub rdx, rcx';
    case 10:
      return prng.below(2) === 0 ? 'push rax' : 'pop rdx';
    case 11:
      return encoded(pick(prng, OTHERS), prng);
    case 12:
      return prng.below(4) === 0 ? 'int 0x30' : 'xor eax, edx';
    default:
      return encoded(pick(prng, ORDINARY), prng);
  }
}

function encoded(row: Row, prng: Prng): string {
  return `db ${[...randomEncoding(row, prng, INTO_DATA)].join(', ')}`;
}

/** Flip a bit of an entry (P, RW, US, A, D), or exchange two. */
function pageTableEdit(prng: Prng): string {
  const entry = () => Place.PAGE_TABLE + 8 * (Place.DATA / 4096 + prng.below(DATA_PAGES));
  if (prng.below(2) === 0) return `xor byte [${entry()}], ${pick(prng, [1, 2, 4, 0x20, 0x40])}`;
  return `mov rax, [${entry()}]\nxchg [${entry()}], rax\nmov [${entry()}], rax`;
}

function branch(prng: Prng, block: number): string {
  const target = `b${prng.below(BLOCKS)}`;
  switch (prng.below(8)) {
    case 0:
      return `dec r15d\njnz b${block}`;
    case 1:
      return `dec ecx\njnz ${target}`;
    case 2:
      return `call ${target}`;
    case 3:
      return 'ret';
    case 4:
      return `mov eax, [${Place.TABLE + 8 * prng.below(TARGETS)}]\njmp rax`;
    case 5:
      return `mov eax, [${Place.TABLE + 8 * prng.below(TARGETS)}]\ncall rax`;
    default:
      return `j${pick(prng, CONDITIONS)} near ${target}`;
  }
}
