// A schedule told step by step: who does what, where. Steps that nobody else can notice are only
// counted.

import { codeSizeOf } from '../cpu/index.ts';
import { decode, format, MAX_INSTRUCTION_BYTES } from '../isa/index.ts';
import { readGuestBytes, type Vcpu } from '../kvm/index.ts';
import { follow } from './explore.ts';
import { type Action, ActionKind, kindOf, vcpuOf, type World } from './world.ts';

/** One line of the story. */
export interface Moment {
  readonly vcpu: number;
  /** Address and instruction, or what happens by itself. */
  readonly text: string;
  /** Steps of the same vCPU before it that nobody else could notice. */
  readonly hidden: number;
  /** How often in a row. */
  readonly times: number;
}

/**
 * Follow a schedule from where the world stands, and tell it. Goes back to the start and once more:
 * only at the end of the first time it is known what is shared. It ends where the schedule cannot
 * be followed any more, as it is of another program.
 */
export function narrate(world: World, schedule: readonly Action[]): Moment[] {
  const start = world.save();
  follow(world, schedule);
  world.restore(start);
  const moments: Moment[] = [];
  const tell = (vcpu: number, text: string, hiddenBefore: number) => {
    const last = moments.at(-1);
    if (last?.vcpu === vcpu && last.text === text) {
      moments[moments.length - 1] = { ...last, times: last.times + 1 };
    } else moments.push({ vcpu, text, hidden: hiddenBefore, times: 1 });
  };
  const hidden = world.vcpus.map(() => 0);
  for (const action of schedule) {
    const vcpu = vcpuOf(action);
    if (kindOf(action) === ActionKind.STEP && world.isNextHidden(vcpu)) hidden[vcpu]++;
    else {
      if (!world.enabled().includes(action)) break;
      tell(vcpu, textOf(world, action), hidden[vcpu]);
      hidden[vcpu] = 0;
    }
    world.take(action);
  }
  for (const [vcpu, count] of hidden.entries()) {
    if (count > 0) tell(vcpu, placeOf(world, vcpu), count);
  }
  return moments;
}

function textOf(world: World, action: Action): string {
  const index = vcpuOf(action);
  switch (kindOf(action)) {
    case ActionKind.STEP:
      return stepText(world, index);
    case ActionKind.DRAIN: {
      const [{ hpa, lengthBytes }] = world.storesOf(index);
      const gpa = (hpa - world.vm.ramHpa).toString(16);
      return `its oldest buffered store reaches memory: ${lengthBytes} bytes at 0x${gpa}`;
    }
    default:
      return 'an interrupt arrives at its pCPU';
  }
}

function stepText(world: World, index: number): string {
  const { phase } = world.vcpus[index].state;
  if (phase === 'guest' && !world.machine.host.pcpus[index].interruptPending) {
    return placeOf(world, index);
  }
  if (phase === 'guest') return 'VM exit for the interrupt';
  return phase === 'loop' ? 'KVM goes on with it' : `KVM goes on with it, ${phase}`;
}

/** Where a vCPU stands, and the instruction there. */
function placeOf(world: World, index: number): string {
  const vcpu = world.vcpus[index];
  const rip = vcpu.linearRip;
  const symbol = world.machine.symbols[0].symbolAt(rip);
  const name = symbol === null ? '' : ` <${symbol}>`;
  return `0x${rip.toUnsigned().toString(16)}${name}  ${instructionAt(vcpu)}`;
}

function instructionAt(vcpu: Vcpu): string {
  const rip = vcpu.linearRip;
  const bytes = readGuestBytes(vcpu, rip, MAX_INSTRUCTION_BYTES);
  const codeSize = codeSizeOf(vcpu.virtual.processor.state);
  const decoded = bytes === null ? null : decode(bytes, 0, bytes.length, codeSize);
  return decoded?.kind === 'instruction' ? format(decoded.instruction, rip) : '(not mapped)';
}
