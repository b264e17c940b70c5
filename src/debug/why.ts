// Why the last VM exit of a vCPU happened: what the VMCS says, at which times what led to it, what
// its handler then did, and what that cost. The times are from the journal.

import { Gpr } from '../isa/index.ts';
import type { Vcpu } from '../kvm/index.ts';
import type { Machine } from '../machine/index.ts';
import { printPayload } from '../trace/index.ts';
import { explainExit, timerDeadline } from '../vmx/index.ts';
import type { Journal } from './journal.ts';
import type { Moment } from './moment.ts';
import { waitOf } from './waits.ts';

/** Records of what a handler did that are shown, at most. */
const MOST_ACTIONS = 12;

const TSC_DEADLINE = 0x6e0;

/** The last exit in the journal: from the entry before it to the entry behind it. */
interface Passage {
  /** Null if the journal does not reach back so far. */
  readonly entered: Moment | null;
  readonly exited: Moment;
  /** Null while the guest has not been entered again. */
  readonly reentered: Moment | null;
  /** What its thread did between exit and entry, as ftrace words it. */
  readonly actions: readonly string[];
  /** Cycles of polling between. */
  readonly polled: number;
}

/** In lines. */
export function whyLines(machine: Machine, journal: Journal, vcpu: Vcpu): string[] {
  const waits = waitOf(machine, vcpu);
  const now = waits === null ? [] : [`Now it ${waits}.`];
  if (vcpu.exits.recent.length === 0) return ['There was no VM exit yet.', ...now];
  const { name, meaning, because, section, condition } = explainExit(vcpu.virtual.vmcs);
  const passage = passageOf(journal, vcpu);
  const times = passage === null ? null : timesOf(name, passage, vcpu);
  const sentences = (times?.because ?? because).map((one) => `${one.replace(/\.$/, '')}.`);
  return [
    `${name}: ${meaning}.`,
    ...sentences,
    `It exits ${condition} (SDM 3, "${section}").`,
    ...(passage === null ? [] : whenLines(machine, vcpu, passage)),
    ...(times?.lines ?? []),
    ...(passage === null ? [] : afterLines(machine, vcpu, passage)),
    ...now,
  ];
}

/** Whether the journal tells of the last exit of a vCPU, if there was one, all that there is. */
export function knowsLastExit(journal: Journal, vcpu: Vcpu): boolean {
  return vcpu.exits.recent.length === 0 || passageOf(journal, vcpu)?.entered != null;
}

function passageOf(journal: Journal, vcpu: Vcpu): Passage | null {
  const { pid } = vcpu.thread;
  const find = (name: string, from?: number) =>
    journal.findLast((record) => record.name === name && record.pid === pid, from);
  const exit = find('kvm_exit');
  const exited = journal.entry(exit)?.moment;
  if (exited === undefined || exited === null) return null;
  const last = find('kvm_entry');
  const end = last > exit ? last : journal.known;
  const between = Array.from({ length: end - exit - 1 }, (_, i) => journal.entry(exit + 1 + i));
  const own = between.flatMap((entry) => (entry?.record.pid === pid ? [entry] : []));
  return {
    entered: journal.entry(find('kvm_entry', exit))?.moment ?? null,
    exited,
    reentered: last > exit ? (journal.entry(last)?.moment ?? null) : null,
    actions: own.map(({ record }) => `${record.name}: ${printPayload(record)}`),
    polled: own.reduce((sum, { moment }) => sum + (moment?.polled ?? 0), 0),
  };
}

/** The clock of the guest where it exited, and where it was entered before. */
function stayOf({ entered, exited }: Passage, vcpu: Vcpu) {
  const end = exited.now - vcpu.vm.costs.vmx.exit;
  return { end, begin: entered === null ? null : end - (exited.guest - entered.guest) };
}

function whenLines(machine: Machine, vcpu: Vcpu, passage: Passage): string[] {
  const { begin, end } = stayOf(passage, vcpu);
  const us = (machine.host.frequency.toNs(end) / 1000).toFixed(3);
  const since = begin === null ? '' : `, ${end - begin} cycles after the entry at ${begin}`;
  return [`It was at ${end} cycles (${us} us)${since}.`];
}

interface Times {
  /** In place of what the VMCS alone tells. */
  readonly because?: readonly string[];
  readonly lines: readonly string[];
}

/** What is to be told of the times of an exit, by its reason. */
function timesOf(name: string, passage: Passage, vcpu: Vcpu): Times | null {
  switch (name) {
    case 'PAUSE_INSTRUCTION':
      return pauseTimes(passage, vcpu);
    case 'PREEMPTION_TIMER':
      return { lines: timerTimes(passage, vcpu) };
    case 'EXTERNAL_INTERRUPT': {
      const { due } = passage.exited;
      return { lines: due.length === 0 ? [] : [`At the pCPU waited: ${due.join(', ')}.`] };
    }
    case 'MSR_WRITE':
      return { lines: deadlineTimes(passage, vcpu) };
    default:
      return null;
  }
}

/** SDM 3, "PAUSE-Loop Exiting": first and last PAUSE, gap and window. */
function pauseTimes(passage: Passage, vcpu: Vcpu): Times | null {
  const { firstPause, lastPause, pleWindow } = passage.exited;
  if (lastPause < 0) return null;
  const { parameters } = vcpu.vm;
  const { end } = stayOf(passage, vcpu);
  const { pleWindow: least, pleWindowGrow, pleGap } = parameters;
  const origin =
    pleWindow === least
      ? 'ple_window'
      : `grown from ple_window ${least} by exits like this, by ple_window_grow ${pleWindowGrow}`;
  return {
    because: ['"PAUSE-loop exiting" is 1'],
    lines: [
      `The loop of PAUSEs began at ${firstPause}, and had its last but one at ${lastPause}.`,
      `PLE_Gap: ${end - lastPause} cycles between two PAUSEs are not more than ${pleGap} (ple_gap).`,
      `PLE_Window: ${end - firstPause} cycles are more than ${pleWindow} (${origin}).`,
    ],
  };
}

/** SDM 3, "VMX-Preemption Timer": value loaded, deadline, overshoot. */
function timerTimes(passage: Passage, vcpu: Vcpu): string[] {
  const { entered } = passage;
  const { begin, end } = stayOf(passage, vcpu);
  if (entered === null || begin === null) return [];
  const { timerValue, timerWanted } = entered;
  const { timerRateShift } = vcpu.virtual;
  const deadline = timerDeadline(begin, timerValue, timerRateShift);
  const wanted =
    timerWanted === null
      ? 'No deadline was set: it ran with its largest value.'
      : `The local APIC's timer had asked for ${timerWanted}.`;
  return [
    `It was loaded with ${timerValue} at ${begin}, and counts once in ${2 ** timerRateShift} ` +
      `cycles: it expired at ${deadline}, ${end - deadline} cycles before the exit.`,
    wanted,
  ];
}

/** What a write to IA32_TSC_DEADLINE asks for; known until the guest goes on. */
function deadlineTimes({ exited }: Passage, vcpu: Vcpu): string[] {
  const index = vcpu.register(Gpr.RCX).low >>> 0;
  if (vcpu.state.phase !== 'exited' || index !== TSC_DEADLINE) return [];
  const low = vcpu.register(Gpr.RAX).toUnsigned().and(0xffffffff);
  const deadline = vcpu.register(Gpr.RDX).toUnsigned().shl(32).or(low);
  const tsc = vcpu.guestTsc(exited.now).toUnsigned();
  const distance = deadline.gte(tsc)
    ? `${deadline.sub(tsc)} cycles ahead`
    : `${tsc.sub(deadline)} cycles ago`;
  return [`IA32_TSC_DEADLINE: ${deadline}, where the guest's TSC is ${tsc}: ${distance}.`];
}

/** What the handler did, and what it cost. */
function afterLines(machine: Machine, vcpu: Vcpu, passage: Passage): string[] {
  if (vcpu.state.phase === 'exited') return ['It has not been handled yet.'];
  const { actions, reentered } = passage;
  const shown = actions.slice(0, MOST_ACTIONS).map((action) => `  ${action}`);
  const more = actions.length - shown.length;
  const failure = failedEntryOf(machine, vcpu);
  return [
    ...(actions.length === 0 ? [] : ['The host then:', ...shown]),
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...(failure === null && reentered !== null
      ? [costLine(vcpu, passage, reentered)]
      : ['The guest has not been entered again.']),
    ...(failure === null ? [] : [failure]),
  ];
}

/** The check that has kept a vCPU from being entered, as the end of the run tells of it. */
function failedEntryOf({ endings }: Machine, { vm, index }: Vcpu): string | null {
  const ending = endings[vm.id];
  return ending?.status === 'entryFailed' && ending.vcpu?.index === index
    ? `${ending.message}.`
    : null;
}

function costLine(vcpu: Vcpu, { exited, polled }: Passage, reentered: Moment): string {
  const { exit, entry } = vcpu.vm.costs.vmx;
  const parts: [string, number][] = [
    ['hardware exit', exit],
    ['KVM and the kernel', reentered.host - exited.host - polled],
    ['polling', polled],
    ['run queue', reentered.waiting - exited.waiting],
    ['asleep', reentered.blocked - exited.blocked],
    ['hardware entry', entry],
  ];
  const total = parts.reduce((sum, [, cycles]) => sum + cycles, 0);
  const told = parts.filter(([, cycles]) => cycles > 0).map((part) => part.join(' '));
  return `From the guest to the guest it took ${total} cycles: ${told.join(', ')}.`;
}
