// One lane for each pCPU in virtual time: who ran there, in the guest or in the host, and where VM
// exits were. Read off the trace records of the past.

import type { TraceRecord } from '../../trace/index.ts';
import { type Line, type Style, span } from './styled.ts';

/** What a pCPU did for a while. Times are ns of virtual time. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  /** What is shown for the thread: one character. */
  readonly who: string;
  readonly doing: 'guest' | 'host' | 'other' | 'idle';
}

export interface ExitMark {
  readonly time: number;
  /** One character. */
  readonly letter: string;
  /** The character of the vCPU that exited. */
  readonly who: string;
}

export interface Lane {
  /** In order of time, without gaps. */
  readonly stretches: readonly Stretch[];
  readonly marks: readonly ExitMark[];
}

/** What runs where the records end. */
export interface Running {
  /** 0 for none. */
  readonly pid: number;
  readonly isInGuest: boolean;
}

/** One character for the vCPU with an index among all of the session. */
export function vcpuLetter(index: number): string {
  return index < 36 ? index.toString(36) : '+';
}

/** Letters that stand for VM exits in lanes; what has none is {@link OTHER_EXIT}. */
const LETTERS: readonly (readonly [prefix: string, letter: string])[] = [
  ['HLT', 'H'],
  ['PAUSE', 'P'],
  ['EXTERNAL_INTERRUPT', 'I'],
  ['INTERRUPT_WINDOW', 'W'],
  ['PREEMPTION_TIMER', 'T'],
  ['EPT', 'E'],
  ['MSR', 'M'],
  ['IO_INSTRUCTION', 'O'],
  ['CPUID', 'C'],
  ['VMCALL', 'V'],
  ['APIC', 'A'],
  ['EOI', 'A'],
  ['EXCEPTION', 'X'],
  ['CR_ACCESS', 'R'],
];

const OTHER_EXIT = '*';

export function exitLetter(reason: string): string {
  return LETTERS.find(([prefix]) => reason.startsWith(prefix))?.[1] ?? OTHER_EXIT;
}

/**
 * The lane of a pCPU.
 * @param records of all pCPUs, oldest first
 * @param vcpus the character of each vCPU, by the pid of its thread
 * @param end ns of virtual time
 */
export function laneOf(
  pcpu: number,
  records: readonly TraceRecord[],
  running: Running,
  vcpus: ReadonlyMap<number, string>,
  end: number,
): Lane {
  const stretches: Stretch[] = [];
  const marks: ExitMark[] = [];
  let { pid, isInGuest } = running;
  let to = end;
  const cutAt = (from: number) => {
    if (from < to) stretches.push({ from, to, ...shown(pid, isInGuest, vcpus) });
    to = Math.min(to, from);
  };
  for (let i = records.length - 1; i >= 0; i--) {
    const record = records[i];
    if (record.pcpu !== pcpu) continue;
    const { name, fields, timeNs } = record;
    if (name === 'kvm_exit') {
      cutAt(timeNs);
      marks.push({
        time: timeNs,
        letter: exitLetter(fields.reason),
        who: vcpus.get(record.pid) ?? '',
      });
      [pid, isInGuest] = [record.pid, true];
    } else if (name === 'kvm_entry') {
      cutAt(timeNs);
      [pid, isInGuest] = [record.pid, false];
    } else if (name === 'sched_switch') {
      cutAt(timeNs);
      [pid, isInGuest] = [fields.prev.pid, false];
    }
  }
  cutAt(records[0]?.timeNs ?? 0);
  return { stretches: stretches.reverse(), marks: marks.reverse() };
}

function shown(
  pid: number,
  isInGuest: boolean,
  vcpus: ReadonlyMap<number, string>,
): Pick<Stretch, 'who' | 'doing'> {
  if (pid === 0) return { who: '.', doing: 'idle' };
  const who = vcpus.get(pid);
  if (who === undefined) return { who: '~', doing: 'other' };
  return { who, doing: isInGuest ? 'guest' : 'host' };
}

const FILL: Readonly<Record<Stretch['doing'], string>> = {
  guest: '=',
  host: '-',
  other: '~',
  idle: '.',
};

const LOOK: Readonly<Record<Stretch['doing'], Style>> = {
  guest: 'guest',
  host: 'host',
  other: 'dim',
  idle: 'dim',
};

/**
 * A lane as a line. Each column shows what the pCPU did for most of it, or the first exit in it; a
 * vCPU's character stands where it begins to run, before an exit there if it runs on.
 * @param from ns of virtual time at the first column
 * @param perColumn ns
 */
export function laneLine(lane: Lane, from: number, perColumn: number, columns: number): Line {
  const most = Array.from({ length: columns }, (_, i) => {
    const start = from + i * perColumn;
    return mostOf(lane.stretches, start, start + perColumn);
  });
  const marks = Array.from({ length: columns + 1 }, (): ExitMark | null => null);
  for (const mark of lane.marks) {
    const column = Math.floor((mark.time - from) / perColumn);
    if (column >= 0 && column < columns) marks[column] ??= mark;
  }
  let named = '';
  return most.map((stretch, i) => {
    if (stretch === null) return span(' ');
    const { who, doing } = stretch;
    const mark = marks[i];
    const isNew = who !== named;
    const canWait = mark?.who === who && most[i + 1]?.who === who;
    if (mark !== null && !(isNew && canWait)) {
      named = isNew ? '' : who;
      return span(mark.letter, 'mark');
    }
    if (mark !== null) marks[i + 1] ??= mark;
    named = who;
    return span(isNew ? who : FILL[doing], LOOK[doing]);
  });
}

/** The stretch that takes most of a time, or null if none is in it. */
function mostOf(stretches: readonly Stretch[], start: number, end: number): Stretch | null {
  let best: Stretch | null = null;
  let most = 0;
  for (const stretch of stretches) {
    const shared = Math.min(end, stretch.to) - Math.max(start, stretch.from);
    if (shared <= most) continue;
    most = shared;
    best = stretch;
  }
  return best;
}

const ROUND = [1, 2, 5];

/**
 * A scale in ns, 1, 2 or 5 times a power of ten: the least that is not below a number, and some
 * steps finer (or coarser, if negative).
 */
export function scaleOf(ns: number, finer: number): number {
  let step = 0;
  while (roundScale(step) < ns) step++;
  return roundScale(Math.max(0, step - finer));
}

const roundScale = (step: number) => ROUND[step % 3] * 10 ** Math.floor(step / 3);
