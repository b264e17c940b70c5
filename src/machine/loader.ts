// How a guest starts. A multiboot image is loaded as boot loaders do: the first vCPU in protected
// mode at its entry point, the others waiting for INIT and a start-up IPI.
//
// Everything else is a toy guest: a flat program at 1 MiB, or an ELF image where its program
// headers say; all vCPUs at its first byte or entry point, a stack for each, in 64-bit mode with
// RAM identity-mapped; an ELF32 image, or source for 32 bits, in 32-bit protected mode without
// paging. The low megabyte holds what that needs:
//
//   00001000  PML4            00002000  PDPT            00003000  four page directories
//   00007000  GDT             00010000  stacks, 8 KiB for each vCPU, growing down
//
// The first 4 GiB are mapped with 2 MiB pages; beyond RAM they lead to devices (the local APIC at
// FEE00000). There is no IDT and no TSS: a program that wants interrupts or CPL 3 brings its own.

import Long from 'long';
import type { LineMapEntry } from '../asm/index.ts';
import { enterLongMode, enterProtectedMode, resetState } from '../cpu/index.ts';
import { Gpr } from '../isa/index.ts';
import { awaitInit, type Vcpu, type Vm } from '../kvm/index.ts';
import { acpiTables } from './acpi-tables.ts';
import {
  BOOT_GDT,
  BOOT_GDT_LIMIT,
  BOOT_INFORMATION,
  type BootRequest,
  bootInformation,
  bootProblem,
} from './boot-information.ts';
import { type ElfImage, type ElfProblem, isElf, readElf } from './elf.ts';
import { type MultibootImage, multibootOf } from './multiboot.ts';
import { MAX_VCPUS, type Scenario } from './scenario.ts';
import { printSize } from './schema.ts';

type VmScenario = Scenario['vms'][number];

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

type Descriptor = readonly [low: number, high: number];

/** Null, code, data, user data, user code; all flat, the code of 64 or 32 bits. */
const DESCRIPTORS: Readonly<Record<32 | 64, readonly Descriptor[]>> = {
  64: [
    [0, 0],
    [0x0000ffff, 0x00af9b00],
    [0x0000ffff, 0x00cf9300],
    [0x0000ffff, 0x00cff300],
    [0x0000ffff, 0x00affb00],
  ],
  32: [
    [0, 0],
    [0x0000ffff, 0x00cf9b00],
    [0x0000ffff, 0x00cf9300],
    [0x0000ffff, 0x00cff300],
    [0x0000ffff, 0x00cffb00],
  ],
};
const GDT_LIMIT = 8 * DESCRIPTORS[64].length - 1;

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

/** Why a program cannot be loaded into a guest's RAM with what it is given; null if it can. */
export function loadProblem(
  program: Uint8Array,
  request: BootRequest,
  ramBytes: number,
): string | null {
  const multiboot = multibootOf(program);
  if (multiboot?.kind === 'problem') return multiboot.message;
  if (multiboot !== null) return bootProblem(multiboot, request, ramBytes);
  if (request.append !== '' || request.modules.length > 0) return NOT_MULTIBOOT;
  const image = elfOf(program);
  if (image?.kind === 'problem') return image.message;
  if (image !== null) return placeProblem(image, ramBytes);
  const room = roomForProgram(ramBytes);
  if (program.length <= room) return null;
  return `takes ${program.length} bytes, but there are ${room} above the load address`;
}

/** Why an ELF image cannot be loaded into a guest's RAM; null if it can. */
function placeProblem({ segments, entry }: ElfImage, ramBytes: number): string | null {
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
 * Put a program and its surroundings into the guest's memory and set all vCPUs to its start. Throws
 * if it is an image that cannot be loaded, or gets a command line or modules and is no multiboot
 * image.
 */
export function loadProgram(
  vm: Vm,
  program: Uint8Array,
  request: BootRequest,
  start: VmScenario['start'],
): void {
  const problem = loadProblem(program, request, vm.ramBytes);
  if (problem !== null) throw new RangeError(`program: ${problem}`);
  const multiboot = multibootOf(program);
  if (multiboot?.kind === 'multiboot') {
    loadMultiboot(vm, multiboot, request);
    return;
  }
  const image = elfOf(program);
  const elf = image?.kind === 'image' ? image : null;
  const bits = elf?.bits ?? (start === 'protected' ? 32 : 64);
  const entry = elf === null ? loadFlat(vm, program) : loadElf(vm, elf);
  writeTables(vm, bits);
  for (const vcpu of vm.vcpus) startVcpu(vcpu, bits, entry);
}

/**
 * What a virtual machine's configuration asks of a multiboot loader. Throws if there are not as
 * many files as modules.
 */
export function bootRequestOf(
  { program, append, modules }: Pick<VmScenario, 'program' | 'append' | 'modules'>,
  files: readonly Uint8Array[],
): BootRequest {
  if (files.length !== modules.length) throw new RangeError(`${modules.length} modules expected`);
  const named = modules.map((text, i) => ({ text, bytes: files[i] }));
  return { name: program === '' ? 'image' : program, append, modules: named };
}

/** Why a command line or modules cannot be given to a program. */
export const NOT_MULTIBOOT =
  'has no multiboot header, so nobody would find a command line or modules';

const LOADER_MAGIC = 0x2badb002;

/** Multiboot Specification, "Machine state". */
function loadMultiboot(vm: Vm, image: MultibootImage, request: BootRequest): void {
  for (const { address, contents } of image.segments) {
    vm.memory.write(vm.ramHpa + address, contents);
  }
  const information = bootInformation(image, request, vm.ramBytes);
  for (const { address, bytes } of [...information, ...acpiTables(vm.vcpus.length)]) {
    vm.memory.write(vm.ramHpa + address, bytes);
  }
  for (const vcpu of vm.vcpus.slice(1)) awaitInit(vcpu);
  const [first] = vm.vcpus;
  const { state } = first.virtual.processor;
  resetState(state);
  enterProtectedMode(state, {
    eip: image.entry,
    codeSelector: BOOT_GDT.code,
    dataSelector: BOOT_GDT.data,
    gdtBase: BOOT_GDT.address,
    gdtLimit: BOOT_GDT_LIMIT,
  });
  state.set64(2 * Gpr.RAX, Long.fromNumber(LOADER_MAGIC));
  state.set64(2 * Gpr.RBX, Long.fromNumber(BOOT_INFORMATION));
  first.adoptControlRegisters();
}

function loadFlat(vm: Vm, program: Uint8Array): number {
  vm.memory.write(vm.ramHpa + LOAD_ADDRESS, program);
  return LOAD_ADDRESS;
}

/** Memory is zero before: what a segment has beyond its contents needs no clearing. */
function loadElf(vm: Vm, image: ElfImage): number {
  for (const { physical, contents } of image.segments) {
    vm.memory.write(vm.ramHpa + physical, contents);
  }
  return image.entry.toNumber();
}

function writeTables(vm: Vm, bits: 32 | 64): void {
  const write = (gpa: number, low: number, high = 0) =>
    vm.memory.write64(vm.ramHpa + gpa, low, high);
  DESCRIPTORS[bits].forEach(([low, high], i) => {
    write(GDT + 8 * i, low, high);
  });
  if (bits === 32) return;
  write(PML4, PDPT | PRESENT_WRITABLE_USER);
  for (let i = 0; i < PAGE_DIRECTORY_COUNT; i++) {
    write(PDPT + 8 * i, (PAGE_DIRECTORIES + 0x1000 * i) | PRESENT_WRITABLE_USER);
  }
  for (let i = 0; i < 512 * PAGE_DIRECTORY_COUNT; i++) {
    write(PAGE_DIRECTORIES + 8 * i, (i << 21) | LARGE_PAGE | PRESENT_WRITABLE_USER);
  }
}

function startVcpu(vcpu: Vcpu, bits: 32 | 64, entry: number): void {
  const { state } = vcpu.virtual.processor;
  const rsp = STACKS + STACK_BYTES * (vcpu.index + 1);
  const segments = {
    codeSelector: Selector.CODE,
    dataSelector: Selector.DATA,
    gdtBase: GDT,
    gdtLimit: GDT_LIMIT,
  };
  if (bits === 64) enterLongMode(state, { cr3: PML4, rip: entry, rsp, cpl: 0, ...segments });
  else {
    resetState(state);
    enterProtectedMode(state, { eip: entry, ...segments });
    state.set64(2 * Gpr.RSP, Long.fromNumber(rsp));
  }
  state.set64(2 * Gpr.RDI, Long.fromInt(vcpu.index));
  state.set64(2 * Gpr.RSI, Long.fromInt(vcpu.vm.vcpus.length));
  state.set64(2 * Gpr.RDX, Long.fromNumber(vcpu.vm.ramBytes));
  vcpu.adoptControlRegisters();
}

/**
 * The mode in which an assembled flat program starts: that of its first code. Null for 16-bit code,
 * in which programs cannot start.
 */
export function flatStart(lineMap: readonly LineMapEntry[]): '64-bit' | 'protected' | null {
  switch (lineMap.find(({ codeSize }) => codeSize !== null)?.codeSize) {
    case 16:
      return null;
    case 32:
      return 'protected';
    default:
      return '64-bit';
  }
}
