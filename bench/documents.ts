// The results where people read them: in docs/performance.md between two comments, and as a chart
// beside it.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chart } from './chart.ts';
import { ROOT } from './images.ts';
import type { Results } from './results.ts';
import { resultText } from './tables.ts';

const PAGE = join(ROOT, 'docs/performance.md');
const CHART = join(ROOT, 'docs/performance.html');

export function updateDocuments(results: Results): void {
  const page = readFileSync(PAGE, 'utf8');
  const generated = /(<!-- bench: generated -->\n)[\s\S]*(\n<!-- end of bench -->)/;
  if (!generated.test(page)) throw new Error('docs/performance.md has no room for the results');
  const text = resultText(results).join('\n');
  writeFileSync(
    PAGE,
    page.replace(generated, (_, begin: string, end: string) => `${begin}\n${text}\n${end}`),
  );
  writeFileSync(CHART, chart(results));
}
