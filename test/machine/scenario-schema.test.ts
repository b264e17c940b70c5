// The JSON schema of scenarios: its defaults are values that it accepts, and the published one is
// that of the declaration.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { jsonSchema, SCENARIO } from '../../src/machine/index.ts';

test('defaults in the schema are values that the schema accepts', () => {
  const walk = (schema: Record<string, unknown>): void => {
    const { type, enum: choices, pattern } = schema;
    if ('default' in schema) {
      const value = schema.default;
      const types = [type].flat();
      if (choices !== undefined) expect(choices).toContain(value);
      else if (typeof value === 'number') expect(types).toContain('integer');
      else expect(types).toContain(typeof value);
      if (typeof value === 'string' && typeof pattern === 'string') {
        expect(value).toMatch(new RegExp(pattern));
      }
    }
    const { items, properties, additionalProperties } = schema;
    for (const inner of [items, additionalProperties, ...Object.values(properties ?? {})]) {
      if (typeof inner === 'object' && inner !== null) walk(inner as Record<string, unknown>);
    }
  };
  walk(jsonSchema(SCENARIO));
});

test('docs/scenario.schema.json is the schema of the declaration', () => {
  const path = new URL('../../docs/scenario.schema.json', import.meta.url);
  const $schema = 'https://json-schema.org/draft/2020-12/schema';
  const published: unknown = JSON.parse(readFileSync(path, 'utf8'));
  expect(published).toEqual({ $schema, ...jsonSchema(SCENARIO) });
});
