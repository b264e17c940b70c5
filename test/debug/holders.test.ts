// `holders` against programs that log who was in the critical section: for each kind of lock, who
// took it is what the program says, and at any place the holder is who the program thinks it is.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Long from 'long';
import { afterAll, describe, expect, test } from 'vitest';
import { loadInput } from '../../src/cli/program.ts';
import { createSession, Prompt, type Session } from '../../src/debug/index.ts';
import { SETTINGS } from '../../src/machine/index.ts';

const LOCKS = join(import.meta.dirname, '../../guest-programs/locks');
const ROUNDS = 12;
const VCPUS = 4;

const PROGRAM = `bits 64
start:
    mov r12, rdi
    mov r13, rsi
    mov ebp, ${ROUNDS}
%ifndef TWO_WORDS
    lock_init
%endif
again:
    mov edi, the_lock
    enter_section
    mov eax, [log_count]
    mov [rax + log], r12b
    mfence                      ; let time pass
    inc dword [log_count]
inside:
    mov edi, the_lock
    leave_section
    dec ebp
    jnz again
    lock inc dword [finished]
wait_for_all:
    pause
    cmp [finished], r13d
    jne wait_for_all
    cli
    hlt

section .data
align 64
the_lock:   dq 0, 0, 0, 0, 0, 0, 0, 0
shown:      dd 0
align 64
log_count:  dd 0
finished:   dd 0
log:        times ${ROUNDS * VCPUS} db 0
`;

const LIBRARY = `%macro enter_section 0
    lock_acquire
%endmacro
%macro leave_section 0
    lock_release
%endmacro
%include "lock.inc"
section .text
`;

const TWO_WORDS = `%macro enter_section 0
    mov eax, 1
    lock xadd [the_lock], eax
%%look:
    pause
    cmp [shown], eax
    jne %%look
%endmacro
%macro leave_section 0
    inc dword [shown]
%endmacro
`;

const folder = mkdtempSync(join(tmpdir(), 'vmxlab-holders-'));
afterAll(() => rmSync(folder, { recursive: true }));

function sessionOf(lock: string): Session {
  const isOurs = lock === 'two-words';
  const file = join(folder, `${lock}.asm`);
  const head = isOurs ? `%define TWO_WORDS\n${TWO_WORDS}` : LIBRARY;
  // The library's macros come before their use, its code behind ours.
  const text = isOurs ? `${head}${PROGRAM}` : `jmp start\n${head}${PROGRAM}`;
  writeFileSync(file, text);
  const flags = Object.entries({ vcpus: VCPUS, pcpus: 2, hogs: 0 }).flatMap(([flag, value]) => {
    const setting = SETTINGS.find((one) => one.flag === flag);
    return setting === undefined ? [] : [{ setting, value: String(value) }];
  });
  const defines: Record<string, string> = isOurs ? {} : { LOCK: lock };
  const options = { defines, flags, includes: [LOCKS], syntax: undefined, linked: [] };
  const { scenario, ...input } = loadInput(file, options);
  return createSession(scenario, input);
}

function say(prompt: Prompt, line: string): readonly string[] {
  for (const work = prompt.execute(line); ; ) {
    const step = work.next();
    if (step.done !== true) continue;
    expect(step.value.isError, step.value.lines.join('\n')).toBe(false);
    return step.value.lines;
  }
}

/** Who was in the critical section, in order, by what the program wrote down. */
function logOf(session: Session): string[] {
  const count = Number(session.evaluate(0, 'u32[log_count]'));
  const log = Long.fromString(session.evaluate(0, 'log').toString());
  const bytes = session.readMemory(0, 'linear', log, count) ?? [];
  return [...bytes].map((index) => `vcpu${index}`);
}

/** Who takes the lock, by what \`holders\` says of a kind of lock; of MCS whoever gets in line. */
const TAKERS = {
  word: /^ +\d+ {2}(vcpu\d) {2}acquires/,
  mcs: /^ +\d+ {2}(vcpu\d) {2}(?:acquires|gets in line behind vcpu\d)/,
  ticket: /: ticket \d+, (vcpu\d)|(vcpu\d) {2}draws ticket \d+, and has the lock/,
};

const CASES = [
  { lock: 'ttas', said: '', takers: TAKERS.word, first: /^ +\d+ {2}vcpu/ },
  { lock: 'ticket', said: '', takers: TAKERS.ticket, first: /^A ticket lock:$/ },
  { lock: 'pv-ticket', said: '', takers: TAKERS.ticket, first: /^A ticket lock:$/ },
  { lock: 'two-words', said: ' as ticket shown', takers: TAKERS.ticket, first: /^A ticket lock:$/ },
  { lock: 'mcs', said: ' as mcs', takers: TAKERS.mcs, first: /^An MCS queue:$/ },
  { lock: 'qspinlock', said: '', takers: TAKERS.word, first: /^A queued spin lock:$/ },
];

describe.each(CASES)('$lock', ({ lock, said, takers, first }) => {
  test('everybody who had it is named, in order', () => {
    const session = sessionOf(lock);
    const prompt = new Prompt(session);
    say(prompt, 'continue');
    const lines = say(prompt, `holders/1000 the_lock${said}`);
    expect(lines[0]).toMatch(first);
    const named = lines.flatMap((line) => takers.exec(line)?.slice(1).filter(Boolean) ?? []);
    const log = logOf(session);
    expect(log).toHaveLength(ROUNDS * VCPUS);
    expect(new Set(log).size).toBe(VCPUS);
    expect(named).toEqual(log);
    expect(lines).toContain('It is free now.');
  });

  test('whoever is inside has it now', () => {
    const session = sessionOf(lock);
    const prompt = new Prompt(session);
    session.breakpoints.add({ kind: 'symbol', symbol: 'inside' });
    for (let i = 0; i < 6; i++) {
      for (let n = 0; n < 5; n++) session.continue();
      const inside = session.vcpu(session.stop.vcpu).thread.name;
      const lines = say(prompt, `holders/3 the_lock${said}`);
      const held = lines.find((line) => line.startsWith('Held by'));
      // Of a queue whose first has handed it on the word does not tell.
      if (held !== undefined) expect(held).toMatch(new RegExp(`^Held by ${inside} since \\d+, `));
      else if (lock === 'mcs') expect(lines.join('\n')).toMatch(/^In line since it was free/m);
      else expect(lines).toContain('a holder');
      if (lock !== 'two-words') {
        expect(lines.at(-1)).toMatch(
          new RegExp(`^By lock_held and lock_wait of the program, ${inside} has it`),
        );
      }
    }
  });
});

test('says what is wrong', () => {
  const prompt = new Prompt(sessionOf('two-words'));
  for (const [line, problem] of [
    ['holders', 'an address expected'],
    [
      'holders the_lock as queue',
      "a kind of lock expected (word, ticket, mcs, qspinlock), not 'queue'",
    ],
    ['holders the_lock as mcs shown', "a lock of the kind 'mcs' is one word, not also 'shown'"],
    ['holders 0x7fffffff0000', 'no memory at 0x7fffffff0000'],
  ] as const) {
    const work = prompt.execute(line);
    let step = work.next();
    while (step.done !== true) step = work.next();
    expect(step.value).toMatchObject({ isError: true, lines: [problem] });
  }
});
