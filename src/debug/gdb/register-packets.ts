// Reading and writing registers. gdb's manual, "Packets": g, G, p, P.

import { bytesOfHex, countOfHex, hexOfBytes } from './hex.ts';
import { BULK_REGISTER_COUNT, REGISTERS } from './registers.ts';
import { IMPOSSIBLE, MALFORMED, type StubState } from './stub-state.ts';

const BULK = REGISTERS.slice(0, BULK_REGISTER_COUNT);
const BULK_BYTES = BULK.reduce((sum, { bits }) => sum + bits / 8, 0);

export function handleRegisters(state: StubState, text: string): string {
  switch (text[0]) {
    case 'g':
      return text === 'g' ? readAll(state) : MALFORMED;
    case 'G':
      return writeAll(state, text.slice(1));
    case 'p':
      return readOne(state, text.slice(1));
    default:
      return writeOne(state, text.slice(1));
  }
}

function readAll({ target, thread }: StubState): string {
  const values = target.registers(thread);
  return BULK.map((register) => hexOfBytes(register.read(values))).join('');
}

function writeAll({ target, thread }: StubState, digits: string): string {
  const bytes = bytesOfHex(digits);
  if (bytes === null || bytes.length !== BULK_BYTES) return MALFORMED;
  const values = target.registers(thread);
  let from = 0;
  for (const register of BULK) {
    const news = bytes.subarray(from, from + register.bits / 8);
    from += news.length;
    // gdb hands back what it has not changed as well.
    const old = register.read(values);
    if (news.some((byte, i) => byte !== old[i])) register.write(values, news);
  }
  return 'OK';
}

function readOne({ target, thread }: StubState, digits: string): string {
  const register = REGISTERS[countOfHex(digits) ?? -1];
  if (register === undefined) return MALFORMED;
  return hexOfBytes(register.read(target.registers(thread)));
}

function writeOne({ target, thread }: StubState, text: string): string {
  const [number = '', digits = '', ...rest] = text.split('=');
  const register = REGISTERS[countOfHex(number) ?? -1];
  const bytes = bytesOfHex(digits);
  if (register === undefined || rest.length > 0) return MALFORMED;
  if (bytes === null || bytes.length !== register.bits / 8) return MALFORMED;
  return register.write(target.registers(thread), bytes) ? 'OK' : IMPOSSIBLE;
}
