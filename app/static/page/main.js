// The frame: which panel is shown, by the address' fragment, and the key where the server wants one.

import { getJson, useKey, whenRefused } from "./api.js";
import { refresh } from "./catalogue.js";
import { el, problem } from "./dom.js";
import { comparePanel } from "./panels/compare.js";
import { mapPanel } from "./panels/map.js";
import { modelsPanel } from "./panels/models.js";
import { nowPanel } from "./panels/now.js";
import { tryPanel } from "./panels/try.js";

const PANELS = { try: tryPanel, compare: comparePanel, map: mapPanel, models: modelsPanel, now: nowPanel };
const NEEDS_MODELS = new Set(["try", "compare", "map"]);

const panel = document.getElementById("panel");
const dialog = document.getElementById("key-dialog");
const keyField = document.getElementById("key");
const keyError = document.getElementById("key-error");
const keyButton = document.getElementById("key-button");
let leaving = new AbortController();

async function show() {
  const name = location.hash.slice(1) in PANELS ? location.hash.slice(1) : "try";
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} · Encodery`;
  const place = el("div");
  panel.replaceChildren(place);
  try {
    const models = await refresh();
    if (signal.aborted) return;
    if (NEEDS_MODELS.has(name) && !models.some((one) => one.loaded.includes(one.current))) {
      place.append(waiting(models));
      return;
    }
    await PANELS[name](place, { signal });
  } catch (error) {
    if (!signal.aborted) place.replaceChildren(problem(error));
  }
}

/** What is said while no model can answer. */
function waiting(models) {
  const loading = models.flatMap((one) => one.loading.map((version) => `${one.name} ${version}`));
  return el("div", {},
    el("p", {}, loading.length ? `Loading ${loading.join(", ")}…` : "No model can answer. The panel Now says what was refused and why."),
    el("button", { type: "button", onclick: show }, "Look again"));
}

whenRefused(() => {
  keyButton.hidden = false;
  if (!dialog.open) dialog.showModal();
});
keyButton.addEventListener("click", () => dialog.showModal());
dialog.addEventListener("close", () => { keyField.value = ""; });
dialog.querySelector("form").addEventListener("submit", async (event) => {
  if (event.submitter?.value !== "use") return;
  event.preventDefault();
  useKey(keyField.value.trim());
  try {
    await getJson("models");
    keyError.textContent = "";
    dialog.close();
    show();
  } catch (error) {
    keyError.textContent = error.message;
  }
});
window.addEventListener("hashchange", show);
show();
