// What the parts of one assembly share: the reader of files, the reporter, symbols and sections;
// and the evaluation of expressions that must have a value while the source is still being read.

import type Long from 'long';
import type { CodeSize } from '../isa/index.ts';
import { nearest } from '../sim/index.ts';
import { Reporter } from './diagnostics.ts';
import { type EvaluationContext, evaluate } from './evaluate.ts';
import type { Expression } from './expression.ts';
import { SectionTable } from './sections.ts';
import type { Place } from './source.ts';
import { type AssemblerSymbol, definitionOf, SymbolTable } from './symbols.ts';
import { isNumber, type Value } from './value.ts';

/**
 * Gives the contents of a file that a source names, or null if there is none.
 * @param path as the source writes it
 * @param from name of the file that asks, as in messages
 */
export type ReadFile = (
  path: string,
  kind: 'text' | 'binary',
  from: string,
) => string | Uint8Array | null;

export class Session {
  readonly reporter = new Reporter();
  /** Of the file that is being read. */
  symbols = new SymbolTable();
  /** Of all files so far, in order. */
  readonly tables: SymbolTable[] = [this.symbols];
  readonly sections = new SectionTable();
  readonly readFile: ReadFile;
  /** What code is being read: 64-bit until the file says something else. */
  codeSize: CodeSize = 64;
  /** From `org`, or null. */
  origin: Long | null = null;
  /** Macros whose definition has an error: their calls are not reported again. */
  readonly failedMacros = new Set<string>();

  private readonly undefinedReported = new Set<AssemblerSymbol>();

  constructor(readFile: ReadFile) {
    this.readFile = readFile;
  }

  /** Begin with a file that knows nothing of those before. */
  nextFile(): void {
    this.symbols = new SymbolTable();
    this.tables.push(this.symbols);
    this.failedMacros.clear();
    this.codeSize = 64;
  }

  /** The symbols of all files. */
  *allSymbols(): Generator<AssemblerSymbol> {
    for (const table of this.tables) yield* table.all;
  }

  /** The number that an expression is worth already here; null after reporting an error. */
  constant(expression: Expression): Long | null {
    const value = evaluate(expression, this.context(this.reporter));
    if (value === null) return null;
    if (isNumber(value)) return value.number;
    this.reporter.error(expression.place, 'an address is not known yet here', ['a plain number']);
    return null;
  }

  /** The same for an expression that may well have no value yet. Reports nothing. */
  constantNow(expression: Expression): Value | null {
    // What the reporter hears of here is not an error.
    const value = evaluate(expression, this.context(new Reporter()));
    return value === null || !isNumber(value) ? null : value;
  }

  /** Report that a symbol is nowhere defined, once for each symbol. */
  explain(symbol: AssemblerSymbol, place: Place): void {
    // What is defined but has no value has an error of its own.
    if (definitionOf(symbol).kind !== 'undefined' || symbol.externalAt !== null) return;
    if (this.reporter.incomplete || this.reporter.isFull) return;
    if (this.undefinedReported.has(symbol)) return;
    this.undefinedReported.add(symbol);
    const meant = nearest(symbol.name, this.definedNames());
    const expected = meant === null ? [] : [meant];
    this.reporter.error(place, `'${symbol.name}' is not defined`, expected);
  }

  private *definedNames(): Generator<string> {
    for (const { name, kind } of this.allSymbols()) {
      if (kind !== 'undefined' && !name.startsWith('..@')) yield name;
    }
  }

  private context(reporter: Reporter): EvaluationContext {
    const explain = (symbol: AssemblerSymbol, place: Place) =>
      explainEarly(symbol, place, reporter);
    return { here: null, sectionStart: null, reporter, explain };
  }
}

function explainEarly(symbol: AssemblerSymbol, place: Place, reporter: Reporter): void {
  if (symbol.kind === 'failed' || reporter.incomplete) return;
  const message =
    symbol.kind === 'label'
      ? `'${symbol.name}' is an address, which is not known yet here`
      : `'${symbol.name}' has no value here`;
  reporter.error(place, message, ['a number', 'a constant that is defined above']);
}
