// What each fault does, against what its page says: times, places, and what the manual or the
// kernel say of it.

import { describe, expect, test } from 'vitest';
import { checkScenario } from '../../../src/machine/index.ts';
import {
  type FaultyGuest,
  KICKING,
  PING_PONG,
  recordsOf,
  runFaulty,
  TICKING,
} from '../../support/faults.ts';

/** Counts for about 1 ms at 2 GHz, and comes by `here` 100 times. */
const COUNTING: FaultyGuest = {
  source: `
bits 64
    mov ebx, 100
again:
    mov ecx, 5000
.delay:
    dec ecx
    jnz .delay
here:
    mov eax, ebx
    dec ebx
    jnz again
    cli
    hlt
`,
};

/** A lock that two vCPUs take in turn, and the time between two readings of the TSC. */
const LOCKING: FaultyGuest = {
  source: `
bits 64
    mov ebx, 20
again:
    mov eax, 1
    xchg eax, [rel lock_word]
    test eax, eax
    jz ours
    pause
    jmp again
ours:
    mov ecx, 3000
.delay:
    dec ecx
    jnz .delay
    mov dword [rel lock_word], 0
    dec ebx
    jnz again
    cli
    hlt
align 64
lock_word: dd 0
`,
  vcpus: 2,
  pcpus: 2,
  pin: ['0', '1'],
};

describe('late', () => {
  test('an IPI arrives by so much later', () => {
    const run = runFaulty(PING_PONG, ['delay-ipi,by=20us,nth=3']);
    const [held] = recordsOf(run, 'fault');
    const accepted = recordsOf(run, 'kvm_apic_accept_irq');
    const [sent, next] = [accepted.filter((r) => r.timeNs < held.timeNs), accepted].map(
      (list) => list.length,
    );
    expect(sent).toBe(2);
    expect(next).toBeGreaterThan(3);
    // The interrupt of the host that brings it takes a while itself.
    const late = accepted[2].timeNs - held.timeNs;
    expect(late).toBeGreaterThanOrEqual(20_000);
    expect(late).toBeLessThan(25_000);
  });

  test('a thread is woken by so much later', () => {
    const run = runFaulty(PING_PONG, ['delay-wake,by=30us,nth=2']);
    const [held] = recordsOf(run, 'fault');
    const comm = `vcpu${held.fields.vcpu}`;
    const woken = recordsOf(run, 'sched_waking').find(
      ({ timeNs, fields }) => timeNs > held.timeNs && fields.comm === comm,
    );
    const late = (woken?.timeNs ?? 0) - held.timeNs;
    expect(late).toBeGreaterThanOrEqual(30_000);
    expect(late).toBeLessThan(35_000);
    expect(run.report.status).toBe('halted');
  });

  test('a timer expires by so much later', () => {
    const expiries = (faults: readonly string[]) =>
      recordsOf(runFaulty(TICKING, faults), 'kvm_apic_accept_irq').map(({ timeNs }) => timeNs);
    const [plain] = expiries([]);
    const [late] = expiries(['timer-jitter,by=50us,count=1']);
    expect(late - plain).toBe(50_000);
  });
});

describe('lost', () => {
  test('an IPI that is lost leaves both asleep', () => {
    const run = runFaulty(PING_PONG, ['lose-ipi,nth=5']);
    expect(run.report.status).toBe('deadlock');
    expect(recordsOf(run, 'kvm_apic_ipi')).toHaveLength(5);
    expect(recordsOf(run, 'kvm_apic_accept_irq')).toHaveLength(4);
  });
});

describe('for nothing', () => {
  test('a woken thread falls asleep again, and the guest does not notice', () => {
    const run = runFaulty(PING_PONG, ['spurious-wake,every=10us']);
    expect(run.report.faults[0].count).toBeGreaterThan(5);
    expect(run.report.status).toBe('halted');
    for (const { timeNs, fields } of recordsOf(run, 'fault')) {
      const next = run.records.find(
        (record) => record.timeNs >= timeNs && record.name === 'sched_waking',
      );
      expect(next).toMatchObject({ fields: { comm: `vcpu${fields.vcpu}` } });
    }
  });

  test('an interrupt of the host ends the guest’s turn, and nothing else', () => {
    const exits = ({ exits: all }: { exits: readonly { name: string; count: number }[] }) =>
      all.find(({ name }) => name === 'EXTERNAL_INTERRUPT')?.count ?? 0;
    const plain = runFaulty(COUNTING, []).report;
    const { report } = runFaulty(COUNTING, ['spurious-exit,every=20us']);
    expect(exits(report) - exits(plain)).toBe(report.faults[0].count);
    expect(report.instructions).toBe(plain.instructions);
  });
});

describe('preemption', () => {
  test('before the instruction at an address, the nth time', () => {
    const run = runFaulty(COUNTING, ['preempt,at=here,nth=7,for=300us']);
    const { vm, vcpu, at } = { vm: 0, vcpu: 0, at: run.machine.symbols[0].addressOf('here') };
    const [fault] = recordsOf(run, 'fault');
    expect(fault.fields).toMatchObject({ kind: 'preempt', vm, vcpu, ns: 300_000 });
    const exit = recordsOf(run, 'kvm_exit').findLast(({ timeNs }) => timeNs <= fault.timeNs);
    expect(exit?.fields.reason).toBe('EXTERNAL_INTERRUPT');
    expect(exit?.fields.rip.toString(16)).toBe(at?.toString(16));
    const away = recordsOf(run, 'sched_switch').find(({ timeNs }) => timeNs > fault.timeNs);
    expect(away?.fields).toMatchObject({
      prev: { comm: 'vcpu0' },
      prevState: 'R',
      next: { comm: 'fault/0', prio: 0 },
    });
    const back = recordsOf(run, 'sched_switch').find(
      ({ fields }) => fields.next.comm === 'vcpu0' && fields.prev.comm === 'fault/0',
    );
    const absence = (back?.timeNs ?? 0) - fault.timeNs;
    expect(Math.abs(absence - 300_000)).toBeLessThan(5_000);
    expect(run.report.vcpus[0].times.stealNs).toBeGreaterThan(290_000);
    expect(run.report.faults[0].count).toBe(1);
  });

  test('of the holder of a lock, behind the store that took it', () => {
    const run = runFaulty(LOCKING, ['preempt,lock=lock_word,nth=4,for=100us']);
    const [fault] = recordsOf(run, 'fault');
    const exit = recordsOf(run, 'kvm_exit').findLast(
      ({ timeNs, pcpu }) => timeNs <= fault.timeNs && pcpu === fault.pcpu,
    );
    // The instruction behind XCHG.
    const { symbols } = run.machine;
    const again = symbols[0].addressOf('again')?.toNumber() ?? 0;
    expect(exit?.fields.rip.toNumber()).toBe(again + 5 + 6);
    expect(run.report.faults[0].count).toBe(1);
  });

  test('some time behind it', () => {
    const at = (keys: string) => {
      const run = runFaulty(LOCKING, [`preempt,lock=lock_word,nth=4,for=100us${keys}`]);
      return recordsOf(run, 'fault')[0].timeNs;
    };
    // Without it, it is the end of XCHG, which takes some cycles.
    expect(Math.abs(at(',after=500ns') - at('') - 500)).toBeLessThan(25);
  });
});

describe('pCPUs', () => {
  test('that stop do nothing until they go on', () => {
    const run = runFaulty(KICKING, ['stop-pcpu,pcpu=2,from=100us,for=400us']);
    const [fault] = recordsOf(run, 'fault');
    const during = run.records.filter(
      ({ timeNs, pcpu }) => pcpu === 2 && timeNs > fault.timeNs + 5_000 && timeNs < 495_000,
    );
    expect(during).toEqual([]);
    expect(run.records.some(({ timeNs, pcpu }) => pcpu === 2 && timeNs > 500_000)).toBe(true);
  });

  test('are stolen by a thread of high weight', () => {
    const run = runFaulty(COUNTING, ['steal,from=100us,for=500us']);
    // Nice -20 has 88761 of 89785 parts of the pCPU: the vCPU does not run meanwhile.
    expect(run.report.vcpus[0].times.stealNs).toBeGreaterThan(480_000);
    const [waking] = recordsOf(run, 'sched_waking').filter(
      ({ fields }) => fields.comm === 'steal0/0',
    );
    expect(waking.fields.prio).toBe(100);
  });

  test('change with migration, and the vCPU goes on there', () => {
    const run = runFaulty({ ...COUNTING, pcpus: 3 }, ['migrate,to=2,from=100us']);
    const [fault] = recordsOf(run, 'fault');
    const [move] = recordsOf(run, 'sched_migrate_task').filter((r) => r.timeNs >= fault.timeNs);
    expect(move.fields).toMatchObject({ comm: 'vcpu0', origCpu: 0, destCpu: 2 });
    const entry = recordsOf(run, 'kvm_entry').find(({ timeNs }) => timeNs > move.timeNs);
    expect(entry?.pcpu).toBe(2);
  });
});

describe('clocks', () => {
  test.each([
    ['clock-forward', 1],
    ['clock-back', -1],
  ])('%s: RDTSC differs by so much', (name, sign) => {
    const guest = {
      source: `
bits 64
    mov ecx, 500000
.delay:
    dec ecx
    jnz .delay
    rdtsc
    cli
    hlt
`,
    };
    const read = (faults: readonly string[]) =>
      Number.parseInt(runFaulty(guest, faults).report.vcpus[0].registers.rax, 16);
    // The exit in which it is done takes time as well: as much as one for nothing.
    const plain = read(['spurious-exit,from=100us']);
    const { khz } = runFaulty(guest, []).machine.host.frequency;
    expect(read([`${name},from=100us,by=7us`]) - plain).toBe((sign * 7 * khz) / 1000);
  });
});

describe('VM entries', () => {
  test('fail for invalid guest state: exit reason 33 with bit 31', () => {
    const run = runFaulty(COUNTING, ['fail-entry,from=50us']);
    expect(run.report.status).toBe('entryFailed');
    expect(run.report.message).toContain('0x80000021');
    // What was made invalid is what it was.
    const { vmcs } = run.machine.vcpus[0].virtual;
    expect(vmcs.read('GUEST_ACTIVITY_STATE').toNumber()).toBe(0);
  });

  test('fail for invalid controls: VM-instruction error 7', () => {
    const fault = 'fail-entry,from=50us,field=PIN_BASED_VM_EXEC_CONTROL,value=0';
    const run = runFaulty(COUNTING, [fault]);
    expect(run.report.status).toBe('entryFailed');
    expect(run.report.message).toContain('failed with 0x7 (VMfailValid: VM entry with');
  });

  test('fail for an MSR that cannot be loaded: exit reason 34 with bit 31', () => {
    const run = runFaulty(COUNTING, ['fail-msr-load,from=50us']);
    expect(run.report.status).toBe('entryFailed');
    expect(run.report.message).toContain('0x80000022');
    const { vmcs } = run.machine.vcpus[0].virtual;
    // SDM 3, "Loading MSRs": which entry of the list it was; and the list is empty again.
    expect(vmcs.read('EXIT_QUALIFICATION').toNumber()).toBe(1);
    expect(vmcs.read('VM_ENTRY_MSR_LOAD_COUNT').toNumber()).toBe(0);
  });
});

describe('what is wrong', () => {
  const GUEST = { vms: [{ program: 'a.asm', vcpus: 2 }], host: { pcpus: 2 } };

  test.each<[unknown, string]>([
    ['delay-ipi', "delay-ipi needs 'by'"],
    ['delay-ipi,by=5', 'by: expected a duration such as 20us, or two such as 5us..20us, not "5"'],
    ['delay-ipi,by=9us..5us', 'by: expected a duration such as 20us'],
    ['delay-ipi,by=1us,by=2us', 'by is given twice'],
    ['delay-ipi,by', "not 'by' in 'delay-ipi,by'"],
    ['delay-ipi,by=1us,', "not '' in"],
    ['', "not '' in ''"],
    ['delay-ipy,by=1us', 'fault: expected one of delay-wake,'],
    ['delay-ipi,by=1us,form=2us', "unknown key 'form'; did you mean"],
    ['delay-ipi,by=1us,probability=1.5', 'probability: expected a number above 0'],
    ['delay-ipi,by=1us,probability=0', 'probability: expected a number above 0'],
    ['delay-ipi,by=1us,every=2us', "delay-ipi has no 'every'; it takes vm, vcpu,"],
    ['preempt,for=1us', "preempt needs to know when: 'from', 'every', 'at' or 'lock'"],
    ['snapshot', "snapshot needs to know when: 'from', 'every'"],
    ['preempt,for=1us,at=x,lock=y', "'at' says already when it happens"],
    ['preempt,for=1us,every=1ms,after=1us', "'after' is a time after 'at' or 'lock'"],
    ['preempt,for=1us,every=1ms,from=2ms,until=1ms', "expected a later time than 'from'"],
    ['preempt,for=1us,every=1ms,vcpu=2', 'there is no vCPU 2: vcpus is 2'],
    ['preempt,for=1us,every=1ms,vm=1', 'there is no virtual machine 1'],
    ['stop-pcpu,for=1us,every=1ms,pcpu=2', 'there is no pCPU 2: host.pcpus is 2'],
    ['fail-entry,from=1ms,field=GUEST_RIPP,value=1', "did you mean 'GUEST_RIP'?"],
    ['fail-entry,from=1ms,field=VM_EXIT_REASON,value=1', "no VMCS field 'VM_EXIT_REASON'"],
    ['fail-entry,from=1ms,field=GUEST_RIP', "a field needs a 'value'"],
    ['fail-entry,from=1ms,value=x', 'expected a number such as 7 or 0x10'],
    [{ by: '1us' }, 'missing; expected one of'],
    [7, 'expected keys and values, or a fault such as'],
  ])('%j: %s', (fault, message) => {
    const checked = checkScenario({ ...GUEST, faults: [fault] });
    if (!('issues' in checked)) throw new Error('it is a scenario');
    expect(checked.issues.map((issue) => issue.message).join('\n')).toContain(message);
  });

  test('a place that no program has', () => {
    expect(() => runFaulty(COUNTING, ['preempt,at=agian,for=1us'])).toThrow("mean 'again'?");
  });
});
