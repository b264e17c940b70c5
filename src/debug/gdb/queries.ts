// General queries: what the stub can do, which threads there are, the documents that gdb reads, and
// commands of `monitor`. gdb's manual, "General Query Packets".

import { encodeUtf8 } from '../../sim/index.ts';
import { MEMORY_MAP, targetDescription, threadList } from './description.ts';
import { bytesOfHex, countOfHex, hexOfBytes, textOfBytes } from './hex.ts';
import { PACKET_BYTES } from './packets.ts';
import { MALFORMED, type StubState, threadOf } from './stub-state.ts';
import { formatThread } from './thread-ids.ts';

/** What is offered; a minus would say what is not. */
const OFFERED = [
  `PacketSize=${PACKET_BYTES.toString(16)}`,
  ...['qXfer:features:read+', 'qXfer:memory-map:read+', 'qXfer:threads:read+'],
  ...['qXfer:exec-file:read+', 'QStartNoAckMode+', 'multiprocess+', 'vContSupported+'],
  ...['swbreak+', 'hwbreak+', 'ReverseStep+', 'ReverseContinue+'],
];

/** The answer; `print` shows a text before it. */
export function handleQuery(state: StubState, text: string, print: (text: string) => void): string {
  const [name, rest] = split(text);
  switch (name) {
    case 'qSupported':
      for (const feature of rest.split(';')) {
        if (feature.endsWith('+')) state.features.add(feature.slice(0, -1));
      }
      return OFFERED.join(';');
    case 'QStartNoAckMode':
    case 'qSymbol':
      return 'OK';
    case 'qC':
      return `QC${formatThread(state.thread)}`;
    case 'qAttached':
      // gdb detaches when it quits, rather than kill.
      return '1';
    case 'qfThreadInfo':
      return `m${state.target.threads.map(formatThread).join(',')}`;
    case 'qsThreadInfo':
      return 'l';
    case 'qThreadExtraInfo': {
      const thread = threadOf(state, rest);
      if (thread === null) return MALFORMED;
      return hexOfBytes(encodeUtf8(`${thread.name}, ${thread.activity}`));
    }
    case 'qXfer':
      return transfer(state, rest);
    case 'qRcmd':
      return command(state, rest, print);
    default:
      return '';
  }
}

/** A name goes up to a colon or, in some old packets, a comma. */
function split(text: string): readonly [name: string, rest: string] {
  const at = text.search(/[:,]/);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function command(state: StubState, digits: string, print: (text: string) => void): string {
  const bytes = bytesOfHex(digits);
  if (bytes === null) return MALFORMED;
  const said = state.target.monitor(textOfBytes(bytes), state.thread);
  if (said !== '') print(said);
  return 'OK';
}

/** `object:read:annex:offset,length` */
function transfer(state: StubState, text: string): string {
  const pattern = /^([\w-]+):read:([^:]*):([\da-f]+),([\da-f]+)$/i;
  const [, object, annex, from, length] = pattern.exec(text) ?? [];
  if (object === undefined) return MALFORMED;
  const offset = countOfHex(from);
  const lengthBytes = countOfHex(length);
  if (offset === null || lengthBytes === null) return MALFORMED;
  const document = documentOf(state, object, annex);
  if (document === null) return OBJECTS.includes(object) ? NO_ANNEX : '';
  const part = document.slice(offset, offset + Math.min(lengthBytes, MAX_TRANSFER_BYTES));
  return `${offset + part.length < document.length ? 'm' : 'l'}${part}`;
}

const OBJECTS = ['features', 'memory-map', 'threads', 'exec-file'];
const NO_ANNEX = 'E00';

/** Every byte may need an escape. */
const MAX_TRANSFER_BYTES = PACKET_BYTES / 2 - 8;

function documentOf(state: StubState, object: string, annex: string): string | null {
  switch (object) {
    case 'features':
      return annex === 'target.xml' ? targetDescription() : null;
    case 'memory-map':
      return annex === '' ? MEMORY_MAP : null;
    case 'threads':
      return annex === '' ? asBytes(threadList(state.target.threads)) : null;
    case 'exec-file': {
      const process = annex === '' ? state.thread.process : countOfHex(annex);
      const file = process === null ? null : state.target.symbolFile(process);
      return file === null ? null : asBytes(file.path);
    }
    default:
      return null;
  }
}

/** A text in which each character is a byte of UTF-8. */
function asBytes(text: string): string {
  return textOfBytes(encodeUtf8(text));
}
