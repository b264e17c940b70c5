// The classic first program for /dev/kvm, by our API: a guest in real mode adds two numbers,
// prints the sum by OUT to the serial port, and halts. Calls in the order of the C program.

import { KVM_EXIT, KVM_EXIT_IO_OUT, openKvm } from 'vmxlab/api';

const CODE = Uint8Array.of(
  ...[0xba, 0xf8, 0x03], // mov dx, 0x3f8
  ...[0x00, 0xd8], //       add al, bl
  ...[0x04, 0x30], //       add al, '0'
  ...[0xee], //             out dx, al
  ...[0xb0, 0x0a], //       mov al, '\n'
  ...[0xee], //             out dx, al
  ...[0xf4], //             hlt
);

export function twoAndTwo(): string {
  const kvm = openKvm();
  if (kvm.getApiVersion() !== 12) throw new Error('not version 12');
  if (kvm.checkExtension('KVM_CAP_USER_MEMORY') === 0) throw new Error('no user memory');
  const vm = kvm.createVm();

  // One page of guest memory at 0x1000, to leave the IVT alone.
  const memory = vm.mmap(0x1000);
  memory.set(CODE);
  vm.setUserMemoryRegion({
    slot: 0,
    guestPhysAddr: 0x1000,
    memorySize: 0x1000,
    userspaceAddr: memory,
  });

  const vcpu = vm.createVcpu(0);
  const sregs = vcpu.getSregs();
  vcpu.setSregs({ ...sregs, cs: { ...sregs.cs, base: 0, selector: 0 } });
  vcpu.setRegs({ rip: 0x1000, rax: 2, rbx: 2, rflags: 0x2 });

  let output = '';
  for (;;) {
    const run = vcpu.run();
    switch (run.exitReason) {
      case KVM_EXIT.HLT:
        return output;
      case KVM_EXIT.IO:
        if (run.io.direction !== KVM_EXIT_IO_OUT || run.io.port !== 0x3f8) {
          throw new Error(`port ${run.io.port} was not expected`);
        }
        output += String.fromCharCode(run.bytes[run.io.dataOffset]);
        break;
      case KVM_EXIT.FAIL_ENTRY:
        throw new Error(`entry failed: ${run.failEntry.why?.rule}`);
      default:
        throw new Error(`KVM_EXIT_${run.exitReasonName}`);
    }
  }
}
