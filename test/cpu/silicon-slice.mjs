// Cuts the slice of recorded cases that the repository carries from the full recording:
//
//   node test/cpu/silicon-slice.mjs ../shared/conformance/silicon-x86-64/cases.jsonl
//
// Every seventh case of each class and mnemonic, the first included, so that none is missing.

import { readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants } from 'node:zlib';

const STEP = 7;

const [, , recording] = process.argv;
if (recording === undefined) throw new Error('usage: silicon-slice.mjs CASES.JSONL');
const seen = new Map();
const chosen = readFileSync(recording, 'utf8')
  .split('\n')
  .filter((line) => {
    if (line === '') return false;
    const { c, d = '?' } = JSON.parse(line);
    const kind = `${c} ${d.replace(/^((lock|rep\w*) )+/, '').split(' ')[0]}`;
    const count = seen.get(kind) ?? 0;
    seen.set(kind, count + 1);
    return count % STEP === 0;
  });
const text = Buffer.from(`${chosen.join('\n')}\n`);
const compressed = brotliCompressSync(text, {
  params: {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
  },
});
writeFileSync(new URL('silicon-slice.jsonl.br', import.meta.url), compressed);
