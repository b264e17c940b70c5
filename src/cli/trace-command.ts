// `vmxlab trace`: traces from one format into another, as text, and summed up.

import { once } from 'node:events';
import { nearest } from '../sim/index.ts';
import {
  counterTable,
  EventCounts,
  KvmStat,
  reportHeader,
  reportLine,
  STAT_EVENTS,
  statTable,
  type TraceSink,
} from '../trace/index.ts';
import { Failure } from './failure.ts';
import { isSameFile } from './files.ts';
import { createTraceFile, traceFormat } from './trace-file.ts';
import { openTrace } from './trace-input.ts';

export interface TraceOptions {
  /** What to do, and with which files. */
  readonly words: readonly string[];
  /** Format to convert to, if the name does not tell. */
  readonly to: string | undefined;
  /** Show nanoseconds. */
  readonly ns: boolean;
  /** What to sum up, of which vCPU, in which order. */
  readonly event: string | undefined;
  readonly vcpu: number | null;
  readonly key: string | undefined;
}

const ACTIONS: Readonly<Record<string, (options: TraceOptions) => number | Promise<number>>> = {
  convert,
  report,
  stat,
};

export function traceCommand(options: TraceOptions): number | Promise<number> {
  const [action = ''] = options.words;
  if (Object.hasOwn(ACTIONS, action)) return ACTIONS[action](options);
  const names = Object.keys(ACTIONS);
  const meant = nearest(action, names);
  const hint = meant === null ? `expected ${names.join(', ')}` : `did you mean '${meant}'?`;
  throw new Failure(`trace: '${action}' is not something to do with a trace; ${hint}`);
}

/** The files behind the first word; as many as there have to be. */
function filesOf({ words }: TraceOptions, usage: string): readonly string[] {
  const [action, ...files] = words;
  if (files.length === usage.split(' ').length) return files;
  throw new Failure(`expected 'vmxlab trace ${action} ${usage}'`);
}

function convert(options: TraceOptions): number {
  const [from, to] = filesOf(options, 'FROM TO');
  if (isSameFile(from, to))
    throw new Failure(`${to}: is what is read; give the result another name`);
  const format = traceFormat(options.to, 'to', to);
  const input = openTrace(from);
  const output = createTraceFile(to, format, input.pcpuCount, input.format);
  for (const record of input.records()) output.record(record);
  output.close();
  input.close();
  return 0;
}

/** As `trace-cmd report` prints it. */
async function report(options: TraceOptions): Promise<number> {
  const [file] = filesOf(options, 'FILE');
  const input = openTrace(file);
  const unit = options.ns ? 'ns' : 'us';
  let waiting = reportHeader(input.pcpuCount);
  for (const record of input.records()) {
    const line = reportLine(record, unit, input.format);
    if (line === null) continue;
    waiting += `${line}\n`;
    if (waiting.length < CHARACTERS_PER_WRITE) continue;
    // Whoever reads may be slower than we are.
    if (!process.stdout.write(waiting)) await once(process.stdout, 'drain');
    waiting = '';
  }
  process.stdout.write(waiting);
  input.close();
  return 0;
}

const CHARACTERS_PER_WRITE = 2 ** 16;

const KEYS = ['sample', 'time'] as const;

/** As `perf kvm stat report` and `kvm_stat` print it. */
function stat(options: TraceOptions): number {
  const [file] = filesOf(options, 'FILE');
  const event = options.event ?? 'vmexit';
  if (event === 'tracepoints') {
    for (const flag of ['vcpu', 'key'] as const) {
      if ((options[flag] ?? null) === null) continue;
      const events = STAT_EVENTS.join(', ');
      throw new Failure(`--${flag}: tracepoints are counted of all; expected --event ${events}`);
    }
    return countTracepoints(file);
  }
  const chosen = STAT_EVENTS.find((name) => name === event);
  if (chosen === undefined) {
    const names = [...STAT_EVENTS, 'tracepoints'].join(', ');
    throw new Failure(`--event: expected ${names}, not '${event}'`);
  }
  const key = KEYS.find((name) => name === (options.key ?? 'sample'));
  if (key === undefined) {
    throw new Failure(`--key: expected ${KEYS.join(' or ')}, not '${options.key}'`);
  }
  const times = new KvmStat(chosen, options.vcpu);
  goThrough(file, times);
  checkVcpu(options.vcpu, times.vcpus(), file);
  const rows = times.result();
  if (key === 'time') rows.sort((a, b) => b.meanNs - a.meanNs);
  process.stdout.write(`${statTable(rows, { event: chosen, vcpu: options.vcpu }).join('\n')}\n`);
  return 0;
}

/** Of a vCPU that is not there, a table without rows would say that it did nothing. */
function checkVcpu(vcpu: number | null, known: readonly number[], file: string): void {
  if (vcpu === null || known.includes(vcpu)) return;
  const [first, last] = [known[0], known[known.length - 1]];
  const isRange = known.length > 2 && last - first === known.length - 1;
  const some = isRange ? `${first} to ${last}` : known.join(', ');
  const there = known.length === 0 ? 'no vCPU enters its guest there' : `known: ${some}`;
  throw new Failure(`--vcpu: there is no vCPU ${vcpu} in ${file}; ${there}`);
}

function countTracepoints(file: string): number {
  const counts = new EventCounts();
  goThrough(file, counts);
  process.stdout.write(`${counterTable(counts.result()).join('\n')}\n`);
  return 0;
}

function goThrough(file: string, sink: TraceSink): void {
  const input = openTrace(file);
  for (const record of input.records()) sink.record(record);
  input.close();
}
