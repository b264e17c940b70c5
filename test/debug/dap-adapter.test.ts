// The debug adapter in one process, against what may come: frames cut anywhere, requests with
// arguments of all kinds. It answers every request once, and never throws.

import type { DebugProtocol } from '@vscode/debugprotocol';
import Long from 'long';
import { expect, test } from 'vitest';
import { createSession, DapAdapter, SessionDapTarget } from '../../src/debug/index.ts';
import { SymbolMap } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { FrameReader, frameOf, isEvent } from '../support/dap-client.ts';
import { assembleText, scenarioOf } from '../support/guest-run.ts';

const PROGRAM = assembleText(`
again:
  inc qword [rel count]
  cpuid
  jmp again
count: dq 0`);

const START = Long.fromNumber(0x100000, true);

/** Line 2 of it is its label, line 3 the first instruction. */
const SYMBOLS = SymbolMap.of({
  names: [{ name: 'again', start: START, end: START.add(PROGRAM.length) }],
  lines: [{ address: START, lengthBytes: 7, file: 'loop.asm', line: 3, isCode: true }],
});

function newAdapter() {
  const session = createSession(scenarioOf({ vcpus: 2, pcpus: 1 }), {
    ...{ programs: [PROGRAM], symbols: [SYMBOLS] },
  });
  // Nothing is on a disk here: every text comes by request.
  const places = { pathOf: String, isFile: () => false, lines: () => ['the text'] };
  const target = new SessionDapTarget(session, places);
  return new DapAdapter({ launch: () => target, attach: () => null });
}

/** Let it go on until it stops; a pause ends what goes on too long. */
function settle(adapter: DapAdapter): void {
  for (let turns = 0; adapter.isRunning; turns++) {
    if (turns === 2) adapter.receive(frameOf({ seq: 1, type: 'request', command: 'pause' }));
    adapter.advance();
  }
}

function messagesOf(adapter: DapAdapter, frames: FrameReader): DebugProtocol.ProtocolMessage[] {
  return adapter.takeOutput().flatMap((bytes) => frames.take(bytes));
}

const COMMANDS = [
  ...['initialize', 'threads', 'stackTrace', 'scopes', 'variables', 'setVariable', 'evaluate'],
  ...['readMemory', 'writeMemory', 'disassemble', 'exceptionInfo', 'goto', 'gotoTargets', 'pause'],
  ...['setBreakpoints', 'setFunctionBreakpoints', 'setInstructionBreakpoints', 'nonsense'],
  ...['setDataBreakpoints', 'dataBreakpointInfo', 'setExceptionBreakpoints', 'stepOut', 'next'],
  ...['stepIn', 'stepBack', 'continue', 'reverseContinue', 'breakpointLocations', 'launch'],
  ...['source', 'loadedSources', 'completions', 'setExpression'],
];

const NAMES = [
  ...['threadId', 'frameId', 'variablesReference', 'name', 'value', 'expression', 'count', 'data'],
  ...[
    'memoryReference',
    'offset',
    'instructionCount',
    'instructionOffset',
    'breakpoints',
    'source',
  ],
  ...['filters', 'filterOptions', 'targetId', 'line', 'context', 'granularity', 'start', 'levels'],
  ...['sourceReference', 'column', 'text', 'endLine'],
];

function anything(prng: Prng, depth = 0): unknown {
  const values: readonly (() => unknown)[] = [
    () => prng.below(12),
    () => -prng.below(5),
    () => 0.5,
    () => ['1', '0x100000', 'rax', 'repl', '', 'AQID', 'rip + 1', '0x100000,8,1'][prng.below(8)],
    () =>
      ['CPUID', 'again', '/x.asm', 'instruction', 'u64[rip]', '\u{1f41e}', 'exits'][prng.below(7)],
    () => null,
    () => prng.below(2) === 0,
    () => 2 ** 53,
    () => Array.from({ length: prng.below(3) }, () => anything(prng, depth + 1)),
    () => someOf(prng, depth + 1),
  ];
  return values[prng.below(depth > 2 ? 8 : values.length)]();
}

function someOf(prng: Prng, depth = 0): object {
  const fields = ['instructionReference', 'dataId', 'filterId', 'condition', 'logMessage', 'path'];
  const names = [...NAMES, ...fields, 'hitCondition', 'accessType', 'threadId', 'threadId'];
  return Object.fromEntries(
    Array.from({ length: prng.below(6) }, () => [
      names[prng.below(names.length)],
      anything(prng, depth),
    ]),
  );
}

test('3000 requests have an answer each', () => {
  const prng = new Prng(3);
  const adapter = newAdapter();
  const frames = new FrameReader();
  adapter.receive(frameOf({ seq: 1, type: 'request', command: 'launch', arguments: {} }));
  messagesOf(adapter, frames);
  for (let seq = 2; seq < 3000; seq++) {
    const command = COMMANDS[prng.below(COMMANDS.length)];
    const given = prng.below(30) === 0 ? anything(prng) : someOf(prng);
    const request = { seq, type: 'request', command, arguments: given };
    adapter.receive(frameOf(request));
    settle(adapter);
    const answers = messagesOf(adapter, frames).filter(
      (message) => !isEvent(message) && (message as DebugProtocol.Response).request_seq === seq,
    );
    expect(answers, JSON.stringify(request)).toHaveLength(1);
  }
}, 120_000);

test('frames may be cut anywhere, and noise is told', () => {
  const prng = new Prng(5);
  const adapter = newAdapter();
  const frames = new FrameReader();
  const whole = Buffer.concat(
    Array.from({ length: 300 }, (_, i) =>
      frameOf({ seq: i + 1, type: 'request', command: 'threads', arguments: { text: '\u00e9' } }),
    ),
  );
  for (let at = 0; at < whole.length; ) {
    const length = 1 + prng.below(200);
    adapter.receive(whole.subarray(at, at + length));
    at += length;
  }
  expect(messagesOf(adapter, frames)).toHaveLength(300);
  for (let i = 0; i < 2000; i++) {
    adapter.receive(Uint8Array.from({ length: prng.below(60) }, () => prng.below(256)));
  }
  // Whatever that was, it ends with an empty line.
  adapter.receive(Buffer.from('\r\n\r\n'));
  messagesOf(adapter, frames);
  adapter.receive(frameOf({ seq: 1, type: 'request', command: 'initialize' }));
  expect(messagesOf(adapter, frames)).toMatchObject([{ command: 'initialize', success: true }]);
});

test('each request that a capability stands for is answered', () => {
  const adapter = newAdapter();
  const frames = new FrameReader();
  // What lets it stop has number 1.
  let seq = 1;
  const ask = (command: string, args: object = {}) => {
    seq++;
    adapter.receive(frameOf({ seq, type: 'request', command, arguments: args }));
    settle(adapter);
    const all = messagesOf(adapter, frames) as DebugProtocol.Response[];
    const [answer, ...more] = all.filter(({ request_seq }) => request_seq === seq);
    expect(answer, command).toMatchObject({ command, success: true });
    expect(more).toEqual([]);
    return answer.body;
  };
  const announced: object = ask('initialize');
  ask('launch');
  ask('setExceptionBreakpoints', { filters: ['CPUID'] });
  ask('configurationDone');
  ask('continue', { threadId: 1 });
  const [{ path }] = ask('loadedSources').sources;
  const source = { path };
  const [{ line }] = ask('breakpointLocations', { source, line: 1, endLine: 99 }).breakpoints;
  const memoryReference = '0x100000';
  const breakpoint = (given: object) => ({ breakpoints: [given] });
  const { dataId } = ask('dataBreakpointInfo', { name: memoryReference });
  const code = { instructionReference: memoryReference };
  const lines = { source, breakpoints: [{ line, hitCondition: '2', logMessage: '{rax}' }] };
  const [{ id: frameId }] = ask('stackTrace', { threadId: 1 }).stackFrames;
  const [{ variablesReference }] = ask('scopes', { frameId }).scopes;
  const requests: Readonly<Record<string, readonly [command: string, args: object]>> = {
    supportsFunctionBreakpoints: ['setFunctionBreakpoints', breakpoint({ name: 'again' })],
    supportsConditionalBreakpoints: [
      'setInstructionBreakpoints',
      breakpoint({ ...code, condition: 'rax == 1' }),
    ],
    supportsHitConditionalBreakpoints: ['setBreakpoints', lines],
    supportsLogPoints: ['setBreakpoints', lines],
    supportsEvaluateForHovers: ['evaluate', { expression: 'rax', context: 'hover' }],
    supportsSetVariable: ['setVariable', { variablesReference, name: 'rbx', value: '1' }],
    supportsSetExpression: ['setExpression', { expression: 'u32[0x100100]', value: '7' }],
    supportsGotoTargetsRequest: ['gotoTargets', { source, line }],
    supportsCompletionsRequest: ['completions', { text: 'why', column: 3 }],
    supportsExceptionFilterOptions: [
      'setExceptionBreakpoints',
      { filters: [], filterOptions: [{ filterId: 'HLT', condition: 'vcpu == 0' }] },
    ],
    supportsExceptionInfoRequest: ['exceptionInfo', { threadId: 1 }],
    supportsDelayedStackTraceLoading: ['stackTrace', { threadId: 1, startFrame: 0, levels: 1 }],
    supportsLoadedSourcesRequest: ['loadedSources', {}],
    supportsDataBreakpoints: ['setDataBreakpoints', breakpoint({ dataId })],
    supportsDataBreakpointBytes: ['dataBreakpointInfo', { name: memoryReference, bytes: 2 }],
    supportsReadMemoryRequest: ['readMemory', { memoryReference, count: 4 }],
    supportsWriteMemoryRequest: ['writeMemory', { memoryReference, data: 'kA==' }],
    supportsDisassembleRequest: ['disassemble', { memoryReference, instructionCount: 1 }],
    supportsBreakpointLocationsRequest: ['breakpointLocations', { source, line }],
    supportsInstructionBreakpoints: ['setInstructionBreakpoints', breakpoint(code)],
    // What moves the machine.
    supportsSteppingGranularity: ['stepIn', { threadId: 1, granularity: 'instruction' }],
    supportsStepBack: ['stepBack', { threadId: 1 }],
    supportsTerminateRequest: ['terminate', {}],
  };
  const names = Object.entries(announced).flatMap(([name, value]) => (value === true ? name : []));
  expect(names.sort()).toEqual(
    ['supportsConfigurationDoneRequest', ...Object.keys(requests)].sort(),
  );
  for (const [command, args] of Object.values(requests)) ask(command, args);
  ask('setExpression', { expression: 'u32[0x100100]', value: '0x10 + 3' });
  const { result } = ask('evaluate', { expression: 'u32[0x100100]', context: 'watch' });
  expect(result).toBe('0x13 (19)');
});
