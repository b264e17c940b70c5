// Changing what an expression stands for: a register, memory, a field of the VMCS, a variable that
// the user keeps.

import { DebugError } from '../debug-error.ts';
import { registerNamed, wordOf } from '../registers.ts';
import type { Session } from '../session.ts';
import { addressOf, typedPlace } from './parse.ts';
import { hex } from './print.ts';

/**
 * @param target `$rax` or `rax`, `u32[0x1000]`, `*(int *)0x1000` or `{int}0x1000`,
 *   `vmcs TSC_OFFSET` or `TSC_OFFSET`
 * @param value an expression
 * @returns false for a variable, which is not the machine's
 * Throws {@link DebugError} with what is wrong.
 */
export function assignValue(
  session: Session,
  vcpu: number,
  target: string,
  value: string,
): boolean {
  const number = addressOf(session, vcpu, value);
  const [, size, inBrackets] = /^u(8|16|32|64)\[(.*)\]$/s.exec(target) ?? [];
  const typed = typedPlace(target);
  const address = typed?.address ?? inBrackets;
  const [, field] = /^(?:vmcs\s+|\$?(?=[A-Z][A-Z\d_]+$))(.+)$/.exec(target) ?? [];
  if (address !== undefined) {
    const bytes = Uint8Array.from(
      number.toBytesLE().slice(0, typed?.lengthBytes ?? Number(size) / 8),
    );
    const where = addressOf(session, vcpu, address);
    if (!session.writeMemory(vcpu, 'linear', where, bytes)) {
      throw new DebugError(`no memory at ${hex(where)}`);
    }
    return true;
  }
  const name = wordOf(target);
  const isRegister = registerNamed(name) !== undefined;
  if (field !== undefined && !isRegister) session.writeVmcsField(vcpu, field, number);
  else if (!isRegister && target.startsWith('$')) {
    setVariable(session, vcpu, name, session.evaluate(vcpu, value));
    return false;
  } else {
    checkIsRegister(session, vcpu, name);
    session.writeRegister(vcpu, name, number);
  }
  return true;
}

/** A symbol is an address: what is there is memory. */
function checkIsRegister(session: Session, vcpu: number, name: string): void {
  if (registerNamed(name) !== undefined) return;
  if (session.symbolsOf(vcpu).addressOf(name) === null) return;
  throw new DebugError(`'${name}' is an address: 'set u64[${name}] = ...' changes what is there`);
}

function setVariable(session: Session, vcpu: number, name: string, value: bigint): void {
  if (!/^[a-z_]\w*$/i.test(name)) throw new DebugError(`'$${name}' cannot be changed`);
  if (session.symbolsOf(vcpu).addressOf(name) !== null) {
    throw new DebugError(`'${name}' is a symbol: a variable needs another name`);
  }
  session.variables.named.set(name, value);
}
