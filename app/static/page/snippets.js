// The same request as programs, to be copied. A key never stands in them: they read ENCODERY_KEY.

import { BASE, hasKey } from "./api.js";

const LONGEST = 200; // characters of a value; the rest of a file's data would hide the program

/** Programs by name, for a request of /encode. */
export function programs(request) {
  const all = { curl: curl(request), Python: python(request), JavaScript: javascript(request) };
  const isText = request.inputs.every((one) => typeof one === "string");
  return isText ? { ...all, "OpenAI client": openai(request) } : all;
}

function short(value) {
  if (typeof value === "string") return value.startsWith("data:") && value.length > LONGEST ? `${value.slice(0, 40)}…` : value;
  if (Array.isArray(value)) return value.map(short);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, short(one)]));
  return value;
}

const json = (value, indent) => JSON.stringify(short(value), null, indent);

/** As a literal of Python's. */
function literal(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, one]) => `${literal(name)}: ${literal(one)}`).join(", ")}}`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function curl(request) {
  const key = hasKey() ? " \\\n  -H \"Authorization: Bearer $ENCODERY_KEY\"" : "";
  const body = json(request).replaceAll("'", "'\\''");
  return `curl -s ${BASE}encode -H 'Content-Type: application/json'${key} \\\n  -d '${body}'\n`;
}

function python({ inputs, ...options }) {
  const given = Object.entries(options).map(([name, value]) => `, ${name}=${literal(value)}`).join("");
  const key = hasKey() ? ', api_key=os.environ["ENCODERY_KEY"]' : "";
  return [
    ...(hasKey() ? ["import os", ""] : []),
    "from encodery_client import Client", "",
    `with Client("${BASE.replace(/\/$/, "")}"${key}) as client:`,
    `    vectors = client.encode(${literal(short(inputs))}${given})`,
    "print(vectors.shape)", "",
  ].join("\n");
}

function javascript(request) {
  const key = hasKey() ? "\n    Authorization: `Bearer ${process.env.ENCODERY_KEY}`," : "";
  return [
    `const response = await fetch("${BASE}encode", {`,
    '  method: "POST",',
    `  headers: {\n    "Content-Type": "application/json",${key}\n  },`,
    `  body: JSON.stringify(${json(request, 2).replaceAll("\n", "\n  ")}),`,
    "});",
    "const answer = await response.json();",
    "if (!response.ok) throw new Error(answer.error.message);",
    "console.log(answer.space, answer.embeddings);", "",
  ].join("\n");
}

function openai({ inputs, model, version, dimensions }) {
  const named = version ? `${model}/${version}` : model;
  const cut = dimensions ? `, dimensions=${dimensions}` : "";
  const key = hasKey() ? 'os.environ["ENCODERY_KEY"]' : '"none"';
  return [
    ...(hasKey() ? ["import os", ""] : []),
    "from openai import OpenAI", "",
    `client = OpenAI(base_url="${BASE}v1", api_key=${key})`,
    `answer = client.embeddings.create(model=${literal(named)}, input=${literal(inputs)}${cut})`,
    "print(len(answer.data[0].embedding))", "",
  ].join("\n");
}
