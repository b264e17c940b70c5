// `vmxlab disasm`: print the instructions of a flat binary or an assembled source.

import type Long from 'long';
import { decode, format } from '../isa/index.ts';
import { readBytes } from './files.ts';
import { type AssemblyOptions, assembleFile, isSource } from './program.ts';

export interface DisasmOptions extends AssemblyOptions {
  readonly file: string;
  readonly origin: Long;
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

export function disasmCommand(options: DisasmOptions): number {
  const bytes = isSource(options.file)
    ? assembleFile(options.file, options).bytes
    : readBytes(options.file);
  const lines = disassemble(bytes, options);
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

function disassemble(bytes: Uint8Array, options: DisasmOptions): Line[] {
  const lines: Line[] = [];
  const end = Math.min(bytes.length, options.skip + options.length);
  let at = options.skip;
  while (at < end) {
    const address = options.origin.add(at);
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
