// Schedules as text, to be kept in files and repeated: `0*12 1 1d 0e` is twelve steps of vCPU 0,
// one of vCPU 1, a store of vCPU 1 that reaches memory, and an event that arrives at vCPU 0.

import { type Action, ActionKind, actionOf, kindOf, MOST_VCPUS, vcpuOf } from './world.ts';

const SUFFIXES = { [ActionKind.STEP]: '', [ActionKind.DRAIN]: 'd', [ActionKind.EVENT]: 'e' };

export function printSchedule(schedule: readonly Action[]): string {
  const words: string[] = [];
  for (let i = 0; i < schedule.length; ) {
    let end = i;
    while (end < schedule.length && schedule[end] === schedule[i]) end++;
    const action = schedule[i];
    const suffix = SUFFIXES[kindOf(action) as keyof typeof SUFFIXES];
    words.push(`${vcpuOf(action)}${suffix}${end - i > 1 ? `*${end - i}` : ''}`);
    i = end;
  }
  return words.join(' ');
}

const WORD = /^(\d)([de]?)(?:\*([1-9]\d{0,6}))?$/;

/** What {@link printSchedule} printed; null if it is something else. */
export function parseSchedule(text: string): Action[] | null {
  const actions: Action[] = [];
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    const [, vcpu, suffix, count] = WORD.exec(word) ?? [];
    if (vcpu === undefined || Number(vcpu) >= MOST_VCPUS) return null;
    const kind = suffix === 'd' ? ActionKind.DRAIN : suffix === 'e' ? ActionKind.EVENT : 0;
    const action = actionOf(Number(vcpu), kind);
    for (let i = 0; i < Number(count ?? 1); i++) actions.push(action);
  }
  return actions;
}

/** How often a vCPU that could have gone on was left for another one. */
export function countSwitches(schedule: readonly Action[]): number {
  const steps = schedule.filter((action) => kindOf(action) === ActionKind.STEP);
  return steps.filter((action, i) => i > 0 && action !== steps[i - 1]).length;
}
