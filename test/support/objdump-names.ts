// How objdump names instructions in Intel syntax, where it differs from the SDM.

const PREFIXES =
  /^(?:(?:lock|rep|repz|repnz|data16|data32|addr16|addr32|cs|ds|es|ss|fs|gs|bnd|notrack|xacquire|xrelease|rex\S*) +)*/;

const NAMES: ReadonlyMap<string, string> = new Map([
  ['movabs', 'mov'],
  ['sal', 'shl'],
  ['sysexitd', 'sysexit'],
  ['sysexitq', 'sysexit'],
  ['sysretd', 'sysret'],
  ['sysretq', 'sysret'],
  ['xlat', 'xlatb'],
]);

const COMPARISON = /^cmp(?:eq|lt|le|unord|neq|nlt|nle|ord)([ps][sd])$/;
/** Instructions that objdump names by their operand size only where it is not the usual one. */
const SIZED =
  /^(call|enter|iret|jmp|leave|lgdt|lidt|pop|popa|popf|push|pusha|pushf|ret|retf|sgdt|sidt)[wdq]?$/;

/** Whether the text of a disassembled instruction names the mnemonic. */
export function isSameMnemonic(mnemonic: string, text: string): boolean {
  const [name = ''] = text.replace(PREFIXES, '').split(/[\s,]/);
  const ours = mnemonic.toLowerCase();
  // The width of a string instruction stands with its operands.
  const ourStem = ours.replace(/^(movs|cmps|stos|lods|scas|ins|outs)[bwdq]$/, '$1');
  if (SIZED.test(ours) && ours.replace(SIZED, '$1') === name.replace(SIZED, '$1')) return true;
  if (ourStem === name || ours === (NAMES.get(name) ?? name)) return true;
  // The predicate is part of its name.
  if (name.replace(COMPARISON, 'cmp$1') === ours) return true;
  if (ours === 'sal') return name === 'shl';
  // Hints of processors that have them, nothing to others.
  if (ours === 'nop' && /^(prefetch\w*|bnd\w+|cldemote|rdssp[dq])$/.test(name)) return true;
  // 66 90 exchanges AX, or EAX, with itself.
  return ours === 'nop' && /^xchg +e?ax,e?ax$/.test(text.replace(PREFIXES, ''));
}
