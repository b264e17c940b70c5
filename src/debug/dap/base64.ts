// Base64, for a core that knows neither Node nor the DOM. RFC 4648, section 4.

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const group = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    for (let digit = 0; digit < 4; digit++) {
      text += digit <= left ? DIGITS[(group >> (18 - 6 * digit)) & 63] : '=';
    }
  }
  return text;
}

/** Null if the text is not base64. */
export function fromBase64(text: string): Uint8Array | null {
  const isRight = /^[A-Za-z\d+/]*={0,2}$/.test(text) && text.length % 4 === 0;
  if (!isRight) return null;
  const digits = text.replace(/=+$/, '');
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let group = 0;
  let at = 0;
  [...digits].forEach((digit, i) => {
    group = ((group << 6) | DIGITS.indexOf(digit)) & 0xffffff;
    const bits = (6 * (i + 1)) % 8;
    if (bits < 6) bytes[at++] = group >> bits;
  });
  return bytes;
}
