// Rows of a file that was pasted or chosen: CSV (RFC 4180, comma, semicolon or tab) or JSONL, and the inputs in them.

/** `{columns, rows}` of a text; a row is an object of strings, or of JSON values. Throws with the line. */
export function readRows(text) {
  const content = text.replace(/^\uFEFF/, "").trim();
  if (!content) throw new Error("there are no rows yet: paste some, or choose a file");
  return /^[[{"]/.test(content) && isJson(content) ? readJson(content) : readSeparated(content);
}

function isJson(content) {
  const line = content.startsWith("[") ? content : content.split("\n", 1)[0];
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

function readJson(content) {
  const values = content.startsWith("[") ? JSON.parse(content) : content.split("\n").map(readLine).filter((one) => one !== undefined);
  const rows = values.map((one) => (one !== null && typeof one === "object" && !Array.isArray(one) ? one : { text: one }));
  return { columns: [...new Set(rows.flatMap(Object.keys))], rows };
}

function readLine(line, at) {
  if (!line.trim()) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    throw new Error(`line ${at + 1} is no JSON; every line of JSONL is a JSON value`);
  }
}

function readSeparated(content) {
  const head = content.split(/\r?\n/, 1)[0];
  const separator = ["\t", ";", ","].map((one) => [head.split(one).length, one]).sort((a, b) => b[0] - a[0])[0][1];
  const [columns, ...lines] = cells(content, separator);
  const names = columns.map((one, at) => one.trim() || `column ${at + 1}`);
  const rows = lines.filter((line) => line.some((one) => one !== "")).map((line, at) => {
    if (line.length !== names.length) {
      throw new Error(`row ${at + 1} has ${line.length} values, the head has ${names.length}`);
    }
    return Object.fromEntries(names.map((name, column) => [name, line[column]]));
  });
  if (!rows.length) throw new Error("there is a head and no row: the first line of a CSV names its columns");
  return { columns: names, rows };
}

function cells(content, separator) {
  const lines = [[]];
  let cell = "", quoted = false;
  for (let at = 0; at < content.length; at++) {
    const one = content[at];
    if (quoted) {
      if (one !== '"') cell += one;
      else if (content[at + 1] === '"') { cell += '"'; at++; }
      else quoted = false;
    } else if (one === '"' && cell === "") quoted = true;
    else if (one === separator) { lines.at(-1).push(cell); cell = ""; }
    else if (one === "\n") { lines.at(-1).push(cell.replace(/\r$/, "")); cell = ""; lines.push([]); }
    else cell += one;
  }
  if (quoted) throw new Error("a quoted value never ends");
  lines.at(-1).push(cell.replace(/\r$/, ""));
  return lines;
}

/** The value of a feature as the model's schema wants it, of a string as files have it; undefined if it is empty. */
export function valueOf(property, given) {
  if (given === null || given === undefined || given === "") return undefined;
  if (typeof given !== "string") return given;
  const types = typesOf(property);
  if (types.has("array")) return listOf(property, given);
  if (types.has("number") && !types.has("string")) {
    const number = Number(given);
    if (Number.isNaN(number)) throw new Error("a number is no number");
    return number;
  }
  return given;
}

/** Entries, one a line or parted by commas: each a value, or JSON of an object. */
export function listOf(property, text) {
  const content = text.trim();
  if (content.startsWith("[")) return JSON.parse(content);
  const parts = content.includes("\n") || content.includes("{") ? content.split("\n") : content.split(",");
  return parts.map((one) => one.trim()).filter(Boolean).map((one) => (one.startsWith("{") ? JSON.parse(one) : one));
}

export function typesOf(property) {
  const parts = [property, ...(property.anyOf ?? [])];
  return new Set(parts.flatMap((one) => one.type ?? []));
}
