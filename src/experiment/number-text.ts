// Numbers as reports show them: as many digits as they deserve, the same on every platform.

/** Four significant digits, and never fewer digits than a whole number has. */
export function numberText(value: number, significant = 4): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  if (Math.abs(value) >= 1e15 || Math.abs(value) < 1e-6)
    return value.toExponential(significant - 1);
  return value.toFixed(decimalsFor(value, significant));
}

/** A mean with half the width of its interval, to two digits of that: `251.6 ± 1.2`. */
export function estimateText(mean: number, halfWidth: number | null): string {
  if (halfWidth === null || !Number.isFinite(mean)) return numberText(mean);
  // All values were the same.
  if (halfWidth === 0) return `${numberText(mean)} ± 0`;
  if (Math.abs(mean) >= 1e15 || Math.abs(halfWidth) < 1e-6) {
    return `${numberText(mean)} ± ${halfWidth.toExponential(1)}`;
  }
  const decimals = decimalsFor(halfWidth, 2);
  return `${mean.toFixed(decimals)} ± ${halfWidth.toFixed(decimals)}`;
}

/** Decimals that show so many significant digits. */
function decimalsFor(value: number, significant: number): number {
  const exponent = Number(/e([+-]\d+)$/.exec(value.toExponential(significant - 1))?.[1] ?? 0);
  return Math.min(12, Math.max(0, significant - 1 - exponent));
}
