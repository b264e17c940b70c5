// From mnemonics as GAS spells them to the instruction table's: suffixes, AT&T's own names, and
// what operands may be left out. GNU as manual, "i386-Mnemonics".

import { rowsByMnemonic, type Width } from '../../isa/index.ts';

/** A mnemonic of the table, and what the spelling says besides. */
export interface GasMnemonic {
  /** In upper case. */
  readonly mnemonic: string;
  /** From the suffix. */
  readonly suffix?: Width;
  /** A jump or call through a pointer with a selector. */
  readonly far?: true;
  /** Numbers and addresses have 64 bits. */
  readonly absolute?: true;
  /** Width of the source of an extension that the name tells. */
  readonly source?: Width;
}

const SUFFIXES: Readonly<Record<string, Width>> = { b: 8, w: 16, l: 32, q: 64 };

/** Names that the table has under another one. */
const ALIASES: Readonly<Record<string, GasMnemonic>> = {
  cbtw: { mnemonic: 'CBW' },
  cwtl: { mnemonic: 'CWDE' },
  cltq: { mnemonic: 'CDQE' },
  cwtd: { mnemonic: 'CWD' },
  cltd: { mnemonic: 'CDQ' },
  cqto: { mnemonic: 'CQO' },
  lret: { mnemonic: 'RETF' },
  lretw: { mnemonic: 'RETFW' },
  lretl: { mnemonic: 'RETF', suffix: 32 },
  lretq: { mnemonic: 'RETFQ' },
  iretl: { mnemonic: 'IRETD' },
  sysretd: { mnemonic: 'SYSRET', suffix: 32 },
  sysexitd: { mnemonic: 'SYSEXIT', suffix: 32 },
  ljmp: { mnemonic: 'JMP', far: true },
  lcall: { mnemonic: 'CALL', far: true },
  movabs: { mnemonic: 'MOV', absolute: true },
  movslq: { mnemonic: 'MOVSXD', source: 32, suffix: 64 },
  movsxd: { mnemonic: 'MOVSXD' },
  ud2a: { mnemonic: 'UD2' },
  xlat: { mnemonic: 'XLATB' },
  icebp: { mnemonic: 'INT1' },
};

/** Stems of string instructions, whose operands may be written although they are always the same. */
const STRINGS = /^(movs|cmps|stos|lods|scas|ins|outs|smov|scmp|ssto|slod|ssca)([bwldq]?)$/;

const STRING_NAMES: Readonly<Record<string, string>> = {
  ...{ smov: 'movs', scmp: 'cmps', ssto: 'stos', slod: 'lods', ssca: 'scas' },
};

/** A string instruction, whose width may follow from its operands only. */
export interface StringMnemonic {
  readonly stem: string;
  readonly suffix: Width | 0;
}

/** Read the name of a string instruction, in lower case; null if it is none. */
export function stringMnemonic(name: string): StringMnemonic | null {
  const [, written, letter = ''] = STRINGS.exec(name) ?? [];
  if (written === undefined) return null;
  const stem = STRING_NAMES[written] ?? written;
  return { stem: stem.toUpperCase(), suffix: letter === 'd' ? 32 : (SUFFIXES[letter] ?? 0) };
}

/**
 * Read any other name, in lower case; null if there is no such instruction.
 * @param intel Intel syntax, where a suffix may be `d`
 */
export function gasMnemonic(name: string, intel: boolean): GasMnemonic | null {
  const alias = ALIASES[name];
  if (alias !== undefined) return alias;
  // `movsb` is here only if its operands are not those of the string instruction.
  const extension = extensionMnemonic(name);
  if (extension !== null) return extension;
  const upper = name.toUpperCase();
  if (rowsByMnemonic(upper).length > 0) return { mnemonic: upper };
  const letter = name.at(-1) ?? '';
  const suffix = intel && letter === 'd' ? 32 : SUFFIXES[letter];
  if (suffix === undefined) return null;
  const stem = name.slice(0, -1);
  const known = ALIASES[stem] ?? { mnemonic: stem.toUpperCase() };
  return rowsByMnemonic(known.mnemonic).length > 0 ? { ...known, suffix } : null;
}

/** `movzbl`, `movsbq`, and `movzb`, whose destination tells the width itself. */
function extensionMnemonic(name: string): GasMnemonic | null {
  const [, kind, from = '', to = ''] = /^mov([sz])([bwl])([wlq]?)$/.exec(name) ?? [];
  const source = SUFFIXES[from];
  if (kind === undefined || source === undefined) return null;
  const target = SUFFIXES[to];
  if (source === 32 || (target !== undefined && target <= source)) return null;
  const mnemonic = kind === 's' ? 'MOVSX' : 'MOVZX';
  return { mnemonic, source, ...(target === undefined ? {} : { suffix: target }) };
}

/** Every name that can begin an instruction, for suggestions. */
export function* gasNames(mnemonics: Iterable<string>): Generator<string> {
  for (const mnemonic of mnemonics) {
    const name = mnemonic.toLowerCase();
    yield name;
    for (const row of rowsByMnemonic(mnemonic)) {
      const letter = { 0: '', 8: 'b', 16: 'w', 32: 'l', 64: 'q' }[row.width];
      if (letter !== '' && row.operands.length > 0) yield name + letter;
    }
  }
  yield* Object.keys(ALIASES);
  for (const from of ['movzb', 'movsb']) yield* [`${from}w`, `${from}l`, `${from}q`];
  for (const from of ['movzw', 'movsw']) yield* [`${from}l`, `${from}q`];
}
