// What each exit handler does to the guest: kvm-host.md 1.8 and 7.4 (Linux arch/x86/kvm/vmx/vmx.c
// and x86.c). Timers, PAUSE, VMCALL and memory-mapped devices have files of their own.

import { describe, expect, test } from 'vitest';
import type { KvmExit } from '../../src/kvm/index.ts';
import { checkScenario, Machine } from '../../src/machine/index.ts';
import { Exit } from '../../src/vmx/index.ts';
import { KvmBench, STORE_FOUR } from '../support/kvm-bench.ts';
import { assembleAt } from '../support/vmx-bench.ts';

describe('RDMSR', () => {
  test.each([
    ['IA32_APIC_BASE', 0x1b, 0xfee00900n],
    ['IA32_TSC_ADJUST', 0x3b, 0n],
    ['IA32_MISC_ENABLE, fast strings', 0x1a0, 1n],
    ['IA32_PAT after reset', 0x277, 0x0007040600070406n],
    ['IA32_TSC_DEADLINE', 0x6e0, 0n],
    ['IA32_EFER: SCE, LME, LMA, NXE', 0xc0000080, 0xd01n],
  ])('of %s', (_, index, value) => {
    const bench = new KvmBench(`read_msr ${index}\nmov result(0), rax\nfinish`).finish();
    expect(bench.result(0)).toBe(value);
    expect(bench.exitCount('MSR_READ')).toBe(1);
  });

  test('clears the upper halves of RAX and RDX', () => {
    const source = 'mov rax, -1\nmov rdx, -1\nmov rbx, 0\nmov ecx, 0x1a0\nrdmsr';
    expect(new KvmBench(source + STORE_FOUR).finish().results(4)).toEqual([1n, 0n, 0x1a0n, 0n]);
  });

  // KVM passes these through.
  test.each([0x10, 0x174, 0x175, 0x176, 0xc0000100, 0xc0000101, 0xc0000102])(
    'of %i takes no exit',
    (index) => {
      const bench = new KvmBench(`read_msr ${index}\nfinish`).finish();
      expect(bench.exits()).toEqual(['IO_INSTRUCTION']);
    },
  );

  test.each([0x0, 0x3a, 0x480, 0x802, 0x40000000, 0xc0000104, 0xffffffff])(
    'of %i, which does not exist, is #GP(0) at the instruction',
    (index) => {
      const source = `mov r14, -1\nmov ecx, ${index}\ntry rdmsr
          mov result(0), r15\nmov result(1), r14\nfinish`;
      const bench = new KvmBench(source).finish();
      expect(bench.results(2)).toEqual([13n, 0n]);
      expect(bench.lines('kvm_msr')).toEqual([
        `kvm_msr: msr_read ${index.toString(16)} = 0x0 (#GP)`,
      ]);
      expect(bench.lines('kvm_inj_exception')).toEqual(['kvm_inj_exception: #GP (0x0)']);
    },
  );
});

describe('WRMSR', () => {
  // Index, EDX and EAX; what is read then, or null for #GP.
  test.each([
    ['STAR', 0xc0000081, 0x12345678, 0x9abcdef0, 0x123456789abcdef0n],
    ['LSTAR', 0xc0000082, 0xffff8000, 0, 0xffff800000000000n],
    ['LSTAR, not canonical', 0xc0000082, 0x00008000, 0, null],
    ['SFMASK', 0xc0000084, 0, 0x47700, 0x47700n],
    ['SFMASK, bit 32', 0xc0000084, 1, 0, null],
    ['TSC_AUX', 0xc0000103, 0, 7, 7n],
    ['PAT, all uncacheable', 0x277, 0, 0, 0n],
    ['PAT with type 2', 0x277, 0, 2, null],
    ['PAT with type 8', 0x277, 0x08000000, 0, null],
    ['EFER without SCE', 0xc0000080, 0, 0xd00, 0xd00n],
    ['EFER without LMA, which follows CR0.PG', 0xc0000080, 0, 0x901, 0xd01n],
    ['EFER without LME, while paging', 0xc0000080, 0, 0xc01, null],
    ['EFER, bit 12 (SVM)', 0xc0000080, 0, 0x1d01, null],
    ['MISC_ENABLE, ignored', 0x1a0, 0, 0, 1n],
    ['an MSR that does not exist', 0x480, 0, 0, null],
    ['KVM_ASYNC_PF_EN, which is not offered', 0x4b564d02, 0, 1, null],
  ])('to %s', (_, index, high, low, read) => {
    const source = `
        mov ecx, ${index}
        mov edx, ${high}
        mov eax, ${low}
        try wrmsr
        mov result(0), r15
        cmp r15d, 13
        je ready
        read_msr ${index}
        mov result(1), rax
      ready: finish`;
    const bench = new KvmBench(source);
    const [vector, value] = bench.finish().results(2);
    if (read === null) expect(vector).toBe(13n);
    else expect([vector, value]).toEqual([2n ** 64n - 1n, read]);
  });

  test('to the TSC moves the guest TSC and TSC_ADJUST, and not the host', () => {
    const source = `
        write_msr 0x10, 1 << 50
        read_tsc
        mov result(0), rax
        read_msr 0x3b
        mov result(1), rax
        finish`;
    const bench = new KvmBench(source).finish();
    const since = Number(bench.result(0) - 2n ** 50n);
    expect(since).toBeGreaterThan(0);
    expect(since).toBeLessThan(2000);
    expect(Number(2n ** 50n - bench.result(1))).toBeLessThan(bench.host.now);
  });

  test('to TSC_ADJUST moves the TSC by the difference', () => {
    const source = `
        write_msr 0x3b, 1 << 50
        write_msr 0x3b, 1 << 51
        read_tsc
        mov result(0), rax
        finish`;
    const bench = new KvmBench(source).finish();
    expect(Number(bench.result(0) - 2n ** 51n)).toBeLessThan(bench.host.now);
    expect(bench.result(0) > 2n ** 51n).toBe(true);
  });
});

describe('port I/O', () => {
  /** Exits to user space before the last, which is the end. */
  function portExits(source: string, answer?: (exit: KvmExit) => void) {
    const bench = new KvmBench(`${source}\nfinish`, answer === undefined ? {} : { answer });
    bench.finish();
    return { bench, exits: bench.userExits.slice(0, -1).map(({ exit }) => exit) };
  }

  test.each([
    ['out 0xe9, al', 0xe9, 1, 0x88],
    ['out 0x80, ax', 0x80, 2, 0x7788],
    ['out 0x80, eax', 0x80, 4, 0xd5667788],
    ['mov dx, 0x3f8\nout dx, al', 0x3f8, 1, 0x88],
    ['mov dx, 0xffff\nout dx, ax', 0xffff, 2, 0x7788],
    ['mov dx, 0xcf8\nout dx, eax', 0xcf8, 4, 0xd5667788],
  ])('%s goes to user space', (source, port, sizeBytes, data) => {
    const { bench, exits } = portExits(`mov rax, 0x11223344d5667788\n${source}`);
    expect(exits).toEqual([{ reason: 'IO', direction: 'out', port, sizeBytes, data }]);
    const value = `pio_write at 0x${port.toString(16)} size ${sizeBytes} count 1`;
    expect(bench.lines('kvm_pio')[0]).toBe(`kvm_pio: ${value} val 0x${data.toString(16)}`);
    expect(bench.counters().io_exits).toBe(2);
  });

  test.each([
    ['in al, 0x60', 1, 0x11223344d56677efn],
    ['in ax, 0x60', 2, 0x11223344d566beefn],
    ['in eax, 0x60', 4, 0xdeadbeefn],
    ['mov dx, 0x60\nin eax, dx', 4, 0xdeadbeefn],
  ])('%s changes just that much of RAX', (source, sizeBytes, rax) => {
    const { bench, exits } = portExits(
      `mov rax, 0x11223344d5667788\n${source}\nmov result(0), rax`,
      (exit) => {
        if (exit.reason === 'IO' && exit.direction === 'in') exit.data = 0xdeadbeef;
      },
    );
    expect(exits).toMatchObject([{ reason: 'IO', direction: 'in', port: 0x60, sizeBytes }]);
    expect(bench.result(0)).toBe(rax);
  });

  test('user space is told in between, and the instruction is done once', () => {
    const { bench } = portExits('in al, 0x60\nout 0x80, al');
    expect(bench.lines('kvm_userspace_exit')).toEqual(
      Array(3).fill('kvm_userspace_exit: reason KVM_EXIT_IO (2)'),
    );
    expect(bench.exits()).toEqual(Array(3).fill('IO_INSTRUCTION'));
  });

  /** A machine with its devices; what the guest found out is in its exit code or its output. */
  function machineWith(source: string): Machine {
    const checked = checkScenario({ vms: [{ program: 'ports.bin' }] });
    if (!('scenario' in checked)) throw new Error('wrong scenario');
    const program = assembleAt(0x100000, source).bytes;
    const machine = new Machine(checked.scenario, { programs: [program] });
    machine.run();
    return machine;
  }

  test('the console takes the low byte of any width', () => {
    const source = "mov eax, 'abcd'\nout 0xe9, al\nout 0xe9, ax\nout 0xe9, eax\ncli\nhlt";
    expect(machineWith(source).devices[0]?.state.console.output).toEqual([97, 97, 97]);
  });

  test('COM1 is always ready, and sends', () => {
    const source = `
        mov dx, 0x3fd
      poll: in al, dx
        test al, 0x20
        jz poll
        mov dx, 0x3f8
        mov al, 'x'
        out dx, al
        cli
        hlt`;
    expect(machineWith(source).devices[0]?.state.com1.sent).toEqual([0x78]);
  });

  test.each([
    ['al', 0x80, 0xff],
    ['ax', 0x80, 0xffff],
    ['eax', 0x72, 0xffffffff],
    ['eax', 0xf8, 0xffffffff],
  ])('in %s from port %i, where nobody is, gives all ones', (register, port, value) => {
    const width = { al: 1, ax: 2, eax: 4 }[register] ?? 0;
    const source = `
        xor eax, eax
        in ${register}, ${port}
        mov ecx, ${value}
        cmp rax, rcx
        setne al
        add al, ${width}
        out 0xf4, al`;
    const [ending] = machineWith(source).endings;
    expect(ending).toMatchObject({ status: 'exited', exitCode: 2 * width + 1 });
  });

  test.each([
    ['al', 0x01020304, 4],
    ['ax', 0x01020304, 0x0304],
    ['eax', 0x01020304, 0x01020304],
  ])('out 0xf4, %s ends the machine', (register, rax, value) => {
    const machine = machineWith(`mov eax, ${rax}\nout 0xf4, ${register}\nhlt`);
    expect(machine.devices[0]?.state.exitPort.value).toBe(value);
    expect(machine.endings[0]?.exitCode).toBe(((value << 1) | 1) & 0xff);
  });
});

describe('MOV to a control register', () => {
  /** Load the register with its value, changed; the exception or -1, and what is read then. */
  function change(register: string, operation: string): readonly [number, bigint] {
    const source = `
        mov rax, ${register}
        ${operation}
        try mov ${register}, rax
        mov result(0), r15
        mov rax, ${register}
        mov result(1), rax
        finish`;
    const [vector, value] = new KvmBench(source).finish().results(2);
    return [Number(BigInt.asIntN(64, vector ?? 0n)), value ?? 0n];
  }

  // The guest starts with PE, MP, ET, NE, WP and PG.
  const CR0 = 0x80010033n;
  test.each([
    ['nothing changed', 'nop', -1, CR0],
    ['CD set', 'bts rax, 30', -1, 0xc0010033n],
    ['AM set', 'bts rax, 18', -1, 0x80050033n],
    ['WP cleared', 'btr rax, 16', -1, 0x80000033n],
    ['TS set', 'bts rax, 3', -1, 0x8001003bn],
    ['EM set', 'bts rax, 2', -1, 0x80010037n],
    ['MP cleared', 'btr rax, 1', -1, 0x80010031n],
    ['NE cleared, which VMX needs and the guest does not see', 'btr rax, 5', -1, 0x80010013n],
    ['ET cleared, which stays', 'btr rax, 4', -1, CR0],
    ['a reserved bit set, which is ignored', 'bts rax, 6', -1, CR0],
    ['PG cleared in 64-bit mode', 'btr rax, 31', 13, CR0],
    ['PE cleared', 'btr rax, 0', 13, CR0],
    ['NW set without CD', 'bts rax, 29', 13, CR0],
    ['bit 32 set', 'bts rax, 32', 13, CR0],
  ])('CR0, %s', (_, operation, vector, value) => {
    expect(change('cr0', operation)).toEqual([vector, value]);
  });

  // The guest starts with PAE and PGE, and does not see VMXE.
  const CR4 = 0x6a0n;
  test.each([
    ['nothing changed', 'nop', -1, CR4],
    ['PGE cleared', 'btr rax, 7', -1, 0x620n],
    ['TSD set', 'bts rax, 2', -1, 0x6a4n],
    ['PSE set', 'bts rax, 4', -1, 0x6b0n],
    ['VMXE set: VMX is not offered', 'bts rax, 13', 13, CR4],
    ['PAE cleared in 64-bit mode', 'btr rax, 5', 13, CR4],
    ['reserved bit 15 set', 'bts rax, 15', 13, CR4],
    ['PCIDE set', 'bts rax, 17', -1, 0x206a0n],
    ['UMIP set', 'bts rax, 11', -1, 0xea0n],
    ['OSXSAVE set, which is not offered', 'bts rax, 18', 13, CR4],
    ['bit 63 set', 'bts rax, 63', 13, CR4],
  ])('CR4, %s', (_, operation, vector, value) => {
    expect(change('cr4', operation)).toEqual([vector, value]);
  });

  test.each([
    ['15', 'mov eax, 15', -1, 15n],
    ['16', 'mov eax, 16', 13, 0n],
    ['bit 63', 'mov eax, 1\nror rax, 1', 13, 0n],
  ])('CR8, %s', (_, operation, vector, value) => {
    expect(change('cr8', operation)).toEqual([vector, value]);
  });

  test('exits only for bits that the host wants to know of', () => {
    const exits = (register: string, number: number) =>
      new KvmBench(`mov rax, ${register}\nbtc rax, ${number}\nmov ${register}, rax\nfinish`)
        .finish()
        .exitCount('CR_ACCESS');
    // TS, PGE and TSD are the guest's own; CR3 needs no exit with EPT.
    expect([exits('cr0', 3), exits('cr4', 7), exits('cr4', 2), exits('cr3', 3)]).toEqual(
      Array(4).fill(0),
    );
    expect([exits('cr0', 16), exits('cr4', 4)]).toEqual([1, 1]);
  });

  test('write protection that is switched off by an exit holds at once', () => {
    // The page directory entry of the first 2 MiB becomes read-only.
    const source = `
        and qword [0x3000], ~2
        mov rax, cr3
        mov cr3, rax
        mov rax, cr0
        btr rax, 16
        mov cr0, rax
        mov result(0), 7
        finish`;
    expect(new KvmBench(source).finish().result(0)).toBe(7n);
  });

  test('the tracepoint shows register and value', () => {
    const parameters = { flexpriority: false };
    const source = 'mov eax, 3\nmov cr8, rax\nmov rbx, cr8\nfinish';
    const bench = new KvmBench(source, { parameters }).finish();
    expect(bench.lines('kvm_cr')).toEqual(['kvm_cr: cr_write 8 = 0x3', 'kvm_cr: cr_read 8 = 0x3']);
  });
});

const ENABLE = 'write_msr 0x1b, 0xfee00d00\nwrite_msr 0x80f, 0x1ff\n';

describe('HLT', () => {
  /** Names of the states in which a vCPU was switched out. */
  const sleeps = (bench: KvmBench) =>
    bench.lines('sched_switch').filter((line) => line.includes('prev_state=S')).length;

  test('does not block if an interrupt waits that STI lets through', () => {
    const source = `${ENABLE}
        write_msr 0x83f, 0x40
        sti
        hlt
        mov result(0), rbx
        finish
      on_64: mov ebx, 1
        iretq`;
    const bench = new KvmBench(source).finish();
    expect(bench.result(0)).toBe(1n);
    expect([sleeps(bench), bench.counters().halt_exits]).toEqual([0, 1]);
  });

  test('blocks for good with interrupts off, whatever waits', () => {
    const bench = new KvmBench(`${ENABLE}write_msr 0x83f, 0x40\nhlt\nmov result(0), 1`).run();
    expect([bench.ending, bench.result(0), sleeps(bench)]).toEqual(['stuck', 0n, 1]);
  });

  test('blocks for good if the priority keeps what waits out', () => {
    const source = `${ENABLE}write_msr 0x808, 0x50\nwrite_msr 0x83f, 0x4f\nsti\nhlt`;
    expect(new KvmBench(source).run().ending).toBe('stuck');
  });

  test('is ended by an NMI, also with interrupts off', () => {
    const source = `
        test edi, edi
        jnz other
        hlt
        mov result(0), rbx
        finish
      other: ${ENABLE}
        mov ecx, 20000
      delay: dec ecx
        jnz delay
        write_msr 0x830, 0x400
        jmp $
      on_2: mov ebx, 1
        iretq`;
    const bench = new KvmBench(source, { vcpus: 2 }).finish();
    expect(bench.result(0)).toBe(1n);
    expect(bench.counters()).toMatchObject({ halt_wakeup: 1, nmi_injections: 1 });
  });
});

describe('the interrupt window', () => {
  test('opens behind the instruction that follows STI, and closes again', () => {
    const source = `${ENABLE}
        write_msr 0x83f, 0x40
        nop
        sti
      shadow: nop
      behind: nop
        cli
        finish
      on_64: mov rax, [rsp]
        mov result(0), rax
        iretq`;
    const bench = new KvmBench(source).finish();
    expect(bench.result(0)).toBe(BigInt(bench.label('behind')));
    expect(bench.exitCount('INTERRUPT_WINDOW')).toBe(1);
    expect(bench.counters()).toMatchObject({ irq_window_exits: 1, irq_injections: 1 });
  });

  test('is not needed if the guest can take the interrupt', () => {
    const source = `sti\n${ENABLE}write_msr 0x83f, 0x40\nfinish\non_64: iretq`;
    const bench = new KvmBench(source).finish();
    expect(bench.exitCount('INTERRUPT_WINDOW')).toBe(0);
    expect(bench.counters().irq_injections).toBe(1);
  });

  test('is opened at once for a second interrupt, whose turn is when the first is over', () => {
    const source = `${ENABLE}
        write_msr 0x83f, 0x61
        write_msr 0x83f, 0x71
        sti
        nop
        mov result(0), rbx
        finish
      on_97: shl ebx, 8
        mov bl, 0x61
        jmp over
      on_113: shl ebx, 8
        mov bl, 0x71
      over: write_msr 0x80b, 0
        iretq`;
    const bench = new KvmBench(`xor ebx, ebx\n${source}`).finish();
    expect(bench.result(0)).toBe(0x7161n);
    expect(bench.counters().irq_injections).toBe(2);
  });
});

describe('NMI', () => {
  test('goes in with interrupts off; a second one waits for IRET, and a window', () => {
    const source = `${ENABLE}
        xor ebx, ebx
        write_msr 0x830, 0x40400
        mov result(0), rbx
        finish
      on_2: inc ebx
        cmp ebx, 1
        jne last
        write_msr 0x830, 0x40400
        mov result(1), rbx
      last: iretq`;
    const bench = new KvmBench(source).finish();
    // One after the other: the handler was not interrupted.
    expect(bench.results(2)).toEqual([2n, 1n]);
    expect(bench.exitCount('NMI_WINDOW')).toBe(1);
    expect(bench.counters()).toMatchObject({ nmi_injections: 2, nmi_window_exits: 1 });
  });

  test('goes before an interrupt', () => {
    const source = `${ENABLE}
        xor ebx, ebx
        write_msr 0x83f, 0x40
        write_msr 0x830, 0x40400
        sti
        nop
        mov result(0), rbx
        finish
      on_2: shl ebx, 8
        mov bl, 2
        iretq
      on_64: shl ebx, 8
        mov bl, 0x40
        iretq`;
    expect(new KvmBench(source).finish().result(0)).toBe(0x240n);
  });
});

describe('exceptions', () => {
  test.each([
    ['#DE', 'xor ecx, ecx\ntry div ecx', 0n],
    ['#BP', 'try int3', 3n],
    ['#GP', 'mov rax, 1 << 47\ntry mov rax, [rax]', 13n],
    ['#PF', 'mov rax, 1 << 33\ntry mov rax, [rax]', 14n],
  ])('%s needs no exit', (_, source, vector) => {
    const bench = new KvmBench(`${source}\nmov result(0), r15\nfinish`).finish();
    expect([bench.result(0), bench.exits()]).toEqual([vector, ['IO_INSTRUCTION']]);
  });

  test('#DB of single-stepping exits, and reaches the guest with DR6.BS', () => {
    const source = `
        pushfq
        or qword [rsp], 0x100
        popfq
        nop
      behind: nop
        finish
      on_1:
        mov rax, [rsp]
        mov result(0), rax
        mov rax, dr6
        mov result(1), rax
        and qword [rsp + 16], ~0x100
        iretq`;
    const bench = new KvmBench(source).finish();
    expect(bench.result(0)).toBe(BigInt(bench.label('behind')));
    expect(bench.result(1) & 0x4000n).toBe(0x4000n);
    expect(bench.exitCount('EXCEPTION_NMI')).toBe(1);
  });

  test('one that cannot be delivered ends in a triple fault, which is a shutdown', () => {
    const bench = new KvmBench('push 0\npush 0\nlidt [rsp]\nud2').run();
    expect(bench.ending).toBe('SHUTDOWN');
    expect(bench.exits().at(-1)).toBe('TRIPLE_FAULT');
    expect(bench.lines('kvm_userspace_exit')).toEqual([
      'kvm_userspace_exit: reason KVM_EXIT_SHUTDOWN (8)',
    ]);
  });
});

test('an exit without a handler is an internal error', () => {
  const bench = new KvmBench('mov eax, 1\ncpuid\nfinish');
  Object.assign(bench.vm.handlers, { [Exit.CPUID]: undefined });
  bench.run();
  expect(bench.userExits.at(-1)?.exit).toMatchObject({ reason: 'INTERNAL_ERROR', suberror: 4 });
});
