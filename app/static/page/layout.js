// UMAP (McInnes, Healy, Melville 2018, https://arxiv.org/abs/1802.03426) of a few thousand vectors.
//
//   vectors -> their first components -> nearest neighbours -> fuzzy graph -> two dimensions, pulled and pushed

import { principal, seeded } from "./vectors.js";

const COMPONENTS = 50, STEPS = 6; // before neighbours are sought: an order of magnitude faster, and as good here
const A = 1.577, B = 0.8951; // of the curve for min_dist 0.1
const NEIGHBOURS = 15, PUSHES = 5, RATE = 1.0, MOST = 4; // per pull; learning rate; the largest step

/** Points [[x, y], …]; `progress` is called with a share of 1. */
export function layout(vectors, { epochs = 250, progress = () => {} } = {}) {
  const count = vectors.length;
  const neighbours = Math.min(NEIGHBOURS, Math.max(2, Math.round(count / 5))); // of few, fewer are near
  const reduced = vectors[0].length > COMPONENTS ? principal(vectors, COMPONENTS, STEPS).points : vectors;
  const points = startOf(reduced);
  const edges = graph(nearestOf(reduced, neighbours, (done) => progress(done * 0.5)));
  const strongest = edges.reduce((most, one) => Math.max(most, one[2]), 0);
  const every = edges.map(([, , weight]) => strongest / weight);
  const due = [...every];
  const random = seeded(11);
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const rate = RATE * (1 - epoch / epochs);
    edges.forEach(([from, to], edge) => {
      if (due[edge] > epoch) return;
      due[edge] += every[edge];
      pull(points[from], points[to], rate);
      for (let push = 0; push < PUSHES; push++) away(points[from], points[Math.floor(random() * count)], rate);
    });
    if (epoch % 10 === 0) progress(0.5 + (0.5 * epoch) / epochs);
  }
  return points;
}

/** The first two components, ten wide, with a little noise so that equal points part. */
function startOf(rows) {
  const { points } = principal(rows, 2, 30);
  const widest = Math.max(...points.flat().map(Math.abs), 1e-9);
  const random = seeded(3);
  return points.map((one) => Float64Array.from(one, (value) => (10 * value) / widest + 1e-3 * (random() - 0.5)));
}

/** For each row the positions and distances of its nearest, by Euclid's distance. */
function nearestOf(rows, wanted, progress) {
  return rows.map((row, at) => {
    const found = [];
    for (let other = 0; other < rows.length; other++) {
      if (other === at) continue;
      let square = 0;
      const limit = found.length < wanted ? Infinity : found[wanted - 1][1];
      for (let axis = 0; axis < row.length && square < limit; axis++) square += (row[axis] - rows[other][axis]) ** 2;
      if (square >= limit) continue;
      if (found.length === wanted) found.pop();
      let place = found.length;
      while (place > 0 && found[place - 1][1] > square) place--;
      found.splice(place, 0, [other, square]);
    }
    if (at % 100 === 0) progress(at / rows.length);
    return found.map(([other, square]) => [other, Math.sqrt(square)]);
  });
}

/** Edges [from, to, weight] of the fuzzy graph: how likely either end holds the other for a neighbour. */
function graph(nearest) {
  const weights = new Map();
  const key = (a, b) => a * nearest.length + b;
  nearest.forEach((found, at) => {
    const closest = found.find(([, distance]) => distance > 0)?.[1] ?? 0;
    const width = widthOf(found.map(([, distance]) => Math.max(0, distance - closest)));
    for (const [other, distance] of found) weights.set(key(at, other), Math.exp(-Math.max(0, distance - closest) / width));
  });
  const edges = [];
  for (const [pair, weight] of weights) {
    const from = Math.floor(pair / nearest.length), to = pair % nearest.length;
    const back = weights.get(key(to, from)) ?? 0;
    const both = weight + back - weight * back;
    if (both > 1e-3) edges.push([from, to, both]);
    if (both > 1e-3 && !back) edges.push([to, from, both]);
  }
  return edges;
}

/** The width with which the neighbours' weights add up to log2 of their number. */
function widthOf(beyond) {
  const wanted = Math.log2(Math.max(beyond.length, 2));
  let low = 0, high = Infinity, width = 1;
  for (let step = 0; step < 64; step++) {
    const sum = beyond.reduce((total, one) => total + Math.exp(-one / width), 0);
    if (Math.abs(sum - wanted) < 1e-5) break;
    if (sum > wanted) high = width; else low = width;
    width = high === Infinity ? width * 2 : (low + high) / 2;
  }
  return Math.max(width, 1e-3);
}

function pull(a, b, rate) {
  const square = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2;
  if (square === 0) return;
  const force = (-2 * A * B * square ** (B - 1)) / (1 + A * square ** B);
  for (let axis = 0; axis < 2; axis++) {
    const step = rate * clipped(force * (a[axis] - b[axis]));
    a[axis] += step;
    b[axis] -= step;
  }
}

function away(a, b, rate) {
  if (a === b) return;
  const square = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2;
  const force = (2 * B) / ((0.001 + square) * (1 + A * square ** B));
  for (let axis = 0; axis < 2; axis++) a[axis] += rate * (square > 0 ? clipped(force * (a[axis] - b[axis])) : MOST);
}

const clipped = (value) => Math.max(-MOST, Math.min(MOST, value));
