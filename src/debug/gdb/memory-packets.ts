// Reading and writing memory, breakpoints and watchpoints. gdb's manual, "Packets": m, M, X, z, Z.

import type Long from 'long';
import { bytesOfHex, bytesOfText, countOfHex, hexOfBytes, longOfHex } from './hex.ts';
import { PACKET_BYTES } from './packets.ts';
import { IMPOSSIBLE, MALFORMED, type StubState } from './stub-state.ts';
import type { GdbBreakpoint } from './target.ts';

/** So many bytes fit a packet in hexadecimal. */
const MAX_READ_BYTES = PACKET_BYTES / 2 - 8;

export function handleMemory(state: StubState, text: string): string {
  switch (text[0]) {
    case 'm':
      return read(state, text.slice(1));
    case 'M':
    case 'X':
      return write(state, text);
    default:
      return changeBreakpoint(state, text);
  }
}

interface Range {
  readonly address: Long;
  readonly lengthBytes: number;
}

/** `address,length` */
function rangeOf(text: string): Range | null {
  const [start = '', length = '', ...rest] = text.split(',');
  const address = longOfHex(start);
  const lengthBytes = countOfHex(length);
  if (address === null || lengthBytes === null || rest.length > 0) return null;
  return { address, lengthBytes };
}

function read({ target, thread }: StubState, text: string): string {
  const range = rangeOf(text);
  if (range === null) return MALFORMED;
  if (range.lengthBytes === 0) return '';
  const lengthBytes = Math.min(range.lengthBytes, MAX_READ_BYTES);
  const bytes = target.readMemory(thread, range.address, lengthBytes);
  return bytes.length === 0 ? IMPOSSIBLE : hexOfBytes(bytes);
}

function write({ target, thread }: StubState, text: string): string {
  const colon = text.indexOf(':');
  const range = colon < 0 ? null : rangeOf(text.slice(1, colon));
  const data = text.slice(colon + 1);
  const bytes = text[0] === 'X' ? bytesOfText(data) : bytesOfHex(data);
  if (range === null || bytes === null || bytes.length !== range.lengthBytes) return MALFORMED;
  // gdb asks so whether X is understood.
  if (bytes.length === 0) return 'OK';
  return target.writeMemory(thread, range.address, bytes) ? 'OK' : IMPOSSIBLE;
}

/** Watched at most: what is larger is for gdb to step through. */
const MAX_WATCH_BYTES = 4096;

/** `Ztype,address,kind`; what may follow, conditions and commands, was not offered. */
function changeBreakpoint({ target, thread }: StubState, text: string): string {
  const range = rangeOf(text.slice(3));
  if (text[2] !== ',' || range === null) return MALFORMED;
  const breakpoint = breakpointOf(text[1], range);
  if (breakpoint === null) return '';
  if (breakpoint.kind === 'watchpoint') {
    const { lengthBytes } = breakpoint;
    if (lengthBytes === 0 || lengthBytes > MAX_WATCH_BYTES) return IMPOSSIBLE;
  }
  if (text[0] === 'Z') return target.insert(breakpoint, thread) ? 'OK' : IMPOSSIBLE;
  target.remove(breakpoint, thread);
  return 'OK';
}

function breakpointOf(type: string, { address, lengthBytes }: Range): GdbBreakpoint | null {
  switch (type) {
    case '0':
    case '1':
      return { kind: 'breakpoint', isHardware: type === '1', address };
    case '2':
      return { kind: 'watchpoint', access: 'write', address, lengthBytes };
    case '3':
      return { kind: 'watchpoint', access: 'read', address, lengthBytes };
    case '4':
      return { kind: 'watchpoint', access: 'access', address, lengthBytes };
    default:
      return null;
  }
}
