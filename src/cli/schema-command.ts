// `vmxlab schema`: what editors need to check and complete YAML as it is typed.

import { definitionSchema } from '../experiment/index.ts';
import { jsonSchema, SCENARIO } from '../machine/index.ts';
import { nearest } from '../sim/index.ts';
import { Failure } from './failure.ts';

/** By what they are of. */
const SCHEMAS: Readonly<Record<string, () => Record<string, unknown>>> = {
  scenario: () => jsonSchema(SCENARIO),
  experiment: definitionSchema,
};

/** Print a schema, that of scenarios if none is named, and return the exit code. */
export function schemaCommand(of = 'scenario'): number {
  if (!Object.hasOwn(SCHEMAS, of)) {
    const known = Object.keys(SCHEMAS);
    const near = nearest(of, known);
    const hint = near === null ? `known: ${known.join(', ')}` : `did you mean '${near}'?`;
    throw new Failure(`there is no schema of '${of}'; ${hint}`);
  }
  const $schema = 'https://json-schema.org/draft/2020-12/schema';
  process.stdout.write(`${JSON.stringify({ $schema, ...SCHEMAS[of]() }, null, 2)}\n`);
  return 0;
}
