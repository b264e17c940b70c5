// Turns in relays do what turns one by one do: the same state at every stop, the same way there,
// and the same trace. Of several vCPUs that contend, change each other's code and mappings, and are
// interrupted, by compiled code and by the interpreter, which takes no part in relays.

import { describe, expect, test } from 'vitest';
import type { Engine } from '../../src/cpu/index.ts';
import { recentInstructions } from '../../src/machine/history.ts';
import {
  assembleText,
  checkedScenario,
  compileEarly,
  tracedMachine,
  traceText,
} from '../support/guest-run.ts';

/** In RAX, of the tables that a machine begins with: an entry for each 2 MiB. */
const PAGE_DIRECTORY = `
  mov rax, cr3
  and rax, -4096
  mov rax, [rax]
  and rax, -4096
  mov rax, [rax]
  and rax, -4096`;

const OWN_STACK = `
  mov rsp, rdi
  shl rsp, 12
  add rsp, 0x80000`;

/** Each program begins with the number of the vCPU in rdi. */
const PROGRAMS = {
  'a ticket lock': `
bits 64
again:
  mov eax, 1
  lock xadd [next], eax
  jmp look
wait_a_little:
  pause
look:
  cmp [serving], eax
  jne wait_a_little
  inc dword [counter]
  mov ecx, 20
hold:
  dec ecx
  jnz hold
  inc dword [serving]
  jmp again
align 64
next: dd 0
align 64
serving: dd 0
align 64
counter: dd 0`,
  'a lock of test and set, calls, and strings': `
bits 64
${OWN_STACK}
again:
  call acquire
  inc dword [counter]
  mov edx, [counter]
  and edx, 63
  mov [taken], byte 0
  mov ecx, edx
  mov rdi, rsp
  sub rdi, 0x400
  rep stosb
  call leaf
  jmp again
acquire:
  mov al, 1
  xchg al, [taken]
  test al, al
  jz got
spin:
  pause
  cmp byte [taken], 0
  jne spin
  jmp acquire
got:
  ret
leaf:
  imul r8d, r8d, 1103515245
  add r8d, 12345
  bt r8d, 20
  adc r9d, 0
  ret
align 64
taken: dd 0
align 64
counter: dd 0`,
  'code that another vCPU changes': `
bits 64
  test edi, edi
  jz writer
reader:
  mov ecx, 60
round:
patched:
  mov eax, 0x11111111
  add ebx, eax
  dec ecx
  jnz round
  lock add [sum], ebx
  jmp reader
writer:
  mov ecx, 9000
pass:
  dec ecx
  jnz pass
  add edx, 0x01010101
  mov [patched + 1], edx
  jmp writer
align 64
sum: dd 0`,
  'a page that another vCPU moves': `
bits 64
${PAGE_DIRECTORY}
  lea r15, [rax + 8 * 2]
  test edi, edi
  jz mover
user:
  mov ecx, 40
touch:
  add dword [0x400000 + rdi * 4], ecx
  dec ecx
  jnz touch
  jmp user
mover:
  mov ecx, 9000
pass:
  dec ecx
  jnz pass
  xor qword [r15], 0x200000
  jmp mover`,
  'code that is mapped twice': `
bits 64
${OWN_STACK}
  mov r14d, edi
  and r14d, 1
  shl r14d, 21
  add r14d, 0x400000
  test edi, edi
  jz mapper
user:
  cmp dword [ready], 0
  je user
again:
  call r14
  lock add [sum], rbx
  jmp again
mapper:
${PAGE_DIRECTORY}
  mov rdx, [rax + 8 * 2]
  mov [rax + 8 * 3], rdx
  mov esi, shared
  mov edi, 0x400000
  mov ecx, 64
  rep movsb
  inc dword [ready]
  jmp user
shared:
  mov ecx, 50
.round:
  lea rax, [rel .round]
  nop
  add rbx, rax
  rol rbx, 3
  xor rbx, rax
  sub rbx, rcx
  dec ecx
  jnz .round
  ret
  times 64 nop
align 64
ready: dd 0
align 64
sum: dq 0`,
  'code in a page that another vCPU moves': `
bits 64
${OWN_STACK}
  test edi, edi
  jz mover
user:
  cmp dword [ready], 0
  je user
  call 0x400000
  lock add [sum], eax
  jmp user
mover:
${PAGE_DIRECTORY}
  lea r15, [rax + 8 * 2]
  mov esi, one
  mov edi, 0x400000
  mov ecx, 64
  rep movsb
  mov esi, other
  mov edi, 0x600000
  mov ecx, 64
  rep movsb
  inc dword [ready]
again:
  mov ecx, 9000
pass:
  dec ecx
  jnz pass
  xor qword [r15], 0x200000
  jmp again
one:
  xor eax, eax
  mov ecx, 30
.round:
  add eax, 1
  dec ecx
  jnz .round
  ret
  times 64 nop
other:
  xor eax, eax
  mov ecx, 30
.round:
  add eax, 5
  dec ecx
  jnz .round
  ret
  times 64 nop
align 64
ready: dd 0
align 64
sum: dd 0`,
};

const VCPUS = 4;
const STOPS = [123_456, 123_457, 385_000, 600_000, 777_777];

function outcome(
  engine: Engine,
  skip: 'on' | 'off',
  program: string,
  { pcpus, lookahead }: { pcpus: number; lookahead: number },
) {
  const host = { pcpus, lookahead, hz: 10_000 };
  const { machine, records } = tracedMachine(
    checkedScenario({
      ...{ skip, engine, host, limits: { time: '1ms' } },
      vms: [{ program: 'test.asm', vcpus: VCPUS, memory: '16M' }],
    }),
    [assembleText(program)],
  );
  compileEarly(machine, 16);
  const seen = STOPS.map((stop) => {
    machine.run(stop);
    return {
      hash: machine.stateHash(),
      host: machine.host.state,
      recent: machine.vcpus.map(recentInstructions),
    };
  });
  const { relayTurns } = machine.vms[0].compiler?.statistics ?? { relayTurns: 0 };
  machine.host.assertConserved();
  return { seen, trace: traceText(records, pcpus), relayTurns };
}

describe.each(Object.entries(PROGRAMS))('%s', (_name, program) => {
  test.each([
    { skip: 'off', pcpus: 4, lookahead: 500 },
    { skip: 'on', pcpus: 4, lookahead: 500 },
    { skip: 'off', pcpus: 4, lookahead: 77 },
    { skip: 'on', pcpus: 3, lookahead: 200 },
    { skip: 'off', pcpus: 2, lookahead: 150 },
  ] as const)('is the same in relays, $pcpus pCPUs, lookahead $lookahead, skip $skip', (setup) => {
    const wanted = outcome('interpreter', setup.skip, program, setup);
    const got = outcome('compiled', setup.skip, program, setup);
    expect(got.seen).toEqual(wanted.seen);
    expect(got.trace).toBe(wanted.trace);
    expect(wanted.relayTurns).toBe(0);
    expect(got.relayTurns).toBeGreaterThan(50);
  });
});
