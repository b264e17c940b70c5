// Whether a run that was cut off would ever have ended: one that goes round in a circle would not.
// Each vCPU comes to the same registers with the same memory again and again, nothing that it does
// asks for the time or for chance, and nothing is under way that could interrupt it. What merely
// takes long (it counts, or something in memory changes) is no hang.

import { type Block, STATE_BYTES } from '../cpu/index.ts';
import type { Vcpu, Vm } from '../kvm/index.ts';
import type { Machine } from '../machine/index.ts';
import { PAGE_SIZE } from '../memory/index.ts';
import { Hash, Prng } from '../sim/index.ts';

/** Looks at the last part of a run. */
const MOST_LOOKS = 128;
const LEAST_LOOKS = 32;

/** Bytes of memory that all looks together may read: a large guest is looked at less often. */
const MOST_BYTES = 2 ** 25;

/** The part of a run that is looked at begins here, of its time. */
const BEGIN = 3 / 4;

/**
 * Run a machine once more to where it was cut off, and look at the last quarter of that.
 * @param machine at its beginning, with nobody looking on
 * @param end time in cycles of the cut
 * @param questions what its blocks are told to
 */
export function goesInCircles(machine: Machine, end: number, questions: Questions): boolean {
  machine.run(Math.floor(end * BEGIN));
  if (machine.ending !== null || isAwaited(machine)) return false;
  questions.hasAsked = false;
  const looks = looksFor(machine);
  const circles = machine.vcpus.map(() => new Circle(looks));
  // At uneven distances: a loop may be as long as even ones.
  const prng = new Prng(1);
  const step = (end - machine.now) / looks;
  let at = machine.now;
  for (let look = 0; look < looks; look++) {
    at += step;
    machine.run(Math.floor(at - (step / 2) * (prng.next() / 2 ** 32)));
    if (machine.ending !== null) break;
    const memories = machine.vms.map((vm) => memoryOf(vm));
    for (const [i, vcpu] of machine.vcpus.entries()) {
      circles[i].see(`${memories[vcpu.vm.id]} ${registersOf(vcpu)}`, look);
    }
  }
  return !questions.hasAsked && !isAwaited(machine) && circles.every(({ isClosed }) => isClosed);
}

/** Instructions whose result is not decided by registers and memory. */
const ASKING = ['RDTSC', 'RDTSCP', 'RDPMC', 'RDMSR', 'IN', 'INS'];

/** Whether guests ask for something that comes from outside of them: the time, a device. */
export class Questions {
  hasAsked = false;
  private readonly known = new WeakMap<Block, boolean>();

  /** A vCPU comes to a block. */
  entered(block: Block): void {
    let asks = this.known.get(block);
    if (asks === undefined) {
      asks = block.instructions.some(({ instruction }) =>
        ASKING.includes(instruction.row.mnemonic),
      );
      this.known.set(block, asks);
    }
    if (asks) this.hasAsked = true;
  }
}

/** Has the state of a vCPU come again, long after it was first there? */
class Circle {
  isClosed = false;
  private readonly first = new Map<string, number>();
  private readonly apart: number;

  constructor(looks: number) {
    this.apart = looks / 2;
  }

  see(state: string, look: number): void {
    const before = this.first.get(state);
    if (before === undefined) this.first.set(state, look);
    else if (look - before >= this.apart) this.isClosed = true;
  }
}

/** Something will come to a guest by itself: a timer, a device, a fault. */
function isAwaited({ vcpus, vms, host, faults, devices }: Machine): boolean {
  const armed = vcpus.some(({ timer: { state: timer } }) => {
    const { deadlineLow, deadlineHigh, targetNs, pending, hostTimer, hvDeadline } = timer;
    const isArmed = deadlineLow !== 0 || deadlineHigh !== 0 || targetNs !== 0 || hostTimer !== 0;
    return isArmed || pending || hvDeadline !== null;
  });
  if (armed || vms.some(({ irqchip }) => irqchip?.timerWillInterrupt)) return true;
  if (devices.some(({ nextSerialNs }) => nextSerialNs !== null)) return true;
  if (faults !== null && faults.state.pending.length > 0) return true;
  return host.pendingEvents.some(({ kind }) => kind === 'moment' || kind === 'fault');
}

function looksFor({ vms }: Machine): number {
  const pages = vms.reduce((sum, { memory }) => sum + memory.touchedPages().length, 0);
  const bytes = pages * PAGE_SIZE;
  return Math.min(MOST_LOOKS, Math.max(LEAST_LOOKS, Math.floor(MOST_BYTES / Math.max(bytes, 1))));
}

/** Identifies registers, and what else decides what a vCPU does next. */
function registersOf({ virtual, lapic, state }: Vcpu): string {
  const { buffer, byteOffset } = virtual.processor.state.words;
  const hash = new Hash().bytes(new Uint8Array(buffer, byteOffset, STATE_BYTES));
  const { mpState, pvUnhalted, nmiQueued, nmiPending, exception, reinject } = state;
  const rest = [mpState, pvUnhalted, nmiQueued, nmiPending, exception, reinject, lapic.state];
  return hash.text(JSON.stringify(rest)).digest();
}

/** Bytes of a steal-time record. */
const STEAL_TIME_BYTES = 64;
const ENABLED = 1;

/** Identifies memory of a guest, but for what the host tells it of time that is stolen. */
function memoryOf(vm: Vm): string {
  const { memory, vcpus } = vm;
  const pagesOfState = new Set(
    vcpus.map(({ virtual }) => {
      const { byteOffset } = virtual.processor.state.words;
      return (byteOffset - memory.bytes.byteOffset) / PAGE_SIZE;
    }),
  );
  const records = vcpus.flatMap(({ state: { pv } }) => {
    if ((pv.stealTime.low & ENABLED) === 0) return [];
    const hpa = vm.ramAt((pv.stealTime.low & ~ENABLED) >>> 0);
    return hpa === null ? [] : [hpa];
  });
  const hash = new Hash();
  for (const number of memory.touchedPages()) {
    if (pagesOfState.has(number)) continue;
    const page = memory.page(number);
    let from = 0;
    for (const hpa of records.filter((one) => Math.floor(one / PAGE_SIZE) === number)) {
      const at = hpa % PAGE_SIZE;
      hash.bytes(page.subarray(from, Math.max(from, at)));
      from = at + STEAL_TIME_BYTES;
    }
    hash.bytes(page.subarray(from));
  }
  return hash.digest();
}
