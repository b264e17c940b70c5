// What an exploration finds: each kind of violation in a program that has it, and nothing in its
// corrected twin; the schedule repeats it; a search with a bound finds what needs no more.

import { describe, expect, test } from 'vitest';
import { follow, narrate, parseSchedule, printSchedule, search } from '../../src/explore/index.ts';
import {
  counting,
  exploreProgram,
  LOST_UPDATE,
  sectionOf,
  smallProgram,
  worldOf,
} from '../support/exploration.ts';

const ATOMIC = counting('lock inc dword [counter]');

/** Two locks, taken in one order or in either. */
const twoLocks = (second: string, first: string) => `
    test edi, edi
    jnz other
    lea rbx, [a]
    lea rcx, [b]
    jmp both
other:
    lea rbx, [${second}]
    lea rcx, [${first}]
both:
    mov al, 1
one:
    xchg [rbx], al
    test al, al
    jnz one
    mov al, 1
two:
    xchg [rcx], al
    test al, al
    jnz two
    mov byte [rcx], 0
    mov byte [rbx], 0
    cli
    hlt
align 64
a: db 0
align 64
b: db 0
`;

/** vCPU 1 sleeps until vCPU 0 has set the flag and kicked it; it publishes that it sleeps, or not. */
const sleeping = (publish: string) => `
    test edi, edi
    jz waker
    ${publish}
    cmp dword [flag], 0
    jne woken
    hlt
woken:
    lock inc dword [awake]
    cli
    hlt
waker:
    mov dword [flag], 1
    mfence
    cmp dword [asleep], 0
    je kicked
    mov eax, 5
    xor ebx, ebx
    mov ecx, 1
    vmcall
kicked:
    cmp dword [awake], 0
    pause
    je kicked
    mov al, 0
    out 0xf4, al
align 64
flag: dd 0
align 64
asleep: dd 0
align 64
awake: dd 0
`;

/** Dekker's way in, which store buffers break unless there is a fence. */
const dekker = (fence: string) => `
    lea rbx, [flags]
    mov eax, edi
    xor eax, 1
    mov dword [rbx + rdi * 8], 1
    ${fence}
    cmp dword [rbx + rax * 8], 0
    jne out
enter:
    nop
leave:
out:
    cli
    hlt
align 64
flags: dq 0, 0
`;

const verdictOf = (text: string) => exploreProgram(smallProgram(text));

describe('violations', () => {
  test('a lost update is an ending that the guest calls bad, and an atomic one is not', () => {
    const { verdict, violation, outcomes, switches } = verdictOf(LOST_UPDATE);
    expect(verdict).toBe('violation');
    expect(violation).toEqual({ kind: 'ending', message: 'vCPU 0 wrote 1 to the exit port' });
    expect(outcomes.map(({ message }) => message)).toContain('vCPU 0 wrote 1 to the exit port');
    // Into the gap between read and write, and back.
    expect(switches).toBe(2);
    const good = verdictOf(ATOMIC);
    expect(good.verdict).toBe('pass');
    expect(good.outcomes.map(({ status }) => status)).toEqual(['exited']);
  });

  test('two locks in either order lead to where nobody comes on, in one order they do not', () => {
    const { verdict, violation } = verdictOf(twoLocks('b', 'a'));
    expect([verdict, violation?.kind]).toEqual(['violation', 'livelock']);
    expect(verdictOf(twoLocks('a', 'b')).verdict).toBe('pass');
  });

  test('a kick that is lost before HLT is found', () => {
    const { violation } = verdictOf(sleeping('nop'));
    expect(violation?.kind).toBe('livelock');
    const good = verdictOf(sleeping('mov eax, 1\n    xchg [asleep], eax'));
    expect(good).toMatchObject({ verdict: 'pass', violation: null });
  });

  test('two in an exclusive section: only with store buffers, and not behind a fence', () => {
    const weak = smallProgram(dekker('nop'));
    const expectations = { exclusive: [sectionOf(weak, 'enter', 'leave')], output: null };
    expect(exploreProgram(weak, { expectations }).verdict).toBe('pass');
    const { violation } = exploreProgram(weak, { expectations, storeBuffers: true });
    expect(violation).toEqual({
      kind: 'exclusion',
      message: 'vCPU 0 and vCPU 1 are in enter..leave at the same time',
    });
    const strong = smallProgram(dekker('mfence'));
    const within = { exclusive: [sectionOf(strong, 'enter', 'leave')], output: null };
    const fenced = exploreProgram(strong, { expectations: within, storeBuffers: true });
    expect(fenced.verdict).toBe('pass');
  });

  test('waiting for an interrupt that cannot come is a deadlock', () => {
    const { violation } = verdictOf('sti\nhlt\n');
    expect(violation?.kind).toBe('deadlock');
  });

  test('a triple fault, and output that is not what it should be', () => {
    expect(verdictOf('lidt [none]\nud2\nnone: dw 0\ndq 0\n').violation).toMatchObject({
      kind: 'ending',
      message: expect.stringMatching(/met a triple fault$/),
    });
    const printing = smallProgram('lea eax, [rdi + "0"]\nout 0xe9, al\ncli\nhlt\n');
    const either = exploreProgram(printing);
    expect(either.outcomes.map(({ output }) => output).sort()).toEqual(['01', '10']);
    const expectations = { exclusive: [], output: '01' };
    expect(exploreProgram(printing, { expectations }).violation?.kind).toBe('output');
  });

  test('what goes on for ever is not called a violation, but said', () => {
    const report = verdictOf('again: pause\njmp again\n');
    expect(report).toMatchObject({ verdict: 'pass', violation: null });
    expect(report.notes).toEqual(['no schedule ends: the guest goes on for ever']);
  });

  test('a timer and an interrupt between vCPUs may come at any moment', () => {
    // vCPU 1 takes an interrupt that vCPU 0 sends, before or behind its own store.
    const { outcomes } = verdictOf(SENDS_INTERRUPT);
    expect(outcomes.map(({ output }) => output).sort()).toEqual(['0', '1']);
  });
});

/** x2APIC, and an interrupt gate for vector 0x40, which prints what vCPU 1 has stored by then. */
const SENDS_INTERRUPT = `
    mov ecx, 0x1b
    rdmsr
    or eax, 0xc00
    wrmsr
    mov ecx, 0x80f
    mov eax, 0x1ff
    xor edx, edx
    wrmsr
    test edi, edi
    jz sender
    lea rax, [handler]
    lea rbx, [table + 0x40 * 16]
    mov [rbx], ax
    mov word [rbx + 2], cs
    mov word [rbx + 4], 0x8e00
    shr rax, 16
    mov [rbx + 6], ax
    shr rax, 16
    mov [rbx + 8], eax
    lidt [pointer]
    sti
    mov byte [ready], 1
    mov byte [stored], 1
stay:
    pause
    jmp stay
sender:
    cmp byte [ready], 0
    pause
    je sender
    mov ecx, 0x830
    mov eax, 0x40
    mov edx, 1
    wrmsr
    cli
    hlt
handler:
    mov al, [stored]
    add al, "0"
    out 0xe9, al
    mov al, 0
    out 0xf4, al
align 64
ready: db 0
stored: db 0
pointer: dw 0x41 * 16 - 1
    dq table
align 64
table: times 0x41 * 16 db 0
`;

describe('schedules', () => {
  test('the schedule that was found leads to the violation again', () => {
    const program = smallProgram(LOST_UPDATE);
    const { schedule } = exploreProgram(program);
    const text = printSchedule(schedule ?? []);
    const world = worldOf(program);
    expect(follow(world, parseSchedule(text) ?? [])).toEqual(schedule);
    expect(world.ending?.message).toBe('vCPU 0 wrote 1 to the exit port');
  });

  test('text comes back as it was, and other text is refused', () => {
    const text = '0*12 1 1d 0e*2 9';
    expect(printSchedule(parseSchedule(text) ?? [])).toBe(text);
    for (const wrong of ['a', '0*', '0*0', '00', '1x', '-1', '0 *2']) {
      expect(parseSchedule(wrong)).toBeNull();
    }
  });

  test('the story names what others could notice, and counts the rest', () => {
    const program = smallProgram(LOST_UPDATE);
    const { schedule } = exploreProgram(program);
    const story = narrate(worldOf(program), schedule ?? []);
    const loads = story.filter(({ text }) => text.includes('mov eax, [rel'));
    expect(loads.map(({ vcpu }) => vcpu).sort()).toEqual([0, 1]);
    expect(story.some(({ text }) => text.includes('inc eax'))).toBe(false);
  });

  test('a state that was restored goes on as it did', () => {
    const program = smallProgram(LOST_UPDATE);
    const { schedule } = exploreProgram(program);
    const world = worldOf(program, true);
    const start = world.save();
    const seen = new Set<number>();
    // The second time it is known what is shared, which decides about what is buffered.
    for (const isKnown of [false, true]) {
      world.restore(start);
      for (let i = 0; world.enabled().length > 0 && i < (schedule ?? []).length; i++) {
        const enabled = world.enabled();
        const action = enabled[i % enabled.length];
        const before = world.save();
        world.take(action);
        const key = world.keyOf(world.save());
        world.restore(before);
        world.take(action);
        if (isKnown) expect(world.keyOf(world.save())).toBe(key);
        seen.add(key);
      }
    }
    expect(seen.size).toBeGreaterThan(10);
  });
});

describe('bounds and chance', () => {
  const violationOf = (preemptions: number) => {
    const world = worldOf(smallProgram(LOST_UPDATE));
    let isFound = false;
    const { isComplete } = search(world, {
      limits: { states: 100_000, preemptions },
      reduces: true,
      observer: {
        final: ({ ending }) => {
          isFound = ending?.exitCode === 3;
          return isFound;
        },
      },
    });
    return { isFound, isComplete };
  };

  test('a bound on preemptions leaves out what needs more', () => {
    expect(violationOf(0)).toEqual({ isFound: false, isComplete: true });
    expect(violationOf(1).isFound).toBe(true);
  });

  test('states are counted, and the limit is kept', () => {
    const report = exploreProgram(smallProgram(ATOMIC), { states: 3 });
    expect(report).toMatchObject({ verdict: 'incomplete', states: 3 });
    expect(report.notes[0]).toContain('stopped after 3 states');
  });

  test.each(['random', 'pct'] as const)(
    '%s finds a lost update, the same on every run',
    (strategy) => {
      const [one, two] = [1, 2].map(() => exploreProgram(smallProgram(LOST_UPDATE), { strategy }));
      expect(one.violation?.kind).toBe('ending');
      expect(two).toEqual(one);
      expect(exploreProgram(smallProgram(ATOMIC), { strategy }).verdict).toBe('pass');
    },
  );
});
