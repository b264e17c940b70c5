// A VMCS that passes every VM-entry check: a 64-bit guest at CPL 0 with EPT under a 64-bit host.
// Tests of the checks change one thing of it.

import Long from 'long';
import { At, type FieldValues, Selector } from './vmx-bench.ts';

/** Control words: what the TRUE capability MSRs ask for, and a few bits on top. */
export const Controls = {
  /** External-interrupt exiting, NMI exiting, virtual NMIs. */
  PIN: 0x16 | 0x01 | 0x08 | 0x20,
  /** HLT exiting, secondary controls. */
  PRIMARY: (0x04006172 | 0x80 | (1 << 31)) >>> 0,
  /** EPT, RDTSCP. */
  SECONDARY: 0x02 | 0x08,
  /** Host address-space size. */
  EXIT: 0x00036dfb | 0x200,
  /** IA-32e mode guest. */
  ENTRY: 0x000011fb | 0x200,
} as const;

const KERNEL_ADDRESS = Long.fromBits(0x81000000, -1);
const PAT_RESET = Long.fromBits(0x00070406, 0x00070406);

/** @param ept hpa of the EPT root */
export function validVmcs(ept: number): FieldValues {
  return { ...controls(ept), ...guestRegisters(), ...guestSegments(), ...host() };
}

function controls(ept: number): FieldValues {
  return {
    PIN_BASED_VM_EXEC_CONTROL: Controls.PIN,
    CPU_BASED_VM_EXEC_CONTROL: Controls.PRIMARY,
    SECONDARY_VM_EXEC_CONTROL: Controls.SECONDARY,
    VM_EXIT_CONTROLS: Controls.EXIT,
    VM_ENTRY_CONTROLS: Controls.ENTRY,
    // Write-back, four levels.
    EPT_POINTER: ept + 6 + (3 << 3),
    TSC_MULTIPLIER: 2 ** 48,
    VMCS_LINK_POINTER: Long.NEG_ONE,
  };
}

function guestRegisters(): FieldValues {
  return {
    GUEST_CR0: 0x80010033,
    GUEST_CR3: At.PML4,
    GUEST_CR4: 0x2020,
    GUEST_IA32_EFER: 0xd01,
    GUEST_IA32_PAT: PAT_RESET,
    GUEST_DR7: 0x400,
    GUEST_RFLAGS: 2,
    GUEST_RIP: At.CODE,
    GUEST_RSP: At.STACK,
    GUEST_ACTIVITY_STATE: 0,
    GUEST_INTERRUPTIBILITY_INFO: 0,
    GUEST_PENDING_DBG_EXCEPTIONS: 0,
  };
}

function guestSegments(): FieldValues {
  const flat = { selector: Selector.DATA, rights: 0xc093, limit: 0xffffffff };
  return {
    ...segment('ES', flat),
    ...segment('CS', { selector: Selector.CODE, rights: 0xa09b, limit: 0xffffffff }),
    ...segment('SS', flat),
    ...segment('DS', flat),
    ...segment('FS', flat),
    ...segment('GS', flat),
    ...segment('LDTR', { selector: 0, rights: 0x10000, limit: 0 }),
    ...segment('TR', { selector: Selector.TSS, rights: 0x8b, limit: 0x67 }),
    GUEST_TR_BASE: At.TSS,
    GUEST_GDTR_BASE: At.GDT,
    GUEST_GDTR_LIMIT: 0x37,
    GUEST_IDTR_BASE: At.IDT,
    GUEST_IDTR_LIMIT: 0xfff,
  };
}

type SegmentName = 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'LDTR' | 'TR';

function segment(
  name: SegmentName,
  { selector, rights, limit }: { selector: number; rights: number; limit: number },
): FieldValues {
  return {
    [`GUEST_${name}_SELECTOR`]: selector,
    [`GUEST_${name}_AR_BYTES`]: rights,
    [`GUEST_${name}_LIMIT`]: limit,
    [`GUEST_${name}_BASE`]: 0,
  };
}

function host(): FieldValues {
  return {
    HOST_CR0: 0x80050033,
    HOST_CR3: 0x1000000,
    HOST_CR4: 0x20a0,
    HOST_IA32_EFER: 0xd01,
    HOST_IA32_PAT: PAT_RESET,
    HOST_CS_SELECTOR: 0x10,
    HOST_SS_SELECTOR: 0x18,
    HOST_TR_SELECTOR: 0x40,
    HOST_GS_BASE: KERNEL_ADDRESS,
    HOST_TR_BASE: KERNEL_ADDRESS,
    HOST_GDTR_BASE: KERNEL_ADDRESS,
    HOST_IDTR_BASE: KERNEL_ADDRESS,
    HOST_IA32_SYSENTER_ESP: KERNEL_ADDRESS,
    HOST_IA32_SYSENTER_EIP: KERNEL_ADDRESS,
    HOST_RSP: KERNEL_ADDRESS,
    HOST_RIP: KERNEL_ADDRESS,
  };
}
