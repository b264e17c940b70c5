// Commands for remote clients: `monitor` in gdb, the debug console of VS Code. Looks at what gdb
// has no view of its own for. The table is what help is made of.

import type Long from 'long';
import { codeSizeOf } from '../cpu/index.ts';
import { disassemble } from './dap/disassembly.ts';
import { DebugError } from './debug-error.ts';
import { readMapped } from './remote-memory.ts';
import type { Session } from './session.ts';
import {
  activityOf,
  exitLines,
  hostValues,
  lapicValues,
  type NamedValue,
  whyLines,
} from './views.ts';

/** Instructions that `code` shows. */
const CODE_LINES = 8;

interface MonitorCommand {
  readonly name: string;
  readonly argument: string;
  readonly summary: string;
  execute(session: Session, vcpu: number, argument: string): readonly string[];
}

const COMMANDS: readonly MonitorCommand[] = [
  {
    name: 'exits',
    argument: '',
    summary: 'the last VM exits of this vCPU: time in cycles, reason, RIP, qualification',
    execute: (session, vcpu) => {
      const lines = exitLines(session.vcpu(vcpu));
      return lines.length === 0 ? ['There was no VM exit yet.'] : lines;
    },
  },
  {
    name: 'why',
    argument: '',
    summary: 'why the last VM exit of this vCPU happened',
    execute: (session, vcpu) => whyLines(session.vcpu(vcpu)),
  },
  {
    name: 'code',
    argument: '',
    summary: 'the next instructions of this vCPU, decoded for the mode that it is in',
    execute: (session, vcpu) => {
      const { linearRip, virtual } = session.vcpu(vcpu);
      const codeSize = codeSizeOf(virtual.processor.state);
      const read = (address: Long, lengthBytes: number) =>
        readMapped(session, vcpu, address, lengthBytes);
      return disassemble(linearRip.toUnsigned(), CODE_LINES, codeSize, read).map(
        ({ address, text }) => `0x${address.toString(16)}  ${text}`,
      );
    },
  },
  {
    name: 'vmcs',
    argument: '[text]',
    summary: "the fields of this vCPU's VMCS, or those with a text in their names",
    execute: (session, vcpu, text) => {
      const values = session
        .readVmcs(vcpu)
        .map(({ field, value }) => ({ name: field.name, value: `0x${value.toString(16)}` }))
        .filter(({ name }) => name.toLowerCase().includes(text.toLowerCase()));
      if (values.length === 0) throw new DebugError(`no VMCS field has '${text}' in its name`);
      return table(values);
    },
  },
  {
    name: 'sched',
    argument: '',
    summary: "this vCPU's thread on the host, and what every pCPU runs",
    execute: (session, vcpu) => [
      ...table(hostValues(session.machine, session.vcpu(vcpu))),
      '',
      ...pcpuLines(session),
    ],
  },
  {
    name: 'lapic',
    argument: '',
    summary: 'the local APIC of this vCPU',
    execute: (session, vcpu) => table(lapicValues(session.vcpu(vcpu))),
  },
  {
    name: 'threads',
    argument: '',
    summary: 'what every vCPU is doing',
    execute: ({ vcpus }) =>
      table(
        vcpus.map((vcpu) => ({
          name: `${vcpu.vm.name} vCPU ${vcpu.index}`,
          value: activityOf(vcpu),
        })),
      ),
  },
  {
    name: 'when',
    argument: '',
    summary: 'the place in the run: event number, time in cycles, pCPU',
    execute: ({ when }) => [`event ${when.event}, time ${when.time}, pCPU ${when.pcpu}`],
  },
  {
    name: 'checkpoint',
    argument: '[name]',
    summary: 'give this place a name',
    execute: (session, _vcpu, name) => {
      const { id, name: given, position } = session.addBookmark(name);
      return [`checkpoint ${id}, ${given}, at event ${position.event}`];
    },
  },
  {
    name: 'snapshots',
    argument: '',
    summary: 'checkpoints, branches of history, and the states that are saved',
    execute: ({ bookmarks, branches }) => [
      ...bookmarks.map(({ id, name, position }) => {
        return `checkpoint ${id}, ${name}, at event ${position.event}`;
      }),
      ...branches.map(({ id, cause, from, snapshots }) => {
        const saved = `${snapshots.count} states saved, ${snapshots.bytes} bytes`;
        return `branch ${id} from event ${from.event} (${cause}): ${saved}`;
      }),
    ],
  },
  {
    name: 'help',
    argument: '',
    summary: 'this list',
    execute: () => COMMANDS.map((command) => `${usage(command).padEnd(18)} ${command.summary}`),
  },
];

function usage({ name, argument }: MonitorCommand): string {
  return `${name} ${argument}`.trim();
}

/** Execute a command: what it says, or what is wrong with it. */
export function monitorCommand(session: Session, vcpu: number, text: string): string {
  const [, name = '', argument = ''] = /^\s*(\S*)\s*(.*?)\s*$/s.exec(text) ?? [];
  const command = commandNamed(name === '' ? 'help' : name);
  if (command === null) return `unknown command '${printable(name)}'; 'help' lists them\n`;
  if (argument !== '' && command.argument === '') {
    return `'${command.name}' takes no argument\n`;
  }
  try {
    return `${command.execute(session, vcpu, printable(argument)).join('\n')}\n`;
  } catch (thrown) {
    if (thrown instanceof DebugError) return `${thrown.message}\n`;
    throw thrown;
  }
}

/** Whether the first word of a text is a command. */
export function isMonitorCommand(text: string): boolean {
  return commandNamed(text.trim().split(/\s/)[0] ?? '') !== null;
}

/** By its name, or the beginning of it that no other has. */
function commandNamed(name: string): MonitorCommand | null {
  const exact = COMMANDS.find((command) => command.name === name);
  if (exact !== undefined) return exact;
  const fitting = name === '' ? [] : COMMANDS.filter((command) => command.name.startsWith(name));
  return fitting.length === 1 ? fitting[0] : null;
}

/** ASCII only: what comes may be anything. */
function printable(text: string): string {
  return text.replace(/[^ -~]/g, '?').slice(0, MAX_TEXT);
}

const MAX_TEXT = 200;

function pcpuLines({ machine }: Session): string[] {
  return machine.host.pcpus.map(({ index, current, queue, state }) => {
    const running = current === null ? 'idle' : current.name;
    const waiting = queue.waiting.map(({ name }) => name).join(' ');
    const queued = waiting === '' ? '' : `; waiting ${waiting}`;
    return `pCPU ${index} at ${state.now}: ${running}${queued}`;
  });
}

function table(values: readonly NamedValue[]): string[] {
  const width = Math.max(...values.map(({ name }) => name.length));
  return values.map(({ name, value }) => `${name.padEnd(width)}  ${value}`);
}
