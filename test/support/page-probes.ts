// What is asked of a page in a browser: expressions that are evaluated there.

/** For each figure its width as shown and as drawn, and its height as shown, in CSS pixels. */
export const FIGURE_SIZES = `[...document.querySelectorAll('svg')].map((svg) => {
  const { width, height } = svg.getBoundingClientRect();
  return [width, Number(svg.getAttribute('width')), height];
})`;

/**
 * The least contrast of any text with what is behind it (WCAG 2.2: relative luminances plus 0.05,
 * divided), and that text. Behind text in a figure is the last opaque rectangle around its middle,
 * if there is one, else the page.
 */
export const FAINTEST_TEXT = `(() => {
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = parts(colour).map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = getComputedStyle(document.body).backgroundColor;
  const opaque = (colour) => parts(colour).length === 3;
  const behind = (element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    const boxes = [...(element.closest('svg')?.querySelectorAll('rect') ?? [])].filter((rect) => {
      const box = rect.getBoundingClientRect();
      return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
    });
    const fill = boxes.length === 0 ? page : getComputedStyle(boxes.at(-1)).fill;
    return opaque(fill) ? fill : opaque(page) ? page : 'rgb(255, 255, 255)';
  };
  const found = [...document.querySelectorAll('h1, h2, p, th, td, li, figcaption, text')].map(
    (element) => {
      const style = getComputedStyle(element);
      const colour = element.tagName === 'text' ? style.fill : style.color;
      const [dark, light] = [luminance(colour), luminance(behind(element))].sort((a, b) => a - b);
      return [(light + 0.05) / (dark + 0.05), element.textContent];
    },
  );
  return found.sort(([a], [b]) => a - b)[0];
})()`;

/** Pairs of texts in figures of which one is drawn over the other. */
export const TEXTS_OVER_EACH_OTHER = `[...document.querySelectorAll('svg')].flatMap((svg) => {
  const texts = [...svg.querySelectorAll('text')].map((text) => {
    return { says: text.textContent, box: text.getBoundingClientRect() };
  });
  return texts.flatMap(({ says, box }, i) => texts.slice(i + 1).flatMap((other) => {
    const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
    const high = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
    // Line boxes are higher than letters.
    return wide > 0 && high > 3 ? [[says, other.says]] : [];
  }));
})`;
