// Models: what is loaded, what it is for, how good it was measured, and two versions side by side.

import { ask, encode } from "../api.js";
import { manifest, refresh, schema } from "../catalogue.js";
import { el, field, problem, select, shown, table, tabs, working } from "../dom.js";
import { kindOf } from "../inputs.js";
import { markdown } from "../markdown.js";
import { SAMPLE_TEXTS } from "../sample.js";
import { dot, nearest, unit } from "../vectors.js";

export async function modelsPanel(panel) {
  const models = await refresh();
  panel.replaceChildren(el("h2", {}, "Models"), tabs("Views", {
    "What is loaded": () => el("div", { class: "cards" }, models.map(card)),
    "Two versions side by side": () => sideBySide(models),
  }));
}

function card(model) {
  const facts = {
    kind: model.kind, "current version": model.current, dimensions: model.dim, space: model.space,
    languages: model.languages?.join(", ") || null, "not for": model.not_for || null,
  };
  const names = Object.entries(model.aliases).map(([name, shares]) => `${name}: ${Object.entries(shares).map(([version, share]) => (share === 100 ? version : `${version} (${share} %)`)).join(", ")}`);
  const more = el("details", {}, el("summary", {}, "Versions, limits and figures"));
  more.addEventListener("toggle", () => { if (more.open && more.childElementCount === 1) fill(more, model); });
  return el("article", { class: "card" },
    el("h3", {}, model.name), el("p", {}, model.description ?? "The current version is not loaded."),
    el("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value !== null && value !== undefined).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])),
    names.length ? el("p", {}, `Other names: ${names.join("; ")}`) : null,
    model.loading.length ? el("p", { class: "quiet" }, `Loading: ${model.loading.join(", ")}`) : null,
    model.refused.map((one) => el("p", { class: "error" }, `${one.version ?? ""} was refused: ${one.reason}`)),
    model.loaded.length ? more : null);
}

async function fill(place, model) {
  try {
    const facts = await manifest(model.name);
    const versions = table(["version", "names", "space", "trained", "inputs lately", "graph, MB"], model.versions.map((one) => [
      one.version, one.names.join(", ") || null, one.joins ? `${one.space}, joined ${one.joins.name}'s` : one.space,
      one.created.slice(0, 10), one.lately, Number((one.weight_bytes / 1e6).toFixed(1))]), `Versions of ${model.name}`);
    const limits = {
      "longest input": facts.kind === "text" ? `${facts.max_length} tokens` : null,
      "lengths of vectors": facts.dimensions.join(", "), metric: facts.metric.replace("_", " "),
      "of length one": facts.normalized ? "yes" : "no", prompts: Object.keys(facts.prompts).join(", ") || null,
      "goes with": facts.peers.map((one) => one.name).join(", ") || null,
      "size on disk": `${(Object.values(facts.files).reduce((sum, one) => sum + one.size, 0) / 1e6).toFixed(1)} MB`,
      trained: `${facts.trained.created.slice(0, 10)}, seed ${facts.trained.seed}, commit ${facts.trained.git_commit.slice(0, 8)}`,
    };
    place.append(versions,
      el("dl", { class: "facts" }, Object.entries(limits).filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      figures(model.figures ?? {}), cardOf(model));
  } catch (error) {
    place.append(problem(error));
  }
}

/** Figures with their standard error, and what other methods had in the same run. */
function figures(all) {
  const error = ", standard error";
  const rows = Object.entries(all).filter(([name]) => !name.endsWith(error)).map(([name, { value, baselines }]) => {
    const spread = all[name + error]?.value;
    return [name, `${value.toFixed(3)}${spread ? ` ± ${spread.toFixed(3)}` : ""}`,
      Object.entries(baselines).map(([other, it]) => `${other} ${it.toFixed(3)}`).join(", ") || null];
  });
  return rows.length ? table(["figure", "value", "others in the same run"], rows, "Figures") : el("p", { class: "quiet" }, "No figures were published.");
}

/** The model card, which is fetched when somebody wants to read it. */
function cardOf(model) {
  const place = el("details", { class: "model-card" }, el("summary", {}, "The model card"));
  place.addEventListener("toggle", async () => {
    if (!place.open || place.childElementCount > 1) return;
    try {
      const response = await ask(`models/${encodeURIComponent(model.name)}/card`);
      place.append(markdown(await response.text()));
    } catch (error) {
      place.append(problem(error));
    }
  });
  return place;
}

function sideBySide(models) {
  const every = models.flatMap((one) => one.loaded.map((version) => [`${one.name}/${version}`, `${one.name} ${version}`]));
  const kinds = Object.fromEntries(models.map((one) => [one.name, one.kind]));
  const place = el("div", { "aria-live": "polite" }), editor = el("div"), button = el("button", { class: "primary" }, "Compare");
  let input;
  const a = select(every, { onchange: () => choose() });
  const b = select(every, { value: every.find(([key]) => key !== a.value && kinds[key.split("/")[0]] === kinds[a.value?.split("/")[0]])?.[0] });
  const choose = () => working(button, place, async () => {
    const [name, version] = a.value.split("/");
    input = kindOf(kinds[name]).form(await schema(name, version), { texts: SAMPLE_TEXTS });
    editor.replaceChildren(input.element);
  });
  const form = el("form", { class: "card" }, el("div", { class: "options" }, field("One", a), field("The other", b)), editor,
    el("p", { class: "quiet" }, "Ten inputs and more say more; each is compared with all others."), el("div", { class: "row" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    working(button, place, async () => {
      const inputs = input.read();
      if (inputs.length < 3) throw new Error("three inputs at least are needed for neighbours");
      const sides = await Promise.all([a.value, b.value].map((one) => side(one, inputs)));
      const [name] = a.value.split("/");
      place.replaceChildren(moved(inputs.map(kindOf(kinds[name]).titleOf), ...sides));
    });
  });
  if (every.length) choose();
  return el("div", { class: "split" }, form, place);
}

async function side(which, inputs) {
  const [model, version] = which.split("/");
  const [answer, facts] = await Promise.all([encode({ model, version, inputs }), manifest(model, version)]);
  return { which, space: answer.space, joins: facts.joins?.space, vectors: facts.metric === "cosine" ? answer.vectors.map(unit) : answer.vectors };
}

/** How many neighbours are kept, and which inputs moved most. */
function moved(titles, one, other) {
  const count = Math.min(10, titles.length - 1);
  const isSame = one.space === other.space || one.joins === other.space || other.joins === one.space;
  const rows = titles.map((title, at) => {
    const [near, far] = [one, other].map((side) => nearest(side.vectors, at, count).map(([index]) => index));
    const kept = near.filter((index) => far.includes(index)).length / count;
    const cosine = isSame ? dot(unit(one.vectors[at]), unit(other.vectors[at])) : null;
    return { title, kept, cosine, before: titles[near[0]], after: titles[far[0]], isFirst: near[0] === far[0] };
  });
  const mean = rows.reduce((sum, row) => sum + row.kept, 0) / rows.length;
  const first = rows.filter((row) => row.isFirst).length / rows.length;
  rows.sort((x, y) => x.kept - y.kept || (x.cosine ?? 0) - (y.cosine ?? 0));
  return el("section", {}, el("h3", {}, `${Math.round(100 * mean)} % of the ${count} nearest are the same, and ${Math.round(100 * first)} % of the first`),
    el("p", { class: "quiet" }, isSame ? "The vectors are of one space, so those of the same input can be compared." : "The vectors are of two spaces: only neighbours can be compared, never vectors."),
    table(["moved most first", "kept", ...(isSame ? ["cosine"] : []), `nearest by ${one.which}`, `by ${other.which}`],
      rows.map((row) => [row.title, `${Math.round(100 * row.kept)} %`, ...(isSame ? [shown(row.cosine)] : []), row.before, row.after]), "What moved"));
}
