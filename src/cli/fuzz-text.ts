// What `vmxlab fuzz` prints.

import {
  bytesOf,
  type Channel,
  channelsIn,
  type FuzzCase,
  type FuzzStatistics,
} from '../fuzz/index.ts';
import { inputText, NO_PAINT, serialText } from '../machine/index.ts';
import type { FuzzCommandOptions } from './fuzz-command.ts';
import type { KeptFinding } from './fuzz-finding.ts';
import type { LoadedTarget } from './fuzz-job.ts';
import { paintFor } from './terminal.ts';

const number = (value: number) => value.toLocaleString('en-US');

/** What is fuzzed, and how. */
export function headLine(
  file: string,
  { input }: LoadedTarget,
  channels: readonly Channel[],
  keys: readonly string[],
  { strategy, isBlind }: FuzzCommandOptions,
): string {
  const parts = [
    ...(channels.length === 0 ? ['no input'] : channels.map(wayOf)),
    ...keys,
    ...(strategy === 'time' ? [] : [`order of steps by ${strategy}`]),
    `seed ${input.scenario.seed}`,
    ...(isBlind ? ['by chance alone'] : []),
  ];
  return `${file}: ${parts.join(', ')}`;
}

const NAMES = { input: 'input', serial: 'serial input', module: 'module' } as const;

function nameOf({ kind, index }: Channel): string {
  return kind === 'module' ? `${NAMES[kind]} ${index}` : NAMES[kind];
}

function wayOf(channel: Channel): string {
  return `${nameOf(channel)} of up to ${number(channel.roomBytes)} bytes`;
}

export function statisticsLine(statistics: FuzzStatistics, seconds: number): string {
  const { runs, corpus, features, rejected, unfinished } = statistics;
  const rate = number(Math.round(runs / Math.max(seconds, 1e-9)));
  const seen = Object.entries(features)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${number(count)} ${kind}`);
  const impossible = rejected === 0 ? [] : [`${number(rejected)} could not be run`];
  const parts = [
    ...impossible,
    ...(unfinished === 0 ? [] : [`${number(unfinished)} cut off`]),
    corpus === 1 ? '1 case kept' : `${number(corpus)} cases kept`,
    ...seen,
  ];
  const many = runs === 1 ? '1 run' : `${number(runs)} runs`;
  return `${many} in ${seconds.toFixed(1)} s (${rate} a second): ${parts.join(', ')}`;
}

/** Nothing was found, but not every run was seen to its end. */
export function cutOffLine(limit: number, strategy: string): string {
  const unit = strategy === 'time' ? 'instructions' : 'steps';
  const more =
    strategy === 'time'
      ? '--max-instructions lets them go on, and a shorter program makes more of them'
      : 'a shorter program would end';
  return (
    'Nothing goes wrong that was tried, but runs were cut off, after ' +
    `${number(limit)} ${unit}, that may have gone on to an end; ${more}.`
  );
}

export function findingLines({ finding, case: one, run, path, replay, debug }: KeptFinding) {
  const paint = process.stdout.isTTY ? paintFor(process.stdout) : NO_PAINT;
  return [
    paint(`FAIL ${finding.kind}: ${finding.message}`, 'bad'),
    `  run ${number(run)}, made smaller: ${describe(one)}`,
    `  kept in ${path}`,
    `  again:  ${replay}`,
    ...(debug === null ? [] : [`  debug:  ${debug}`]),
  ];
}

/** Bytes of an input that are shown. */
const SHOWN_BYTES = 32;

function describe(one: FuzzCase): string {
  const { parameters, schedule, serial } = one;
  const parts = [
    ...channelsIn(one).map((channel) => {
      const bytes = bytesOf(one, channel);
      const shown = bytes.subarray(0, SHOWN_BYTES);
      const printed = Array.from(shown, (byte) => (isPrintable(byte) ? byte : 0x2e));
      const dots = bytes.length > SHOWN_BYTES ? '...' : '';
      const isTimed = channel.kind === 'serial' && serial !== undefined && dots === '';
      const digits = isTimed ? serialText(serial) : inputText(shown);
      return `${nameOf(channel)} ${digits}${dots} "${String.fromCharCode(...printed)}"`;
    }),
    ...Object.entries(parameters).map(([key, value]) => `${key} ${value}`),
  ];
  if (schedule !== null) parts.push(`order of seed ${schedule.seed}`);
  return parts.length === 0 ? 'everything as it is' : parts.join(', ');
}

function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f;
}

/** Everything but how long it took: the same for the same seed. */
export function fuzzJson(statistics: FuzzStatistics, kept: readonly KeptFinding[]): string {
  const findings = kept.map(({ finding, case: one, run, path, replay, debug }) => ({
    ...finding,
    run,
    input: one.input === null ? null : inputText(one.input),
    ...(one.serial === undefined ? {} : { serial: serialText(one.serial) }),
    ...(one.modules === undefined ? {} : { modules: one.modules.map(inputText) }),
    parameters: one.parameters,
    schedule: one.schedule,
    ...{ path, replay, debug },
  }));
  return JSON.stringify({ ...statistics, findings }, null, 2);
}
