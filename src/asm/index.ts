// asm: the assembler. NASM-flavoured or GAS source to bytes, symbols, line map and listing, for
// 64-bit mode. No input or output of its own. docs/assembler.md is the reference and lists the
// differences.
//
//   import { assemble, formatDiagnostic } from 'vmxlab/asm';
//   const assembled = assemble({ name: 'spin.asm', text: 'bits 64\nspin: pause\njmp spin' });
//   assembled.kind; // 'ok'
//   [...assembled.bytes]; // [0xf3, 0x90, 0xeb, 0xfc]
//   const wrong = assemble({ name: 'wrong.asm', text: 'bits 64\nmvo eax, 1' });
//   wrong.errors.map(formatDiagnostic)[0].split('\n')[0].slice(0, 16); // 'wrong.asm:2:1: e'

export {
  type Assembled,
  type AssembledSection,
  type AssembledSymbol,
  type AssembleOptions,
  assemble,
  assembleFiles,
} from './assembler.ts';
export {
  type Diagnostic,
  type DiagnosticLink,
  type DiagnosticPlace,
  formatDiagnostic,
} from './diagnostics.ts';
export type { LineMapEntry, SourcePosition } from './line-map.ts';
export type { ReadFile } from './session.ts';
export type { SourceFile, Syntax } from './source.ts';
