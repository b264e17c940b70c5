// Reports: what tables and figures say of results, and that what is written can be read by others.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkDefinition } from '../../src/experiment/definition.ts';
import { cyclictestText } from '../../src/experiment/histogram.ts';
import { estimateText, numberText } from '../../src/experiment/number-text.ts';
import { standardReport, valueText } from '../../src/experiment/report.ts';
import { experimentCsv, experimentDocument } from '../../src/experiment/report-data.ts';
import { experimentHtml } from '../../src/experiment/report-html.ts';
import { experimentMarkdown, experimentText } from '../../src/experiment/report-text.ts';
import { Results, type RunOutcome, runOf } from '../../src/experiment/results.ts';
import { studyOf } from '../../src/experiment/study.ts';
import type { RunReport } from '../../src/machine/index.ts';
import { Browser } from '../support/browser.ts';
import { missing } from '../support/outside-tools.ts';
import { FAINTEST_TEXT, FIGURE_SIZES, TEXTS_OVER_EACH_OTHER } from '../support/page-probes.ts';

const DEFINITION = {
  name: 'locks',
  title: 'Locks <&> "loads"',
  note: 'First.\n\nSecond | third.',
  scenario: { vms: [{ program: 'a.asm' }] },
  factors: { lock: { tas: {}, 'ticket <1>': {} }, hogs: [0, 2, 4] },
  seeds: 3,
  outputs: {
    time: { value: 'virtualNs', unit: 'ns', better: 'lower' },
    waits: { value: 'vms[0].output', kind: 'histogram', unit: 'us' },
  },
  compare: [{ factor: 'lock', from: 'tas', to: 'ticket <1>', output: 'time' }],
  measured: [{ cell: { lock: 'tas', hogs: 0 }, output: 'time', value: 90, sd: 4, source: 'A & B' }],
  figures: [
    { kind: 'bars', output: 'time' },
    { kind: 'lines', output: 'time' },
    { kind: 'heat', output: 'time', x: 'hogs', y: 'lock' },
    { kind: 'tornado', output: 'time', base: { lock: 'tas', hogs: 2 } },
    { kind: 'histogram', output: 'waits' },
  ],
};

/** Times are 100 + 10 hogs + seed, twice that with tickets; waits as many as the seed, at 3. */
function outcomeOf(lock: string, hogs: number, seed: number): RunOutcome {
  if (hogs === 4 && seed === 3) return { kind: 'failed', lines: ['it broke'] };
  const virtualNs = (100 + 10 * hogs + seed) * (lock === 'tas' ? 1 : 2);
  const report = { status: 'halted', virtualNs, vms: [{ output: `3 ${seed}\n40 1\n` }] };
  return { kind: 'done', report: report as unknown as RunReport };
}

function resultsOf(document: object): Results {
  const checked = checkDefinition(document);
  if ('issues' in checked) throw new Error(checked.issues[0].message);
  const expanded = studyOf(checked.definition, {});
  if ('issues' in expanded) throw new Error(expanded.issues[0].message);
  const { study } = expanded;
  const runs = study.cells.flatMap((cell) =>
    cell.seeds.map((seed) => {
      const { lock = '', hogs } = cell.levels;
      return runOf(study, { cell, seed }, outcomeOf(lock, Number(hogs), seed));
    }),
  );
  return new Results(study, runs);
}

const RESULTS = resultsOf(DEFINITION);
const REPORT = standardReport(RESULTS);

describe('tables', () => {
  test('have a row for each cell', () => {
    const [table] = REPORT.tables;
    expect(table.columns.slice(0, 5)).toEqual(['lock', 'hogs', 'runs', 'time, ns', 'measured']);
    expect(table.rows.map((row) => row.slice(0, 5).map(valueText))).toEqual([
      // t(0.975, 2) = 4.303, sd 1: half width 2.48
      ['tas', '0', '3', '102.0 ± 2.5', '90'],
      ['tas', '2', '3', '122.0 ± 2.5', ''],
      ['tas', '4', '2 of 3', '141.5 ± 6.4', ''],
      ['ticket <1>', '0', '3', '204.0 ± 5.0', ''],
      ['ticket <1>', '2', '3', '244.0 ± 5.0', ''],
      ['ticket <1>', '4', '2 of 3', '283 ± 13', ''],
    ]);
    // Count, mean, median, 99 %, max of three seeds together.
    expect(table.rows[0].slice(5)).toEqual([9, (6 * 3 + 3 * 40) / 9, 3, 40, 40]);
  });

  test('compare on the same seeds', () => {
    const [, table] = REPORT.tables;
    expect(table.rows[0]).toEqual([
      'time',
      'hogs=0',
      'ticket <1> / tas',
      3,
      expect.closeTo(2, 12),
      expect.closeTo(2, 6),
      expect.closeTo(2, 6),
      'more: worse',
    ]);
  });

  test('say what went wrong, once', () => {
    expect(REPORT.problems).toEqual(['lock=tas hogs=4 seed=3 and 1 more: it broke']);
  });
});

test('numbers have the digits that they deserve', () => {
  expect([0, 5, 1234567, 0.1234567, 12.34567, 1e-9, 1 / 0].map((x) => numberText(x))).toEqual([
    '0',
    '5',
    '1234567',
    '0.1235',
    '12.35',
    '1.000e-9',
    'Infinity',
  ]);
  expect(estimateText(251.613, 1.155)).toBe('251.6 ± 1.2');
  expect(estimateText(251613.4, 1155)).toBe('251613 ± 1155');
  expect(estimateText(0.5, null)).toBe('0.5000');
});

test('Markdown does not fall for what it is given', () => {
  const text = experimentMarkdown(REPORT, ['vmxlab experiment locks.yaml']);
  expect(text).toContain('# Locks \\<&\\> "loads"');
  expect(text).toContain('| ticket \\<1\\> | 2 | 3 | 244.0 ± 5.0 |');
});

test('a claim is held, missed or not judged, in every form', () => {
  const verdicts = [true, false, null].flatMap((holds) =>
    [false, true].map((isOptional) => {
      return { claim: `claim ${holds}`, holds, isOptional, found: 'so it is' };
    }),
  );
  const report = { ...REPORT, verdicts };
  const words = ['PASS', 'pass', 'MISS', 'miss', '----', '----'];
  const claims = verdicts.map(({ claim }, i) => `${words[i]} ${claim}: so it is`);
  expect(experimentText(report).filter((line) => line.includes('so it is'))).toEqual(claims);
  const markdown = experimentMarkdown(report, []).split('\n');
  expect(markdown).toContain('| MISS | claim false | so it is |');
  expect(markdown).toContain('| ---- | claim null | so it is |');
  const page = experimentHtml(report, []);
  expect(page).toContain('<td class="MISS">MISS</td><td>claim false</td>');
  expect(page).toContain('<td>----</td><td>claim null</td>');
  const document = JSON.parse(JSON.stringify(experimentDocument(RESULTS, report, {})));
  expect(document.verdicts[4]).toEqual({
    claim: 'claim null',
    holds: null,
    isOptional: false,
    found: 'so it is',
  });
});

test('CSV has a row for each run', () => {
  const lines = experimentCsv(RESULTS).split('\r\n');
  expect(lines).toHaveLength(20);
  expect(lines.slice(0, 2)).toEqual(['lock,hogs,seed,time,problem', 'tas,0,1,101,']);
  expect(lines[9]).toBe('tas,4,3,,it broke');
});

describe('HTML', () => {
  const page = experimentHtml(REPORT, ['vmxlab experiment locks.yaml']);

  test('needs nothing else', () => {
    // Names of the two languages are no addresses to load from.
    const names = ['http://www.w3.org/2000/svg', 'http://www.w3.org/1999/xhtml'];
    const addresses = page.match(/https?:[^"\s]*/g) ?? [];
    expect(addresses.filter((address) => !names.includes(address))).toEqual([]);
    expect(page).not.toMatch(/<script|<link|src=|url\(|@import/);
  });

  test('has a figure of each kind, with all values', () => {
    expect(page.match(/<svg /g)).toHaveLength(5);
    expect(page).toContain('<title>0: 102 ± 2.484, measured 90</title>');
    expect(page).toContain('<title>lock tas, hogs 2: 122</title>');
    expect(page).toContain('<title>lock=ticket &lt;1&gt;: 244</title>');
    expect(page).not.toContain('NaN');
    expect(page).not.toContain('Infinity');
  });

  test.skipIf(missing('xmllint') !== null)('is read by an XML and an HTML parser', () => {
    for (const words of [['--noout'], ['--html', '--noout']]) {
      const { status, stderr } = spawnSync('xmllint', [...words, '-'], {
        input: page,
        encoding: 'utf8',
      });
      // What libxml2 does not know of HTML 5 is no mistake.
      const wrong = stderr
        .split('\n')
        .filter((line) => /error/.test(line) && !/Tag \w+ invalid/.test(line));
      expect([wrong, words.length === 2 || status === 0]).toEqual([[], true]);
    }
  });
});

const CHART = join(import.meta.dirname, '../../docs/performance.html');
const NO_BROWSER = missing('chromium');
if (NO_BROWSER !== null) console.warn(`pages are not looked at: ${NO_BROWSER}`);

describe.skipIf(NO_BROWSER !== null)('in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await Browser.start();
  }, 30_000);
  afterAll(() => browser.close());

  test.each([
    ['a report', () => experimentHtml(REPORT, ['vmxlab experiment locks.yaml'])],
    ['the chart of speeds', () => readFileSync(CHART, 'utf8')],
  ])('%s is legible at any width, light or dark', async (_, read) => {
    const page = read();
    // How many there are depends on what was measured.
    const figures = page.split('<svg ').length - 1;
    expect(figures).toBeGreaterThan(0);
    await browser.open(`data:text/html;base64,${Buffer.from(page).toString('base64')}`);
    for (const width of [1280, 390]) {
      for (const scheme of ['light', 'dark'] as const) {
        await browser.look({ width, scheme });
        const sizes = await browser.evaluate<number[][]>(FIGURE_SIZES);
        expect(sizes).toHaveLength(figures);
        // Not made smaller on a phone: their letters have 11 pixels.
        for (const [shown, drawn, height] of sizes) {
          expect(shown).toBe(drawn);
          expect(height).toBeGreaterThan(60);
        }
        // The page itself is never scrolled sideways.
        expect(await browser.evaluate('document.documentElement.scrollWidth')).toBe(width);
        // WCAG 2.2, 1.4.3 Contrast (Minimum).
        const [contrast, text] = await browser.evaluate<[number, string]>(FAINTEST_TEXT);
        expect(contrast, `${scheme}: ${text}`).toBeGreaterThanOrEqual(4.5);
        expect(await browser.evaluate(TEXTS_OVER_EACH_OTHER)).toEqual([]);
      }
    }
    expect(browser.complaints).toEqual([]);
    expect(browser.requests).toEqual([]);
  });
});

describe("cyclictest's histogram", () => {
  const columns = ['a', 'b'].map((name, i) => ({
    name,
    histogram: [
      [2, 5],
      [7 + i, 1],
    ] as const,
  }));
  const text = cyclictestText(columns, 8);

  test('has a line for each bin, and the sums', () => {
    expect(text.split('\n').slice(0, 4)).toEqual([
      '# Histogram',
      '000000 000000\t000000',
      '000001 000000\t000000',
      '000002 000005\t000005',
    ]);
    expect(text.split('\n').slice(8)).toEqual([
      '000007 000001\t000000',
      '# Total: 000000006 000000005',
      '# Min Latencies: 00002 00002',
      '# Avg Latencies: 00002 00003',
      '# Max Latencies: 00007 00008',
      '# Histogram Overflows: 00000 00001',
      '# Histogram Overflow at cycle number:',
      '# Thread 0: a',
      '# Thread 1: b',
      '',
    ]);
  });

  test('is taken apart as scripts that plot such files do', () => {
    // Comments away, blanks to tabs, the bins and one column.
    const input = cyclictestText(columns, 9);
    const line = "grep -v -e '^#' -e '^$' | tr ' ' '\\t' | cut -f 1,3 | grep -v '\t000000$'";
    const { stdout } = spawnSync('bash', ['-c', line], { input, encoding: 'utf8' });
    expect(stdout).toBe('000002\t000005\n000008\t000001\n');
  });
});
