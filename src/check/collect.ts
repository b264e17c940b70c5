// Makes the streams of a run: the trace as it comes, and at the end what the guests printed and the
// final state.

import { type Machine, PORT_RANGES, type RunReport } from '../machine/index.ts';
import { type TraceRecord, type TraceSink, textLine } from '../trace/index.ts';
import { collapse } from './directive.ts';
import type { Stream, StreamName } from './stream.ts';

/** More lines of a trace are not kept; then it is a property that should be written. */
const MOST_LINES = 1_000_000;

/** Streams that are made of trace events, wholly or for their times. */
const TRACED: readonly StreamName[] = ['exits', 'trace', 'output', 'serial'];

/** Streams of bytes, and the device whose port they are written to. */
const PRINTED = { output: 'console', serial: 'com1' } as const;

const NEWLINE = 10;

interface Growing {
  readonly lines: string[];
  readonly timesNs: number[];
}

export class StreamCollector implements TraceSink {
  private readonly wanted: ReadonlySet<StreamName>;
  private readonly exits: Growing = { lines: [], timesNs: [] };
  private readonly trace: Growing = { lines: [], timesNs: [] };
  /** Times at which lines were ended, by port. */
  private readonly printed = new Map<number, number[]>();
  private dropped = 0;

  constructor(wanted: Iterable<StreamName>) {
    this.wanted = new Set(wanted);
  }

  /** True if it has to see trace events. */
  get needsTrace(): boolean {
    return TRACED.some((name) => this.wanted.has(name));
  }

  /** Events that did not fit any more. */
  get droppedCount(): number {
    return this.dropped;
  }

  record(record: TraceRecord): void {
    if (record.name === 'kvm_exit' && this.wanted.has('exits')) this.keep(this.exits, record);
    if (this.wanted.has('trace')) this.keep(this.trace, record);
    if (record.name !== 'kvm_pio') return;
    const { write, port, value } = record.fields;
    if (!write || Number(value) !== NEWLINE) return;
    const times = this.printed.get(port) ?? [];
    times.push(record.timeNs);
    this.printed.set(port, times);
  }

  private keep({ lines, timesNs }: Growing, record: TraceRecord): void {
    if (lines.length >= MOST_LINES) {
      this.dropped++;
      return;
    }
    lines.push(collapse(textLine(record)).trim());
    timesNs.push(record.timeNs);
  }

  /** The streams that are wanted, once the run has ended. */
  streams(machine: Machine, report: RunReport): Stream[] {
    return [...this.wanted].map((name) => this.streamOf(name, machine, report));
  }

  private streamOf(name: StreamName, machine: Machine, report: RunReport): Stream {
    switch (name) {
      case 'exits':
        return { name, ...this.exits };
      case 'trace':
        return { name, ...this.trace };
      case 'output':
      case 'serial':
        return this.printedStream(name, machine, report);
      case 'state': {
        const lines = stateLines(report);
        return { name, lines, timesNs: lines.map(() => report.virtualNs) };
      }
    }
  }

  private printedStream(name: 'output' | 'serial', machine: Machine, report: RunReport): Stream {
    const isAlone = machine.vms.length === 1;
    const lines = report.vms.flatMap((vm) => {
      const printed = linesOf(vm[name]);
      return isAlone ? printed : printed.map((line) => `${vm.name}: ${line}`);
    });
    const { first } = PORT_RANGES.find(({ device }) => device === PRINTED[name]) ?? { first: -1 };
    const times = (isAlone ? this.printed.get(first) : undefined) ?? [];
    return { name, lines, timesNs: lines.map((_, i) => times[i] ?? report.virtualNs) };
  }
}

/** Lines of what was printed; horizontal space is one space. */
function linesOf(text: string): string[] {
  if (text === '') return [];
  const whole = text.endsWith('\n') ? text.slice(0, -1) : text;
  return whole.split('\n').map((line) => collapse(line.replace(/\r$/, '')));
}

/** The final state: a name and its value on each line. */
export function stateLines(report: RunReport): string[] {
  const isAlone = report.vms.length === 1;
  return [
    `status ${report.status}`,
    `exit_code ${report.exitCode}`,
    `message ${report.message}`,
    `virtual_ns ${report.virtualNs}`,
    `instructions ${report.instructions}`,
    ...report.exits.map(({ name, count }) => `exits ${name} ${count}`),
    ...report.faults.map(({ count }, i) => `fault ${i} count ${count}`),
    ...report.vms.flatMap(({ name, status, exitCode }) => [
      `vm ${name} status ${status}`,
      `vm ${name} exit_code ${exitCode ?? 'none'}`,
    ]),
    ...report.vcpus.flatMap((vcpu) => {
      const who = `vcpu ${isAlone ? vcpu.index : `${vcpu.vm}:${vcpu.index}`}`;
      return [
        `${who} status ${vcpu.status}`,
        `${who} instructions ${vcpu.instructions}`,
        ...Object.entries(vcpu.registers).map(([name, value]) => `${who} ${name} 0x${value}`),
        ...vcpu.exits.map(({ name, count }) => `${who} exits ${name} ${count}`),
        ...Object.entries(vcpu.statistics).map(([name, value]) => `${who} ${name} ${value}`),
        ...Object.entries(vcpu.times).map(([name, value]) => `${who} ${name} ${value}`),
      ];
    }),
  ];
}
