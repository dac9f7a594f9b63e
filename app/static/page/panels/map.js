// Map: up to some thousand rows, encoded in the bulk lane, drawn in two dimensions.

import { encodeMany } from "../api.js";
import { manifest, modelPicker, schema } from "../catalogue.js";
import { el, field, select, shown, table, working } from "../dom.js";
import { kindOf } from "../inputs.js";
import { readRows } from "../rows.js";
import { csv, npy, save } from "../save.js";
import { SAMPLE } from "../sample.js";
import { scatter } from "../scatter.js";
import { sourceOf } from "../source.js";
import { nearest, principal, unit } from "../vectors.js";

const MOST = 5000;
const NEIGHBOURS = 10;
const FEWEST = 20; // rows that another layout says more of than PCA
const NONE = "(none)";

export async function mapPanel(panel) {
  const place = el("div", { "aria-live": "polite" }), button = el("button", { class: "primary" }, "Encode and draw");
  const stop = el("button", { type: "button", hidden: true }, "Stop");
  const bar = el("progress", { hidden: true, "aria-label": "Rows encoded" }), choices = el("div", { class: "options" });
  const source = sourceOf({ label: `Up to ${MOST.toLocaleString("en")} rows, as CSV or JSONL`, rows: 10 });
  let facts, shape, columns = [], text, colours;

  const look = () => {
    try {
      columns = readRows(source.value).columns;
    } catch {
      return; // it is told when the rows are used
    }
    text = select(columns, { value: columns.includes(facts.kind) ? facts.kind : columns[0] });
    colours = select([NONE, ...columns], { value: columns.find((one) => one !== text.value && !(one in (shape.properties ?? {}))) ?? NONE });
    choices.replaceChildren(
      ...(kindOf(facts.kind).needsColumn ? [field("Column to encode", text)] : []), field("Colour by", colours));
  };
  const choose = (name) => working(button, place, async () => {
    const found = await Promise.all([manifest(name), schema(name)]);
    if (name !== picker.value) return; // another one was chosen meanwhile
    [facts, shape] = found;
    if (facts.kind !== "text" && source.value === SAMPLE) source.area.value = "";
    if (!source.value) source.area.value = facts.kind === "text" ? SAMPLE : shape.examples.map((one) => JSON.stringify(one)).join("\n");
    look();
  });
  const picker = modelPicker({ onchange: choose });
  source.area.addEventListener("input", look);
  const form = el("form", { class: "card" }, el("div", { class: "options" }, picker.element), source.element, choices, el("div", { class: "row" }, button, stop), bar);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const controller = new AbortController();
    stop.onclick = () => controller.abort();
    working(button, place, async () => {
      const { rows } = readRows(source.value);
      if (rows.length > MOST) throw new Error(`${rows.length} rows are too many for this page: ${MOST} at most; encodery encode takes whole files`);
      const kind = kindOf(facts.kind);
      const inputs = rows.map((row) => kind.ofRow(row, shape, text.value));
      bar.hidden = stop.hidden = false;
      Object.assign(bar, { max: rows.length, value: 0 });
      const options = { model: picker.value, truncate: "end" };
      const found = await encodeMany(inputs, options, { progress: (done) => { bar.value = done; }, signal: controller.signal });
      const colourColumn = colours.value === NONE ? null : colours.value;
      place.replaceChildren(drawn({ rows, inputs, found, columns, kind, metric: facts.metric, colourColumn }));
    }).finally(() => { bar.hidden = stop.hidden = true; });
  });
  panel.replaceChildren(el("h2", {}, "Map"), el("div", { class: "split" }, form, place));
  await choose(picker.value);
}

/** The map of rows that were encoded, and what can be done with it. */
function drawn({ rows, inputs, found, columns, kind, metric, colourColumn }) {
  const good = rows.map((_, at) => at).filter((at) => found.rows[at]?.vector);
  const failed = rows.map((_, at) => at).filter((at) => !found.rows[at]?.vector);
  const told = failed.slice(0, 5).map((at) => el("li", {}, `row ${at + 1}: ${found.rows[at]?.error ?? "no answer"}`));
  const errors = failed.length ? el("div", {}, el("p", { class: "error" }, `Rows that were not encoded: ${failed.length}`), el("ul", {}, told)) : null;
  if (good.length < 2) return el("section", {}, errors, el("p", {}, "There are fewer than two points, so there is no map."));
  const vectors = good.map((at) => found.rows[at].vector);
  const compared = metric === "cosine" ? vectors.map(unit) : vectors;
  const titles = good.map((at) => kind.titleOf(inputs[at]).slice(0, 120));
  const { points: first, shares } = principal(compared);
  let points = first;

  const near = el("div", { class: "near", "aria-live": "polite" }, el("p", { class: "quiet" }, "Choose a point to see its nearest neighbours."));
  const chosen = (at) => {
    const found = nearest(compared, at, NEIGHBOURS);
    plot.choose(at, found.map(([index]) => index));
    near.replaceChildren(el("h3", {}, titles[at]), table(["nearest", metric === "cosine" ? "cosine" : "inner product"],
      found.map(([index, score]) => [el("button", { type: "button", class: "link", onclick: () => chosen(index) }, titles[index]), shown(Number(score.toFixed(3)))]), "Nearest neighbours"));
  };
  const plot = scatter(good.length, chosen);
  plot.show(points);
  plot.paint(good.map((at) => (colourColumn === null ? "" : rows[at][colourColumn] ?? "")));

  const caption = el("p", { class: "quiet" }, `PCA: the two axes hold ${Math.round(100 * (shares[0] + shares[1]))} % of the variance. ${found.version}, ${found.space}`);
  const umap = el("button", { type: "button", hidden: good.length < FEWEST }, "Draw by UMAP");
  umap.addEventListener("click", () => working(umap, caption, async () => {
    points = await byWorker(compared, (share) => { caption.textContent = `UMAP: ${Math.round(100 * share)} %`; });
    plot.show(points);
    caption.textContent = "UMAP: near points are near in the space; distances between far ones mean little.";
  }));
  const find = el("input", { type: "search", placeholder: "find a row", "aria-label": "Find a row", onchange: () => {
    const at = titles.findIndex((one) => one.toLowerCase().includes(find.value.toLowerCase()));
    if (at >= 0) chosen(at);
  } });
  const saveRows = () => save("map.csv", csv([...columns, "x", "y"], good.map((at, index) => [...columns.map((one) => rows[at][one]), ...points[index]])), "text/csv");
  return el("section", {}, errors, plot.element, plot.legend, caption,
    el("div", { class: "row" }, umap, find,
      el("button", { type: "button", onclick: saveRows }, "Save CSV"),
      el("button", { type: "button", onclick: () => save("vectors.npy", npy(vectors), "application/octet-stream") }, "Save vectors (npy)")),
    near);
}

function byWorker(vectors, progress) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("../layout_worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => {
      if (data.points === undefined) { progress(data.share); return; }
      worker.terminate();
      resolve(data.points);
    };
    worker.onerror = (event) => { worker.terminate(); reject(new Error(event.message || "the map could not be drawn")); };
    worker.postMessage({ vectors });
  });
}
