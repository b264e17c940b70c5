// Bytes of a few instructions, for 16-bit, 32-bit and 64-bit code.

import { assemble } from '../../src/asm/index.ts';

export function codeBytes(bits: 16 | 32 | 64, origin: number, source: string): Uint8Array {
  const text = `bits ${bits}\norg ${origin}\n${source}\n`;
  const assembled = assemble({ name: 'bench.asm', text });
  if (assembled.kind === 'ok') return assembled.bytes;
  throw new Error(assembled.errors.map(({ message }) => `${message} in ${source}`).join('\n'));
}
