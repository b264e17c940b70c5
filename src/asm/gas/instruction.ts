// From a GAS instruction to what the layout assembles: operands in the table's order, what was left
// out put in, and GNU's choice wherever there is more than one encoding.

import {
  type CodeSize,
  Gpr,
  mnemonics,
  REGISTERS,
  type RegisterName,
  Segment,
  type Width,
} from '../../isa/index.ts';
import { nearest } from '../../sim/index.ts';
import type { Cursor } from '../cursor.ts';
import type { Place } from '../source.ts';
import { branchForms, tableSpelling } from '../spelling.ts';
import type {
  InstructionBody,
  MemoryOperandText,
  NumberOperandText,
  OperandText,
  Prefixes,
  RegisterOperandText,
} from '../statement.ts';
import { parseAttOperand } from './att-operands.ts';
import { constantExpression, type GasContext } from './expression.ts';
import { parseIntelOperand } from './intel-operands.ts';
import type { GasOperand } from './operands.ts';
import {
  type GasMnemonic,
  gasMnemonic,
  gasNames,
  type StringMnemonic,
  stringMnemonic,
} from './spelling.ts';

/** The mnemonic at the cursor and its operands; null after reporting an error. */
export function parseGasInstruction(
  cursor: Cursor,
  context: GasContext,
  prefixes: Prefixes,
): InstructionBody | null {
  const name = cursor.keyword();
  const { place } = cursor;
  const named = gasMnemonic(name, context.intel);
  const string = stringMnemonic(name);
  if (named === null && string === null) return unknownName(cursor, context, name);
  cursor.take();
  const isBranch = named !== null && branchForms(named.mnemonic) !== null;
  const operands = parseOperands(cursor, context, named, isBranch);
  if (operands === null) return null;
  // Without an XMM register MOVQ is MOV with a suffix.
  const isGeneral = name === 'movq' && !operands.some(isXmm);
  const known: GasMnemonic | null = isGeneral ? { mnemonic: 'MOV', suffix: 64 } : named;
  const { codeSize } = context.session;
  if (string !== null && isString(operands)) {
    return stringBody(string, operands, { prefixes, codeSize }, cursor, place);
  }
  if (known === null) return cursor.error(place, `'${name}' has no such operands`, ['memory']);
  if (known.mnemonic === 'XLATB' && operands.length === 1) {
    return translateBody(operands, prefixes, codeSize);
  }
  if (!checkMnemonic(known, operands, codeSize, cursor, place)) return null;
  if (isBranch && !checkIndirect(operands, context, cursor)) return null;
  if (!checkWidths(known, operands, prefixes, cursor)) return null;
  return body(known, operands, prefixes, context, place);
}

function unknownName(cursor: Cursor, { session }: GasContext, name: string): null {
  if (name === '') return cursor.fail(['an instruction', 'a directive', 'a label']);
  if (session.reporter.incomplete || session.reporter.isFull) {
    session.reporter.incomplete = true;
    return null;
  }
  const meant = nearest(name, gasNames(mnemonics(64)));
  const expected = meant === null ? [] : [meant];
  return cursor.error(cursor.place, `unknown instruction '${name}'`, expected);
}

/** Operands in the order of Intel's manuals. */
function parseOperands(
  cursor: Cursor,
  context: GasContext,
  known: GasMnemonic | null,
  isBranch: boolean,
): GasOperand[] | null {
  const operands: GasOperand[] = [];
  if (cursor.atEnd) return operands;
  do {
    const operand = context.intel
      ? parseIntelOperand(cursor, context, isBranch)
      : parseAttOperand(cursor, context, isBranch);
    if (operand === null) return null;
    operands.push(operand);
  } while (cursor.accept(','));
  if (!cursor.atEnd) return cursor.fail(["','", 'the end of the line']);
  // AT&T syntax does not swap two numbers (ENTER, far branches), nor the operands of BOUND.
  const areNumbers = operands.every(({ operand }) => operand.kind === 'number');
  const isBound = known?.mnemonic === 'BOUND';
  return context.intel || areNumbers || isBound ? operands : operands.reverse();
}

/** What the table's name for the instruction does not tell: `jmpl label`, `movabs` outside 64 bits. */
function checkMnemonic(
  { mnemonic, suffix, far, absolute }: GasMnemonic,
  operands: readonly GasOperand[],
  codeSize: CodeSize,
  cursor: Cursor,
  place: Place,
): boolean {
  if (codeSize === 64) return true;
  if (absolute) {
    cursor.error(place, `'movabs' does not exist in ${codeSize}-bit code`, ['mov']);
    return false;
  }
  const isDirect = operands[0]?.operand.kind === 'number';
  if (suffix === undefined || far || !isDirect || !/^J/.test(mnemonic)) return true;
  cursor.error(place, 'a jump to a place has no suffix');
  return false;
}

/** What neither the table nor the encoder can know: `movzbl %ax`, `addr32 mov (%rax)`. */
function checkWidths(
  { source }: GasMnemonic,
  operands: readonly GasOperand[],
  { extra }: Prefixes,
  cursor: Cursor,
): boolean {
  for (const [i, { operand, place }] of operands.entries()) {
    if (operand.kind === 'register' && i === 1 && source !== undefined) {
      if (operand.register.width === source) continue;
      cursor.error(place, `the register has ${operand.register.width} bits, not ${source}`);
      return false;
    }
    if (operand.kind !== 'memory' || extra?.includes(0x67) !== true) continue;
    const { base, index } = operand.registers ?? { base: null, index: null };
    if ((base ?? index)?.width !== 64) continue;
    cursor.error(place, "prefix 'addr32' does not go with this address", ['32-bit registers']);
    return false;
  }
  return true;
}

/** AT&T syntax marks what a branch looks its target up in. */
function checkIndirect(
  operands: readonly GasOperand[],
  context: GasContext,
  cursor: Cursor,
): boolean {
  const [target] = operands;
  if (target === undefined || context.intel) return true;
  const { operand, indirect, place } = target;
  if (operand.kind === 'number') {
    if (!indirect) return true;
    cursor.error(place, "a number after '*' is no place to find a target in");
    return false;
  }
  if (!indirect) cursor.warn(place, 'an indirect branch without an asterisk', ["'*'"]);
  return true;
}

function body(
  known: GasMnemonic,
  written: readonly GasOperand[],
  given: Prefixes,
  context: GasContext,
  place: Place,
): InstructionBody {
  const texts = written.map(({ operand }) => operand);
  const completed = complete(known, texts, place);
  if (known.mnemonic === 'INT' && isBreakpoint(completed[0], context)) {
    return body({ mnemonic: 'INT3' }, [], given, context, place);
  }
  const { mnemonic, operands } = tableSpelling(known.mnemonic, completed);
  const suffix = known.suffix ?? usualSuffix(mnemonic, given, context);
  const named = suffix === undefined ? known : { ...known, suffix };
  const sized = operands.map((operand, i) => sizedOperand(operand, i, named, operands, context));
  const { codeSize } = context.session;
  // The address that MONITOR takes is in RAX, or in EAX with a prefix.
  const isNarrow =
    mnemonic === 'MONITOR' &&
    texts.some((text) => text.kind === 'register' && isEax(text.register));
  const narrowing = isNarrow ? { addressWidth: 32 as const } : {};
  const prefixes = { ...given, ...narrowing, ...suffixPrefixes(mnemonic, suffix, sized, codeSize) };
  const forms = branchForms(mnemonic);
  const branch = sized[0]?.kind === 'number' ? forms : null;
  const fixed = branch === null && sized.every(isFixed);
  return { kind: 'instruction', mnemonic, codeSize, prefixes, operands: sized, branch, fixed };
}

/** What goes to the stack has 32 bits after `.code16gcc`, unless it says something else. */
const STACK = /^(CALL|RET|RETF|ENTER|LEAVE|PUSHA?F?|POPA?F?)$/;

function usualSuffix(
  mnemonic: string,
  { suffix }: Prefixes,
  { wideStack, session }: GasContext,
): Width | undefined {
  if (suffix !== undefined) return suffix;
  return wideStack && session.codeSize === 16 && STACK.test(mnemonic) ? 32 : undefined;
}

/** What a suffix comes to: that of LOOP is the address size, of a selector what is pushed. */
function suffixPrefixes(
  mnemonic: string,
  suffix: Width | undefined,
  [first]: readonly OperandText[],
  codeSize: CodeSize,
): Partial<Prefixes> {
  if (suffix === undefined) return {};
  if (codeSize === 64) return { suffix };
  if (/^LOOP/.test(mnemonic)) return { addressWidth: suffix };
  const isSelector = first?.kind === 'register' && first.register.class === 'segment';
  return isSelector && /^(PUSH|POP)$/.test(mnemonic) ? { operandWidth: suffix } : { suffix };
}

function isEax({ number, width }: RegisterName): boolean {
  return number === Gpr.RAX && width === 32;
}

/** GNU as takes `int $3` for INT3. */
function isBreakpoint(operand: OperandText | undefined, { session }: GasContext): boolean {
  return operand?.kind === 'number' && session.constantNow(operand.value)?.number.eq(3) === true;
}

function isFixed(operand: OperandText): boolean {
  if (operand.kind === 'register') return true;
  if (operand.kind === 'pointer') return operand.selector.fixed && operand.offset.fixed;
  return operand.kind === 'number' ? operand.value.fixed : operand.address.fixed;
}

const SHIFTS = /^(RO[LR]|RC[LR]|S[AH][LR])$/;

/** Put in what AT&T syntax lets be left out. */
function complete(
  { mnemonic, suffix }: GasMnemonic,
  operands: OperandText[],
  place: Place,
): OperandText[] {
  const [first, second] = operands;
  if (first === undefined) return operands;
  if (first.kind === 'number' && second?.kind === 'number' && /^(JMP|CALL)$/.test(mnemonic)) {
    return [{ kind: 'pointer', selector: first.value, offset: second.value, width: suffix ?? 0 }];
  }
  // They always use the same registers.
  if (mnemonic === 'MONITOR' || mnemonic === 'MWAIT') return [];
  if (/^(STR|P?MOVMSK\w+)$/.test(mnemonic) && first.kind === 'register') {
    return [narrowed(first, 32), ...operands.slice(1)];
  }
  if (operands.length === 1) {
    const accumulator = REGISTERS.get({ 8: 'al', 16: 'ax', 32: 'eax', 64: '' }[suffix ?? 64]);
    if (SHIFTS.test(mnemonic)) return [first, numberText(1, place)];
    if (accumulator === undefined) return operands;
    if (mnemonic === 'IN') return [{ kind: 'register', register: accumulator }, first];
    if (mnemonic === 'OUT') return [first, { kind: 'register', register: accumulator }];
  }
  if (operands.length !== 2 || second === undefined) return operands;
  if (mnemonic === 'SHLD' || mnemonic === 'SHRD') {
    return [...operands, { kind: 'register', register: REGISTERS.get('cl') as RegisterName }];
  }
  // GNU as calls the source of the 16-bit form by the wrong size.
  const isWord = first.kind === 'register' && first.register.width === 16;
  if (mnemonic === 'MOVSXD' && isWord && second.kind !== 'number') {
    return [first, second.kind === 'register' ? narrowed(second, 16) : { ...second, width: 16 }];
  }
  // GNU as puts the other register than NASM into ModRM.reg.
  return mnemonic === 'XCHG' ? [second, first] : operands;
}

/** The lower part of a register that is wider, where its upper part makes no difference. */
function narrowed(operand: RegisterOperandText, width: Width): RegisterOperandText {
  const { register } = operand;
  return register.width <= width ? operand : { ...operand, register: { ...register, width } };
}

function numberText(number: number, place: Place): NumberOperandText {
  const value = constantExpression(number, place);
  return { kind: 'number', value, width: 0, strict: false, distance: null };
}

/** Instructions whose memory has no size, whatever a text says. */
const SIZELESS =
  /^(PREFETCH\w*|CLFLUSH\w*|CLWB|INVLPG|LEA|[LS][GI]DT|L[SFGED]S|BOUND|VMXON|VMCLEAR|VMPTR(LD|ST))$/;

/** An operand with the width that the mnemonic or its kind gives it. */
function sizedOperand(
  operand: OperandText,
  index: number,
  known: GasMnemonic,
  operands: readonly OperandText[],
  context: GasContext,
): OperandText {
  const { mnemonic, suffix, source, absolute, far } = known;
  if (operand.kind === 'memory') {
    const { codeSize } = context.session;
    if (far) return { ...operand, far, width: suffix ?? (codeSize === 16 ? 16 : 32) };
    if (absolute) return { ...operand, displacementWidth: 64 };
    if (SIZELESS.test(mnemonic)) return { ...operand, width: 0, far: false };
    if (source !== undefined && operand.width === 0) return { ...operand, width: source };
    const isUnsized = suffix === undefined && operand.width === 0;
    if (isUnsized && /^(PUSH|POP)$/.test(mnemonic)) return { ...operand, width: codeSize };
    if (mnemonic === 'MOV' && codeSize === 64) return wideAddress(operand, context);
    return operand;
  }
  const [first] = operands;
  const isWide = first?.kind === 'register' && first.register.width === 64;
  const isMove = mnemonic === 'MOV' && index === 1 && first?.kind === 'register';
  if (operand.kind !== 'number' || !isMove) return operand;
  if (absolute) return { ...operand, width: first.register.width as Width, strict: true };
  return isWide && first.register.class === 'general' ? moveNumber(operand, context) : operand;
}

/** GNU as writes an address of 64 bits out where 32 do not do. */
function wideAddress(operand: MemoryOperandText, { session }: GasContext): OperandText {
  const { base, index } = operand.registers ?? { base: null, index: null };
  if (base !== null || index !== null || operand.addressing === 'rel') return operand;
  const value = session.constantNow(operand.address)?.number;
  const isNarrow = value === undefined || value.eq(value.toInt());
  return isNarrow ? operand : { ...operand, displacementWidth: 64 };
}

/** Into a 64-bit register: 32 bits with a sign if they do, else 64. NASM has a shorter way. */
function moveNumber(operand: NumberOperandText, { session }: GasContext): NumberOperandText {
  const value = session.constantNow(operand.value)?.number;
  if (value === undefined) return { ...operand, width: 32, strict: true };
  const isNarrow = value.eq(value.toInt());
  return isNarrow ? { ...operand, width: 32 } : { ...operand, width: 64, strict: true };
}

function isXmm({ operand }: GasOperand): boolean {
  return operand.kind === 'register' && operand.register.class === 'xmm';
}

/** `movsb` with operands is a string instruction if they are memory, else an extension. */
function isString(operands: readonly GasOperand[]): boolean {
  if (operands.length === 0) return true;
  if (operands.some(isXmm)) return false;
  const memories = operands.filter(({ operand }) => operand.kind === 'memory');
  const isAccumulator = operands.some(
    ({ operand }) =>
      operand.kind === 'register' &&
      (operand.register.number === Gpr.RAX || isPort(operand.register)),
  );
  return (
    memories.length === 2 || (memories.length === 1 && (operands.length === 1 || isAccumulator))
  );
}

/** DX, which names the port of INS and OUTS. */
function isPort({ number, width }: RegisterName): boolean {
  return number === Gpr.RDX && width === 16;
}

const LETTERS: Readonly<Record<number, string>> = { 8: 'B', 16: 'W', 32: 'D', 64: 'Q' };

function stringBody(
  { stem, suffix }: StringMnemonic,
  operands: readonly GasOperand[],
  { prefixes: given, codeSize }: Pick<InstructionBody, 'prefixes' | 'codeSize'>,
  cursor: Cursor,
  place: Place,
): InstructionBody | null {
  let width: number = suffix;
  let prefixes = given;
  for (const { operand, place: at } of operands) {
    if (operand.kind === 'register' && isPort(operand.register)) continue;
    if (operand.kind === 'pointer') return cursor.error(at, 'a far address is no string');
    const own = operand.kind === 'register' ? operand.register.width : operand.width;
    if (own !== 0 && width !== 0 && own !== width) {
      return cursor.error(at, `this operand has ${own} bits, not ${width}`);
    }
    if (own !== 0) width = own;
    if (operand.kind !== 'memory') continue;
    const base = operand.registers?.base;
    if (
      base === null ||
      base === undefined ||
      (base.number !== Gpr.RSI && base.number !== Gpr.RDI)
    ) {
      return cursor.error(at, 'a string is at (%rsi) or (%rdi)');
    }
    prefixes = { ...prefixes, ...stringPrefixes(base, operand.segment, codeSize) };
  }
  const letter = LETTERS[width];
  if (letter === undefined)
    return cursor.error(place, 'operation size not specified', [`${stem.toLowerCase()}l`]);
  const mnemonic = stem + letter;
  const rest = { operands: [], branch: null, fixed: true };
  return { kind: 'instruction', mnemonic, codeSize, prefixes, ...rest };
}

/** The source may be in another segment; both have the same width of address. */
function stringPrefixes(
  base: RegisterName,
  segment: number,
  codeSize: CodeSize,
): Partial<Prefixes> {
  const isSource = base.number !== Gpr.RDI;
  const isOverridden = isSource && segment >= 0 && segment !== Segment.DS;
  const addressWidth = base.width === codeSize ? 0 : (base.width as Width);
  return { addressWidth, ...(isOverridden ? { segment } : {}) };
}

/** `xlat %fs:(%rbx)` */
function translateBody(
  operands: readonly GasOperand[],
  given: Prefixes,
  codeSize: CodeSize,
): InstructionBody {
  const operand = operands[0]?.operand;
  const base = operand?.kind === 'memory' ? operand.registers?.base : null;
  const segment = operand?.kind === 'memory' ? operand.segment : -1;
  const extra = base === null || base === undefined ? {} : stringPrefixes(base, segment, codeSize);
  const prefixes = { ...given, ...extra };
  return {
    kind: 'instruction',
    mnemonic: 'XLATB',
    codeSize,
    prefixes,
    operands: [],
    branch: null,
    fixed: true,
  };
}
