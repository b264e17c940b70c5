// What a session looks like where it has stopped, as plain records: everything that the panes of
// the full-screen view show. Read at each stop; drawing asks the session nothing.

import Long from 'long';
import { codeSizeOf } from '../../cpu/index.ts';
import { SymbolMap } from '../../machine/index.ts';
import type { TraceRecord } from '../../trace/index.ts';
import type { Context } from '../commands/command.ts';
import { hex } from '../commands/print.ts';
import { type DisassembledLine, disassemble, disassembleBefore } from '../disassembly.ts';
import { addressesOf, sourceLineOf } from '../places.ts';
import { readMapped } from '../remote-memory.ts';
import type { Session } from '../session.ts';
import { activityOf } from '../views.ts';
import { type Lane, laneOf, vcpuLetter } from './lanes.ts';
import { RegisterMemory, type ShownRegister } from './registers.ts';
import { type SeenExit, SeenExits } from './seen-exits.ts';

export interface CodeLine {
  /** Hexadecimal with prefix. */
  readonly address: string;
  /** `start+0x3`, or empty. */
  readonly symbol: string;
  readonly text: string;
  readonly hasBreakpoint: boolean;
}

export interface SourceView {
  readonly file: string;
  readonly lines: readonly string[];
  /** From 1: the line that comes next. */
  readonly line: number;
  /** Lines with breakpoints. */
  readonly marks: ReadonlySet<number>;
}

export interface ShownExit extends SeenExit {
  /** `start+0x3`, or the address. */
  readonly place: string;
}

export interface ScreenView {
  /** The vCPU that it is about, what it is doing, and where in the run this is. */
  readonly status: string;
  readonly vcpuName: string;
  /** Null if no source is to be had for the place. */
  readonly source: SourceView | null;
  /** Instructions before the next one, and from it on. */
  readonly before: readonly CodeLine[];
  readonly code: readonly CodeLine[];
  readonly registers: readonly ShownRegister[];
  /** Names of the flags that are set. */
  readonly flags: string;
  /** Oldest first; the first `pastCount` have happened. */
  readonly exits: readonly ShownExit[];
  readonly pastCount: number;
  /** The last one waits to be handled: that is where the machine stands. */
  readonly isAtExit: boolean;
  /** By pCPU. */
  readonly lanes: readonly Lane[];
  /** Virtual time, in ns. */
  readonly nowNs: number;
}

/** Instructions that are there to be scrolled to. */
const BEFORE = 32;
const BEHIND = 96;

/** Trace records that exits and lanes are read off. */
const MOST_RECORDS = 5000;

/** Looks at a session again and again, and remembers what it takes to see what has changed. */
export class Viewer {
  private readonly registers = new RegisterMemory();
  private readonly seen = new SeenExits();

  look(context: Context): ScreenView {
    const { session, vcpu } = context;
    const target = session.vcpu(vcpu);
    const records = session.recentRecords(MOST_RECORDS);
    const { exits, pastCount } = this.seen.around(session.branch.id, records);
    const stops = stopsOf(session, target.vm.id);
    return {
      status: statusOf(session, vcpu),
      vcpuName: target.thread.name,
      source: sourceOf(context, stops),
      ...codeAround(session, vcpu, stops),
      ...this.registers.look(session, vcpu),
      exits: exits.map((exit) => ({ ...exit, place: placeOfExit(session, exit) })),
      pastCount,
      isAtExit: records.at(-1)?.name === 'kvm_exit',
      ...lanesOf(session, records),
    };
  }
}

function statusOf({ machine, when, vcpus }: Session, vcpu: number): string {
  if (machine.ending !== null) return `ended: ${machine.ending.message}`;
  const us = (machine.host.frequency.toNs(when.time) / 1000).toFixed(3);
  return `${vcpus[vcpu].thread.name} ${activityOf(vcpus[vcpu])}  event ${when.event}  ${us} us`;
}

/** Addresses at which a machine stops, as hexadecimal texts. */
function stopsOf(session: Session, vm: number): ReadonlySet<string> {
  const symbols = session.machine.symbols[vm] ?? SymbolMap.EMPTY;
  const addresses = session.breakpoints.list().flatMap(({ spec, isEnabled }) => {
    const isCode = spec.kind === 'address' || spec.kind === 'symbol' || spec.kind === 'line';
    return isCode && isEnabled && (spec.vm ?? 0) === vm ? addressesOf(spec, symbols) : [];
  });
  return new Set(addresses.map(hex));
}

function sourceOf(
  { session, vcpu, source }: Context,
  stops: ReadonlySet<string>,
): SourceView | null {
  const symbols = session.symbolsOf(vcpu);
  const here = sourceLineOf(symbols, session.vcpu(vcpu).linearRip);
  const lines = here === null ? null : source(here.file);
  if (here === null || lines === null) return null;
  const marks = [...stops].flatMap((address) => {
    const at = sourceLineOf(symbols, Long.fromString(address.slice(2), true, 16));
    return at?.file === here.file ? [at.line] : [];
  });
  return { ...here, lines, marks: new Set(marks) };
}

function codeAround(
  session: Session,
  vcpu: number,
  stops: ReadonlySet<string>,
): Pick<ScreenView, 'before' | 'code'> {
  const target = session.vcpu(vcpu);
  const symbols = session.symbolsOf(vcpu);
  const rip = target.linearRip.toUnsigned();
  const codeSize = codeSizeOf(target.virtual.processor.state);
  const read = (address: Long, lengthBytes: number) =>
    readMapped(session, vcpu, address, lengthBytes);
  const shown = ({ address, text }: DisassembledLine): CodeLine => ({
    address: hex(address),
    symbol: symbols.symbolAt(address) ?? '',
    text,
    hasBreakpoint: stops.has(hex(address)),
  });
  const mapped = (lines: readonly DisassembledLine[]) =>
    lines.filter(({ bytes }) => bytes.length > 0).map(shown);
  const namedBelow = (address: Long) => symbols.startOf(address);
  return {
    before: mapped(disassembleBefore(rip, BEFORE, codeSize, read, namedBelow)),
    code: mapped(disassemble(rip, BEHIND, codeSize, read)),
  };
}

/** Where an exit left the guest, by the symbols of its machine. */
function placeOfExit(session: Session, { pid, rip }: SeenExit): string {
  const vcpu = session.vcpus.findIndex(({ thread }) => thread.pid === pid);
  if (vcpu < 0) return rip;
  return session.symbolsOf(vcpu).symbolAt(Long.fromString(rip.slice(2), true, 16)) ?? rip;
}

function lanesOf(
  { machine, vcpus }: Session,
  records: readonly TraceRecord[],
): Pick<ScreenView, 'lanes' | 'nowNs'> {
  const { pcpus, frequency } = machine.host;
  const nowNs = frequency.toNs(Math.max(...pcpus.map(({ state }) => state.now)));
  const letters = new Map(vcpus.map(({ thread }, i) => [thread.pid, vcpuLetter(i)]));
  const inGuest = new Set(vcpus.flatMap((one) => (one.isInGuest ? [one.thread.pid] : [])));
  const lanes = pcpus.map(({ index, current }) => {
    const pid = current?.pid ?? 0;
    return laneOf(index, records, { pid, isInGuest: inGuest.has(pid) }, letters, nowNs);
  });
  return { lanes, nowNs };
}
