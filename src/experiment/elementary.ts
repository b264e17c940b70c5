// Logarithm, exponential and arc tangent, of additions, multiplications, divisions and square roots
// alone, which IEEE 754 fixes to the bit: those of the language may differ between engines, and
// tables of results should not.

/** Natural logarithm of a positive number; relative error below 1e-14. */
export function ln(x: number): number {
  if (!(x > 0)) return Number.NaN;
  if (x === Number.POSITIVE_INFINITY) return x;
  let mantissa = x;
  let exponent = 0;
  for (; mantissa >= Math.SQRT2; mantissa /= 2) exponent++;
  for (; mantissa < Math.SQRT1_2; mantissa *= 2) exponent--;
  // ln m = 2 artanh((m - 1) / (m + 1)), and |s| < 0.172.
  const s = (mantissa - 1) / (mantissa + 1);
  const series = powerSeries(s, s * s, (n) => 1 / (2 * n + 1));
  return 2 * series + exponent * Math.LN2;
}

/** e to the power of x; relative error below 1e-14. */
export function exp(x: number): number {
  if (Number.isNaN(x) || x > 710) return x + Number.POSITIVE_INFINITY;
  if (x < -746) return 0;
  const halvings = Math.round(x / Math.LN2);
  const rest = x - halvings * Math.LN2;
  let sum = 1;
  let term = 1;
  for (let n = 1; n < 25; n++) {
    term *= rest / n;
    sum += term;
  }
  for (let n = 0; n < Math.abs(halvings); n++) sum = halvings > 0 ? sum * 2 : sum / 2;
  return sum;
}

/** Arc tangent, in radians. */
export function atan(x: number): number {
  if (Math.abs(x) === Number.POSITIVE_INFINITY) return (Math.sign(x) * Math.PI) / 2;
  // Three times atan x = 2 atan(x / (1 + sqrt(1 + x^2))) leaves |s| < 0.2.
  let s = x;
  for (let n = 0; n < 3; n++) s /= 1 + Math.sqrt(1 + s * s);
  return 8 * powerSeries(s, -s * s, (n) => 1 / (2 * n + 1));
}

/** first * (c(0) + c(1) ratio + c(2) ratio^2 + ...), for a ratio well below 1. */
function powerSeries(first: number, ratio: number, coefficient: (n: number) => number): number {
  let sum = 0;
  let power = first;
  for (let n = 0; n < 40; n++) {
    sum += power * coefficient(n);
    power *= ratio;
  }
  return sum;
}
