// Directives that take up space: numbers, strings, fillings, alignment, files. GNU as manual,
// "Assembler Directives".

import Long from 'long';
import type { Cursor } from '../cursor.ts';
import type { Expression, Step } from '../expression.ts';
import { encodeUtf8 } from '../literals.ts';
import type { Place } from '../source.ts';
import type { Body, DataItem } from '../statement.ts';
import { numberValue } from '../value.ts';
import { constantExpression, type GasContext, parseGasExpression } from './expression.ts';
import { gasStringBytes, octaBytes } from './literals.ts';
import type { GasSections } from './sections.ts';

/** What a directive puts where it stands: `times` that body. */
export interface PlacedBody {
  readonly body: Body;
  readonly times: Expression | null;
}

/** Directives with a list of numbers, and bytes of one. */
export const NUMBERS: ReadonlyMap<string, number> = new Map([
  ['.byte', 1],
  ['.word', 2],
  ['.short', 2],
  ['.value', 2],
  ['.hword', 2],
  ['.2byte', 2],
  ['.long', 4],
  ['.int', 4],
  ['.4byte', 4],
  ['.quad', 8],
  ['.8byte', 8],
]);

/** Reads what stands behind space-taking directives; every method gives null after an error. */
export class GasData {
  private readonly context: GasContext;
  private readonly sections: GasSections;

  constructor(context: GasContext, sections: GasSections) {
    this.context = context;
    this.sections = sections;
  }

  numbers(cursor: Cursor, itemBytes: number): PlacedBody | null {
    const items: DataItem[] = [];
    if (cursor.atEnd) return plain({ kind: 'data', itemBytes, items });
    do {
      const value = parseGasExpression(cursor, this.context, items.length * itemBytes);
      if (value === null) return null;
      items.push(this.item(value));
    } while (cursor.accept(','));
    return plain({ kind: 'data', itemBytes, items });
  }

  /** Zeros are all that a section without bytes can hold. */
  private item(value: Expression): DataItem {
    if (!this.sections.isNobits) return { kind: 'expression', value };
    const known = this.context.session.constantNow(value);
    return known?.number.isZero() ? { kind: 'uninitialized' } : { kind: 'expression', value };
  }

  strings(cursor: Cursor, terminated: boolean): PlacedBody | null {
    const items: DataItem[] = [];
    if (cursor.atEnd) return plain({ kind: 'data', itemBytes: 1, items });
    do {
      const token = cursor.peek();
      if (token?.kind !== 'string' || token.text[0] !== '"') return cursor.fail(['a string']);
      const bytes = gasStringBytes(token.text);
      cursor.take();
      items.push({ kind: 'string', bytes });
      if (terminated) items.push({ kind: 'string', bytes: new Uint8Array(1) });
    } while (cursor.accept(','));
    return plain({ kind: 'data', itemBytes: 1, items });
  }

  octas(cursor: Cursor): PlacedBody | null {
    const items: DataItem[] = [];
    do {
      const isNegative = cursor.accept('-');
      const token = cursor.peek();
      const bytes = token?.kind === 'number' ? octaBytes(token.text, isNegative) : null;
      if (bytes === null) return cursor.fail(['a number']);
      cursor.take();
      items.push({ kind: 'string', bytes });
    } while (cursor.accept(','));
    return plain({ kind: 'data', itemBytes: 1, items });
  }

  /** `.skip size, fill` */
  skip(cursor: Cursor): PlacedBody | null {
    const count = parseGasExpression(cursor, this.context);
    const fill = count === null ? null : this.optional(cursor);
    return count === null || fill === null ? null : this.filled(count, 1, fill);
  }

  /** `.fill repeat, size, value`: a value has 4 bytes, and zeros above them. */
  fill(cursor: Cursor): PlacedBody | null {
    const repeat = parseGasExpression(cursor, this.context);
    if (repeat === null) return null;
    const { place } = cursor;
    const size = cursor.accept(',') ? this.number(cursor) : Long.ONE;
    if (size === null) return null;
    if (size.lt(0) || size.gt(8)) return cursor.error(place, `a size of ${size}`, ['0 to 8']);
    const value = cursor.accept(',') ? this.number(cursor) : Long.ZERO;
    if (value === null) return null;
    const low = size.gt(4) ? value.and(0xffffffff) : value;
    const step: Step = { kind: 'value', value: numberValue(low), at: place.at };
    return this.filled(repeat, size.toNumber(), { steps: [step], place, fixed: true });
  }

  /** `.org position, fill`: up to an offset into the section, or up to a label. */
  org(cursor: Cursor): PlacedBody | null {
    const to = parseGasExpression(cursor, this.context);
    const fill = to === null ? null : this.optional(cursor);
    if (to === null || fill === null) return null;
    const { at } = to.place;
    const isNumber = this.context.session.constantNow(to) !== null;
    const minus = { kind: 'binary', operator: '-', at } as const;
    const here: Step[] = [{ kind: 'here', at }];
    if (isNumber) here.push({ kind: 'sectionStart', at }, minus);
    const count = { steps: [...to.steps, ...here, minus], place: to.place, fixed: false };
    return this.filled(count, 1, fill);
  }

  private filled(times: Expression, itemBytes: number, value: Expression): PlacedBody {
    const known = this.context.session.constantNow(value);
    if (this.sections.isNobits && known?.number.isZero()) {
      return { body: { kind: 'data', itemBytes, items: [{ kind: 'uninitialized' }] }, times };
    }
    const items = itemBytes === 0 ? [] : [{ kind: 'expression', value } as const];
    return { body: { kind: 'data', itemBytes, items }, times };
  }

  /** `.align boundary, fill, most`, the boundary perhaps as a power. */
  align(cursor: Cursor, isPower: boolean): PlacedBody | null {
    const { place } = cursor;
    const number = cursor.atEnd ? Long.ZERO : this.number(cursor);
    if (number === null) return null;
    const boundary = isPower && number.ge(0) && number.le(30) ? Long.ONE.shl(number.low) : number;
    if (isPower && boundary === number && number.neq(1)) {
      return cursor.error(place, `2 to the power of ${number} is no boundary`, ['0 to 30']);
    }
    const isBoundary = boundary.ge(0) && boundary.and(boundary.sub(1)).isZero();
    if (!isBoundary || boundary.gt(2 ** 30)) {
      return cursor.error(place, `cannot align to ${boundary}`, ['a power of two']);
    }
    let fill: Expression | null = null;
    if (cursor.accept(',') && !cursor.at(',')) {
      fill = parseGasExpression(cursor, this.context);
      if (fill === null) return null;
    }
    const most = cursor.accept(',') ? this.number(cursor) : null;
    const section = this.sections.current;
    const bytes = Math.max(1, boundary.toNumber());
    if (section !== null) this.context.session.sections.raiseAlign(section, bytes);
    const filler = this.filler(fill, place);
    const limit = most === null || most.le(0) ? {} : { most: most.toNumber() };
    return plain({ kind: 'align', boundary: bytes, filler, ...limit });
  }

  private filler(fill: Expression | null, place: Place): Body {
    const isZero = fill === null;
    if (this.sections.isNobits && isZero) {
      return { kind: 'reserve', itemBytes: 1, count: constantExpression(1, place) };
    }
    if (isZero && this.sections.isCode) {
      return { kind: 'nops', codeSize: this.context.session.codeSize };
    }
    const value = fill ?? constantExpression(0, place);
    return { kind: 'data', itemBytes: 1, items: [{ kind: 'expression', value }] };
  }

  /** `.incbin "file", skip, count` */
  binary(cursor: Cursor): PlacedBody | null {
    const token = cursor.peek();
    if (token?.kind !== 'string' || token.text[0] !== '"') {
      return cursor.fail(['a file name in quotes']);
    }
    const { place } = cursor;
    cursor.take();
    const numbers: number[] = [];
    while (numbers.length < 2 && cursor.accept(',')) {
      const number = cursor.at(',') ? Long.ZERO : this.number(cursor);
      if (number === null) return null;
      if (number.lt(0) || number.gt(2 ** 40)) {
        return cursor.error(place, `${number} is not a count of bytes`, ['0 or more']);
      }
      numbers.push(number.toNumber());
    }
    const path = String.fromCharCode(...gasStringBytes(token.text));
    const { session } = this.context;
    const contents = session.readFile(path, 'binary', cursor.line.origin.source.name);
    if (contents === null) return cursor.error(place, `cannot read file '${path}'`);
    const bytes = typeof contents === 'string' ? encodeUtf8(contents) : contents;
    const skip = numbers[0] ?? 0;
    const end = skip + (numbers[1] ?? bytes.length);
    return plain({ kind: 'binary', bytes: bytes.subarray(skip, end) });
  }

  /** A number that is known here. */
  number(cursor: Cursor): Long | null {
    const value = parseGasExpression(cursor, this.context);
    return value === null ? null : this.context.session.constant(value);
  }

  /** What follows a comma, or 0. */
  private optional(cursor: Cursor): Expression | null {
    const { place } = cursor;
    if (!cursor.accept(',')) return constantExpression(0, place);
    return parseGasExpression(cursor, this.context);
  }
}

function plain(body: Body): PlacedBody {
  return { body, times: null };
}
