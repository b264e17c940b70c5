// Changing what an expression stands for: a register, memory, a field of the VMCS.

import { DebugError } from '../debug-error.ts';
import { registerNamed } from '../registers.ts';
import type { Session } from '../session.ts';
import { addressOf } from './parse.ts';
import { hex } from './print.ts';

/**
 * @param target `$rax` or `rax`, `u32[0x1000]`, `vmcs TSC_OFFSET` or `TSC_OFFSET`
 * @param value an expression
 * Throws {@link DebugError} with what is wrong.
 */
export function assignValue(session: Session, vcpu: number, target: string, value: string): void {
  const number = addressOf(session, vcpu, value);
  const [, size, address] = /^u(8|16|32|64)\[(.*)\]$/s.exec(target) ?? [];
  const [, field] = /^(?:vmcs\s+|\$?(?=[A-Z][A-Z\d_]+$))(.+)$/.exec(target) ?? [];
  if (address !== undefined) {
    const bytes = Uint8Array.from(number.toBytesLE().slice(0, Number(size) / 8));
    const where = addressOf(session, vcpu, address);
    if (!session.writeMemory(vcpu, 'linear', where, bytes)) {
      throw new DebugError(`no memory at ${hex(where)}`);
    }
    return;
  }
  const name = target.replace(/^\$/, '');
  if (field === undefined || registerNamed(name) !== undefined) {
    session.writeRegister(vcpu, name, number);
  } else session.writeVmcsField(vcpu, field, number);
}
