// A target for gdb's remote protocol that is no machine: registers that are what they are set to,
// 4 KiB of memory, and a step that adds one to RIP. Notes what it is asked for.

import Long from 'long';
import type {
  GdbStop,
  GdbTarget,
  GdbThread,
  RegisterValues,
  ResumeRequest,
} from '../../src/debug/index.ts';

export const FAKE_START = 0x1000;
export const FAKE_END = 0x2000;

export class FakeGdbTarget implements GdbTarget {
  readonly threads: readonly GdbThread[] = [
    { process: 1, thread: 1, name: 'vcpu0', core: 0, activity: 'in guest' },
    { process: 1, thread: 2, name: 'vcpu1', core: null, activity: 'halted' },
    { process: 2, thread: 1, name: 'b & "c"', core: 11, activity: 'a < b' },
  ];
  readonly memory = new Uint8Array(FAKE_END - FAKE_START);
  readonly said: string[] = [];
  /** What ends a run, and after how many calls of `advance`. */
  stops: (GdbStop | null)[] = [];
  private readonly values = new Map<GdbThread, Map<string, Long>>();
  private interrupted = false;
  private request: ResumeRequest | null = null;

  registers(thread: GdbThread): RegisterValues {
    const values = this.values.get(thread) ?? new Map<string, Long>();
    this.values.set(thread, values);
    const get = (name: string) => values.get(name) ?? Long.UZERO;
    return {
      get,
      set: (name, value) => void values.set(name, value),
      field: (name) => get(`field ${name}`),
      setField: (name, value) => void values.set(`field ${name}`, value),
    };
  }

  readMemory(_thread: GdbThread, address: Long, lengthBytes: number): Uint8Array {
    if (address.lt(FAKE_START) || address.gte(FAKE_END)) return new Uint8Array();
    const from = address.toNumber() - FAKE_START;
    return this.memory.subarray(from, from + lengthBytes);
  }

  writeMemory(thread: GdbThread, address: Long, bytes: Uint8Array): boolean {
    const room = this.readMemory(thread, address, bytes.length);
    if (room.length < bytes.length) return false;
    room.set(bytes);
    return true;
  }

  insert(breakpoint: { readonly kind: string; readonly address: Long }): boolean {
    this.said.push(`insert ${JSON.stringify({ ...breakpoint, address: hex(breakpoint.address) })}`);
    return breakpoint.address.lt(FAKE_END);
  }

  remove(breakpoint: { readonly kind: string; readonly address: Long }): void {
    this.said.push(`remove ${JSON.stringify({ ...breakpoint, address: hex(breakpoint.address) })}`);
  }

  removeAll(): void {
    this.said.push('remove all');
  }

  resume(request: ResumeRequest): void {
    const { kind, direction, thread, range } = request;
    const where = range === null ? '' : ` ${range.map(hex).join('-')}`;
    this.said.push(`${kind} ${direction} ${thread.process}.${thread.thread}${where}`);
    this.request = request;
  }

  advance(): GdbStop | null {
    const { request } = this;
    if (request === null) throw new Error('advance without resume');
    const stop = this.interrupted
      ? { reason: { kind: 'interrupt' as const }, thread: request.thread, message: null }
      : this.stops.length > 0
        ? (this.stops.shift() as GdbStop | null)
        : { reason: { kind: 'step' as const }, thread: request.thread, message: null };
    if (stop === null) return null;
    this.interrupted = false;
    this.request = null;
    const values = this.registers(stop.thread);
    values.set('rip', values.get('rip').add(1));
    return stop;
  }

  interrupt(): void {
    this.interrupted = true;
  }

  monitor(command: string): string {
    return `you said ${command}`;
  }

  symbolFile(process: number) {
    return process === 1 ? { path: '/vm0.elf', bytes: Uint8Array.of(1, 0x23, 0x7d, 4) } : null;
  }
}

function hex(value: Long): string {
  return value.toString(16);
}
