// Threads that faults take pCPUs away with: one that computes until a time, and in passing moves
// others; or does nothing, with interrupts off, as the kernel's stopper threads do when a pCPU is
// to stand still. What there is to do is plain data of the injector's.

import type { BodyOutcome, Pcpu, Thread, ThreadBody } from '../../host/index.ts';

/** What a thread has to do. Plain data; times are cycles of its pCPU's clock. */
export interface FaultWork {
  /** It computes up to then. */
  until: number;
  /** Up to then interrupts are off. Linux kernel/stop_machine.c, multi_cpu_stop. */
  deafUntil: number;
  /** Ids of threads that leave this pCPU, and the index of the one that each goes to. */
  moves: [thread: number, pcpu: number][];
}

export class FaultThreadBody implements ThreadBody {
  private readonly threads: readonly Thread[];
  private readonly workOf: () => FaultWork;
  private readonly pcpu: Pcpu;

  /** @param workOf what there is to do, as it is now */
  constructor(pcpu: Pcpu, threads: readonly Thread[], workOf: () => FaultWork) {
    this.pcpu = pcpu;
    this.threads = threads;
    this.workOf = workOf;
  }

  run(pcpu: Pcpu): BodyOutcome {
    const work = this.workOf();
    for (const [thread, to] of work.moves.splice(0)) {
      const { scheduler, pcpus } = pcpu.host;
      scheduler.move(this.threads[thread], pcpus[to], pcpu);
    }
    const isDeaf = pcpu.now < work.deafUntil;
    if (pcpu.interruptPending && !isDeaf) {
      pcpu.handleInterrupts();
      if (pcpu.needResched) return 'resched';
    }
    const end = isDeaf ? work.deafUntil : work.until;
    if (pcpu.now >= end) return 'block';
    if (pcpu.maySkip && end >= pcpu.limit) {
      pcpu.quietUntil = end;
      return 'quiet';
    }
    pcpu.advanceTo(Math.max(pcpu.now, Math.min(pcpu.limit, end)), 'host');
    // The turn ends first, also where it was left out; and what comes behind is asked for anew.
    return 'limit';
  }

  /** With interrupts off, they wait as well. */
  interrupted(): boolean {
    return true;
  }

  get isStopping(): boolean {
    return this.pcpu.now < this.workOf().deafUntil;
  }

  schedIn(): void {}

  schedOut(): void {}
}
