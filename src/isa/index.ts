// isa: the instruction set, defined once. Knows nothing of memory, processors or virtualization.
//
//   import Long from 'long';
//   import { decode, format } from 'vmxlab/isa';
//   const decoded = decode(Uint8Array.of(0x48, 0x01, 0xd8), 0, 3, 64);
//   decoded.kind; // 'instruction'
//   format(decoded.instruction, Long.ZERO); // 'add rax, rbx'

export type {
  AssemblyMemory,
  AssemblyNumber,
  AssemblyOperand,
  AssemblyPointer,
  AssemblyRegister,
} from './assembly-operand.ts';
export { type Decoded, decode, MAX_INSTRUCTION_BYTES } from './decoder.ts';
export {
  type Division,
  type Domain,
  Flag,
  type Meaning,
  type RaisedVector,
  SEGMENT_LOOKS,
  type SegmentLook,
  type SystemFunction,
  type Wide,
} from './domain.ts';
export {
  type AddressExpression,
  type Effects,
  effectsOf,
  type MemoryEffect,
  type RegisterBytes,
  writesVectors,
} from './effects.ts';
export {
  type AssemblyPrefixes,
  type Encoded,
  type EncodedField,
  encode,
  NO_PREFIXES,
} from './encoder.ts';
export { addressWidthOf } from './encoding.ts';
export { format, formatOperand } from './formatter.ts';
export type {
  ImmediateOperand,
  Instruction,
  MemoryOperand,
  Operand,
  PointerOperand,
  RegisterOperand,
  RelativeOperand,
  Repeat,
} from './instruction.ts';
export {
  CODE_SIZES,
  type CodeSize,
  GPR_NAMES,
  Gpr,
  type MemoryWidth,
  REGISTERS,
  type RegisterName,
  registerName,
  SEGMENT_NAMES,
  Segment,
  type Width,
} from './registers.ts';
export {
  COST_CLASSES,
  type CostClass,
  existsIn,
  type Intercept,
  type OperandSizeRule,
  type Privilege,
  type Row,
  syntax,
  type Unit,
} from './row.ts';
export { mnemonics, ROWS, rowsByMnemonic, rowsIn } from './table.ts';
export {
  type FloatFunction,
  type LaneFunction,
  type Precision,
  Relation,
} from './vector-functions.ts';
