// Results for other programs: TAP version 13 (testanything.org), JUnit's XML as CI systems read it,
// and JSON. All of it depends on the results alone: no times of the host, so the same runs give the
// same bytes.

import { type CheckResult, detailLines, isBad, nameOf } from './result.ts';

function titleOf(result: CheckResult): string {
  const seed = result.seed === null ? '' : ` seed ${result.seed}`;
  return `${nameOf(result)}${seed}`;
}

/**
 * Results as TAP, newline included. Nothing here needs version 14, which Perl's own reader
 * (TAP::Parser 3.44) takes for an error.
 */
export function tapText(results: readonly CheckResult[]): string {
  const lines = results.flatMap((result, i) => {
    const isOk = result.status === 'pass' || result.status === 'skip';
    const point = `${isOk ? 'ok' : 'not ok'} ${i + 1} - ${titleOf(result).replaceAll('#', '\\#')}`;
    return [point + tapDirective(result), ...tapDetails(result)];
  });
  return ['TAP version 13', `1..${results.length}`, ...lines, ''].join('\n');
}

/**
 * TODO: it is known to fail, so that "not ok" is what readers of TAP expect. If it passes all the
 * same, something is wrong; "ok" with TODO would be none for them.
 */
function tapDirective({ status, reason }: CheckResult): string {
  if (status === 'skip') return ` # SKIP ${reason.join(' ')}`;
  return status === 'xfail' ? ` # TODO ${reason.join(' ')}` : '';
}

/** A block of YAML. */
function tapDetails(result: CheckResult): string[] {
  const details = detailLines(result);
  if (details.length === 0) return [];
  return ['  ---', '  message: |', ...details.map((line) => `    ${line}`.trimEnd()), '  ...'];
}

/** Results as JUnit XML, newline included: a test suite for each file. */
export function junitText(results: readonly CheckResult[]): string {
  const paths = [...new Set(results.map(({ path }) => path))];
  const suites = paths.flatMap((path) =>
    suiteLines(
      path,
      results.filter((r) => r.path === path),
    ),
  );
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${countAttributes(results)}>`,
    ...suites,
    '</testsuites>',
    '',
  ].join('\n');
}

function suiteLines(path: string, results: readonly CheckResult[]): string[] {
  const cases = results.flatMap((result) => {
    const { configuration, seed } = result;
    const name = [configuration, seed === null ? '' : `seed ${seed}`].filter((part) => part !== '');
    const title = escaped(name.join(' ') || 'all');
    const open = `    <testcase classname="${escaped(path)}" name="${title}"`;
    const inner = caseLines(result);
    return inner.length === 0 ? [`${open}/>`] : [`${open}>`, ...inner, '    </testcase>'];
  });
  const open = `  <testsuite name="${escaped(path)}"${countAttributes(results)}>`;
  return [open, ...cases, '  </testsuite>'];
}

function caseLines(result: CheckResult): string[] {
  const text = escaped(detailLines(result).join('\n'));
  const [first = ''] = detailLines(result);
  switch (result.status) {
    case 'skip':
    case 'xfail':
      return [`      <skipped message="${escaped(result.reason.join(' '))}"/>`];
    case 'fail':
    case 'xpass':
      return [`      <failure message="${escaped(first)}">${text}</failure>`];
    case 'error':
      return [`      <error message="${escaped(first)}">${text}</error>`];
    case 'pass':
      return [];
  }
}

function countAttributes(results: readonly CheckResult[]): string {
  const count = (...statuses: readonly string[]) =>
    results.filter(({ status }) => statuses.includes(status)).length;
  const counts = {
    tests: results.length,
    failures: count('fail', 'xpass'),
    errors: count('error'),
    skipped: count('skip', 'xfail'),
  };
  return Object.entries(counts)
    .map(([name, value]) => ` ${name}="${value}"`)
    .join('');
}

/** What XML 1.0 cannot hold at all becomes U+FFFD. */
function escaped(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd');
}

/** Changes whenever a reader of the document would have to change. */
const RESULTS_SCHEMA_VERSION = 1;

/** A result as part of a JSON document. */
export function resultDocument({ debugCommand, failures, ...rest }: CheckResult): object {
  const shown = failures.map((one) => ({ ...one, debugCommand: debugCommand(one.timeNs) }));
  return { ...rest, failures: shown };
}

/** Results as one JSON document, newline included. */
export function resultsJson(results: readonly CheckResult[]): string {
  const document = {
    schemaVersion: RESULTS_SCHEMA_VERSION,
    passed: results.filter((result) => !isBad(result) && result.status !== 'skip').length,
    failed: results.filter(isBad).length,
    skipped: results.filter(({ status }) => status === 'skip').length,
    results: results.map(resultDocument),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
