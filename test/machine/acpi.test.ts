// The ACPI tables that multiboot programs find: as a program walks them under QEMU, so it does
// here. ACPI specification, "Root System Description Pointer", FADT and MADT.

import { describe, expect, test } from 'vitest';
import { Machine } from '../../src/machine/index.ts';
import { runToEnd, scenarioOf } from '../support/guest-run.ts';
import { multibootImage, runUnderQemu } from '../support/multiboot-image.ts';
import { missing } from '../support/outside-tools.ts';

/**
 * Tells in bytes: checksums of RSDP and RSDT; of the FADT its checksum, the PM timer's port and
 * length, the SCI, and whether the timer counts; of the MADT its checksum, the local APICs' address
 * and flags, each processor, the I/O APIC, and where line 0 is.
 */
const SOURCE = `
%macro tell 1
    mov al, %1
    out 0xe9, al
%endmacro
tell4:                          ; EAX
    mov ecx, 4
.next: out 0xe9, al
    shr eax, 8
    loop .next
    ret
check:                          ; table at ESI
    mov ecx, [esi + 4]
check_bytes:                    ; ECX bytes at ESI
    push esi
    xor edx, edx
.next: lodsb
    add dl, al
    loop .next
    pop esi
    tell dl
    ret
start:
    mov esp, stack_end
    mov esi, 0xe0000
.look:
    cmp dword [esi], 'RSD '
    jne .further
    cmp dword [esi + 4], 'PTR '
    je .found
.further:
    add esi, 16
    cmp esi, 0x100000
    jb .look
    tell 'X'
    jmp finish
.found:
    mov ecx, 20
    call check_bytes
    mov esi, [esi + 16]
    tell [esi]
    call check
    mov ebx, 36
.table:
    cmp ebx, [esi + 4]
    jae finish
    push esi
    mov esi, [esi + ebx]
    cmp dword [esi], 'FACP'
    je fixed
    cmp dword [esi], 'APIC'
    je processors
next_table:
    pop esi
    add ebx, 4
    jmp start.table
fixed:
    tell 'F'
    call check
    mov eax, [esi + 76]
    call tell4
    tell [esi + 91]
    tell [esi + 46]
    mov edx, [esi + 76]
    in eax, dx
    mov edi, eax
    mov ecx, 100000
.wait: loop .wait
    in eax, dx
    sub eax, edi
    and eax, 0xffffff
    cmp eax, 100
    seta al
    out 0xe9, al
    jmp next_table
processors:
    tell 'M'
    call check
    mov eax, [esi + 36]
    call tell4
    mov eax, [esi + 40]
    call tell4
    mov ebp, 44
.entry:
    cmp ebp, [esi + 4]
    jae next_table
    lea edi, [esi + ebp]
    cmp byte [edi], 0
    je .processor
    cmp byte [edi], 1
    je .ioapic
    cmp word [edi], 0x0a02
    jne .next
    cmp word [edi + 2], 0       ; of line 0; QEMU has more for PCI
    jne .next
    tell 'O'
    mov eax, [edi + 4]
    call tell4
    tell [edi + 8]
.next:
    movzx eax, byte [edi + 1]
    add ebp, eax
    jmp .entry
.processor:
    tell 'P'
    tell [edi + 2]
    tell [edi + 3]
    tell [edi + 4]
    jmp .next
.ioapic:
    tell 'I'
    mov eax, [edi + 4]
    call tell4
    mov eax, [edi + 8]
    call tell4
    jmp .next
finish:
    mov al, 0
    out 0xf4, al
    hlt
`;

const le = (value: number) =>
  String.fromCharCode(...[0, 8, 16, 24].map((s) => (value >>> s) & 255));

/** What a machine with three processors has to tell. */
const EXPECTED = [
  ...['\0', 'R', '\0'],
  ...['F', '\0', le(0x608), '\x04', '\x09', '\x01'],
  ...['M', '\0', le(0xfee00000), le(1)],
  ...[0, 1, 2].map((id) => `P${String.fromCharCode(id, id, 1)}`),
  ...['I', le(0xfec00000), le(0)],
  ...['O', le(2), '\0'],
].join('');

function ours(vcpus: number): string {
  const image = multibootImage(SOURCE);
  const machine = new Machine(scenarioOf({ vcpus, vm: { memory: '16M' } }), { programs: [image] });
  expect(runToEnd(machine).ending.exitCode).toBe(1);
  return Buffer.from(machine.devices[0].state.console.output).toString('latin1');
}

const noNasm = missing('nasm');
const noQemu = noNasm ?? missing('qemu-system-x86_64');
if (noQemu !== null) console.log(`ACPI tables are not compared with QEMU's: ${noQemu}`);

describe.skipIf(noNasm !== null)('a program finds', () => {
  test('pointer, timer, processors, I/O APIC and the override of line 0', () => {
    expect(ours(3)).toBe(EXPECTED);
  });

  test('as many processors as there can be', () => {
    expect(ours(64).split('P')).toHaveLength(1 + 64);
  });
});

test.skipIf(noQemu !== null)('under QEMU it tells the same', () => {
  const options = ['-m', '16', '-smp', '3'];
  const { output } = runUnderQemu('image', { image: multibootImage(SOURCE) }, 'console', options);
  expect(output).toBe(EXPECTED);
});
