// Shows the Markdown of model cards: headings, lists, tables, code and paragraphs. What else there is stays as text.

import { el, table } from "./dom.js";

const BLOCKS = [
  [/^```/, code], [/^ {4}/, indented], [/^#{1,6} /, heading], [/^\|/, grid], [/^[-*] /, list],
];

export function markdown(text) {
  const lines = text.replace(/^---\n[\s\S]*?\n---\n/, "").split("\n");
  const made = el("div", { class: "markdown" });
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) { at++; continue; }
    const [, block] = BLOCKS.find(([begins]) => begins.test(lines[at])) ?? [null, paragraph];
    const [element, used] = block(lines, at);
    made.append(element);
    at += used;
  }
  return made;
}

function run(lines, at, belongs) {
  let end = at;
  while (end < lines.length && belongs(lines[end])) end++;
  return lines.slice(at, end);
}

function code(lines, at) {
  const inside = run(lines, at + 1, (line) => !line.startsWith("```"));
  return [el("pre", { tabindex: "0" }, inside.join("\n")), inside.length + 2];
}

function indented(lines, at) {
  const inside = run(lines, at, (line) => line.startsWith("    ") || !line.trim());
  return [el("pre", { tabindex: "0" }, inside.map((line) => line.slice(4)).join("\n").trimEnd()), inside.length];
}

function heading(lines, at) {
  const level = /^#+/.exec(lines[at])[0].length;
  return [el(`h${Math.min(level + 3, 6)}`, {}, ...inline(lines[at].slice(level + 1))), 1];
}

function grid(lines, at) {
  const rows = run(lines, at, (line) => line.startsWith("|"));
  const cells = rows.map((line) => line.replace(/^\||\|\s*$/g, "").split("|").map((one) => one.trim()));
  const body = cells.slice(1).filter((row) => !row.every((one) => /^:?-+:?$/.test(one)));
  return [table(cells[0], body.map((row) => row.map((one) => el("span", {}, ...inline(one)))), "Table of the card"), rows.length];
}

function list(lines, at) {
  const items = run(lines, at, (line) => /^([-*] |  +\S)/.test(line));
  const whole = items.join("\n").split(/\n?^[-*] /m).filter(Boolean);
  return [el("ul", {}, whole.map((one) => el("li", {}, ...inline(one)))), items.length];
}

function paragraph(lines, at) {
  const inside = run(lines, at, (line, index) => line.trim() !== "");
  const own = inside.slice(0, Math.max(1, inside.findIndex((line, index) => index && BLOCKS.some(([begins]) => begins.test(line))) + 1 || inside.length));
  return [el("p", {}, ...inline(own.join(" "))), own.length];
}

/** Code, strong words, and links, of which the words are shown. */
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\))/).map((part) => {
    if (part.startsWith("`")) return el("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return el("strong", {}, part.slice(2, -2));
    return part.replace(/^\[([^\]]+)\]\([^)]+\)$/, "$1");
  });
}
