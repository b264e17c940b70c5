// What the assembler has to say about a source: collected while it goes on, so that one run reports
// everything, and rendered with the line, a caret and the chain of macros and includes.

import type { Place } from './source.ts';

/** A place as messages print it; line and column count from 1. */
export interface DiagnosticPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface Diagnostic extends DiagnosticPlace {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** What could stand here instead; empty if there is no short answer. */
  readonly expected: readonly string[];
  /** The text of the line. */
  readonly sourceLine: string;
  /** Innermost first: the macro call, repetition or include that led here. */
  readonly chain: readonly DiagnosticLink[];
}

export interface DiagnosticLink extends DiagnosticPlace {
  /** `in macro 'm' called from`, `included from`, ... */
  readonly text: string;
}

/** After this many errors the rest of a source says nothing new. */
const MAX_ERRORS = 200;

/** Collects diagnostics. */
export class Reporter {
  readonly errors: Diagnostic[] = [];
  readonly warnings: Diagnostic[] = [];
  /**
   * A part of the source is missing (an include, a branch of a condition), so that names which
   * seem unknown may well be defined there.
   */
  incomplete = false;
  /** Names of the files that were given, in order. */
  files: readonly string[] = [];
  private readonly seen = new Set<string>();

  /** More errors would not be kept: looking for good messages is in vain. */
  get isFull(): boolean {
    return this.errors.length > MAX_ERRORS;
  }

  error(place: Place, message: string, expected: readonly string[] = []): void {
    if (this.isFull) return;
    if (this.errors.length === MAX_ERRORS) {
      this.errors.push(describe('error', place, 'too many errors; the rest is not shown', []));
      return;
    }
    this.add(this.errors, describe('error', place, message, expected));
  }

  warn(place: Place, message: string, expected: readonly string[] = []): void {
    if (this.warnings.length >= MAX_ERRORS) return;
    this.add(this.warnings, describe('warning', place, message, expected));
  }

  /** The errors in the order of the source: passes report some before others. */
  inOrder(): readonly Diagnostic[] {
    const isLast = this.errors.length > MAX_ERRORS;
    const sortable = isLast ? this.errors.slice(0, -1) : this.errors;
    const fileOf = (diagnostic: Diagnostic) => this.files.indexOf(root(diagnostic).file);
    const sorted = [...sortable].sort(
      (a, b) => fileOf(a) - fileOf(b) || comparePlaces(root(a), root(b)) || comparePlaces(a, b),
    );
    return isLast ? [...sorted, ...this.errors.slice(-1)] : sorted;
  }

  private add(to: Diagnostic[], diagnostic: Diagnostic): void {
    const { file, line, column, message, chain } = diagnostic;
    const calls = chain.map((link) => `${link.file}:${link.line}`).join();
    const key = `${file}:${line}:${column}:${message}:${calls}`;
    if (this.seen.has(key)) return;
    this.seen.add(key);
    to.push(diagnostic);
  }
}

function describe(
  severity: Diagnostic['severity'],
  place: Place,
  message: string,
  expected: readonly string[],
): Diagnostic {
  const at = locate(place);
  const chain: DiagnosticLink[] = [];
  for (let { via } = place.origin; via !== null; via = via.from.origin.via) {
    chain.push({ ...locate(via.from), text: LINK_TEXTS[via.how](via.name) });
  }
  return {
    severity,
    ...at,
    message,
    expected,
    sourceLine: place.origin.source.line(at.line),
    chain,
  };
}

/** Where the file that was given to the assembler comes to it. */
function root(diagnostic: Diagnostic): DiagnosticPlace {
  return diagnostic.chain.at(-1) ?? diagnostic;
}

/** Places of different files have no order. */
function comparePlaces(a: DiagnosticPlace, b: DiagnosticPlace): number {
  return a.file === b.file ? a.line - b.line || a.column - b.column : 0;
}

const LINK_TEXTS = {
  include: () => 'included from',
  macro: (name: string) => `in macro '${name}' called from`,
  rep: (count: string) => `in repetition ${count} of`,
} as const;

function locate({ origin, at }: Place): DiagnosticPlace {
  const { source } = origin;
  return { file: source.name, line: source.lineAt(at), column: source.columnAt(at) };
}

/**
 * The text of a diagnostic:
 *
 *     boot.asm:3:5: error: unknown instruction 'mvo'
 *         mvo rax, 1
 *         ^
 *     expected: mov
 */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column, severity, message, sourceLine, expected, chain } = diagnostic;
  // Tabs stay tabs, so that the caret stands where the reader's editor puts the character.
  const indent = sourceLine.slice(0, column - 1).replace(/[^\t]/g, ' ');
  const lines = [`${file}:${line}:${column}: ${severity}: ${message}`];
  if (sourceLine.trim() !== '') lines.push(sourceLine, `${indent}^`);
  if (expected.length > 0) lines.push(`expected: ${expected.join(', ')}`);
  for (const link of chain) {
    lines.push(`  ${link.text} ${link.file}:${link.line}:${link.column}`);
  }
  return lines.join('\n');
}
