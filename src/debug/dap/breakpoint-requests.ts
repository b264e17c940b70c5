// Requests that set breakpoints. Each replaces all of its kind, as the protocol wants it.

import type { DebugProtocol } from '@vscode/debugprotocol';
import Long from 'long';
import type { Handler } from './adapter.ts';
import {
  type Arguments,
  addressOf,
  formatAddress,
  integerOf,
  integerOr,
  optionalText,
  parseNumber,
  recordsOf,
  textOf,
  textOr,
  textsOf,
} from './arguments.ts';
import { EXIT_FILTERS } from './capabilities.ts';
import { codeAtOrBelow, codeLines, machinesOf, pathIn, placeOf } from './sources.ts';
import { BadRequest, type DapBreakpoint, type DapTarget } from './target.ts';
import { threadOf } from './threads.ts';

type Where = DapBreakpoint['where'];

/** Where it is, or why it cannot be. */
type Located =
  | { readonly where: Where; readonly shown?: DebugProtocol.Breakpoint }
  | { readonly problem: string };

/** The same of all that was asked for. */
type Asked =
  | (DapBreakpoint & { readonly shown?: DebugProtocol.Breakpoint })
  | { readonly problem: string };

/** Set a group, and say what became of each breakpoint. */
function setGroup(
  target: DapTarget,
  group: string,
  requests: readonly Arguments[],
  locate: (request: Arguments) => Located,
) {
  const asked = requests.map((request) => askedBy(request, locate));
  const wanted = asked.flatMap((one) => ('where' in one ? [one] : []));
  const verdicts = [...target.setBreakpoints(group, wanted)];
  const breakpoints = asked.map((one): DebugProtocol.Breakpoint => {
    if ('problem' in one) return { verified: false, message: one.problem };
    const verdict = verdicts.shift();
    if (verdict?.verified !== true) return { verified: false, message: verdict?.message ?? '' };
    return { ...one.shown, verified: true, id: verdict.id };
  });
  return { breakpoints };
}

/** What is wrong with one is no reason to do without the others. */
function askedBy(request: Arguments, locate: (request: Arguments) => Located): Asked {
  try {
    const located = locate(request);
    return {
      condition: optionalText(request, 'condition'),
      ignoreCount: ignoreCountOf(optionalText(request, 'hitCondition')),
      logMessage: optionalText(request, 'logMessage'),
      ...located,
    };
  } catch (thrown) {
    if (!(thrown instanceof BadRequest)) throw thrown;
    return { problem: thrown.message };
  }
}

/** `3` stops at the third hit, as `>= 3` and `> 2` do. */
function ignoreCountOf(text: string | null): number {
  if (text === null) return 0;
  const [, operator, digits] = /^(>=?|==?)?\s*(\d{1,15})$/.exec(text) ?? [];
  if (digits === undefined) {
    throw new BadRequest(`hit condition '${text}': expected a number of hits, such as 3 or > 2`);
  }
  const count = Number(digits);
  return operator === '>' ? count : Math.max(count - 1, 0);
}

const setBreakpoints: Handler = ({ target }, args) => {
  const path = pathIn(target, args);
  if (path === '') throw new BadRequest("'source': expected an object with a path or a reference");
  const lines = codeLines(target, path);
  return setGroup(target, `source ${path}`, recordsOf(args, 'breakpoints'), (request) => {
    const place = codeAtOrBelow(lines, integerOf(request, 'line'));
    if (place === null) return { problem: 'no code comes from this line or below' };
    const { address, thread, line } = place;
    const shown = { verified: true, line, instructionReference: formatAddress(address) };
    return { where: { kind: 'address', address, thread }, shown };
  });
};

const setFunctionBreakpoints: Handler = ({ target }, args) =>
  setGroup(target, 'function', recordsOf(args, 'breakpoints'), (request) => {
    const name = textOf(request, 'name').trim();
    for (const thread of machinesOf(target)) {
      const address = thread.symbols.addressOf(name) ?? parseNumber(name);
      if (address === null) continue;
      const place = placeOf(target, thread, address);
      const shown = {
        verified: true,
        instructionReference: formatAddress(address),
        ...(place === null ? {} : place),
      };
      return { where: { kind: 'address', address, thread }, shown };
    }
    return { problem: `no symbol is named '${name}'` };
  });

const setInstructionBreakpoints: Handler = ({ target }, args) =>
  setGroup(target, 'instruction', recordsOf(args, 'breakpoints'), (request) => {
    const address = addressOf(request, 'instructionReference').add(integerOr(request, 'offset', 0));
    const [thread] = target.threads;
    const shown = { verified: true, instructionReference: formatAddress(address) };
    return { where: { kind: 'address', address, thread }, shown };
  });

const MAX_WATCH_BYTES = 4096;

const dataBreakpointInfo: Handler = ({ target }, args) => {
  const name = textOf(args, 'name');
  const isRegister = integerOr(args, 'variablesReference', 0) !== 0;
  if (isRegister) return { dataId: null, description: 'registers cannot be watched' };
  const [thread] = target.threads;
  try {
    const address = target.evaluate(name, thread);
    const bytes = integerOr(args, 'bytes', 8);
    if (bytes < 1 || bytes > MAX_WATCH_BYTES) {
      return { dataId: null, description: `1 to ${MAX_WATCH_BYTES} bytes can be watched` };
    }
    return {
      dataId: `${formatAddress(address)},${bytes},${thread.id}`,
      description: `${bytes} bytes at ${formatAddress(address)}`,
      accessTypes: ['read', 'write', 'readWrite'],
    };
  } catch (thrown) {
    if (!(thrown instanceof BadRequest)) throw thrown;
    return { dataId: null, description: thrown.message };
  }
};

const setDataBreakpoints: Handler = ({ target }, args) =>
  setGroup(target, 'data', recordsOf(args, 'breakpoints'), (request) => {
    const [where = '', bytes = '', id = ''] = textOf(request, 'dataId').split(',');
    const address = parseNumber(where);
    const lengthBytes = Number(bytes);
    const isSane = Number.isSafeInteger(lengthBytes) && lengthBytes >= 1;
    if (address === null || !isSane || lengthBytes > MAX_WATCH_BYTES) {
      return { problem: 'not a dataId of dataBreakpointInfo' };
    }
    const access = textOr(request, 'accessType', 'write');
    if (access !== 'read' && access !== 'write' && access !== 'readWrite') {
      return { problem: `no access type is '${access}'` };
    }
    const thread = threadOf(target, Number(id));
    return { where: { kind: 'memory', address, lengthBytes, access, thread } };
  });

const setExceptionBreakpoints: Handler = ({ target }, args) => {
  const plain = textsOf(args, 'filters').map((filterId) => ({ filterId }));
  const requests = [...plain, ...recordsOf(args, 'filterOptions')];
  return setGroup(target, 'exception', requests, (request) => {
    const reason = textOf(request, 'filterId');
    const isKnown = EXIT_FILTERS.some(({ filter }) => filter === reason);
    if (!isKnown) return { problem: `no VM exit is named '${reason}'` };
    return { where: { kind: 'exit', reason } };
  });
};

const breakpointLocations: Handler = ({ target }, args) => {
  const path = pathIn(target, args);
  const first = integerOf(args, 'line');
  const last = integerOr(args, 'endLine', first);
  const lines = [...codeLines(target, path).keys()].filter((line) => line >= first && line <= last);
  return { breakpoints: lines.sort((a, b) => a - b).map((line) => ({ line })) };
};

const gotoTargets: Handler = ({ target }, args) => {
  const lines = codeLines(target, pathIn(target, args));
  const place = codeAtOrBelow(lines, integerOf(args, 'line'));
  if (place === null || place.address.gt(Long.fromNumber(Number.MAX_SAFE_INTEGER, true))) {
    return { targets: [] };
  }
  const { address, line } = place;
  const reference = formatAddress(address);
  const where = { line, label: reference, instructionPointerReference: reference };
  return { targets: [{ ...where, id: address.toNumber() }] };
};

export const BREAKPOINT_HANDLERS = {
  setBreakpoints,
  setFunctionBreakpoints,
  setInstructionBreakpoints,
  dataBreakpointInfo,
  setDataBreakpoints,
  setExceptionBreakpoints,
  breakpointLocations,
  gotoTargets,
};
