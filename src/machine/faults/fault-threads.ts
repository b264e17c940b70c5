// The threads of the host by which faults take pCPUs away: a real-time one on each pCPU, as a
// kernel has its stopper threads, and for each fault that steals a fair one on each pCPU. They are
// made only for faults that need them.

import type { Host, Pcpu, Thread } from '../../host/index.ts';
import type { Fault, FaultName } from './catalogue.ts';
import { FaultThreadBody, type FaultWork } from './fault-thread.ts';

/** Faults that take pCPUs by real-time threads. */
const STOPPING: readonly FaultName[] = ['preempt', 'migrate', 'stop-pcpu'];

export class FaultThreads {
  /** What each has to do, in order of creation; plain data. */
  work: FaultWork[] = [];
  private readonly host: Host;
  private readonly threads: Thread[] = [];
  /** Numbers of the threads, by name. */
  private readonly numbers = new Map<string, number>();

  constructor(host: Host, faults: readonly Fault[]) {
    this.host = host;
    const isStopping = faults.some(({ fault }) => STOPPING.includes(fault));
    for (const { index } of host.pcpus) {
      if (isStopping) this.create(stopperName(index), index, 0, true);
      for (const [i, { fault, pcpu, nice }] of faults.entries()) {
        const isHere = fault === 'steal' && (pcpu < 0 || pcpu === index);
        if (isHere) this.create(thiefName(i, index), index, nice, false);
      }
    }
  }

  private create(name: string, pcpu: number, nice: number, isRealTime: boolean): void {
    const number = this.work.length;
    this.work.push({ until: 0, deafUntil: 0, moves: [] });
    this.numbers.set(name, number);
    const workOf = () => this.work[number];
    const body = new FaultThreadBody(this.host.pcpus[pcpu], this.host.threads, workOf);
    this.threads.push(this.host.createThread({ name, nice, affinity: [pcpu], body, isRealTime }));
  }

  /** The real-time thread takes a pCPU for a while. */
  preempt(pcpu: Pcpu, ns: number): void {
    this.start(stopperName(pcpu.index), pcpu, ns);
  }

  /** It does nothing on it, with interrupts off. */
  stop(pcpu: Pcpu, ns: number): void {
    const work = this.workOf(stopperName(pcpu.index));
    work.deafUntil = Math.max(work.deafUntil, pcpu.now + this.host.frequency.toCycles(ns));
    this.preempt(pcpu, ns);
  }

  /** ... only to move the thread that runs there to another pCPU. */
  moveAway(pcpu: Pcpu, thread: Thread, to: number): void {
    const name = stopperName(pcpu.index);
    this.workOf(name).moves.push([thread.id, to]);
    this.start(name, pcpu, 0);
  }

  /** The thread of a fault wants to compute on a pCPU for a while. */
  steal(index: number, pcpu: Pcpu, ns: number): void {
    this.start(thiefName(index, pcpu.index), pcpu, ns);
  }

  private workOf(name: string): FaultWork {
    return this.work[this.numbers.get(name) ?? -1];
  }

  private start(name: string, pcpu: Pcpu, ns: number): void {
    const work = this.workOf(name);
    work.until = Math.max(work.until, pcpu.now + this.host.frequency.toCycles(ns));
    this.host.scheduler.wake(this.threads[this.numbers.get(name) ?? -1], pcpu);
  }
}

function stopperName(pcpu: number): string {
  return `fault/${pcpu}`;
}

function thiefName(fault: number, pcpu: number): string {
  return `steal${fault}/${pcpu}`;
}
