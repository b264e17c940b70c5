// What the guest asked for with the instruction that exited: an MSR, a port, a hypercall. Read from
// the registers as the exit left them, before any handler has looked.

import Long from 'long';
import { Gpr } from '../isa/index.ts';
import { isHypercallAt, type Vcpu } from '../kvm/index.ts';
import type { TraceRecord } from '../trace/index.ts';

/** Values under the names of the tracepoint that the handler emits later. */
export type GuestRequest =
  | {
      readonly kind: 'msr';
      readonly index: number;
      readonly write: boolean;
      /** EDX:EAX of a write; null for a read, whose value the handler finds. */
      readonly value: Long | null;
    }
  | {
      readonly kind: 'port';
      readonly port: number;
      readonly size: number;
      readonly write: boolean;
      /** What OUT writes; null for IN and for strings, whose data is in memory. */
      readonly value: Long | null;
    }
  | {
      readonly kind: 'hypercall';
      readonly nr: Long;
      readonly args: readonly Long[];
    };

/** SDM 3, "Exit Qualification for I/O Instructions". */
const IO_SIZE = 7;
const IO_IN = 1 << 3;
const IO_STRING = 1 << 4;
const IO_PORT_SHIFT = 16;

const UD = 6;

/** What the exit that a record tells of was for; null if for nothing of the kind. */
export function guestRequestOf(
  { fields: { reason, info1, intrInfo } }: TraceRecord<'kvm_exit'>,
  vcpu: Vcpu,
): GuestRequest | null {
  switch (reason) {
    case 'MSR_READ':
    case 'MSR_WRITE':
      return msrRequest(vcpu, reason === 'MSR_WRITE');
    case 'IO_INSTRUCTION':
      return portRequest(vcpu, info1.low);
    case 'VMCALL':
      return vcpu.vm.parameters.hypercallOpcode === 'vmcall' ? hypercallRequest(vcpu) : null;
    case 'EXCEPTION_NMI': {
      // Where VMMCALL is the hypercall, it comes as #UD; VMCALL is rewritten and comes again.
      const isNative = vcpu.vm.parameters.hypercallOpcode === 'vmmcall';
      const isUndefined = (intrInfo & 0xff) === UD;
      return isNative && isUndefined && isHypercallAt(vcpu, 'vmmcall')
        ? hypercallRequest(vcpu)
        : null;
    }
    default:
      return null;
  }
}

function msrRequest(vcpu: Vcpu, write: boolean): GuestRequest {
  const [rax, rcx, rdx] = [Gpr.RAX, Gpr.RCX, Gpr.RDX].map((number) => vcpu.register(number).low);
  const value = write ? Long.fromBits(rax, rdx, true) : null;
  return { kind: 'msr', index: rcx >>> 0, write, value };
}

function portRequest(vcpu: Vcpu, qualification: number): GuestRequest {
  const size = (qualification & IO_SIZE) + 1;
  const write = (qualification & IO_IN) === 0;
  const isString = (qualification & IO_STRING) !== 0;
  const mask = Long.fromNumber(2 ** (8 * size) - 1, true);
  const value = write && !isString ? vcpu.register(Gpr.RAX).toUnsigned().and(mask) : null;
  return { kind: 'port', port: qualification >>> IO_PORT_SHIFT, size, write, value };
}

function hypercallRequest(vcpu: Vcpu): GuestRequest {
  const [nr, ...args] = [Gpr.RAX, Gpr.RBX, Gpr.RCX, Gpr.RDX, Gpr.RSI].map((number) =>
    vcpu.register(number).toUnsigned(),
  );
  return { kind: 'hypercall', nr, args };
}

/** In words, for who stops there. */
export function requestText(request: GuestRequest): string {
  const hex = (value: Long | number) => `0x${value.toString(16)}`;
  if (request.kind === 'hypercall') {
    const args = request.args.map((value, i) => `a${i} ${hex(value)}`).join(' ');
    return `hypercall: nr ${hex(request.nr)} ${args}`;
  }
  const { write, value } = request;
  const what =
    request.kind === 'msr'
      ? `${write ? 'WRMSR' : 'RDMSR'} ${hex(request.index)}`
      : `${write ? 'OUT' : 'IN'} ${hex(request.port)}, ${request.size} bytes`;
  return value === null ? what : `${what}: ${hex(value)}`;
}
