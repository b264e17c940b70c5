// `vmxlab asm`: assemble a source to a flat binary.

import { formatDiagnostic } from '../asm/index.ts';
import { writeOutput } from './files.ts';
import { type AssemblyOptions, assembleFile } from './program.ts';

export interface AsmOptions extends AssemblyOptions {
  readonly file: string;
  readonly output: string | undefined;
  readonly listing: string | undefined;
  readonly symbols: boolean;
  readonly json: boolean;
}

export function asmCommand(options: AsmOptions): number {
  const assembled = assembleFile(options.file, options);
  for (const warning of assembled.warnings) {
    process.stderr.write(`${formatDiagnostic(warning)}\n`);
  }
  const output = options.output ?? options.file.replace(/\.\w+$/, '.bin');
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
