// Directives that set something for the lines after them. NASM manual, "Assembler Directives".

import type Long from 'long';
import type { CodeSize } from '../isa/index.ts';
import { nearest } from '../sim/index.ts';
import type { Cursor } from './cursor.ts';
import { parseExpression } from './expression.ts';
import type { Token } from './lexer.ts';
import type { Placing, Section } from './sections.ts';
import type { Session } from './session.ts';
import type { Place } from './source.ts';
import { DIRECTIVES } from './vocabulary.ts';

export class Directives {
  /** The section that statements go to. */
  section: Section;
  /** `default rel` is in force. */
  relative = false;
  private readonly session: Session;
  private bitsGiven = false;
  /** The last `default rel`, or null. */
  private relativeFrom: Place | null = null;
  private defaultGiven = false;
  /** An address that is absolute because nothing had been said yet. */
  private earlyAddress = false;

  constructor(session: Session) {
    this.session = session;
    this.section = session.sections.text;
  }

  /** Obey the directive at the cursor; false if there is none. */
  parse(cursor: Cursor, labelled: boolean): boolean {
    const bracketed = cursor.at('[');
    const word = cursor.keyword(bracketed ? 1 : 0);
    if (!bracketed && !DIRECTIVES.includes(word)) return false;
    const { place } = cursor;
    if (labelled) {
      cursor.error(place, `a label cannot stand before '${word}'`);
      return true;
    }
    if (bracketed) cursor.take();
    if (!DIRECTIVES.includes(word)) {
      const meant = nearest(word, DIRECTIVES);
      cursor.error(cursor.place, `unknown directive '${word}'`, meant === null ? [] : [meant]);
      return true;
    }
    cursor.take();
    if (this.obey(word, cursor) === null) return true;
    if (bracketed && !cursor.accept(']')) cursor.fail(["']'"]);
    else if (!cursor.atEnd) cursor.fail(['the end of the line']);
    return true;
  }

  /** NASM takes a flat binary for 16-bit code unless it is told otherwise. */
  noticeInstruction(cursor: Cursor): void {
    if (this.bitsGiven) return;
    this.bitsGiven = true;
    const message = "no 'bits 64' before the first instruction; NASM would assemble 16-bit code";
    cursor.warn(cursor.place, message, ["'bits 64' at the top of the file"]);
  }

  /** An address without registers that is neither `rel` nor `abs`. */
  noticeAddress(): void {
    if (!this.defaultGiven && this.session.codeSize === 64) this.earlyAddress = true;
  }

  /** Check what can be told only when all lines have been read. */
  finish(): void {
    if (!this.relative || !this.earlyAddress || this.relativeFrom === null) return;
    // The setting is not reset between NASM's passes.
    const message = "NASM would apply this 'default rel' to the addresses above, too";
    this.session.reporter.error(this.relativeFrom, message, ["'default rel' at the top"]);
  }

  /** An ALIGN in the section makes the section start at least so aligned. */
  raiseAlignment(boundary: number): void {
    this.session.sections.raiseAlign(this.section, boundary);
  }

  /** Null after reporting an error. */
  private obey(word: string, cursor: Cursor): true | null {
    switch (word) {
      case 'bits':
        return this.bits(cursor);
      case 'use16':
      case 'use32':
      case 'use64':
        return this.setBits(Number(word.slice(3)) as CodeSize);
      case 'cpu':
        return this.cpu(cursor);
      case 'org':
        return this.org(cursor);
      case 'default':
        return this.defaults(cursor);
      case 'global':
      case 'extern':
        return this.names(cursor, word);
      default:
        return this.selectSection(cursor);
    }
  }

  private number(cursor: Cursor): Long | null {
    const value = parseExpression(cursor, this.session.symbols);
    return value === null ? null : this.session.constant(value);
  }

  private bits(cursor: Cursor): true | null {
    const { place } = cursor;
    const number = this.number(cursor);
    if (number === null) return null;
    this.bitsGiven = true;
    if (number.eq(16)) return this.setBits(16);
    if (number.eq(32)) return this.setBits(32);
    if (number.eq(64)) return this.setBits(64);
    return cursor.error(place, `there is no ${number}-bit code`, ['16', '32', '64']);
  }

  private setBits(codeSize: CodeSize): true {
    this.bitsGiven = true;
    this.session.codeSize = codeSize;
    return true;
  }

  /** The processor that the source is for: any instruction of the table is accepted all the same. */
  private cpu(cursor: Cursor): true | null {
    const { place } = cursor;
    let name = '';
    while (!cursor.atEnd && !cursor.at(']')) name += cursor.take()?.text.toLowerCase();
    if (CPUS.has(name)) return true;
    return cursor.error(place, `there is no processor '${name}'`, ['386', '686', 'x64']);
  }

  private org(cursor: Cursor): true | null {
    const { place } = cursor;
    const number = this.number(cursor);
    if (number === null) return null;
    const { origin } = this.session;
    if (origin !== null && !origin.eq(number)) {
      return cursor.error(place, `the origin is already 0x${origin.toUnsigned().toString(16)}`);
    }
    this.session.origin = number;
    return true;
  }

  private defaults(cursor: Cursor): true | null {
    do {
      const word = cursor.keyword();
      if (word !== 'rel' && word !== 'abs') return cursor.fail(['rel', 'abs']);
      this.relative = word === 'rel';
      this.defaultGiven = true;
      if (this.relative) this.relativeFrom = cursor.place;
      cursor.take();
    } while (cursor.keyword() !== '');
    return true;
  }

  private names(cursor: Cursor, word: 'global' | 'extern'): true | null {
    do {
      const token = cursor.peek();
      if (token?.kind !== 'name') return cursor.fail(['a symbol']);
      const symbol = this.session.symbols.refer(token.text);
      if (word === 'extern') symbol.externalAt ??= cursor.place;
      else symbol.global = true;
      cursor.take();
    } while (cursor.accept(','));
    return true;
  }

  private selectSection(cursor: Cursor): true | null {
    const token = cursor.peek();
    if (token?.kind !== 'name' && token?.kind !== 'string') return cursor.fail(['a section name']);
    cursor.take();
    const name = token.kind === 'string' ? token.text.slice(1, -1) : token.text;
    const attributes = this.attributes(cursor);
    if (attributes === null) return null;
    const usual = name === '.bss' ? 'nobits' : 'progbits';
    const { sections } = this.session;
    const known = name === '.bss' || name === '.data' ? usual : (attributes.kind ?? usual);
    const section = sections.find(name) ?? sections.add(name, known);
    this.section = section;
    if (attributes.kind !== null && attributes.kind !== section.kind) {
      return cursor.error(cursor.placeOf(token), `section ${name} is already ${section.kind}`);
    }
    this.raiseAlignment(attributes.align);
    return this.setPlacing(section, attributes.placing, cursor, token);
  }

  /** What is said about a section's place goes with what has been said before. */
  private setPlacing(
    section: Section,
    given: Partial<Placing>,
    cursor: Cursor,
    token: Token,
  ): true | null {
    const { placing } = section;
    const place = cursor.placeOf(token);
    for (const key of ['start', 'vstart'] as const) {
      const [before, now] = [placing[key], given[key] ?? null];
      if (before !== null && now !== null && !before.eq(now)) {
        return cursor.error(place, `section ${section.name} has another ${key} already`);
      }
    }
    Object.assign(placing, given);
    if (Object.keys(given).length > 0) placing.place ??= place;
    const isTwice = (a: unknown, b: unknown) => a !== null && b !== null;
    if (isTwice(placing.start, placing.follows)) {
      return cursor.error(place, "'start' and 'follows' say the same thing", ['one of them']);
    }
    if (isTwice(placing.vstart, placing.vfollows)) {
      return cursor.error(place, "'vstart' and 'vfollows' say the same thing", ['one of them']);
    }
    return true;
  }

  private attributes(cursor: Cursor): SectionAttributes | null {
    let kind: Section['kind'] | null = null;
    let align = 0;
    let placing: Partial<Placing> = {};
    for (let token = cursor.peek(); token?.kind === 'name'; token = cursor.peek()) {
      const word = cursor.keyword();
      const hasValue = cursor.at('=', 1);
      if (word === 'nobits' || word === 'progbits') {
        cursor.take();
        kind = word;
      } else if (word === 'align' && hasValue) {
        const given = this.sectionAlign(cursor, token);
        if (given === null) return null;
        align = Math.max(align, given);
      } else if (hasValue && PLACING.includes(word)) {
        const given = this.placing(cursor, token, word);
        if (given === null) return null;
        placing = { ...placing, ...given };
      } else {
        const message = `unknown section attribute '${token.text}'`;
        const expected = ['align=N', 'nobits', 'progbits', ...PLACING.map((name) => `${name}=`)];
        return cursor.error(cursor.placeOf(token), message, expected);
      }
    }
    return { kind, align, placing };
  }

  private placing(cursor: Cursor, token: Token, word: string): Partial<Placing> | null {
    if (word === 'valign') {
      const valign = this.sectionAlign(cursor, token);
      return valign === null ? null : { valign };
    }
    cursor.take();
    cursor.take();
    if (word === 'start' || word === 'vstart') {
      const number = this.number(cursor);
      return number === null ? null : { [word]: number };
    }
    const named = cursor.peek();
    const section = named?.kind === 'name' ? this.session.sections.find(named.text) : undefined;
    if (section === undefined) return cursor.fail(['a section that stands above']);
    cursor.take();
    return word === 'follows' ? { follows: section } : { vfollows: section };
  }

  private sectionAlign(cursor: Cursor, token: Token): number | null {
    cursor.take();
    cursor.take();
    const number = this.number(cursor);
    if (number === null) return null;
    if (number.le(0) || !number.and(number.sub(1)).isZero() || number.gt(2 ** 30)) {
      return cursor.error(cursor.placeOf(token), `cannot align to ${number}`, ['a power of two']);
    }
    return number.toNumber();
  }
}

interface SectionAttributes {
  readonly kind: Section['kind'] | null;
  readonly align: number;
  readonly placing: Partial<Placing>;
}

/** Attributes that say where a section lies, or runs. */
const PLACING: readonly string[] = ['start', 'vstart', 'follows', 'vfollows', 'valign'];

/** What NASM knows by a name. */
const CPUS: ReadonlySet<string> = new Set([
  ...['8086', '186', '286', '386', '486', '586', 'pentium', '686', 'p6', 'ppro', 'pentiumpro'],
  ...['p2', 'p3', 'katmai', 'p4', 'willamette', 'prescott', 'x64', 'x86-64', 'ia64', 'itanium'],
  ...['itanic', 'merced', 'nehalem', 'westmere', 'sandybridge', 'any', 'all', 'default'],
  ...['vex', 'evex', 'latevex'],
]);
