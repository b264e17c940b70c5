// The directives of GAS. GNU as manual, "Assembler Directives", "x86 Dependent Features". Those
// that shape the source (.if, .macro, .rept, .include) are the reader's, those that take up space
// data.ts's.

import { nearest } from '../../sim/index.ts';
import type { Cursor } from '../cursor.ts';
import type { Place } from '../source.ts';
import { CONDITIONS } from './conditions.ts';
import { GasData, NUMBERS, type PlacedBody } from './data.ts';
import type { GasContext } from './expression.ts';
import { gasStringBytes } from './literals.ts';
import type { GasSections } from './sections.ts';

/** For debuggers, linkers and processors of objects: they say nothing about a flat binary. */
const IGNORED: ReadonlySet<string> = new Set([
  ...['.file', '.loc', '.ident', '.version', '.type', '.size', '.extern', '.local', '.line', '.ln'],
  ...['.hidden', '.internal', '.protected', '.addrsig', '.addrsig_sym', '.att_mnemonic'],
  ...['.intel_mnemonic', '.arch', '.eject', '.list', '.nolist', '.title', '.sbttl'],
  ...[
    '.psize',
    '.print',
    '.stabs',
    '.stabn',
    '.stabd',
    '.def',
    '.endef',
    '.scl',
    '.loc_mark_labels',
  ],
]);

/** What GNU as has and this has not. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  ...['.abort', '.altmacro', '.noaltmacro', '.balignw', '.balignl', '.p2alignw', '.p2alignl'],
  ...['.bundle_align_mode', '.bundle_lock', '.bundle_unlock', '.cfi_escape'],
  ...['.dc', '.dc.a', '.dc.b', '.dc.l', '.dc.w', '.dcb', '.ds', '.double', '.eqv', '.float'],
  ...['.func', '.endfunc', '.gnu_attribute', '.insn', '.linkonce', '.lto_discard', '.mri', '.nop'],
  ...[
    '.nops',
    '.offset',
    '.reloc',
    '.set_alignment',
    '.single',
    '.sleb128',
    '.string16',
    '.string32',
  ],
  ...['.string64', '.string8', '.struct', '.subsection', '.symver', '.tfloat', '.uleb128'],
  ...[
    '.vtable_entry',
    '.vtable_inherit',
    '.warning_as_error',
    '.weakref',
    '.zerofill',
    '.bfloat16',
  ],
  ...['.hfloat', '.largecomm', '.slong', '.sframe'],
]);

/** Sections that are directives themselves. */
const SECTIONS: ReadonlySet<string> = new Set(['.text', '.data', '.bss']);

/** What counts even in a section that is left out. */
const EVERYWHERE: ReadonlySet<string> = new Set([
  ...[...SECTIONS, '.section', '.pushsection', '.popsection', '.previous', '.globl', '.global'],
  ...['.weak', '.comm', '.lcomm', '.set', '.equ', '.equiv', '.intel_syntax', '.att_syntax', '.end'],
  ...['.code16', '.code16gcc', '.code32', '.code64'],
]);

/** What a directive asks the parser to do. */
export type Directed =
  | { readonly kind: 'placed'; readonly placed: PlacedBody }
  | { readonly kind: 'set'; readonly name: string; readonly place: Place; readonly fresh: boolean }
  | { readonly kind: 'end' }
  /** Obeyed already, or wrong. */
  | { readonly kind: 'done' };

const DONE: Directed = { kind: 'done' };

type Handler = (cursor: Cursor, word: string, place: Place) => PlacedBody | Directed | null;

export class GasDirectives {
  private readonly context: GasContext;
  private readonly sections: GasSections;
  private readonly data: GasData;
  private readonly handlers: ReadonlyMap<string, Handler>;

  constructor(context: GasContext, sections: GasSections) {
    this.context = context;
    this.sections = sections;
    const data = new GasData(context, sections);
    this.data = data;
    const ignore: Handler = (cursor) => skipLine(cursor);
    const each = (names: Iterable<string>, handler: Handler) =>
      [...names].map((name) => [name, handler] as const);
    this.handlers = new Map<string, Handler>([
      ...each(NUMBERS.keys(), (cursor, word) => data.numbers(cursor, NUMBERS.get(word) ?? 1)),
      ['.octa', (cursor) => data.octas(cursor)],
      ['.ascii', (cursor) => data.strings(cursor, false)],
      ...each(['.asciz', '.string'], (cursor) => data.strings(cursor, true)),
      ...each(['.zero', '.skip', '.space'], (cursor) => data.skip(cursor)),
      ['.fill', (cursor) => data.fill(cursor)],
      ['.org', (cursor) => data.org(cursor)],
      ...each(['.align', '.balign'], (cursor) => data.align(cursor, false)),
      ['.p2align', (cursor) => data.align(cursor, true)],
      ['.incbin', (cursor) => data.binary(cursor)],
      ...each(SECTIONS, (cursor, word) => this.select(cursor, word)),
      ['.section', (cursor) => this.section(cursor, false)],
      ['.pushsection', (cursor) => this.section(cursor, true)],
      ['.popsection', (cursor, word, place) => this.pop(cursor, word, place)],
      ['.previous', () => this.swap()],
      ...each(['.globl', '.global', '.weak'], (cursor) => this.global(cursor)),
      ...each(['.comm', '.lcomm'], (cursor, word) => this.common(cursor, word, data)),
      ...each(['.set', '.equ', '.equiv'], (cursor, word) => set(cursor, word)),
      ['.intel_syntax', (cursor) => this.syntax(cursor, true)],
      ['.att_syntax', (cursor) => this.syntax(cursor, false)],
      ...each(['.err', '.error', '.warning'], (cursor, word, at) => this.message(cursor, word, at)),
      ['.end', () => ({ kind: 'end' })],
      ...each(['.code16', '.code16gcc', '.code32', '.code64'], (_, word) => this.code(word)),
      ...each(IGNORED, ignore),
    ]);
  }

  /** Obey the directive at the cursor. */
  obey(cursor: Cursor): Directed {
    const { place } = cursor;
    const word = cursor.keyword();
    if (this.sections.current === null && !EVERYWHERE.has(word)) return DONE;
    const handler = this.handlers.get(word) ?? (/^\.cfi_/.test(word) ? skipLine : undefined);
    if (handler === undefined || UNSUPPORTED.has(word)) {
      this.unknown(cursor, word);
      return DONE;
    }
    cursor.take();
    const result = handler(cursor, word, place);
    if (result === null) return DONE;
    if ('kind' in result) {
      if (result.kind === 'done' && !cursor.atEnd) cursor.fail(['the end of the line']);
      return result;
    }
    if (!cursor.atEnd) {
      cursor.fail(["','", 'the end of the line']);
      return DONE;
    }
    return { kind: 'placed', placed: result };
  }

  /** `. = position` is `.org position`; the cursor stands at the position. */
  moveTo(cursor: Cursor): Directed {
    const placed = this.data.org(cursor);
    if (placed === null) return DONE;
    if (cursor.atEnd) return { kind: 'placed', placed };
    cursor.fail(['the end of the line']);
    return DONE;
  }

  private unknown(cursor: Cursor, word: string): void {
    const { reporter } = this.context.session;
    if (UNSUPPORTED.has(word)) {
      cursor.error(cursor.place, `'${word}' is not supported`);
      return;
    }
    if (reporter.incomplete) return;
    const words = [...this.handlers.keys(), ...CONDITIONS.keys(), '.macro', '.rept', '.include'];
    const meant = nearest(word, words);
    cursor.error(cursor.place, `unknown directive '${word}'`, meant === null ? [] : [meant]);
  }

  /** `.text`, perhaps with the number of a subsection. */
  private select(cursor: Cursor, name: string): Directed | null {
    if (!cursor.atEnd && cursor.peek()?.text !== '0') {
      return cursor.error(cursor.place, 'subsections are not supported');
    }
    cursor.take();
    this.sections.select(name, null, '');
    return DONE;
  }

  /** `.section name, "flags", @type, ...` */
  private section(cursor: Cursor, pushes: boolean): Directed | null {
    const token = cursor.peek();
    let name = token?.kind === 'string' ? token.text.slice(1, -1) : '';
    if (token?.kind === 'string') cursor.take();
    // A name may have hyphens: .note.GNU-stack.
    else {
      for (let next = token; next !== undefined && !cursor.at(','); next = cursor.peek()) {
        name += next.text;
        cursor.take();
      }
    }
    if (name === '') return cursor.fail(['a section name']);
    let flags: string | null = null;
    if (cursor.accept(',') && cursor.peek()?.kind === 'string') {
      flags = cursor.take()?.text ?? null;
      cursor.accept(',');
    }
    const hasType = cursor.accept('@') || cursor.accept('%');
    const registerLike = cursor.peek()?.kind === 'register' ? cursor.peek()?.text.slice(1) : null;
    const type = hasType ? cursor.keyword() : (registerLike ?? '');
    while (!cursor.atEnd) cursor.take();
    if (pushes) this.sections.push();
    this.sections.select(name, flags, type);
    return DONE;
  }

  private pop(cursor: Cursor, word: string, place: Place): Directed | null {
    if (this.sections.pop()) return DONE;
    return cursor.error(place, `${word} without a .pushsection before it`);
  }

  private swap(): Directed {
    this.sections.swap();
    return DONE;
  }

  private global(cursor: Cursor): Directed | null {
    do {
      const token = cursor.peek();
      if (token?.kind !== 'name') return cursor.fail(['a symbol']);
      this.context.symbols.named(token.text).global = true;
      cursor.take();
    } while (cursor.accept(','));
    return DONE;
  }

  /** `.comm symbol, size, align`: space in .bss, if nothing else defines the symbol. */
  private common(cursor: Cursor, word: string, data: GasData): Directed | null {
    const token = cursor.peek();
    if (token?.kind !== 'name') return cursor.fail(['a symbol']);
    const place = cursor.placeOf(token);
    cursor.take();
    if (!cursor.accept(',')) return cursor.fail(["','"]);
    const size = data.number(cursor);
    if (size === null) return null;
    const given = cursor.accept(',') ? data.number(cursor) : null;
    if (size.lt(0) || size.gt(2 ** 32)) return cursor.error(place, `${size} is no size`);
    const lengthBytes = size.toNumber();
    const align = given?.toNumber() ?? usualAlign(lengthBytes);
    if (align < 1 || align > 2 ** 30 || (align & (align - 1)) !== 0) {
      return cursor.error(place, `cannot align to ${align}`, ['a power of two']);
    }
    const symbol = this.context.symbols.named(token.text);
    if (word === '.comm') symbol.global = true;
    this.sections.commons.set(symbol, { symbol, lengthBytes, align, place });
    return DONE;
  }

  private syntax(cursor: Cursor, intel: boolean): Directed | null {
    const word = cursor.keyword();
    if (word === 'noprefix' || word === 'prefix') cursor.take();
    if (!intel && word === 'noprefix') {
      return cursor.error(cursor.place, 'AT&T syntax without percent signs is not supported');
    }
    this.context.intel = intel;
    return DONE;
  }

  private code(word: string): Directed {
    const { session } = this.context;
    session.codeSize = word === '.code64' ? 64 : word === '.code32' ? 32 : 16;
    this.context.wideStack = word === '.code16gcc';
    return DONE;
  }

  private message(cursor: Cursor, word: string, place: Place): Directed {
    const token = cursor.peek();
    const isText = token?.kind === 'string' && token.text[0] === '"';
    const text = isText
      ? String.fromCharCode(...gasStringBytes(token.text))
      : `${word} stands here`;
    while (!cursor.atEnd) cursor.take();
    if (word === '.warning') cursor.warn(place, text);
    else cursor.error(place, text);
    return DONE;
  }
}

function skipLine(cursor: Cursor): Directed {
  while (!cursor.atEnd) cursor.take();
  return DONE;
}

/** `.set name, value`: the parser reads the value. */
function set(cursor: Cursor, word: string): Directed | null {
  const token = cursor.peek();
  if (token?.kind !== 'name') return cursor.fail(['a symbol']);
  const place = cursor.placeOf(token);
  cursor.take();
  if (!cursor.accept(',')) return cursor.fail(["','"]);
  return { kind: 'set', name: token.text, place, fresh: word === '.equiv' };
}

/** ELF: as its size is, up to 16. */
function usualAlign(lengthBytes: number): number {
  let align = 1;
  while (align < 16 && align * 2 <= lengthBytes) align *= 2;
  return align;
}
