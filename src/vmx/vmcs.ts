// One virtual-machine control structure: VMREAD and VMWRITE by encoding, and direct access for the
// processor and for KVM. Guest-state fields are not copies: while a VMCS is in use they are the
// state of the processor that runs it, so entries and exits need not move sixty values.
// See docs/decisions/vmcs-is-the-state.md.

import Long from 'long';
import { PROCESSOR_BYTES, type ProcessorState, wordOf } from '../cpu/index.ts';
import type { PhysicalMemory } from '../memory/index.ts';
import { type CheckGroup, FIELDS, type FieldName, fieldIndex, indexOfEncoding } from './fields.ts';

/** VMCS revision identifier, as IA32_VMX_BASIC reports it. */
export const VMCS_REVISION = 0x766d78;

/** A VMCS is current and clear at first: its processor has no other. */
const LaunchState = { CLEAR: 0, LAUNCHED: 1, NOT_CURRENT: 2 } as const;

/** Bytes of a VMCS region. */
export const VMCS_BYTES = 4096;

/** The region follows the state of its processor, on the next page: so that fields have places. */
const REGION_BYTES = Math.ceil(PROCESSOR_BYTES / VMCS_BYTES) * VMCS_BYTES;

/** Bytes to set aside for a processor and its VMCS. */
export const VIRTUAL_PROCESSOR_BYTES = REGION_BYTES + VMCS_BYTES;

/** Of these, the first word of the region. */
const REGION = REGION_BYTES / 4;

/** Where fields begin, after revision, abort indicator and launch state. */
const FIRST_FIELD_WORD = REGION + 4;
const ABORT_WORD = REGION + 1;
const LAUNCH_STATE_WORD = REGION + 2;

/** VM-instruction error numbers. SDM 3, "VM-Instruction Error Numbers". */
export const VmxError = {
  VMLAUNCH_NOT_CLEAR: 4,
  VMRESUME_NOT_LAUNCHED: 5,
  ENTRY_INVALID_CONTROL: 7,
  ENTRY_INVALID_HOST: 8,
  UNSUPPORTED_FIELD: 12,
  READ_ONLY_FIELD: 13,
} as const;

/** A bit for each group of checks; writing to fields of no group leaves nothing to check. */
export const Stale = { CONTROLS: 1, HOST: 2, GUEST: 4, INJECTION: 8, ALL: 15 } as const;

const GROUP_BITS: Readonly<Record<CheckGroup, number>> = {
  controls: Stale.CONTROLS,
  host: Stale.HOST,
  guest: Stale.GUEST,
  injection: Stale.INJECTION,
  none: 0,
};

/** By field index, for looking up in a hurry. */
const IS_WIDE = Uint8Array.from(FIELDS, ({ width }) => (width === 64 ? 1 : 0));
const CHECKS = Uint8Array.from(FIELDS, ({ checks }) => GROUP_BITS[checks]);

/** The first word of each field. */
const PLACES = Int32Array.from(FIELDS, ({ state }, index) =>
  state === null ? FIRST_FIELD_WORD + 2 * index : wordOf(state),
);

/** One half of a field, for {@link Vmcs.isAsNoted}. */
export function halfOf(index: number, half: 'low' | 'high'): number {
  return half === 'low' ? PLACES[index] : PLACES[index] + 1;
}

export class Vmcs {
  /** Bits of {@link Stale}: checks to make because something that they read was written. */
  private stale: number = Stale.ALL;
  /** The processor's state and the region. */
  private readonly words: Int32Array;
  /** Where the region lies. */
  readonly hpa: number;
  /** The processor whose state the guest-state fields are. */
  readonly state: ProcessorState;

  /** @param state on a page boundary, and {@link VIRTUAL_PROCESSOR_BYTES} long with what follows it */
  constructor(memory: PhysicalMemory, state: ProcessorState) {
    const { buffer, byteOffset } = state.words;
    this.state = state;
    this.words = new Int32Array(buffer, byteOffset, VIRTUAL_PROCESSOR_BYTES / 4);
    this.hpa = byteOffset - memory.bytes.byteOffset + REGION_BYTES;
    if (this.hpa % VMCS_BYTES !== 0) throw new RangeError('a VMCS lies on a page boundary');
    this.words[REGION] = VMCS_REVISION;
    memory.noteWrite(this.hpa, VMCS_BYTES);
  }

  /** True between a successful VMLAUNCH and VMCLEAR. */
  get launched(): boolean {
    return this.words[LAUNCH_STATE_WORD] === LaunchState.LAUNCHED;
  }

  set launched(value: boolean) {
    this.words[LAUNCH_STATE_WORD] = value ? LaunchState.LAUNCHED : LaunchState.CLEAR;
  }

  /** False between {@link clear} and {@link makeCurrent}. */
  get isCurrent(): boolean {
    return this.words[LAUNCH_STATE_WORD] !== LaunchState.NOT_CURRENT;
  }

  /** VMCLEAR: the VMCS is not current any more, and clear. */
  clear(): void {
    this.words[LAUNCH_STATE_WORD] = LaunchState.NOT_CURRENT;
  }

  /** VMPTRLD: the VMCS is current; one that was not is clear. */
  makeCurrent(): void {
    if (!this.isCurrent) this.words[LAUNCH_STATE_WORD] = LaunchState.CLEAR;
    this.stale = Stale.ALL;
  }

  /** Whether any of some groups of checks, bits of {@link Stale}, is due at the next entry. */
  isStale(groups: number): boolean {
    return (this.stale & groups) !== 0;
  }

  /** To be called after fields of some groups were changed in another way than through here. */
  makeStale(groups: number): void {
    this.stale |= groups;
  }

  /** All checks hold. */
  becomeFresh(): void {
    this.stale = 0;
  }

  /** Whether halves of fields, by {@link halfOf}, are as noted where a mask has ones. */
  isAsNoted(halves: Int32Array, masks: Int32Array, noted: Int32Array): boolean {
    const { words } = this;
    for (let i = 0; i < halves.length; i++) {
      if (((words[halves[i]] ^ noted[i]) & masks[i]) !== 0) return false;
    }
    return true;
  }

  note(halves: Int32Array, noted: Int32Array): void {
    const { words } = this;
    for (let i = 0; i < halves.length; i++) noted[i] = words[halves[i]];
  }

  /** The low 32 bits of a field, by its index; for fields of at most 32 bits all of it. */
  get32(index: number): number {
    return this.words[PLACES[index]];
  }

  /** The high 32 bits of a 64-bit field. */
  getHigh(index: number): number {
    return this.words[PLACES[index] + 1];
  }

  get64(index: number): Long {
    return Long.fromBits(this.get32(index), IS_WIDE[index] === 1 ? this.getHigh(index) : 0);
  }

  /** What a 64-bit field holds that is below 2^53: an address. */
  address(index: number): number {
    return (this.getHigh(index) >>> 0) * 2 ** 32 + (this.get32(index) >>> 0);
  }

  /** Write a field of at most 32 bits. */
  set32(index: number, value: number): void {
    this.record(index, value);
    this.stale |= CHECKS[index];
  }

  /** Write a field of exit information of at most 32 bits: nobody checks them. */
  record(index: number, value: number): void {
    this.words[PLACES[index]] = value;
  }

  /** The same of one of 64 bits. */
  recordHalves(index: number, low: number, high: number): void {
    const place = PLACES[index];
    this.words[place] = low;
    this.words[place + 1] = high;
  }

  set64(index: number, value: Long): void {
    this.setHalves(index, value.low, value.high);
  }

  /** Write a 64-bit field. */
  setHalves(index: number, low: number, high: number): void {
    this.recordHalves(index, low, high);
    this.stale |= CHECKS[index];
  }

  /** The region has room for fields of the processor's state too: remember what one holds now. */
  keep(index: number): void {
    const { words } = this;
    const place = PLACES[index];
    const room = FIRST_FIELD_WORD + 2 * index;
    words[room] = words[place];
    words[room + 1] = IS_WIDE[index] === 1 ? words[place + 1] : 0;
  }

  /** Such a field holds again what it held at {@link keep}. */
  giveBack(index: number): void {
    const { words } = this;
    const place = PLACES[index];
    const room = FIRST_FIELD_WORD + 2 * index;
    const isWide = IS_WIDE[index] === 1;
    if (words[room] === words[place] && (!isWide || words[room + 1] === words[place + 1])) return;
    if (isWide) this.setHalves(index, words[room], words[room + 1]);
    else this.set32(index, words[room]);
  }

  /** VMX-abort indicator. SDM 3, "VMX Aborts". */
  get abortIndicator(): number {
    return this.words[ABORT_WORD];
  }

  set abortIndicator(indicator: number) {
    this.words[ABORT_WORD] = indicator;
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
