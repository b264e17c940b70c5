// One tracepoint: its properties, the columns of its binary record and where they lie, and its
// text. All of it follows from one declaration in tracepoints.ts.

import Long from 'long';
import type { Way } from './field-reader.ts';
import type { Column, Property, Raw } from './property.ts';
import { COMM_BYTES } from './property.ts';
import { type Access, hexDigits, type Template, templateOf } from './template.ts';

/** The properties of an event, some of them in groups. */
export type Properties = { readonly [name: string]: Property<unknown> | Properties };

/** What the properties of an event amount to. */
export type FieldsOfProperties<P> =
  P extends Property<infer T> ? T : { readonly [Name in keyof P]: FieldsOfProperties<P[Name]> };

/** A column in its place. */
export interface PlacedColumn extends Column {
  readonly offset: number;
}

/** Columns that every record begins with; the type is the tracepoint's id. */
export const COMMON_COLUMNS: readonly PlacedColumn[] = [
  { name: 'common_type', type: 'unsigned short', sizeBytes: 2, signed: false, offset: 0 },
  { name: 'common_flags', type: 'unsigned char', sizeBytes: 1, signed: false, offset: 2 },
  { name: 'common_preempt_count', type: 'unsigned char', sizeBytes: 1, signed: false, offset: 3 },
  { name: 'common_pid', type: 'int', sizeBytes: 4, signed: true, offset: 4 },
];

const COMMON_BYTES = 8;

/** A property with its name and the way to it. */
interface Leaf extends Access {
  readonly path: readonly string[];
  readonly name: string;
}

/** Who declares a tracepoint: two parts of the kernel, and we. */
export type TraceSystem = 'kvm' | 'sched' | 'vmxlab';

/** What a tracepoint said in kernels before one. */
export interface Earlier {
  /** The first kernel in which it was otherwise, such as 5.4. */
  readonly until: string;
  /** Its name then, if it had another one. */
  readonly name?: string;
  /** Of the properties of today, those that it had. */
  readonly properties: Properties;
  readonly text: string;
}

/** What a tracepoint was before it was as today. */
export interface History {
  /** The first kernel that has it; left out if all have. */
  readonly since?: string;
  /** The first kernel that has it no more; left out if the newest has it. */
  readonly until?: string;
  /** The oldest first. */
  readonly earlier?: readonly Earlier[];
}

/** A tracepoint under the name that it had, until a kernel. */
export interface EarlierLayout {
  readonly until: string;
  readonly name: string | null;
  readonly tracepoint: Tracepoint;
}

export class Tracepoint<F = unknown> {
  readonly system: TraceSystem;
  /** ftrace's latency columns. */
  readonly flags: string;
  /** The first kernel that has it, or null. */
  readonly since: string | null;
  /** The first one that has it no more, or null. */
  readonly until: string | null;
  /** As it was, the oldest first. */
  readonly earlier: readonly EarlierLayout[];
  private readonly leaves: readonly Leaf[];
  private readonly text: string;
  private placed: readonly PlacedColumn[] | null = null;
  private compiled: Template | null = null;
  private writers: readonly ((fields: F, view: DataView, at: number) => void)[] | null = null;

  constructor(
    system: TraceSystem,
    flags: string,
    properties: Properties,
    text: string,
    { since, until, earlier = [] }: History = {},
  ) {
    this.system = system;
    this.flags = flags;
    this.since = since ?? null;
    this.until = until ?? null;
    this.earlier = earlier.map(({ until, name = null, ...old }) => ({
      until,
      name,
      tracepoint: new Tracepoint(system, flags, old.properties, old.text),
    }));
    this.leaves = leavesOf(properties, []);
    this.text = text;
  }

  /** The text of an event. */
  print(fields: F): string {
    return this.template.print(fields);
  }

  /** Ways to the values that an event's text and record depend on. */
  get ways(): readonly Way[] {
    const varying = this.leaves.filter(({ property }) => property.constant === undefined);
    return varying.map(({ path, property }) => {
      const nothing = property.fromRaw(property.parts.map(() => 0));
      return { path, isLong: Long.isLong(nothing) };
    });
  }

  /** The kernel's print format for it. */
  get printFormat(): string {
    return this.template.printFormat;
  }

  /** The event that a text tells of; null if it is not of this kind. */
  parse(text: string): F | null {
    const values = this.template.parse(text);
    if (values === null) return null;
    return this.assemble(({ name }) => values.get(name) ?? null);
  }

  /** Names of the properties, with dots within groups. */
  get names(): readonly string[] {
    return this.leaves.map(({ name }) => name);
  }

  /** Names of the values that a property has; null if it has others. */
  valueNames(name: string): readonly string[] | null {
    const symbols = this.leaves.find((leaf) => leaf.name === name)?.property.symbols ?? null;
    return symbols === null ? null : Object.keys(symbols);
  }

  /** Each property with its value as text; what has 64 bits is hexadecimal. */
  describe(fields: F): readonly (readonly [name: string, text: string])[] {
    return this.leaves.map(({ name, get }) => {
      const value = get(fields);
      return [name, Long.isLong(value) ? `0x${hexDigits(value)}` : String(value)];
    });
  }

  /** The columns of its own, in order. */
  get columns(): readonly PlacedColumn[] {
    this.placed ??= place(this.leaves.flatMap(({ property }) => property.parts));
    return this.placed;
  }

  /** Bytes of a record. */
  get sizeBytes(): number {
    const last = this.columns.at(-1);
    return last === undefined ? COMMON_BYTES : alignUp(last.offset + last.sizeBytes, 4);
  }

  /** Write an event's own columns to a place that holds zeros. */
  encode(fields: F, view: DataView, at: number): void {
    this.writers ??= this.leaves.flatMap((leaf) => this.writersOf(leaf));
    for (const write of this.writers) write(fields, view, at);
  }

  /** The event whose columns hold these values. */
  decode(read: (column: string) => Raw): F {
    return this.assemble(({ property }) =>
      property.fromRaw(property.parts.map(({ column }) => read(column.name))),
    );
  }

  /** An event of which an earlier kernel told less: what it did not tell is zero. */
  complete(fields: unknown): F {
    return this.assemble(({ property, get }) => {
      const told = get(fields) ?? null;
      return told ?? property.fromRaw(property.parts.map(() => 0));
    });
  }

  private get template(): Template {
    this.compiled ??= templateOf(this.text, new Map(this.leaves.map((leaf) => [leaf.name, leaf])));
    return this.compiled;
  }

  private writersOf({ property, get }: Leaf) {
    return property.parts.map(({ column, shift, toRaw }) => {
      const offset = this.columns.find(({ name }) => name === column.name)?.offset ?? 0;
      return (fields: F, view: DataView, at: number) =>
        writeRaw(view, at + offset, column, shift, toRaw(get(fields)));
    });
  }

  private assemble(value: (leaf: Leaf) => unknown): F {
    const fields: Record<string, unknown> = {};
    for (const leaf of this.leaves) {
      let group = fields;
      for (const name of leaf.path.slice(0, -1)) {
        group[name] ??= {};
        group = group[name] as Record<string, unknown>;
      }
      group[leaf.path.at(-1) ?? ''] = value(leaf);
    }
    return fields as F;
  }
}

function isProperty(value: Property<unknown> | Properties): value is Property<unknown> {
  return Array.isArray(value.parts);
}

function leavesOf(properties: Properties, path: readonly string[]): Leaf[] {
  return Object.entries(properties).flatMap(([name, value]) => {
    const inner = [...path, name];
    if (!isProperty(value)) return leavesOf(value, inner);
    const { constant } = value;
    const get = constant === undefined ? getterOf(inner) : () => constant;
    return [{ path: inner, name: inner.join('.'), property: value, get }];
  });
}

function getterOf(path: readonly string[]): (fields: unknown) => unknown {
  const [first, ...rest] = path;
  const own = (fields: unknown) => (fields as Record<string, unknown>)[first];
  if (rest.length === 0) return own;
  const inner = getterOf(rest);
  return (fields) => inner(own(fields));
}

/** Columns one after the other, each once and aligned as in C. */
function place(parts: readonly { readonly column: Column }[]): PlacedColumn[] {
  const placed: PlacedColumn[] = [];
  let offset = COMMON_BYTES;
  for (const { column } of parts) {
    if (placed.some(({ name }) => name === column.name)) continue;
    offset = alignUp(offset, column.sizeBytes === COMM_BYTES ? 1 : column.sizeBytes);
    placed.push({ ...column, offset });
    offset += column.sizeBytes;
  }
  return placed;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

function writeRaw(view: DataView, at: number, column: Column, shift: number, raw: Raw): void {
  if (typeof raw === 'string') {
    writeText(view, at, raw);
    return;
  }
  if (typeof raw === 'number') {
    if (column.sizeBytes === 1) view.setUint8(at, raw);
    else {
      // Others may hold bits in the same column; none lie across the middle of 64.
      const word = at + (shift < 32 ? 0 : 4);
      view.setUint32(word, view.getUint32(word, true) | (raw << (shift & 31)), true);
    }
    return;
  }
  view.setInt32(at, raw.low, true);
  view.setInt32(at + 4, raw.high, true);
}

/** Names are ASCII: what is not shows as a question mark. */
function writeText(view: DataView, at: number, text: string): void {
  const length = Math.min(text.length, COMM_BYTES - 1);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    view.setUint8(at + i, code < 0x80 ? code : 0x3f);
  }
}
