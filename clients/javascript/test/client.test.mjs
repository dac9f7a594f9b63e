// Against a small server that answers as it is told to; real HTTP. tests/clients runs it, and the real server.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { Client, DeadlineExceeded, Overloaded, RequestRefused, ServerUnreachable, SpaceChanged } from "../index.js";

let url, server, asked, answers;
const RETRY = { attempts: 3, baseMs: 1, longestMs: 2 };

/** A vector of one number for each input: its length. */
function encoded({ inputs }, space = "sp_a") {
  const embeddings = inputs.map((one) => Buffer.from(Float32Array.of(one.length).buffer).toString("base64"));
  const warnings = inputs.flatMap((one, index) => (one === "odd" ? [{ index, unknown: ["text"] }] : []));
  return [200, { model: "text", version: "1", space, dim: 1, usage: { items: inputs.length, tokens: inputs.length }, warnings, embeddings }];
}

before(async () => {
  server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    const body = text ? JSON.parse(text) : undefined;
    asked.push({ path: request.url, headers: request.headers, body });
    const [status, answer, headers = {}] = await (answers.shift() ?? encoded)(body);
    response.writeHead(status, { "Content-Type": "application/json", ...headers });
    response.end(typeof answer === "string" ? answer : JSON.stringify(answer));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());
beforeEach(() => { asked = []; answers = []; });

const refused = (status, code, headers, message = code) => () => [status, { error: { code, message, param: null } }, headers];

test("vectors come in the order of the inputs, however they are split", async () => {
  const inputs = Array.from({ length: 25 }, (_, at) => "x".repeat(at));
  inputs[17] = "odd";
  const answer = await new Client(`${url}/`, { batchItems: 4, retry: RETRY }).answer(inputs);
  assert.deepEqual(answer.vectors.map(([one]) => one), inputs.map((one) => one.length));
  assert.deepEqual(answer.warnings, [{ index: 17, unknown: ["text"] }]);
  assert.equal(answer.tokens, 25);
  assert.ok(answer.vectors[0] instanceof Float32Array);
  assert.equal(asked.length, 7);
});

test("a request holds no more characters than it may", async () => {
  await new Client(url, { batchChars: 100 }).encode(Array.from({ length: 10 }, () => "y".repeat(40)));
  assert.deepEqual(asked.map(({ body }) => body.inputs.length), [2, 2, 2, 2, 2]);
});

test("no inputs are no vectors", async () => {
  assert.deepEqual(await new Client(url).encode([]), []);
});

test("options of a call stand before those of the client, and the key is a bearer", async () => {
  const client = new Client(url, { model: "a", dimensions: 64, apiKey: "ek_x", headers: { "X-Own": "1" } });
  await client.encode(["hello"], { model: "b", truncate: "end" });
  const [{ body, headers }] = asked;
  assert.deepEqual(body, { model: "b", truncate: "end", dimensions: 64, inputs: ["hello"], encoding: "base64" });
  assert.equal(headers.authorization, "Bearer ek_x");
  assert.equal(headers["x-own"], "1");
  assert.ok(Number(headers["x-request-timeout-ms"]) > 29_000);
});

test("the space of the first answer is asked for from then on", async () => {
  const client = new Client(url);
  await client.encode(["a"]);
  await client.encode(["a"]);
  assert.deepEqual(asked.map(({ body }) => body.space), [undefined, "sp_a"]);
  answers = [refused(412, "space_mismatch")];
  await assert.rejects(client.encode(["a"]), SpaceChanged);
  answers = [(body) => encoded(body, "sp_b")];
  await assert.rejects(client.encode(["a"]), SpaceChanged);
  client.unpin();
  answers = [(body) => encoded(body, "sp_b")];
  assert.equal((await client.answer(["a"])).space, "sp_b");
});

test("two parts of one call are never of two spaces", async () => {
  answers = [encoded, (body) => encoded(body, "sp_b")];
  await assert.rejects(new Client(url, { batchItems: 1, concurrency: 1 }).encode(["a", "b"]), SpaceChanged);
});

test("a busy server is asked again, when it says", async () => {
  answers = [refused(429, "overloaded"), refused(503, "not_ready")];
  assert.equal((await new Client(url, { retry: RETRY }).encode(["a"])).length, 1);
  assert.equal(asked.length, 3);
  answers = Array.from({ length: 3 }, () => refused(429, "overloaded", {}, "too much waits"));
  await assert.rejects(new Client(url, { retry: RETRY }).encode(["a"]), (error) => error instanceof Overloaded && error.message === "too much waits");
  answers = [refused(429, "overloaded", { "Retry-After": "60" })];
  asked = [];
  await assert.rejects(new Client(url, { retry: RETRY, timeoutMs: 5000 }).encode(["a"]), (error) => error.retryAfterMs === 60_000);
  assert.equal(asked.length, 1); // the wait would have outlasted the call
});

test("what is refused is told in the server's words, with the place among all inputs", async () => {
  answers = [encoded, refused(422, "empty_input", { "X-Request-ID": "r1" }, "inputs[1]: the text is empty")];
  const client = new Client(url, { batchItems: 2, concurrency: 1, retry: RETRY });
  await assert.rejects(client.encode(["a", "b", "c", "d"]), (error) => {
    assert.ok(error instanceof RequestRefused);
    assert.deepEqual([error.message, error.status, error.code, error.requestId], ["inputs[3]: the text is empty", 422, "empty_input", "r1"]);
    return true;
  });
  assert.equal(asked.length, 2);
});

test("a proxy's page is no answer of ours", async () => {
  answers = [() => [502, "<html>"], () => [502, "<html>"], () => [502, "<html>"]];
  await assert.rejects(new Client(url, { retry: RETRY }).encode(["a"]), /HTTP status 502/);
});

test("time that is over ends the call", async () => {
  answers = [() => new Promise((resolve) => setTimeout(() => resolve([200, {}]), 2000).unref())];
  await assert.rejects(new Client(url, { timeoutMs: 50 }).encode(["a"]), DeadlineExceeded);
});

test("a caller may leave", async () => {
  answers = [() => new Promise((resolve) => setTimeout(() => resolve([200, {}]), 2000).unref())];
  const signal = AbortSignal.timeout(50);
  await assert.rejects(new Client(url).encode(["a"], { signal }), (error) => error === signal.reason);
});

test("a server that is not there is told", async () => {
  await assert.rejects(new Client("http://127.0.0.1:9", { retry: RETRY }).encode(["a"]), ServerUnreachable);
});

test("what is no URL is refused at once", () => {
  assert.throws(() => new Client("127.0.0.1:8000"), /begins with http/);
});

test("a ranking has the server's names", async () => {
  answers = [() => [200, { results: [{ index: 1, score: 2 }] }]];
  const found = await new Client(url, { model: "user" }).score({ a: 1 }, ["x", "y"], { candidatesModel: "item", topK: 1, mix: 0.4 });
  assert.deepEqual(found.results, [{ index: 1, score: 2 }]);
  assert.deepEqual(asked[0].body, { model: "user", query: { a: 1 }, candidates: ["x", "y"], candidates_model: "item", top_k: 1, mix: 0.4 });
});

test("models are asked by name", async () => {
  answers = Array.from({ length: 3 }, () => () => [200, {}]);
  const client = new Client(url);
  await Promise.all([client.models(), client.model("a b"), client.schema("text")]);
  assert.deepEqual(asked.map(({ path }) => path).sort(), ["/models", "/models/a%20b", "/models/text/schema"]);
});
