// Numbers and bytes as gdb's remote protocol writes them: two hexadecimal digits for each byte,
// registers and memory in the order of the target's memory, other numbers most significant first.

import Long from 'long';

/** Two digits for each byte. */
export function hexOfBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** The bytes of an even number of digits; null if it is not that. */
export function bytesOfHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0 || !/^[\da-f]*$/i.test(text)) return null;
  return Uint8Array.from({ length: text.length / 2 }, (_, i) =>
    Number.parseInt(text.slice(2 * i, 2 * i + 2), 16),
  );
}

/** The bytes of a text that has one character for each. */
export function bytesOfText(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
}

/** A text with one character for each byte. */
export function textOfBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** A number of up to 64 bits; null if the text is none. */
export function longOfHex(text: string): Long | null {
  return /^[\da-f]{1,16}$/i.test(text) ? Long.fromString(text, true, 16) : null;
}

/** A number that counts bytes or the like; null if the text is none, or it is 2^48 or more. */
export function countOfHex(text: string): number | null {
  return /^0*[\da-f]{1,12}$/i.test(text) ? Number.parseInt(text, 16) : null;
}

/** Without leading zeros. */
export function hexOfLong(value: Long): string {
  return value.toUnsigned().toString(16);
}

/** The lowest bytes of a number, in little-endian order. */
export function littleEndian(value: Long, lengthBytes: number): Uint8Array {
  return Uint8Array.from(value.toBytesLE()).subarray(0, lengthBytes);
}

/** The number that up to eight bytes in little-endian order are. */
export function longOfLittleEndian(bytes: Uint8Array): Long {
  let low = 0;
  let high = 0;
  bytes.forEach((byte, i) => {
    if (i < 4) low |= byte << (8 * i);
    else high |= byte << (8 * (i - 4));
  });
  return Long.fromBits(low, high, true);
}
