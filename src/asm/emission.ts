// The bytes of statements, once sizes and addresses are settled, and the errors that only now can
// be told from guesses of earlier passes.

import type Long from 'long';
import { circularSymbols } from './circular.ts';
import { evaluate } from './evaluate.ts';
import type { Expression } from './expression.ts';
import { evaluateInstruction, fitsField, type InstructionContext } from './instruction.ts';
import { longNops } from './nops.ts';
import type { Session } from './session.ts';
import type { AddressField, Body, DataBody, InstructionBody, Statement } from './statement.ts';
import type { AssemblerSymbol } from './symbols.ts';
import { isNumber, sectionOf, type Value } from './value.ts';

export class Emission {
  private readonly session: Session;
  private readonly output: Uint8Array;
  private readonly origin: Long;
  private readonly definitions = new Map<AssemblerSymbol, Expression>();
  /** Null until somebody has to know. */
  private circular: ReadonlySet<AssemblerSymbol> | null = null;

  constructor(
    session: Session,
    statements: readonly Statement[],
    output: Uint8Array,
    origin: Long,
  ) {
    this.session = session;
    this.output = output;
    this.origin = origin;
    for (const { body } of statements) {
      if (body?.kind === 'equ') this.definitions.set(body.symbol, body.value);
    }
  }

  /** Write the bytes of a statement, or report why it has none. */
  emit(statement: Statement, context: InstructionContext): void {
    const { body, section } = statement;
    if (body === null) return;
    if (statement.times !== null) this.checkCount(statement.times, context);
    if (body.kind === 'equ') this.checkEqu(body.symbol, body.value, context);
    else if (section.kind === 'nobits') this.checkNobits(statement, body, context);
    else if (body.kind === 'align') this.emitBody(statement, body.filler, context);
    else this.emitBody(statement, body, context);
  }

  private emitBody(statement: Statement, body: Body, context: InstructionContext): void {
    switch (body.kind) {
      case 'instruction':
        this.emitInstruction(statement, body, context);
        break;
      case 'data':
        this.emitData(statement, body, context);
        break;
      case 'binary':
        this.repeat(statement, body.bytes);
        break;
      case 'nops':
        this.output.set(longNops(statement.lengthBytes, body.codeSize), this.offset(statement));
        break;
      case 'reserve':
        this.checkCount(body.count, context);
        if (statement.lengthBytes > 0) this.warnOfZeros(statement);
        break;
    }
  }

  private warnOfZeros({ body, place, section }: Statement): void {
    if (body?.kind === 'align') return;
    const message = `uninitialized space in section ${section.name} becomes zeros`;
    this.session.reporter.warn(place, message, ['section .bss']);
  }

  private checkCount(count: Expression, context: InstructionContext): void {
    const number = evaluate(count, { ...context, reporter: null })?.number;
    if (number?.isNegative() === true) {
      this.session.reporter.error(count.place, `the count ${number} is negative`);
    }
  }

  private checkNobits(statement: Statement, body: Body, context: InstructionContext): void {
    const isEmpty = ({ items }: DataBody) => items.every(({ kind }) => kind === 'uninitialized');
    if (body.kind === 'reserve') this.checkCount(body.count, context);
    else if (body.kind === 'align' || (body.kind === 'data' && isEmpty(body))) return;
    else {
      const message = `section ${statement.section.name} has no bytes that could be set`;
      this.session.reporter.error(statement.place, message, ['resb', 'another section']);
    }
  }

  private checkEqu(symbol: AssemblerSymbol, value: Expression, context: InstructionContext): void {
    if (evaluate(value, context) !== null) return;
    this.circular ??= circularSymbols(this.definitions);
    if (!this.circular.has(symbol)) return;
    const message = `'${symbol.name}' is defined in terms of itself`;
    this.session.reporter.error(symbol.definedAt ?? value.place, message);
  }

  /** Offset of a statement into the output. */
  private offset({ section, offset }: Statement): number {
    return section.start.sub(this.origin).toNumber() + offset;
  }

  private repeat(statement: Statement, bytes: Uint8Array): void {
    const start = this.offset(statement);
    const total = bytes.length * statement.repetitions;
    if (total === 0) return;
    this.output.set(bytes, start);
    // Doubling what is there already: `times 100000000 db 0` is one statement.
    for (let done = bytes.length; done < total; done *= 2) {
      this.output.copyWithin(start + done, start, start + Math.min(done, total - done));
    }
  }

  private emitInstruction(
    statement: Statement,
    body: InstructionBody,
    context: InstructionContext,
  ): void {
    if (statement.bytes !== null) {
      this.repeat(statement, statement.bytes);
      return;
    }
    const instruction = evaluateInstruction(body, context);
    if (instruction === null || statement.repetitions === 0) return;
    const start = this.offset(statement);
    const { section, offset } = statement;
    let at = 0;
    for (let i = 0; i < statement.repetitions; i++) {
      const encoded = instruction.encode(section.vstart.add(offset + at));
      if (encoded === null || at + encoded.bytes.length > statement.lengthBytes) return;
      if (i === 0) statement.fields = instruction.fields(encoded);
      this.output.set(encoded.bytes, start + at);
      at += encoded.bytes.length;
    }
  }

  private emitData(statement: Statement, body: DataBody, context: InstructionContext): void {
    if (statement.repetitions === 0) return;
    const bytes = new Uint8Array(statement.lengthBytes / statement.repetitions);
    const fields: AddressField[] = [];
    let at = 0;
    for (const item of body.items) {
      if (item.kind === 'string') {
        bytes.set(item.bytes, at);
        at += item.bytes.length;
        continue;
      }
      if (item.kind === 'expression') {
        const field = this.emitItem(item.value, body.itemBytes, bytes, at, context);
        if (field !== null) fields.push(field);
      } else this.warnOfZeros(statement);
      at += body.itemBytes;
    }
    statement.fields = fields;
    this.repeat(statement, bytes);
  }

  /** One number of DB and kin; returns the field if sections decide about it. */
  private emitItem(
    expression: Expression,
    itemBytes: number,
    bytes: Uint8Array,
    at: number,
    context: InstructionContext,
  ): AddressField | null {
    const { reporter } = this.session;
    const value = evaluate(expression, context);
    if (value === null) return null;
    const relative = isDistance(value, context);
    if (!relative && !isNumber(value) && sectionOf(value) === null) {
      reporter.error(expression.place, 'this is neither a number nor an address');
      return null;
    }
    const number = resolve(value);
    if (itemBytes < 8 && !fitsData(number, itemBytes)) {
      reporter.warn(
        expression.place,
        `${number} does not fit ${itemBytes * 8} bits; it is cut off`,
      );
    }
    writeNumber(number, itemBytes, bytes, at);
    if (isNumber(value)) return null;
    return { at, lengthBytes: itemBytes, relative, shown: value.number };
  }
}

/** The address of a label of another section minus one of this: known, though not to NASM's EQU. */
function isDistance(value: Value, { section }: InstructionContext): boolean {
  if (value.terms.length !== 2) return false;
  const other = value.terms.find(({ of }) => of !== section);
  const own = value.terms.find(({ of }) => of === section);
  return other?.times.eq(1) === true && own?.times.eq(-1) === true;
}

/** The number that a value is once sections have their places. */
function resolve(value: Value): Long {
  let { number } = value;
  for (const { of, times } of value.terms) {
    if ('vstart' in of) number = number.add(of.vstart.mul(times));
  }
  return number;
}

/** NASM lets a negative number have one bit more. */
function fitsData(number: Long, itemBytes: number): boolean {
  return fitsField(number, itemBytes * 8 + 1, true);
}

function writeNumber(number: Long, itemBytes: number, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < itemBytes; i++) {
    bytes[at + i] = ((i < 4 ? number.low : number.high) >>> (8 * (i & 3))) & 255;
  }
}
