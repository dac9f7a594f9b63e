// A text that was typed, pasted or read from a file that was chosen or dropped.

import { el, field } from "./dom.js";

export function sourceOf({ value = "", hint = "", label = "Rows, as CSV or JSONL", rows = 7 } = {}) {
  const area = el("textarea", { rows, class: "code", spellcheck: "false" });
  area.value = value;
  const read = async (file) => {
    area.value = await file.text();
    area.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const file = el("input", { type: "file", accept: ".csv,.tsv,.jsonl,.json,.ndjson,.txt", onchange: () => file.files[0] && read(file.files[0]) });
  const element = el("div", {
    ondragover: (event) => event.preventDefault(),
    ondrop: (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
    },
  }, field(label, area, hint), field("or a file", file));
  return { element, area, get value() { return area.value; } };
}
