// What KVM does for the rarer exits: VMX instructions, RDPMC, caches, MONITOR and MWAIT, and the
// parts of CR0 that CLTS and LMSW write (Linux 6.1, arch/x86/kvm/vmx/vmx.c, handle_vmx_instruction
// and handle_cr, and x86.c, kvm_emulate_as_nop, kvm_emulate_monitor_mwait, kvm_emulate_rdpmc,
// kvm_lmsw).

import { describe, expect, test } from 'vitest';
import { KVM_COSTS, KvmBench, Selector, VMX_COSTS } from '../support/kvm-bench.ts';

const NOT_RAISED = 2n ** 64n - 1n;

/** IRETQ to CPL 3 with IOPL 3, so that the program can still end itself. */
const ENTER_USER = `
    push ${Selector.USER_DATA}
    push rsp
    push 0x3002
    push ${Selector.USER_CODE}
    push user
    iretq
  user:`;

/** Which exception an instruction raised, or -1, and the error code that was pushed. */
function attempt(instruction: string, setup = ''): KvmBench {
  const source = `${setup}\nmov r14, -1\ntry ${instruction}
      mov result(0), r15\nmov result(1), r14\nfinish`;
  return new KvmBench(source).finish();
}

describe('VMX instructions, which guests are not offered', () => {
  test.each([
    ['vmlaunch', 'VMLAUNCH'],
    ['vmresume', 'VMRESUME'],
    ['vmxoff', 'VMOFF'],
    ['vmxon [rbx]', 'VMON'],
    ['vmclear [rbx]', 'VMCLEAR'],
    ['vmptrld [rbx]', 'VMPTRLD'],
    ['vmptrst [rbx]', 'VMPTRST'],
    ['vmread rax, rcx', 'VMREAD'],
    ['vmread [rbx], rcx', 'VMREAD'],
    ['vmwrite rcx, rax', 'VMWRITE'],
    ['invept rax, [rbx]', 'INVEPT'],
    ['invvpid rax, [rbx]', 'INVVPID'],
  ])('%s: #UD at the instruction, at CPL 0 and 3', (instruction, reason) => {
    const bench = attempt(instruction, 'mov rbx, 1 << 47\nmov rax, 5\nmov rcx, 6');
    expect(bench.result(0)).toBe(6n);
    expect(bench.exits()).toEqual([reason, 'IO_INSTRUCTION']);
    expect(bench.lines('kvm_inj_exception')).toEqual(['kvm_inj_exception: #UD']);
    // The guest did not see any of its registers changed.
    expect(['rax', 'rcx'].map((name) => bench.register(name).toNumber() & 0xfe)).toEqual([0, 6]);
    const user = new KvmBench(`mov rbx, 1 << 47\n${ENTER_USER}\n${instruction}`).run();
    expect(user.exits()[0]).toBe(reason);
    expect(user.lines('kvm_inj_exception')[0]).toBe('kvm_inj_exception: #UD');
  });

  test('the frame has the instruction itself, with RF', () => {
    const bench = new KvmBench(`
        here: vmptrst [rsp - 8]
        on_6: mov rax, [rsp]
        mov result(0), rax
        mov rax, [rsp + 16]
        mov result(1), rax
        finish`).finish();
    expect(bench.result(0)).toBe(BigInt(bench.label('here')));
    expect(bench.result(1) & 0x10000n).toBe(0x10000n);
  });
});

test('INT1 is a trap: its handler finds the address behind it, and DR6 as it was', () => {
  const bench = new KvmBench(`
      int1
    behind: finish
      on_1: mov rax, [rsp]
      mov result(0), rax
      mov rax, [rsp + 16]
      mov result(1), rax
      mov rax, dr6
      mov result(2), rax
      iretq`).finish();
  expect(bench.result(0)).toBe(BigInt(bench.label('behind')));
  expect(bench.results(3).slice(1)).toEqual([2n, 0xffff0ff0n]);
  expect(bench.lines('kvm_inj_exception')).toEqual(['kvm_inj_exception: #DB']);
});

test('a single step over an instruction that exits traps behind it', () => {
  const bench = new KvmBench(`
      xor r10, r10
      pushfq
      or qword [rsp], 0x100
      popfq
    first: cpuid
    second: cpuid
    third: finish
      on_1: mov rax, [rsp]
      inc r10
      cmp r10, 2
      je twice
      mov result(0), rax
      iretq
    twice: mov result(1), rax
      mov rax, dr6
      mov result(2), rax
      and qword [rsp + 16], ~0x100
      iretq`).finish();
  const labels = ['second', 'third'].map((name) => BigInt(bench.label(name)));
  expect(bench.results(3)).toEqual([...labels, 0xffff4ff0n]);
});

describe('TF', () => {
  const step = (source: string) =>
    new KvmBench(`
      pushfq
      or qword [rsp], 0x100
      ${source}
      finish
    on_1: mov rax, [rsp]
      mov result(0), rax
      mov rax, dr6
      mov result(1), rax
      finish`).finish();

  test('the step behind an instruction that KVM has done is a trap', () => {
    const bench = step('popfq\ncpuid\nbehind: nop');
    expect(bench.results(2)).toEqual([BigInt(bench.label('behind')), 0xffff4ff0n]);
    expect(bench.lines('kvm_inj_exception')).toEqual(['kvm_inj_exception: #DB']);
  });

  test('a step in the shadow of STI is injected', () => {
    const bench = step('popfq\nsti\nbehind: nop');
    expect(bench.results(2)).toEqual([BigInt(bench.label('behind')), 0xffff4ff0n]);
  });
});

describe('RDPMC, without counters', () => {
  test.each([0, 1, 0x40000000, 0xffffffff])('of %i is #GP(0)', (counter) => {
    const bench = attempt('rdpmc', `mov ecx, ${counter}`);
    expect(bench.results(2)).toEqual([13n, 0n]);
    expect(bench.exits()).toEqual(['RDPMC', 'IO_INSTRUCTION']);
    expect(bench.lines('kvm_inj_exception')).toEqual(['kvm_inj_exception: #GP (0x0)']);
  });

  test('at CPL 3 exits only with CR4.PCE', () => {
    const user = (setup: string) => new KvmBench(`${setup}\n${ENTER_USER}\nrdpmc`).run();
    expect(user('').exits()).not.toContain('RDPMC');
    // PCE is the guest's own bit.
    expect(user('mov rax, cr4\nbts rax, 8\nmov cr4, rax').exits()[0]).toBe('RDPMC');
  });
});

describe('what is nothing to a guest is skipped', () => {
  test.each([
    ['invd', 'INVD'],
    ['monitor', 'MONITOR_INSTRUCTION'],
    ['mwait', 'MWAIT_INSTRUCTION'],
  ])('%s', (instruction, reason) => {
    const setup = 'mov eax, 0x9100\nxor ecx, ecx\nxor edx, edx\nmov result(5), 77';
    const bench = attempt(instruction, setup);
    expect(bench.result(0)).toBe(NOT_RAISED);
    expect(bench.exits()).toEqual([reason, 'IO_INSTRUCTION']);
    // Caches that are thrown away lose nothing here.
    expect(bench.result(5)).toBe(77n);
  });

  test('MWAIT does not sleep, even with interrupts off', () => {
    const bench = new KvmBench('cli\nmov eax, 0x9100\nmonitor\nmwait\nmov result(0), 1\nfinish');
    expect(bench.finish().result(0)).toBe(1n);
    expect(bench.counters().halt_exits).toBe(0);
    expect(bench.lines('sched_switch').filter((line) => line.includes('prev_state=S'))).toEqual([]);
  });

  test.each(['wbinvd', 'wbnoinvd'])('%s does not even exit without devices to flush', (name) => {
    expect(attempt(name).exits()).toEqual(['IO_INSTRUCTION']);
  });

  test.each(['monitor', 'mwait'])('%s at CPL 3 is #UD', (name) => {
    const bench = new KvmBench(`${ENTER_USER}\n${name}`).run();
    // By exception bitmap: KVM intercepts #UD itself.
    expect(bench.exits()[0]).toBe('EXCEPTION_NMI');
    expect(bench.lines('kvm_inj_exception')[0]).toBe('kvm_inj_exception: #UD');
  });

  test.each(['invd', 'monitor', 'vmlaunch', 'rdpmc'])('%s costs an exit and a handler', (name) => {
    const cost = (instruction: string) => {
      const source = `read_tsc\nmov rbx, rax\ntry ${instruction}
          read_tsc\nsub rax, rbx\nmov result(0), rax\nxor ecx, ecx\nfinish`;
      return Number(new KvmBench(`xor ecx, ecx\n${source}`).finish().result(0));
    };
    const { exitPath, entryPath, handler } = KVM_COSTS;
    const round = VMX_COSTS.exit + VMX_COSTS.entry + exitPath + entryPath + handler;
    const extra = cost(name) - cost('nop');
    // Those that raise an exception deliver it, which is some instructions more.
    expect(extra).toBeGreaterThanOrEqual(round - 1);
    expect(extra).toBeLessThan(round + 20);
  });
});

/** CR0 at the start: PE, MP, ET, NE, WP and PG. */
const CR0 = 0x80010033n;

describe('CLTS and LMSW', () => {
  /** CR0 as it can be read after some instructions, and how often they exited. */
  function outcomeOf(source: string) {
    const bench = new KvmBench(`
        ${source}
        mov rax, cr0
        mov result(0), rax
        smsw rax
        mov result(1), rax
        finish`).finish();
    expect(bench.result(1)).toBe(bench.result(0));
    return { cr0: bench.result(0), exits: bench.exitCount('CR_ACCESS'), bench };
  }

  test.each([
    // [what, instructions, CR0 afterwards, exits]
    ['TS belongs to the guest', 'mov rax, cr0\nbts rax, 3\nmov cr0, rax\nclts', CR0, 0],
    ['TS that is 0 already', 'clts', CR0, 0],
    ['LMSW of TS', 'mov eax, 0x3b\nlmsw ax', CR0 | 8n, 0],
    ['LMSW of EM', 'mov eax, 0x37\nlmsw ax', CR0 | 4n, 1],
    ['LMSW of EM and TS', 'mov eax, 0x3f\nlmsw ax', CR0 | 12n, 1],
    ['LMSW without MP', 'mov eax, 0x31\nlmsw ax', CR0 & ~2n, 1],
    // PE cannot be cleared, and that it is not asked for is no reason to exit.
    ['LMSW without PE', 'mov eax, 2\nlmsw ax', CR0, 0],
    ['LMSW of 0', 'xor eax, eax\nlmsw ax', CR0 & ~2n, 1],
    ['bits above 3', 'mov eax, 0xfff3\nlmsw ax', CR0, 0],
    ['LMSW from memory', 'mov word [0x9128], 0x3f\nlmsw [0x9128]', CR0 | 12n, 1],
    ['EM set and cleared', 'mov eax, 7\nlmsw ax\nmov eax, 3\nlmsw ax', CR0, 2],
    ['a TS that an exit set', 'mov eax, 0xf\nlmsw ax\nclts', CR0 | 4n, 1],
  ])('%s', (_what, source, cr0, exits) => {
    expect(outcomeOf(source)).toMatchObject({ cr0, exits });
  });

  test('a bit that VMX fixes stays, and stays hidden', () => {
    // NE cleared by MOV, which the guest sees; then LMSW of EM.
    const source = 'mov rax, cr0\nbtr rax, 5\nmov cr0, rax\nmov eax, 7\nlmsw ax';
    expect(outcomeOf(source).cr0).toBe((CR0 | 4n) & ~0x20n);
  });

  test.each([
    // Linux handle_cr: the trace has the operand's four bits, PE among them, as they are.
    ['mov eax, 7\nlmsw ax', '0x80010037'],
    ['mov eax, 0xfff4\nlmsw ax', '0x80010034'],
  ])('%s in the trace: %s', (source, value) => {
    const { bench } = outcomeOf(source);
    expect(bench.lines('kvm_cr')).toEqual([`kvm_cr: cr_write 0 = ${value}`]);
  });
});

describe('CR4.FSGSBASE belongs to the guest', () => {
  test('no exit, and what it opens', () => {
    const bench = new KvmBench(`
        try rdfsbase rax
        mov result(0), r15
        mov rax, cr4
        bts rax, 16
        mov cr4, rax
        mov rax, 0x7fff12345678
        wrgsbase rax
        read_msr 0xc0000101
        mov result(1), rax
        swapgs
        read_msr 0xc0000102
        mov result(2), rax
        finish`).finish();
    expect(bench.results(3)).toEqual([6n, 0x7fff12345678n, 0x7fff12345678n]);
    expect(bench.exitCount('CR_ACCESS')).toBe(0);
  });
});

describe('what CPUID offers', () => {
  /** A register of a leaf. */
  function leaf(number: number, register: string): number {
    const source = `mov eax, ${number}\nxor ecx, ecx\ncpuid\nmov result(0), r${register}x\nfinish`;
    return Number(new KvmBench(source).finish().result(0));
  }
  const has = (value: number, bit: number) => Math.floor(value / 2 ** bit) % 2 === 1;

  // SDM 2, "CPUID", feature tables: the bit says whether the instruction executes.
  test.each<[string, number, string, number, string, boolean]>([
    // [feature, leaf, register, bit, an instruction of it, offered]
    ['MONITOR', 1, 'c', 3, '', false],
    ['VMX', 1, 'c', 5, 'vmxoff', false],
    ['SMX', 1, 'c', 6, 'getsec', false],
    ['PCID', 1, 'c', 17, '', true],
    ['CMPXCHG16B', 1, 'c', 13, 'cmpxchg16b [0x9200]', true],
    ['MOVBE', 1, 'c', 22, 'movbe eax, [0x9200]', true],
    ['XSAVE', 1, 'c', 26, 'xgetbv', false],
    ['RDRAND', 1, 'c', 30, 'rdrand eax', true],
    ['SYSENTER', 1, 'd', 11, '', true],
    ['CLFLUSH', 1, 'd', 19, 'clflush [0x9200]', true],
    ['FSGSBASE', 7, 'b', 0, '', true],
    ['BMI1', 7, 'b', 3, 'andn eax, ebx, ecx', true],
    ['BMI2', 7, 'b', 8, 'pext eax, ebx, ecx', true],
    ['INVPCID', 7, 'b', 10, 'mov eax, 2\nmov qword [0x9200], 0\ninvpcid rax, [0x9200]', true],
    ['RDSEED', 7, 'b', 18, 'rdseed eax', true],
    ['ADX', 7, 'b', 19, 'adcx eax, ebx', true],
    ['RDPID', 7, 'c', 22, 'rdpid rax', true],
    ['LZCNT', 0x80000001, 'c', 5, 'lzcnt eax, ebx', true],
    ['SYSCALL', 0x80000001, 'd', 11, '', true],
    ['RDTSCP', 0x80000001, 'd', 27, 'rdtscp', true],
  ])('%s', (_feature, number, register, bit, instruction, offered) => {
    expect(has(leaf(number, register), bit)).toBe(offered);
    if (instruction === '') return;
    const [vector] = attempt(instruction).results(1);
    expect(vector).toBe(offered ? NOT_RAISED : 6n);
  });
});
