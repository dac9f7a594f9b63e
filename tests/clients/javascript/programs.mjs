// One program per JavaScript client: see ../programs.py.
//
//     node programs.mjs NAME URL     prints {"versions", "vectors", "error"} as JSON
import { readFileSync } from "node:fs";

const TEXTS = ["hello world", "the cat sat on the mat"];
const [MODEL, ABSENT] = ["text", "absent"];

async function caught(call) {
  try {
    await call();
  } catch (error) {
    return `${error.name}: ${error.message} ${JSON.stringify(error.httpResponse?.body ?? "")}`;
  }
  throw new Error("the call succeeded");
}

const programs = {
  async openai(url) {
    const { default: OpenAI } = await import("openai");
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
    const found = await client.embeddings.create({ model: MODEL, input: TEXTS });
    const error = await caught(() => client.embeddings.create({ model: ABSENT, input: "hello" }));
    return [found.data.map((one) => one.embedding), error];
  },
  async ollama(url) {
    const { Ollama } = await import("ollama");
    const client = new Ollama({ host: url });
    const found = await client.embed({ model: MODEL, input: TEXTS });
    const names = (answer) => answer.models.map((one) => one.name).join();
    if (names(await client.ps()) !== names(await client.list())) throw new Error("others are in memory");
    if (!(await client.show({ model: MODEL })).details.parameter_size) throw new Error("no size");
    const refused = await caught(() => client.chat({ model: MODEL, messages: [] }));
    if (!refused.includes("give vectors, no texts")) throw new Error(refused);
    return [found.embeddings, await caught(() => client.embed({ model: ABSENT, input: "hello" }))];
  },
  async huggingface(url) {
    const { featureExtraction } = await import("@huggingface/inference");
    const rows = [];
    for (const text of TEXTS) rows.push((await featureExtraction({ endpointUrl: url, inputs: text }))[0]);
    return [rows, await caught(() => featureExtraction({ endpointUrl: url, inputs: "" }))];
  },
  async ai(url) {
    const { embedMany } = await import("ai");
    const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
    const provider = createOpenAICompatible({ name: "encodery", baseURL: `${url}/v1` });
    const ask = (name) => embedMany({ model: provider.embeddingModel(name), values: TEXTS, maxRetries: 0 });
    const found = await ask(MODEL);
    if (!(found.usage.tokens > 0)) throw new Error("no usage");
    return [found.embeddings, await caught(() => ask(ABSENT))];
  },
  async langchain(url) {
    const { OpenAIEmbeddings } = await import("@langchain/openai");
    const made = (model) =>
      new OpenAIEmbeddings({ model, apiKey: "none", configuration: { baseURL: `${url}/v1` }, maxRetries: 0 });
    return [await made(MODEL).embedDocuments(TEXTS), await caught(() => made(ABSENT).embedQuery("hello"))];
  },
};

const [name, url, ...packages] = process.argv.slice(2);
const [vectors, error] = await programs[name](url);
const versionOf = (one) =>
  JSON.parse(readFileSync(new URL(`node_modules/${one}/package.json`, import.meta.url))).version;
const versions = Object.fromEntries(packages.map((one) => [one, versionOf(one)]));
console.log(JSON.stringify({ versions, vectors, error }));
