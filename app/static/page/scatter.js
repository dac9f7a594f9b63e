// Points on a canvas: coloured, chosen by mouse, finger or arrow keys.

import { colour, palette } from "./charts.js";
import { el } from "./dom.js";

const GROUPS = 12; // colours that can be told apart; the rest share one
const NEAR = 14; // pixels within which a point is meant

/** `{element, legend, show(points), paint(values), choose(at)}`; `chosen` is called with a point's position. */
export function scatter(count, chosen) {
  let points = [], colours = [], at = -1, marked = new Set();
  const element = el("canvas", { class: "map", tabindex: "0", role: "img", "aria-label": `A map of ${count} points; arrow keys go from one to the next` });
  const legend = el("ul", { class: "legend", "aria-label": "Colours" });
  const size = () => [element.clientWidth || 600, element.clientHeight || 420];

  const draw = () => {
    const [width, height] = size(), scale = Math.max(1, window.devicePixelRatio || 1);
    element.width = width * scale;
    element.height = height * scale;
    const context = element.getContext("2d");
    context.scale(scale, scale);
    const radius = count > 1500 ? 2 : count > 300 ? 3 : 5;
    places().forEach(([x, y], index) => {
      context.globalAlpha = marked.size && !marked.has(index) && index !== at ? 0.25 : 0.85;
      context.fillStyle = colours[index];
      context.beginPath();
      context.arc(x, y, index === at ? radius + 3 : radius, 0, 7);
      context.fill();
      if (index === at) {
        context.globalAlpha = 1;
        context.strokeStyle = colour("text");
        context.lineWidth = 2;
        context.stroke();
      }
    });
  };
  const places = () => {
    const [width, height] = size(), edge = 14;
    const bounds = [0, 1].map((axis) => points.reduce(([low, high], one) => [Math.min(low, one[axis]), Math.max(high, one[axis])], [Infinity, -Infinity]));
    const place = (value, axis, length) => edge + ((value - bounds[axis][0]) / (bounds[axis][1] - bounds[axis][0] || 1)) * (length - 2 * edge);
    return points.map((one) => [place(one[0], 0, width), height - place(one[1], 1, height)]);
  };
  const choose = (index, neighbours = []) => {
    at = index;
    marked = new Set(neighbours);
    draw();
  };
  element.addEventListener("click", (event) => {
    const box = element.getBoundingClientRect();
    const far = places().map(([x, y], index) => [(x - event.clientX + box.left) ** 2 + (y - event.clientY + box.top) ** 2, index]);
    const [square, index] = far.reduce((best, one) => (one[0] < best[0] ? one : best));
    if (square <= NEAR ** 2) chosen(index);
  });
  element.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    chosen((at + step + count) % count);
  });
  new ResizeObserver(draw).observe(element);

  const paint = (values) => {
    const { of, entries } = colouring(values);
    colours = values.map(of);
    legend.replaceChildren(...entries.map(([name, shade]) => {
      const dot = el("span", { class: "dot" });
      dot.style.background = shade;
      return el("li", {}, dot, name);
    }));
    draw();
  };
  return { element, legend, paint, choose, show: (given) => { points = given; draw(); } };
}

/** A colour for each value: shades for many numbers, and one each for the commonest of others. */
export function colouring(values) {
  const different = [...new Set(values)];
  const numbers = values.map(Number);
  if (different.length > GROUPS && values.every((one, index) => one !== "" && Number.isFinite(numbers[index]))) {
    const low = Math.min(...numbers), high = Math.max(...numbers);
    const shade = (value) => `hsl(${260 - (220 * (value - low)) / (high - low || 1)} 70% 50%)`;
    return { of: (value) => shade(Number(value)), entries: [low, (low + high) / 2, high].map((one) => [one.toPrecision(3), shade(one)]) };
  }
  const counts = new Map();
  for (const one of values) counts.set(one, (counts.get(one) ?? 0) + 1);
  const names = different.sort((a, b) => counts.get(b) - counts.get(a)).slice(0, GROUPS);
  const colours = palette(names.length), rest = colour("quiet");
  const entries = names.map((name, at) => [String(name || "–"), names.length > 1 ? colours[at] : colour("accent")]);
  if (different.length > names.length) entries.push([`${different.length - names.length} others`, rest]);
  return { of: (value) => entries[names.indexOf(value)]?.[1] ?? rest, entries };
}
