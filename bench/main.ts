// `npm run bench`: how fast vmxlab is beside the emulators that people use. The same programs, with
// exactly known numbers of instructions, run in turn by everybody who is installed; what counts is
// CPU time of the process after its start.

import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { chart } from './chart.ts';
import { measureContended } from './contended.ts';
import { countText } from './counts.ts';
import { measureDebugging } from './debugging-runs.ts';
import { updateDocuments } from './documents.ts';
import { EMULATORS } from './emulators.ts';
import { type Measurement, measure } from './measure.ts';
import { type Options, optionsOf, USAGE, UsageError } from './options.ts';
import { ours } from './ours.ts';
import type { Peer } from './peer.ts';
import { joined, type PeerResult, type Results } from './results.ts';
import { withRevision } from './revision.ts';
import { measureStartUp } from './start-up.ts';
import { resultText } from './tables.ts';
import { sizesOf, WORKLOADS } from './workloads.ts';

const OURS: readonly Peer[] = [
  ours({ name: 'compiled', title: 'vmxlab, compiled', engine: 'compiled' }),
  ours({
    name: 'skip-off',
    title: 'vmxlab, compiled, no skipping',
    engine: 'compiled',
    args: ['--skip', 'off'],
    canRun: ({ kind }) => kind === 'multi',
  }),
  ours({
    name: 'traced',
    title: 'vmxlab, compiled, traced',
    engine: 'compiled',
    args: ['--trace', '/dev/null'],
    canRun: ({ kind }) => kind === 'exit',
  }),
  ours({
    name: 'interpreter',
    title: 'vmxlab, interpreter',
    engine: 'interpreter',
    canRun: ({ kind }) => kind !== 'multi',
  }),
];

const PEERS: readonly Peer[] = [...OURS, ...EMULATORS];

function main(): void {
  const options = optionsOf(
    process.argv.slice(2),
    PEERS.map(({ name }) => name),
  );
  if (options.help) console.log(USAGE);
  else if (options.list) list();
  else if (options.compare !== null) compare(options, options.compare);
  else if (options.counts) console.log(countText(options, [OURS[0]]).join('\n'));
  else publish(options, withEarlier(options, resultsOf(options, peersOf(options))));
}

function resultsOf(options: Options, peers: readonly Peer[]): Results {
  const isWhole = options.update || options.workloads.length === WORKLOADS.length;
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} processors, ${cpus()[0]?.model ?? 'unknown'}`,
    node: process.version,
    runs: options.runs,
    peers: peers.map(describe),
    measurements: measureAll(
      options,
      peers.filter(({ presence }) => presence().kind === 'present'),
    ),
    startUp: isWhole ? measureStartUp() : [],
    ...(isWhole && options.compare === null ? ofOurs(options) : {}),
  };
}

/** What nobody else has. */
function ofOurs({ runs }: Options): Pick<Results, 'debugging' | 'contended'> {
  return { debugging: measureDebugging(runs), contended: measureContended(runs) };
}

function withEarlier({ with: file }: Options, results: Results): Results {
  if (file === null) return results;
  return joined(results, JSON.parse(readFileSync(file, 'utf8')) as Results);
}

function publish(options: Options, results: Results): void {
  const { json, html, update } = options;
  if (json !== null) writeFileSync(json, `${JSON.stringify(results, null, 2)}\n`);
  if (html !== null) writeFileSync(html, chart(results));
  if (update) updateDocuments(results);
  console.log(resultText(results).join('\n'));
}

/** This version beside another one, which is built in a working tree of its own. */
function compare(options: Options, revision: string): void {
  withRevision(revision, (root) => {
    const here = ours({ name: 'compiled', title: 'this version', engine: 'compiled' });
    const there = ours({ name: 'other', title: revision, engine: 'compiled', root });
    const peers = [here, there];
    const text = options.counts ? countText(options, peers) : resultText(resultsOf(options, peers));
    console.log(text.join('\n'));
  });
}

function list(): void {
  for (const { name, summary } of WORKLOADS) console.log(`${name.padEnd(16)}${summary}`);
  console.log('');
  for (const peer of PEERS) {
    const { title, version } = describe(peer);
    console.log(`${peer.name.padEnd(16)}${title}: ${version}`);
  }
}

/** Those that were named; a name that cannot be measured is a mistake. */
function peersOf({ peers }: Options): readonly Peer[] {
  if (peers === null) return PEERS.filter(({ isOptional }) => isOptional !== true);
  return peers.map((name) => {
    const peer = PEERS.find((candidate) => candidate.name === name) as Peer;
    const presence = peer.presence();
    if (presence.kind === 'missing') throw new UsageError(`${name}: ${presence.reason}`);
    return peer;
  });
}

function describe({ name, title, presence }: Peer): PeerResult {
  const found = presence();
  const isPresent = found.kind === 'present';
  return { name, title, isPresent, version: isPresent ? found.version : `none, ${found.reason}` };
}

/** What goes wrong with one workload is said, and loses nothing of the others. */
function measureAll(options: Options, peers: readonly Peer[]): Measurement[] {
  return options.workloads.flatMap((workload) => {
    const sizes = sizesOf(workload).filter((size) => options.sizes.includes(size));
    return sizes.flatMap((size) => {
      const able = peers.filter((peer) => peer.canRun(workload, size));
      console.error(`${workload.name}, ${size} bits: ${able.map(({ name }) => name).join(', ')}`);
      try {
        return measure(workload, size, able, options);
      } catch (thrown) {
        console.error(`bench: not measured: ${thrown instanceof Error ? thrown.message : thrown}`);
        process.exitCode = 1;
        return [];
      }
    });
  });
}

try {
  main();
} catch (thrown) {
  if (!(thrown instanceof UsageError)) throw thrown;
  console.error(`${thrown.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
