// The format files of events, as trace.dat carries them: /sys/kernel/tracing/events/*/*/format.
// Made from the tracepoints, and read again to find columns in files that others wrote.

import type { Column } from './property.ts';
import { COMMON_COLUMNS, type PlacedColumn, type Tracepoint } from './tracepoint.ts';
import { TRACEPOINTS, type TracepointName } from './tracepoints.ts';

const FIRST_ID = 256;

/** Tracepoints of a system, with the numbers that records in trace.dat have for them. */
export const EVENT_IDS: ReadonlyMap<TracepointName, number> = new Map(
  (Object.keys(TRACEPOINTS) as TracepointName[]).map((name, i) => [name, FIRST_ID + i]),
);

/** The format file of a tracepoint. */
export function formatFile(name: string, id: number, tracepoint: Tracepoint): string {
  return [
    `name: ${name}`,
    `ID: ${id}`,
    'format:',
    ...COMMON_COLUMNS.map(fieldLine),
    '',
    ...tracepoint.columns.map(fieldLine),
    '',
    `print fmt: ${tracepoint.printFormat}`,
    '',
  ].join('\n');
}

function fieldLine({ name, type, offset, sizeBytes, signed }: PlacedColumn): string {
  const declaration = type === 'char' ? `char ${name}[${sizeBytes}]` : `${type} ${name}`;
  const size = `size:${sizeBytes};\tsigned:${signed ? 1 : 0};`;
  return `\tfield:${declaration};\toffset:${offset};\t${size}`;
}

/** What a format file says: the number of an event, its name, and where its columns lie. */
export interface EventFormat {
  readonly id: number;
  readonly name: string;
  readonly columns: ReadonlyMap<string, FoundColumn>;
}

export interface FoundColumn extends Pick<Column, 'signed'> {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly isText: boolean;
}

const FIELD = /^\s*field:(.+?);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:([01]);)?/;

/** The meaning of a format file; null if it is none. */
export function parseFormatFile(text: string): EventFormat | null {
  const [, name] = /^name: (\w+)$/m.exec(text) ?? [];
  const [, id] = /^ID: (\d+)$/m.exec(text) ?? [];
  if (name === undefined || id === undefined) return null;
  const columns = new Map<string, FoundColumn>();
  for (const line of text.split('\n')) {
    const match = FIELD.exec(line);
    if (match === null) continue;
    const [, declaration, offset, sizeBytes, signed] = match;
    const [, column, array] = /(\w+)(\[[^\]]*\])?$/.exec(declaration) ?? [];
    if (column === undefined) continue;
    columns.set(column, {
      offset: Number(offset),
      sizeBytes: Number(sizeBytes),
      signed: signed === '1',
      isText: array !== undefined,
    });
  }
  return { id: Number(id), name, columns };
}
