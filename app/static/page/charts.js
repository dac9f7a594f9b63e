// Small drawings on canvases, in the colours of the page.

import { el } from "./dom.js";

/** A colour of the page by its name in page.css. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Colours that differ by hue, of about one lightness, for so many groups. */
export function palette(count) {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  return Array.from({ length: count }, (_, at) => `hsl(${(at * 137.5 + 210) % 360} 65% ${isDark ? 65 : 42}%)`);
}

/** A canvas that is sharp on every screen; `draw` gets its context, width and height in CSS pixels. */
export function canvas(width, height, label, draw) {
  const scale = Math.max(1, window.devicePixelRatio || 1);
  const element = el("canvas", { width: width * scale, height: height * scale, role: "img", "aria-label": label });
  Object.assign(element.style, { width: "100%", maxWidth: `${width}px`, aspectRatio: `${width} / ${height}` });
  const context = element.getContext("2d");
  context.scale(scale, scale);
  draw(context, width, height);
  return element;
}

/** A vector as bars, up and down from zero. */
export function bars(vector, width = 640, height = 56) {
  const most = vector.reduce((high, one) => Math.max(high, Math.abs(one)), 1e-9);
  return canvas(width, height, `${vector.length} numbers, the largest ${most.toFixed(3)}`, (context) => {
    const step = width / vector.length;
    vector.forEach((value, at) => {
      context.fillStyle = colour(value > 0 ? "positive" : "negative");
      const length = (Math.abs(value) / most) * (height / 2 - 1);
      context.fillRect(at * step, value > 0 ? height / 2 - length : height / 2, Math.max(step * 0.8, 0.5), length);
    });
  });
}

/** What a number did lately, as a line. */
export function spark(values, label, width = 220, height = 40) {
  const most = Math.max(...values, 1e-9);
  return canvas(width, height, label, (context) => {
    context.strokeStyle = colour("accent");
    context.lineWidth = 1.5;
    context.beginPath();
    values.forEach((value, at) => {
      const x = values.length > 1 ? (at / (values.length - 1)) * (width - 2) + 1 : 1;
      context.lineTo(x, height - 2 - (value / most) * (height - 4));
    });
    context.stroke();
  });
}
