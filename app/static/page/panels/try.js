// Try: an input or a few, the answer with its facts and warnings, and the request as programs.

import { encode } from "../api.js";
import { manifest, modelPicker, schema, usable } from "../catalogue.js";
import { bars } from "../charts.js";
import { copyButton, el, field, select, tabs, working } from "../dom.js";
import { kindOf } from "../inputs.js";
import { programs } from "../snippets.js";
import { sentences } from "../warnings.js";

const SHOWN = 20; // vectors that are drawn; a request may have more

export async function tryPanel(panel) {
  const form = el("form", { class: "card" }), place = el("div", { class: "answer", "aria-live": "polite" });
  const options = el("div", { class: "options" }), editor = el("div");
  let input, choices = {};

  const button = el("button", { class: "primary" }, "Encode");
  const choose = (name) => working(button, place, async () => {
    const [facts, shape] = await Promise.all([manifest(name), schema(name)]);
    if (name !== picker.value) return; // another one was chosen meanwhile
    input = kindOf(facts.kind).form(shape);
    choices = optionsOf(facts, usable().find((one) => one.name === name)?.loaded ?? []);
    options.replaceChildren(...Object.values(choices).map((one) => one.element));
    editor.replaceChildren(input.element);
    place.replaceChildren(el("p", { class: "quiet" }, facts.description));
  });
  const picker = modelPicker({ onchange: choose });
  form.append(el("div", { class: "options" }, picker.element), options, editor, el("div", { class: "row" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    working(button, place, async () => {
      const request = { model: picker.value, inputs: input.read() };
      for (const [name, one] of Object.entries(choices)) if (one.value !== "") request[name] = one.value;
      const answer = await encode(request);
      place.replaceChildren(...answerOf(answer, request), programsOf(request));
    });
  });
  panel.replaceChildren(el("h2", {}, "Try an encoder"), el("div", { class: "split" }, form, place));
  await choose(picker.value);
}

/** Choices that a model has: those of one value are left out. */
function optionsOf(facts, loaded) {
  const choice = (label, values, read = (value) => value, hint = "") => {
    const control = select(values);
    return { element: field(label, control, hint), get value() { return control.value === "" ? "" : read(control.value); } };
  };
  const choices = {};
  if (loaded.length > 1) choices.version = choice("Version", [["", "current"], ...loaded]);
  const fewer = facts.dimensions.filter((one) => one !== facts.dim);
  if (fewer.length) choices.dimensions = choice("Dimensions", [["", facts.dim], ...fewer], Number);
  const prompts = Object.keys(facts.prompts ?? {});
  if (prompts.length) choices.prompt = choice("Prompt", [["", "the model's own"], ...prompts]);
  choices.truncate = choice("Too long?", [["", "refuse"], ["end", "cut the end"], ["start", "cut the start"]]);
  return choices;
}

function answerOf(answer, request) {
  const times = [...answer.timing.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, ms]) => `${name} ${ms} ms`).join(", ");
  const facts = {
    model: `${answer.model} ${answer.version}`, space: answer.space, dimensions: answer.dim,
    inputs: answer.usage.items, tokens: answer.usage.tokens, time: times,
  };
  const warnings = answer.warnings.flatMap((one) => sentences(one).map((text) => el("li", {}, `input ${one.index + 1}: ${text}`)));
  return [
    el("h3", {}, "The answer"),
    el("dl", { class: "facts" }, Object.entries(facts).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))])),
    warnings.length ? el("ul", { class: "warnings", "aria-label": "Warnings" }, warnings) : el("p", { class: "quiet" }, "No warnings."),
    ...answer.vectors.slice(0, SHOWN).map((vector, at) => vectorOf(vector, request.inputs[at], at)),
    answer.vectors.length > SHOWN ? el("p", { class: "quiet" }, `and ${answer.vectors.length - SHOWN} more`) : null,
  ].filter(Boolean);
}

function vectorOf(vector, input, at) {
  const title = typeof input === "string" ? input : JSON.stringify(input);
  const numbers = () => JSON.stringify([...vector]);
  return el("figure", { class: "vector" },
    el("figcaption", {}, `${at + 1}. ${title.length > 90 ? `${title.slice(0, 90)}…` : title}`),
    bars(vector),
    el("details", {}, el("summary", {}, "Numbers"), el("pre", { tabindex: "0" }, [...vector].map((one) => one.toFixed(4)).join(" "))),
    copyButton(numbers, "Copy the vector"));
}

function programsOf(request) {
  const made = programs(request);
  const views = Object.fromEntries(Object.entries(made).map(([name, text]) => [name, () => el("div", {},
    el("pre", { tabindex: "0", "aria-label": name }, text), copyButton(() => text))]));
  return el("section", {}, el("h3", {}, "The same request"), tabs("Programs", views));
}
