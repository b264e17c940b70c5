// The decoder and the effects domain against the tables of another project, iced (icedland/iced),
// which stand with the conformance data. AMD's and VIA's extensions are nothing here.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  type AddressExpression,
  decode,
  type Effects,
  effectsOf,
  Flag,
  GPR_NAMES,
  type Instruction,
  type MemoryEffect,
  type MemoryOperand,
  REGISTERS,
  registerName,
  SEGMENT_NAMES,
} from '../../src/isa/index.ts';
import { absent, conformanceLines } from '../support/conformance.ts';

const MISC = 'iced-decoder/DecoderTestMisc64.txt';
const MEMORY = 'iced-decoder/MemoryTest64.txt';
const INFO = 'iced-decoder/InstructionInfoTest_64.txt';

interface Line {
  readonly text: string;
  readonly code: Uint8Array;
  readonly fields: readonly string[];
}

function linesOf(path: string): Line[] | null {
  const lines = conformanceLines(path);
  if (lines === null) return null;
  return lines
    .filter((text) => text !== '' && !text.startsWith('#') && !WAITING.test(text))
    .map((text) => {
      const [bytes = '', ...fields] = text.split(',').map((field) => field.trim());
      return { text, code: Buffer.from(bytes.replaceAll(' ', ''), 'hex'), fields };
    });
}

/** FWAIT and an instruction of the FPU, which iced takes for one. */
const WAITING = /^9B [^,]/;

/** iced's name of an encoding starts with its name of the instruction. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ['enterq', 'enter'],
  ['enterw', 'enter'],
  ['getsecd', 'getsec'],
  ['getsecq', 'getsec'],
  ['leaveq', 'leave'],
  ['leavew', 'leave'],
  ['monitord', 'monitor'],
  ['monitorq', 'monitor'],
  ['nopd', 'nop'],
  ['nopq', 'nop'],
  ['nopw', 'nop'],
  ['popq', 'pop'],
  ['popw', 'pop'],
  ['pushq', 'push'],
  ['pushw', 'push'],
  ['retnq', 'ret'],
  ['reservednop', 'nop'],
  ['sysexitd', 'sysexit'],
  ['sysexitq', 'sysexit'],
  ['sysretd', 'sysret'],
  ['sysretq', 'sysret'],
  ['wait', 'fwait'],
  ['xlat', 'xlatb'],
]);

function mnemonicOf({ fields }: Line): string {
  const [name = ''] = (fields[0] ?? '').toLowerCase().split('_');
  return OTHER_NAMES.get(name) ?? name;
}

/** Hints of extensions that are not offered: no-operations where they are not. */
function isHint({ fields }: Line): boolean {
  return /^(Bnd|Cldemote|Prefetch|Rdssp)/.test(fields[0] ?? '');
}

/** Instructions that raise #UD on Intel's processors, by their definition or for want of them. */
function isUndefinedOnIntel({ fields }: Line): boolean {
  return (
    /^(Ud[01]|Femms|D3NOW|Rdudbg|Wrudbg|Ccs_|Via_|Declare|Zero)/.test(fields[0] ?? '') ||
    /^PADLOCK/.test(fields[2] ?? '')
  );
}

describe.each([MISC, MEMORY, INFO])('%s', (path) => {
  test('mnemonics and lengths', (context) => {
    const lines = linesOf(path);
    if (lines === null) return context.skip(absent(path));
    const wrong = lines.flatMap((line) => {
      const decoded = decode(line.code, 0, line.code.length, 64);
      if (line.fields[0] === 'INVALID') {
        const isValid = decoded.kind === 'instruction' || decoded.kind === 'unimplemented';
        return isValid ? [`${decoded.kind}: ${line.text}`] : [];
      }
      // As a processor without prefetches would see it.
      if (/ForceReservedNop/.test(line.text)) return [];
      if (isUndefinedOnIntel(line) || decoded.kind === 'unimplemented') return [];
      if (decoded.kind !== 'instruction') return [`${decoded.kind}: ${line.text}`];
      const { row, lengthBytes } = decoded.instruction;
      const isNamed = row.mnemonic.toLowerCase() === mnemonicOf(line);
      const isRight =
        (isNamed || (row.mnemonic === 'NOP' && isHint(line))) && lengthBytes === line.code.length;
      return isRight ? [] : [`${row.mnemonic}, ${lengthBytes} bytes: ${line.text}`];
    });
    expect(wrong).toEqual([]);
  });
});

describe('operands', () => {
  test(`as in ${MEMORY}`, (context) => {
    const lines = linesOf(MEMORY);
    if (lines === null) return context.skip(absent(MEMORY));
    const wrong = lines.flatMap((line) => {
      const [, register, , , base, index, scale, displacement] = line.fields;
      const [memory, other] = instructionOf(line).operands;
      if (memory?.kind !== 'memory' || other?.kind !== 'register') return [line.text];
      const got = [registerName(other), ...addressFields(memory, line)].join();
      const wanted = [register, base, index, scale, displacement].join();
      return got === wanted ? [] : [`${got}: ${line.text}`];
    });
    expect(wrong).toEqual([]);
  });

  test(`as in ${MISC}`, (context) => {
    const lines = linesOf(MISC);
    if (lines === null) return context.skip(absent(MISC));
    const wrong = lines.flatMap((line) => {
      const decoded = decode(line.code, 0, line.code.length, 64);
      if (decoded.kind !== 'instruction') return [];
      const got = decoded.instruction.operands.map((operand) => {
        if (operand.kind === 'register') return `r;${registerName(operand)}`;
        if (operand.kind !== 'memory') return '';
        return `m;${SEGMENT_NAMES[operand.segment]};${baseName(operand)};`;
      });
      const last = line.fields.at(-1) ?? '';
      // Overrides with ES, CS, SS and DS are listed, but have no effect.
      const listed = last.replace(/m;[ecsd]s;/g, 'm;ds;');
      const isRight = got.every((text, i) => listed.includes(`op${i}=${text}`));
      return isRight ? [] : [`${got.join(' ')}: ${line.text}`];
    });
    expect(wrong).toEqual([]);
  });
});

function instructionOf({ code, text }: Line): Instruction {
  const decoded = decode(code, 0, code.length, 64);
  if (decoded.kind !== 'instruction') throw new Error(`${decoded.kind}: ${text}`);
  return decoded.instruction;
}

/** Where iced's tests let instructions stand. */
const ICED_ADDRESS = Long.fromString('7ffffffffffffff0', true, 16);

/** Base, index, scale and displacement; of RIP-relative operands iced tells the address. */
function addressFields(memory: MemoryOperand, { code }: Line): string[] {
  const from = memory.ripRelative ? ICED_ADDRESS.add(code.length) : Long.UZERO;
  const sum = from.add(memory.displacement);
  const address = memory.addressWidth === 64 ? sum : Long.fromBits(sum.low, 0, true);
  const digits = address.toString(16).toUpperCase().padStart(8, '0');
  return [
    baseName(memory) || 'none',
    addressRegister(memory, memory.index) || 'none',
    String(memory.scale),
    address.isZero() ? '0' : `0x${digits}`,
  ];
}

function baseName(memory: MemoryOperand): string {
  if (memory.ripRelative) return memory.addressWidth === 64 ? 'rip' : 'eip';
  return addressRegister(memory, memory.base);
}

function addressRegister({ addressWidth }: { addressWidth: number }, number: number): string {
  if (number < 0) return '';
  const width = addressWidth === 32 ? 32 : 64;
  return registerName({ class: 'general', number, width, high: false });
}

describe('effects', () => {
  test(`as in ${INFO}`, (context) => {
    const lines = linesOf(INFO);
    if (lines === null) return context.skip(absent(INFO));
    const departures = new Set<string>();
    for (const line of lines) {
      const decoded = decode(line.code, 0, line.code.length, 64);
      if (decoded.kind !== 'instruction' || /decopt=|Declare/.test(line.text)) continue;
      const { instruction } = decoded;
      const effects = effectsOf(instruction);
      // What is undefined outside VMX operation, or without a feature, has no effects here.
      if (effects.raises.includes('UD')) continue;
      const name = instruction.row.mnemonic.replace(/^CMOV.*/, 'CMOVcc');
      const depart = (part: string, list: readonly string[]) => {
        const known = DEPARTURES.get(name)?.includes(part) === true;
        if (list.length > 0) departures.add(known ? `${name} ${part}` : `${list} | ${line.text}`);
      };
      depart('flags', flagDifferences(effects, line));
      depart('registers', registerDifferences(effects, line));
      depart('memory', memoryDifferences(instruction, effects, line));
    }
    const known = [...DEPARTURES].flatMap(([name, parts]) =>
      parts.map((part) => `${name} ${part}`),
    );
    expect([...departures].sort()).toEqual(known.sort());
  });
});

/** Where the two tell the same differently, or iced leaves something out. */
const DEPARTURES: ReadonlyMap<string, readonly string[]> = new Map([
  ['BSWAP', ['registers']], // 16 bits come out as 0, whatever went in
  ['BT', ['memory']], // iced leaves out how far the bit number reaches
  ['BTC', ['memory']],
  ['BTR', ['memory']],
  ['BTS', ['memory']],
  ['CBW', ['registers']], // AL is written too, as it was
  ['CMOVcc', ['registers']], // the destination is read, and always written
  ['CALL', ['memory']], // as JMP, and what it pushes is of unknown extent
  ['CMPXCHG16B', ['memory']], // one access of 16 bytes
  ['CRC32', ['registers']], // 32 bits of a 64-bit destination do not matter
  ['ENTER', ['memory', 'registers']], // iced leaves out that the new top must be writable
  ['FXRSTOR', ['memory', 'registers']], // field by field; iced leaves out the registers
  ['FXRSTOR64', ['memory', 'registers']],
  ['FXSAVE', ['memory', 'registers']],
  ['FXSAVE64', ['memory', 'registers']],
  ['INSB', ['memory']], // whether it may be written is tried before the port is read
  ['INSD', ['memory']],
  ['INSW', ['memory']],
  ['INT', ['flags', 'registers']], // iced does not follow interrupts
  ['INT1', ['flags', 'registers']],
  ['INT3', ['flags', 'registers']],
  ['INVPCID', ['memory']], // taken in halves
  ['IRETD', ['memory']], // of unknown extent here
  ['IRETQ', ['memory']],
  ['IRETW', ['memory']],
  ['JMP', ['memory']], // far pointers are one access of four to ten bytes
  ['LAHF', ['registers']], // as CBW
  ['LFS', ['memory']], // one access of two to ten bytes
  ['LGDT', ['memory']],
  ['LGS', ['memory']],
  ['LIDT', ['memory']],
  ['LSS', ['memory']],
  ['MASKMOVDQU', ['memory']], // byte by byte
  ['MONITOR', ['memory', 'registers']], // the hints in EDX do not matter, but the byte is read
  ['MWAIT', ['registers']],
  ['NOP', ['registers']], // what iced knows for a hint, with an address or a result
  ['PREFETCHNTA', ['registers']], // the address does not matter
  ['PREFETCHT0', ['registers']],
  ['PREFETCHT1', ['registers']],
  ['PREFETCHT2', ['registers']],
  ['PREFETCHW', ['registers']],
  ['RETFD', ['memory']], // of unknown extent here
  ['RETFQ', ['memory']],
  ['RETFW', ['memory']],
  ['SAHF', ['registers']], // AL is read too, to no effect
  ['SHLD', ['registers']], // with a count of 0 the filling operand does not matter
  ['SHRD', ['registers']],
  ['SGDT', ['memory']],
  ['SIDT', ['memory']],
  ['SYSEXIT', ['registers']], // 32 bits in the form that leaves 64-bit mode
  ['SYSRET', ['registers']],
  ['XLATB', ['memory']], // AL has no place in an address expression
]);

/** The values of `key=value` in the last field. */
function listed({ fields }: Line, ...keys: readonly string[]): string[] {
  const last = fields.at(-1) ?? '';
  return last
    .split(' ')
    .filter((item) => keys.includes(item.split('=')[0] ?? ''))
    .map((item) => item.slice(item.indexOf('=') + 1));
}

const FLAG_LETTERS: ReadonlyMap<string, number> = new Map([
  ['c', Flag.CF],
  ['p', Flag.PF],
  ['a', Flag.AF],
  ['z', Flag.ZF],
  ['s', Flag.SF],
  ['d', Flag.DF],
  ['o', Flag.OF],
]);

function flagMask(line: Line, ...keys: readonly string[]): number {
  const letters = listed(line, ...keys).join('');
  return [...letters].reduce((mask, letter) => {
    const bit = FLAG_LETTERS.get(letter);
    return bit === undefined ? mask : mask | (1 << bit);
  }, 0);
}

const ALL_FLAGS = [...FLAG_LETTERS.values()].reduce((mask, bit) => mask | (1 << bit), 0);

function flagDifferences(effects: Effects, line: Line): string[] {
  const { flagsRead, flagsWritten, flagsMaybeWritten } = effects;
  const found: string[] = [];
  const differ = (what: string, mask: number) => {
    if ((mask & ALL_FLAGS) !== 0) found.push(`${what} ${(mask & ALL_FLAGS).toString(16)}`);
  };
  differ('flags read', flagsRead ^ flagMask(line, 'fr'));
  const written = flagMask(line, 'fw', 'fc', 'fs');
  const ours = flagsWritten | flagsMaybeWritten;
  differ('flags not written', written & ~ours);
  differ('flags written', ours & ~written & ~flagMask(line, 'fu'));
  return found;
}

/** Bytes of each register in a list such as `rax;ah;r8-r11`. */
function byteMasks(lists: readonly string[]): number[] {
  const masks = new Array<number>(16).fill(0);
  for (const name of lists.flatMap((list) => list.split(';'))) {
    const register = REGISTERS.get(name.replace(/^x(?=[sb]p$)/, 'r').replace(/^(r\d+)l$/, '$1b'));
    if (register?.class !== 'general') continue;
    const bytes = register.high ? 2 : (1 << (register.width / 8)) - 1;
    masks[register.number] = masks[register.number] | bytes;
  }
  return masks;
}

/** Of `rax;xmm1;xmm4-xmm6` the XMM registers. */
function xmmNames(list: string): string[] {
  return list.split(';').flatMap((item) => {
    const [, first, last = first] = /^xmm(\d+)(?:-xmm(\d+))?$/.exec(item) ?? [];
    if (first === undefined) return [];
    const count = Number(last) - Number(first) + 1;
    return Array.from({ length: count }, (_, i) => `xmm${Number(first) + i}`);
  });
}

function xmmDifferences(effects: Effects, line: Line): string[] {
  const { xmmRead, xmmWritten, xmmMaybeWritten } = effects;
  const found: string[] = [];
  const compare = (what: string, ours: Effects['xmmRead'], keys: string[], loose: string[]) => {
    const mine = new Set(ours.map(({ number }) => `xmm${number}`));
    const theirs = new Set(listed(line, ...keys).flatMap(xmmNames));
    const isMerged = new Set(listed(line, ...loose).flatMap(xmmNames));
    const more = [...mine].filter((name) => !theirs.has(name));
    const less = [...theirs].filter((name) => !mine.has(name) && !isMerged.has(name));
    if (more.length + less.length > 0) found.push(`${what} ${[...mine]}`);
  };
  // What keeps a part of a register reads it, says iced.
  compare('reads', xmmRead, ['r', 'rw', 'cr', 'rcw', 'crw'], ['rw']);
  const written = [...xmmWritten, ...xmmMaybeWritten];
  compare('writes', written, ['w', 'rw', 'cw', 'rcw', 'crw'], []);
  return found;
}

function registerDifferences(effects: Effects, line: Line): string[] {
  const { registersRead, registersWritten, registersMaybeWritten } = effects;
  const read = byteMasks(listed(line, 'r', 'rw', 'cr', 'rcw', 'crw'));
  const written = byteMasks(listed(line, 'w', 'rw', 'cw', 'rcw', 'crw'));
  const found: string[] = [];
  const compare = (what: string, list: typeof registersRead, masks: readonly number[]) => {
    const ours = new Array<number>(16).fill(0);
    for (const { number, bytes } of list) ours[number] = ours[number] | bytes;
    masks.forEach((mask, number) => {
      const mine = ours[number];
      if (mine !== mask) found.push(`${what} ${GPR_NAMES[number]} ${mine.toString(16)}`);
    });
  };
  compare('reads', registersRead, read);
  compare('writes', [...registersWritten, ...registersMaybeWritten], written);
  found.push(...xmmDifferences(effects, line));
  return found;
}

const MEMORY_KEYS: ReadonlyMap<string, MemoryEffect['kind']> = new Map([
  ['rm', 'read'],
  ['crm', 'read'],
  ['wm', 'write'],
  ['cwm', 'write'],
  ['rwm', 'modify'],
  ['rcwm', 'modify'],
]);

function memoryDifferences(instruction: Instruction, effects: Effects, line: Line): string[] {
  const theirs = [...MEMORY_KEYS].flatMap(([key, kind]) =>
    listed(line, key).map((text) => {
      const [address = ''] = text.split(/[;|]/);
      // Overrides with ES, CS and SS have no effect.
      const isOverridden = [0x26, 0x2e, 0x36].includes(line.code[0]);
      return `${kind} ${sortedSum(isOverridden ? address.replace(/^../, 'ds') : address)}`;
    }),
  );
  const end = ICED_ADDRESS.add(instruction.lengthBytes);
  const ours = effects.memory
    // Descriptor tables and the like are not in iced's books.
    .filter(({ width }) => width !== 0)
    .map(({ kind, segment, address }) => {
      const text = address === 'unknown' ? address : addressText(address, end);
      return `${kind} ${sortedSum(`${SEGMENT_NAMES[segment]}:${text}`)}`;
    });
  return ours.sort().join() === theirs.sort().join() ? [] : [`${ours} not ${theirs}`];
}

function addressText(address: AddressExpression, end: Long): string {
  const { terms, width, ripRelative, displacement } = address;
  const names = terms.map(({ register, factor }) => {
    const name = addressRegister({ addressWidth: width }, register);
    return factor === 1 ? name : `${name}*${factor}`;
  });
  const sum = ripRelative ? end.add(displacement) : displacement.toUnsigned();
  const constant = width === 64 ? sum : Long.fromBits(sum.low, 0, true);
  if (constant.isZero() && names.length > 0) return names.join('+');
  const digits = constant.toString(16).toUpperCase();
  return [...names, constant.lt(10) ? digits : `0x${digits}`].join('+');
}

/** `ds:rax+rbx` with its terms in alphabetical order. */
function sortedSum(text: string): string {
  const [segment, sum = ''] = text.replace(/\bx(?=[sb]p)/, 'r').split(':');
  return `${segment}:${sum.split('+').sort().join('+')}`;
}
