// Guests for the comparison of our KVM API with the real one: what they do, and the calls that run
// them. Each fits one page at 1000H and ends by HLT or in a way that cannot be resumed.

import { assemble } from '../../src/asm/index.ts';

type Mode = 'real' | 'prot' | 'long';

interface Program {
  readonly name: string;
  readonly mode: Mode;
  readonly source: string;
  /** Calls before the first run, and calls that run it. */
  readonly setup: readonly string[];
  readonly calls: readonly string[];
  /** The call that makes the machine. */
  readonly create: 'new' | 'new_irqchip';
}

const CODE = 0x1000;
const RUN_ALL = ['go 12'];
/** KVM_GUESTDBG_ENABLE and KVM_GUESTDBG_SINGLESTEP. */
const STEP = 'debug 3';

/** PML4 at 10000H and on: pages of 2 MiB at 0, and at D0000000H, where devices are. */
const PAGING = [
  'put 10000 0310010000000000',
  'put 11000 0320010000000000',
  'put 11018 0330010000000000',
  'put 12000 8300000000000000',
  'put 13400 830000d000000000',
];

const program = (
  name: string,
  mode: Mode,
  source: string,
  calls: readonly string[] = RUN_ALL,
  setup: readonly string[] = [],
): Program => ({ name, mode, source, calls, setup, create: 'new' });

/** One whose interrupt controllers are the kernel's. */
const chips = (
  name: string,
  mode: Mode,
  source: string,
  calls: readonly string[],
  setup: readonly string[] = [],
): Program => ({ ...program(name, mode, source, calls, setup), create: 'new_irqchip' });

const PORTS: readonly Program[] = [
  program(
    'two and two, by OUT',
    'real',
    'mov dx, 0x3f8\nadd al, bl\nadd al, 0x30\nout dx, al\nmov al, 10\nout dx, al\nhlt',
    RUN_ALL,
    ['reg rax 2', 'reg rbx 2'],
  ),
  program(
    'IN and OUT in all sizes, immediate port and DX',
    'real',
    'in al, 0x60\nout 0x61, al\nin ax, dx\nout dx, ax\nin eax, 0x62\nout 0x63, eax\nhlt',
  ),
  program('IN keeps the upper part of EAX', 'prot', 'mov eax, -1\nin al, 0x60\nin ax, 0x60\nhlt'),
  program('IN EAX clears the upper half of RAX', 'long', 'mov rax, -1\nin eax, 0x60\nhlt'),
  program('OUT in 64-bit mode', 'long', 'mov rax, 0x1122334455667788\nout 0x10, eax\nhlt'),
  program('IN at port FFFFH', 'prot', 'mov edx, 0xffff\nin al, dx\nout dx, al\nhlt'),
  program('OUT in a loop', 'prot', 'mov ecx, 3\nagain: mov al, cl\nout 0x80, al\nloop again\nhlt'),
  program(
    'IN decides',
    'prot',
    'in al, 0x60\ncmp al, 0x5a\nje equal\nout 1, al\nequal: out 2, al\nhlt',
  ),
];

const STRINGS: readonly Program[] = [
  program('OUTSB', 'real', 'mov si, 0x2000\nmov dx, 0x3f8\noutsb\nhlt', RUN_ALL, ['put 2000 68']),
  program(
    'REP OUTSB',
    'real',
    'mov si, 0x2000\nmov dx, 0x3f8\nmov cx, 5\nrep outsb\nhlt',
    RUN_ALL,
    ['put 2000 68656c6c6f'],
  ),
  program(
    'REP OUTSW',
    'prot',
    'mov esi, 0x2000\nmov edx, 0x3f8\nmov ecx, 3\nrep outsw\nhlt',
    RUN_ALL,
    ['put 2000 68656c6c6f21'],
  ),
  program(
    'REP OUTSD downwards',
    'prot',
    'std\nmov esi, 0x2004\nmov edx, 0x3f8\nmov ecx, 2\nrep outsd\nhlt',
    RUN_ALL,
    ['put 2000 0102030405060708'],
  ),
  program('REP OUTSB of nothing', 'real', 'mov dx, 0x3f8\nxor cx, cx\nrep outsb\nhlt'),
  program('INSB', 'real', 'mov di, 0x2000\nmov dx, 0x3f8\ninsb\nmov al, [0x2000]\nhlt'),
  program('INSD', 'real', 'mov di, 0x2000\nmov dx, 0x3f8\ninsd\nmov eax, [0x2000]\nhlt'),
  program(
    'REP INSB asks for all at once',
    'real',
    'mov di, 0x2000\nmov dx, 0x3f8\nmov cx, 5\nrep insb\nmov eax, [0x2001]\nhlt',
  ),
  program(
    'REP INSW downwards',
    'real',
    'std\nmov di, 0x2008\nmov dx, 0x3f8\nmov cx, 3\nrep insw\nmov eax, [0x2004]\nhlt',
  ),
  program(
    'REP INSB up to the end of the page',
    'prot',
    'mov edi, 0x2ffd\nmov edx, 0x3f8\nmov ecx, 6\nrep insb\nmov eax, [0x2ffe]\nmov ecx, [0x3000]\nhlt',
  ),
  program('REP INSB of nothing', 'real', 'mov dx, 0x3f8\nxor cx, cx\nrep insb\nhlt'),
];

const MMIO: readonly Program[] = [
  program(
    'loads and stores',
    'prot',
    'mov eax, [0xd0000000]\nmov [0xd0000004], eax\nmovzx ecx, byte [0xd0000008]\n' +
      'mov word [0xd000000a], 0x1234\nhlt',
  ),
  program(
    'read-modify-write',
    'prot',
    'mov ecx, 5\nadd [0xd0000000], ecx\ninc byte [0xd0000010]\nhlt',
  ),
  program('two pages', 'prot', 'mov eax, [0xd0000ffe]\nmov [0xd0000ffe], eax\nhlt'),
  program(
    'PUSH and POP of device memory',
    'prot',
    'mov esp, 0x8000\npush dword [0xd0000000]\npop dword [0xd0000010]\nhlt',
  ),
  program(
    'REP MOVSD from a device',
    'prot',
    'mov esi, 0xd0000000\nmov edi, 0x2000\nmov ecx, 3\nrep movsd\nmov eax, [0x2004]\nhlt',
  ),
  program(
    'REP STOSD to a device',
    'prot',
    'mov edi, 0xd0000000\nmov ecx, 3\nmov al, 7\nrep stosd\nhlt',
  ),
  program('XCHG', 'prot', 'mov eax, 9\nxchg eax, [0xd0000000]\nhlt'),
  program(
    'CMPXCHG that fits',
    'prot',
    'mov eax, 0x5d5c5b5a\nmov ecx, 7\nlock cmpxchg [0xd0000000], ecx\nhlt',
  ),
  program('TEST and CMP', 'prot', 'test byte [0xd0000000], 2\ncmp dword [0xd0000004], 7\nhlt'),
  program(
    '8 bytes in 64-bit mode',
    'long',
    'mov ebx, 0xd0000000\nmov rax, [rbx]\nmov [rbx + 8], rax\nhlt',
    RUN_ALL,
    PAGING,
  ),
  program(
    'where no memory slot is, in real mode',
    'real',
    'mov ax, 0xffff\nmov ds, ax\nmov al, [0x10]\nmov [0x11], al\nhlt',
  ),
];

const OTHERS: readonly Program[] = [
  program('HLT, and on behind it', 'real', 'hlt\ninc ax\nhlt', ['run', 'run']),
  program('HLT with interrupts on', 'real', 'sti\nhlt', ['run']),
  program('the state after reset', 'real', 'hlt', ['sregs', 'debugregs', 'run']),
  program('UD2 without IDT', 'prot', 'lidt [0x3000]\nud2'),
  program(
    'a page fault without IDT',
    'long',
    'lidt [0x3000]\nmov rax, [0x40000000]',
    RUN_ALL,
    PAGING,
  ),
  program('CPUID that nobody has set', 'prot', 'mov eax, 1\ncpuid\nhlt'),
  program(
    'an interrupt',
    'real',
    'sti\nnop\nhlt\nnop\nhlt',
    ['go 1', 'interrupt 20', 'go 1'],
    ['put 80 00200000', 'put 2000 b80700cf'],
  ),
  program('an NMI', 'real', 'nop\nhlt', ['nmi', 'go 1'], ['put 8 00200000', 'put 2000 b80700cf']),
  program('immediate_exit completes an input', 'real', 'in al, 0x10\nnop\nhlt', [
    'run',
    'immediate 1',
    'run',
    'immediate 0',
    'run',
  ]),
];

const STEPS: readonly Program[] = [
  program('single steps', 'real', 'mov al, 1\nmov bl, 2\nadd al, bl\nhlt', [STEP, 'go 3']),
  program(
    'single steps over OUT and IN',
    'real',
    'mov al, 1\nout 0x10, al\nmov bl, 2\nin al, 0x10\nnop\nhlt',
    [STEP, 'go 6'],
  ),
  program('single steps over CPUID', 'prot', 'xor eax, eax\ncpuid\nnop\nhlt', [STEP, 'go 3']),
  program(
    'single steps over a device access',
    'prot',
    'mov eax, [0xd0000000]\nmov [0xd0000000], eax\nnop\nnop\nhlt',
    [STEP, 'go 5'],
  ),
  program(
    'a jump, and a call',
    'prot',
    'mov esp, 0x8000\njmp on\nud2\non: call sub\nhlt\nsub: ret',
    [STEP, 'go 4', 'debug 0', 'go 1'],
  ),
  program(
    'single steps in 64-bit mode',
    'long',
    'mov rax, 5\nmov rcx, rax\nadd rcx, rax\nhlt',
    [STEP, 'go 3'],
    PAGING,
  ),
  program('some steps, and then on', 'real', 'mov ax, 1\nmov bx, 2\nadd ax, bx\nout 1, al\nhlt', [
    STEP,
    'go 2',
    'debug 0',
    'go 2',
  ]),
  program('a breakpoint in DR0', 'prot', 'nop\nnop\nnop\nhlt', [
    'debug 20001 1001 402',
    'run',
    'debug 0',
    'run',
  ]),
];

const PIC_SETUP = `
mov al, 0x11
out 0x20, al
out 0xa0, al
mov al, 0x20
out 0x21, al
mov al, 0x28
out 0xa1, al
mov al, 4
out 0x21, al
mov al, 2
out 0xa1, al
mov al, 1
out 0x21, al
mov al, 3
out 0xa1, al
mov al, 0xcd
out 0x21, al
mov al, 0xff
out 0xa1, al
`;

/**
 * Registers in the page, events, and chips that are the kernel's. Irqfds are not among them: when
 * the real one's work queue raises the line is not certain.
 */
const SHARED: readonly Program[] = [
  program('registers in the page', 'real', 'mov ax, 0x1234\nstc\nout 1, al\ninc bx\nhlt', [
    ...['sync 7', 'run', 'page'],
    ...['sync 1', 'run', 'page'],
  ]),
  program(
    'registers in the page, of 64-bit mode',
    'long',
    'mov rax, -5\nout 1, eax\nhlt',
    [...['sync 3', 'run', 'page']],
    PAGING,
  ),
  program('registers from the page', 'real', 'out 1, al\nhlt\nout 2, al\nhlt', [
    ...['sync 1', 'run', 'poke 0 77', 'poke 80 1003', 'run'],
    ...['sync 1', 'poke 0 78', 'poke 80 1003', 'dirty 1', 'run', 'page', 'run'],
  ]),
  program(
    'writes that are signals',
    'prot',
    `mov eax, 5
    mov [0xd0000000], eax
    mov [0xd0000000], ax
    mov dword [0xd0000000], 6
    mov [0xd0000004], eax
    mov [0xd0001000], al
    mov [0xd0001000], eax
    mov ebx, [0xd0001000]
    out 0x50, al
    out 0x50, ax
    out 0x51, al
    hlt`,
    [
      ...['ioevent 1 d0000000 4 5', 'ioevent 0 d0001000 0 0', 'ioevent 2 50 1 0', 'event'],
      ...['go 20', 'event', 'event'],
    ],
  ),
  program(
    'a string of signals',
    'prot',
    'mov esi, 0x2000\nmov ecx, 5\nmov edx, 0x50\nrep outsb\nhlt',
    ['ioevent 3 50 1 6c', 'go 10', 'event'],
    ['put 2000 68656c6c6f'],
  ),
  chips('chips after reset', 'real', 'out 1, al\nhlt', ['run', 'chip 0', 'chip 1', 'chip 2']),
  chips(
    'chips that are set up',
    'real',
    `${PIC_SETUP} mov al, 0x20
    mov dx, 0x4d0
    out dx, al
    mov al, 0x0b
    out 0x20, al
    mov al, 0x68
    out 0xa0, al
    mov al, 0xc2
    out 0x20, al
    out 1, al
    hlt`,
    ['run', 'line 1 1', 'line 5 1', 'line c 1', 'line c 0', 'chip 0', 'chip 1', 'chip 2'],
  ),
  chips(
    'an I/O APIC that is set up',
    'prot',
    `
    mov ebx, 0xfec00000
    mov dword [ebx], 0
    mov dword [ebx + 0x10], 0x05000000
    mov dword [ebx], 0x14
    mov dword [ebx + 0x10], 0xa931
    mov dword [ebx], 0x15
    mov dword [ebx + 0x10], 0x03123456
    mov dword [ebx], 0x10
    mov dword [ebx + 0x10], 0xffffffff
    mov dword [ebx], 1
    mov eax, [ebx + 0x10]
    out 1, eax
    hlt`,
    ['run', 'line 3 1', 'chip 2'],
  ),
];

/** The interval timer, and writes that wait. */
const LATER: readonly Program[] = [
  chips('a PIT after reset', 'real', 'out 1, al\nhlt', ['pit 1', 'run', 'pitstate']),
  chips(
    'a PIT that is set up',
    'real',
    `mov al, 0x34
    out 0x43, al
    mov al, 0x9c
    out 0x40, al
    mov al, 0x2e
    out 0x40, al
    mov al, 0x50
    out 0x43, al
    mov al, 0x12
    out 0x41, al
    mov al, 0xb1
    out 0x43, al
    mov al, 0x56
    out 0x42, al
    mov al, 3
    out 0x61, al
    out 1, al
    hlt`,
    ['pit 1', 'run', 'pitstate', 'setpit 1234', 'pitstate'],
  ),
  chips(
    'a PIT without port 61',
    'real',
    'mov al, 0x52\nout 0x43, al\nin al, 0x61\nout 0x61, al\nhlt',
    ['pit 0', 'run', 'run', 'pitstate'],
  ),
  program(
    'writes that wait',
    'prot',
    `mov eax, 0x12345678
    mov [0xd0000000], eax
    mov [0xd0000004], ax
    mov [0xd0000fff], al
    mov [0xd0000ffe], eax
    mov [0xd0001000], al
    mov ebx, [0xd0000000]
    out 0x50, al
    mov [0xd0000010], al
    out 0x50, ax
    out 0x51, al
    hlt`,
    [
      'coalesce 0 d0000000 1000',
      'coalesce 1 50 1',
      ...['run', 'ring', 'run', 'ring'],
      'go 20',
      'ring',
    ],
  ),
  program(
    'a string of writes that wait',
    'prot',
    'mov esi, 0x2000\nmov edi, 0xd0000000\nmov ecx, 3\nrep movsd\nout 1, al\nhlt',
    ['coalesce 0 d0000000 1000', 'go 10', 'ring'],
    ['put 2000 0102030405060708090a0b0c'],
  ),
  program(
    'more writes than the ring holds',
    'prot',
    'mov ecx, 175\nagain: mov [0xd0000000], ecx\nloop again\nhlt',
    ['coalesce 0 d0000000 1000', 'go 20', 'ring'],
  ),
];

const PROGRAMS: readonly Program[] = [
  ...PORTS,
  ...STRINGS,
  ...MMIO,
  ...OTHERS,
  ...STEPS,
  ...SHARED,
  ...LATER,
];

export const KVM_PROGRAM_NAMES: readonly string[] = PROGRAMS.map(({ name }) => name);

function machineCode(source: string, mode: Mode): string {
  const bits = { real: 16, prot: 32, long: 64 }[mode];
  const text = `bits ${bits}\norg ${CODE}\n${source}\n`;
  const assembled = assemble({ name: 'program.asm', text });
  if (assembled.kind === 'errors') {
    throw new Error(assembled.errors.map(({ message }) => message).join('\n'));
  }
  const { bytes } = assembled;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** All of them as one script; a line `# NAME` in the output begins each. */
export function kvmScript(): string {
  return PROGRAMS.map(({ name, mode, source, setup, calls, create }) => {
    const paging = mode === 'long' && setup.length === 0 ? PAGING : [];
    const lines = [`# ${name}`, create, `put ${CODE.toString(16)} ${machineCode(source, mode)}`];
    lines.push(...paging, ...setup.filter((line) => line.startsWith('put')));
    if (!calls.includes('sregs')) lines.push(`mode ${mode} 10000`);
    else lines.push(...calls.filter((line) => /regs$/.test(line)), `mode ${mode} 10000`);
    lines.push('reg rip 1000', 'reg rflags 2', ...setup.filter((line) => !line.startsWith('put')));
    return [...lines, ...calls.filter((line) => !/^\w*regs$/.test(line))].join('\n');
  }).join('\n');
}
