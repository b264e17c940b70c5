// SDM 2: flag control, time stamps, ports, model-specific registers, hypercalls
// and the other instructions that concern the processor rather than data.

import { asMemory, Flag, type Meaning, type SystemFunction } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import { type Form, instruction } from '../notation.ts';
import { Gpr, Segment } from '../registers.ts';
import type { Row } from '../row.ts';

const nothing: Meaning = () => {};

/** The instruction is one call of a system function without arguments. */
export function callOf(name: SystemFunction): Meaning {
  return (d) => void d.call(name);
}

function setFlag(name: Flag, value: 0 | 1): Meaning {
  return (d) => d.setFlag(name, d.bit(d.constant(8, value), 0));
}

/** The flags in AH, by bit; bit 1 is always 1. */
const AH_FLAGS = [
  [Flag.CF, 0],
  [Flag.PF, 2],
  [Flag.AF, 4],
  [Flag.ZF, 6],
  [Flag.SF, 7],
] as const;

const lahf: Meaning = (d) => {
  let image = d.constant(16, 2);
  for (const [name, bit] of AH_FLAGS) {
    image = d.or(image, d.shiftLeft(16, d.fromCondition(d.flag(name)), d.constant(8, bit)));
  }
  const al = d.register(8, Gpr.RAX);
  d.setRegister(16, Gpr.RAX, d.or(al, d.shiftLeft(16, image, d.constant(8, 8))));
};

const sahf: Meaning = (d) => {
  const ah = d.shiftRight(d.register(16, Gpr.RAX), d.constant(8, 8));
  for (const [name, bit] of AH_FLAGS) d.setFlag(name, d.bit(ah, bit));
};

/** CF says that there was a number; the other status flags are cleared. */
const random: Meaning = (d, dst) => {
  d.write(dst, d.truncate(d.instruction.width, d.call('random')));
  d.flagsOfLogic(8, d.constant(8, 1));
  d.setFlag(Flag.CF, d.bit(d.constant(8, 1), 0));
};

/** CLAC and STAC: whether the kernel's data accesses reach user pages under SMAP. */
function accessControl(value: 0 | 1): Meaning {
  return (d) => void d.call('setAccessControl', d.constant(8, value));
}

/** MONITOR and MWAIT have no extensions that ECX could ask for. */
const withoutExtensions: Meaning = (d) => {
  d.when(d.negate(d.isZero(d.register(32, Gpr.RCX))), () => d.raise('GP'));
};

const monitor: Meaning = (d) => {
  const { segmentOverride, addressWidth } = d.instruction;
  withoutExtensions(d, NO_OPERAND, NO_OPERAND, NO_OPERAND);
  const segment = segmentOverride < 0 ? Segment.DS : segmentOverride;
  d.load(8, segment, d.register(addressWidth, Gpr.RAX));
};

/** The descriptor in memory has 16 bytes: PCID and linear address. */
const invpcid: Meaning = (d, type, descriptor) => {
  const { segment, addressWidth } = asMemory(descriptor);
  const at = d.address(descriptor);
  const low = d.load(64, segment, at);
  const high = d.load(64, segment, d.add(addressWidth, at, d.constant(addressWidth, 8)));
  d.call('invalidateContext', d.read(type), low, high);
};

const NO_OPERAND: Operand = { kind: 'relative', displacement: 0 };

const hidden = { cost: 'system', privilege: 'hidden' } as const;

/**
 * What this processor has no use for, by CPUID or by bits of CR4 that cannot be set: #UD, as on
 * hardware without the feature.
 */
const ABSENT = [
  ['XGETBV', 'Get extended control register', '', 'NP 0F 01 D0'],
  ['XSETBV', 'Set extended control register', '', 'NP 0F 01 D1'],
  ['GETSEC', 'Safer mode extensions', '', 'NP 0F 37'],
  ['RSM', 'Resume from system management mode', '', '0F AA'],
  ['VMFUNC', 'Invoke VM function', '', 'NP 0F 01 D4'],
] as const;

const supervisor = { cost: 'system', privilege: 'supervisor' } as const;

function invpcidRows(form: Form): Row[] {
  const attributes = { ...supervisor, intercept: 'INVPCID' } as const;
  return instruction('INVPCID', 'Invalidate process-context identifier', attributes, invpcid, [
    form,
  ]);
}

const port = { cost: 'io', privilege: 'io', intercept: 'IO' } as const;
const fence = { cost: 'fence' } as const;

const inPort: Meaning = (d, dst, number) => d.write(dst, d.call('in', d.read(number)));
const outPort: Meaning = (d, number, src) => void d.call('out', d.read(number), d.read(src));

export const systemRows = [
  ...instruction('CLC', 'Clear CF', {}, setFlag(Flag.CF, 0), [['', 'F8']]),
  ...instruction('STC', 'Set CF', {}, setFlag(Flag.CF, 1), [['', 'F9']]),
  ...instruction('CMC', 'Complement CF', {}, (d) => d.setFlag(Flag.CF, d.negate(d.flag(Flag.CF))), [
    ['', 'F5'],
  ]),
  ...instruction('CLD', 'Clear DF', {}, setFlag(Flag.DF, 0), [['', 'FC']]),
  ...instruction('STD', 'Set DF', {}, setFlag(Flag.DF, 1), [['', 'FD']]),
  ...instruction('CLI', 'Clear IF', { privilege: 'iopl' }, callOf('clearInterruptFlag'), [
    ['', 'FA'],
  ]),
  ...instruction('STI', 'Set IF', { privilege: 'iopl' }, callOf('setInterruptFlag'), [['', 'FB']]),
  ...instruction('LAHF', 'Load status flags into AH', {}, lahf, [['', '9F']]),
  ...instruction('SAHF', 'Store AH into status flags', {}, sahf, [['', '9E']]),
  ...instruction('PAUSE', 'Spin loop hint', { cost: 'pause', intercept: 'PAUSE' }, nothing, [
    ['', 'F3 REX.B0 90'],
  ]),
  ...instruction('HLT', 'Halt', { ...supervisor, intercept: 'HLT' }, callOf('halt'), [['', 'F4']]),
  ...instruction(
    'CPUID',
    'CPU identification',
    { cost: 'cpuid', intercept: 'CPUID' },
    callOf('cpuid'),
    [['', '0F A2']],
  ),
  ...instruction(
    'RDTSC',
    'Read time-stamp counter',
    { cost: 'timestamp', privilege: 'tsc', intercept: 'RDTSC' },
    callOf('readTsc'),
    [['', '0F 31']],
  ),
  ...instruction(
    'RDTSCP',
    'Read time-stamp counter and processor ID',
    { cost: 'timestamp', privilege: 'tsc', intercept: 'RDTSCP' },
    callOf('readTscp'),
    [['', '0F 01 F9']],
  ),
  ...instruction(
    'RDMSR',
    'Read from model-specific register',
    { cost: 'msr', privilege: 'supervisor', intercept: 'RDMSR' },
    callOf('readMsr'),
    [['', '0F 32']],
  ),
  ...instruction(
    'WRMSR',
    'Write to model-specific register',
    { cost: 'msr', privilege: 'supervisor', intercept: 'WRMSR' },
    callOf('writeMsr'),
    [['', '0F 30']],
  ),
  ...instruction('IN', 'Input from port', port, inPort, [
    ['AL, uimm8', 'E4 ib'],
    ['AX, uimm8', 'o16 E5 ib'],
    ['EAX, uimm8', 'o32 E5 ib'],
    ['AL, DX', 'EC'],
    ['AX, DX', 'o16 ED'],
    ['EAX, DX', 'o32 ED'],
  ]),
  ...instruction('OUT', 'Output to port', port, outPort, [
    ['uimm8, AL', 'E6 ib'],
    ['uimm8, AX', 'o16 E7 ib'],
    ['uimm8, EAX', 'o32 E7 ib'],
    ['DX, AL', 'EE'],
    ['DX, AX', 'o16 EF'],
    ['DX, EAX', 'o32 EF'],
  ]),
  // Outside VMX operation both are undefined; in a guest VMCALL always leaves to the host first.
  ...instruction(
    'VMCALL',
    'Call to VM monitor',
    { cost: 'system', intercept: 'VMCALL' },
    (d) => d.raise('UD'),
    [['', '0F 01 C1']],
  ),
  ...instruction('VMMCALL', "Call to VM monitor, AMD's form", {}, (d) => d.raise('UD'), [
    ['', 'NP 0F 01 D9'],
  ]),
  ...instruction(
    'INVLPG',
    'Invalidate TLB entries',
    { ...supervisor, intercept: 'INVLPG' },
    (d, operand) => void d.call('invalidatePage', d.address(operand)),
    [['m', '0F 01 /7']],
  ),
  ...instruction(
    'CLTS',
    'Clear CR0.TS',
    { ...supervisor, intercept: 'MACHINE_STATUS' },
    callOf('clearTaskSwitched'),
    [['', '0F 06']],
  ),
  ...instruction(
    'SMSW',
    'Store machine status word',
    { cost: 'system', privilege: 'umip' },
    (d, dst) => d.write(dst, d.call('readControl', d.constant(8, 0))),
    [
      ['m16', '0F 01 /4'],
      ['r16|32|64', '0F 01 /4'],
    ],
  ),
  ...instruction(
    'LMSW',
    'Load machine status word',
    { ...supervisor, intercept: 'MACHINE_STATUS' },
    (d, src) => void d.call('writeMachineStatus', d.read(src)),
    [['r/m16', '0F 01 /6']],
  ),
  ...instruction('INVD', 'Invalidate caches', { ...supervisor, intercept: 'INVD' }, nothing, [
    ['', '0F 08'],
  ]),
  ...(['WBINVD', 'WBNOINVD'] as const).flatMap((name, i) =>
    instruction(name, 'Write caches back', { ...supervisor, intercept: 'WBINVD' }, nothing, [
      ['', i === 0 ? '0F 09' : 'F3 0F 09'],
    ]),
  ),
  ...instruction(
    'RDPID',
    'Read processor ID',
    { cost: 'timestamp', intercept: 'RDPID', operandSize: 'native' },
    (d, dst) => d.write(dst, d.call('readProcessorId')),
    [
      ['r32|64', 'F3 0F C7 /7'],
      // What NASM says for either.
      ['r32', 'o64 F3 0F C7 /7', { encodeOnly: true }],
    ],
  ),
  ...instruction(
    'RDPMC',
    'Read performance-monitoring counter',
    { cost: 'timestamp', privilege: 'pmc', intercept: 'RDPMC' },
    callOf('readCounter'),
    [['', '0F 33']],
  ),
  ...(['RDRAND', 'RDSEED'] as const).flatMap((name, i) =>
    instruction(name, 'Read random number', { cost: 'system' }, random, [
      ['r16|32|64', `NFx 0F C7 /${6 + i}`],
    ]),
  ),
  // Nothing is ever monitored, and MWAIT may wake at any time.
  ...instruction(
    'MONITOR',
    'Set up monitor address',
    { ...hidden, intercept: 'MONITOR' },
    monitor,
    [['', 'NP 0F 01 C8']],
  ),
  ...instruction('MWAIT', 'Monitor wait', { ...hidden, intercept: 'MWAIT' }, withoutExtensions, [
    ['', 'NP 0F 01 C9'],
  ]),
  ...instruction('CLAC', 'Clear RFLAGS.AC', hidden, accessControl(0), [['', 'NP 0F 01 CA']]),
  ...instruction('STAC', 'Set RFLAGS.AC', hidden, accessControl(1), [['', 'NP 0F 01 CB']]),
  ...invpcidRows(['r64, m128', 'o64 66 0F 38 82 /r']),
  ...invpcidRows(['r32, m128', '66 0F 38 82 /r', { not64: true }]),
  ...ABSENT.flatMap(([name, summary, operands, opcode]) =>
    instruction(name, summary, {}, (d) => d.raise('UD'), [[operands, opcode]]),
  ),
  ...instruction('SERIALIZE', 'Serialize execution', fence, nothing, [['', 'NP 0F 01 E8']]),
  ...instruction('LFENCE', 'Load fence', fence, nothing, [['', 'NP 0F AE E8-EF']]),
  ...instruction('MFENCE', 'Memory fence', fence, nothing, [['', 'NP 0F AE F0-F7']]),
  ...instruction('SFENCE', 'Store fence', fence, nothing, [['', 'NP 0F AE F8-FF']]),
];

/** A REX.W changes nothing here; assemblers put one before INVPCID. */
export const systemLeftovers = [
  ...instruction('IN', 'Input from port', port, inPort, [
    ['EAX, uimm8', 'o64 E5 ib'],
    ['EAX, DX', 'o64 ED'],
  ]),
  ...instruction('OUT', 'Output to port', port, outPort, [
    ['uimm8, EAX', 'o64 E7 ib'],
    ['DX, EAX', 'o64 EF'],
  ]),
  ...invpcidRows(['r64, m128', '66 0F 38 82 /r', { only64: true }]),
];
