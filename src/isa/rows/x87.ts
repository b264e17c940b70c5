// SDM 2: the control instructions of the x87 FPU, and FXSAVE and FXRSTOR. Everything that computes
// with its registers exists on processors and not here.

import { asMemory, type Domain, type Meaning } from '../domain.ts';
import { instruction } from '../notation.ts';

/** Of the image of FXSAVE: quadwords that are not XMM registers, and where those begin. */
const FPU_QUADWORDS = 20;
const XMM_START = 160;
const AREA_BYTES = 512;
/** What of it has to lie in its segment before alignment counts, on the processors at hand. */
const SEGMENT_CHECK_BYTES = 4;

/** Only 64-bit code reaches, and saves, the upper eight. */
function xmmCount<V, B>(d: Domain<V, B>): number {
  return d.instruction.codeSize === 64 ? 16 : 8;
}

/** An offset within the image, which is found within the address size. */
function within<V, B>(d: Domain<V, B>, start: V, bytes: number): V {
  const { addressWidth } = d.instruction;
  return d.add(addressWidth, start, d.constant(addressWidth, bytes));
}

const save: Meaning = (d, dst) => {
  const { segment } = asMemory(dst);
  d.align(dst, 16, SEGMENT_CHECK_BYTES);
  const start = d.address(dst);
  const at = (bytes: number) => within(d, start, bytes);
  // It may lie in two pages: all is stored, or nothing. Processors look at the end first.
  d.loadForWrite(8, segment, within(d, start, AREA_BYTES - 1));
  d.loadForWrite(8, segment, start);
  const image = Array.from({ length: FPU_QUADWORDS }, (_, i) =>
    d.call('readFpuImage', d.constant(8, i)),
  );
  image.forEach((value, i) => {
    d.store(64, segment, at(8 * i), value);
  });
  for (let i = 0; i < 2 * xmmCount(d); i++) {
    d.store(64, segment, at(XMM_START + 8 * i), d.xmm(64, i >> 1, i & 1));
  }
};

const restore: Meaning = (d, src) => {
  const { segment } = asMemory(src);
  d.align(src, 16, SEGMENT_CHECK_BYTES);
  const start = d.address(src);
  const load = (bytes: number) => d.load(64, segment, within(d, start, bytes));
  d.load(8, segment, within(d, start, AREA_BYTES - 1));
  const image = Array.from({ length: FPU_QUADWORDS }, (_, i) => load(8 * i));
  const registers = Array.from({ length: 2 * xmmCount(d) }, (_, i) => load(XMM_START + 8 * i));
  d.call('loadFpuImage', ...image);
  registers.forEach((value, i) => {
    d.setXmm(64, i >> 1, i & 1, value);
  });
};

const loadControl: Meaning = (d, src) => {
  d.call('verifyFpu');
  d.call('loadFpuControl', d.read(src));
};

const FPU = { unit: 'fpu' } as const;

export const x87Rows = [
  ...instruction('FNINIT', 'Initialize the FPU', FPU, (d) => d.call('initializeFpu'), [
    ['', 'DB E3'],
  ]),
  ...instruction('FNCLEX', 'Clear exceptions', FPU, (d) => d.call('clearFpuExceptions'), [
    ['', 'DB E2'],
  ]),
  ...instruction('FLDCW', 'Load the control word', FPU, loadControl, [['m16', 'D9 /5']]),
  ...instruction(
    'FNSTCW',
    'Store the control word',
    FPU,
    (d, dst) => d.write(dst, d.call('readFpuControl')),
    [['m16', 'D9 /7']],
  ),
  ...instruction(
    'FNSTSW',
    'Store the status word',
    FPU,
    (d, dst) => d.write(dst, d.call('readFpuStatus')),
    [
      ['AX', 'DF E0'],
      ['m16', 'DD /7'],
    ],
  ),
  ...instruction('FWAIT', 'Wait for the FPU', { unit: 'wait' }, (d) => d.call('verifyFpu'), [
    ['', '9B'],
  ]),
  ...instruction(
    'EMMS',
    'Empty MMX technology state',
    FPU,
    (d) => {
      d.call('verifyFpu');
      d.call('emptyFpu');
    },
    [['', 'NP 0F 77']],
  ),
  ...instruction('FXSAVE', 'Save FPU and SSE state', FPU, save, [['m', 'NP 0F AE /0']]),
  ...instruction('FXSAVE64', 'Save FPU and SSE state', FPU, save, [['m', 'o64 NP 0F AE /0']]),
  ...instruction('FXRSTOR', 'Restore FPU and SSE state', FPU, restore, [['m', 'NP 0F AE /1']]),
  ...instruction('FXRSTOR64', 'Restore FPU and SSE state', FPU, restore, [
    ['m', 'o64 NP 0F AE /1'],
  ]),
];
