// The VMCS as KVM sets it up for a new vCPU: controls, masks, host state.
// Linux arch/x86/kvm/vmx/vmx.c, init_vmcs, vmx_exec_control and vmx_set_constant_host_state.

import Long from 'long';
import { Cr0, Cr4, Efer, Msr, Vector } from '../cpu/index.ts';
import type { PhysicalMemory } from '../memory/index.ts';
import {
  CONTROL_WORDS,
  controlBits,
  EntryControl,
  ExitControl,
  type FieldName,
  Pin,
  PRIMARY,
  Primary,
  SECONDARY,
  Secondary,
  setMsrExit,
} from '../vmx/index.ts';
import { followApicMode } from './flexpriority.ts';
import { SOFT_DISABLED } from './lapic-timer.ts';
import { type DisabledExit, usesPreemptionTimer } from './parameters.ts';
import type { Vcpu } from './vcpu.ts';

export interface VmcsAddresses {
  /** hpa of the MSR bitmap page. */
  readonly msrBitmap: number;
  readonly eptPointer: number;
}

/** MSRs that the guest may access without an exit (vmx_possible_passthrough_msrs). */
const PASSED_THROUGH = [
  Msr.FS_BASE,
  Msr.GS_BASE,
  Msr.KERNEL_GS_BASE,
  Msr.SYSENTER_CS,
  Msr.SYSENTER_ESP,
  Msr.SYSENTER_EIP,
];

/** Clear the bits of passed-through MSRs in a bitmap, if they are allowed; the TSC may be read. */
export function passThroughMsrs(
  memory: PhysicalMemory,
  bitmap: number,
  isAllowed: (index: number, write: boolean) => boolean,
): void {
  for (const index of PASSED_THROUGH) {
    setMsrExit(memory, bitmap, index, false, !isAllowed(index, false));
    setMsrExit(memory, bitmap, index, true, !isAllowed(index, true));
  }
  setMsrExit(memory, bitmap, Msr.TSC, false, !isAllowed(Msr.TSC, false));
}

/** CR0 and CR4 bits that the guest owns. Linux kvm_cache_regs.h, KVM_POSSIBLE_CR*_GUEST_BITS. */
const CR0_GUEST_BITS = Cr0.TS;
const CR4_GUEST_BITS =
  Cr4.PVI | Cr4.DE | Cr4.PCE | Cr4.OSFXSR | Cr4.OSXMMEXCPT | Cr4.PGE | Cr4.TSD | Cr4.FSGSBASE;

const INTERCEPTED_EXCEPTIONS =
  (1 << Vector.UD) | (1 << Vector.DB) | (1 << Vector.AC) | (1 << Vector.MC);

/** The bits that must be 1 in a control word, with others on top. */
function withRequired(field: FieldName, wanted: number): Long {
  const word = CONTROL_WORDS.find((candidate) => candidate.field === field);
  return Long.fromInt((word?.mustBe1 ?? 0) | wanted, true);
}

export function initializeVmcs(vcpu: Vcpu, addresses: VmcsAddresses): void {
  const { vmcs } = vcpu.virtual;
  const { lapic } = vcpu;
  const { parameters, apicAccess } = vcpu.vm;
  const set = (field: FieldName, wanted: number) => vmcs.write(field, withRequired(field, wanted));
  const isDisabled = (exit: DisabledExit) => parameters.disabledExits.includes(exit);
  const timer = usesPreemptionTimer(parameters) ? Pin.VMX_PREEMPTION_TIMER : 0;
  set('PIN_BASED_VM_EXEC_CONTROL', Pin.EXT_INTR_MASK | Pin.NMI_EXITING | Pin.VIRTUAL_NMIS | timer);
  set(
    'CPU_BASED_VM_EXEC_CONTROL',
    (isDisabled('HLT') ? 0 : Primary.HLT_EXITING) |
      Primary.MWAIT_EXITING |
      Primary.MONITOR_EXITING |
      Primary.RDPMC_EXITING |
      Primary.USE_TSC_OFFSETTING |
      (lapic.page === null
        ? Primary.CR8_LOAD_EXITING | Primary.CR8_STORE_EXITING
        : Primary.TPR_SHADOW) |
      Primary.MOV_DR_EXITING |
      Primary.UNCOND_IO_EXITING |
      Primary.USE_MSR_BITMAPS |
      Primary.ACTIVATE_SECONDARY_CONTROLS |
      controlBits(PRIMARY, parameters.extraExits),
  );
  const scaled = vcpu.vm.tscKhz !== vcpu.vm.host.frequency.khz;
  const pauseLoops =
    parameters.pleGap === 0 || isDisabled('PAUSE') ? 0 : Secondary.PAUSE_LOOP_EXITING;
  set(
    'SECONDARY_VM_EXEC_CONTROL',
    Secondary.ENABLE_EPT |
      Secondary.ENABLE_VPID |
      Secondary.ENABLE_RDTSCP |
      Secondary.ENABLE_INVPCID |
      Secondary.UNRESTRICTED_GUEST |
      pauseLoops |
      (scaled ? Secondary.TSC_SCALING : 0) |
      controlBits(SECONDARY, parameters.extraExits),
  );
  if (scaled) vmcs.write('TSC_MULTIPLIER', vcpu.vm.tscMultiplier);
  set(
    'VM_EXIT_CONTROLS',
    ExitControl.SAVE_DEBUG_CONTROLS |
      ExitControl.HOST_ADDR_SPACE_SIZE |
      ExitControl.ACK_INTR_ON_EXIT |
      ExitControl.LOAD_IA32_EFER,
  );
  // "IA-32e mode guest" comes with the guest's registers.
  set('VM_ENTRY_CONTROLS', EntryControl.LOAD_DEBUG_CONTROLS | EntryControl.LOAD_IA32_EFER);
  vmcs.write('EXCEPTION_BITMAP', INTERCEPTED_EXCEPTIONS);
  vmcs.write('MSR_BITMAP', addresses.msrBitmap);
  vmcs.write('EPT_POINTER', addresses.eptPointer);
  vmcs.write('VIRTUAL_PROCESSOR_ID', 1 + vcpu.index);
  vmcs.write('CR0_GUEST_HOST_MASK', Long.fromInt(CR0_GUEST_BITS).not());
  vmcs.write('CR4_GUEST_HOST_MASK', Long.fromInt(CR4_GUEST_BITS).not());
  vmcs.write('PLE_GAP', parameters.pleGap);
  vmcs.write('PLE_WINDOW', parameters.pleWindow);
  vmcs.write('VMX_PREEMPTION_TIMER_VALUE', SOFT_DISABLED);
  vmcs.write('VMCS_LINK_POINTER', Long.NEG_ONE);
  if (lapic.page !== null) vmcs.write('VIRTUAL_APIC_PAGE_ADDR', lapic.page.hpa);
  if (apicAccess !== null) vmcs.write('APIC_ACCESS_ADDR', apicAccess.hpa);
  followApicMode(vcpu);
  setHostState(vcpu);
}

/** Values of a 64-bit Linux host; nothing here executes them, but entry checks look at them. */
function setHostState(vcpu: Vcpu): void {
  const { vmcs } = vcpu.virtual;
  const kernel = (low: number) => Long.fromBits(low, -1);
  vmcs.write('HOST_CR0', Cr0.PE + Cr0.MP + Cr0.ET + Cr0.NE + Cr0.WP + Cr0.AM + 2 ** 31);
  vmcs.write('HOST_CR3', 0x1000000);
  vmcs.write('HOST_CR4', Cr4.DE | Cr4.PSE | Cr4.PAE | Cr4.MCE | Cr4.PGE | Cr4.VMXE);
  vmcs.write('HOST_IA32_EFER', Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE);
  vmcs.write('HOST_CS_SELECTOR', 0x10);
  vmcs.write('HOST_SS_SELECTOR', 0x18);
  vmcs.write('HOST_TR_SELECTOR', 0x40);
  vmcs.write('HOST_GS_BASE', kernel(0x88000000));
  vmcs.write('HOST_TR_BASE', kernel(0xfe003000));
  vmcs.write('HOST_GDTR_BASE', kernel(0xfe001000));
  vmcs.write('HOST_IDTR_BASE', kernel(0xfe000000));
  vmcs.write('HOST_RSP', kernel(0xc9000000));
  vmcs.write('HOST_RIP', kernel(0x81000000));
}
