// Which line of the source each stretch of bytes comes from, for debuggers.

import type Long from 'long';
import type { CodeSize } from '../isa/index.ts';
import { type Place, visiblePlace } from './source.ts';
import type { Statement } from './statement.ts';

export interface SourcePosition {
  readonly file: string;
  /** Counts from 1. */
  readonly line: number;
}

/** The bytes of one instruction or data directive. */
export interface LineMapEntry extends SourcePosition {
  readonly address: Long;
  readonly lengthBytes: number;
  /** What an instruction was assembled for; null for data. */
  readonly codeSize: CodeSize | null;
  /** Where the line in the macro stands; null if no macro made these bytes. */
  readonly macro: SourcePosition | null;
}

/** The line map of laid out statements, in order of address. */
export function lineMap(statements: readonly Statement[]): LineMapEntry[] {
  const entries: LineMapEntry[] = [];
  for (const { section, offset, lengthBytes, place, body } of statements) {
    if (section.kind === 'nobits' || lengthBytes === 0) continue;
    const visible = visiblePlace(place);
    const macro = visible === place ? null : position(place);
    const address = section.vstart.add(offset);
    const codeSize = body?.kind === 'instruction' ? body.codeSize : null;
    entries.push({ address, lengthBytes, codeSize, ...position(visible), macro });
  }
  return entries.sort((a, b) => a.address.toUnsigned().compare(b.address.toUnsigned()));
}

function position({ origin, at }: Place): SourcePosition {
  return { file: origin.source.name, line: origin.source.lineAt(at) };
}
