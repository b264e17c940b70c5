// `vmxlab disasm`: print the instructions of a flat binary or an assembled source.

import Long from 'long';
import { decode, format } from '../isa/index.ts';
import { LOAD_ADDRESS } from '../machine/index.ts';
import { Failure } from './failure.ts';
import { gibibytes, readBytes } from './files.ts';
import { type AssemblyOptions, assembleFile, isSource } from './program.ts';

export interface DisasmOptions extends AssemblyOptions {
  readonly file: string;
  /** Address of the first byte, if it is not the usual one. */
  readonly origin: Long | undefined;
  /** Bytes to pass over, and to print at most. */
  readonly skip: number;
  readonly length: number;
  readonly json: boolean;
}

interface Line {
  readonly address: string;
  readonly bytes: string;
  readonly text: string;
}

/** More would not fit into memory as text. */
const MAX_BYTES = 2 ** 22;

export function disasmCommand(options: DisasmOptions): number {
  const { bytes, origin } = load(options);
  const { skip } = options;
  const end = Math.min(bytes.length, skip + options.length);
  if (bytes.length === 0) throw new Failure(`${options.file}: is empty`);
  if (skip >= bytes.length) {
    throw new Failure(`--skip ${skip} leaves nothing: there are ${bytes.length} bytes`);
  }
  if (end - skip > MAX_BYTES) {
    const size = gibibytes(end - skip);
    throw new Failure(
      `${options.file}: ${size} are too much at once; ` +
        `take a part of up to ${gibibytes(MAX_BYTES)} with --skip and --length`,
    );
  }
  const lines = disassemble(bytes, skip, end, options.origin ?? origin);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ schemaVersion: 1, instructions: lines }, null, 2)}\n`);
    return 0;
  }
  const text = lines.map(
    (line) => `${line.address.padStart(8, '0')}  ${line.bytes.padEnd(20)}  ${line.text}\n`,
  );
  process.stdout.write(text.join(''));
  return 0;
}

function load(options: DisasmOptions): { readonly bytes: Uint8Array; readonly origin: Long } {
  if (isSource(options.file)) return assembleFile(options.file, options);
  return { bytes: readBytes(options.file), origin: Long.fromNumber(LOAD_ADDRESS) };
}

function disassemble(bytes: Uint8Array, skip: number, end: number, origin: Long): Line[] {
  const lines: Line[] = [];
  let at = skip;
  while (at < end) {
    const address = origin.add(at);
    const decoded = decode(bytes, at, end);
    // What is not an instruction is data, a byte at a time.
    const isInstruction = decoded.kind === 'instruction';
    const lengthBytes = isInstruction ? decoded.instruction.lengthBytes : 1;
    const text = isInstruction
      ? format(decoded.instruction, address)
      : `db 0x${bytes[at].toString(16).padStart(2, '0')}${note(decoded.kind)}`;
    lines.push({
      address: address.toUnsigned().toString(16),
      bytes: hex(bytes, at, lengthBytes),
      text,
    });
    at += lengthBytes;
  }
  return lines;
}

function note(kind: string): string {
  return kind === 'unimplemented' ? '        ; an instruction that vmxlab does not have' : '';
}

function hex(bytes: Uint8Array, at: number, lengthBytes: number): string {
  return [...bytes.subarray(at, at + lengthBytes)]
    .map((byte) => byte.toString(16).padStart(2, '0').toUpperCase())
    .join('');
}
