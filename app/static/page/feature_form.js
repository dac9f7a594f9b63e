// A form made from a model's own JSON Schema, with its examples; the same as JSON for who prefers that.

import { el, field, select } from "./dom.js";
import { listOf, typesOf, valueOf } from "./rows.js";

export function featureForm(schema, { one = false } = {}) {
  const controls = Object.entries(schema.properties ?? {}).map(([name, property]) => control(name, property));
  const json = el("textarea", { rows: 10, class: "code", spellcheck: "false" });
  const asJson = el("input", { type: "checkbox", onchange: () => flip() });
  const fields = el("div", {}, controls.map((each) => each.element));
  const jsonField = field(one ? "JSON" : "JSON: an object, or a list of objects", json);
  jsonField.hidden = true;

  const fromControls = () => {
    const input = {};
    for (const { name, read } of controls) {
      let value;
      try {
        value = read();
      } catch (error) {
        throw new Error(`${name}: ${error.message}`);
      }
      if (value !== undefined) input[name] = value;
    }
    return input;
  };
  const fromJson = () => {
    const value = JSON.parse(json.value);
    return Array.isArray(value) ? value : [value];
  };
  const fill = (input) => {
    controls.forEach(({ name, write }) => write(input[name]));
    json.value = JSON.stringify(input, null, 1);
  };
  const flip = () => {
    if (asJson.checked) json.value = JSON.stringify(fromControls(), null, 1);
    else fill(fromJson()[0] ?? {});
    jsonField.hidden = !asJson.checked;
    fields.hidden = asJson.checked;
  };
  const examples = (schema.examples ?? []).filter((input) => Object.keys(input).length);
  const choice = select([["", "Fill in an example…"], ...examples.map((_, at) => [at, `Example ${at + 1}`])], {
    label: "Examples", onchange: () => { if (choice.value !== "") fill(examples[choice.value]); },
  });
  fill(examples[0] ?? {});
  const element = el("div", {}, el("div", { class: "row" }, choice, el("label", { class: "check" }, asJson, " as JSON")), fields, jsonField);
  return { element, fill, read: () => (asJson.checked ? fromJson() : [fromControls()]) };
}

function control(name, property) {
  const types = typesOf(property);
  const made = types.has("array") ? listControl(property) : plainControl(property, types);
  return { name, ...made, element: field(name, made.element, property.description ?? "") };
}

function listControl(property) {
  const element = el("textarea", { rows: 4, class: "code", spellcheck: "false", placeholder: "one a line: an id, or a JSON object" });
  return {
    element,
    read: () => (element.value.trim() ? listOf(property, `${element.value}\n`) : undefined),
    write: (value) => {
      element.value = (value ?? []).map((one) => (typeof one === "object" ? JSON.stringify(one) : one)).join("\n");
    },
  };
}

function plainControl(property, types) {
  const isNumber = types.has("number") && !types.has("string");
  const element = el("input", { type: isNumber ? "number" : "text", step: "any", autocomplete: "off" });
  return {
    element,
    read: () => valueOf(property, element.value),
    write: (value) => { element.value = value ?? ""; },
  };
}
