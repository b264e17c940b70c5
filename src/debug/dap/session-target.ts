// A session as the Debug Adapter Protocol sees it: all vCPUs of all virtual machines are threads.

import Long from 'long';
import { codeSizeOf } from '../../cpu/index.ts';
import type { CodeSize } from '../../isa/index.ts';
import { decodeUtf8 } from '../../sim/index.ts';
import { explainExit } from '../../vmx/index.ts';
import type { BreakpointSpec } from '../breakpoints.ts';
import { assignValue } from '../commands/assign.ts';
import { contextOf } from '../commands/command.ts';
import { completeLine } from '../commands/table.ts';
import { DebugError } from '../debug-error.ts';
import { fieldLines } from '../exit-fields.ts';
import { registerValues } from '../gdb/session-target.ts';
import { isMonitorCommand, monitorCommand } from '../monitor.ts';
import { readMapped } from '../remote-memory.ts';
import type { Direction, Motion, Session, StopReport } from '../session.ts';
import { framesOf } from '../stack.ts';
import { Stepper } from '../stepping.ts';
import { hostValues, lapicValues } from '../views.ts';
import {
  BadRequest,
  type DapBreakpoint,
  type DapMovement,
  type DapSources,
  type DapStop,
  type DapStopReason,
  type DapTarget,
  type DapThread,
  type DapVerdict,
} from './target.ts';

/** Where the sources of a program are. */
export type SourcePlaces = Omit<DapSources, 'files'>;

interface Placed {
  readonly id: number;
  readonly breakpoint: DapBreakpoint;
}

export class SessionDapTarget implements DapTarget {
  readonly threads: readonly DapThread[];
  readonly sources: DapSources;
  private readonly session: Session;
  private readonly groups = new Map<string, readonly Placed[]>();
  private motion: Generator<void, StopReport> | null = null;
  private isInterrupted = false;
  private log: string[];
  /** Bytes of each virtual machine's console that were passed on. */
  private readonly passed: number[];

  /**
   * @param places where sources are
   * @param notes what to tell the client first: warnings of the assembler
   */
  constructor(session: Session, places: SourcePlaces, notes: readonly string[] = []) {
    this.session = session;
    this.log = [...notes];
    const { machine } = session;
    const names = machine.symbols.flatMap((map) => map?.lines ?? []).filter(({ isCode }) => isCode);
    this.sources = { ...places, files: [...new Set(names.map(({ file }) => file))] };
    this.passed = machine.vms.map(() => 0);
    const isOne = machine.vms.length === 1;
    this.threads = session.vcpus.map(({ vm, index }, i) => ({
      id: i + 1,
      name: isOne ? `vCPU ${index}` : `${vm.name} vCPU ${index}`,
      symbols: machine.symbols[vm.id],
    }));
  }

  registers(thread: DapThread) {
    return registerValues(this.session, indexOf(thread));
  }

  linearRip(thread: DapThread): Long {
    return this.session.vcpu(indexOf(thread)).linearRip.toUnsigned();
  }

  codeSize(thread: DapThread): CodeSize {
    return codeSizeOf(this.session.vcpu(indexOf(thread)).virtual.processor.state);
  }

  readMemory(thread: DapThread, address: Long, lengthBytes: number): Uint8Array {
    return readMapped(this.session, indexOf(thread), address, lengthBytes);
  }

  writeMemory(thread: DapThread, address: Long, bytes: Uint8Array): boolean {
    return this.session.writeMemory(indexOf(thread), 'linear', address, bytes);
  }

  setBreakpoints(group: string, wanted: readonly DapBreakpoint[]): readonly DapVerdict[] {
    this.removeGroup(group);
    const placed: Placed[] = [];
    const verdicts = wanted.map((breakpoint): DapVerdict => {
      try {
        const spec = this.specOf(breakpoint);
        const { where, condition } = breakpoint;
        const vcpu = where.kind === 'exit' ? 0 : indexOf(where.thread);
        this.session.checkCondition(vcpu, spec, condition ?? '');
        const { id } = this.session.breakpoints.add(spec);
        placed.push({ id, breakpoint });
        return { verified: true, id };
      } catch (thrown) {
        if (thrown instanceof DebugError) return { verified: false, message: thrown.message };
        throw thrown;
      }
    });
    this.groups.set(group, placed);
    return verdicts;
  }

  private specOf({ where, condition, ignoreCount }: DapBreakpoint): BreakpointSpec {
    const options = {
      ...(condition === null ? {} : { condition }),
      ...(ignoreCount === 0 ? {} : { ignore: ignoreCount }),
    };
    switch (where.kind) {
      case 'address':
        return { ...options, kind: 'address', address: where.address, vm: this.vmOf(where.thread) };
      case 'exit':
        return { ...options, kind: 'exit', reason: where.reason };
      case 'memory': {
        const { address, lengthBytes, thread } = where;
        const access = where.access === 'readWrite' ? 'access' : where.access;
        const range = { space: 'linear', address, lengthBytes, access } as const;
        return { ...options, ...range, kind: 'memory', vm: this.vmOf(thread) };
      }
    }
  }

  private vmOf(thread: DapThread): number {
    return this.session.vcpu(indexOf(thread)).vm.id;
  }

  private removeGroup(group: string): void {
    for (const { id } of this.groups.get(group) ?? []) this.session.breakpoints.remove(id);
    this.groups.delete(group);
  }

  removeAll(): void {
    for (const group of [...this.groups.keys()]) this.removeGroup(group);
  }

  resume(movement: DapMovement, direction: Direction, thread: DapThread): void {
    const vcpu = indexOf(thread);
    this.isInterrupted = false;
    this.motion = this.motionOf(movement, direction, vcpu);
  }

  private motionOf(movement: DapMovement, direction: Direction, vcpu: number) {
    if (movement === 'continue') return this.move({ kind: 'continue' }, direction);
    if (movement === 'instruction') return this.move({ kind: 'instruction', vcpu }, direction);
    const stepper = new Stepper(this.session, vcpu, (...args) => this.move(...args));
    return stepper.step(movement, direction);
  }

  /** Move, and go on where nothing but breakpoints with messages were hit. */
  private *move(motion: Motion, direction: Direction): Generator<void, StopReport> {
    for (;;) {
      const report = yield* this.session.move(motion, direction);
      if (report.reason !== 'breakpoint' || !this.isForLogOnly(report)) return report;
      yield;
      if (this.isInterrupted) return { ...report, reason: 'interrupted' };
    }
  }

  advance(): DapStop | null {
    const { motion } = this;
    if (motion === null) throw new Error('nothing was resumed');
    const { done, value: report } = motion.next();
    if (done !== true) return null;
    this.motion = null;
    return this.stopOf(report);
  }

  /** Print the messages of the breakpoints that were hit; true if no other was. */
  private isForLogOnly({ hits, vcpu }: StopReport): boolean {
    let isForLog = true;
    for (const { id } of hits) {
      const { logMessage = null } = this.placed(id)?.breakpoint ?? {};
      if (logMessage === null) isForLog = false;
      else this.log.push(this.filledIn(logMessage, this.threads[vcpu]));
    }
    return isForLog;
  }

  /** A message with the values of the expressions in its braces. */
  private filledIn(message: string, thread: DapThread): string {
    return message.replace(/\{([^{}]*)\}/g, (whole, expression: string) => {
      try {
        const value = this.evaluate(expression, thread);
        return value.lt(DECIMAL_BELOW) ? value.toString() : `0x${value.toString(16)}`;
      } catch (thrown) {
        if (thrown instanceof BadRequest) return `${whole.slice(0, -1)}: ${thrown.message}}`;
        throw thrown;
      }
    });
  }

  private placed(id: number): Placed | undefined {
    return [...this.groups.values()].flat().find((one) => one.id === id);
  }

  interrupt(): void {
    this.isInterrupted = true;
    this.session.interrupt();
  }

  private stopOf(report: StopReport): DapStop {
    const message = messageOf(report);
    return { reason: reasonOf(report), thread: this.threads[report.vcpu], message };
  }

  evaluate(expression: string, thread: DapThread): Long {
    try {
      const value = this.session.evaluate(indexOf(thread), expression);
      return Long.fromString(value.toString(16), true, 16);
    } catch (thrown) {
      const problem = this.symbolOr(expression, thread, thrown);
      if (problem instanceof Long) return problem;
      if (problem instanceof DebugError) throw new BadRequest(problem.message);
      throw problem;
    }
  }

  /** The address of a symbol whose name is no name in expressions, or what was thrown. */
  private symbolOr(expression: string, { symbols }: DapThread, thrown: unknown): unknown {
    return symbols.addressOf(expression.trim()) ?? thrown;
  }

  assign(expression: string, value: string, thread: DapThread): void {
    assignValue(this.session, indexOf(thread), expression, value);
  }

  command(text: string, thread: DapThread): string | null {
    return isMonitorCommand(text) ? monitorCommand(this.session, indexOf(thread), text) : null;
  }

  complete(text: string, thread: DapThread) {
    return completeLine(contextOf(this.session, indexOf(thread)), text, 'monitor');
  }

  frames(thread: DapThread): readonly Long[] {
    return framesOf(this.session, indexOf(thread)).map(({ address }) => address);
  }

  lapic(thread: DapThread) {
    return lapicValues(this.session.vcpu(indexOf(thread)));
  }

  host(thread: DapThread) {
    return hostValues(this.session.machine, this.session.vcpu(indexOf(thread)));
  }

  why(thread: DapThread): string {
    const vcpu = indexOf(thread);
    const { virtual } = this.session.vcpu(vcpu);
    return [...this.session.why(vcpu), '', ...fieldLines(explainExit(virtual.vmcs))].join('\n');
  }

  takeOutput(): string {
    let text = '';
    for (const [i, { state }] of this.session.machine.devices.entries()) {
      const { output } = state.console;
      // Going back does not take back what was printed, nor print it again.
      text += decodeUtf8(Uint8Array.from(output.slice(this.passed[i])));
      this.passed[i] = Math.max(this.passed[i], output.length);
    }
    return text;
  }

  takeLog(): readonly string[] {
    const { log } = this;
    this.log = [];
    return log;
  }
}

/** In log messages smaller values are written in decimal. */
const DECIMAL_BELOW = 0x100000;

function indexOf({ id }: DapThread): number {
  return id - 1;
}

function messageOf({ reason, hits, ending }: StopReport): string {
  if (reason === 'beginning') return 'the beginning of the run';
  if (reason === 'ended' && ending !== null) return ending.message;
  return hits.map(({ detail }) => detail).join('; ');
}

function reasonOf({ reason, hits, ending }: StopReport): DapStopReason {
  switch (reason) {
    case 'beginning':
      return { kind: 'historyStart' };
    case 'step':
      return { kind: 'step' };
    case 'interrupted':
      return { kind: 'pause' };
    case 'ended':
      return { kind: 'ended', exitCode: ending?.exitCode ?? 0 };
    case 'breakpoint': {
      const ids = hits.map(({ id }) => id);
      const exit = hits.find(({ spec }) => spec.kind === 'exit');
      if (exit?.spec.kind !== 'exit') return { kind: 'breakpoint', ids };
      return { kind: 'exit', reason: exit.spec.reason ?? '', ids };
    }
  }
}
