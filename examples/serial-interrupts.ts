// A serial port with interrupts, as a virtual machine monitor for /dev/kvm has it: the guest sends a
// byte by OUT and halts, and when the byte is out, a device's thread raises line 4 by an irqfd. The
// interrupt controllers are the kernel's. When all is sent, the guest writes to a port that is an
// ioeventfd, and halts for good.

import { Eventfd, KVM_EXIT, KVM_IOEVENTFD_FLAG, KvmError, openKvm } from 'vmxlab/api';

const THR = 0x3f8;
const DONE = 0xf4;
const LINE = 4;
/** Ten bits at 115200 baud. */
const BYTE_NS = 86_806;

const CODE = Uint8Array.of(
  ...[0x31, 0xc0], //             xor ax, ax
  ...[0x8e, 0xd8], //             mov ds, ax
  ...[0x8e, 0xd0], //             mov ss, ax
  ...[0xbc, 0x00, 0x10], //       mov sp, 0x1000
  ...[0xc7, 0x06, 0x90, 0x00], // mov word [4 * 0x24],
  ...[0x3a, 0x10], //                 handler
  ...[0xa3, 0x92, 0x00], //       mov [4 * 0x24 + 2], ax
  ...[0xb0, 0x11, 0xe6, 0x20], // the PIC: vectors from 0x20 on
  ...[0xb0, 0x20, 0xe6, 0x21],
  ...[0xb0, 0x04, 0xe6, 0x21],
  ...[0xb0, 0x01, 0xe6, 0x21],
  ...[0xb0, 0xef, 0xe6, 0x21], // all but line 4 masked
  ...[0xba, 0xf8, 0x03], //       mov dx, 0x3f8
  ...[0xbe, 0x3f, 0x10], //       mov si, text
  ...[0xac], //             next: lodsb
  ...[0x84, 0xc0], //             test al, al
  ...[0x74, 0x06], //             jz done
  ...[0xee], //                   out dx, al
  ...[0xfb], //                   sti
  ...[0xf4], //                   hlt
  ...[0xfa], //                   cli
  ...[0xeb, 0xf5], //             jmp next
  ...[0xe6, 0xf4], //       done: out 0xf4, al
  ...[0xf4], //                   hlt
  ...[0xb0, 0x20], //    handler: mov al, 0x20
  ...[0xe6, 0x20], //             out 0x20, al
  ...[0xcf], //                   iret
);
const TEXT = 'Hello, irqfd!\n\0';

/** What was sent, and when it was out, in us of virtual time. */
export function serialInterrupts(): { readonly output: string; readonly us: number } {
  const kvm = openKvm();
  const vm = kvm.createVm();
  vm.createIrqchip(); // before the first vCPU

  const memory = vm.mmap(0x2000);
  memory.set(CODE, 0x1000);
  memory.set(new TextEncoder().encode(TEXT), 0x1000 + CODE.length);
  vm.setUserMemoryRegion({
    slot: 0,
    guestPhysAddr: 0,
    memorySize: 0x2000,
    userspaceAddr: memory,
  });

  const interrupt = new Eventfd(); //                             eventfd(0, 0)
  vm.irqfd({ fd: interrupt, gsi: LINE });
  const done = new Eventfd();
  vm.ioeventfd({ fd: done, addr: DONE, len: 1, flags: KVM_IOEVENTFD_FLAG.PIO });

  const vcpu = vm.createVcpu(0);
  const sregs = vcpu.getSregs();
  vcpu.setSregs({ ...sregs, cs: { ...sregs.cs, base: 0, selector: 0 } });
  vcpu.setRegs({ rip: 0x1000, rflags: 0x2 });

  done.onSignal(() => vcpu.signal()); // pthread_kill(thread, SIGUSR1)

  let output = '';
  try {
    for (;;) {
      const run = vcpu.run();
      if (run.exitReason !== KVM_EXIT.IO || run.io.port !== THR) {
        throw new Error(`KVM_EXIT_${run.exitReasonName}`);
      }
      output += String.fromCharCode(run.io.data[0]);
      kvm.callAfter(BYTE_NS, () => interrupt.write()); // timerfd_settime
    }
  } catch (thrown) {
    if (!(thrown instanceof KvmError && thrown.errno === 'EINTR')) throw thrown;
  }
  return { output, us: Math.round(kvm.nowNs / 1000) };
}
