// Several files to one program: symbols of one file that are those of another, common symbols, and
// the padding between what files put into the same section.

import Long from 'long';
import type { Expression } from './expression.ts';
import type { ListedLine } from './listing.ts';
import { loadedSection, type Section } from './sections.ts';
import type { Session } from './session.ts';
import type { Place } from './source.ts';
import { type Body, createStatement, type Statement } from './statement.ts';
import type { AssemblerSymbol, SymbolTable } from './symbols.ts';
import { numberValue, termValue, type Value } from './value.ts';

/** Space that belongs to a symbol unless some file defines it. */
export interface CommonSymbol {
  readonly symbol: AssemblerSymbol;
  readonly lengthBytes: number;
  readonly align: number;
  readonly place: Place;
}

/** What has been read from one file. */
export interface FileOfProgram {
  readonly statements: readonly Statement[];
  readonly listing: readonly ListedLine[];
  readonly symbols: SymbolTable;
  /** What the file does not define it takes from others without a word. */
  readonly implicit: boolean;
  /** What the file asks of sections. */
  readonly alignments: ReadonlyMap<Section, number>;
  readonly commons: readonly CommonSymbol[];
}

/** Connect the symbols of the files, and give all their statements in order. */
export function link(files: readonly FileOfProgram[], session: Session): readonly Statement[] {
  const statements = files.flatMap((file, i) => [
    ...(i === 0 ? [] : padding(file)),
    ...file.statements,
  ]);
  statements.unshift(...sectionStarts(files, session));
  const globals = findGlobals(files, session);
  for (const { commons } of files) {
    for (const common of commons) statements.push(...place(common, files, globals, session));
  }
  for (const { symbols, implicit } of files) {
    for (const symbol of symbols.all) {
      const { kind, name, externalAt } = symbol;
      if (kind !== 'undefined' || (!implicit && externalAt === null)) continue;
      symbol.definition = globals.get(name) ?? null;
      if (symbol.definition !== null || externalAt === null) continue;
      const message = `'${name}' is global in none of the files`;
      session.reporter.error(externalAt, message, ['a file that defines it']);
    }
  }
  return statements;
}

/** Definitions of what NASM calls `section.NAME.start` and `section.NAME.vstart`. */
function sectionStarts(files: readonly FileOfProgram[], { sections }: Session): Statement[] {
  const statements: Statement[] = [];
  for (const { symbols, statements: own } of files) {
    for (const symbol of symbols.all) {
      const [, name = '', which] = SECTION_START.exec(symbol.name) ?? [];
      const section = sections.find(name);
      const place = own[0]?.place;
      if (symbol.kind !== 'undefined' || section === undefined || place === undefined) continue;
      symbol.kind = 'equ';
      const of = termValue(which === 'start' ? loadedSection(section) : section);
      const value = constant(of, place);
      const body = { kind: 'equ', symbol, value } as const;
      statements.push(unlisted({ label: null, body, section, place }));
    }
  }
  return statements;
}

const SECTION_START = /^section\.(.+)\.(v?start)$/;

/** The definitions that all files see. Reports what two files define. */
function findGlobals(
  files: readonly FileOfProgram[],
  { reporter }: Session,
): Map<string, AssemblerSymbol> {
  const globals = new Map<string, AssemblerSymbol>();
  for (const { symbols } of files) {
    for (const symbol of symbols.all) {
      const { name, definedAt } = symbol;
      if (!symbol.global || definedAt === null) continue;
      const other = globals.get(name)?.definedAt;
      if (other === undefined || other === null) globals.set(name, symbol);
      else {
        const { source } = other.origin;
        const where = `${source.name}:${source.lineAt(other.at)}`;
        reporter.error(definedAt, `'${name}' is already global, defined at ${where}`);
      }
    }
  }
  return globals;
}

/** What a file adds to a section begins where the file wants the section to begin. */
function padding(file: FileOfProgram): Statement[] {
  return [...file.alignments].flatMap(([section, boundary]) => {
    const first = file.statements.find((statement) => statement.section === section);
    return first === undefined || boundary < 2 ? [] : [alignment(section, boundary, first.place)];
  });
}

function alignment(section: Section, boundary: number, place: Place): Statement {
  const filler: Body =
    section.kind === 'nobits'
      ? reserve(1, place)
      : section.name.startsWith('.text')
        ? { kind: 'nops', codeSize: 64 }
        : { kind: 'data', itemBytes: 1, items: [{ kind: 'string', bytes: new Uint8Array(1) }] };
  const body = { kind: 'align', boundary, filler } as const;
  return unlisted({ label: null, body, section, place });
}

/** Space in .bss, once for all files, as large as the largest of them wants it. */
function place(
  { symbol, place: at }: CommonSymbol,
  files: readonly FileOfProgram[],
  globals: Map<string, AssemblerSymbol>,
  session: Session,
): Statement[] {
  if (symbol.definedAt !== null || (symbol.global && globals.has(symbol.name))) return [];
  const same = files
    .flatMap(({ commons }) => commons)
    .filter((one) => one.symbol === symbol || (symbol.global && one.symbol.name === symbol.name));
  const boundary = Math.max(...same.map(({ align }) => align));
  const lengthBytes = Math.max(...same.map((one) => one.lengthBytes));
  const { sections } = session;
  const section = sections.find('.bss') ?? sections.add('.bss', 'nobits');
  sections.raiseAlign(section, boundary);
  symbol.kind = 'label';
  symbol.definedAt = at;
  if (symbol.global) globals.set(symbol.name, symbol);
  const body = reserve(lengthBytes, at);
  return [alignment(section, boundary, at), unlisted({ label: symbol, body, section, place: at })];
}

function reserve(lengthBytes: number, place: Place): Body {
  const count = constant(numberValue(Long.fromNumber(lengthBytes)), place);
  return { kind: 'reserve', itemBytes: 1, count };
}

function constant(value: Value, place: Place): Expression {
  return { steps: [{ kind: 'value', value, at: place.at }], place, fixed: true };
}

function unlisted(given: Pick<Statement, 'label' | 'body' | 'section' | 'place'>): Statement {
  const listed = { number: 0, depth: 0, text: '', statements: [] };
  return createStatement({ ...given, times: null, listed });
}
