// Storage, allocation, and who hears of writes to watched lines.

import { describe, expect, test } from 'vitest';
import { PAGE_SIZE, PhysicalMemory, Watch } from '../../src/memory/index.ts';
import { Prng } from '../../src/sim/index.ts';

const LINE = 64;

/** Memory that records which lines its listeners are told of. */
function listened(pages = 4) {
  const memory = new PhysicalMemory(pages * PAGE_SIZE);
  const code: number[] = [];
  const translation: number[] = [];
  memory.onLineWritten(Watch.CODE, (hpa) => code.push(hpa));
  memory.onLineWritten(Watch.TRANSLATION, (hpa) => translation.push(hpa));
  return { memory, code, translation };
}

describe('allocation', () => {
  test('hands out pages from the bottom up', () => {
    const memory = new PhysicalMemory(8 * PAGE_SIZE);
    expect(memory.allocatePages(1)).toBe(0);
    expect(memory.allocatePages(2)).toBe(PAGE_SIZE);
    expect(memory.allocatePages(1)).toBe(3 * PAGE_SIZE);
  });

  test('aligns on demand', () => {
    const memory = new PhysicalMemory(16 * PAGE_SIZE);
    memory.allocatePages(1);
    expect(memory.allocatePages(1, 4 * PAGE_SIZE)).toBe(4 * PAGE_SIZE);
    expect(memory.allocatePages(1)).toBe(5 * PAGE_SIZE);
    expect(memory.allocatePages(1, 8 * PAGE_SIZE)).toBe(8 * PAGE_SIZE);
  });

  test('ends with the memory, to the page', () => {
    const memory = new PhysicalMemory(3 * PAGE_SIZE);
    memory.allocatePages(3);
    expect(() => memory.allocatePages(1)).toThrow(RangeError);
  });

  test('a request that does not fit fails whole', () => {
    const memory = new PhysicalMemory(3 * PAGE_SIZE);
    expect(() => memory.allocatePages(4)).toThrow('physical memory exhausted');
  });
});

describe('storage', () => {
  test('is zero at first, and one buffer through all views', () => {
    const memory = new PhysicalMemory(2 * PAGE_SIZE);
    expect(memory.bytes.every((byte) => byte === 0)).toBe(true);
    memory.write64(PAGE_SIZE + 8, 0x11223344, 0x55667788);
    expect(memory.view.getBigUint64(PAGE_SIZE + 8, true)).toBe(0x5566778811223344n);
    expect([...memory.page(1).subarray(8, 12)]).toEqual([0x44, 0x33, 0x22, 0x11]);
  });

  test('can lie in a buffer that is given', () => {
    const buffer = new ArrayBuffer(2 * PAGE_SIZE);
    const memory = new PhysicalMemory(PAGE_SIZE, buffer);
    memory.write(5, Uint8Array.of(7));
    expect(new Uint8Array(buffer)[5]).toBe(7);
    expect(memory.bytes.length).toBe(PAGE_SIZE);
  });

  test('writing nothing does nothing', () => {
    const { memory, code } = listened();
    memory.watch(Watch.CODE, 0, 1);
    memory.write(0, new Uint8Array(0));
    expect([memory.touchedPages(), code]).toEqual([[], []]);
  });
});

describe('touched pages', () => {
  test('are those with a byte written, at both ends', () => {
    const memory = new PhysicalMemory(8 * PAGE_SIZE);
    memory.write(PAGE_SIZE - 1, Uint8Array.of(1, 1));
    expect(memory.touchedPages()).toEqual([0, 1]);
    memory.write64(5 * PAGE_SIZE - 8, 1, 1);
    expect(memory.touchedPages()).toEqual([0, 1, 4]);
    memory.noteWrite(6 * PAGE_SIZE, 2 * PAGE_SIZE);
    expect(memory.touchedPages()).toEqual([0, 1, 4, 6, 7]);
  });
});

describe('watched lines', () => {
  test('a write to the line is told once, with the address of the line', () => {
    const { memory, code } = listened();
    memory.watch(Watch.CODE, 2 * LINE + 10, 1);
    memory.write(2 * LINE + 63, Uint8Array.of(1));
    memory.write(2 * LINE, Uint8Array.of(1));
    expect(code).toEqual([2 * LINE]);
  });

  test('neighbouring lines are not watched', () => {
    const { memory, code } = listened();
    memory.watch(Watch.CODE, 2 * LINE, LINE);
    memory.write(LINE, new Uint8Array(LINE));
    memory.write(3 * LINE, new Uint8Array(LINE));
    expect(code).toEqual([]);
  });

  test('a range watches every line that it touches', () => {
    const { memory, code } = listened();
    memory.watch(Watch.CODE, LINE - 1, LINE + 2);
    memory.write(0, new Uint8Array(5 * LINE));
    expect(code).toEqual([0, LINE, 2 * LINE]);
  });

  test('each kind has its listeners; a write ends the watch of both', () => {
    const { memory, code, translation } = listened();
    memory.watch(Watch.CODE, 0, LINE);
    memory.watch(Watch.TRANSLATION, 0, LINE);
    memory.watch(Watch.TRANSLATION, LINE, 8);
    memory.write64(LINE, 1, 0);
    expect([code, translation]).toEqual([[], [LINE]]);
    memory.write64(0, 1, 0);
    expect([code, translation]).toEqual([[0], [LINE, 0]]);
    memory.write64(0, 2, 0);
    expect([code, translation]).toEqual([[0], [LINE, 0]]);
  });

  test('a listener may watch the line again', () => {
    const memory = new PhysicalMemory(PAGE_SIZE);
    let told = 0;
    memory.onLineWritten(Watch.CODE, (hpa) => {
      told++;
      memory.watch(Watch.CODE, hpa, 1);
    });
    memory.watch(Watch.CODE, 0, 1);
    memory.write(0, Uint8Array.of(1));
    memory.write(0, Uint8Array.of(1));
    expect(told).toBe(2);
  });

  test('agrees with a set of lines over random watches and writes', () => {
    const { memory, code } = listened(2);
    const prng = new Prng(9);
    const watched = new Set<number>();
    for (let n = 0; n < 2000; n++) {
      const hpa = prng.below(2 * PAGE_SIZE - 200);
      const lengthBytes = 1 + prng.below(200);
      const lines: number[] = [];
      for (let line = hpa - (hpa % LINE); line < hpa + lengthBytes; line += LINE) lines.push(line);
      if (prng.below(2) === 0) {
        memory.watch(Watch.CODE, hpa, lengthBytes);
        for (const line of lines) watched.add(line);
        continue;
      }
      code.length = 0;
      memory.write(hpa, new Uint8Array(lengthBytes));
      expect(code).toEqual(lines.filter((line) => watched.delete(line)));
    }
  });
});
