// The client of an Encodery server, for browsers, Node, Deno and Bun: fetch, and nothing else.
//
//   inputs -> split -> a few requests at once, each tried again while the server is busy -> vectors, in order

const RETRYABLE = new Set([429, 502, 503]);
const JITTER = 0.25; // of a Retry-After, on top of it, or everybody comes back in the same moment
const FIELDS = ["model", "version", "truncate", "dimensions", "prompt", "now"];

export class EncoderyError extends Error {
  constructor(message, details = {}) {
    super(message);
    this.name = new.target.name;
    Object.assign(this, details);
  }
}
export class RequestRefused extends EncoderyError {}
export class SpaceChanged extends RequestRefused {}
export class Overloaded extends EncoderyError {}
export class ServerFailed extends EncoderyError {}
export class ServerUnreachable extends EncoderyError {}
export class DeadlineExceeded extends EncoderyError {}

export class Client {
  #url; #options; #pins = new Map();

  constructor(url, options = {}) {
    if (!/^https?:\/\//.test(url)) {
      throw new TypeError(`a URL begins with http:// or https://, as http://127.0.0.1:8000; this is ${JSON.stringify(url)}`);
    }
    this.#url = url.replace(/\/+$/, "");
    this.#options = {
      timeoutMs: 30_000, concurrency: 4, batchItems: 512, batchChars: 524_288, ...options,
      retry: { attempts: 5, baseMs: 100, longestMs: 5_000, ...options.retry },
    };
  }

  async encode(inputs, options = {}) {
    return (await this.answer(inputs, options)).vectors;
  }

  async answer(inputs, options = {}) {
    if (!Array.isArray(inputs)) throw new TypeError("encode takes a list of inputs");
    const fields = this.#fields(options), pin = JSON.stringify(fields, ["model", "version", "dimensions"]);
    const call = this.#call(options);
    const batches = split(inputs, this.#options);
    const answers = new Array(batches.length);
    let next = 0;
    const work = async () => {
      while (next < batches.length) {
        const at = next++, { from, items } = batches[at];
        const space = this.#pins.get(pin) ?? this.#options.space;
        const body = { ...fields, inputs: items, encoding: "base64", ...(space ? { space } : {}) };
        answers[at] = await this.#post("/encode", body, call, from);
        this.#check(pin, answers[at].space);
      }
    };
    await atOnce(call, Math.min(this.#options.concurrency, batches.length), work);
    return joined(answers, batches);
  }

  async score(query, candidates, options = {}) {
    const { prompt, ...fields } = this.#fields(options);
    const { candidatesModel: candidates_model, topK: top_k, mix } = options;
    const body = { ...fields, query, candidates, candidates_model, top_k, mix };
    return this.#post("/score", body, this.#call(options), 0);
  }

  models() { return this.#get("/models"); }

  model(name) { return this.#get(`/models/${encodeURIComponent(name)}`); }

  schema(name) { return this.#get(`/models/${encodeURIComponent(name)}/schema`); }

  unpin() { this.#pins.clear(); }

  /** What is sent with every input: of the call, or else of the client. */
  #fields(options) {
    const pairs = FIELDS.map((name) => [name, options[name] ?? this.#options[name]]);
    return Object.fromEntries(pairs.filter(([, value]) => value !== undefined));
  }

  #call({ timeoutMs = this.#options.timeoutMs, signal }) {
    const controller = new AbortController();
    if (signal?.aborted) controller.abort(signal.reason);
    signal?.addEventListener("abort", () => controller.abort(signal.reason), { signal: controller.signal });
    return { controller, signal, deadline: performance.now() + timeoutMs };
  }

  /** Every answer is of the space of the first, or nobody gets it. */
  #check(pin, space) {
    const expected = this.#pins.get(pin) ?? this.#options.space ?? space;
    this.#pins.set(pin, expected);
    if (expected !== space) {
      throw new SpaceChanged(`the vectors are of ${space}, and those from before of ${expected}: they cannot be compared`);
    }
  }

  #get(path) { return this.#ask("GET", path, undefined, this.#call({}), 0); }

  #post(path, body, call, offset) { return this.#ask("POST", path, JSON.stringify(body), call, offset); }

  /** The answer; tries again while the server is busy or away, as long as there is time. */
  async #ask(method, path, body, call, offset) {
    const { attempts, baseMs, longestMs } = this.#options.retry;
    for (let failed = 1; ; failed++) {
      const error = await this.#once(method, path, body, call, offset).catch((caught) => caught);
      if (!(error instanceof Error)) return error;
      const mayHelp = error instanceof ServerUnreachable || RETRYABLE.has(error.status);
      const wait = error.retryAfterMs === undefined
        ? Math.random() * Math.min(longestMs, baseMs * 2 ** (failed - 1))
        : error.retryAfterMs * (1 + JITTER * Math.random());
      if (!mayHelp || failed >= attempts || performance.now() + wait >= call.deadline) throw error;
      await sleep(wait, call.controller.signal);
    }
  }

  async #once(method, path, body, { controller, signal, deadline }, offset) {
    const left = deadline - performance.now();
    if (left <= 0) throw new DeadlineExceeded("the time allowed (timeoutMs) is over");
    const own = new AbortController();
    const stop = () => own.abort();
    controller.signal.addEventListener("abort", stop, { once: true });
    if (controller.signal.aborted) own.abort();
    const timer = setTimeout(stop, left);
    try {
      const { apiKey, headers, fetch: send = globalThis.fetch } = this.#options;
      const response = await send(this.#url + path, {
        method, body, signal: own.signal,
        headers: {
          ...(body === undefined ? {} : { "Content-Type": "application/json", "X-Request-Timeout-Ms": String(Math.max(1, Math.floor(left))) }),
          ...(apiKey ? { Authorization: `Bearer ${apiKey}` } : {}), ...headers,
        },
      });
      const content = await response.text();
      if (!response.ok) throw errorOf(response, content, offset);
      return JSON.parse(content);
    } catch (error) {
      if (error instanceof EncoderyError) throw error;
      if (signal?.aborted) throw signal.reason;
      if (error instanceof SyntaxError) throw new ServerFailed("the answer is not an Encodery server's");
      if (own.signal.aborted) throw new DeadlineExceeded("no answer within the time allowed (timeoutMs)");
      throw new ServerUnreachable(`no answer: ${error.cause?.message || error.message}`);
    } finally {
      clearTimeout(timer);
      controller.signal.removeEventListener("abort", stop);
    }
  }
}

/** So many at once; when one fails, the others' requests are dropped. */
async function atOnce({ controller }, count, work) {
  try {
    await Promise.all(Array.from({ length: count }, work));
  } finally {
    controller.abort();
  }
}

/** Batches of inputs: `{from, items}`. */
function split(inputs, { batchItems, batchChars }) {
  const batches = [];
  let chars = Infinity;
  inputs.forEach((input, at) => {
    const length = JSON.stringify(input)?.length ?? 4;
    const last = batches.at(-1);
    if (!last || last.items.length >= batchItems || chars + length > batchChars) {
      batches.push({ from: at, items: [input] });
      chars = length;
    } else {
      last.items.push(input);
      chars += length;
    }
  });
  return batches.length ? batches : [{ from: 0, items: [] }];
}

function joined(answers, batches) {
  const { model, version, space, dim } = answers[0];
  return {
    model, version, space, dim,
    tokens: answers.reduce((sum, one) => sum + one.usage.tokens, 0),
    warnings: answers.flatMap((one, at) => one.warnings.map((warning) => ({ ...warning, index: warning.index + batches[at].from }))),
    vectors: answers.flatMap((one) => one.embeddings.map(floats)),
  };
}

/** Little-endian float32 in base64. */
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(4 * at, true));
}

/** The error that an answer stands for; positions are those among all inputs. */
function errorOf(response, content, offset) {
  let detail = {};
  try {
    detail = JSON.parse(content).error ?? {};
  } catch { /* a proxy's page */ }
  const moved = (text) => text?.replace(/inputs\[(\d+)\]/g, (_, at) => `inputs[${Number(at) + offset}]`);
  const { status } = response, seconds = response.headers.get("Retry-After");
  const told = moved(detail.message ?? (typeof detail === "string" ? detail : `HTTP status ${status}`));
  const details = { status, code: detail.code, param: moved(detail.param ?? undefined), requestId: response.headers.get("X-Request-ID") ?? undefined };
  if (status === 429 || status === 503) {
    return new Overloaded(told, { ...details, retryAfterMs: /^\d+$/.test(seconds ?? "") ? 1000 * Number(seconds) : undefined });
  }
  if (status === 408 || status === 504) return new DeadlineExceeded(told, details);
  if (status >= 500) return new ServerFailed(told, details);
  return new (detail.code === "space_mismatch" ? SpaceChanged : RequestRefused)(told, details);
}

function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
