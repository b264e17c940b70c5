// Passes over the statements until every size and every label has settled, then the bytes. As in
// NASM, a pass knows the labels behind it as they are now and those ahead as the last pass left
// them; in the first pass what is ahead is unknown, and the shortest form is hoped for.

import Long from 'long';
import { Emission } from './emission.ts';
import { evaluate } from './evaluate.ts';
import type { Expression } from './expression.ts';
import {
  type EvaluatedInstruction,
  evaluateInstruction,
  type InstructionContext,
} from './instruction.ts';
import type { Session } from './session.ts';
import type { Place } from './source.ts';
import type { Body, InstructionBody, Statement } from './statement.ts';
import { type AssemblerSymbol, definitionOf } from './symbols.ts';
import { isNumber, sameValue, termValue, UNKNOWN, type Value } from './value.ts';

/** The output is held in memory; nothing of a sane size comes near. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** Sections without bytes end where 32-bit displacements do. */
const MAX_SECTION_BYTES = 2 ** 32;

/** An instruction that depends on its place is encoded anew for each repetition. */
const MAX_ENCODED_REPETITIONS = 65_536;

/** From this pass on, branches that could be short or near are near. */
const IMPATIENT_PASS = 50;

const MAX_PASSES = 200;

/** Of an instruction with an error. */
const NO_BYTES = new Uint8Array(0);

/** An instruction as the last pass saw it, and how long it was. */
interface Measured {
  readonly instruction: EvaluatedInstruction;
  readonly lengthBytes: number;
}

export class Layout {
  private readonly session: Session;
  private readonly statements: readonly Statement[];
  /** Sizes and labels differ from those of the last pass. */
  private changed = false;
  private pass = 0;
  private stopped = false;
  /** Counts that have been reported, and are 0 from then on. */
  private readonly failedCounts = new Set<Expression>();
  private readonly measured = new Map<Statement, Measured>();

  constructor(session: Session, statements: readonly Statement[]) {
    this.session = session;
    this.statements = statements;
  }

  /** The output, or null if sizes have no end. Errors that leave sizes alone are reported, too. */
  run(origin: Long): Uint8Array | null {
    const { session, statements } = this;
    for (const symbol of session.allSymbols()) symbol.value = null;
    do {
      if (++this.pass > MAX_PASSES) {
        // Sizes may go round because of what is wrong anyway.
        if (session.reporter.errors.length > 0) return null;
        return this.stop(statements[0], `sizes have not settled after ${MAX_PASSES} passes`);
      }
      this.measureAll();
      if (this.stopped) return null;
    } while (this.changed);
    const placed = session.sections.place(origin);
    if (typeof placed !== 'number') {
      const { section, message } = placed;
      const first = statements.find((statement) => statement.section === section);
      const place = section.placing.place ?? first?.place;
      if (place !== undefined) session.reporter.error(place, message);
      return null;
    }
    const lengthBytes = placed;
    if (lengthBytes > MAX_OUTPUT_BYTES) return this.tooLarge(statements.at(-1));
    const output = new Uint8Array(lengthBytes);
    const emission = new Emission(session, statements, output, origin);
    for (const statement of statements) emission.emit(statement, this.context(statement, true));
    return output;
  }

  private tooLarge(statement: Statement | undefined): null {
    const mebibytes = MAX_OUTPUT_BYTES / 1024 / 1024;
    return this.stop(statement, `the output is larger than ${mebibytes} MiB`);
  }

  private stop(statement: Statement | undefined, message: string): null {
    if (statement !== undefined) this.session.reporter.error(statement.place, message);
    this.stopped = true;
    return null;
  }

  private measureAll(): void {
    this.changed = false;
    for (const section of this.session.sections.all) section.size = 0;
    for (const statement of this.statements) {
      const { section, label, body } = statement;
      statement.offset = section.size;
      if (label !== null) this.assign(label, termValue(section, Long.fromNumber(section.size)));
      if (body === null) continue;
      const lengthBytes = this.measure(statement, body);
      if (lengthBytes !== statement.lengthBytes) this.changed = true;
      statement.lengthBytes = lengthBytes;
      section.size += lengthBytes;
      const limit = section.kind === 'progbits' ? MAX_OUTPUT_BYTES : MAX_SECTION_BYTES;
      if (section.size > limit) this.tooLarge(statement);
      if (this.stopped) return;
    }
  }

  private assign(symbol: AssemblerSymbol, value: Value): void {
    if (sameValue(symbol.value, value)) return;
    symbol.value = value;
    this.changed = true;
  }

  /** Bytes of a statement with all its repetitions. */
  private measure(statement: Statement, body: Body): number {
    if (body.kind === 'equ') {
      const value = evaluate(body.value, this.context(statement, false));
      this.assign(body.symbol, value ?? UNKNOWN);
      return 0;
    }
    if (body.kind === 'align') {
      const padding = -statement.offset & (body.boundary - 1);
      statement.repetitions = padding > (body.most ?? padding) ? 0 : padding;
      return this.measureTimes(statement, body.filler);
    }
    statement.repetitions = statement.times === null ? 1 : this.count(statement.times, statement);
    return this.measureTimes(statement, body);
  }

  private measureTimes(statement: Statement, body: Body): number {
    const times = statement.repetitions;
    switch (body.kind) {
      case 'instruction':
        return this.measureInstruction(statement, body);
      case 'binary':
        return body.bytes.length * times;
      case 'reserve':
        return this.count(body.count, statement) * body.itemBytes * times;
      case 'data': {
        let lengthBytes = 0;
        for (const item of body.items) {
          lengthBytes += item.kind === 'string' ? item.bytes.length : body.itemBytes;
        }
        return lengthBytes * times;
      }
      case 'nops':
        return times;
      default:
        return 0;
    }
  }

  private measureInstruction(statement: Statement, body: InstructionBody): number {
    const times = statement.repetitions;
    if (statement.bytes !== null) return statement.bytes.length * times;
    if (times === 0) return 0;
    const instruction = evaluateInstruction(body, this.context(statement, body.fixed));
    if (body.fixed) {
      statement.bytes = instruction?.encode(Long.ZERO)?.bytes ?? NO_BYTES;
      return statement.bytes.length * times;
    }
    if (instruction === null) return 0;
    if (times > MAX_ENCODED_REPETITIONS) {
      const limit = `more than ${MAX_ENCODED_REPETITIONS} times`;
      const message = `an instruction that depends on its place, ${limit}`;
      this.stop(statement, message);
      return 0;
    }
    return body.branch === null
      ? this.measureOther(statement, instruction) * times
      : measureBranches(statement, instruction);
  }

  /** Addresses change from pass to pass, but seldom what else the length depends on. */
  private measureOther(statement: Statement, instruction: EvaluatedInstruction): number {
    const before = this.measured.get(statement);
    if (before?.instruction.isAsLongAs(instruction) === true) return before.lengthBytes;
    const lengthBytes = instruction.measure(Long.fromNumber(statement.offset));
    this.measured.set(statement, { instruction, lengthBytes });
    return lengthBytes;
  }

  /**
   * A count of repetitions or items; 0 after reporting an error. Negative ones wait for the end.
   */
  private count(expression: Expression, statement: Statement): number {
    const { reporter } = this.session;
    if (this.failedCounts.has(expression)) return 0;
    const known = reporter.errors.length;
    const number = this.evaluateCount(expression, statement);
    if (reporter.errors.length > known) this.failedCounts.add(expression);
    return number;
  }

  private evaluateCount(expression: Expression, statement: Statement): number {
    const { reporter } = this.session;
    const explain = (symbol: AssemblerSymbol, place: Place) => this.explainCount(symbol, place);
    const value = evaluate(expression, { ...this.context(statement, true), explain });
    if (value === null) return 0;
    if (!isNumber(value)) {
      reporter.error(expression.place, 'an address cannot be a count', ['a plain number']);
      return 0;
    }
    const { number } = value;
    if (number.gt(MAX_SECTION_BYTES)) {
      reporter.error(expression.place, `${number} is too many`);
      return 0;
    }
    return number.isNegative() ? 0 : number.toNumber();
  }

  private explainCount(symbol: AssemblerSymbol, place: Place): void {
    const { session } = this;
    const { kind } = definitionOf(symbol);
    if (kind === 'undefined' || kind === 'failed') session.explain(symbol, place);
    else {
      const message = `a count cannot depend on '${symbol.name}', which is defined below`;
      session.reporter.error(place, message, ['a number', 'what is defined above']);
    }
  }

  /** What the expressions of a statement refer to. */
  private context(statement: Statement, isReporting: boolean): InstructionContext {
    const { session } = this;
    const { section, offset, place } = statement;
    return {
      here: termValue(section, Long.fromNumber(offset)),
      sectionStart: termValue(section),
      reporter: isReporting ? session.reporter : null,
      explain: (symbol, at) => session.explain(symbol, at),
      section,
      place,
      preferNear: this.pass >= IMPATIENT_PASS,
    };
  }
}

/** Each repetition of a branch is at another distance from its target. */
function measureBranches(statement: Statement, instruction: EvaluatedInstruction): number {
  statement.branchLengths ??= instruction.branchLengths();
  let lengthBytes = 0;
  for (let i = 0; i < statement.repetitions; i++) {
    const address = Long.fromNumber(statement.offset + lengthBytes);
    lengthBytes += instruction.measureBranch(address, statement.branchLengths);
  }
  return lengthBytes;
}
