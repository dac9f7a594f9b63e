// Reads Prometheus' text of GET /metrics, and takes what happened between two readings of it.

/** Series of a text: name -> [{labels, value}]. */
export function parse(text) {
  const found = {};
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one));
    }
    (found[match[1]] ??= []).push({ labels, value: Number(match[3].replace("Inf", "Infinity")) });
  }
  return found;
}

const agrees = (labels, wanted) => Object.entries(wanted).every(([name, value]) => (typeof value === "function" ? value(labels[name]) : labels[name] === value));

/** The sum of a family's series that have these labels; a label may be asked by a function. */
export function total(reading, name, wanted = {}) {
  return (reading[name] ?? []).filter((one) => agrees(one.labels, wanted)).reduce((sum, one) => sum + one.value, 0);
}

/** How much a counter grew; a server that was started again begins at zero. */
export function grown(before, now, name, wanted) {
  return Math.max(0, total(now, name, wanted) - total(before, name, wanted));
}

/** The mean of what a histogram observed between two readings; null for nothing. */
export function mean(before, now, name, wanted) {
  const count = grown(before, now, `${name}_count`, wanted);
  return count ? grown(before, now, `${name}_sum`, wanted) / count : null;
}

/** A quantile of the same, by the buckets; null for nothing. */
export function quantile(before, now, name, share, wanted) {
  const limits = [...new Set((now[`${name}_bucket`] ?? []).map((one) => one.labels.le))].map((le) => [le, Number(le.replace("Inf", "Infinity"))]);
  limits.sort((a, b) => a[1] - b[1]);
  const counts = limits.map(([le]) => grown(before, now, `${name}_bucket`, { ...wanted, le }));
  const all = counts.at(-1);
  if (!all) return null;
  const at = counts.findIndex((count) => count >= share * all);
  const low = at ? limits[at - 1][1] : 0, high = limits[at][1];
  if (!Number.isFinite(high)) return low;
  const below = at ? counts[at - 1] : 0;
  return low + ((high - low) * (share * all - below)) / (counts[at] - below || 1);
}
