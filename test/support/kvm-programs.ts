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
): Program => ({ name, mode, source, calls, setup });

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

const PROGRAMS: readonly Program[] = [...PORTS, ...STRINGS, ...MMIO, ...OTHERS, ...STEPS];

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
  return PROGRAMS.map(({ name, mode, source, setup, calls }) => {
    const paging = mode === 'long' && setup.length === 0 ? PAGING : [];
    const lines = [`# ${name}`, 'new', `put ${CODE.toString(16)} ${machineCode(source, mode)}`];
    lines.push(...paging, ...setup.filter((line) => line.startsWith('put')));
    if (!calls.includes('sregs')) lines.push(`mode ${mode} 10000`);
    else lines.push(...calls.filter((line) => /regs$/.test(line)), `mode ${mode} 10000`);
    lines.push('reg rip 1000', 'reg rflags 2', ...setup.filter((line) => !line.startsWith('put')));
    return [...lines, ...calls.filter((line) => !/^\w*regs$/.test(line))].join('\n');
  }).join('\n');
}
