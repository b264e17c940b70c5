// How a toy guest starts: a flat program at 1 MiB, or an ELF image where its program headers say;
// all vCPUs in 64-bit mode at its first byte or entry point, RAM identity-mapped, a stack for each.
// The low megabyte holds what that needs:
//
//   00001000  PML4            00002000  PDPT            00003000  four page directories
//   00007000  GDT             00010000  stacks, 8 KiB for each vCPU, growing down
//
// The first 4 GiB are mapped with 2 MiB pages; beyond RAM they lead to devices (the local APIC at
// FEE00000). There is no IDT and no TSS: a program that wants interrupts or CPL 3 brings its own.

import Long from 'long';
import { enterLongMode } from '../cpu/index.ts';
import { Gpr } from '../isa/index.ts';
import type { Vcpu, Vm } from '../kvm/index.ts';
import { type ElfImage, type ElfProblem, isElf, readElf } from './elf.ts';
import { MAX_VCPUS } from './scenario.ts';
import { printSize } from './schema.ts';

/** Guest-physical address at which flat programs are loaded, and ELF images that ask for none. */
export const LOAD_ADDRESS = 0x100000;

const PML4 = 0x1000;
const PDPT = 0x2000;
const PAGE_DIRECTORIES = 0x3000;
const PAGE_DIRECTORY_COUNT = 4;
const GDT = 0x7000;
const STACKS = 0x10000;
const STACK_BYTES = 0x2000;

/** Selectors in the GDT: flat segments for CPL 0 and 3. */
export const Selector = { CODE: 0x08, DATA: 0x10, USER_DATA: 0x1b, USER_CODE: 0x23 } as const;

const PRESENT_WRITABLE_USER = 7;
const LARGE_PAGE = 0x80;

/** Null, code, data, user data, user code; all flat. */
const DESCRIPTORS: readonly (readonly [low: number, high: number])[] = [
  [0, 0],
  [0x0000ffff, 0x00af9b00],
  [0x0000ffff, 0x00cf9300],
  [0x0000ffff, 0x00cff300],
  [0x0000ffff, 0x00affb00],
];

/** What the loader keeps for itself; up to `end`. */
const OWN_RANGES: readonly (readonly [what: string, start: number, end: number])[] = [
  ['page tables and GDT', PML4, GDT + 0x1000],
  ['stacks', STACKS, STACKS + STACK_BYTES * MAX_VCPUS],
];

/** Bytes of program that fit into a guest's RAM. */
export function roomForProgram(ramBytes: number): number {
  return ramBytes - LOAD_ADDRESS;
}

/** The ELF image in a program's bytes, or what is wrong with it; null for a flat binary. */
export function elfOf(program: Uint8Array): ElfImage | ElfProblem | null {
  return isElf(program) ? readElf(program, LOAD_ADDRESS) : null;
}

/** Why an ELF image cannot be loaded into a guest's RAM; null if it can. */
export function placeProblem({ segments, entry }: ElfImage, ramBytes: number): string | null {
  for (const { index, physical, memoryBytes } of segments) {
    const end = physical + memoryBytes;
    const where = `segment ${index}, at ${hex(physical)} to ${hex(end)},`;
    if (end > ramBytes) {
      return `${where} is not within ${printSize(ramBytes)} of memory; --memory gives more`;
    }
    for (const [what, from, to] of OWN_RANGES) {
      if (physical >= to || end <= from) continue;
      const range = `${hex(from)} to ${hex(to)}`;
      const hint = `link it at ${hex(LOAD_ADDRESS)} or higher`;
      return `${where} lies where the loader puts ${what} (${range}); ${hint}`;
    }
  }
  const starts = segments.some(
    ({ physical, memoryBytes }) => entry.ge(physical) && entry.lt(physical + memoryBytes),
  );
  return starts ? null : `the entry point ${hex(entry)} is in none of its segments`;
}

function hex(value: number | Long): string {
  return `0x${value.toString(16)}`;
}

/**
 * Put a program and its surroundings into the guest's memory and start all vCPUs at it. Throws if
 * it is an ELF image that cannot be loaded.
 */
export function loadProgram(vm: Vm, program: Uint8Array): void {
  const image = elfOf(program);
  const entry = image === null ? loadFlat(vm, program) : loadElf(vm, image);
  writeTables(vm);
  for (const vcpu of vm.vcpus) startVcpu(vcpu, entry);
}

function loadFlat(vm: Vm, program: Uint8Array): number {
  vm.memory.write(vm.ramHpa + LOAD_ADDRESS, program);
  return LOAD_ADDRESS;
}

/** Memory is zero before: what a segment has beyond its contents needs no clearing. */
function loadElf(vm: Vm, image: ElfImage | ElfProblem): number {
  const problem = image.kind === 'problem' ? image.message : placeProblem(image, vm.ramBytes);
  if (image.kind === 'problem' || problem !== null) throw new RangeError(`program: ${problem}`);
  for (const { physical, contents } of image.segments) {
    vm.memory.write(vm.ramHpa + physical, contents);
  }
  return image.entry.toNumber();
}

function writeTables(vm: Vm): void {
  const write = (gpa: number, low: number, high = 0) =>
    vm.memory.write64(vm.ramHpa + gpa, low, high);
  write(PML4, PDPT | PRESENT_WRITABLE_USER);
  for (let i = 0; i < PAGE_DIRECTORY_COUNT; i++) {
    write(PDPT + 8 * i, (PAGE_DIRECTORIES + 0x1000 * i) | PRESENT_WRITABLE_USER);
  }
  for (let i = 0; i < 512 * PAGE_DIRECTORY_COUNT; i++) {
    write(PAGE_DIRECTORIES + 8 * i, (i << 21) | LARGE_PAGE | PRESENT_WRITABLE_USER);
  }
  DESCRIPTORS.forEach(([low, high], i) => {
    write(GDT + 8 * i, low, high);
  });
}

function startVcpu(vcpu: Vcpu, entry: number): void {
  const { state } = vcpu.virtual.processor;
  enterLongMode(state, {
    cr3: PML4,
    rip: entry,
    rsp: STACKS + STACK_BYTES * (vcpu.index + 1),
    codeSelector: Selector.CODE,
    dataSelector: Selector.DATA,
    gdtBase: GDT,
    gdtLimit: 8 * DESCRIPTORS.length - 1,
    cpl: 0,
  });
  state.set64(2 * Gpr.RDI, Long.fromInt(vcpu.index));
  state.set64(2 * Gpr.RSI, Long.fromInt(vcpu.vm.vcpus.length));
  state.set64(2 * Gpr.RDX, Long.fromNumber(vcpu.vm.ramBytes));
  vcpu.adoptControlRegisters();
}
