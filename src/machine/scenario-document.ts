// Scenario text, YAML or JSON (which is YAML), to a document with the places of its values.

import { isScalar, LineCounter, parseDocument } from 'yaml';
import type { Path } from './schema.ts';
import type { ScenarioDocument } from './settings.ts';

/** A place in a text; line and column count from 1. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
}

export type ParsedDocument =
  | {
      readonly kind: 'ok';
      readonly document: ScenarioDocument;
      /** Where a value stands; the nearest enclosing one if it is not there itself. */
      readonly placeOf: (path: Path) => TextPlace;
    }
  | {
      readonly kind: 'errors';
      readonly errors: readonly (TextPlace & { readonly message: string })[];
    };

const START: TextPlace = { line: 1, column: 1 };

const A_SCENARIO = 'a scenario: keys and values, such as vms: and host:';

/**
 * Parse scenario text. Does not check keys and values: `checkScenario` does.
 * @param expected what the text is, for the message if it is nothing of the kind
 */
export function parseScenarioText(text: string, expected = A_SCENARIO): ParsedDocument {
  const lineCounter = new LineCounter();
  const parsed = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true });
  const placeAt = (offset: number): TextPlace => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  if (parsed.errors.length > 0) {
    const errors = parsed.errors.map(({ message, pos }) => ({ ...placeAt(pos[0]), message }));
    return { kind: 'errors', errors };
  }
  const document = toData(parsed);
  if (document === TOO_LARGE) {
    const message = 'aliases make this too large; write values out';
    return { kind: 'errors', errors: [{ ...START, message }] };
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    return { kind: 'errors', errors: [{ ...START, message: `expected ${expected}` }] };
  }
  return {
    kind: 'ok',
    document: document as ScenarioDocument,
    placeOf: (path) => {
      for (let length = path.length; length > 0; length--) {
        const offset = offsetOf(parsed, path.slice(0, length));
        if (offset !== null) return placeAt(offset);
      }
      return START;
    },
  };
}

const TOO_LARGE = Symbol('too large');

/** The values; a few lines of aliases to aliases could stand for millions of them. */
function toData(parsed: ReturnType<typeof parseDocument>): unknown {
  try {
    return parsed.toJS({ maxAliasCount: 100 });
  } catch {
    return TOO_LARGE;
  }
}

/** Offset of a key if the path ends in one, else of the value. */
function offsetOf(parsed: ReturnType<typeof parseDocument>, path: Path): number | null {
  const last = path[path.length - 1];
  const parent: unknown =
    path.length === 1 ? parsed.contents : parsed.getIn(path.slice(0, -1), true);
  if (typeof parent === 'object' && parent !== null && 'items' in parent) {
    for (const item of parent.items as Iterable<{ key?: unknown }>) {
      const { key } = item;
      if (isScalar(key) && String(key.value) === String(last)) return key.range?.[0] ?? null;
    }
  }
  const node: unknown = parsed.getIn([...path], true);
  const hasRange = typeof node === 'object' && node !== null && 'range' in node;
  return hasRange ? ((node.range as readonly number[] | null)?.[0] ?? null) : null;
}
