// A virtual machine under KVM with a guest program: 64-bit code at CPL 0 on every vCPU, with all of
// the first 4 GiB identity-mapped, and an IDT. A label `on_64` in the program is the handler for
// vector 64. Exceptions without one go on at the address in [CATCH] with the vector in R15 and the
// error code in R14; the macro `try` uses that. Programs end with `finish`.

import Long from 'long';
import { enterLongMode } from '../../src/cpu/index.ts';
import { HOG_BODY, Host, type HostCosts } from '../../src/host/index.ts';
import type { CostClass } from '../../src/isa/index.ts';
import {
  type KvmCosts,
  type KvmExit,
  type KvmParameters,
  type Vcpu,
  type VcpuCounters,
  Vm,
} from '../../src/kvm/index.ts';
import { PhysicalMemory } from '../../src/memory/index.ts';
import { printPayload, type TracepointName, type TraceRecord } from '../../src/trace/index.ts';
import type { VmxCosts } from '../../src/vmx/index.ts';
import { COSTLY } from './host-world.ts';
import { UNIT_COSTS } from './test-processor.ts';
import { assembleAt } from './vmx-bench.ts';

/** Guest-physical, and linear, addresses. */
export const Guest = {
  PML4: 0x1000,
  PDPT: 0x2000,
  PAGE_DIRECTORIES: 0x3000,
  GDT: 0x7000,
  IDT: 0x8000,
  IDT_DESCRIPTOR: 0x9000,
  CATCH: 0x9010,
  RESULTS: 0x9100,
  STUBS: 0xa000,
  STACKS: 0x10000,
  CODE: 0x100000,
  END: 0x400000,
} as const;

export const Selector = { CODE: 0x08, DATA: 0x10, USER_DATA: 0x1b, USER_CODE: 0x23 } as const;

/** Every cost another prime number. */
export const KVM_COSTS: KvmCosts = {
  exitPath: 503,
  entryPath: 701,
  fastPath: 257,
  handler: 251,
  spin: 1201,
  spinCandidate: 61,
  hypercall: 601,
  block: 1193,
  emulate: 1511,
  userSpace: 2503,
};

export const VMX_COSTS: VmxCosts = { exit: 449, entry: 353 };

/** RAX, RBX, RCX and RDX, stored from result 0 on. */
export const STORE_FOUR = `
    mov result(0), rax
    mov result(1), rbx
    mov result(2), rcx
    mov result(3), rdx
    finish`;

/** What a program may be surrounded by. */
export interface KvmBenchOptions {
  readonly vcpus?: number;
  readonly pcpus?: number;
  /** pCPU of each vCPU, by default its own number. */
  readonly pins?: readonly number[];
  /** pCPUs with a thread that computes and never sleeps. */
  readonly hogs?: readonly number[];
  readonly parameters?: Partial<KvmParameters>;
  readonly kvmCosts?: KvmCosts;
  readonly hostCosts?: HostCosts;
  readonly hz?: number;
  /** Cycles of instruction classes; all others take one. */
  readonly cycles?: Partial<Record<CostClass, number>>;
  /** User space fills in what a device would answer. */
  readonly answer?: (exit: KvmExit) => void;
}

/** A trace event with the cycles of its pCPU's clock. */
export type TimedRecord = TraceRecord & { readonly cycles: number };

const PRESENT_WRITABLE_USER = 7;
const LARGE_PAGE = 0x80;
const EXIT_PORT = 0xf4;
const STACK_BYTES = 0x2000;

/** Null, code, data, user data, user code; all flat. */
const DESCRIPTORS = [
  [0, 0],
  [0xffff, 0x00af9b00],
  [0xffff, 0x00cf9300],
  [0xffff, 0x00cff300],
  [0xffff, 0x00affb00],
] as const;

const EXCEPTIONS_WITH_CODE = [8, 10, 11, 12, 13, 14, 17];

const PROLOGUE = `
CATCH equ ${Guest.CATCH}
%define result(n) qword [${Guest.RESULTS} + 8 * (n)]
%macro finish 0
    mov al, 0
    out ${EXIT_PORT}, al
%endmacro
%macro write_msr 2      ; number, 64-bit value
    mov ecx, %1
    mov rax, %2
    mov rdx, rax
    shr rdx, 32
    wrmsr
%endmacro
%macro read_msr 1       ; number; value in RAX
    mov ecx, %1
    rdmsr
    shl rdx, 32
    or rax, rdx
%endmacro
%macro read_tsc 0       ; in RAX
    rdtsc
    shl rdx, 32
    or rax, rdx
%endmacro
%macro try 1+           ; an instruction; its exception in R15, or -1
    mov r15, -1
    mov qword [CATCH], %%after
    %1
%%after:
%endmacro
    lidt [${Guest.IDT_DESCRIPTOR}]
`;

const STUBS = assembleAt(Guest.STUBS, stubSource());

function stubSource(): string {
  const stubs = Array.from({ length: 32 }, (_, vector) => {
    const errorCode = EXCEPTIONS_WITH_CODE.includes(vector) ? 'pop r14' : 'xor r14d, r14d';
    return `stub_${vector}:\n ${errorCode}\n mov r15d, ${vector}\n jmp caught`;
  });
  const rest = [
    'caught: push rax',
    `mov rax, [${Guest.CATCH}]`,
    'mov [rsp + 8], rax',
    'pop rax',
    'iretq',
    `unexpected: mov eax, r15d\n or al, 0x80\n out ${EXIT_PORT}, al\n hlt`,
  ];
  return [...stubs, ...rest].join('\n');
}

export class KvmBench {
  readonly host: Host;
  readonly vm: Vm;
  readonly labels: ReadonlyMap<string, number>;
  readonly records: TimedRecord[] = [];
  /** Exits to user space, in order, as they were answered. */
  readonly userExits: { readonly vcpu: number; readonly exit: KvmExit }[] = [];
  /** What the guest wrote to the exit port, or how else it ended. */
  ending: number | 'stuck' | KvmExit['reason'] | null = null;

  constructor(source: string, options: KvmBenchOptions = {}) {
    const { vcpus = 1, pcpus = vcpus, hogs = [] } = options;
    this.host = new Host({
      pcpuCount: pcpus,
      khz: 2_000_000,
      hz: options.hz ?? 1,
      lookahead: 500,
      skip: true,
      seed: 1,
      costs: options.hostCosts ?? COSTLY,
    });
    this.host.sink = { record: (record) => this.record(record) };
    this.vm = this.createVm(options);
    for (let i = 0; i < vcpus; i++) this.vm.createVcpu([options.pins?.[i] ?? i]);
    this.labels = this.load(source);
    for (const vcpu of this.vm.vcpus) startAtCode(vcpu);
    hogs.forEach((pcpu, i) => {
      const config = { name: `hog${i}`, nice: 0, affinity: [pcpu], body: HOG_BODY };
      this.host.scheduler.start(this.host.createThread(config));
    });
    for (const { thread } of this.vm.vcpus) this.host.scheduler.start(thread);
  }

  private createVm(options: KvmBenchOptions): Vm {
    return new Vm({
      id: 0,
      name: 'vm',
      host: this.host,
      memory: new PhysicalMemory(
        Guest.END +
          Vm.overheadBytes(Guest.END, options.vcpus ?? 1, options.parameters?.flexpriority),
      ),
      ramBytes: Guest.END,
      costs: {
        instructions: { ...UNIT_COSTS, classes: { ...UNIT_COSTS.classes, ...options.cycles } },
        vmx: VMX_COSTS,
        kvm: options.kvmCosts ?? KVM_COSTS,
      },
      // Timers come when they are due, unless a test is about coming early.
      parameters: { lapicTimerAdvanceNs: 0, ...options.parameters },
      userSpace: {
        handleExit: (vcpu, exit) => this.handleExit(vcpu, exit, options.answer),
        allBlocked: () => this.end('stuck'),
      },
    });
  }

  private handleExit(vcpu: Vcpu, exit: KvmExit, answer: KvmBenchOptions['answer']): 'run' | 'stop' {
    answer?.(exit);
    this.userExits.push({ vcpu: vcpu.index, exit });
    if (exit.reason === 'IO' && exit.port === EXIT_PORT) return this.end(exit.data);
    return exit.reason === 'IO' || exit.reason === 'MMIO' ? 'run' : this.end(exit.reason);
  }

  private end(ending: typeof this.ending): 'stop' {
    this.ending ??= ending;
    this.vm.isShutDown = true;
    this.host.requestStop();
    return 'stop';
  }

  private record(record: TraceRecord): void {
    this.records.push({ ...record, cycles: this.host.pcpus[record.pcpu].now });
  }

  private load(source: string): ReadonlyMap<string, number> {
    const program = assembleAt(Guest.CODE, PROLOGUE + source);
    this.write(Guest.CODE, program.bytes);
    this.write(Guest.STUBS, STUBS.bytes);
    this.writeTables();
    for (let vector = 0; vector < 256; vector++) {
      const handler = program.labels.get(`on_${vector}`) ?? STUBS.labels.get(`stub_${vector}`);
      if (handler !== undefined) this.writeGate(vector, handler);
    }
    this.write64(Guest.IDT_DESCRIPTOR, 0x0fff + Guest.IDT * 2 ** 16);
    this.write64(Guest.CATCH, STUBS.labels.get('unexpected') ?? 0);
    return program.labels;
  }

  private writeTables(): void {
    this.write64(Guest.PML4, Guest.PDPT | PRESENT_WRITABLE_USER);
    for (let i = 0; i < 4; i++) {
      const directory = Guest.PAGE_DIRECTORIES + 0x1000 * i;
      this.write64(Guest.PDPT + 8 * i, directory | PRESENT_WRITABLE_USER);
    }
    for (let i = 0; i < 4 * 512; i++) {
      const entry = i * 2 ** 21 + LARGE_PAGE + PRESENT_WRITABLE_USER;
      this.write64(Guest.PAGE_DIRECTORIES + 8 * i, entry);
    }
    DESCRIPTORS.forEach(([low, high], i) => {
      this.write64(Guest.GDT + 8 * i, low, high);
    });
  }

  /** A present interrupt gate. */
  private writeGate(vector: number, handler: number): void {
    const low = (handler & 0xffff) | (Selector.CODE << 16);
    this.write64(Guest.IDT + 16 * vector, low, (handler & 0xffff0000) | 0x8e00);
  }

  write(gpa: number, bytes: Uint8Array): void {
    this.vm.memory.write(this.vm.ramHpa + gpa, bytes);
  }

  write64(gpa: number, low: number, high = Math.floor(low / 2 ** 32)): void {
    this.vm.memory.write64(this.vm.ramHpa + gpa, low | 0, high | 0);
  }

  /** Let time pass to the guest's end, or to a time in cycles. */
  run(until = 5e7): this {
    this.host.run(until);
    this.host.assertConserved();
    return this;
  }

  /** Run a program that has to finish, and nothing else. */
  finish(): this {
    this.run();
    if (this.ending === 0) return this;
    throw new Error(`the guest ended with ${this.ending} at ${this.vcpu().rip.toString(16)}`);
  }

  vcpu(index = 0): Vcpu {
    return this.vm.vcpus[index];
  }

  counters(index = 0): VcpuCounters {
    return this.vcpu(index).counters;
  }

  /** What the guest stored as result number `n`. */
  result(n: number): bigint {
    const { view } = this.vm.memory;
    return view.getBigUint64(this.vm.ramHpa + Guest.RESULTS + 8 * n, true);
  }

  results(count: number): bigint[] {
    return Array.from({ length: count }, (_, n) => this.result(n));
  }

  /** A register, as a 64-bit number. */
  register(name: string, vcpu = 0): Long {
    return this.vcpu(vcpu).virtual.processor.state.get(name).toUnsigned();
  }

  label(name: string): number {
    const address = this.labels.get(name);
    if (address === undefined) throw new Error(`no label ${name}`);
    return address;
  }

  /** Records of the given events, in order. */
  events(...names: TracepointName[]): TimedRecord[] {
    return this.records.filter(({ name }) => names.includes(name));
  }

  /** The same as the kernel prints them, without the vCPU's addresses. */
  lines(...names: TracepointName[]): string[] {
    return this.events(...names).map((record) => `${record.name}: ${printPayload(record)}`.trim());
  }

  /** Names of exit reasons of a vCPU, in order. */
  exits(vcpu = 0): string[] {
    return this.exitRecords(vcpu).map(({ fields }) => fields.reason);
  }

  exitRecords(vcpu = 0): Extract<TimedRecord, { name: 'kvm_exit' }>[] {
    return this.records
      .filter((record) => record.name === 'kvm_exit')
      .filter(({ fields }) => fields.vcpu === vcpu);
  }

  /** How often a vCPU exited for a reason. */
  exitCount(reason: string, vcpu = 0): number {
    return this.exits(vcpu).filter((name) => name === reason).length;
  }
}

function startAtCode(vcpu: Vcpu): void {
  const { state } = vcpu.virtual.processor;
  enterLongMode(state, {
    cr3: Guest.PML4,
    rip: Guest.CODE,
    rsp: Guest.STACKS + STACK_BYTES * (vcpu.index + 1),
    codeSelector: Selector.CODE,
    dataSelector: Selector.DATA,
    gdtBase: Guest.GDT,
    gdtLimit: 8 * DESCRIPTORS.length - 1,
    cpl: 0,
  });
  state.set('rdi', Long.fromInt(vcpu.index));
  vcpu.adoptControlRegisters();
}
