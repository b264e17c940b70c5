// `vmxlab asm`: assemble sources to a flat binary.

import { join, parse } from 'node:path';
import { formatDiagnostic } from '../asm/index.ts';
import { Failure } from './failure.ts';
import { isSameFile, writeOutput } from './files.ts';
import { type AssemblyOptions, assembleFile } from './program.ts';

export interface AsmOptions extends AssemblyOptions {
  readonly file: string;
  readonly output: string | undefined;
  readonly listing: string | undefined;
  readonly symbols: boolean;
  readonly json: boolean;
}

export function asmCommand(options: AsmOptions): number {
  const output = options.output ?? binaryFor(options.file);
  checkOutputs(options, output);
  const assembled = assembleFile(options.file, options);
  for (const warning of assembled.warnings) {
    process.stderr.write(`${formatDiagnostic(warning)}\n`);
  }
  writeOutput(output, assembled.bytes);
  if (options.listing !== undefined) writeOutput(options.listing, assembled.listing());
  const symbols = assembled.symbols.map(({ name, value, kind, section, global }) => ({
    name,
    value: value.toUnsigned().toString(16),
    kind,
    section,
    global,
  }));
  if (options.json) {
    const document = {
      schemaVersion: 1,
      output,
      lengthBytes: assembled.bytes.length,
      origin: assembled.origin.toUnsigned().toString(16),
      symbols,
    };
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    return 0;
  }
  if (options.symbols) {
    for (const { name, value, kind } of symbols) {
      process.stdout.write(`${value.padStart(16, '0')} ${kind === 'equ' ? 'a' : 't'} ${name}\n`);
    }
  }
  return 0;
}

/** `hello.bin` for `hello.asm`. */
function binaryFor(source: string): string {
  const { dir, name } = parse(source);
  return join(dir, `${name}.bin`);
}

/** No output may overwrite the source or mix with another one. */
function checkOutputs(options: AsmOptions, output: string): void {
  const { file, linked, listing, symbols, json } = options;
  for (const path of [output, listing]) {
    if (path === undefined || path === '-') continue;
    if ([file, ...linked].some((source) => isSameFile(path, source))) {
      throw new Failure(`${path}: is the source; give the output another name with -o`);
    }
  }
  if (output !== '-' && output === listing) {
    throw new Failure(`${output}: cannot be both the program and the listing`);
  }
  const onStdout = [
    ...(output === '-' ? ['the program'] : []),
    ...(listing === '-' ? ['the listing'] : []),
    ...(json ? ['--json'] : symbols ? ['--symbols'] : []),
  ];
  const mixes = onStdout.length > 1 && (output === '-' || json);
  if (mixes) throw new Failure(`${onStdout.join(' and ')} cannot share standard output`);
}
