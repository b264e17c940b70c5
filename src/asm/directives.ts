// Directives that set something for the lines after them. NASM manual, "Assembler Directives".

import type Long from 'long';
import { nearest } from '../sim/index.ts';
import type { Cursor } from './cursor.ts';
import { parseExpression } from './expression.ts';
import type { Token } from './lexer.ts';
import type { Section } from './sections.ts';
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
    if (!this.defaultGiven) this.earlyAddress = true;
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
      case 'use64':
        this.bitsGiven = true;
        return true;
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
    if (number.eq(64)) return true;
    return number.eq(16) || number.eq(32)
      ? cursor.error(place, `${number}-bit code is not supported`, ['64'])
      : cursor.error(place, `there is no ${number}-bit code`, ['64']);
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
    return true;
  }

  private attributes(cursor: Cursor): SectionAttributes | null {
    let kind: Section['kind'] | null = null;
    let align = 0;
    for (let token = cursor.peek(); token?.kind === 'name'; token = cursor.peek()) {
      const word = cursor.keyword();
      if (word === 'nobits' || word === 'progbits') {
        cursor.take();
        kind = word;
      } else if (word === 'align' && cursor.at('=', 1)) {
        const given = this.sectionAlign(cursor, token);
        if (given === null) return null;
        align = Math.max(align, given);
      } else {
        const message = `unknown section attribute '${token.text}'`;
        return cursor.error(cursor.placeOf(token), message, ['align=N', 'nobits', 'progbits']);
      }
    }
    return { kind, align };
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
}
