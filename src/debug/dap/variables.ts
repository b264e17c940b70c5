// What is shown of a vCPU, in scopes: registers, flags, the VMCS, the local APIC, the host's view.

import type { DebugProtocol } from '@vscode/debugprotocol';
import Long from 'long';
import { hexOfBytes, littleEndian } from '../gdb/hex.ts';
import { FEATURES, REGISTERS, type TargetRegister } from '../gdb/registers.ts';
import type { NamedValue } from '../views.ts';
import { BadRequest, type DapTarget, type DapThread } from './target.ts';

export interface Scope {
  readonly name: string;
  /** Shown without being asked for. */
  readonly isCheap: boolean;
  readonly from:
    | { readonly kind: 'groups'; readonly groups: readonly string[] }
    | { readonly kind: 'flags' }
    | {
        readonly kind: 'values';
        readonly read: (target: DapTarget, thread: DapThread) => readonly NamedValue[];
      };
}

export const SCOPES: readonly Scope[] = [
  { name: 'Registers', isCheap: true, from: { kind: 'groups', groups: ['general'] } },
  { name: 'Flags', isCheap: true, from: { kind: 'flags' } },
  {
    name: 'Control registers',
    isCheap: false,
    from: { kind: 'groups', groups: ['control', 'system'] },
  },
  { name: 'FPU and SSE', isCheap: false, from: { kind: 'groups', groups: ['float', 'vector'] } },
  { name: 'VMCS', isCheap: false, from: { kind: 'groups', groups: ['vmcs'] } },
  {
    name: 'Local APIC',
    isCheap: false,
    from: { kind: 'values', read: (target, thread) => target.lapic(thread) },
  },
  {
    name: 'Host',
    isCheap: false,
    from: { kind: 'values', read: (target, thread) => target.host(thread) },
  },
];

/** Bits of RFLAGS, as gdb is told them. */
const FLAG_BITS = FEATURES.flatMap(({ types }) => types)
  .flatMap((type) => (type.kind === 'flags' && type.name === 'i386_eflags' ? type.bits : []))
  .filter(([name]) => name !== '');

/** What is in a scope now. */
export function variablesOf(
  target: DapTarget,
  thread: DapThread,
  { from }: Scope,
): DebugProtocol.Variable[] {
  switch (from.kind) {
    case 'groups':
      return registersIn(from.groups).map((register) => registerVariable(target, thread, register));
    case 'flags': {
      const flags = target.registers(thread).get('rflags').low;
      return FLAG_BITS.map(([name, bit]) => {
        return { name, value: String((flags >>> bit) & 1), variablesReference: 0 };
      });
    }
    case 'values':
      return from.read(target, thread).map(({ name, value }) => {
        const presentationHint = { attributes: ['readOnly'] };
        return { name, value, variablesReference: 0, presentationHint };
      });
  }
}

function registersIn(groups: readonly string[]): readonly TargetRegister[] {
  return REGISTERS.filter(({ group }) => groups.includes(group));
}

/** Registers of this width may hold an address. */
const ADDRESS_BITS = 64;

function registerVariable(
  target: DapTarget,
  thread: DapThread,
  register: TargetRegister,
): DebugProtocol.Variable {
  const value = printed(target, thread, register);
  const reference = register.bits === ADDRESS_BITS ? { memoryReference: value } : {};
  return { name: register.name, value, variablesReference: 0, ...reference };
}

function printed(target: DapTarget, thread: DapThread, register: TargetRegister): string {
  const bytes = register.read(target.registers(thread));
  const digits = hexOfBytes(bytes.slice().reverse()).replace(/^0+(?=.)/, '');
  return `0x${digits}`;
}

/** Change what is in a scope, and give its new value. */
export function setVariableIn(
  target: DapTarget,
  thread: DapThread,
  { from }: Scope,
  name: string,
  value: Long,
): { readonly value: string } {
  if (from.kind === 'flags') return setFlag(target, thread, name, value);
  const groups = from.kind === 'groups' ? from.groups : [];
  const register = registersIn(groups).find((candidate) => candidate.name === name);
  if (register === undefined) throw new BadRequest(`'${name}' cannot be changed`);
  if (register.bits > ADDRESS_BITS) {
    throw new BadRequest(`'${name}' has ${register.bits} bits: change it in gdb, or in memory`);
  }
  const isTooLarge = register.bits < ADDRESS_BITS && !fits(value, register.bits);
  if (isTooLarge) throw new BadRequest(`'${name}' has ${register.bits} bits`);
  const bytes = littleEndian(value, register.bits / 8);
  if (!register.write(target.registers(thread), bytes)) {
    throw new BadRequest(`'${name}' is read-only`);
  }
  return { value: printed(target, thread, register) };
}

/** As an unsigned number, or as a negative one. */
function fits(value: Long, bits: number): boolean {
  const rest = value.toSigned().shiftRight(bits);
  return (
    rest.eqz() ||
    value
      .toSigned()
      .shiftRight(bits - 1)
      .eq(Long.NEG_ONE)
  );
}

function setFlag(target: DapTarget, thread: DapThread, name: string, value: Long) {
  const [, bit] = FLAG_BITS.find(([candidate]) => candidate === name) ?? [];
  if (bit === undefined) throw new BadRequest(`no flag is named '${name}'`);
  if (!value.eqz() && !value.eq(1)) throw new BadRequest(`'${name}': expected 0 or 1`);
  const registers = target.registers(thread);
  const flags = registers.get('rflags');
  const mask = Long.ONE.shiftLeft(bit);
  registers.set('rflags', value.eqz() ? flags.and(mask.not()) : flags.or(mask));
  return { value: value.toString() };
}
