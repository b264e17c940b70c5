// MurmurHash3_x86_128 by the vectors and the verification value that its author published.

import { describe, expect, test } from 'vitest';
import { Hash } from '../../src/sim/index.ts';

const ascii = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** The digest as bytes: four words, little-endian. */
function digestBytes(hash: Hash): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  const words = hash.digest().match(/.{8}/g) ?? [];
  words.forEach((word, i) => {
    view.setUint32(4 * i, Number.parseInt(word, 16), true);
  });
  return bytes;
}

describe('Hash', () => {
  test('has the verification value of SMHasher, which covers lengths 0 to 255 and seeds', () => {
    const all = new Hash();
    for (let length = 0; length < 256; length++) {
      const key = Uint8Array.from({ length }, (_, i) => i);
      all.bytes(digestBytes(new Hash(256 - length).bytes(key)));
    }
    expect(new DataView(digestBytes(all).buffer).getUint32(0, true)).toBe(0xb3ece62a);
  });

  test.each([
    ['', '00000000000000000000000000000000'],
    ['The quick brown fox jumps over the lazy dog', '2f1583c3ecee2c675d7bf66ce5e91d2c'],
  ])('%j', (text, digest) => {
    expect(new Hash().bytes(ascii(text)).digest()).toBe(digest);
  });

  test('pieces do not matter', () => {
    const data = Uint8Array.from({ length: 100 }, (_, i) => (i * 37) & 255);
    const whole = new Hash(3).bytes(data).digest();
    for (const size of [1, 3, 15, 16, 17, 33, 99]) {
      const hash = new Hash(3);
      for (let at = 0; at < data.length; at += size) hash.bytes(data.subarray(at, at + size));
      expect(hash.digest(), `pieces of ${size}`).toBe(whole);
    }
  });

  test('taking a digest does not disturb what follows', () => {
    const hash = new Hash().bytes(ascii('abc'));
    hash.digest();
    expect(hash.bytes(ascii('def')).digest()).toBe(new Hash().bytes(ascii('abcdef')).digest());
  });

  test('text is its UTF-8 after its length', () => {
    for (const text of ['', 'a', 'é', '€', '🙂', 'mixed é€🙂 text', '\u{10ffff}']) {
      const bytes = new TextEncoder().encode(text);
      const wanted = new Hash().number(bytes.length).bytes(bytes).digest();
      expect(new Hash().text(text).digest(), text).toBe(wanted);
    }
    expect(new Hash().text('ab').text('c').digest()).not.toBe(
      new Hash().text('a').text('bc').digest(),
    );
  });

  test('a number is the eight bytes of a double', () => {
    const bytes = new Uint8Array(new Float64Array([1234.5]).buffer);
    expect(new Hash().number(1234.5).digest()).toBe(new Hash().bytes(bytes).digest());
    expect(new Hash().number(0).digest()).not.toBe(new Hash().number(1).digest());
  });
});
