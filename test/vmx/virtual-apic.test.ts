// "Use TPR shadow" and "virtualize APIC accesses". SDM 3, "Virtualizing CR8-Based TPR Accesses",
// "Virtualizing Memory-Mapped APIC Accesses", "TPR Virtualization", and for the qualification
// "Exit Qualification for APIC-Access VM Exits from Linear Accesses and Guest-Physical Accesses".

import { describe, expect, test } from 'vitest';
import { Access, DEVICE, STATE_ITEMS } from '../../src/cpu/index.ts';
import { outcomeText } from '../support/entry-outcome.ts';
import { At, exitRecord, VmxBench } from '../support/vmx-bench.ts';

const PRIMARY = 'CPU_BASED_VM_EXEC_CONTROL';
const SECONDARY = 'SECONDARY_VM_EXEC_CONTROL';
const TPR_SHADOW = 1 << 21;
const CR8_LOAD = 1 << 19;
const CR8_STORE = 1 << 20;
const APIC_ACCESSES = 1 << 0;
const RESUME_FLAG = 1 << 16;
const OSFXSR = 1 << 9;

/** The page of the guest that is the APIC-access page, and where the virtual-APIC page is. */
const APIC = 0x50000;
const VIRTUAL_APIC = 0x60000;
const VTPR = VIRTUAL_APIC + 0x80;

interface Options {
  readonly shadow?: boolean;
  readonly apic?: boolean;
  readonly threshold?: number;
  readonly vtpr?: number;
}

function bench({ shadow = true, apic = false, threshold = 0, vtpr = 0 }: Options = {}): VmxBench {
  const made = new VmxBench();
  if (shadow) made.add(PRIMARY, TPR_SHADOW);
  if (apic) made.add(SECONDARY, APIC_ACCESSES);
  made.set({
    VIRTUAL_APIC_PAGE_ADDR: made.ramHpa + VIRTUAL_APIC,
    APIC_ACCESS_ADDR: made.ramHpa + APIC,
    TPR_THRESHOLD: threshold,
  });
  // What lies above VTPR's lowest byte.
  made.write64(VTPR, (0xabcdef00 | vtpr) >>> 0);
  return made;
}

describe('CR8 under TPR shadow', () => {
  test('writes go to VTPR[7:4], clear the rest of it, and reads come from there', () => {
    const made = bench();
    expect(made.exitOf('mov eax, 9\nmov cr8, rax\nmov rbx, cr8\nvmcall').reason).toBe('VMCALL');
    expect([made.register('rbx'), made.read64(VTPR)]).toEqual([9, 0x90]);
    // The register of the processor is not the guest's.
    expect(made.register('cr8')).toBe(0);
  });

  test('reads see no more than VTPR[7:4]', () => {
    const made = bench({ vtpr: 0x5f });
    made.exitOf('mov rbx, cr8\nvmcall');
    expect(made.register('rbx')).toBe(5);
  });

  test('without it CR8 is the register', () => {
    const made = bench({ shadow: false });
    made.exitOf('mov eax, 9\nmov cr8, rax\nvmcall');
    expect([made.register('cr8'), made.read64(VTPR)]).toEqual([9, 0xabcdef00]);
  });

  test('a value above 15 is #GP before anything happens', () => {
    const made = bench({ vtpr: 0x70, threshold: 7 });
    expect(made.exitOf('mov eax, 16\nmov cr8, rax')).toMatchObject({ rip: 0xf000 + 16 * 13 });
    expect(made.read64(VTPR) & 0xff).toBe(0x70);
  });

  test.each([
    ['mov cr8, rax', CR8_LOAD, 0x8],
    ['mov rax, cr8', CR8_STORE, 0x18],
  ])('the exit of %s comes first', (instruction, control, qualification) => {
    const made = bench();
    made.add(PRIMARY, control);
    expect(made.exitOf(instruction)).toMatchObject({ reason: 'CR_ACCESS', qualification });
  });
});

describe('TPR below threshold', () => {
  test.each([
    // [VTPR before, CR8 written, threshold, exits]
    [0x80, 7, 8, true],
    [0x80, 8, 8, false],
    [0x80, 9, 8, false],
    [0x80, 0, 1, true],
    [0x80, 0, 0, false],
  ])('VTPR %i, CR8 := %i, threshold %i: %s', (vtpr, value, threshold, exits) => {
    const made = bench({ vtpr, threshold });
    const source = `mov eax, ${value}\nmov cr8, rax\nbehind: nop\nvmcall`;
    const behind = made.load(source).get('behind') ?? 0;
    const exit = made.exitOf(source);
    // Trap-like: behind the instruction, and without its length.
    if (exits) expect(exit).toEqual(exitRecord('TPR_BELOW_THRESHOLD', behind));
    else expect(exit.reason).toBe('VMCALL');
    expect(made.read64(VTPR)).toBe(value * 16);
  });

  test('comes before the timer, the monitor trap flag and a single step', () => {
    const made = bench({ vtpr: 0x80, threshold: 8 });
    made.add('PIN_BASED_VM_EXEC_CONTROL', 1 << 6);
    made.add(PRIMARY, 1 << 27);
    made.set({ VMX_PREEMPTION_TIMER_VALUE: 1, GUEST_RFLAGS: 0x102 });
    made.now = 31;
    const { reason, rip } = made.exitOf('mov cr8, rax\nnop');
    expect([reason, rip]).toEqual(['TPR_BELOW_THRESHOLD', At.CODE + 4]);
    // The step stays pending.
    expect(made.field('GUEST_PENDING_DBG_EXCEPTIONS')).toBe(1 << 14);
  });

  test('at entry: an exit if APIC accesses are virtualized, else error 7', () => {
    const exiting = bench({ apic: true, vtpr: 0x30, threshold: 4 });
    expect(exiting.exitOf('nop')).toEqual(exitRecord('TPR_BELOW_THRESHOLD', At.CODE));
    const failing = bench({ vtpr: 0x30, threshold: 4 });
    expect(outcomeText(failing, failing.tryToEnter())).toBe('error 7');
    const plain = bench({ apic: true, vtpr: 0x40, threshold: 4 });
    expect(plain.exitOf('vmcall').reason).toBe('VMCALL');
  });

  test('at entry into HLT too, but not into shutdown', () => {
    const made = (activity: number) => {
      const halted = bench({ apic: true, threshold: 1 });
      halted.set({ GUEST_ACTIVITY_STATE: activity });
      halted.enter();
      return halted;
    };
    expect(made(1).runToExit().reason).toBe('TPR_BELOW_THRESHOLD');
    expect(made(2).virtual.run(1000).kind).toBe('limit');
  });
});

describe('the APIC-access page', () => {
  const access = (source: string, options: Options = {}) =>
    bench({ apic: true, ...options }).exitOf(`mov rbx, ${APIC}\n${source}\nvmcall`);

  test.each<[string, number, number, Options]>([
    // [instruction, qualification, length, options]
    ['mov eax, [rbx + 0x20]', 0x0020, 3, {}],
    ['mov [rbx + 0xb0], eax', 0x10b0, 6, {}],
    // The task priority, in ways that are not virtualized.
    ['mov rax, [rbx + 0x80]', 0x0080, 7, {}],
    ['mov [rbx + 0x80], rax', 0x1080, 7, {}],
    ['mov al, [rbx + 0x81]', 0x0081, 6, {}],
    ['mov eax, [rbx + 0x80]', 0x0080, 6, { shadow: false }],
    ['mov [rbx + 0x80], eax', 0x1080, 6, { shadow: false }],
    ['mov eax, [rbx + 0xffc]', 0x0ffc, 6, {}],
  ])('%s', (instruction, qualification, lengthBytes, options) => {
    const { reason, rip, ...exit } = access(instruction, options);
    expect([reason, exit.qualification, exit.lengthBytes]).toEqual([
      'APIC_ACCESS',
      qualification,
      lengthBytes,
    ]);
    expect(rip).toBeGreaterThan(At.CODE);
  });

  test.each([
    ['mov eax, [rbx + 0x20]'],
    ['movzx rcx, byte [rbx + 0x20]'],
    ['add rdx, [rbx + 0x20]'],
    ['adc [rbx + 0x20], ecx'],
    ['cmp [rbx + 0x20], eax'],
    ['test [rbx + 0x20], eax'],
    ['xchg [rbx + 0x20], rax'],
    ['lock xadd [rbx + 0x20], eax'],
    ['cmpxchg [rbx + 0x20], ecx'],
    ['push qword [rbx + 0x20]'],
    ['pop qword [rbx + 0x20]'],
    ['lodsd'],
    ['stosd'],
    ['rep stosb'],
    ['movsd'],
    ['movups xmm0, [rbx + 0x20]'],
    ['movd xmm0, [rbx + 0x20]'],
    ['mov fs, [rbx + 0x20]'],
    ['jmp [rbx + 0x20]'],
    ['ldmxcsr [rbx + 0x20]'],
  ])('nothing of %s has happened, and it exits again', (instruction) => {
    const registers = STATE_ITEMS.map(({ name }) => name).filter(
      (name) => name !== 'rip' && name !== 'rflags' && !name.startsWith('cr2'),
    );
    const stateOf = (last: string) => {
      const made = bench({ apic: true });
      made.add('GUEST_CR4', OSFXSR);
      made.exitOf(
        `mov rbx, ${APIC}\nmov rsi, rbx\nmov rdi, rbx\nmov ecx, 5\nmov edx, -1\n` +
          `mov eax, 0x80000001\nmovd xmm0, edx\nadd eax, eax\n${last}\nvmcall`,
      );
      const flags = made.field('GUEST_RFLAGS') & ~RESUME_FLAG;
      const state = registers.map((name) => [name, made.register(name)]);
      return { made, state: Object.fromEntries([...state, ['rflags', flags]]) };
    };
    const { made, state } = stateOf(instruction);
    expect(made.exit.reason).toBe('APIC_ACCESS');
    expect(made.field('GUEST_RFLAGS') & RESUME_FLAG).toBe(RESUME_FLAG);
    expect(state).toEqual(stateOf('').state);
    const { rip, reason, qualification } = made.exit;
    expect(made.resume()).toMatchObject({ rip, reason, qualification });
  });

  test('the page is found anew once its entry has changed', () => {
    const made = bench({ apic: true });
    const entry = At.PAGE_TABLE + (APIC / 4096) * 8;
    made.enter();
    const { mmu } = made.virtual.processor;
    const locate = () => mmu.locate(APIC + 0x80, 0, 4, Access.WRITE, false);
    expect([locate(), locate(), made.read64(entry) & 0x60]).toEqual([DEVICE, DEVICE, 0x60]);
    const remap = (gpa: number) => made.write64(entry, gpa | 7);
    remap(0x41000);
    expect(locate()).toBe(made.ramHpa + 0x41080);
    remap(APIC);
    expect([locate(), made.read64(entry) & 0x60]).toEqual([DEVICE, 0x60]);
    // With nothing looked up in between.
    remap(0x42000);
    expect(locate()).toBe(made.ramHpa + 0x42080);
  });

  test('a fetch is type 2, an access in the delivery of an event 3', () => {
    expect(access('jmp rbx').qualification).toBe(0x2000);
    const made = bench({ apic: true });
    const exit = made.exitOf(`mov rsp, ${APIC + 0x200}\nud2`);
    // Where the first value of the frame was to go.
    expect(exit).toMatchObject({ reason: 'APIC_ACCESS', idtVectoring: 2 ** 31 + 0x306 });
    expect(exit.qualification >> 12).toBe(3);
  });

  test('a page table in it is a guest-physical access: type 15', () => {
    const made = bench({ apic: true });
    made.map(0x70000, 0x70000);
    // The page directory entry of the first 2 MiB points into the page.
    made.load('mov rax, [0x40000]');
    made.write64(At.PAGE_DIRECTORY, APIC | 7);
    const exit = made.resume();
    expect([exit.reason, exit.qualification >> 12]).toEqual(['APIC_ACCESS', 15]);
  });

  test('without the control it is memory', () => {
    expect(access('mov eax, [rbx]', { apic: false }).reason).toBe('VMCALL');
  });

  test('the task priority is that of the virtual-APIC page', () => {
    const made = bench({ apic: true, vtpr: 0x40 });
    made.exitOf(`mov rbx, ${APIC}\nmov ecx, [rbx + 0x80]\nmov dword [rbx + 0x80], 0x65\nvmcall`);
    expect(made.exit.reason).toBe('VMCALL');
    // What lies above the lowest byte is not the register's, and a write clears it.
    expect([made.register('rcx') & 0xff, made.read64(VTPR)]).toEqual([0x40, 0x65]);
    expect(made.read64(APIC + 0x80)).toBe(0);
  });

  test('a write below the threshold is followed by an exit', () => {
    const made = bench({ apic: true, vtpr: 0x80, threshold: 7 });
    const source = `mov rbx, ${APIC}\nmov byte [rbx + 0x80], 0x6f\nbehind: nop`;
    const behind = made.load(source).get('behind') ?? 0;
    expect(made.exitOf(source)).toEqual(exitRecord('TPR_BELOW_THRESHOLD', behind));
  });
});
