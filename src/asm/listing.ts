// The listing, in the columns of `nasm -l`: line, offset, bytes, source. Lines of includes, macros
// and repetitions carry their depth in angle brackets. Fields that depend on where a section stands
// show the offset into it, in brackets if absolute and in parentheses if relative.

import type Long from 'long';
import type { AddressField, Body, Statement } from './statement.ts';

/** A line of the listing and what was assembled from it. */
export interface ListedLine {
  readonly number: number;
  /** 0 in the file itself. */
  readonly depth: number;
  readonly text: string;
  readonly statements: Statement[];
}

/** Characters of the column of bytes, without the hyphen that announces more. */
const BYTES_COLUMNS = 18;

/** Up to so many reserved bytes are shown one by one. */
const MAX_SHOWN_RESERVED = 8;

/** What is printed in one piece. */
interface Piece {
  /** Into the section; null for what goes with the piece before. */
  readonly offset: number | null;
  readonly text: string;
}

/** The text of the listing. */
export function listing(lines: readonly ListedLine[], bytes: Uint8Array, origin: Long): string {
  const text: string[] = [];
  for (const line of lines) {
    const pieces = line.statements.flatMap((statement) =>
      statementPieces(statement, bytes, origin),
    );
    const rows = arrange(pieces);
    rows.forEach((row, i) => {
      text.push(rowText(line, row, i === 0));
    });
  }
  return text.map((row) => `${row}\n`).join('');
}

interface Row {
  readonly offset: number;
  text: string;
}

/** Pieces in rows; a hyphen ends a row that goes on. */
function arrange(pieces: readonly Piece[]): (Row | null)[] {
  const rows: Row[] = [];
  for (const { offset, text } of pieces) {
    const row = rows.at(-1);
    if (row === undefined) rows.push({ offset: offset ?? 0, text });
    else if (row.text.length + text.length > BYTES_COLUMNS) {
      row.text += '-';
      rows.push({ offset: offset ?? row.offset, text });
    } else row.text += text;
  }
  return rows.length === 0 ? [null] : rows;
}

function rowText({ number, depth, text }: ListedLine, row: Row | null, isFirst: boolean): string {
  const bytes =
    row === null
      ? ' '.repeat(BYTES_COLUMNS + 10)
      : `${hex(row.offset, 8)} ${row.text.padEnd(BYTES_COLUMNS + 1)}`;
  const mark = depth > 0 ? `${depth < 10 ? ' ' : ''}<${depth}>` : isFirst ? '    ' : '';
  return `${String(number).padStart(6)} ${bytes}${mark}${isFirst ? ` ${text}` : ''}`;
}

function statementPieces(statement: Statement, bytes: Uint8Array, origin: Long): Piece[] {
  const { body, offset, lengthBytes, repetitions } = statement;
  if (body === null || lengthBytes === 0) return [];
  const repeated = body.kind === 'align' ? body.filler : body;
  if (repeated.kind === 'reserve') return reservedPieces(offset, lengthBytes);
  const once = Math.floor(lengthBytes / repetitions);
  const pieces: Piece[] =
    repeated.kind === 'binary'
      ? [{ offset, text: `<bin ${hex(once, 0)}h>` }]
      : bodyPieces(statement, repeated, once, bytes, origin);
  if (repetitions > 1) pieces.push({ offset: null, text: `<rep ${hex(repetitions, 0)}h>` });
  return pieces;
}

function bodyPieces(
  statement: Statement,
  body: Body,
  lengthBytes: number,
  bytes: Uint8Array,
  origin: Long,
): Piece[] {
  const { section, offset, fields } = statement;
  const isUninitialized = body.kind === 'data' && section.kind === 'nobits';
  if (isUninitialized) return reservedPieces(offset, lengthBytes);
  const start = section.start.sub(origin).toNumber() + offset;
  const pieces: Piece[] = [];
  for (let at = 0; at < lengthBytes; ) {
    const field = fields.find((candidate) => candidate.at === at);
    const text = field === undefined ? hex(bytes[start + at] ?? 0, 2) : fieldText(field);
    pieces.push({ offset: offset + at, text });
    at += field?.lengthBytes ?? 1;
  }
  return pieces;
}

function reservedPieces(offset: number, lengthBytes: number): Piece[] {
  if (lengthBytes > MAX_SHOWN_RESERVED) return [{ offset, text: `<res ${hex(lengthBytes, 0)}h>` }];
  return Array.from({ length: lengthBytes }, (_, at) => ({ offset: offset + at, text: '??' }));
}

function fieldText({ lengthBytes, relative, shown }: AddressField): string {
  const digits = Array.from({ length: lengthBytes }, (_, i) =>
    hex(((i < 4 ? shown.low : shown.high) >>> (8 * (i & 3))) & 255, 2),
  );
  return relative ? `(${digits.join('')})` : `[${digits.join('')}]`;
}

function hex(number: number, digits: number): string {
  return number.toString(16).toUpperCase().padStart(digits, '0');
}
