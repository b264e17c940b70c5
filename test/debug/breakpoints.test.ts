// Breakpoints of every kind: they stop where they should, with compiled code too, forwards and
// backwards, and change nothing about the run.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import {
  type BreakpointSpec,
  createSession,
  parseCondition,
  type Session,
} from '../../src/debug/index.ts';
import { checkScenario, LOAD_ADDRESS, Machine, SymbolMap } from '../../src/machine/index.ts';
import {
  assembleText,
  checkedScenario,
  compileEarly,
  guestProgram,
  scenarioOf,
} from '../support/guest-run.ts';

const SOURCE = `bits 64
    mov ecx, 1000
    lea rdi, [buffer]
again:
    mov [rdi], rcx
    mov rax, [rdi + 8]
    cmp ecx, 500
    jne skip
    mov [rdi + 8], rcx
skip:
    dec ecx
    jnz again
    mov ecx, 0x1b
    rdmsr
    mov dx, 0x3f8
    mov al, 'x'
    out dx, al
    mov eax, 5
    vmcall
    cli
    hlt
align 64
buffer: times 2 dq 0
`;

function assembled() {
  const result = assemble(
    { name: 'loop.asm', text: SOURCE },
    { readFile: () => null, origin: Long.fromNumber(LOAD_ADDRESS) },
  );
  if (result.kind !== 'ok') throw new Error('does not assemble');
  return result;
}

const ENGINES = ['interpreter', 'compiled', 'check'] as const;

function sessionOf(engine: (typeof ENGINES)[number] = 'compiled'): Session {
  const program = assembled();
  const checked = checkScenario({ engine, vms: [{ program: 'x', memory: '2M' }] });
  if (!('scenario' in checked)) throw new Error('no scenario');
  const options = { programs: [program.bytes], symbols: [SymbolMap.ofAssembly(program)] };
  const session = createSession(checked.scenario, options);
  compileEarly(session.machine, 3);
  return session;
}

const rcx = (session: Session) => session.readRegister(0, 'rcx').toNumber();
const at = (session: Session, name: string) => session.machine.symbols[0].addressOf(name) as Long;

/** Where the run stops, again and again. */
function stops(session: Session, spec: BreakpointSpec, most = 5): number[] {
  session.breakpoints.add(spec);
  const seen: number[] = [];
  while (seen.length < most && session.continue().reason === 'breakpoint') seen.push(rcx(session));
  return seen;
}

describe.each(ENGINES)('with the engine %s', (engine) => {
  test('code stops before each execution, whatever is compiled', () => {
    const session = sessionOf(engine);
    expect(stops(session, { kind: 'symbol', symbol: 'again' }, 400).slice(-2)).toEqual([602, 601]);
    if (engine === 'compiled') {
      expect(session.vcpus[0].virtual.processor.compiledInstructions).toBeGreaterThan(0);
    }
    expect(session.readRegister(0, 'rip').eq(at(session, 'again'))).toBe(true);
  });

  test('writes stop behind the instruction, changes only where there is one', () => {
    const write = { kind: 'memory', space: 'linear', lengthBytes: 8 } as const;
    const session = sessionOf(engine);
    const address = at(session, 'buffer').add(8);
    expect(stops(session, { ...write, access: 'change', address })).toEqual([500]);
    expect(session.stop.reason).toBe('ended');
    const other = sessionOf(engine);
    const found = stops(other, { ...write, access: 'write', address: address.sub(8) }, 3);
    expect(found).toEqual([1000, 999, 998]);
    expect(other.stop.hits[0].detail).toBe('0x3e7 -> 0x3e6');
  });

  test('reads stop behind the instruction', () => {
    const session = sessionOf(engine);
    const address = at(session, 'buffer').add(8);
    const spec = { kind: 'memory', space: 'linear', access: 'read', address } as const;
    expect(stops(session, { ...spec, lengthBytes: 1 }, 3)).toEqual([1000, 999, 998]);
    const after = session.readRegister(0, 'rip').sub(at(session, 'again')).toNumber();
    expect(after).toBe(7);
  });
});

test('conditions, ignored hits and temporary breakpoints', () => {
  const again = { kind: 'symbol', symbol: 'again' } as const;
  expect(stops(sessionOf(), { ...again, condition: 'rcx % 400 == 0' })).toEqual([800, 400]);
  expect(stops(sessionOf(), { ...again, ignore: 998 })).toEqual([2, 1]);
  expect(stops(sessionOf(), { ...again, temporary: true })).toEqual([1000]);
  const broken = sessionOf();
  expect(stops(broken, { ...again, condition: 'nothing == 0' }, 1)).toEqual([1000]);
  expect(broken.stop.hits[0].detail).toContain("no value named 'nothing'");
});

test('exits, entries, MSRs, ports, hypercalls, host events, lines and times', () => {
  const seen = (spec: BreakpointSpec) => {
    const session = sessionOf();
    session.breakpoints.add(spec);
    const stop = session.continue();
    return [stop.reason, stop.hits[0]?.detail ?? '', session.vcpus[0].state.phase];
  };
  // What the guest asks of the host stops at the exit, before the host has done anything.
  const msr = ['breakpoint', 'RDMSR 0x1b', 'exited'];
  expect(seen({ kind: 'msr', index: 0x1b, access: 'read' })).toEqual(msr);
  expect(seen({ kind: 'msr', index: 0x1b, condition: 'write == 0' })).toEqual(msr);
  expect(seen({ kind: 'msr', index: 0x1b, access: 'write' })[0]).toBe('ended');
  const port = ['breakpoint', 'OUT 0x3f8, 1 bytes: 0x78', 'exited'];
  expect(seen({ kind: 'port', port: 0x3f8, condition: 'value == 0x78' })).toEqual(port);
  expect(seen({ kind: 'port', port: 0x3f9 })[0]).toBe('ended');
  expect(seen({ kind: 'port', port: 0x3f8, access: 'read' })[0]).toBe('ended');
  const hypercall = seen({ kind: 'hypercall', number: 5, condition: 'nr == 5 && a1 == 0x1b' });
  expect(hypercall[1]).toContain('nr 0x5 a0 0x0 a1 0x1b');
  expect(hypercall[2]).toBe('exited');
  expect(seen({ kind: 'hypercall', number: 6 })[0]).toBe('ended');
  expect(seen({ kind: 'exit', reason: 'VMCALL' })[2]).toBe('exited');
  expect(seen({ kind: 'exit', condition: "reason == 'IO_INSTRUCTION'" })[1]).toContain('IO_INSTR');
  expect(seen({ kind: 'entry' })[2]).toBe('guest');
  expect(seen({ kind: 'hostEvent', event: 'kvm_pio' })[1]).toContain('pio_write');
  expect(seen({ kind: 'line', file: 'loop.asm', line: 10 })[0]).toBe('breakpoint');
  expect(seen({ kind: 'time', time: 3000 })).toEqual(['breakpoint', 'time reached', 'guest']);
});

test('what cannot be set is refused, and nothing is left of it', () => {
  const session = sessionOf();
  const refused: [BreakpointSpec, string][] = [
    [{ kind: 'symbol', symbol: 'nowhere' }, "no symbol named 'nowhere'"],
    [{ kind: 'line', file: 'x.c', line: 1 }, "no code comes from a file named 'x.c'"],
    [{ kind: 'line', file: 'loop.asm', line: 1000 }, 'has no code at line 1000'],
    [{ kind: 'exit', reason: 'FOO' }, "no exit reason named 'FOO'"],
    [{ kind: 'entry', vcpu: 7 }, 'there is no vCPU 7'],
    [{ kind: 'entry', condition: '1 +' }, 'column 4: a value expected'],
  ];
  for (const [spec, message] of refused) {
    expect(() => session.breakpoints.add(spec)).toThrow(message);
  }
  expect(session.breakpoints.list()).toEqual([]);
  expect(session.continue().reason).toBe('ended');
});

test('backward leads to the last hit, and then to the one before', () => {
  const session = sessionOf();
  session.breakpoints.add({ kind: 'symbol', symbol: 'again', condition: 'rcx % 100 == 0' });
  while (session.continue().reason === 'breakpoint');
  const seen: number[] = [];
  while (session.continue('backward').reason === 'breakpoint') seen.push(rcx(session));
  expect(seen).toEqual([100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
  expect(session.stop.reason).toBe('beginning');
});

test('what the guest asks for stops before it is done, from either side', () => {
  const session = sessionOf();
  session.breakpoints.add({ kind: 'msr', index: 0x1b });
  session.breakpoints.add({ kind: 'port', port: 0x3f8 });
  session.breakpoints.add({ kind: 'hypercall' });
  const places: string[] = [];
  const values: number[] = [];
  while (session.continue().reason === 'breakpoint') {
    places.push(session.stateHash());
    values.push(session.readRegister(0, 'eax').toNumber());
  }
  // RAX is what it was: what the loop has read, RDMSR's result with AL = 'x', the number.
  expect(values).toEqual([500, 0xfee00978, 5]);
  for (const place of places.reverse()) {
    expect(session.continue('backward').reason).toBe('breakpoint');
    expect(session.stateHash()).toBe(place);
    expect(session.vcpus[0].state.phase).toBe('exited');
  }
  expect(session.continue('backward').reason).toBe('beginning');
});

test('where VMMCALL is the hypercall, a breakpoint stops at its #UD, not at VMCALL', () => {
  const program = assembleText('bits 64\n mov eax, 9\n vmcall\n cli\n hlt\n');
  const vm = { program: 'x', memory: '2M', kvm: { hypercall: 'vmmcall' } };
  const session = createSession(checkedScenario({ vms: [vm] }), { programs: [program] });
  session.breakpoints.add({ kind: 'hypercall', number: 9 });
  // VMCALL exits too, is rewritten, and is executed again.
  expect(session.continue().hits[0].detail).toContain('nr 0x9');
  expect(session.vcpus[0].state.phase).toBe('exited');
  expect(session.readVmcsField(0, 'VM_EXIT_REASON').toNumber()).toBe(0);
  expect(session.continue().reason).toBe('ended');
});

test('a run with breakpoints of all kinds ends as it does without', () => {
  const scenario = scenarioOf({ vcpus: 4, pcpus: 2, hz: 1000 });
  const programs = [guestProgram('lock-ticket.asm', { ITERATIONS: '10' })];
  const machine = new Machine(scenario, { programs });
  machine.run();
  const session = createSession(scenario, { programs });
  const rip = session.readRegister(0, 'rip');
  for (const spec of [
    { kind: 'address', address: rip.add(0x40) },
    { kind: 'exit' },
    { kind: 'entry', vcpu: 2 },
    { kind: 'hostEvent', event: 'sched_wakeup' },
    {
      kind: 'memory',
      space: 'physical',
      access: 'change',
      address: rip.add(0x200),
      lengthBytes: 64,
    },
    { kind: 'memory', space: 'linear', access: 'access', address: rip.add(0x200), lengthBytes: 64 },
  ] as const) {
    session.breakpoints.add(spec);
  }
  let count = 0;
  while (session.continue().reason === 'breakpoint') count++;
  expect(count).toBeGreaterThan(10);
  expect(session.stateHash()).toBe(machine.stateHash());
});

test.each([
  ['1 + 2 * 3 == 7 && !(0x10 < 16)', 1n],
  ['-1 >> 60', 15n],
  ['~0 ^ 1 | 2', 0xfffffffffffffffen],
  ["name == 'text' || undefined_name", 1n],
  ['u16[0x100] + $five', 0x0100n + 5n],
  ['10 % 4 << 1', 4n],
])('the expression %s', (text, expected) => {
  const values = {
    name: (name: string) => () => ({ name: 'text', five: 5n })[name],
    memory: (address: bigint) => address,
  };
  expect(parseCondition(text).bind(values)()).toBe(expected);
});

test.each([
  ['1 +', 'column 4: a value expected'],
  ['(1', "column 3: ')' expected"],
  ['1 2', "column 3: an operator expected, not '2'"],
  ['a ? b', "column 3: '?' means nothing here"],
  ['0x10000000000000000', 'more than 64 bits'],
  ['('.repeat(200), 'less deeply nested'],
])('the expression %s is refused', (text, message) => {
  expect(() => parseCondition(text)).toThrow(message);
});
