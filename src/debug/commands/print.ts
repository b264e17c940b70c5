// What commands print: places, instructions, memory, stops.

import Long from 'long';
import { codeSizeOf } from '../../cpu/index.ts';
import type { SymbolMap } from '../../machine/index.ts';
import { printPayload, type TraceRecord } from '../../trace/index.ts';
import type { Breakpoint, BreakpointSpec, Hit } from '../breakpoints.ts';
import { DebugError } from '../debug-error.ts';
import { type DisassembledLine, disassemble } from '../disassembly.ts';
import { type SourcePlace, sourceLineOf } from '../places.ts';
import { readMapped } from '../remote-memory.ts';
import type { Session, StopReport } from '../session.ts';
import type { ReadSource } from './command.ts';
import { type Format, formatOf } from './parse.ts';

export const hex = (value: Long | number | bigint): string =>
  `0x${(Long.isLong(value) ? value.toUnsigned() : value).toString(16)}`;

/** `0x100000 <again+0x5>`, with the source line if it is known. */
export function placeText(session: Session, vcpu: number, address: Long): string {
  const symbols = session.symbolsOf(vcpu);
  const name = symbols.symbolAt(address);
  const source = symbols.sourceOf(address);
  const called = name === null ? '' : ` <${name}>`;
  return `${hex(address)}${called}${source === null ? '' : ` at ${source}`}`;
}

/** Instructions from an address on, decoded for the mode that the vCPU is in. */
export function instructionsAt(
  session: Session,
  vcpu: number,
  from: Long,
  count: number,
): readonly DisassembledLine[] {
  const { state } = session.vcpu(vcpu).virtual.processor;
  const read = (address: Long, lengthBytes: number) =>
    readMapped(session, vcpu, address, lengthBytes);
  const lines = disassemble(from.toUnsigned(), count, codeSizeOf(state), read);
  const end = lines.findIndex(({ bytes }) => bytes.length === 0);
  if (end === 0) throw new DebugError(`no memory at ${hex(from)}`);
  return end < 0 ? lines : lines.slice(0, end);
}

/** What stands beside instructions. */
export interface Beside {
  readonly hasBytes?: boolean;
  /** Where there is one, the lines of the source stand before the code that they made. */
  readonly source?: ReadSource | null;
}

/** The same as text; the one that comes next is marked. */
export function disassembly(
  session: Session,
  vcpu: number,
  from: Long,
  count: number,
  { hasBytes = false, source = null }: Beside = {},
): string[] {
  const next = session.vcpu(vcpu).linearRip.toUnsigned();
  const symbols = session.symbolsOf(vcpu);
  let last: SourcePlace | null = null;
  return instructionsAt(session, vcpu, from, count).flatMap(({ address, text, bytes }) => {
    const name = symbols.symbolAt(address);
    const label = name === null ? '' : ` <${name}>`;
    const raw = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const code = hasBytes ? `${raw}  ${text}` : text;
    const line = `${address.eq(next) ? '=>' : '  '} ${hex(address)}${label}:  ${code}`;
    const place = source === null ? null : sourceLineOf(symbols, address);
    if (place === null || source === null) return [line];
    const before = lineBefore(place, last, source);
    last = place;
    return [...before, line];
  });
}

/** A line of the source, if it is another than the last; its file, if that is another. */
function lineBefore(
  { file, line }: SourcePlace,
  last: SourcePlace | null,
  source: ReadSource,
): readonly string[] {
  if (last?.file === file && last.line === line) return [];
  const text = source(file)?.[line - 1] ?? '';
  return [...(last?.file === file ? [] : [`${file}:`]), `${line}\t${text}`.trimEnd()];
}

/** Memory in gdb's layout: some values a line, behind the address. */
export function memoryLines(
  session: Session,
  vcpu: number,
  from: Long,
  { count, sizeBytes, letter }: Format,
): string[] {
  if (letter === 'i') return disassembly(session, vcpu, from, count);
  if (letter === 's') return textLines(session, vcpu, from, count);
  const bytes = readMapped(session, vcpu, from, count * sizeBytes);
  if (bytes.length < sizeBytes) throw new DebugError(`no memory at ${hex(from)}`);
  const perLine = Math.max(1, Math.min(8, 16 / sizeBytes));
  const lines: string[] = [];
  for (let i = 0; (i + 1) * sizeBytes <= bytes.length; i += perLine) {
    const values: string[] = [];
    for (let n = i; n < i + perLine && (n + 1) * sizeBytes <= bytes.length && n < count; n++) {
      const value = bytes.subarray(n * sizeBytes, (n + 1) * sizeBytes);
      values.push(valueText(value, letter, session.symbolsOf(vcpu)));
    }
    lines.push(`${hex(from.add(i * sizeBytes))}:  ${values.join('  ')}`);
  }
  return lines;
}

/** Texts that end with a zero, one behind the other; longer ones go on in the next line. */
function textLines(session: Session, vcpu: number, from: Long, count: number): string[] {
  const lines: string[] = [];
  for (let at = from; lines.length < count; ) {
    const bytes = readMapped(session, vcpu, at, LONGEST_TEXT);
    if (bytes.length === 0 && lines.length === 0) throw new DebugError(`no memory at ${hex(from)}`);
    if (bytes.length === 0) break;
    const zero = bytes.indexOf(0);
    const own = zero < 0 ? bytes : bytes.subarray(0, zero);
    const shown = [...own].map((byte) =>
      /[ -~]/.test(charOf(byte)) ? charOf(byte) : escaped(byte),
    );
    lines.push(`${hex(at)}:  "${shown.join('')}"${zero < 0 ? '...' : ''}`);
    at = at.add(own.length + (zero < 0 ? 0 : 1));
  }
  return lines;
}

const LONGEST_TEXT = 200;

const charOf = (byte: number) => String.fromCharCode(byte);

function escaped(byte: number): string {
  if (byte === 10) return '\\n';
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}

/** The value of an expression, in one of gdb's formats. */
export function valueLine(session: Session, vcpu: number, text: string, format: string): string {
  const value = session.evaluate(vcpu, text);
  const { letter } = formatOf(format === '' ? 'x' : format);
  if (letter === 'x') return hex(value);
  const bytes = Long.fromString(value.toString(16), true, 16).toBytesLE();
  return valueText(Uint8Array.from(bytes), letter, session.symbolsOf(vcpu));
}

function valueText(bytes: Uint8Array, letter: string, symbols: SymbolMap): string {
  const value = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const width = BigInt(8 * bytes.length);
  if (letter === 'u') return String(value);
  if (letter === 'o') return `0${value.toString(8)}`;
  if (letter === 't') return value.toString(2);
  if (letter === 'a') {
    const name = symbols.symbolAt(Long.fromString(value.toString(16), true, 16));
    return `${hex(value)}${name === null ? '' : ` <${name}>`}`;
  }
  if (letter === 'd') return String(BigInt.asIntN(Number(width), value));
  if (letter === 'c') return `'${/[ -~]/.exec(String.fromCharCode(bytes[0])) ?? '.'}'`;
  return `0x${value.toString(16).padStart(2 * bytes.length, '0')}`;
}

export function whenText({ when, machine }: Session): string {
  const ns = machine.host.frequency.toNs(when.time);
  const where = when.pcpu < 0 ? 'the beginning' : `pCPU ${when.pcpu}`;
  return `event ${when.event}, ${when.time} cycles (${(ns / 1000).toFixed(3)} us), ${where}`;
}

/** Of a breakpoint that nobody has asked for, only what has happened. */
function hitText({ id, detail }: Hit): string {
  return [...(id < 0 ? [] : [`Breakpoint ${id}`]), ...(detail === '' ? [] : [detail])].join(': ');
}

/** Why it stopped, and what comes next. */
export function stopLines(session: Session, stop: StopReport): string[] {
  const { vcpu, reason, hits, ending, records } = stop;
  const lines = hits.map(hitText).filter((line) => line !== '');
  if (reason === 'ended') return [`The machine has ended: ${ending?.message ?? ''}.`];
  if (reason === 'beginning') lines.push('No more history: this is the beginning.');
  if (reason === 'interrupted') lines.push('Interrupted.');
  const last = records.at(-1);
  if (reason === 'step' && last !== undefined) lines.push(recordText(last));
  const rip = session.vcpu(vcpu).linearRip;
  lines.push(`[${session.vcpu(vcpu).thread.name}] ${placeText(session, vcpu, rip)}`);
  try {
    lines.push(...disassembly(session, vcpu, rip, 1));
  } catch (thrown) {
    if (!(thrown instanceof DebugError)) throw thrown;
  }
  return lines;
}

/** What the host did last; of an exit what matters at first sight. */
function recordText(record: TraceRecord): string {
  if (record.name !== 'kvm_exit') return `${record.name}: ${printPayload(record)}`;
  const { reason, info1 } = record.fields;
  return `VM exit ${reason}, qualification ${hex(info1)}, not handled yet`;
}

/** A breakpoint as `info breakpoints` lists it. */
export function breakpointText({ id, spec, hits, isEnabled, ignore }: Breakpoint): string {
  const notes = [
    ...(spec.vcpu === undefined ? [] : [`vCPU ${spec.vcpu}`]),
    ...(spec.condition === undefined ? [] : [`if ${spec.condition}`]),
    ...(spec.temporary ? ['temporary'] : []),
    ...(spec.once ? ['once'] : []),
    ...(isEnabled ? [] : ['disabled']),
    ...(ignore > 0 ? [`ignores ${ignore} more`] : []),
    ...(hits === 0 ? [] : [hits === 1 ? 'hit once' : `hit ${hits} times`]),
  ];
  return `${id}  ${specText(spec)}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`;
}

function specText(spec: BreakpointSpec): string {
  switch (spec.kind) {
    case 'address':
      return `at ${hex(spec.address)}`;
    case 'symbol':
      return `at ${spec.symbol}`;
    case 'line':
      return `at ${spec.file}:${spec.line}`;
    case 'exit':
      return `VM exit${spec.reason === undefined ? '' : ` ${spec.reason}`}`;
    case 'entry':
      return 'VM entry';
    case 'hostEvent':
      return spec.event;
    case 'hypercall':
      return `hypercall${spec.number === undefined ? '' : ` ${spec.number}`}`;
    case 'msr':
      return `MSR ${hex(spec.index)}${spec.access === undefined ? '' : ` ${spec.access}`}`;
    case 'port':
      return `port ${hex(spec.port)}${spec.access === undefined ? '' : ` ${spec.access}`}`;
    case 'memory':
      return `${spec.access} of ${spec.lengthBytes} bytes at ${hex(spec.address)}`;
    case 'time':
      return `time ${spec.time}`;
  }
}
