// What the compiled engine did in a run, as one plain document and as text. Unlike the report on
// the run it depends on the engine, and its time of compilation on the host.

import type { SkipRule, Work } from '../cpu/index.ts';
import type { Machine } from './machine.ts';

export interface EngineReport {
  /** Guest instructions, by who completed them; skipped are those of waits and delay loops. */
  readonly compiledInstructions: number;
  readonly interpretedInstructions: number;
  readonly skippedInstructions: number;
  /** What was left out, by rule. */
  readonly skipped: Readonly<Record<SkipRule, Work>>;
  /** Cycles in which pCPUs were idle, and clocks went on to the next event. */
  readonly idleCycles: number;
  readonly regions: {
    readonly made: number;
    /** Because their code changed, or to make room. */
    readonly dropped: number;
    readonly instructions: number;
    /** Of WebAssembly. */
    readonly bytes: number;
    /** Host time that making them took; null if nobody gave a clock. */
    readonly compilationNs: number | null;
  };
  /** By the way of one turn at a time. */
  readonly entries: number;
  /** Turns that were taken in relays. */
  readonly relayTurns: number;
  /** Why regions were left. */
  readonly ways: {
    /** For code that is not part of them. */
    readonly chain: number;
    /** For the cycles up to an event, or to somebody else's turn. */
    readonly budget: number;
    /** For an instruction that the interpreter has to execute. */
    readonly interpreter: number;
  };
  /** What is never compiled, most frequent first. */
  readonly declined: readonly DeclinedReport[];
  /** Instructions that were left to the interpreter. */
  readonly interpreted: readonly { readonly mnemonic: string; readonly count: number }[];
}

export interface DeclinedReport {
  /** Mnemonic, and why if there is more to say. */
  readonly reason: string;
  /** Hot blocks that begin with it, and compiled ones that end before it. */
  readonly entries: number;
  readonly within: number;
}

/** Count what costs time to count. @param hostClock in nanoseconds */
export function watchEngine(machine: Machine, hostClock: (() => number) | null): void {
  for (const { compiler } of machine.vms) {
    if (compiler === undefined) continue;
    compiler.statistics.countsInterpreted = true;
    compiler.statistics.hostClock = hostClock;
  }
}

export function engineReport(machine: Machine): EngineReport {
  const compilers = machine.vms.flatMap(({ compiler }) => compiler ?? []);
  const all = compilers.map(({ statistics }) => statistics);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const processors = machine.vcpus.map(({ virtual }) => virtual.processor);
  const compiledInstructions = sum(processors.map((each) => each.compiledInstructions));
  const skippedInstructions = sum(processors.map(({ skipped }) => skipped.instructions));
  const skippedBy = (rule: SkipRule): Work => {
    const works = processors.map(({ skipped }) => skipped.by(rule));
    return {
      cycles: sum(works.map(({ cycles }) => cycles)),
      instructions: sum(works.map(({ instructions }) => instructions)),
    };
  };
  const ways = {
    chain: sum(all.map((one) => one.ways.CHAIN)),
    budget: sum(all.map((one) => one.ways.BUDGET)),
    interpreter: sum(all.map((one) => one.ways.INTERPRET)),
  };
  const hasClock = all.some(({ hostClock }) => hostClock !== null);
  return {
    compiledInstructions,
    interpretedInstructions: machine.instructions - compiledInstructions - skippedInstructions,
    skippedInstructions,
    skipped: { delays: skippedBy('delays'), waits: skippedBy('waits') },
    idleCycles: sum(machine.host.pcpus.map(({ state }) => state.times.idle)),
    regions: {
      made: sum(all.map(({ regions }) => regions)),
      dropped: sum(compilers.map(({ regionsDropped }) => regionsDropped)),
      instructions: sum(all.map(({ instructions }) => instructions)),
      bytes: sum(all.map(({ bytes }) => bytes)),
      compilationNs: hasClock ? sum(all.map(({ compilationNs }) => compilationNs)) : null,
    },
    entries: ways.chain + ways.budget + ways.interpreter,
    relayTurns: sum(all.map(({ relayTurns }) => relayTurns)),
    ways,
    declined: declinedReports(
      merged(all.map(({ declined }) => declined)),
      merged(all.map(({ declinedWithin }) => declinedWithin)),
    ),
    interpreted: [...merged(all.map(({ interpreted }) => interpreted))]
      .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
      .map(([mnemonic, count]) => ({ mnemonic, count })),
  };
}

type Counts = ReadonlyMap<string, number>;

function merged(all: readonly Counts[]): Counts {
  const sums = new Map<string, number>();
  for (const counts of all) {
    for (const [key, count] of counts) sums.set(key, (sums.get(key) ?? 0) + count);
  }
  return sums;
}

function declinedReports(entries: Counts, within: Counts): DeclinedReport[] {
  const reasons = [...new Set([...entries.keys(), ...within.keys()])];
  return reasons
    .map((reason) => ({
      reason,
      entries: entries.get(reason) ?? 0,
      within: within.get(reason) ?? 0,
    }))
    .sort((a, b) => {
      const difference = b.entries + b.within - a.entries - a.within;
      return difference || (a.reason < b.reason ? -1 : 1);
    });
}

/** Longer lists are cut short. */
const SHOWN = 12;

/** Every line of the page. */
export function engineText(report: EngineReport): string[] {
  const { compiledInstructions, interpretedInstructions, skippedInstructions } = report;
  const { regions, ways, entries, relayTurns } = report;
  const all = compiledInstructions + interpretedInstructions;
  const share = all === 0 ? 0 : (100 * compiledInstructions) / all;
  const time = regions.compilationNs === null ? '' : `, ${milliseconds(regions.compilationNs)} ms`;
  return [
    `Engine: ${compiledInstructions} instructions compiled (${share.toFixed(2)} %), ` +
      `${interpretedInstructions} interpreted, ${skippedInstructions} skipped.`,
    `Regions: ${regions.made} made of ${regions.instructions} instructions, ${regions.dropped} ` +
      `dropped, ${regions.bytes} bytes of WebAssembly${time}.`,
    `Entries: ${entries}; left ${ways.chain} times for other code, ${ways.budget} times at the ` +
      `end of their time, ${ways.interpreter} times for the interpreter.`,
    `Relays: ${relayTurns} turns that followed each other in compiled code.`,
    ...section(
      ['Not executed one by one', 'cycles', 'instructions'],
      [
        ['countdown delays', report.skipped.delays.cycles, report.skipped.delays.instructions],
        ['PAUSE waits', report.skipped.waits.cycles, report.skipped.waits.instructions],
        ['idle pCPUs', report.idleCycles, 0],
      ],
    ),
    ...section(
      ['Declined', 'hot entries', 'within regions'],
      report.declined.map(({ reason, ...counts }) => [reason, counts.entries, counts.within]),
    ),
    ...section(
      ['Left to the interpreter', 'times'],
      report.interpreted.map(({ mnemonic, count }) => [mnemonic, count]),
    ),
    '',
  ];
}

function section(titles: readonly string[], rows: readonly (readonly (string | number)[])[]) {
  if (rows.length === 0) return [];
  const shown = rows.slice(0, SHOWN).map((row) => row.map(String));
  const rest = rows.length > SHOWN ? [`  and ${rows.length - SHOWN} more`] : [];
  return ['', ...aligned([titles, ...shown]), ...rest];
}

/** The first column on the left, numbers on the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) => {
    const cells = row.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]),
    );
    return `  ${cells.join('  ')}`;
  });
}

function milliseconds(ns: number): string {
  return (ns / 1e6).toFixed(1);
}
