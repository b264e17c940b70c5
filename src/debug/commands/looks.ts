// Commands that look at the machine and its past, and those that change it.

import type Long from 'long';
import { textLine } from '../../trace/index.ts';
import { explainExit } from '../../vmx/index.ts';
import { DebugError } from '../debug-error.ts';
import { fieldLines } from '../exit-fields.ts';
import { registerNamed } from '../registers.ts';
import { readMapped } from '../remote-memory.ts';
import { assignValue } from './assign.ts';
import { type Command, type Context, command } from './command.ts';
import { FIND } from './find.ts';
import { FRAMES, frameAddress } from './frames.ts';
import { list } from './list.ts';
import { OUTPUT } from './output.ts';
import { addressOf, countOf, type Format, formatOf, timeOf } from './parse.ts';
import { disassembly, hex, instructionsAt, memoryLines, whenText } from './print.ts';
import { codeNames, targetNames, valueNames } from './words.ts';

/** Lines that `disassemble` shows if it is not told. */
const CODE_LINES = 10;

/** Lines of a range. */
const MOST_CODE_LINES = 4096;

/** Records that `timeline` shows if it is not told. */
const TIMELINE_LINES = 20;

/** What gdb's scripts ask for and is so anyhow. */
const SETTINGS =
  /^(pagination off|confirm off|height (0|unlimited)|width (0|unlimited)|verbose off|disassembly-flavor intel)$/;

/** `set $rax = 1`, `set u32[0x1000] = 1`, `set vmcs FIELD = 1`; `set var` as gdb's people say. */
function set({ session, vcpu }: Context, text: string): string[] {
  if (SETTINGS.test(text.trim().replaceAll(/\s+/g, ' '))) return [];
  const [, target, value] = /^(?:var(?:iable)?\s+)?(.*?)\s*=\s*([^=].*)$/s.exec(text) ?? [];
  if (target === undefined || value === undefined) {
    const usage = "'set $NAME = VALUE', 'set u64[ADDRESS] = VALUE' or 'set vmcs FIELD = VALUE'";
    const [setting = ''] = /^[a-z][\w-]*(?=\s)/.exec(text) ?? [];
    const isSetting = setting !== '' && registerNamed(setting) === undefined;
    throw new DebugError(isSetting ? `there is no setting '${setting}': ${usage}` : usage);
  }
  if (!assignValue(session, vcpu, target, value)) return [];
  return [`branch ${session.branch.id} of history begins at event ${session.when.event}`];
}

function explain({ session, vcpu }: Context): readonly string[] {
  const { exits, virtual } = session.vcpu(vcpu);
  if (exits.recent.length === 0) return ['There was no VM exit yet.'];
  return fieldLines(explainExit(virtual.vmcs));
}

function timeline({ session }: Context, text: string): string[] {
  const records = session.recentRecords(text === '' ? TIMELINE_LINES : countOf(text));
  return records.map((record) => textLine(record).trim());
}

function disassemble(context: Context, text: string, format: string): string[] {
  const { session, vcpu, frame } = context;
  // Of a caller, what comes behind the call.
  const here = frame === 0 ? frameAddress(context) : frameAddress(context).add(1);
  const [, first = '', end] = /^([^,]*)(?:,(.*))?$/s.exec(text) ?? [];
  const from = first === '' ? here : addressOf(session, vcpu, first);
  const [, letters, count = ''] = /^([rms]*)(\d*)$/.exec(format) ?? [];
  if (letters === undefined) {
    throw new DebugError(`'/${format}': a count, r for the bytes, s for the source expected`);
  }
  const how = {
    hasBytes: letters.includes('r'),
    source: /[ms]/.test(letters) ? context.source : null,
  };
  if (end === undefined) {
    return disassembly(session, vcpu, from, count === '' ? CODE_LINES : countOf(count), how);
  }
  const [, length] = /^\s*\+(.*)$/s.exec(end) ?? [];
  const to =
    length === undefined
      ? addressOf(session, vcpu, end)
      : from.add(addressOf(session, vcpu, length));
  const all = instructionsAt(session, vcpu, from, MOST_CODE_LINES);
  const inside = all.filter(({ address }) => address.toUnsigned().lt(to.toUnsigned()));
  return disassembly(session, vcpu, from, inside.length, how);
}

function examine(context: Context, text: string, format: string): string[] {
  const { session, vcpu, examined } = context;
  const from = text === '' ? (examined?.next ?? null) : addressOf(session, vcpu, text);
  if (from === null) throw new DebugError('an address expected');
  const isSame = format === '' && examined !== null;
  const how = isSame ? { ...examined.how, count: 1 } : formatOf(format);
  const lines = memoryLines(session, vcpu, from, how);
  const next = behind(context, from, how, lines.length);
  context.examined = next === null ? null : { next, how };
  keepLast(context, from, how, lines);
  return lines;
}

/** The last address that was examined is `$_`, and what is there `$__`, as in gdb. */
function keepLast(
  { session, vcpu }: Context,
  from: Long,
  { letter, sizeBytes, count }: Format,
  lines: readonly string[],
): void {
  const { named } = session.variables;
  if (letter === 'i' || letter === 's') {
    named.set('_', BigInt(/0x[\da-f]+/.exec(lines.at(-1) ?? '')?.[0] ?? 0));
    named.delete('__');
    return;
  }
  const known = Math.floor(readMapped(session, vcpu, from, count * sizeBytes).length / sizeBytes);
  const last = hex(from.add((known - 1) * sizeBytes));
  named.set('_', BigInt(last));
  named.set('__', session.evaluate(vcpu, `u${8 * sizeBytes}[${last}]`));
}

/** Where what was examined ends. */
function behind({ session, vcpu }: Context, from: Long, how: Format, lines: number): Long | null {
  if (how.letter === 's') return null;
  if (how.letter !== 'i') return from.add(how.count * how.sizeBytes);
  const last = instructionsAt(session, vcpu, from, lines).at(-1);
  return last === undefined ? null : last.address.add(last.bytes.length);
}

function checkpoint({ session }: Context, name: string): string[] {
  if (/^\d+$/.test(name) || timeOf(session, name) !== null) {
    throw new DebugError(`a name expected, not '${name}': goto takes that for a place or a time`);
  }
  const mark = session.addBookmark(name);
  return [`checkpoint ${mark.id}, ${mark.name}, at event ${mark.position.event}`];
}

export const LOOKS: readonly Command[] = [
  command('list l', '[/COUNT] [LINE|FILE:LINE|SYMBOL|*ADDRESS|-]', 'the source, or code', list, {
    again: 'bare',
    words: codeNames,
  }),
  command(
    'disassemble code',
    '[/COUNT|/rs] [ADDRESS[,END|,+LENGTH]]',
    'instructions, from the next one on; /r with their bytes, /s with the source',
    disassemble,
    { scope: 'anywhere', words: valueNames },
  ),
  command(
    'x',
    '[/FORMAT] [ADDRESS]',
    'memory: count, size (b h w g), format (x d u o t a c s i)',
    examine,
    {
      again: 'bare',
      words: valueNames,
    },
  ),
  FIND,
  ...FRAMES,
  ...OUTPUT,
  command(
    'set',
    'TARGET = EXPR',
    'change $REGISTER, u8[ADDRESS] to u64[ADDRESS], vmcs FIELD, or a $variable',
    set,
    { words: targetNames },
  ),
  command(
    'why',
    '',
    'why its last VM exit happened, at which times, what came of it, what it waits for',
    ({ session, vcpu }) => session.why(vcpu),
    { scope: 'anywhere' },
  ),
  command(
    'explain',
    '',
    'the control bits and fields of the VMCS behind its last VM exit',
    explain,
    { scope: 'anywhere' },
  ),
  command('timeline', '[COUNT]', 'what has happened last, as ftrace prints it', timeline, {
    scope: 'anywhere',
  }),
  command('when', '', 'where this is in the run', ({ session }) => [whenText(session)], {
    scope: 'anywhere',
  }),
  command('checkpoint', '[NAME]', 'give this place a name', checkpoint, { scope: 'anywhere' }),
];
