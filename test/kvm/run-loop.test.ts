// What a vCPU's thread does between exits: kvm-host.md 1.4 to 1.7, 7.1 and 9 (Linux
// arch/x86/kvm/x86.c, vcpu_run and vcpu_enter_guest; perf kvm stat for the times). Costs are all
// different prime numbers, so that a sum says what it is made of.

import { describe, expect, test } from 'vitest';
import { deliver } from '../../src/kvm/apic-ipi.ts';
import type { ExitTimes } from '../../src/kvm/index.ts';
import { COSTLY } from '../support/host-world.ts';
import {
  KVM_COSTS,
  KvmBench,
  Selector,
  type TimedRecord,
  VMX_COSTS,
} from '../support/kvm-bench.ts';

const { exitPath, entryPath, fastPath, handler, emulate, userSpace } = KVM_COSTS;
const ENABLE = 'write_msr 0x1b, 0xfee00d00\nwrite_msr 0x80f, 0x1ff\n';

/** The exits of a vCPU with the entries that follow them. */
function exitsAndEntries(bench: KvmBench, vcpu = 0): { exit: TimedRecord; entry: TimedRecord }[] {
  const own = bench
    .events('kvm_exit', 'kvm_entry')
    .filter(({ fields }) => 'vcpu' in fields && fields.vcpu === vcpu);
  return own.flatMap((exit, i) => {
    const entry = own[i + 1];
    return exit.name === 'kvm_exit' && entry !== undefined ? [{ exit, entry }] : [];
  });
}

/** CR8 exits, and accesses to the xAPIC exit by EPT. */
const PLAIN_APIC = { parameters: { flexpriority: false } };

describe('from exit to entry', () => {
  // A program whose last exit but the end is the one that is meant; cycles on the host.
  test.each([
    ['CPUID', 'cpuid', exitPath + handler],
    ['MSR_READ', 'mov ecx, 0x1b\nrdmsr', exitPath + handler],
    ['MSR_WRITE', 'write_msr 0x1a0, 0', exitPath + handler],
    ['MSR_WRITE', `${ENABLE}write_msr 0x6e0, 0`, fastPath + handler],
    ['MSR_WRITE', `${ENABLE}write_msr 0x830, 0x4040`, fastPath + handler],
    ['MSR_WRITE', `${ENABLE}write_msr 0x838, 0`, exitPath + handler],
    ['CR_ACCESS', 'xor eax, eax\nmov cr8, rax', exitPath + handler],
    ['CR_ACCESS', 'mov rax, cr8', exitPath + handler],
    ['EXCEPTION_NMI', 'try ud2', exitPath + handler],
    ['VMCALL', 'mov eax, 1\nvmcall', exitPath + KVM_COSTS.hypercall],
    ['IO_INSTRUCTION', 'out 0x80, al', exitPath + userSpace],
    ['IO_INSTRUCTION', 'in al, 0x80', exitPath + userSpace],
    ['EPT_VIOLATION', 'mov ebx, 0xfee00080\nmov eax, [rbx]', exitPath + emulate],
    ['EPT_MISCONFIG', 'mov ebx, 0xfee00080\nmov eax, [rbx]\nmov eax, [rbx]', exitPath + emulate],
    ['EPT_VIOLATION', 'mov ebx, 1 << 31\nmov [rbx], eax', exitPath + emulate + userSpace],
    ['EPT_VIOLATION', 'mov ebx, 1 << 31\nmov eax, [rbx]', exitPath + 2 * emulate + userSpace],
    ['INTERRUPT_WINDOW', `${ENABLE}write_msr 0x83f, 0x40\nsti\nnop\nnop\non_64:`, exitPath],
  ])('%s by %j costs as much as its parts', (reason, source, cycles) => {
    const bench = new KvmBench(`${source}\nfinish`, PLAIN_APIC).finish();
    const { exit, entry } = exitsAndEntries(bench).at(-1) ?? {};
    expect(exit?.fields).toMatchObject({ reason });
    expect((entry?.cycles ?? 0) - (exit?.cycles ?? 0)).toBe(cycles + entryPath);
  });

  // Linux 5.8 handles it right after the exit, with interrupts off; before it was an exit like any.
  test('without the fast path the deadline costs as much as other MSRs', () => {
    const parameters = { fastpath: false };
    const source = `${ENABLE}write_msr 0x6e0, 0\nfinish`;
    const bench = new KvmBench(source, { parameters }).finish();
    const { exit, entry } = exitsAndEntries(bench).at(-1) ?? {};
    expect((entry?.cycles ?? 0) - (exit?.cycles ?? 0)).toBe(exitPath + handler + entryPath);
  });

  test('the guest sees in its TSC what an exit costs', () => {
    const source = (instruction: string) => `
        xor eax, eax
        read_tsc
        mov rbx, rax
        ${instruction}
        read_tsc
        sub rax, rbx
        mov result(0), rax
        finish`;
    const time = (instruction: string) => {
      return Number(new KvmBench(source(instruction), PLAIN_APIC).finish().result(0));
    };
    const { exit, entry } = VMX_COSTS;
    const roundTrip = exit + exitPath + handler + entryPath + entry;
    expect(time('mov rdx, cr8') - time('')).toBe(roundTrip);
  });
});

describe('tracepoints around an exit come in this order', () => {
  test.each([
    ['cpuid', ['kvm_exit', 'kvm_cpuid', 'kvm_entry']],
    ['mov ecx, 0x1b\nrdmsr', ['kvm_exit', 'kvm_msr', 'kvm_entry']],
    ['mov cr8, rax', ['kvm_exit', 'kvm_cr', 'kvm_entry']],
    ['mov eax, 1\nvmcall', ['kvm_exit', 'kvm_hypercall', 'kvm_entry']],
    ['out 0x80, al', ['kvm_exit', 'kvm_pio', 'kvm_userspace_exit', 'kvm_entry']],
    ['in al, 0x80', ['kvm_exit', 'kvm_userspace_exit', 'kvm_pio', 'kvm_entry']],
    ['try ud2', ['kvm_exit', 'kvm_inj_exception', 'kvm_entry']],
    [
      'mov ebx, 0xfee00080\nmov eax, [rbx]\nmov eax, [rbx]',
      [
        ...['kvm_exit', 'kvm_page_fault', 'kvm_apic', 'kvm_mmio', 'kvm_entry'],
        ...['kvm_exit', 'kvm_apic', 'kvm_mmio', 'kvm_entry'],
      ],
    ],
    [
      'mov ebx, 1 << 31\nmov [rbx], eax',
      ['kvm_exit', 'kvm_page_fault', 'kvm_mmio', 'kvm_userspace_exit', 'kvm_entry'],
    ],
  ])('%j', (source, names) => {
    const bench = new KvmBench(`xor eax, eax\n${source}\nfinish`, PLAIN_APIC).finish();
    const all = bench.records.map(({ name }) => name);
    const first = all.indexOf('kvm_entry');
    expect(all.slice(first + 1, first + 1 + names.length)).toEqual(names);
  });

  test('an entry shows where the guest goes on, an exit where it stopped', () => {
    const bench = new KvmBench('at: cpuid\nbehind: finish').finish();
    const rip = (name: string) => `rip 0x${bench.label(name).toString(16)}`;
    const lines = bench.lines('kvm_exit', 'kvm_entry');
    expect(lines[1]).toContain(`reason CPUID ${rip('at')} info1 0x0000000000000000`);
    expect(lines[2]).toContain(rip('behind'));
  });
});

describe('statistics', () => {
  const MANY = `
      mov ebp, 5
    again:
      cpuid
      mov eax, 1
      vmcall
      out 0x80, al
      dec ebp
      jnz again
      finish`;

  /** Times by reason name, from the trace. */
  function timesInTrace(bench: KvmBench): Map<string, ExitTimes> {
    const times = new Map<string, number[]>();
    for (const { exit, entry } of exitsAndEntries(bench)) {
      const reason = (exit.fields as { reason: string }).reason;
      times.set(reason, [...(times.get(reason) ?? []), entry.cycles - exit.cycles]);
    }
    return new Map([...times].map(([reason, all]) => [reason, summary(all)]));
  }

  function summary(all: readonly number[]): ExitTimes {
    return {
      count: all.length,
      total: all.reduce((sum, cycles) => sum + cycles, 0),
      min: Math.min(...all),
      max: Math.max(...all),
      squares: all.reduce((sum, cycles) => sum + cycles ** 2, 0),
    };
  }

  test('of each reason are those of the trace: from exit to entry', () => {
    const bench = new KvmBench(MANY).finish();
    const [cpuid, vmcall] = [10, 18].map((reason) => bench.vcpu().exits.byReason[reason]);
    const expected = timesInTrace(bench);
    expect(cpuid).toEqual(expected.get('CPUID'));
    expect(vmcall).toEqual(expected.get('VMCALL'));
    expect(cpuid).toMatchObject({ count: 5, total: 5 * (exitPath + handler + entryPath) });
  });

  test('count every exit once', () => {
    const bench = new KvmBench(MANY).finish();
    const times = [...bench.vcpu().exits.timesAt(bench.host.now).values()];
    expect(times.reduce((sum, { count }) => sum + count, 0)).toBe(16);
    expect(bench.counters()).toMatchObject({ exits: 16, hypercalls: 5, io_exits: 6 });
  });

  test('of HLT include the sleep, as perf kvm stat has it', () => {
    const source = `${ENABLE}
        write_msr 0x832, 0x40040
        read_tsc
        add rax, 1000000
        mov rdx, rax
        shr rdx, 32
        mov ecx, 0x6e0
        wrmsr
        sti
        hlt
      on_64: finish`;
    const bench = new KvmBench(source).finish();
    const halt = bench.vcpu().exits.byReason[12];
    expect(halt).toEqual(timesInTrace(bench).get('HLT'));
    expect(halt?.total).toBeGreaterThan(990_000);
  });

  test('remember the latest sixteen exits', () => {
    const bench = new KvmBench(`${'cpuid\n'.repeat(20)}finish`).finish();
    const { recent } = bench.vcpu().exits;
    expect(recent).toHaveLength(16);
    expect(recent.at(-1)?.reason).toBe(30);
    expect(recent[0]?.rip).toBe((bench.exitRecords()[5]?.fields.rip ?? '').toString(16));
  });

  test("a thread's guest time is what lies between entries and exits", () => {
    const bench = new KvmBench(MANY).finish();
    let guest = 0;
    let entered = 0;
    for (const { name, cycles } of bench.events('kvm_entry', 'kvm_exit')) {
      if (name === 'kvm_entry') entered = cycles + VMX_COSTS.entry;
      else guest += cycles - VMX_COSTS.exit - entered;
    }
    expect(bench.vcpu().thread.state.times.guest).toBe(guest);
    expect(bench.host.pcpus[0]?.state.times.guest).toBe(guest);
  });
});

describe('a tick in the guest', () => {
  const SPIN = 'spin: mfence\njmp spin';
  const TICK = 2_000_000;

  test('is an external-interrupt exit, on its phase, and nothing else if the vCPU is alone', () => {
    const bench = new KvmBench(SPIN, { hz: 1000, cycles: { fence: 99 } }).run(10 * TICK);
    const times = bench.exitRecords().map(({ cycles }) => cycles - VMX_COSTS.exit);
    expect(bench.exits()).toEqual(Array(times.length).fill('EXTERNAL_INTERRUPT'));
    expect(times.length).toBeGreaterThanOrEqual(9);
    // An instruction or two may have to be completed.
    for (const time of times) expect((time - (times[0] ?? 0) + 200) % TICK).toBeLessThan(400);
    expect(bench.counters().irq_exits).toBe(times.length);
    const { exit, entry } = exitsAndEntries(bench)[0] ?? {};
    const work = COSTLY.interrupt + COSTLY.tick + exitPath + entryPath;
    expect((entry?.cycles ?? 0) - (exit?.cycles ?? 0)).toBe(work);
  });

  test("takes the pCPU from the vCPU at its slice's end, before it enters again", () => {
    const options = { hogs: [0], hz: 1000, cycles: { fence: 99 } };
    const bench = new KvmBench(SPIN, options).run(20 * TICK);
    const names = bench
      .events('kvm_exit', 'kvm_entry', 'sched_switch')
      .map((record) => (record.name === 'kvm_exit' ? record.fields.reason : record.name));
    const at = names.lastIndexOf('sched_switch', names.lastIndexOf('EXTERNAL_INTERRUPT') + 1);
    expect(names[at - 1]).toBe('EXTERNAL_INTERRUPT');
    const outs = bench.events('sched_switch').filter(({ fields }) => {
      return 'prev' in fields && fields.prev.comm === 'vcpu0';
    });
    expect(outs.length).toBeGreaterThan(1);
    // R, not S: the vCPU would go on if it could.
    for (const { fields } of outs) expect(fields).toMatchObject({ prevState: 'R' });
    const { waiting, blocked } = bench.vcpu().thread.state.times;
    expect(waiting).toBeGreaterThan(outs.length * TICK);
    expect(blocked).toBe(0);
  });

  test.each([
    ['in the kernel', '', true],
    [
      'in user mode',
      `push ${Selector.USER_DATA}\npush rsp\npush 0x3002\npush ${Selector.USER_CODE}
       push user\niretq\nuser:`,
      false,
    ],
  ])('marks the vCPU as preempted %s', (_, before, inKernel) => {
    const options = { hogs: [0], hz: 1000, cycles: { fence: 99 } };
    const bench = new KvmBench(`${before}\n${SPIN}`, options);
    const isOut = () =>
      bench.events('sched_switch').some(({ fields }) => {
        return 'prev' in fields && fields.prev.comm === 'vcpu0';
      });
    for (let time = TICK; !isOut() && time < 30 * TICK; time += TICK / 4) bench.run(time);
    expect(bench.vcpu().state).toMatchObject({
      preempted: true,
      ready: true,
      preemptedInKernel: inKernel,
      phase: 'loop',
    });
  });
});

describe('an interrupt from another vCPU', () => {
  /** vCPU 0 waits, then sends vector 40H to vCPU 1, which does something. */
  const send = (receiver: string) => `
      ${ENABLE}
      test edi, edi
      jnz receiver
      mov ecx, 20000
    delay: dec ecx
      jnz delay
      write_msr 0x830, 0x1_0000_0040
    sent: jmp sent
    receiver: ${receiver}
    on_64: read_tsc
      mov result(0), rax
      finish`;

  /** The APIC takes the interrupt on the sender's pCPU; from then on time counts. */
  const accepted = (bench: KvmBench) => bench.events('kvm_apic_accept_irq')[0]?.cycles ?? 0;

  test('ends the guest on the other pCPU when the IPI arrives, and goes in at once', () => {
    const bench = new KvmBench(send('sti\nspin: jmp spin'), { vcpus: 2 }).finish();
    const pair = exitsAndEntries(bench, 1).find(({ exit }) => {
      return 'reason' in exit.fields && exit.fields.reason === 'EXTERNAL_INTERRUPT';
    });
    const { ipiSend, ipiLatency, interrupt } = COSTLY;
    const exit = accepted(bench) + ipiSend + ipiLatency + VMX_COSTS.exit;
    const entry = exit + interrupt + exitPath + entryPath;
    expect([pair?.exit.cycles, pair?.entry.cycles]).toEqual([exit, entry]);
    expect(bench.lines('kvm_inj_virq')).toEqual(['kvm_inj_virq: IRQ 0x40']);
    expect(bench.exitCount('EXTERNAL_INTERRUPT', 1)).toBe(1);
    // The handler's first instruction, RDTSC, is what comes after the entry.
    expect(Number(bench.result(0)) - entry - VMX_COSTS.entry).toBeLessThanOrEqual(3);
  });

  test('wakes one that sleeps, on its idle pCPU', () => {
    const bench = new KvmBench(send('sti\nhlt'), { vcpus: 2 }).finish();
    const { wakeUp, ipiSend, ipiLatency, idleExit, interrupt } = COSTLY;
    const awake = accepted(bench) + wakeUp + ipiSend + ipiLatency + idleExit + interrupt;
    const last = exitsAndEntries(bench, 1).findLast(({ exit }) => {
      return 'reason' in exit.fields && exit.fields.reason === 'HLT';
    });
    expect(last?.entry.cycles).toBe(awake + entryPath);
    expect(bench.counters(1)).toMatchObject({ halt_wakeup: 1, halt_exits: 1 });
    // From where kvm_vcpu_halt begins.
    const slept = Math.floor((awake - (last?.exit.cycles ?? 0) - exitPath) / 2);
    expect(bench.lines('kvm_vcpu_wakeup')).toEqual([
      `kvm_vcpu_wakeup: wait time ${slept} ns, polling valid`,
    ]);
  });

  test('sends no IPI to one whose thread was switched out; it goes in when that runs again', () => {
    const source = `${ENABLE}sti\nspin: mfence\njmp spin\non_64: finish`;
    const options = { pcpus: 2, hogs: [0], hz: 1000, cycles: { fence: 99 } };
    const bench = new KvmBench(source, options);
    for (let time = 5e5; !bench.vcpu().state.preempted; time += 5e5) bench.run(time);
    const event = { vector: 64, mode: 'Fixed', levelTriggered: false, assert: true } as const;
    deliver(bench.vcpu(), event, bench.host.pcpus[1]);
    expect(bench.host.pendingEvents.filter(({ kind }) => kind === 'ipi')).toEqual([]);
    const entriesBefore = bench.events('kvm_entry').length;
    bench.finish();
    expect(bench.counters().irq_injections).toBe(1);
    // The first entry after that takes the interrupt along, and ends with the exit port.
    expect(bench.events('kvm_entry').length).toBe(entriesBefore + 1);
  });

  test('is remembered by one that has interrupts off, which is interrupted all the same', () => {
    const source = send('mov ecx, 60000\nbusy: dec ecx\njnz busy\nsti\nnop\nnop');
    const bench = new KvmBench(source, { vcpus: 2 }).finish();
    expect(bench.exits(1).slice(-3)).toEqual([
      ...['EXTERNAL_INTERRUPT', 'INTERRUPT_WINDOW', 'IO_INSTRUCTION'],
    ]);
  });

  test('to itself takes no IPI', () => {
    const bench = new KvmBench(`${ENABLE}sti\nwrite_msr 0x83f, 0x40\nfinish\non_64: finish`);
    bench.finish();
    expect(bench.exitCount('EXTERNAL_INTERRUPT')).toBe(0);
  });
});

describe('leaving KVM_RUN', () => {
  test('for an entry that fails says with which reason', () => {
    const bench = new KvmBench('finish');
    bench.vcpu().virtual.vmcs.write('GUEST_RFLAGS', 0);
    bench.run();
    expect(bench.userExits.at(-1)?.exit).toMatchObject({
      reason: 'FAIL_ENTRY',
      hardwareReason: 0x80000021,
    });
    // Linux 6.1 vmx_vcpu_run: it is an exit, too.
    expect(bench.exitCount('INVALID_STATE')).toBe(1);
    expect(bench.lines('kvm_exit')).toEqual([
      'kvm_exit: vcpu 0 reason INVALID_STATE FAILED_VMENTRY rip 0x100000 ' +
        'info1 0x0000000000000000 info2 0x0000000000000000 intr_info 0x00000000 ' +
        'error_code 0x00000000',
    ]);
  });

  test('for controls that are wrong gives the VM-instruction error', () => {
    const bench = new KvmBench('finish');
    bench.vcpu().virtual.vmcs.write('PIN_BASED_VM_EXEC_CONTROL', 0);
    bench.run();
    expect(bench.userExits.at(-1)?.exit).toMatchObject({ reason: 'FAIL_ENTRY', hardwareReason: 7 });
    expect(bench.lines('kvm_exit')).toEqual([]);
  });

  test('for what is not implemented names the bytes', () => {
    const bench = new KvmBench('here: db 0xd9, 0xe8').run();
    const exit = bench.userExits.at(-1)?.exit;
    expect(exit).toMatchObject({ reason: 'INTERNAL_ERROR', suberror: 1 });
    expect(exit?.reason === 'INTERNAL_ERROR' ? exit.message : '').toMatch(/bytes d9 e8 /);
    expect(bench.lines('kvm_userspace_exit')).toEqual([
      'kvm_userspace_exit: reason KVM_EXIT_INTERNAL_ERROR (17)',
    ]);
  });

  test('for good: when the machine is shut down all its threads end', () => {
    const bench = new KvmBench('test edi, edi\njnz spin\nfinish\nspin: jmp spin', { vcpus: 2 });
    bench.finish();
    bench.run();
    expect(bench.host.threads.map(({ state }) => state.status)).toEqual(['exited', 'exited']);
    expect(bench.vm.vcpus.map(({ state }) => state.phase)).toEqual(['ended', 'ended']);
  });
});
