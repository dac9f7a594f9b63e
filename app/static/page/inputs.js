// How an input of each kind is typed in, and found in a row of a file: one row of a table for each kind.

import { el, field } from "./dom.js";
import { featureForm } from "./feature_form.js";
import { valueOf } from "./rows.js";

/**
 * Each kind:
 *   form(schema, {one, texts}) -> {element, read() -> list of inputs}; `one`: exactly one input is wanted;
 *     `texts`: what to begin with, where inputs are texts
 *   needsColumn: a file's inputs stand in one column, which its reader names
 *   ofRow(row, schema, column) -> an input
 *   titleOf(input) -> a few words for it
 */
const KINDS = {
  text: { form: textForm, needsColumn: true, ofRow: (row, _, column) => String(row[column] ?? ""), titleOf: String },
  features: { form: featureForm, needsColumn: false, ofRow: featuresOf, titleOf: featuresTitle },
  vector: jsonKind("A list of numbers, or a list of such lists, as JSON"),
  image: fileKind("image", "image/png,image/jpeg,image/webp,image/gif"),
  audio: fileKind("audio", "audio/*,.wav,.flac,.ogg,.mp3"),
};

export const kindOf = (name) => KINDS[name] ?? jsonKind("An input, or a list of inputs, as JSON");

function textForm(schema, { one = false, texts } = {}) {
  const examples = texts ?? (schema.examples ?? []).filter((text) => text.length > 1);
  const area = el("textarea", { rows: one ? 2 : 5, spellcheck: "true" });
  area.value = (one ? examples.slice(0, 1) : examples).join("\n");
  const whole = el("input", { type: "checkbox" });
  const element = el("div", {},
    field(one ? "Text" : "Texts, one a line", area, schema.description ?? ""),
    one ? null : el("label", { class: "check" }, whole, " one text, with its line breaks"));
  const read = () => {
    const texts = one || whole.checked ? [area.value] : area.value.split("\n").filter((line) => line.trim());
    if (!texts.length || !texts[0].trim()) throw new Error("type a text first");
    return texts;
  };
  return { element, read };
}

function featuresOf(row, schema) {
  const input = {};
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    try {
      const value = valueOf(property, row[name]);
      if (value !== undefined) input[name] = value;
    } catch (error) {
      throw new Error(`column ${name}: ${error.message}`);
    }
  }
  return input;
}

function featuresTitle(input) {
  const texts = Object.values(input).filter((value) => typeof value === "string" || typeof value === "number");
  return texts.join(" · ") || JSON.stringify(input).slice(0, 80);
}

function jsonKind(hint) {
  const form = (schema, { one = false } = {}) => {
    const area = el("textarea", { rows: 6, spellcheck: "false", class: "code" });
    if (schema.examples?.length) area.value = JSON.stringify(schema.examples[0]);
    const read = () => {
      const value = JSON.parse(area.value);
      return one || !Array.isArray(value) || !Array.isArray(value[0]) ? [value] : value;
    };
    return { element: field("Inputs", area, hint), read };
  };
  return {
    form, needsColumn: true, titleOf: (input) => JSON.stringify(input).slice(0, 60),
    ofRow: (row, _, column) => (typeof row[column] === "string" ? JSON.parse(row[column]) : row[column]),
  };
}

/** Files, each sent as a data URI. */
function fileKind(name, accept) {
  const form = (_, { one = false } = {}) => {
    let files = [];
    const shown = el("div", { class: "files" });
    const control = el("input", {
      type: "file", accept, multiple: !one,
      onchange: async () => {
        files = await Promise.all([...control.files].map(dataUri));
        shown.replaceChildren(...files.map(({ title, uri }) => el("figure", {},
          name === "image" ? el("img", { src: uri, alt: title }) : el("audio", { src: uri, controls: true }),
          el("figcaption", {}, title))));
      },
    });
    const read = () => {
      if (!files.length) throw new Error("choose a file first");
      return files.map(({ uri }) => ({ [name]: uri }));
    };
    return { element: el("div", {}, field(one ? "File" : "Files", control), shown), read };
  };
  return {
    form, needsColumn: true, titleOf: () => name,
    ofRow: (row, _, column) => ({ [name]: row[column] }),
  };
}

function dataUri(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve({ title: file.name, uri: reader.result });
    reader.onerror = () => reject(new Error("the file cannot be read"));
    reader.readAsDataURL(file);
  });
}

