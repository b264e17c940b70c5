// The registers of FPU and SSE as FXSAVE64 stores them, by the state's names: SDM 1, "FXSAVE Area".

import Long from 'long';
import type { ProcessorState } from '../../src/cpu/index.ts';

/** Where things lie in the image. */
export const MXCSR_AT = 24;
const MASK_AT = 28;
const DATA_AT = 32;
export const XMM_AT = 160;
export const XMM_END = 416;

const ALL_BITS = 0xffff;

/** Parts to compare: a name, and bytes from and to. MXCSR_MASK is not state. */
export const IMAGE_PARTS: readonly (readonly [name: string, from: number, to: number])[] = [
  ['fcw', 0, 2],
  ['fsw', 2, 4],
  ['ftw', 4, 6],
  ['fop', 6, 8],
  ['fip', 8, 16],
  ['fdp', 16, 24],
  ['mxcsr', MXCSR_AT, MASK_AT],
  ...Array.from({ length: 8 }, (_, i) => {
    const from = DATA_AT + 16 * i;
    return [`st${i}`, from, from + 16] as const;
  }),
  ...Array.from({ length: 16 }, (_, i) => {
    const from = XMM_AT + 16 * i;
    return [`xmm${i}`, from, from + 16] as const;
  }),
];

/** A part of an image as one hexadecimal number. */
export function partText(image: Uint8Array, from: number, to: number): string {
  return Buffer.from(image.slice(from, to).reverse()).toString('hex');
}

/** FXSAVE counts data registers from the top of the stack. */
function physical(statusWord: number, i: number): number {
  return ((statusWord >> 11) + i) & 7;
}

export function setImage(state: ProcessorState, image: Uint8Array): void {
  const view = new DataView(image.buffer, image.byteOffset);
  const long = (at: number) => Long.fromBits(view.getInt32(at, true), view.getInt32(at + 4, true));
  const fsw = view.getUint16(2, true);
  state.set('fcw', Long.fromInt(view.getUint16(0, true)));
  state.set('fsw', Long.fromInt(fsw));
  state.set('ftw', Long.fromInt(image[4]));
  state.set('fop', Long.fromInt(view.getUint16(6, true)));
  state.set('fip', long(8));
  state.set('fdp', long(16));
  state.set('mxcsr', Long.fromInt(view.getInt32(MXCSR_AT, true)));
  for (let i = 0; i < 8; i++) {
    const at = DATA_AT + 16 * i;
    state.set(`fpr${physical(fsw, i)}Significand`, long(at));
    state.set(`fpr${physical(fsw, i)}Exponent`, Long.fromInt(view.getUint16(at + 8, true)));
  }
  for (let i = 0; i < 16; i++) {
    state.set(`xmm${i}Low`, long(XMM_AT + 16 * i));
    state.set(`xmm${i}High`, long(XMM_AT + 16 * i + 8));
  }
}

export function imageOf(state: ProcessorState): Uint8Array {
  const image = new Uint8Array(512);
  const view = new DataView(image.buffer);
  const put = (at: number, name: string) => {
    const { low, high } = state.get(name);
    view.setInt32(at, low, true);
    view.setInt32(at + 4, high, true);
  };
  const fsw = state.get('fsw').low;
  // From the end on, for each is written as eight bytes.
  for (let i = 15; i >= 0; i--) {
    put(XMM_AT + 16 * i + 8, `xmm${i}High`);
    put(XMM_AT + 16 * i, `xmm${i}Low`);
  }
  for (let i = 7; i >= 0; i--) {
    put(DATA_AT + 16 * i + 8, `fpr${physical(fsw, i)}Exponent`);
    put(DATA_AT + 16 * i, `fpr${physical(fsw, i)}Significand`);
  }
  put(MXCSR_AT, 'mxcsr');
  put(16, 'fdp');
  put(8, 'fip');
  view.setUint16(6, state.get('fop').low, true);
  view.setUint16(4, state.get('ftw').low, true);
  view.setUint16(2, fsw, true);
  view.setUint16(0, state.get('fcw').low, true);
  view.setInt32(MASK_AT, ALL_BITS, true);
  return image;
}
