// Now: what the server does at the moment, by GET /metrics and /health, every two seconds.

import { ask, getJson } from "../api.js";
import { refresh } from "../catalogue.js";
import { spark } from "../charts.js";
import { el, problem, shown, table } from "../dom.js";
import { grown, mean, parse, quantile, total } from "../prometheus.js";

const EVERY_MS = 2000;
const KEPT = 60; // readings: two minutes
const REFUSALS = (status) => status === "429" || status === "503";
const ENCODES = (route) => !/^\/(metrics|health|models|page|docs|openapi|model-version|ping|info)?(\/|$|\.)/.test(route);

export async function nowPanel(panel, { signal }) {
  const place = el("div"), refused = el("div");
  panel.replaceChildren(el("h2", {}, "Now"), place, refused);
  const models = await refresh();
  refused.replaceChildren(refusedOf(models));
  const readings = [];
  const look = async () => {
    if (document.hidden) return;
    try {
      const [text, health] = await Promise.all([ask("metrics", { signal }).then((one) => one.text()), getJson("health", { signal })]);
      readings.push({ at: performance.now(), series: parse(text) });
      if (readings.length > KEPT) readings.shift();
      place.replaceChildren(...view(readings, health));
    } catch (error) {
      if (error.name === "AbortError") return;
      const why = error.status === 404 ? new Error("this server tells no metrics (ENCODERY_METRICS=false)") : error;
      place.replaceChildren(problem(why));
      if ([401, 403, 404].includes(error.status)) clearInterval(timer);
    }
  };
  const timer = setInterval(look, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  await look();
}

function view(readings, health) {
  const pairs = readings.slice(1).map((now, at) => [readings[at], now]);
  const rate = (name, wanted) => pairs.map(([before, now]) => grown(before.series, now.series, name, wanted) / ((now.at - before.at) / 1000));
  const first = readings[0].series, last = readings.at(-1).series;
  const latency = (share) => pairs.map(([before, now]) => 1e3 * (quantile(before.series, now.series, "encodery_request_seconds", share, { route: ENCODES }) ?? 0));
  const tiles = [
    tile("requests a second", rate("encodery_requests_total", { route: ENCODES })),
    tile("inputs a second", rate("encodery_items_total")),
    tile("median, ms", latency(0.5)),
    tile("99 % within, ms", latency(0.99)),
    tile("refused a second", rate("encodery_requests_total", { status: REFUSALS })),
    tile("inputs in work", readings.map((one) => total(one.series, "encodery_items_in_work"))),
  ];
  return [facts(health, last), el("div", { class: "tiles" }, tiles), byModel(first, last)];
}

function tile(name, values) {
  const now = values.at(-1) ?? 0;
  return el("figure", { class: "tile" }, el("figcaption", {}, name), el("strong", {}, shown(Number(now.toFixed(now < 10 ? 2 : 0)))), spark(values, `${name}, lately`));
}

function facts(health, series) {
  const workers = total(series, "encodery_workers");
  const state = health.ready ? "ready" : `not ready: ${health.reasons.join(", ")}`;
  return el("p", {},
    el("strong", { class: health.ready ? "good" : "bad" }, state),
    ` · Encodery ${health.encodery} · the process that answered has run for ${span(health.uptime_s)} · `,
    workers ? `${workers} processes serve, ${total(series, "encodery_worker_deaths_total")} died` : "one process serves",
    ` · ${Math.round(total(series, "process_resident_memory_bytes") / 1e6)} MB of memory`);
}

function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** Since this panel was opened. */
function byModel(first, last) {
  const rows = (last.encodery_items_total ?? []).map(({ labels }) => {
    const { model, version } = labels, which = { model, version };
    const items = grown(first, last, "encodery_items_total", which), cached = grown(first, last, "encodery_cached_items_total", which);
    const ms = (name) => { const found = mean(first, last, name, which); return found === null ? null : Number((1e3 * found).toFixed(2)); };
    return [`${model} ${version}`, items, ms("encodery_queue_wait_seconds"), ms("encodery_run_seconds"),
      rounded(mean(first, last, "encodery_batch_rows", which)), items ? `${Math.round((100 * cached) / items)} %` : null,
      total(last, "encodery_queue_items", which), grown(first, last, "encodery_warned_items_total", which)];
  });
  return el("section", {}, el("h3", {}, "By model, since this panel was opened"),
    table(["model", "inputs", "waited, ms", "pass, ms", "rows a pass", "cached", "waiting", "warned"], rows, "By model"));
}

const rounded = (value) => (value === null ? null : Number(value.toFixed(1)));

function refusedOf(models) {
  const refused = models.flatMap((one) => one.refused);
  return el("section", {}, el("h3", {}, "Refused at load"),
    refused.length
      ? table(["version", "why"], refused.map((one) => [`${one.name} ${one.version ?? ""}`, one.reason]), "Refused at load")
      : el("p", { class: "quiet" }, "Nothing was refused."));
}
