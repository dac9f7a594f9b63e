// Files that a reader saves: CSV, and npy (format 1.0) of float32, which numpy.load reads.

import { el } from "./dom.js";

/** A CSV of rows, which are lists. */
export function csv(head, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

/** The bytes of a float32 array [n, dim]. */
export function npy(vectors) {
  const dim = vectors[0].length;
  const shape = `{'descr': '<f4', 'fortran_order': False, 'shape': (${vectors.length}, ${dim}), }`;
  const head = `${shape.padEnd(Math.ceil((shape.length + 11) / 64) * 64 - 11)}\n`;
  const bytes = new Uint8Array(10 + head.length + 4 * vectors.length * dim);
  bytes.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, head.length & 255, head.length >> 8]);
  bytes.set(new TextEncoder().encode(head), 10);
  const view = new DataView(bytes.buffer, 10 + head.length);
  vectors.forEach((vector, row) => vector.forEach((value, at) => view.setFloat32(4 * (row * dim + at), value, true)));
  return bytes;
}

/** Let the browser save a file. */
export function save(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
