// Arithmetic on lists of Float32Array, all of one length.

export function dot(a, b) {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at] * b[at];
  return sum;
}

export const norm = (a) => Math.sqrt(dot(a, a));

/** The same at length one; a vector of zeros stays. */
export function unit(a) {
  const length = norm(a) || 1;
  return a.map((one) => one / length);
}

/** What a model's metric says of each pair: rows of numbers. */
export function similarities(vectors, metric) {
  const compared = metric === "cosine" ? vectors.map(unit) : vectors;
  return compared.map((a) => compared.map((b) => dot(a, b)));
}

/** Positions of the `count` nearest of one of the vectors, without itself, best first. */
export function nearest(vectors, at, count) {
  const scores = vectors.map((other, index) => [index, index === at ? -Infinity : dot(vectors[at], other)]);
  return scores.sort((a, b) => b[1] - a[1]).slice(0, Math.min(count, vectors.length - 1));
}

/**
 * The first principal components of vectors: `{points: [[x, y], …], shares}`.
 * By subspace iteration, which needs two products with the data a step and no matrix of its covariance.
 */
export function principal(vectors, components = 2, steps = 40) {
  const dim = vectors[0].length, count = vectors.length;
  const mean = new Float64Array(dim);
  for (const one of vectors) for (let at = 0; at < dim; at++) mean[at] += one[at] / count;
  const data = vectors.map((one) => Float64Array.from(one, (value, at) => value - mean[at]));
  const total = data.reduce((sum, one) => sum + dot(one, one), 0);
  const width = Math.min(components + 4, dim, Math.max(count, 1)); // a few more make the wanted ones converge
  const random = seeded(7);
  let axes = orthonormal(Array.from({ length: width }, () => Float64Array.from({ length: dim }, () => random() - 0.5)));
  for (let step = 0; step < steps; step++) axes = orthonormal(axes.map((axis) => spread(data, axis)));
  const spans = axes.map((axis) => dot(spread(data, axis), axis));
  const order = spans.map((_, at) => at).sort((a, b) => spans[b] - spans[a]).slice(0, components);
  return {
    points: data.map((one) => order.map((at) => dot(one, axes[at]))),
    shares: order.map((at) => (total ? spans[at] / total : 0)),
  };
}

/** The covariance, times the number of rows, applied to an axis. */
function spread(data, axis) {
  const sum = new Float64Array(axis.length);
  for (const one of data) {
    const along = dot(one, axis);
    for (let at = 0; at < axis.length; at++) sum[at] += along * one[at];
  }
  return sum;
}

/** Gram-Schmidt, twice, for what is nearly parallel. */
function orthonormal(axes) {
  const done = [];
  for (const axis of axes) {
    for (let turn = 0; turn < 2; turn++) {
      for (const other of done) {
        const along = dot(axis, other);
        for (let at = 0; at < axis.length; at++) axis[at] -= along * other[at];
      }
    }
    const length = norm(axis);
    done.push(axis.map((one) => (length > 1e-12 ? one / length : 0)));
  }
  return done;
}

/** Numbers from 0 to 1 that are the same each time (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
