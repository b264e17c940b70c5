// `vmxlab disasm`: print the instructions of an ELF image, a flat binary or an assembled source,
// with the names of addresses where there are some.

import Long from 'long';
import { type CodeSize, decode, format, type Instruction } from '../isa/index.ts';
import {
  codeOf,
  type ElfCode,
  hasMultibootHeader,
  LOAD_ADDRESS,
  SymbolMap,
} from '../machine/index.ts';
import { Failure } from './failure.ts';
import { gibibytes, readBytes } from './files.ts';
import { type AssemblyOptions, assembleFile, elfImage, isElfFile, isSource } from './program.ts';

export interface DisasmOptions extends AssemblyOptions {
  readonly file: string;
  /** Address of the first byte, if it is not the usual one. */
  readonly origin: Long | undefined;
  /** Code size, if it is not what the file says or lets expect. */
  readonly bits: CodeSize | undefined;
  /** Bytes of code to pass over, and to print at most. */
  readonly skip: number;
  readonly length: number;
  readonly json: boolean;
}

interface Line {
  readonly address: string;
  readonly bytes: string;
  readonly text: string;
  /** What the program calls this address, and what it refers to; only if they have names. */
  readonly label?: string;
  readonly target?: string;
}

/** What is to be printed: stretches of code, and names for addresses. */
interface Program {
  readonly code: readonly ElfCode[];
  readonly codeSizeAt: (address: Long) => CodeSize;
  readonly symbols: SymbolMap;
}

/** More would not fit into memory as text. */
const MAX_BYTES = 2 ** 22;

export function disasmCommand(options: DisasmOptions): number {
  const { code, codeSizeAt, symbols } = load(options);
  const { bits } = options;
  const { skip } = options;
  const length = code.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const end = Math.min(length, skip + options.length);
  if (length === 0) throw new Failure(`${options.file}: is empty`);
  if (skip >= length) {
    throw new Failure(`--skip ${skip} leaves nothing: there are ${length} bytes`);
  }
  if (end - skip > MAX_BYTES) {
    const size = gibibytes(end - skip);
    throw new Failure(
      `${options.file}: ${size} are too much at once; ` +
        `take a part of up to ${gibibytes(MAX_BYTES)} with --skip and --length`,
    );
  }
  const lines = part(code, skip, end).flatMap((piece) =>
    disassemble(piece, bits === undefined ? codeSizeAt : () => bits, symbols),
  );
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ schemaVersion: 1, instructions: lines }, null, 2)}\n`);
    return 0;
  }
  process.stdout.write(lines.map(printed).join(''));
  return 0;
}

/** As objdump shows symbols; references stand in a comment, so that an assembler passes over them. */
function printed({ address, bytes, text, label, target }: Line, i: number): string {
  const column = address.padStart(8, '0');
  const head = label === undefined ? '' : `${i === 0 ? '' : '\n'}${column} <${label}>:\n`;
  const tail = target === undefined ? '' : `  ; <${target}>`;
  return `${head}${column}  ${bytes.padEnd(20)}  ${text}${tail}\n`;
}

function load(options: DisasmOptions): Program {
  const { file, origin } = options;
  if (isElfFile(file)) {
    if (origin !== undefined) {
      throw new Failure(`--origin: ${file} is an ELF file, which says itself where it lies`);
    }
    const image = elfImage(file, readBytes(file));
    const codeSizeAt = () => image.bits;
    return { code: codeOf(image), codeSizeAt, symbols: SymbolMap.ofElf(image) };
  }
  if (!isSource(file)) {
    const bytes = readBytes(file);
    const code = [{ address: origin ?? Long.fromNumber(LOAD_ADDRESS), bytes }];
    return { code, codeSizeAt: () => usualSize(bytes), symbols: SymbolMap.EMPTY };
  }
  const assembled = assembleFile(file, options);
  const address = origin ?? assembled.origin;
  // Elsewhere its labels would be wrong.
  const isMoved = !address.eq(assembled.origin);
  const symbols = isMoved ? SymbolMap.EMPTY : SymbolMap.ofAssembly(assembled);
  const { bytes } = assembled;
  const moved = address.sub(assembled.origin);
  const usual = usualSize(bytes);
  const others = assembled.lineMap.filter(({ codeSize }) => (codeSize ?? usual) !== usual);
  const codeSizeAt = (at: Long) => {
    const original = at.sub(moved);
    const entry = others.find(
      (one) => original.ge(one.address) && original.lt(one.address.add(one.lengthBytes)),
    );
    return entry?.codeSize ?? usual;
  };
  return { code: [{ address, bytes }], codeSizeAt, symbols };
}

/** Multiboot programs begin in 32-bit code, others in 64-bit code. */
function usualSize(program: Uint8Array): CodeSize {
  return hasMultibootHeader(program) ? 32 : 64;
}

/** The code from one byte to another, counted over all stretches. */
function part(code: readonly ElfCode[], from: number, to: number): ElfCode[] {
  let before = 0;
  return code.flatMap(({ address, bytes }) => {
    const first = Math.max(0, from - before);
    const last = Math.min(bytes.length, to - before);
    before += bytes.length;
    return first < last
      ? [{ address: address.add(first), bytes: bytes.subarray(first, last) }]
      : [];
  });
}

function disassemble(
  { address: start, bytes }: ElfCode,
  codeSizeAt: (address: Long) => CodeSize,
  symbols: SymbolMap,
): Line[] {
  const lines: Line[] = [];
  let at = 0;
  while (at < bytes.length) {
    const address = start.add(at);
    // No instruction goes on beyond a label: what stands before may be data.
    const end = Math.min(bytes.length, at + symbols.bytesToNext(address));
    const decoded = decode(bytes, at, end, codeSizeAt(address));
    // What is not an instruction is data, a byte at a time.
    const instruction = decoded.kind === 'instruction' ? decoded.instruction : null;
    const lengthBytes = instruction?.lengthBytes ?? 1;
    const text =
      instruction === null
        ? `db 0x${bytes[at].toString(16).padStart(2, '0')}${note(decoded.kind)}`
        : format(instruction, address);
    const label = symbols.labelAt(address);
    const target = instruction === null ? null : targetOf(instruction, address);
    const name = target === null ? null : symbols.symbolAt(target);
    lines.push({
      address: address.toUnsigned().toString(16),
      bytes: hex(bytes, at, lengthBytes),
      text,
      ...(label === null ? {} : { label }),
      ...(name === null ? {} : { target: name }),
    });
    at += lengthBytes;
  }
  return lines;
}

/** The address that an instruction branches or refers to relative to itself, or null. */
function targetOf({ operands, lengthBytes }: Instruction, address: Long): Long | null {
  for (const operand of operands) {
    const isRelative =
      operand.kind === 'relative' || (operand.kind === 'memory' && operand.ripRelative);
    if (isRelative) return address.add(lengthBytes).add(operand.displacement);
  }
  return null;
}

function note(kind: string): string {
  return kind === 'unimplemented' ? '        ; an instruction that vmxlab does not have' : '';
}

function hex(bytes: Uint8Array, at: number, lengthBytes: number): string {
  return [...bytes.subarray(at, at + lengthBytes)]
    .map((byte) => byte.toString(16).padStart(2, '0').toUpperCase())
    .join('');
}
