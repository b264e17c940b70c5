// The registers that the screen shows, and which of them have changed since the last stop.

import { codeSizeOf } from '../../cpu/index.ts';
import { hex } from '../commands/print.ts';
import type { Session } from '../session.ts';

export interface ShownRegister {
  readonly name: string;
  /** Hexadecimal with prefix. */
  readonly value: string;
  readonly isChanged: boolean;
}

const numbered = Array.from({ length: 8 }, (_, i) => `r${i + 8}`);
const GENERAL = ['ax', 'bx', 'cx', 'dx', 'si', 'di', 'bp', 'sp'];
const SEGMENTS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'];
const CONTROL = ['cr0', 'cr2', 'cr3', 'cr4', 'efer'];
const SYSTEM = [...SEGMENTS, ...CONTROL];

/** In the order in which gdb shows them. */
const WIDE = [...GENERAL.map((name) => `r${name}`), ...numbered, 'rip', 'rflags', ...SYSTEM];
const NARROW = [...GENERAL.map((name) => `e${name}`), 'eip', 'eflags', ...SYSTEM];

/** SDM 1, "EFLAGS Register". */
const FLAGS: readonly (readonly [bit: number, name: string])[] = [
  ...([
    [0, 'CF'],
    [2, 'PF'],
    [4, 'AF'],
    [6, 'ZF'],
    [7, 'SF'],
    [8, 'TF'],
  ] as const),
  ...([
    [9, 'IF'],
    [10, 'DF'],
    [11, 'OF'],
    [14, 'NT'],
    [17, 'VM'],
    [18, 'AC'],
  ] as const),
];

type Values = ReadonlyMap<string, string>;

export class RegisterMemory {
  /** Of every vCPU, at this stop and at the one before. */
  private here: readonly Values[] = [];
  private before: readonly Values[] = [];
  private place = '';

  look(session: Session, vcpu: number): { registers: readonly ShownRegister[]; flags: string } {
    const { branch, when } = session;
    // Looking again at the same place is no stop.
    const place = `${branch.id} ${branch.cause} ${when.event}`;
    if (place !== this.place) {
      this.before = this.here;
      this.here = session.vcpus.map((_, i) => valuesOf(session, i));
      this.place = place;
    }
    const before = this.before[vcpu];
    const registers = [...this.here[vcpu]].map(([name, value]) => {
      const old = before?.get(name);
      return { name, value, isChanged: old !== undefined && old !== value };
    });
    const { low } = session.readRegister(vcpu, 'rflags');
    const set = FLAGS.filter(([bit]) => ((low >>> bit) & 1) !== 0);
    return { registers, flags: set.map(([, name]) => name).join(' ') };
  }
}

function valuesOf(session: Session, vcpu: number): Values {
  const { state } = session.vcpu(vcpu).virtual.processor;
  const names = codeSizeOf(state) === 64 ? WIDE : NARROW;
  return new Map(names.map((name) => [name, hex(session.readRegister(vcpu, name))]));
}
