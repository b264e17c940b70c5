// Guests for tests of the KVM API: real-mode code in a machine with 64 KiB.

import {
  KvmError,
  type KvmOptions,
  type KvmVcpu,
  type KvmVm,
  openKvm,
} from '../../src/api/index.ts';
import { assemble } from '../../src/asm/index.ts';

const RAM_BYTES = 0x10000;
/** Where the code of {@link guest} is. */
export const CODE = 0x1000;

export interface Guest {
  readonly vm: KvmVm;
  readonly vcpu: KvmVcpu;
  readonly ram: Uint8Array;
}

export function codeOf(source: string, bits = 16, origin = CODE): Uint8Array {
  const text = `bits ${bits}\norg ${origin}\n${source}\n`;
  const assembled = assemble({ name: 'guest.asm', text });
  if (assembled.kind === 'errors') throw new Error(assembled.errors[0]?.message);
  return assembled.bytes;
}

export interface Setup extends KvmOptions {
  readonly irqchip?: boolean;
  readonly flags?: number;
  readonly vcpus?: number;
}

/** Real-mode code at 1000H, in a machine of 64 KiB. */
export function guest(source: string, setup: Setup = {}): Guest {
  const { irqchip = false, flags = 0, vcpus = 1, ...options } = setup;
  const vm = openKvm(options).createVm(0, { memoryBytes: 2 ** 20 });
  if (irqchip) vm.createIrqchip();
  const ram = vm.mmap(RAM_BYTES);
  ram.set(codeOf(source), CODE);
  const [guestPhysAddr, memorySize, userspaceAddr] = [0, RAM_BYTES, ram];
  vm.setUserMemoryRegion({ slot: 0, flags, guestPhysAddr, memorySize, userspaceAddr });
  const all = Array.from({ length: vcpus }, () => vm.createVcpu());
  for (const vcpu of all) start(vcpu, CODE);
  return { vm, vcpu: all[0] as KvmVcpu, ram };
}

export function start(vcpu: KvmVcpu, rip: number, rest: object = {}): void {
  const sregs = vcpu.getSregs();
  vcpu.setSregs({ ...sregs, cs: { ...sregs.cs, base: 0, selector: 0 } });
  vcpu.setRegs({ rip, rflags: 2, rsp: 0x8000, ...rest });
}

export const rip = (vcpu: KvmVcpu) => vcpu.getRegs().rip.toNumber();

/** The errno that a call fails with. */
export function errnoOf(call: () => unknown): string {
  try {
    call();
    return 'none';
  } catch (thrown) {
    if (thrown instanceof KvmError) return thrown.errno;
    throw thrown;
  }
}
