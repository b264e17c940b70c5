// The report on a run as a page for people. The exit table has the shape of `perf kvm stat report`.
// Linux tools/perf/builtin-kvm.c, print_result.

import { counterTable, statTable } from '../trace/index.ts';
import type { ResultValue } from './program-data.ts';
import { addressOf, type RunReport, type VcpuReport, type VmReport } from './report.ts';

/** Paints text; the identity where colour is not wanted. */
export type Paint = (text: string, as: 'good' | 'bad' | 'dim' | 'bold') => string;

export const NO_PAINT: Paint = (text) => text;

/** Every line of the page. */
export function reportText(report: RunReport, paint: Paint = NO_PAINT): string[] {
  return [
    ...headline(report, paint),
    '',
    ...exitTable(report, paint),
    ...yieldLines(report),
    ...vcpuTable(report, paint),
    ...costopTable(report, paint),
    ...resultTable(report, paint),
    ...histogramTables(report, paint),
    ...cgroupTable(report, paint),
    ...faultLines(report, paint),
    ...troubleLines(report, paint),
  ];
}

function headline(report: RunReport, paint: Paint): string[] {
  const isGood = report.status === 'halted' || report.status === 'exited';
  const status = paint(statusText(report), isGood ? 'good' : 'bad');
  const time = `${milliseconds(report.virtualNs)} ms of virtual time`;
  const instructions = `${grouped(report.instructions)} guest instructions`;
  return [
    `${status}: ${report.message}.`,
    paint(`${time}, ${instructions}, state ${report.stateHash}`, 'dim'),
  ];
}

const STATUS_TEXTS: Readonly<Record<RunReport['status'], string>> = {
  exited: 'Exited',
  halted: 'Halted',
  limit: 'Limit reached',
  interrupted: 'Interrupted',
  tripleFault: 'Triple fault',
  reset: 'Reset',
  deadlock: 'Deadlock',
  notImplemented: 'Not implemented',
  entryFailed: 'VM entry failed',
  kvmError: 'KVM internal error',
  policyFailed: 'Policy failed',
};

function statusText(report: RunReport): string {
  const text = STATUS_TEXTS[report.status];
  return report.status === 'exited' ? `${text} with ${report.exitCode}` : text;
}

/** In the shape of `perf kvm stat report`. */
export function exitTable({ exits }: RunReport, paint: Paint = NO_PAINT): string[] {
  const paintTitles = (titles: string) => paint(titles, 'bold');
  return statTable(exits, { event: 'vmexit', vcpu: null, paint: paintTitles });
}

/** The counters of all vCPUs together, as `kvm_stat --once` prints them. */
export function counterLines({ vcpus }: RunReport): string[] {
  const sums = new Map<string, number>();
  for (const { statistics } of vcpus) {
    for (const [name, count] of Object.entries(statistics)) {
      sums.set(name, (sums.get(name) ?? 0) + count);
    }
  }
  return [...counterTable([...sums].sort(([a], [b]) => (a < b ? -1 : 1))), ''];
}

function yieldLines(report: RunReport): string[] {
  const sum = (name: keyof VcpuReport['statistics']) =>
    report.vcpus.reduce((total, vcpu) => total + vcpu.statistics[name], 0);
  const donated = report.vcpus.reduce((total, { donatedNs }) => total + donatedNs, 0);
  const spin = [sum('ple_yield_attempted'), sum('ple_yield_successful')];
  const call = [sum('directed_yield_attempted'), sum('directed_yield_successful')];
  if (spin[0] === 0 && call[0] === 0) return [];
  return [
    'Directed yields: ' +
      `${spin[0]} tried and ${spin[1]} successful out of PAUSE loops, ` +
      `${call[0]} tried and ${call[1]} successful out of hypercalls.`,
    ...(donated === 0 ? [] : [`They donated ${milliseconds(donated)} ms.`]),
    '',
  ];
}

/** What vCPU tables begin their lines with. */
function vcpuNameOf({ vcpus }: RunReport, { vm, index }: VcpuReport): string {
  return vcpus.some((one) => one.vm > 0) ? `${vm}:${index}` : String(index);
}

function vcpuTable(report: RunReport, paint: Paint): string[] {
  const titles = ['vCPU', 'Instructions', 'Exits', 'Guest ms', 'Host ms', 'Steal ms', 'Blocked ms'];
  const widths = [6, 14, 9, 11, 11, 11, 11];
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => cell.padStart(widths[i])).join(' ');
  return [
    paint(line([...titles]), 'bold'),
    ...report.vcpus.map((vcpu) =>
      line([
        vcpuNameOf(report, vcpu),
        grouped(vcpu.instructions),
        String(vcpu.statistics.exits),
        milliseconds(vcpu.times.guestNs),
        milliseconds(vcpu.times.hostNs),
        milliseconds(vcpu.times.stealNs),
        milliseconds(vcpu.times.blockedNs),
      ]),
    ),
    '',
  ];
}

/** Where co-scheduling has stopped somebody. */
function costopTable(report: RunReport, paint: Paint): string[] {
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => cell.padStart([6, 14, 12][i])).join(' ');
  if (report.vcpus.every(({ costops }) => costops === 0)) return [];
  const rows = report.vcpus.map((vcpu) =>
    line([vcpuNameOf(report, vcpu), grouped(vcpu.costops), milliseconds(vcpu.costopNs)]),
  );
  return [paint(line(['vCPU', 'Co-stops', 'Co-stop ms']), 'bold'), ...rows, ''];
}

/** Values of a result that are listed; of more, the least and the greatest. */
const MOST_VALUES = 8;

function resultTable({ vms }: RunReport, paint: Paint): string[] {
  const rows = vms.flatMap((vm) =>
    Object.entries(vm.results).map(([name, values]) => [ownName(vms, vm, name), values] as const),
  );
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([name]) => name.length), 'Result'.length);
  const line = (name: string, total: string, rest: string) =>
    `${name.padEnd(width)} ${total.padStart(20)}  ${rest}`.trimEnd();
  return [
    paint(line('Result', 'Total', 'Each vCPU'), 'bold'),
    ...rows.map(([name, values]) => {
      const total = values.reduce((sum: bigint, value) => sum + BigInt(value), 0n);
      return line(name, grouped(total), values.length > 1 ? eachText(values) : '');
    }),
    '',
  ];
}

/** Those whose quota has come to count, in the words of cpu.stat. */
function cgroupTable({ cgroups = [] }: RunReport, paint: Paint): string[] {
  const limited = cgroups.filter(({ nrPeriods }) => nrPeriods > 0);
  if (limited.length === 0) return [];
  const width = Math.max(...limited.map(({ name }) => name.length), 'cgroup'.length);
  const line = (name: string, cells: readonly string[]) =>
    [name.padEnd(width), ...cells.map((cell) => cell.padStart(12))].join(' ');
  return [
    paint(line('cgroup', ['usage ms', 'nr_periods', 'nr_throttled', 'throttled ms']), 'bold'),
    ...limited.map(({ name, usageNs, nrPeriods, nrThrottled, throttledNs }) =>
      line(name, [
        milliseconds(usageNs),
        String(nrPeriods),
        String(nrThrottled),
        milliseconds(throttledNs),
      ]),
    ),
    '',
  ];
}

function faultLines({ faults }: RunReport, paint: Paint): string[] {
  if (faults.length === 0) return [];
  return [
    paint('Faults', 'bold'),
    ...faults.map(({ fault, count }) => `${grouped(count).padStart(9)}  ${fault}`),
    '',
  ];
}

function ownName(vms: readonly VmReport[], vm: VmReport, name: string): string {
  return vms.length > 1 ? `${vm.name}:${name}` : name;
}

function eachText(values: readonly ResultValue[]): string {
  if (values.length <= MOST_VALUES) return values.join(' ');
  const sorted = values.map(BigInt).sort((a, b) => (a < b ? -1 : 1));
  return `${sorted[0]} to ${sorted.at(-1)}`;
}

/** Bins in which something was counted. */
function histogramTables({ vms }: RunReport, paint: Paint): string[] {
  return vms.flatMap((vm) =>
    Object.entries(vm.histograms).flatMap(([name, values]) => {
      const bins = values.flatMap((value, i) =>
        BigInt(value) === 0n ? [] : [[i, value] as const],
      );
      const title = `Histogram ${ownName(vms, vm, name)}`;
      return [
        paint(title, 'bold'),
        ...bins.map(([i, value]) => `${String(i).padStart(8)} ${String(value).padStart(14)}`),
        '',
      ];
    }),
  );
}

/** What a run that went wrong has to say: registers, last exits, last instructions. */
function troubleLines(report: RunReport, paint: Paint): string[] {
  return report.vcpus
    .filter(({ recentInstructions }) => recentInstructions.length > 0)
    .filter(() => report.status !== 'exited' && report.status !== 'halted')
    .flatMap((vcpu) => [
      paint(`vCPU ${vcpu.index}, registers:`, 'bold'),
      ...registerLines(vcpu),
      paint('Last VM exits:', 'bold'),
      ...recentExitLines(vcpu),
      paint('Last instructions:', 'bold'),
      ...recentInstructionLines(vcpu).map((text, i, all) =>
        i === all.length - 1 ? paint(`> ${text}`, 'bad') : `  ${text}`,
      ),
      '',
    ]);
}

const RECENT_EXITS_SHOWN = 8;

function recentExitLines(vcpu: VcpuReport): string[] {
  const exits = vcpu.recentExits.slice(-RECENT_EXITS_SHOWN);
  const places = aligned(exits.map(({ rip }) => placeText(vcpu, `0x${rip}`)));
  return exits.map(
    ({ timeNs, name, qualification }, i) =>
      `  ${milliseconds(timeNs).padStart(12)} ms  ${name.padEnd(18)} ` +
      `rip ${places[i]} qualification 0x${qualification}`,
  );
}

/** What stands behind the address of an instruction goes behind its name too. */
function recentInstructionLines(vcpu: VcpuReport): string[] {
  const addresses = vcpu.recentInstructions.map(addressOf);
  const places = aligned(addresses.map((address) => placeText(vcpu, address)));
  return vcpu.recentInstructions.map((text, i) => places[i] + text.slice(addresses[i].length));
}

/** `0x100234 <spin+0x14> lock.c:12`, as far as names are known; the document has the folders. */
function placeText(vcpu: VcpuReport, address: string): string {
  const name = vcpu.symbols[address];
  if (name === undefined) return address;
  const source = name.source === null ? '' : ` ${name.source.replace(/^.*\//, '')}`;
  return `${address} <${name.symbol}>${source}`;
}

/** Texts filled up to the width of the longest, if there are names among them. */
function aligned(texts: readonly string[]): readonly string[] {
  if (!texts.some((text) => text.includes(' '))) return texts;
  const width = Math.max(...texts.map(({ length }) => length));
  return texts.map((text) => text.padEnd(width));
}

const REGISTERS_PER_LINE = 4;

function registerLines(vcpu: VcpuReport): string[] {
  const cells = Object.entries(vcpu.registers).map(
    ([name, value]) => `${name.padStart(6)} ${value.padStart(16, '0')}`,
  );
  const lines: string[] = [];
  for (let i = 0; i < cells.length; i += REGISTERS_PER_LINE) {
    lines.push(cells.slice(i, i + REGISTERS_PER_LINE).join(' '));
  }
  return lines;
}

function milliseconds(ns: number): string {
  return (ns / 1e6).toFixed(3);
}

/** Digits in groups of three; not by locale, so that every machine prints the same. */
function grouped(value: number | bigint): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}
