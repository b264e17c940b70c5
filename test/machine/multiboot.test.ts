// Multiboot images: what is one, where its bytes go, what the program is told, and in what state it
// starts. Multiboot Specification 0.6.96; what it leaves open is as in QEMU, which is asked.

import { describe, expect, test } from 'vitest';
import { bootRequestOf, loadProblem, Machine } from '../../src/machine/index.ts';
import { Ehdr32, edited, elf32Image, elfImage, little } from '../support/elf-image.ts';
import {
  assembleText,
  guestProgram,
  runGuest,
  runToEnd,
  scenarioOf,
} from '../support/guest-run.ts';
import { assembleFlat, multibootImage, runUnderQemu } from '../support/multiboot-image.ts';
import { missing } from '../support/outside-tools.ts';

const MAGIC = 0x1badb002;
const MEMORY = 2 ** 22;

const header = (flags: number, ...fields: readonly number[]) =>
  [MAGIC, flags, -(MAGIC + flags) >>> 0, ...fields].flatMap((word) => little(word, 4));

const words = (...values: readonly number[]) => values.flatMap((value) => little(value, 4));

/** A header with address fields at an offset, in a file of 256 bytes. */
function placed(
  fields: readonly [number, number, number, number, number],
  offset = 0,
  flags = 0x10000,
): Uint8Array {
  const bytes = new Uint8Array(Math.max(256, offset + 32));
  bytes.set(header(flags, ...fields), offset);
  return bytes;
}

const NOTHING: Parameters<typeof loadProblem>[1] = { name: 'test.asm', append: '', modules: [] };
const problemOf = (bytes: Uint8Array, request = NOTHING) => loadProblem(bytes, request, MEMORY);
const isMultiboot = (bytes: Uint8Array) => problemOf(bytes, { ...NOTHING, append: 'a' }) === null;

const START = 0x100000;
const GOOD = placed([START, START, 0, 0, START + 32]);

describe('a multiboot header', () => {
  test.each([0, 4, 1024, 8192 - 32])('may stand at offset %i', (offset) => {
    expect(isMultiboot(placed([START + offset, START, 0, 0, START], offset))).toBe(true);
  });

  test.each([
    ['not aligned', placed([START + 2, START, 0, 0, START], 2)],
    ['behind the first 8192 bytes', placed([START + 8192, START, 0, 0, START], 8192)],
    ['whose checksum is wrong', edited(GOOD, [[8, 4, 0]])],
    ['cut short', GOOD.slice(0, 11)],
  ])('is none if it is %s', (_, bytes) => {
    expect(problemOf(bytes, { ...NOTHING, append: 'a' })).toBe(
      'has no multiboot header, so nobody would find a command line or modules',
    );
    expect(problemOf(bytes)).toBeNull();
  });

  test.each([0x10001, 0x10002, 0x10004, 0x10007, 0x30000])('with flags %x is one', (flags) => {
    expect(isMultiboot(placed([START, START, 0, 0, START], 0, flags))).toBe(true);
  });

  test.each([
    [
      'flags that nobody knows',
      placed([START, START, 0, 0, START], 0, 0x10008),
      'has a multiboot header whose flags, 0x10008, ask for what nobody knows',
    ],
    [
      'no address fields',
      placed([START, START, 0, 0, START], 0, 3),
      'has a multiboot header without address fields (bit 16 of its flags), and is no ELF image: nobody can know where it goes',
    ],
    [
      'its end within the fields',
      GOOD.slice(0, 28),
      'has a multiboot header that ends within its address fields',
    ],
    [
      'its address below the load address',
      placed([START, START + 1, 0, 0, START]),
      'has a multiboot header with load_addr 0x100001 above header_addr 0x100000',
    ],
    [
      'more bytes before it than there are',
      placed([START + 8, START, 0, 0, START], 4),
      'has a multiboot header with header_addr 0x100008 and load_addr 0x100000, but it stands at offset 0x4 of the file',
    ],
    [
      'a load end too low',
      placed([START, START, START - 1, 0, START]),
      'has a multiboot header with load_end_addr 0xfffff below load_addr 0x100000',
    ],
    [
      'more to load than there is',
      placed([START, START, START + 257, 0, START]),
      'has 257 bytes at offset 0x0 to load, but ends at 0x100: it is truncated',
    ],
    [
      'an end of bss too low',
      placed([START, START, 0, START + 255, START]),
      'has a multiboot header with bss_end_addr 0x1000ff below the end of what is loaded, 0x100100',
    ],
    [
      'an entry point elsewhere',
      placed([START, START, 0, 0, START + 256]),
      'the entry point 0x100100 is in none of its segments',
    ],
    [
      'too much bss',
      placed([START, START, 0, MEMORY + 1, START]),
      'the image, at 0x100000 to 0x400001, is not within 4M of memory; --memory gives more',
    ],
    [
      'the place of the boot information',
      placed([0x8f01, 0x8f01, 0, 0, 0x8f01]),
      'the image, at 0x8f01 to 0x9001, lies where the loader puts the boot information (0x9000 to 0xa000)',
    ],
    [
      'the place of the ACPI tables',
      placed([0xf0fff, 0xf0fff, 0, 0, 0xf0fff]),
      'the image, at 0xf0fff to 0xf10ff, lies where the loader puts the ACPI tables (0xf0000 to 0xf1000)',
    ],
    [
      'no room behind it',
      placed([START, START, 0, MEMORY, START]),
      'the command line, behind the image at 0x400000 to 0x400011, is not within 4M of memory; --memory gives more',
    ],
  ])('with %s is refused', (_, bytes, message) => {
    expect(problemOf(bytes)).toBe(message);
    const scenario = scenarioOf({ vm: { memory: '4M' } });
    expect(() => new Machine(scenario, { programs: [bytes] })).toThrow(message);
  });

  test('modules must fit as well', () => {
    const modules = [0, 1].map((i) => ({ text: `m${i}`, bytes: new Uint8Array(2 ** 20 + 1) }));
    expect(
      problemOf(placed([START, START, 0, START + 2 ** 20, START]), { ...NOTHING, modules }),
    ).toBe(
      'module 1, behind the image at 0x302000 to 0x402001, is not within 4M of memory; --memory gives more',
    );
  });
});

/** Words of guest memory. */
function memoryWords(machine: Machine, gpa: number, count: number): number[] {
  const [{ memory, ramHpa }] = machine.vms;
  const view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset + ramHpa + gpa, 4 * count);
  return Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
}

function textAt(machine: Machine, gpa: number): string {
  const [vm] = machine.vms;
  const start = vm.ramHpa + gpa;
  const bytes = vm.memory.bytes.subarray(start, vm.memory.bytes.indexOf(0, start));
  return Buffer.from(bytes).toString('utf8');
}

describe('a loaded image', () => {
  const loaded = (program: Uint8Array, vm: object = {}, modules: Uint8Array[] = []) => {
    const scenario = scenarioOf({ vcpus: 3, pcpus: 2, vm: { memory: '4M', ...vm } });
    return new Machine(scenario, { programs: [program], modules: [modules] });
  };

  test('starts as the specification says, with the others waiting', () => {
    const machine = loaded(GOOD);
    const states = machine.vcpus.map(({ virtual }) => virtual.processor.state);
    const of = (i: number, names: readonly string[]) =>
      names.map((name) => states[i].get(name).toUnsigned().toString(16));
    expect(of(0, ['rax', 'rbx', 'rip', 'rflags', 'efer'])).toEqual([
      ...['2badb002', '9000', '100020', '2', '0'],
    ]);
    for (const segment of ['cs', 'ds', 'es', 'fs', 'gs', 'ss']) {
      const rights = segment === 'cs' ? 'c09b' : 'c093';
      expect(of(0, [`${segment}Base`, `${segment}Limit`, `${segment}Rights`])).toEqual([
        ...['0', 'ffffffff', rights],
      ]);
    }
    const { vmcs } = machine.vcpus[0].virtual;
    expect(vmcs.read('CR0_READ_SHADOW').toString(16)).toBe('11');
    expect(machine.vcpus.map(({ state }) => state.mpState)).toEqual([
      ...['runnable', 'uninitialized', 'uninitialized'],
    ]);
  });

  test('by address fields: from the load address on, and nothing behind its end', () => {
    const bytes = placed([START + 64, START + 32, START + 160, START + 300, START + 32], 64);
    bytes.fill(0xaa, 96);
    const machine = loaded(bytes);
    expect(memoryWords(machine, START + 64, 1)).toEqual([MAGIC]);
    expect(memoryWords(machine, START + 156, 3)).toEqual([0xaaaaaaaa, 0, 0]);
    expect(memoryWords(machine, START + 28, 1)).toEqual([0]);
  });

  test('finds the boot information', () => {
    const vm = { program: 'kernel', append: 'a  b', modules: ['one x y', 'dir/two'] };
    const files = [Uint8Array.from(words(0x11111111)), new Uint8Array(4097).fill(0x22)];
    const machine = loaded(GOOD, vm, files);
    const information = memoryWords(machine, 0x9000, 22);
    const [flags, lower, upper, device, line, count, modules] = information;
    expect([flags, lower, upper, device]).toEqual([0x24f, 639, 3072, 0x8000ffff]);
    expect(textAt(machine, line)).toBe('kernel a  b');
    expect(textAt(machine, information[16])).toBe('vmxlab');
    expect(information.slice(7, 11)).toEqual([0, 0, 0, 0]);
    expect(count).toBe(2);
    const [first, second] = [
      memoryWords(machine, modules, 4),
      memoryWords(machine, modules + 16, 4),
    ];
    expect([first[0] % 4096, first[1] - first[0], first[3]]).toEqual([0, 4, 0]);
    expect([second[0] % 4096, second[1] - second[0], second[3]]).toEqual([0, 4097, 0]);
    expect([textAt(machine, first[2]), textAt(machine, second[2])]).toEqual(['one x y', 'dir/two']);
    expect(memoryWords(machine, first[0], 2)).toEqual([0x11111111, 0]);
    expect(memoryWords(machine, second[0] + 4092, 2)).toEqual([0x22222222, 0x22]);
    expect(second[0]).toBeGreaterThanOrEqual(first[1]);
    expect(modules).toBeGreaterThanOrEqual(START + 256);
    const [mapLength, map] = information.slice(11, 13);
    expect(memoryWords(machine, map, mapLength / 4)).toEqual([
      ...[20, 0, 0, 0x9fc00, 0, 1],
      ...[20, 0x9fc00, 0, 0x400, 0, 2],
      ...[20, 0xf0000, 0, 0x10000, 0, 2],
      ...[20, START, 0, 0x300000, 0, 1],
    ]);
  });

  test('the command line has its space even if nothing follows, as in QEMU', () => {
    const machine = loaded(GOOD, { program: 'dir/kernel' });
    expect(textAt(machine, memoryWords(machine, 0x9010, 1)[0])).toBe('dir/kernel ');
  });

  test('needs as many files as modules', () => {
    expect(() => loaded(GOOD, { modules: ['a'] })).toThrow('1 modules expected');
    expect(() => bootRequestOf({ program: 'a', append: '', modules: [] }, [GOOD])).toThrow();
  });
});

describe('an ELF image with a multiboot header', () => {
  const CODE = 0x200000;
  const code = Uint8Array.from([...header(0), ...assembleText('bits 32\nmov eax, 0xf4\nhlt')]);

  test('of 32 bits starts at its entry point', () => {
    const bytes = edited(elf32Image({ code, codeAddress: CODE }), [[Ehdr32.ENTRY, 4, CODE + 12]]);
    const { report } = runGuest(bytes, { vm: { memory: '4M' } });
    expect(report.vcpus[0].registers).toMatchObject({ rax: 'f4', rbx: '9000', rip: '200012' });
  });

  // QEMU refuses these, GRUB takes them.
  test('of 64 bits starts in the same way', () => {
    const bytes = edited(elfImage({ code, codeAddress: CODE }), [[24, 8, CODE + 12]]);
    const { report } = runGuest(bytes, { vm: { memory: '4M' } });
    expect(report.vcpus[0].registers).toMatchObject({ rax: 'f4', rbx: '9000', rip: '200012' });
  });

  test('whose addresses differ starts where the entry point is loaded', () => {
    const high = 0xc0200000;
    const bytes = edited(elf32Image({ code, codeAddress: CODE }), [
      [Ehdr32.ENTRY, 4, high + 12],
      [52 + 8, 4, high],
    ]);
    const { report } = runGuest(bytes, { vm: { memory: '4M' } });
    expect(report.vcpus[0].registers).toMatchObject({ rax: 'f4', rip: '200012' });
  });

  test('is refused with the words that every ELF image is', () => {
    const bytes = elf32Image({ code, codeAddress: CODE });
    expect(problemOf(edited(bytes, [[Ehdr32.MACHINE, 2, 40]]))).toBe(
      'is an ELF file for Arm (e_machine 40); expected i386 (3)',
    );
    expect(problemOf(edited(bytes, [[52 + 12, 4, MEMORY]]))).toBe(
      'segment 0, at 0x400000 to 0x400012, is not within 4M of memory; --memory gives more',
    );
  });
});

describe('the programs', () => {
  test('multiboot-hello prints what it is told', () => {
    const vm = { program: 'hello', append: 'x', modules: ['m a b'], memory: '32M' };
    const machine = new Machine(scenarioOf({ vm }), {
      programs: [guestProgram('multiboot-hello.asm')],
      modules: [[new Uint8Array(7)]],
    });
    expect(runToEnd(machine).report.serial).toBe(`\
command line: hello x
memory: 639 KiB and 31744 KiB
00000000-0009FBFF RAM
0009FC00-0009FFFF reserved
000F0000-000FFFFF reserved
00100000-01FFFFFF RAM
module: 7 bytes, m a b
`);
  });

  test.each([
    [1, 1],
    [2, 1],
    [4, 2],
    [13, 3],
    [64, 5],
  ])('multiboot-processors finds %i on %i pCPUs', (vcpus, pcpus) => {
    const { report } = runGuest(guestProgram('multiboot-processors.asm'), { vcpus, pcpus });
    expect(report.output).toBe(`processors: ${vcpus} of ${vcpus}\n`);
    expect(report.exitCode).toBe(1);
  });

  test('a machine can be saved while processors start, and goes on in the same way', () => {
    const make = () =>
      new Machine(scenarioOf({ vcpus: 4, pcpus: 2 }), {
        programs: [guestProgram('multiboot-processors.asm')],
      });
    const whole = make();
    whole.run();
    for (const until of [1000, 20_050_000, 20_060_000, 20_080_000]) {
      const first = make();
      first.run(until);
      const second = make();
      second.restore(first.snapshot());
      second.run();
      expect(second.stateHash()).toBe(whole.stateHash());
    }
  });
});

const absent = missing('nasm') ?? missing('qemu-system-x86_64');
if (absent !== null) console.warn(`skipped: boot information as QEMU has it: ${absent}`);

describe.skipIf(absent !== null)('QEMU', () => {
  /** Prints registers as they are at the start, and those fields that have one answer. */
  const source = `
    buffer equ 0x400000
    start:
        mov esp, stack_end
        push eax
        pushfd
        mov edi, buffer
        pop edx
        pop eax
        stosd
        and edx, 0xfff30700         ; not the status flags
        mov eax, edx
        stosd
        mov eax, cr0
        stosd
        ${['cs', 'ds', 'es', 'fs', 'gs', 'ss'].map((r) => `mov eax, ${r}\nstosd`).join('\n')}
        ${[0, 4, 12, 20].map((at) => `mov eax, [ebx + ${at}]\nstosd`).join('\n')}
        mov esi, [ebx + 48]         ; the first three ranges of memory, without gaps
        mov ecx, 18
        rep movsd
        mov esi, [ebx + 24]         ; modules: place in the page, length, text, contents
        mov ebp, [ebx + 20]
    .module:
        mov eax, [esi]
        and eax, 4095
        stosd
        mov ecx, [esi + 4]
        sub ecx, [esi]
        mov eax, ecx
        stosd
        push esi
        mov esi, [esi]
        rep movsb
        pop esi
        mov edx, [esi + 8]
        call text
        add esi, 16
        dec ebp
        jnz .module
        mov edx, [ebx + 16]
        call text
        mov esi, buffer
        mov ecx, edi
        sub ecx, esi
        mov dx, 0xe9
        rep outsb
        xor eax, eax
        out 0xf4, eax
    text:
        mov al, [edx]
        inc edx
        stosb
        test al, al
        jnz text
        ret`;

  const files = { one: Uint8Array.of(1, 2, 3), two: new Uint8Array(5000).fill(7) };
  const modules = ['one with words', 'two'];

  test('tells the same', () => {
    const image = multibootImage(source);
    const options = ['-m', '16', '-append', 'a "b"  c', '-initrd', modules.join(',')];
    const { output } = runUnderQemu('image', { image, ...files }, 'console', options);
    const machine = new Machine(
      scenarioOf({ vm: { program: 'image', append: 'a "b"  c', modules, memory: '16M' } }),
      { programs: [image], modules: [Object.values(files)] },
    );
    runToEnd(machine);
    const ours = Buffer.from(machine.devices[0].state.console.output).toString('latin1');
    expect(ours).toBe(output);
    expect(output).toHaveLength(5177);
  });

  test('prints the same with multiboot-hello, but for what its firmware keeps', () => {
    const hello = guestProgram('multiboot-hello.asm');
    const options = ['-m', '32', '-append', 'x', '-initrd', 'one a b,two'];
    const { output } = runUnderQemu('hello', { hello, ...files }, 'serial', options);
    const vm = { program: 'hello', append: 'x', modules: ['one a b', 'two'], memory: '32M' };
    const machine = new Machine(scenarioOf({ vm }), {
      programs: [hello],
      modules: [Object.values(files)],
    });
    const { serial } = runToEnd(machine).report;
    const comparable = (text: string) =>
      text
        .replace(/and \d+ KiB/, 'and most KiB')
        .replace(/(00100000)-0[\dA-F]+/, '$1-end')
        .replace(/^(0[1-9A-F]|F)[\dA-F]+-.*\n/gm, '')
        // The address space of AMD's HyperTransport, above what the program can print.
        .replace(/^00000000-FFFFFFFF reserved\n/m, '');
    expect(comparable(serial)).toBe(comparable(output));
    expect(comparable(serial).split('\n')).toHaveLength(9);
  });

  // What TCG has, it does as we do; what it has not is not asked of it.
  test('passes the same checks of the platform', () => {
    const image = guestProgram('platform-check.asm');
    // By counting instructions, its time is virtual, too.
    const options = ['-m', '32', '-icount', 'shift=4'];
    const { output, status } = runUnderQemu('image', { image }, 'serial', options);
    const { serial } = runGuest(image, { vm: { memory: '32M' } }).report;
    const theirs = output.split('\n').filter((line) => !line.startsWith('SKIP'));
    expect(theirs.length).toBeGreaterThan(6);
    expect(serial.split('\n')).toEqual(expect.arrayContaining(theirs));
    expect(status).toBe(1);
  });

  test('starts as many processors', () => {
    const image = guestProgram('multiboot-processors.asm');
    const { output, status } = runUnderQemu('image', { image }, 'console', ['-smp', '3']);
    expect([output, status]).toEqual(['processors: 3 of 3\n', 1]);
  });

  test('refuses an ELF64 image, and takes one of 32 bits', () => {
    const code = [...header(0), ...assembleFlat('bits 32\nmov al, 7\nout 0xf4, al')];
    const data = Uint8Array.of(1);
    const parts = { code: Uint8Array.from(code), codeAddress: 0x200000, data };
    const wide = edited(elfImage(parts), [[24, 8, 0x20000c]]);
    const narrow = edited(elf32Image(parts), [[Ehdr32.ENTRY, 4, 0x20000c]]);
    expect(runUnderQemu('wide', { wide }, 'console', []).stderr).toMatch(/x86-64 image/);
    expect(runUnderQemu('narrow', { narrow }, 'console', []).status).toBe(15);
    expect(runGuest(narrow, { vm: { memory: '4M' } }).ending.exitCode).toBe(15);
  });
});
