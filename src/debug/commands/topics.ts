// What `info` shows at the prompt, and `monitor` by its name alone.

import { DebugError } from '../debug-error.ts';
import { addressesOf, sourceLineOf } from '../places.ts';
import { registerNamed, wordOf } from '../registers.ts';
import type { Session } from '../session.ts';
import { activityOf, exitLines, hostValues, lapicValues, type NamedValue } from '../views.ts';
import { type Command, type Context, command } from './command.ts';
import { displayList } from './displays.ts';
import { frameLines } from './frames.ts';
import { branchLines } from './motions.ts';
import { addressOf, breakpointOf } from './parse.ts';
import { breakpointText, hex, placeText } from './print.ts';
import { codeNames, valueNames } from './words.ts';

/** The names of registers that are shown if none is asked for. */
const USUAL_REGISTERS = 18;

function registers({ session, vcpu }: Context, text: string): string[] {
  const all = session.readRegisters(vcpu);
  const general = all.slice(0, USUAL_REGISTERS).map(({ name }) => name);
  const names =
    text === '' ? [...general, 'cs', 'ss', 'cr0', 'cr3', 'cr4', 'efer'] : text.split(/\s+/);
  const chosen = names[0] === 'all' ? all.map(({ name }) => name) : names;
  return chosen.map((given) => {
    const name = wordOf(given);
    const shown = registerNamed(name)?.name ?? name;
    return `${shown.padEnd(8)} ${hex(session.readRegister(vcpu, name))}`;
  });
}

function threads({ session, vcpu }: Context): string[] {
  return session.vcpus.map((one, i) => {
    const rip = hex(session.readRegister(i, 'rip'));
    return `${i === vcpu ? '*' : ' '} ${i}  ${one.thread.name}  rip ${rip}  ${activityOf(one)}`;
  });
}

function waits({ session }: Context): string[] {
  return session.vcpus.map(({ thread }, i) => {
    const wait = session.waitOf(i);
    return `${thread.name} ${wait ?? 'waits for nothing'}`;
  });
}

function exits({ session, vcpu }: Context): string[] {
  const lines = exitLines(session.vcpu(vcpu));
  return lines.length === 0 ? ['There was no VM exit yet.'] : lines;
}

function vmcs({ session, vcpu }: Context, text: string): string[] {
  const values = session
    .readVmcs(vcpu)
    .map(({ field, value }) => ({ name: field.name, value: hex(value) }))
    .filter(({ name }) => name.toLowerCase().includes(text.toLowerCase()));
  if (values.length === 0) throw new DebugError(`no VMCS field has '${text}' in its name`);
  return aligned(values);
}

function sched({ session, vcpu }: Context): string[] {
  const { machine } = session;
  return [...aligned(hostValues(machine, session.vcpu(vcpu))), '', ...pcpuLines(session)];
}

function pcpuLines({ machine }: Session): string[] {
  return machine.host.pcpus.map(({ index, current, queue, state }) => {
    const running = current === null ? 'idle' : current.name;
    const waiting = queue.waiting.map(({ name }) => name).join(' ');
    const queued = waiting === '' ? '' : `; waiting ${waiting}`;
    return `pCPU ${index} at ${state.now}: ${running}${queued}`;
  });
}

function snapshots({ session: { branches } }: Context): string[] {
  return branches.map(({ id, cause, from, snapshots: { count, bytes } }) => {
    const saved = `${count} states saved, ${bytes} bytes`;
    return `branch ${id} from event ${from.event} (${cause}): ${saved}`;
  });
}

function symbols({ session, vcpu }: Context, text: string): string[] {
  return session
    .symbolsOf(vcpu)
    .names.filter(({ name }) => name.includes(text))
    .map(({ name, start }) => `${hex(start)}  ${name}`);
}

function symbolOf({ session, vcpu }: Context, text: string): string[] {
  if (text === '') throw new DebugError('an address expected');
  return [placeText(session, vcpu, addressOf(session, vcpu, text))];
}

function lineOf({ session, vcpu }: Context, text: string): string[] {
  const symbols = session.symbolsOf(vcpu);
  const here = { kind: 'address', address: session.vcpu(vcpu).linearRip.toUnsigned() } as const;
  const spec = text === '' ? here : breakpointOf(session, vcpu, text);
  if (spec.kind !== 'address' && spec.kind !== 'symbol' && spec.kind !== 'line') {
    throw new DebugError(`a place in the code expected, not '${text}'`);
  }
  return addressesOf(spec, symbols).flatMap((address) => {
    const place = sourceLineOf(symbols, address);
    if (place === null) return [`No line is known for ${hex(address)}.`];
    const { file, line } = place;
    const range = symbols.lines.find((one) => {
      return one.file === file && one.line === line && address.sub(one.address).lt(one.lengthBytes);
    });
    const [first, last] =
      range === undefined
        ? [address, address]
        : [range.address, range.address.add(range.lengthBytes)];
    return [
      `${file}:${line} begins at ${placeText(session, vcpu, first)} and ends before ${hex(last)}.`,
    ];
  });
}

function sourceHere({ session, vcpu }: Context): string[] {
  const place = sourceLineOf(session.symbolsOf(vcpu), session.vcpu(vcpu).linearRip.toUnsigned());
  return [place === null ? 'No source is known for this place.' : `${place.file}:${place.line}`];
}

function sources({ session, vcpu }: Context): string[] {
  return [...new Set(session.symbolsOf(vcpu).lines.map(({ file }) => file))];
}

function aligned(values: readonly NamedValue[]): string[] {
  const width = Math.max(...values.map(({ name }) => name.length));
  return values.map(({ name, value }) => `${name.padEnd(width)}  ${value}`);
}

const topic = (
  name: string,
  argument: string,
  summary: string,
  work: (context: Context, argument: string) => readonly string[],
  words?: (context: Context) => Iterable<string>,
): Command =>
  command(name, argument, summary, work, {
    scope: 'topic',
    ...(words === undefined ? {} : { words }),
  });

export const TOPICS: readonly Command[] = [
  topic('registers', '[NAME...|all]', 'registers of this vCPU', registers, valueNames),
  topic('all-registers', '', 'every register of this vCPU', (context) => registers(context, 'all')),
  topic('breakpoints', '', 'what the machine stops at', ({ session }) =>
    session.breakpoints.list().map(breakpointText),
  ),
  topic('watchpoints', '', 'those of them that are about memory', ({ session }) => {
    const watched = session.breakpoints.list().filter(({ spec }) => spec.kind === 'memory');
    return watched.length === 0 ? ['No memory is watched.'] : watched.map(breakpointText);
  }),
  topic('display', '', 'what is shown at each stop', displayList),
  topic('threads', '', 'where every vCPU is, and what it is doing', threads),
  topic('waits', '', 'what every vCPU waits for', waits),
  topic('frame', '', 'the frame that commands are about, and who called', frameLines),
  topic('exits', '', 'its last VM exits: time in cycles, reason, RIP, qualification', exits),
  topic('vmcs', '[TEXT]', 'fields of its VMCS, or those with a text in their names', vmcs),
  topic('sched', '', "this vCPU's thread on the host, and what every pCPU runs", sched),
  topic('lapic', '', 'its local APIC', ({ session, vcpu }) =>
    aligned(lapicValues(session.vcpu(vcpu))),
  ),
  topic('checkpoints', '', 'places that were given a name', ({ session }) =>
    session.bookmarks.map(({ id, name, position }) => `${id}  ${name}  event ${position.event}`),
  ),
  topic('branches', '', 'branches of history', ({ session }) => branchLines(session)),
  topic('snapshots', '', 'saved states of each branch', snapshots),
  topic('symbol', 'ADDRESS', 'the name of an address, and its line', symbolOf, valueNames),
  topic('line', '[PLACE]', 'the addresses of a line of the source', lineOf, codeNames),
  topic('source', '', 'the source of the next instruction', sourceHere),
  topic('sources', '', 'the sources that the program was made from', sources),
  topic(
    'symbols functions variables',
    '[TEXT]',
    'names of addresses, or those with a text in them',
    symbols,
  ),
];
