// Letting the target go on, and saying why it stopped. gdb's manual, "Packets" (c, s, C, S, bc, bs,
// vCont) and "Stop Reply Packets".

import type Long from 'long';
import type { Direction } from '../session.ts';
import { hexOfLong, longOfHex } from './hex.ts';
import { MALFORMED, type StubState, threadOf } from './stub-state.ts';
import type { GdbStop, GdbThread, ResumeRequest, WatchAccess } from './target.ts';
import { formatThread } from './thread-ids.ts';

/** What `vCont` understands. */
export const RESUME_ACTIONS = ['c', 'C', 's', 'S', 't', 'r'];

const SIGINT = '02';
const SIGTRAP = '05';

/** What a packet asks for, or the answer if it asks for nothing that can be done. */
export function resumeOf(state: StubState, text: string): ResumeRequest | string {
  const thread = state.resumed ?? state.thread;
  const direction: Direction = text[0] === 'b' ? 'backward' : 'forward';
  if (text.startsWith('vCont;')) return vContOf(state, text.slice('vCont;'.length));
  switch (/^(?:c|s|bc|bs|C[\da-f]{2}|S[\da-f]{2})$/i.exec(text)?.[0].slice(-3)) {
    case undefined:
      // With an address to go on at, which gdb itself never sends.
      return /^[cCsS]/.test(text) ? MALFORMED : '';
    case 's':
    case 'bs':
      return { kind: 'step', direction, thread, range: null };
    case 'c':
    case 'bc':
      return { kind: 'continue', direction, thread, range: null };
    default: {
      const kind = text[0] === 'S' ? 'step' : 'continue';
      return { kind, direction, thread, range: null };
    }
  }
}

interface Action {
  readonly letter: string;
  readonly range: readonly [start: Long, end: Long] | null;
  /** Null for every thread. */
  readonly thread: GdbThread | null;
}

/**
 * The machine goes on as a whole: if any thread is to step, it is that step that ends the run, and
 * the others come as far as they come.
 */
function vContOf(state: StubState, text: string): ResumeRequest | string {
  const actions: Action[] = [];
  for (const part of text.split(';')) {
    const action = actionOf(state, part);
    if (action === null) return MALFORMED;
    actions.push(action);
  }
  const step = actions.find(({ letter }) => 'sSr'.includes(letter));
  const going = step ?? actions.find(({ letter }) => 'cC'.includes(letter));
  // Everything stands still already.
  if (going === undefined) return 'OK';
  const thread = going.thread ?? state.thread;
  const kind = step === undefined ? 'continue' : 'step';
  return { kind, direction: 'forward', thread, range: going.range };
}

function actionOf(state: StubState, part: string): Action | null {
  const [action, id, ...rest] = part.split(':');
  const pattern = /^(?:([cst])|([CS])[\da-f]{2}|(r)([\da-f]{1,16}),([\da-f]{1,16}))$/i;
  const match = pattern.exec(action);
  if (match === null || rest.length > 0) return null;
  const [, simple, signalled, , from, to] = match;
  const letter = simple ?? signalled ?? 'r';
  const thread = id === undefined ? null : threadOf(state, id);
  if (id !== undefined && thread === null) return null;
  if (from === undefined || to === undefined) return { letter, range: null, thread };
  const range = [longOfHex(from), longOfHex(to)] as readonly [Long, Long];
  return { letter, range, thread };
}

const WATCH_WORDS: Readonly<Record<WatchAccess, string>> = {
  write: 'watch',
  read: 'rwatch',
  access: 'awatch',
};

/** What gdb is told of a stop. */
export function stopReply(stop: GdbStop, features: ReadonlySet<string>): string {
  const { reason, thread } = stop;
  const signal = reason.kind === 'interrupt' ? SIGINT : SIGTRAP;
  const core = thread.core === null ? '' : `core:${thread.core.toString(16)};`;
  return `T${signal}thread:${formatThread(thread)};${core}${reasonText(stop, features)}`;
}

function reasonText({ reason }: GdbStop, features: ReadonlySet<string>): string {
  switch (reason.kind) {
    case 'breakpoint': {
      const word = reason.isHardware ? 'hwbreak' : 'swbreak';
      return features.has(word) ? `${word}:;` : '';
    }
    case 'watchpoint':
      return `${WATCH_WORDS[reason.access]}:${hexOfLong(reason.address)};`;
    case 'historyStart':
      return 'replaylog:begin;';
    case 'historyEnd':
      return 'replaylog:end;';
    case 'step':
    case 'interrupt':
      return '';
  }
}
