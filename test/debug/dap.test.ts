// The debug adapter as an editor meets it: `vmxlab dap` on standard input and output, driven with
// the protocol's own types. A whole session over a lock program on four vCPUs; wrong requests;
// malformed messages; the conventions of VS Code's test client.

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildCommand, folderWith, MAIN } from '../support/command-line.ts';
import { DapProcess, FrameReader, frameOf, isEvent } from '../support/dap-client.ts';

const LOCK = 'guest-programs/lock-ticket.asm';
const COUNTER = 'guest-programs/lib/counter.inc';

const CALLS = `bits 64
start:
    mov rbp, 0
    mov eax, 1
    call outer
    out 0xf4, al
outer:
    push rbp
    mov rbp, rsp
    call inner
    inc eax
    pop rbp
    ret
inner:
    push rbp
    mov rbp, rsp
    add eax, 5
    mov [rel value], eax
    pop rbp
    ret
value: dd 0
`;

const EXITS = 'bits 64\nmov eax, 0x40000000\nxor ecx, ecx\ncpuid\ncli\nhlt\n';

let folder = '';
let client: DapProcess;

beforeAll(() => {
  buildCommand();
  folder = folderWith({ 'calls.asm': CALLS, 'exits.asm': EXITS });
});

afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(() => {
  client = new DapProcess(folder, MAIN, ['dap']);
});

afterEach(async () => {
  client.end();
  expect(await client.ended).toBe(0);
  expect(client.stderr).toBe('');
});

const where = (name: string) => ({ path: join(folder, name) });

/** Begin as VS Code does: initialize, launch, configure when told. */
async function launch(args: object, configure?: () => Promise<void>): Promise<void> {
  const ready = await client.request<DebugProtocol.InitializeResponse>('initialize', {
    adapterID: 'vmxlab',
    linesStartAt1: true,
    columnsStartAt1: true,
    pathFormat: 'path',
  });
  expect(ready.success).toBe(true);
  const launched = client.request('launch', args);
  await client.event('initialized');
  await configure?.();
  expect((await client.request('configurationDone')).success).toBe(true);
  expect(await launched).toMatchObject({ success: true });
}

let stops = 0;

beforeEach(() => {
  stops = 0;
});

async function stopped(): Promise<DebugProtocol.StoppedEvent['body']> {
  const { body } = await client.event<DebugProtocol.StoppedEvent>('stopped', ++stops);
  return body;
}

async function go(command: string, args: object): Promise<DebugProtocol.StoppedEvent['body']> {
  expect(await client.request(command, args)).toMatchObject({ success: true });
  return stopped();
}

async function topFrame(threadId: number): Promise<DebugProtocol.StackFrame> {
  const { body } = await client.request<DebugProtocol.StackTraceResponse>('stackTrace', {
    threadId,
  });
  return body.stackFrames[0];
}

async function value(expression: string, frameId?: number): Promise<string> {
  const args = { expression, frameId, context: 'watch' };
  return (await client.request<DebugProtocol.EvaluateResponse>('evaluate', args)).body.result;
}

async function variables(threadId: number, scope: string): Promise<DebugProtocol.Variable[]> {
  const frame = await topFrame(threadId);
  const { body } = await client.request<DebugProtocol.ScopesResponse>('scopes', {
    frameId: frame.id,
  });
  const found = body.scopes.find(({ name }) => name === scope);
  const { variablesReference } = found as DebugProtocol.Scope;
  const all = { variablesReference };
  return (await client.request<DebugProtocol.VariablesResponse>('variables', all)).body.variables;
}

describe('a session over a lock', () => {
  const LAUNCH = {
    program: LOCK,
    settings: { vcpus: 4, pcpus: 2 },
    defines: { ITERATIONS: '200' },
  };

  test('from entry over breakpoints, steps and watchpoints, back and to the end', async () => {
    const set: DebugProtocol.Breakpoint[] = [];
    await launch(LAUNCH, async () => {
      const wanted = [{ line: 32 }, { line: 40, condition: 'r12 == 2' }, { line: 4000 }];
      const args = { source: where(COUNTER), breakpoints: wanted };
      const { body } = await client.request<DebugProtocol.SetBreakpointsResponse>(
        'setBreakpoints',
        args,
      );
      set.push(...body.breakpoints);
    });
    const [first, second, third] = set;
    // A label has no code of its own.
    expect(first).toMatchObject({ verified: true, line: 33, instructionReference: '0x10000b' });
    expect(second).toMatchObject({ verified: true, line: 40 });
    expect(third.verified).toBe(false);
    expect(await stopped()).toMatchObject({ reason: 'entry', allThreadsStopped: true });
    const { body } = await client.request<DebugProtocol.ThreadsResponse>('threads');
    expect(body.threads.map(({ name }) => name)).toEqual(['vCPU 0', 'vCPU 1', 'vCPU 2', 'vCPU 3']);

    const hit = await go('continue', { threadId: 1 });
    expect(hit).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [first.id] });
    const threadId = hit.threadId as number;
    expect(await topFrame(threadId)).toMatchObject({
      name: 'again',
      line: 33,
      source: { name: 'counter.inc', path: join(folder, COUNTER) },
      instructionPointerReference: '0x10000b',
    });
    expect(await go('stepIn', { threadId, granularity: 'instruction' })).toMatchObject({
      reason: 'step',
      threadId,
    });
    expect((await topFrame(threadId)).instructionPointerReference).toBe('0x100010');
    expect(await go('stepBack', { threadId, granularity: 'instruction' })).toMatchObject({
      threadId,
    });
    expect((await topFrame(threadId)).instructionPointerReference).toBe('0x10000b');
    // A line is a macro of many instructions, and many rounds of them.
    await go('next', { threadId });
    expect(await topFrame(threadId)).toMatchObject({ line: 34, name: 'again' });

    await client.request('setBreakpoints', { source: where(COUNTER), breakpoints: [] });
    const info = await client.request<DebugProtocol.DataBreakpointInfoResponse>(
      'dataBreakpointInfo',
      { name: 'head', bytes: 4 },
    );
    expect(info.body.accessTypes).toContain('write');
    const watch = [{ dataId: info.body.dataId, accessType: 'write', condition: 'u32[head] == 3' }];
    await client.request('setDataBreakpoints', { breakpoints: watch });
    expect(await go('continue', { threadId })).toMatchObject({ reason: 'breakpoint' });
    expect(await value('u32[head]')).toBe('0x3 (3)');
    await client.request('setDataBreakpoints', { breakpoints: [] });

    expect(await go('reverseContinue', { threadId })).toMatchObject({ reason: 'entry' });
    expect((await topFrame(1)).instructionPointerReference).toBe('0x100000');
    const end = await go('continue', { threadId });
    expect(end.text).toContain('halted');
    const printed = client.received
      .filter(isEvent)
      .filter(({ event }) => event === 'output')
      .map((event) => (event as DebugProtocol.OutputEvent).body)
      .filter(({ category }) => category === 'stdout');
    expect(printed.map(({ output }) => output).join('')).toBe('800\n');
    expect((await client.request('disconnect')).success).toBe(true);
  });

  test('stops at VM exits, and says why', async () => {
    await launch({ program: 'exits.asm' }, async () => {
      const set = await client.request<DebugProtocol.SetExceptionBreakpointsResponse>(
        'setExceptionBreakpoints',
        {
          filters: ['CPUID', 'NONSENSE'],
          filterOptions: [{ filterId: 'IO_INSTRUCTION', condition: 'rax == 1 +' }],
        },
      );
      const [cpuid, nonsense, wrong] = (set.body?.breakpoints ?? []) as DebugProtocol.Breakpoint[];
      expect(cpuid.verified).toBe(true);
      expect([nonsense.verified, wrong.verified]).toEqual([false, false]);
      expect(wrong.message).toContain('column');
    });
    await stopped();
    const stop = await go('continue', { threadId: 1 });
    expect(stop).toMatchObject({ reason: 'exception', text: 'CPUID' });
    const info = await client.request<DebugProtocol.ExceptionInfoResponse>('exceptionInfo', {
      threadId: 1,
    });
    expect(info.body).toMatchObject({
      exceptionId: 'CPUID',
      breakMode: 'always',
      details: { message: 'the guest executed CPUID', fullTypeName: 'EXIT_REASON_CPUID' },
    });
    // What clients show: why, with the fields, and where the guest was.
    expect(info.body.description).toContain('It has not been handled yet.');
    expect(info.body.description).toMatch(/^recorded +VM_EXIT_REASON = 0xa$/m);
    expect(info.body.description).toContain('"Instructions That Cause VM Exits Unconditionally"');
    const place = join(folder, 'exits.asm');
    expect(info.body.details?.stackTrace).toMatch(new RegExp(`^at \\S+ \\(${place}:4\\)$`));
    expect(await value(info.body.details?.evaluateName ?? '')).toBe('0xa (10)');
    const reason = (await variables(1, 'VMCS')).find(({ name }) => name === 'VM_EXIT_REASON');
    expect(reason?.value).toBe('0xa');
    const said = await client.request<DebugProtocol.EvaluateResponse>('evaluate', {
      expression: 'exits',
      context: 'repl',
    });
    expect(said.body.result).toMatch(/CPUID +rip 0x[\da-f]+/);
  });
});

describe('a program with calls', () => {
  test('shows who called, steps over and out, and back', async () => {
    await launch({ program: 'calls.asm', stopOnEntry: true }, async () => {
      const set = await client.request<DebugProtocol.SetFunctionBreakpointsResponse>(
        'setFunctionBreakpoints',
        { breakpoints: [{ name: 'inner' }, { name: 'nowhere' }] },
      );
      expect(set.body.breakpoints.map(({ verified }) => verified)).toEqual([true, false]);
    });
    await stopped();
    await go('continue', { threadId: 1 });
    // Behind the prologue the frame pointer tells.
    await go('next', { threadId: 1 });
    await go('next', { threadId: 1 });
    const { body } = await client.request<DebugProtocol.StackTraceResponse>('stackTrace', {
      threadId: 1,
    });
    expect(body.stackFrames.map(({ name, line }) => `${name}:${line}`)).toEqual([
      'inner:17',
      'outer:10',
      'start:5',
    ]);
    const part = await client.request<DebugProtocol.StackTraceResponse>('stackTrace', {
      threadId: 1,
      startFrame: 1,
      levels: 1,
    });
    expect(part.body.stackFrames.map(({ name }) => name)).toEqual(['outer']);
    await go('stepOut', { threadId: 1 });
    expect(await topFrame(1)).toMatchObject({ name: 'outer', line: 11 });
    expect(await value('eax')).toBe('0x6 (6)');
    await go('stepBack', { threadId: 1 });
    expect(await topFrame(1)).toMatchObject({ name: 'inner', line: 20 });
    await client.request('setFunctionBreakpoints', { breakpoints: [] });
    await go('reverseContinue', { threadId: 1 });
    await go('next', { threadId: 1 });
    await go('next', { threadId: 1 });
    expect(await topFrame(1)).toMatchObject({ line: 5 });
    await go('next', { threadId: 1 });
    expect(await topFrame(1)).toMatchObject({ name: 'start', line: 6 });
    expect(await value('eax')).toBe('0x7 (7)');
  });

  test('stops in a call that is stepped over, if somebody asked for it', async () => {
    await launch({ program: 'calls.asm' });
    await stopped();
    await go('next', { threadId: 1 });
    await go('next', { threadId: 1 });
    await client.request('setInstructionBreakpoints', {
      breakpoints: [{ instructionReference: (await value('inner')).split(' ')[0], offset: 0 }],
    });
    expect(await go('next', { threadId: 1 })).toMatchObject({ reason: 'breakpoint' });
    expect(await topFrame(1)).toMatchObject({ name: 'inner' });
  });

  test('prints at log points, and goes on', async () => {
    await launch({ program: 'calls.asm', stopOnEntry: false }, async () => {
      await client.request('setBreakpoints', {
        source: where('calls.asm'),
        breakpoints: [{ line: 18, logMessage: 'eax is {eax}, {nonsense}' }],
      });
    });
    expect((await stopped()).text).toContain('exit');
    const lines = client.received
      .filter(isEvent)
      .filter(({ event }) => event === 'output')
      .map(({ body }) => body.output as string);
    expect(lines[0]).toMatch(/^eax is 6, \{nonsense: .*nonsense.*\}\n$/);
  });

  test('changes registers, flags and memory, and goes elsewhere', async () => {
    await launch({ program: 'calls.asm' });
    await stopped();
    const registers = await variables(1, 'Registers');
    expect(registers.find(({ name }) => name === 'rip')?.value).toBe('0x100000');
    const scopes = await client.request<DebugProtocol.ScopesResponse>('scopes', {
      frameId: (await topFrame(1)).id,
    });
    const names = scopes.body.scopes.map(({ name }) => name);
    expect(names).toEqual([
      ...['Registers', 'Flags', 'Control registers', 'FPU and SSE', 'VMCS', 'Local APIC', 'Host'],
    ]);
    const [general, flags] = scopes.body.scopes.map((scope) => scope.variablesReference);
    const set = async (variablesReference: number, name: string, text: string) =>
      client.request('setVariable', { variablesReference, name, value: text });
    expect((await set(general, 'rbx', '0x10 + 5')).body).toEqual({ value: '0x15' });
    expect((await set(flags, 'ZF', '1')).body).toEqual({ value: '1' });
    expect((await variables(1, 'Flags')).find(({ name }) => name === 'ZF')?.value).toBe('1');
    for (const [reference, name, text] of [
      [general, 'nonsense', '1'],
      [general, 'cs', '0x123456789'],
      [flags, 'ZF', '2'],
      [general, 'rbx', 'rbx +'],
    ] as const) {
      expect((await set(reference, name, text)).success).toBe(false);
    }
    const memoryReference = (await value('value')).split(' ')[0];
    const written = await client.request('writeMemory', { memoryReference, data: 'AQIDBA==' });
    expect(written.body).toEqual({ bytesWritten: 4 });
    const read = await client.request<DebugProtocol.ReadMemoryResponse>('readMemory', {
      memoryReference,
      offset: 1,
      count: 2,
    });
    expect(read.body?.data).toBe('AgM=');
    const nowhere = { memoryReference: '0x700000000000', count: 8 };
    expect((await client.request('readMemory', nowhere)).body).toEqual({
      address: '0x700000000000',
      unreadableBytes: 8,
    });
    const targets = await client.request<DebugProtocol.GotoTargetsResponse>('gotoTargets', {
      source: where('calls.asm'),
      line: 11,
    });
    const [{ id }] = targets.body.targets;
    expect(await go('goto', { threadId: 1, targetId: id })).toMatchObject({ reason: 'goto' });
    expect(await topFrame(1)).toMatchObject({ line: 11 });
  });

  test('is disassembled forwards and backwards', async () => {
    await launch({ program: 'calls.asm' });
    await stopped();
    const inner = (await value('inner')).split(' ')[0];
    const lines = await client.request<DebugProtocol.DisassembleResponse>('disassemble', {
      memoryReference: inner,
      instructionOffset: -3,
      instructionCount: 6,
    });
    const shown = lines.body?.instructions.map(({ instruction, symbol, line }) => {
      return `${symbol ?? ''} ${instruction} ${line ?? ''}`.trim();
    });
    expect(shown).toEqual([
      ...['inc eax 11', 'pop rbp 12', 'ret 13'],
      ...['inner push rbp 15', 'mov rbp, rsp 16', 'add eax, 5 17'],
    ]);
  });
});

describe('what is wrong', () => {
  test('is answered, and the session goes on', async () => {
    expect(await client.request('threads')).toMatchObject({ success: false });
    expect(await client.request('attach')).toMatchObject({ success: false });
    const wrong: readonly (readonly [args: object, message: RegExp])[] = [
      [{}, /'program': expected a text/],
      [{ program: 'nope.asm' }, /nope\.asm: no such file/],
      [{ program: LOCK, settings: { vcpu: 2 } }, /did you mean 'vcpus'/],
      [{ program: LOCK, settings: { vcpus: 'many' } }, /vcpus/],
      [{ program: LOCK, settings: { vcpus: {} } }, /expected a text or a number/],
      [{ program: LOCK, stopOnEntry: 3 }, /stopOnEntry/],
    ];
    for (const [args, message] of wrong) {
      const answer = await client.request('launch', args);
      expect(answer).toMatchObject({ success: false });
      expect(answer.message).toMatch(message);
    }
    await launch({ program: 'calls.asm' });
    await stopped();
    for (const [command, args] of [
      ['nonsense', {}],
      ['stackTrace', { threadId: 9 }],
      ['variables', { variablesReference: 999 }],
      ['readMemory', { memoryReference: 'here', count: 1 }],
      ['writeMemory', { memoryReference: '0x100000', data: '*' }],
      ['evaluate', { expression: '1 +' }],
      ['stepOut', { threadId: 1 }],
      ['setBreakpoints', { breakpoints: [] }],
      ['exceptionInfo', { threadId: 1 }],
      ['launch', { program: 'calls.asm' }],
    ] as const) {
      const answer = await client.request(command, args);
      expect(answer, command).toMatchObject({ success: false });
      expect(answer.message).not.toBe('');
    }
    expect((await client.request('threads')).success).toBe(true);
  });

  test('of one breakpoint is told of that one, and the others are set', async () => {
    await launch({ program: 'calls.asm' });
    await stopped();
    const set = async (command: string, args: object) => {
      const answer = await client.request<DebugProtocol.SetBreakpointsResponse>(command, args);
      expect(answer.message ?? '').toBe('');
      return answer.body.breakpoints.map(({ verified, message }) => message ?? verified);
    };
    const lines = [{ line: 3, hitCondition: 'often' }, { line: 4, condition: 'eaxx' }, { line: 5 }];
    const source = where('calls.asm');
    expect(await set('setBreakpoints', { source, breakpoints: lines })).toEqual([
      "hit condition 'often': expected a number of hits, such as 3 or > 2",
      "no value named 'eaxx'",
      true,
    ]);
    const addresses = ['here', '0x100000'].map((instructionReference) => ({
      instructionReference,
    }));
    expect(await set('setInstructionBreakpoints', { breakpoints: addresses })).toEqual([
      "'instructionReference': expected an address such as 0x100000",
      true,
    ]);
    const filterOptions = [
      { filterId: 'CPUID', condition: 'reson == 1' },
      { filterId: 'HLT', condition: "reason == 'HLT'" },
    ];
    expect(await set('setExceptionBreakpoints', { filters: [], filterOptions })).toEqual([
      "no value named 'reson'",
      true,
    ]);
  });

  test('in a message is told, and the next one is understood', async () => {
    client.sendRaw('Content-Length: 5\r\n\r\n{"a":Content-Length: x\r\n\r\n');
    client.sendRaw('Content-Length: 2\r\n\r\n[]Content-Length: 16\r\n\r\n{"type":"event"}');
    client.sendRaw('Content-Length: 18\r\n\r\n{"type":"request"}');
    expect((await client.request('initialize')).success).toBe(true);
    const told = client.received.filter(isEvent).map(({ body }) => body.output as string);
    expect(told).toEqual([
      'malformed message: not JSON\n',
      'malformed message: no Content-Length in the header\n',
      'malformed message: not a JSON object\n',
      'malformed message: a request needs seq and command\n',
    ]);
  });
});

test('sequence numbers count from 1, and initialized comes before launched', async () => {
  await launch({ program: 'calls.asm' });
  await stopped();
  expect(client.received.map(({ seq }) => seq)).toEqual(client.received.map((_, i) => i + 1));
  const order = client.received.map((message) =>
    isEvent(message) ? message.event : `answer to ${(message as DebugProtocol.Response).command}`,
  );
  expect(order).toEqual([
    ...['answer to initialize', 'initialized', 'answer to launch', 'thread'],
    ...['answer to configurationDone', 'stopped'],
  ]);
});

test('pauses a guest that never ends, and refuses what cannot be asked meanwhile', async () => {
  writeFileSync(join(folder, 'loop.asm'), 'bits 64\nspin: inc rax\njmp spin\n');
  await launch({ program: 'loop.asm', stopOnEntry: false });
  expect(await client.request('scopes', { frameId: 1 })).toMatchObject({ success: false });
  expect(await client.request('threads')).toMatchObject({ success: true });
  expect(await go('pause', { threadId: 1 })).toMatchObject({ reason: 'pause' });
  expect((await topFrame(1)).name).toBe('spin');
});

test('pauses a step by a line that never ends, and a log point in a loop', async () => {
  writeFileSync(join(folder, 'stay.asm'), 'bits 64\ninc rax\nstay: jmp stay\n');
  await launch({ program: 'stay.asm' });
  await stopped();
  await go('stepIn', { threadId: 1 });
  expect((await client.request('stepIn', { threadId: 1 })).success).toBe(true);
  await go('pause', { threadId: 1 });
  expect((await topFrame(1)).name).toBe('stay');
  const line = [{ line: 3, logMessage: 'here' }];
  await client.request('setBreakpoints', { source: where('stay.asm'), breakpoints: line });
  expect((await client.request('continue', { threadId: 1 })).success).toBe(true);
  await go('pause', { threadId: 1 });
});

test('a machine that waits on a port can be attached to', async () => {
  const server = new DapProcess(folder, MAIN, ['dap', 'calls.asm', '--port', '0']);
  const port = await new Promise<number>((resolve) => {
    server.onText((text) => {
      const found = /listens on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
      if (found !== undefined) resolve(Number(found));
    });
  });
  const socket = connect(port, '127.0.0.1');
  const frames = new FrameReader();
  const received: DebugProtocol.ProtocolMessage[] = [];
  const isStopped = new Promise<void>((resolve) => {
    socket.on('data', (bytes) => {
      received.push(...frames.take(bytes));
      if (received.filter(isEvent).some(({ event }) => event === 'stopped')) resolve();
    });
  });
  ['initialize', 'attach', 'configurationDone'].forEach((command, i) => {
    socket.write(frameOf({ seq: i + 1, type: 'request', command, arguments: {} }));
  });
  await isStopped;
  socket.destroy();
  server.kill();
});

describe('sources', () => {
  const text = 'bits 64\nmov eax, -2\nagain: inc eax\njnz again\ncli\nhlt\n';

  test('are listed, with what is on the disk by its path', async () => {
    await launch({ program: LOCK });
    await stopped();
    const { body } = await client.request<DebugProtocol.LoadedSourcesResponse>('loadedSources');
    const paths = body.sources.map(({ path }) => path);
    // The program itself consists of macros that the others use.
    expect(paths).toEqual(
      ['counter', 'console'].map((name) => join(folder, `guest-programs/lib/${name}.inc`)),
    );
    expect(body.sources.every((source) => source.sourceReference === undefined)).toBe(true);
    const read = await client.request('source', { source: where(COUNTER), sourceReference: 0 });
    expect(read.body.content).toBe(readFileSync(join(folder, COUNTER), 'utf8'));
    const nowhere = await client.request('source', { sourceReference: 99 });
    expect(nowhere).toMatchObject({ success: false, message: 'no such source' });
  });

  test('of a recording are there without the files, and take breakpoints', async () => {
    writeFileSync(join(folder, 'gone.asm'), text);
    const words = ['record', 'gone.asm', '-o', 'gone.recording'];
    spawnSync(process.execPath, [MAIN, ...words], { cwd: folder });
    // Another file has taken its place.
    writeFileSync(join(folder, 'gone.asm'), 'bits 64\nhlt\n');
    await launch({ program: 'gone.recording' });
    await stopped();
    const { source } = await topFrame(1);
    expect(source).toEqual({
      name: 'gone.asm',
      path: join(folder, 'gone.asm'),
      sourceReference: 1,
    });
    const read = await client.request('source', { source, sourceReference: 1 });
    expect(read.body).toEqual({ content: text });
    const set = await client.request<DebugProtocol.SetBreakpointsResponse>('setBreakpoints', {
      source: { sourceReference: 1 },
      breakpoints: [{ line: 4 }],
    });
    expect(set.body.breakpoints).toMatchObject([{ verified: true, line: 4 }]);
    await go('continue', { threadId: 1 });
    expect((await topFrame(1)).line).toBe(4);
  });

  test('say at which of their lines breakpoints can be', async () => {
    await launch({ program: 'calls.asm' });
    await stopped();
    const ask = { source: where('calls.asm'), line: 6, endLine: 9 };
    const found = await client.request<DebugProtocol.BreakpointLocationsResponse>(
      'breakpointLocations',
      ask,
    );
    // Line 7 is a label.
    expect(found.body.breakpoints).toEqual([{ line: 6 }, { line: 8 }, { line: 9 }]);
  });
});

test('the debug console completes commands, topics, registers and symbols', async () => {
  await launch({ program: 'calls.asm' });
  await stopped();
  const complete = async (text: string) => {
    const { body } = await client.request<DebugProtocol.CompletionsResponse>('completions', {
      text,
      column: text.length + 1,
    });
    return body.targets;
  };
  expect(await complete('wh')).toEqual([
    { label: 'why', start: 1, length: 2 },
    { label: 'when', start: 1, length: 2 },
  ]);
  expect((await complete('info lap')).map(({ label }) => label)).toEqual(['lapic']);
  expect(await complete('rax + inn')).toEqual([{ label: 'inner', start: 7, length: 3 }]);
});
