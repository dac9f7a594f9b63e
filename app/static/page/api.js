// Asks the server that this page came from, under whatever prefix, with the key that was typed in.

export const BASE = new URL("../", import.meta.url).href;
const LINES = 128; // of a stream: the server takes that many at once, so it never waits for this page to read
const STREAMS = 2;

let key = "";
let onRefused = () => {};

export const hasKey = () => key !== "";

/** Remember a key, for as long as this page is open. */
export function useKey(secret) {
  key = secret;
}

/** Say what is done when the server wants a key, or another one. */
export function whenRefused(action) {
  onRefused = action;
}

/** The server's own sentence on what is wrong. */
export class Refused extends Error {
  constructor(status, body, retryAfter) {
    const told = body?.error?.message ?? body?.error ?? `the server answered ${status}`;
    super(typeof told === "string" ? told : JSON.stringify(told));
    this.name = "Refused";
    this.status = status;
    this.code = body?.error?.code ?? "";
    if (retryAfter) this.message += ` (again in ${retryAfter} s)`;
  }
}

/** The response. Throws Refused. */
export async function ask(path, { json, body, headers = {}, method, signal } = {}) {
  const sent = { ...headers };
  if (json !== undefined) sent["Content-Type"] = "application/json";
  if (key) sent.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(BASE + path, {
      method: method ?? (json === undefined && body === undefined ? "GET" : "POST"),
      body: json === undefined ? body : JSON.stringify(json),
      headers: sent, signal, cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer; is it still running?");
  }
  if (response.ok) return response;
  const error = new Refused(response.status, await bodyOf(response), response.headers.get("Retry-After"));
  if (error.status === 401) onRefused();
  throw error;
}

async function bodyOf(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

export async function getJson(path, options) {
  return (await ask(path, options)).json();
}

/** An answer of /encode with `vectors` as Float32Array, and what its headers say. */
export async function encode(request, options = {}) {
  const response = await ask("encode", { json: { ...request, encoding: "base64" }, ...options });
  const answer = await response.json();
  return {
    ...answer,
    vectors: answer.embeddings.map(floats),
    timing: response.headers.get("Server-Timing") ?? "",
    requestId: response.headers.get("X-Request-ID") ?? "",
  };
}

/**
 * Encode any number of inputs in the bulk lane. Returns per input `{vector}` or `{error}`.
 * `progress` is called with how many are done.
 */
export async function encodeMany(inputs, options, { progress = () => {}, signal } = {}) {
  const found = new Array(inputs.length);
  const query = new URLSearchParams({ ...options, encoding: "base64" });
  let next = 0, done = 0, head = null;
  const work = async () => {
    while (next < inputs.length) {
      const from = next;
      next += LINES;
      const lines = inputs.slice(from, from + LINES).map((one) => JSON.stringify(one)).join("\n");
      const response = await ask(`encode?${query}`, {
        body: `${lines}\n`, headers: { "Content-Type": "application/x-ndjson" }, signal,
      });
      head ??= {
        version: response.headers.get("X-Model-Version"), space: response.headers.get("X-Embedding-Space"),
      };
      let ended = false;
      for await (const line of linesOf(response)) {
        if (line.done) { ended = true; continue; }
        found[from + line.index] = line.error
          ? { error: line.error.message } : { vector: floats(line.embedding), note: line.warnings };
        progress(++done);
      }
      if (!ended) throw new Error("the answer was cut short; is the server stopping?");
    }
  };
  await Promise.all(Array.from({ length: STREAMS }, work));
  return { rows: found, ...head };
}

async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
  if (rest) yield JSON.parse(rest);
}

/** Little-endian float32 in base64, as it comes. */
export function floats(text) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(4 * at, true));
}
