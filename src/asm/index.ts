// asm: the assembler. NASM-flavoured source to bytes, symbols, line map and listing, for 64-bit mode.
// No input or output of its own. docs/assembler.md is the reference and lists the differences.
//
//   const assembled = assemble({ name: 'spin.asm', text: 'bits 64\nspin: pause\njmp spin' });
//   if (assembled.kind === 'ok') assembled.bytes; // F3 90 EB FC
//   else assembled.errors.map(formatDiagnostic);

export {
  type Assembled,
  type AssembledSection,
  type AssembledSymbol,
  type AssembleOptions,
  assemble,
} from './assembler.ts';
export {
  type Diagnostic,
  type DiagnosticLink,
  type DiagnosticPlace,
  formatDiagnostic,
} from './diagnostics.ts';
export type { LineMapEntry, SourcePosition } from './line-map.ts';
export type { ReadFile } from './session.ts';
export type { SourceFile } from './source.ts';
