// The assembler as a whole: source in, bytes and what is known about them out.

import Long from 'long';
import type { Diagnostic } from './diagnostics.ts';
import { GasParser } from './gas/parser.ts';
import { Layout } from './layout.ts';
import { lex, lexText } from './lexer.ts';
import { type LineMapEntry, lineMap } from './line-map.ts';
import { type FileOfProgram, link } from './link.ts';
import { listing } from './listing.ts';
import { Parser } from './parser.ts';
import { Preprocessor } from './preprocessor.ts';
import { type ReadFile, Session } from './session.ts';
import { type SourceFile, SourceText, syntaxOf } from './source.ts';
import { sectionOf } from './value.ts';

export interface AssembleOptions {
  /** Gives %include and INCBIN their files; without it there are none. */
  readonly readFile?: ReadFile;
  /** Single-line macros without parameters, by name, as `%define` would define them. */
  readonly defines?: Readonly<Record<string, string>>;
  /** Address of the first byte if the source has no `org`; 0 if this is not given either. */
  readonly origin?: Long;
}

export interface AssembledSymbol {
  readonly name: string;
  /** The address of a label, the number of an EQU. */
  readonly value: Long;
  readonly kind: 'label' | 'equ';
  /** Name of the section that it is an address in; null for a plain number. */
  readonly section: string | null;
  readonly global: boolean;
}

export interface AssembledSection {
  readonly name: string;
  /** Where its labels count from: where it runs. */
  readonly address: Long;
  /** Where it is loaded, which is the same unless the source says something else. */
  readonly loadAddress: Long;
  readonly lengthBytes: number;
  /** `nobits` sections are not part of the bytes; whoever loads them must clear their memory. */
  readonly kind: 'progbits' | 'nobits';
}

export type Assembled =
  | {
      readonly kind: 'ok';
      /** The flat binary, to be loaded at `origin`. */
      readonly bytes: Uint8Array;
      readonly origin: Long;
      readonly symbols: readonly AssembledSymbol[];
      readonly sections: readonly AssembledSection[];
      /** In order of address. */
      readonly lineMap: readonly LineMapEntry[];
      /** The listing, as `nasm -l` writes it. */
      readonly listing: () => string;
      readonly warnings: readonly Diagnostic[];
    }
  | {
      readonly kind: 'errors';
      /** In the order of the source; never empty. */
      readonly errors: readonly Diagnostic[];
      readonly warnings: readonly Diagnostic[];
    };

/** Assemble a source. Never throws, whatever the source; all its errors are reported at once. */
export function assemble(source: SourceFile, options: AssembleOptions = {}): Assembled {
  return assembleFiles([source], options);
}

/**
 * Assemble sources to one program, each behind the one before. What is global in one of them, the
 * others may refer to.
 */
export function assembleFiles(
  sources: readonly SourceFile[],
  options: AssembleOptions = {},
): Assembled {
  const session = new Session(options.readFile ?? (() => null));
  const { reporter } = session;
  const { warnings } = reporter;
  reporter.files = sources.map(({ name }) => name);
  const files = sources.map((source, i) => {
    if (i > 0) session.nextFile();
    return read(source, session, options.defines ?? {});
  });
  const statements = link(files, session);
  const origin = session.origin ?? session.sections.ownOrigin ?? options.origin ?? Long.ZERO;
  const bytes = new Layout(session, statements).run(origin);
  if (bytes === null || reporter.errors.length > 0) {
    return { kind: 'errors', errors: reporter.inOrder(), warnings };
  }
  const lines = files.flatMap((file) => file.listing);
  return {
    kind: 'ok',
    bytes,
    origin,
    symbols: symbolsOf(session),
    sections: session.sections.all
      .filter((section) => section.size > 0)
      .map(({ name, start, vstart, size, kind }) => ({
        name,
        address: vstart,
        loadAddress: start,
        lengthBytes: size,
        kind,
      })),
    lineMap: lineMap(statements),
    listing: () => listing(lines, bytes, origin),
    warnings,
  };
}

/** Read one file in its language. */
function read(
  source: SourceFile,
  session: Session,
  defines: Readonly<Record<string, string>>,
): FileOfProgram {
  const text = new SourceText(source);
  const { symbols } = session;
  const isGas = syntaxOf(source) === 'gas';
  const parsed = isGas ? readGas(text, session, defines) : readNasm(text, session, defines);
  return { ...parsed, symbols, implicit: isGas, alignments: session.sections.takeAlignments() };
}

type Parsed = Pick<FileOfProgram, 'statements' | 'listing' | 'commons'>;

function readNasm(
  source: SourceText,
  session: Session,
  defines: Readonly<Record<string, string>>,
): Parsed {
  const preprocessor = new Preprocessor(session);
  predefine(preprocessor, defines);
  const parser = new Parser(session);
  const origin = { source, via: null };
  const lines = lex(source);
  const place = { origin, at: 0 };
  preprocessor.enter(
    { kind: 'include', lines, origin, call: null, listed: true, remaining: 0 },
    place,
  );
  for (let line = preprocessor.next(); line !== null; line = preprocessor.next()) {
    parser.parse(line);
  }
  parser.directives.finish();
  return { statements: parser.statements, listing: preprocessor.listing, commons: [] };
}

function readGas(
  source: SourceText,
  session: Session,
  defines: Readonly<Record<string, string>>,
): Parsed {
  const parser = new GasParser(source, session);
  parser.define(defines);
  parser.run();
  return { statements: parser.statements, listing: parser.reader.listing, commons: parser.commons };
}

function predefine(preprocessor: Preprocessor, defines: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(defines)) {
    const source = new SourceText({ name: '<defines>', text: `${name} ${text}` });
    const place = { origin: { source, via: null }, at: 0 };
    const [token] = lexText(name, 0);
    const body = lexText(text, 0);
    if (token?.kind !== 'name' || token.text !== name) {
      preprocessor.session.reporter.error(place, `'${name}' cannot be defined`, ['a name']);
    } else preprocessor.context.singleLine.define(token, null, body, false, place);
  }
}

function symbolsOf(session: Session): AssembledSymbol[] {
  const symbols: AssembledSymbol[] = [];
  for (const { name, kind, value, global } of session.allSymbols()) {
    // Labels of macro calls have names that nobody wrote.
    if (
      (kind !== 'label' && kind !== 'equ') ||
      value === null ||
      /^\.\.@\d|^section\./.test(name)
    ) {
      continue;
    }
    const section = sectionOf(value);
    const address = section === null ? value.number : value.number.add(section.vstart);
    symbols.push({ name, value: address, kind, section: section?.name ?? null, global });
  }
  return symbols;
}
