// Faults show what is wrong with guests that seem right: each of these says so by its exit code if
// nothing goes wrong, and otherwise, or sleeps for ever, under the fault that it does not expect.
// Locks that are shipped live with every legal fault.

import { describe, expect, test } from 'vitest';
import { FAULTS } from '../../../src/machine/index.ts';
import { type FaultyGuest, runFaulty } from '../../support/faults.ts';

/** What port 0xF4 makes of 0 and 1. Asleep with interrupts off, a guest ends with 0. */
const RIGHT = 1;
const WRONG_CODE = 3;

const EXIT = `
right:
    xor eax, eax
    out 0xf4, al
wrong:
    mov al, 1
    out 0xf4, al
`;

/** vCPU 1 sleeps until vCPU 0 has something for it, kicks, and has it answer. */
const waiting = (wake: string): FaultyGuest => ({
  source: `
bits 64
default rel
    test edi, edi
    jnz sleeper
    mov ecx, 40000
.delay:
    dec ecx
    jnz .delay
    mov dword [message], 1
    mov eax, 5                  ; KVM_HC_KICK_CPU
    xor ebx, ebx
    mov ecx, 1
    vmcall
    cli
    hlt
sleeper:
    hlt
${wake}
    jmp right
${EXIT}
align 64
message: dd 0
`,
  vcpus: 2,
  pcpus: 2,
});

/** With interrupts: the handler of vector 0x50 is \`handler\`. */
const interrupted = (code: string): string => `
bits 64
default rel
org 0x100000
%include "lib/interrupts.inc"
%include "lib/x2apic.inc"
    mov r15d, edi
    test edi, edi
    jnz .other
    set_gate 0x50, handler
    mov dword [ready], 1
.other:
    cmp dword [ready], 1
    jne .other
    lidt [idtr]
    enable_x2apic
    lock inc dword [ready]
.all:
    cmp dword [ready], 3
    jb .all
${code}
${EXIT}
handler:
    push rax
    push rcx
    push rdx
    lock inc dword [count]
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq
section .data
align 64
ready: dd 0
count: dd 0
`;

const SEND = `
    mov ecx, X2APIC_ICR
    mov eax, 0x50
    mov edx, 1
    wrmsr
`;

const pass = (rounds: number) =>
  `
    mov ecx, ${rounds}
%%:
    dec ecx
    jnz %%
`.replaceAll('%%', `.pass${rounds}`);

const TWO = { vcpus: 2, pcpus: 2 };

/** What it takes for granted, the guest, and the fault under which that is not so. */
const WRONG: readonly (readonly [string, FaultyGuest, string])[] = [
  [
    'a HLT ends only when there is something',
    waiting('    cmp dword [message], 1\n    jne wrong'),
    'spurious-kick,vcpu=1,from=5us',
  ],
  ['a kick arrives', waiting('    cmp dword [message], 1\n    jne sleeper'), 'lose-kick'],
  [
    'an IPI has arrived after a while',
    {
      ...TWO,
      source: interrupted(`
    test r15d, r15d
    jnz .receive
${SEND}
${pass(50_000)}
    cmp dword [count], 1
    jne wrong
    jmp right
.receive:
    sti
    jmp .receive`),
    },
    'delay-ipi,by=200us',
  ],
  [
    'each interrupt was sent by somebody',
    {
      ...TWO,
      source: interrupted(`
    test r15d, r15d
    jnz .receive
${SEND}
${pass(200_000)}
    cmp dword [count], 1
    jne wrong
    jmp right
.receive:
    sti
    jmp .receive`),
    },
    'spurious-ipi,vector=80,vcpu=1,from=80us',
  ],
  [
    'the first is done long before the second begins',
    {
      source: `
bits 64
default rel
    mov ebx, 20
    test edi, edi
    jz again
${pass(50_000)}
again:
    mov eax, [counter]
    inc eax
store:
    mov [counter], eax
    dec ebx
    jnz again
    lock inc dword [finished]
wait_for_all:
    pause
    cmp dword [finished], 2
    jne wait_for_all
    cmp dword [counter], 40
    jne wrong
    jmp right
${EXIT}
align 64
counter: dd 0
finished: dd 0
`,
      ...TWO,
      pin: ['0', '1'],
    },
    'preempt,at=store,nth=5,for=100us',
  ],
  [
    'the other one answers within half a millisecond',
    {
      ...TWO,
      pin: ['0', '1'],
      source: `
bits 64
default rel
    test edi, edi
    jnz beat
    mov ebx, 10
watch:
    mov eax, [pulse]
${pass(250_000).replaceAll('.pass', '.watch')}
    cmp eax, [pulse]
    je wrong
    dec ebx
    jnz watch
    jmp right
beat:
    inc dword [pulse]
    jmp beat
${EXIT}
align 64
pulse: dd 0
`,
    },
    'stop-pcpu,pcpu=1,from=300us,for=1ms',
  ],
  [
    'the time-stamp counter never goes back',
    {
      source: `
bits 64
    mov ebx, 3000
    xor esi, esi
again:
    rdtsc
    shl rdx, 32
    or rax, rdx
    cmp rax, rsi
    jb wrong
    mov rsi, rax
    dec ebx
    jnz again
    jmp right
${EXIT}
`,
    },
    'clock-back,from=20us,by=10us',
  ],
  [
    'a deadline is met within 20 us',
    {
      source: interrupted(`
    write_msr X2APIC_LVT_TIMER, 0x50 | TSC_DEADLINE_MODE
    rdtsc
    shl rdx, 32
    or rax, rdx
    lea rsi, [rax + 200000]
    mov rax, rsi
    mov rdx, rsi
    shr rdx, 32
    mov ecx, IA32_TSC_DEADLINE
    wrmsr
    sti
    hlt
    cli
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, rsi
    cmp rax, 40000
    ja wrong
    jmp right`).replace('cmp dword [ready], 3', 'cmp dword [ready], 2'),
    },
    'timer-jitter,by=100us',
  ],
  [
    'a thread runs as soon as it is woken',
    waiting(`
    cmp dword [message], 1
    jne sleeper
    rdtsc
    cmp eax, 300000
    ja wrong`),
    'delay-wake,by=200us',
  ],
];

describe.each(WRONG)('%s', (_, guest, fault) => {
  test('so it seems', () => {
    expect(runFaulty(guest, []).report).toMatchObject({ status: 'exited', exitCode: RIGHT });
  });

  test(`not with ${fault}`, () => {
    const { report } = runFaulty(guest, [fault]);
    expect(report.faults[0].count).toBeGreaterThan(0);
    expect([WRONG_CODE, 0]).toContain(report.exitCode);
  });
});

/** Legal faults, as often as they can be stood. */
const LEGAL = Object.entries(FAULTS).flatMap(([name, { isLegal, needs, occasion }]) => {
  if (!isLegal) return [];
  const keys = [
    ...(occasion === 'event' ? ['probability=0.5'] : ['every=30us']),
    ...needs.map((key) => (key === 'by' ? 'by=1us..30us' : 'for=1us..60us')),
  ];
  return [[name, ...keys].join(',')];
});

describe.each(['lock-tas.asm', 'lock-ticket.asm', 'lock-ticket-pv.asm'])('%s', (source) => {
  const defines = { ITERATIONS: '30', SPIN_THRESHOLD: '5' };
  const guest = { source, defines, vcpus: 3, pcpus: 2, limits: { time: '1s' } };

  test.each(LEGAL)('%s', (fault) => {
    const { report } = runFaulty(guest, [fault]);
    expect(report).toMatchObject({ status: 'halted', output: '90\n' });
  });
});
