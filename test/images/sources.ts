// The sources of the images, and what our assembler makes of them.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assemble, formatDiagnostic } from '../../src/asm/index.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

export const LIBRARY = join(FOLDER, 'lib/');

/** Names of all images. */
export const IMAGES: readonly string[] = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.asm'))
  .map((file) => file.replace('.asm', ''));

export const sourceFile = (name: string) => join(FOLDER, `${name}.asm`);

/** How many processors an image asks for in its opening comment; otherwise one. */
export function processorsOf(name: string): number {
  const opening = readFileSync(sourceFile(name), 'utf8').split('\n\n', 1)[0];
  const found = ['Two', 'Three', 'Four'].findIndex((word) =>
    opening.includes(`${word} processors.`),
  );
  return found < 0 ? 1 : found + 2;
}

const assembledImages = new Map<string, Uint8Array>();

/** An image as our assembler makes it, once. Throws its errors. */
export function assembleImage(name: string): Uint8Array {
  const known = assembledImages.get(name);
  if (known !== undefined) return known;
  const text = readFileSync(sourceFile(name), 'utf8');
  const readFile = (path: string) => {
    const file = join(LIBRARY, path);
    return existsSync(file) ? readFileSync(file, 'utf8') : null;
  };
  const assembled = assemble({ name: `${name}.asm`, text }, { readFile });
  if (assembled.kind !== 'ok') throw new Error(assembled.errors.map(formatDiagnostic).join('\n'));
  assembledImages.set(name, assembled.bytes);
  return assembled.bytes;
}
