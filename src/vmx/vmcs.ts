// One virtual-machine control structure: VMREAD and VMWRITE by encoding, and direct access for the
// processor and for KVM. Guest-state fields are not copies: while a VMCS is in use they are the
// state of the processor that runs it, so entries and exits need not move sixty values.
// Deviation: what exit controls say about saving DR7, DEBUGCTL, PAT and EFER is checked but these
// fields always hold the guest's current values. See docs/decisions/vmcs-is-the-state.md.

import Long from 'long';
import { type ProcessorState, wordOf } from '../cpu/index.ts';
import type { PhysicalMemory } from '../memory/index.ts';
import { type CheckGroup, FIELDS, type FieldName, fieldIndex, indexOfEncoding } from './fields.ts';

/** VMCS revision identifier, as IA32_VMX_BASIC reports it. */
export const VMCS_REVISION = 0x766d78;

/** Bytes of a VMCS region. */
export const VMCS_BYTES = 4096;

/** Word of the region at which fields begin, after revision, abort indicator and launch state. */
const FIRST_FIELD_WORD = 4;
const LAUNCH_STATE_WORD = 2;

/** VM-instruction error numbers. SDM 3, "VM-Instruction Error Numbers". */
export const VmxError = {
  VMLAUNCH_NOT_CLEAR: 4,
  VMRESUME_NOT_LAUNCHED: 5,
  ENTRY_INVALID_CONTROL: 7,
  ENTRY_INVALID_HOST: 8,
  UNSUPPORTED_FIELD: 12,
  READ_ONLY_FIELD: 13,
} as const;

export class Vmcs {
  /** Checks that a VM entry has to make because something they read was written. */
  readonly stale: Set<CheckGroup> = new Set(['controls', 'host', 'guest', 'injection']);
  private readonly words: Int32Array;
  private readonly stateWords: Int32Array;
  /** For each field: its first word, in the state if `inState`. */
  private readonly wordOfField = new Int32Array(FIELDS.length);
  private readonly inState = new Uint8Array(FIELDS.length);

  /** @param hpa where the region lies, a multiple of 4096 */
  constructor(memory: PhysicalMemory, hpa: number, state: ProcessorState) {
    const { buffer, byteOffset } = memory.bytes;
    this.words = new Int32Array(buffer, byteOffset + hpa, VMCS_BYTES / 4);
    this.stateWords = state.words;
    FIELDS.forEach((field, index) => {
      this.inState[index] = field.state === null ? 0 : 1;
      this.wordOfField[index] =
        field.state === null ? FIRST_FIELD_WORD + 2 * index : wordOf(field.state);
    });
    this.words[0] = VMCS_REVISION;
    memory.noteWrite(hpa, VMCS_BYTES);
  }

  /** True between a successful VMLAUNCH and VMCLEAR. */
  get launched(): boolean {
    return this.words[LAUNCH_STATE_WORD] === 1;
  }

  set launched(value: boolean) {
    this.words[LAUNCH_STATE_WORD] = value ? 1 : 0;
  }

  /** The low 32 bits of a field, by its index; for fields of at most 32 bits all of it. */
  get32(index: number): number {
    const words = this.inState[index] === 1 ? this.stateWords : this.words;
    return words[this.wordOfField[index]];
  }

  get64(index: number): Long {
    const words = this.inState[index] === 1 ? this.stateWords : this.words;
    const word = this.wordOfField[index];
    const high = FIELDS[index].width === 64 ? words[word + 1] : 0;
    return Long.fromBits(words[word], high);
  }

  /** Write a field of at most 32 bits. */
  set32(index: number, value: number): void {
    const words = this.inState[index] === 1 ? this.stateWords : this.words;
    words[this.wordOfField[index]] = value;
    this.stale.add(FIELDS[index].checks);
  }

  set64(index: number, value: Long): void {
    const words = this.inState[index] === 1 ? this.stateWords : this.words;
    const word = this.wordOfField[index];
    words[word] = value.low;
    words[word + 1] = value.high;
    this.stale.add(FIELDS[index].checks);
  }

  /** By name, for code that is not in a hurry. */
  read(name: FieldName): Long {
    return this.get64(fieldIndex(name));
  }

  /** By name; excess upper bits are ignored as VMWRITE ignores them. */
  write(name: FieldName, value: Long | number): void {
    const index = fieldIndex(name);
    this.store(index, typeof value === 'number' ? Long.fromNumber(value) : value);
  }

  /**
   * VMREAD: the value zero-extended, or the VM-instruction error number.
   * @param encoding the whole operand; encodings have 15 bits
   */
  vmread(encoding: number): Long | number {
    const index = indexOfEncoding(encoding - (encoding % 2));
    if (index === undefined || !isLegalAccess(encoding, index)) return VmxError.UNSUPPORTED_FIELD;
    const value = this.get64(index);
    return (encoding & 1) === 1 ? Long.fromBits(value.high, 0) : value;
  }

  /** VMWRITE: null, or the VM-instruction error number. */
  vmwrite(encoding: number, value: Long): number | null {
    const index = indexOfEncoding(encoding - (encoding % 2));
    if (index === undefined || !isLegalAccess(encoding, index)) return VmxError.UNSUPPORTED_FIELD;
    const field = FIELDS[index];
    if (field.type === 'exitInformation') return VmxError.READ_ONLY_FIELD;
    if ((encoding & 1) === 0) this.store(index, value);
    else this.set64(index, Long.fromBits(this.get64(index).low, value.low));
    return null;
  }

  private store(index: number, value: Long): void {
    const { width } = FIELDS[index];
    if (width === 64) this.set64(index, value);
    else this.set32(index, width === 16 ? value.low & 0xffff : value.low);
  }
}

/** The high half exists only of 64-bit fields, not of natural-width ones. */
function isLegalAccess(encoding: number, index: number): boolean {
  return (encoding & 1) === 0 || ((FIELDS[index].encoding >> 13) & 3) === 1;
}
