// Compare: every pair of a few inputs, or one query against a list, by the model's own metric.

import { ask, encode } from "../api.js";
import { manifest, modelPicker, schema, usable } from "../catalogue.js";
import { el, field, shown, table, tabs, working } from "../dom.js";
import { kindOf } from "../inputs.js";
import { readRows } from "../rows.js";
import { SOME } from "../sample.js";
import { sourceOf } from "../source.js";
import { similarities } from "../vectors.js";
import { sentences } from "../warnings.js";

const MOST = 30; // inputs of a matrix that a person can read

export async function comparePanel(panel) {
  panel.replaceChildren(el("h2", {}, "Compare"),
    tabs("Ways to compare", { "Each with each": () => matrixView(), "A query against a list": () => rankingView() }));
}

function matrixView() {
  const place = el("div", { "aria-live": "polite" }), editor = el("div"), button = el("button", { class: "primary" }, "Compare");
  let input, facts;
  const choose = (name) => working(button, place, async () => {
    const [found, shape] = await Promise.all([manifest(name), schema(name)]);
    if (name !== picker.value) return; // another one was chosen meanwhile
    facts = found;
    input = kindOf(facts.kind).form(shape, { texts: SOME });
    editor.replaceChildren(input.element);
    place.replaceChildren();
  });
  const picker = modelPicker({ onchange: choose });
  const form = el("form", { class: "card" }, el("div", { class: "options" }, picker.element), editor, el("div", { class: "row" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    working(button, place, async () => {
      const inputs = input.read();
      if (inputs.length < 2) throw new Error("two inputs at least are needed to be compared");
      if (inputs.length > MOST) throw new Error(`${inputs.length} inputs are too many to read; compare up to ${MOST}, or use Map`);
      const { vectors } = await encode({ model: picker.value, inputs });
      place.replaceChildren(heatMap(inputs.map(kindOf(facts.kind).titleOf), similarities(vectors, facts.metric), facts.metric));
    });
  });
  choose(picker.value);
  return el("div", { class: "split" }, form, place);
}

/** A table of numbers on colours; darker is more alike. */
function heatMap(titles, values, metric) {
  const others = values.flatMap((row, at) => row.filter((_, column) => column !== at));
  const low = Math.min(...others), high = Math.max(...others, low + 1e-9);
  const numbered = titles.map((one, at) => `${at + 1}. ${one}`);
  const rows = values.map((row, at) => [numbered[at], ...row.map((value, column) => {
    const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
    const cell = el("span", { class: at === column ? "heat self" : "heat", title: `${titles[at]} – ${titles[column]}` }, value.toFixed(2));
    if (at !== column) cell.style.setProperty("--share", share.toFixed(2));
    return cell;
  })]);
  return el("section", {}, el("h3", {}, metric === "cosine" ? "Cosines" : "Inner products"),
    el("div", { class: "matrix" }, table(["", ...titles.map((_, at) => String(at + 1))], rows, "How alike each pair is")));
}

function rankingView() {
  const place = el("div", { "aria-live": "polite" }), editor = el("div"), list = el("div"), button = el("button", { class: "primary" }, "Rank");
  const others = el("div"), mix = el("input", { type: "range", min: 0, max: 1, step: 0.1, value: 0 });
  const mixField = field("Words beside vectors (mix)", mix, "0: vectors alone; 0.4 was best on validation data; 1: words alone (BM25)");
  let query, candidates, other;

  const chooseOther = async (name) => {
    const [facts, shape] = await Promise.all([manifest(name), schema(name)]);
    candidates = candidatesOf(facts, shape);
    list.replaceChildren(candidates.element);
    mixField.hidden = facts.kind !== "text";
  };
  const choose = (name) => working(button, place, async () => {
    const [facts, shape] = await Promise.all([manifest(name), schema(name)]);
    if (name !== picker.value) return;
    query = kindOf(facts.kind).form(shape, { one: true, texts: ["My order has not come"] });
    editor.replaceChildren(query.element);
    other = otherPicker(facts, (chosen) => working(button, place, () => chooseOther(chosen)));
    others.replaceChildren(other.element);
    place.replaceChildren();
    await chooseOther(other.value);
  });
  const picker = modelPicker({ label: "The query's model", onchange: choose });
  const form = el("form", { class: "card" }, el("div", { class: "options" }, picker.element, others),
    el("h3", {}, "The query"), editor, el("h3", {}, "The list"), list, mixField, el("div", { class: "row" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    working(button, place, async () => {
      const { inputs, titles } = candidates.read();
      const request = { model: picker.value, candidates_model: other.value, query: query.read()[0], candidates: inputs, top_k: Math.min(50, inputs.length) };
      if (!mixField.hidden && Number(mix.value)) request.mix = Number(mix.value);
      place.replaceChildren(ranked(await (await ask("score", { json: request })).json(), titles));
    });
  });
  choose(picker.value);
  return el("div", { class: "split" }, form, place);
}

/** The models whose vectors may be compared with a model's: its peers, itself, and those of one family. */
function otherPicker(facts, onchange) {
  const peers = facts.peers.map((one) => one.name);
  const family = usable().filter((one) => one.versions.some((version) => version.joins?.name === facts.name || facts.joins?.name === one.name)).map((one) => one.name);
  const names = new Set([...(peers.length ? peers : [facts.name]), ...family]);
  const among = usable().filter((one) => names.has(one.name));
  return modelPicker({ label: "The list's model", among, value: [...names].find((name) => among.some((one) => one.name === name)), onchange });
}

/** Texts one a line, or rows of a file for a model of features. */
function candidatesOf(facts, shape) {
  const kind = kindOf(facts.kind);
  if (facts.kind === "text") {
    const input = kind.form(shape, { texts: SOME });
    return { element: input.element, read: () => { const inputs = input.read(); return { inputs, titles: inputs }; } };
  }
  const examples = (shape.examples ?? []).filter((one) => typeof one !== "object" || Object.keys(one).length);
  const source = sourceOf({ value: examples.map((one) => JSON.stringify(one)).join("\n"), hint: "one row each, with the columns that the model takes; others, such as a title, are shown" });
  const read = () => {
    const { columns, rows } = readRows(source.value);
    const column = columns.includes(facts.kind) ? facts.kind : columns[0];
    const inputs = rows.map((row) => kind.ofRow(row, shape, column));
    const known = Object.keys(shape.properties ?? {});
    const extra = columns.filter((one) => !known.includes(one));
    const titles = rows.map((row, at) => [...extra.map((one) => row[one]), kind.titleOf(inputs[at])].filter(Boolean).join(" · "));
    return { inputs, titles };
  };
  return { element: source.element, read };
}

function ranked(answer, titles) {
  const scores = answer.results.map((one) => one.score);
  const low = Math.min(0, ...scores), span = Math.max(...scores, low + 1e-9) - low;
  const rows = answer.results.map(({ index, score, cosine, bm25 }) => {
    const bar = el("span", { class: "bar" });
    bar.style.width = `${Math.round((100 * (score - low)) / span)}%`;
    return [titles[index], bar, el("span", { class: "score" }, score.toFixed(3)), ...(answer.mix ? [cosine, bm25].map((one) => el("span", {}, shown(one))) : [])];
  });
  const warnings = answer.warnings.flatMap((one) => sentences(one).map((text) => el("li", {}, `${one.param ?? "query"}: ${text}`)));
  return el("section", {},
    el("h3", {}, `The best ${rows.length} of ${answer.candidates}`),
    el("p", { class: "quiet" }, `${answer.model} ${answer.version}, ${answer.candidates_model} ${answer.candidates_version}, ${answer.metric.replace("_", " ")}`),
    table(["what", "", "score", ...(answer.mix ? ["cosine", "BM25"] : [])], rows, "Ranking"),
    warnings.length ? el("ul", { class: "warnings", "aria-label": "Warnings" }, warnings) : null);
}
