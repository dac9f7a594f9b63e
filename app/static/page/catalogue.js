// What the server has: GET /models once, and each model's manifest and schema when they are needed.

import { getJson } from "./api.js";
import { field, select } from "./dom.js";

let models = [];
let standard = null;
const kept = new Map();

/** Ask again for all models; forgets the rest. Throws Refused. */
export async function refresh() {
  const listed = await getJson("models");
  kept.clear();
  models = listed.models;
  standard = listed.default;
  return models;
}

export const all = () => models;

/** Those that can answer. */
export const usable = () => models.filter((one) => one.current && one.loaded.includes(one.current));

function once(path) {
  if (!kept.has(path)) {
    const asked = getJson(path);
    kept.set(path, asked);
    asked.catch(() => kept.delete(path));
  }
  return kept.get(path);
}

/** The manifest of a loaded version, by default the current one. */
export async function manifest(name, version) {
  const { versions, current } = await once(`models/${encodeURIComponent(name)}`);
  return versions.find((one) => one.version === (version ?? current)) ?? versions[0];
}

/** JSON Schema of one input, with examples. */
export function schema(name, version) {
  const query = version ? `?version=${encodeURIComponent(version)}` : "";
  return once(`models/${encodeURIComponent(name)}/schema${query}`);
}

/** A labelled choice of a model that can answer. */
export function modelPicker({ label = "Model", value, onchange, among = usable() } = {}) {
  const first = among.some((one) => one.name === standard) ? standard : among[0]?.name;
  const control = select(among.map((one) => [one.name, `${one.name} (${one.kind})`]), {
    value: value ?? first, onchange: () => onchange?.(control.value),
  });
  return { element: field(label, control), get value() { return control.value; } };
}
