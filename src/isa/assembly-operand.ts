// Operands as an assembler states them, and whether one fits a row's operand.
// Follows NASM's rules for sizes: a size keyword decides, a register decides for its partner,
// a number takes the shortest field that holds it unless it is `strict` or an address.

import type Long from 'long';
import type { CodeSize, MemoryWidth, RegisterName, Width } from './registers.ts';
import type { OperandSpec } from './row.ts';

export interface AssemblyRegister {
  readonly kind: 'register';
  readonly register: RegisterName;
}

export interface AssemblyNumber {
  readonly kind: 'number';
  readonly value: Long;
  /** A size keyword before the number, or 0; of a branch target the operand size. */
  readonly width: Width | 0;
  /** `strict`: encode in just that width. */
  readonly strict: boolean;
  /** The number is an address that the origin decides; it always gets the widest field. */
  readonly relocatable: boolean;
  /** `short` or `near` before a branch target. */
  readonly distance: 'short' | 'near' | null;
}

export interface AssemblyMemory {
  readonly kind: 'memory';
  /** A size keyword before the bracket, or 0. */
  readonly width: MemoryWidth | 0;
  /** `far` before the bracket: a pointer with a selector. */
  readonly far: boolean;
  /** Segment override number, or -1. */
  readonly segment: number;
  readonly base: RegisterName | null;
  readonly index: RegisterName | null;
  readonly scale: 1 | 2 | 4 | 8;
  readonly displacement: Long;
  /** A size keyword inside the bracket for the displacement, or 0. */
  readonly displacementWidth: Width | 0;
  readonly relocatable: boolean;
  /** Encode relative to RIP; `displacement` is the address meant. */
  readonly ripRelative: boolean;
  /**
   * Base and index stay where they are, even if another arrangement is shorter, and a displacement
   * from RIP that is no address is encoded as it stands.
   */
  readonly exact?: true;
}

/** `selector:offset`, a far address in the instruction. */
export interface AssemblyPointer {
  readonly kind: 'pointer';
  readonly selector: Long;
  readonly offset: Long;
  /** A size keyword for the offset, or 0. */
  readonly width: Width | 0;
  /** The offset is an address that the origin decides. */
  readonly relocatable: boolean;
}

export type AssemblyOperand = AssemblyRegister | AssemblyNumber | AssemblyMemory | AssemblyPointer;

/** Whether the operand can stand where the row wants `spec`; `operation` is the row's width. */
export function fits(
  operand: AssemblyOperand,
  spec: OperandSpec,
  operation: Width,
  codeSize: CodeSize,
): boolean {
  switch (operand.kind) {
    case 'register':
      return fitsRegister(operand.register, spec);
    case 'memory':
      return fitsMemory(operand, spec, codeSize);
    case 'pointer':
      return spec.place === 'pointer' && fitsPointer(operand, spec);
    case 'number':
      return fitsNumber(operand, spec, operation);
  }
}

function fitsRegister(register: RegisterName, spec: OperandSpec): boolean {
  if (spec.fixed !== null) return sameRegister(register, spec.fixed);
  if (spec.place !== 'reg' && spec.place !== 'rm') {
    if (spec.place !== 'opcode' && spec.place !== 'vvvv') return false;
  }
  return (
    register.class === spec.registerClass &&
    register.width === spec.registerWidth &&
    register.number !== spec.excluded
  );
}

function sameRegister(a: RegisterName, b: RegisterName): boolean {
  return a.class === b.class && a.number === b.number && a.width === b.width && a.high === b.high;
}

function fitsPointer(pointer: AssemblyPointer, spec: OperandSpec): boolean {
  const { selector, offset, relocatable } = pointer;
  if (spec.immediateWidth === 0 || !fitsUnsigned(selector, 16)) return false;
  if (relocatable) return true;
  return spec.immediateWidth === 16 ? fitsUnsigned(offset, 16) : wrap(offset, 32) !== null;
}

function fitsMemory(memory: AssemblyMemory, spec: OperandSpec, codeSize: CodeSize): boolean {
  if (spec.memoryWidth === -1 || memory.far !== spec.far) return false;
  if (spec.place === 'moffs') {
    if (memory.base !== null || memory.index !== null) return false;
    // In 64-bit code only an address of 64 bits is worth a form of its own.
    if (codeSize === 64 && memory.displacementWidth !== 64) return false;
  } else if (spec.place !== 'rm' || memory.displacementWidth === 64) return false;
  return memory.width === 0 || spec.memoryWidth === 0 || memory.width === spec.memoryWidth;
}

function fitsNumber(number: AssemblyNumber, spec: OperandSpec, operation: Width): boolean {
  if (spec.fixedNumber !== null) {
    const isPlain = number.width === 0 && !number.strict && !number.relocatable;
    return isPlain && number.value.eq(spec.fixedNumber);
  }
  if (spec.place === 'relative') {
    if (number.distance === 'short') return spec.immediateWidth === 8;
    if (number.distance === 'near' || number.width !== 0) return spec.immediateWidth > 8;
    return true;
  }
  if (spec.place !== 'immediate' || spec.immediateWidth === 0) return false;
  const field = spec.immediateWidth;
  if (number.strict && number.width !== 0 && field !== number.width) return false;
  if (number.width !== 0 && (field > number.width || number.width > operation)) {
    return false;
  }
  // `uimm32` into a 64-bit register is an optimization that the size of the field switches off.
  const shortened = spec.unsigned && operation === 64;
  if (shortened && (number.width === 32 || number.relocatable)) return false;
  if (number.relocatable) return field >= Math.min(32, operation);
  return spec.unsigned
    ? fitsUnsigned(number.value, field)
    : fitsSigned(number.value, field, operation);
}

function fitsUnsigned(value: Long, field: Width): boolean {
  if (field === 8 || field === 16) {
    return value.ge(-(2 ** (field - 1))) && value.lt(2 ** field);
  }
  return value.high === 0;
}

/** The field, sign-extended to the operation's width, gives the number modulo that width. */
function fitsSigned(value: Long, field: Width, operation: Width): boolean {
  const wrapped = wrap(value, operation);
  if (wrapped === null) return false;
  if (field === 64) return true;
  return wrapped.ge(-(2 ** (field - 1))) && wrapped.lt(2 ** (field - 1));
}

/** The number as a signed one of `width` bits, or null if it is out of range either way. */
function wrap(value: Long, width: Width): Long | null {
  if (width === 64) return value;
  const half = 2 ** (width - 1);
  if (value.ge(half) && value.lt(2 * half)) return value.sub(2 * half);
  return value.ge(-half) && value.lt(half) ? value : null;
}
