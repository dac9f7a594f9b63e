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
 * By subspace iteration, which needs two products with the data a step and no matrix of its covariance; what
 * it spans is turned to its own axes at the end (Rayleigh-Ritz).
 */
export function principal(vectors, components = 2, steps = 25) {
  const dim = vectors[0].length, count = vectors.length;
  const mean = new Float64Array(dim);
  for (const one of vectors) for (let at = 0; at < dim; at++) mean[at] += one[at] / count;
  const data = vectors.map((one) => Float64Array.from(one, (value, at) => value - mean[at]));
  const total = data.reduce((sum, one) => sum + dot(one, one), 0);
  const width = Math.min(components + 6, dim, count); // a few more make the wanted ones converge
  const random = seeded(7);
  let axes = orthonormal(Array.from({ length: width }, () => Float64Array.from({ length: dim }, () => random() - 0.5)));
  for (let step = 0; step < steps; step++) axes = orthonormal(axes.map((axis) => spread(data, axis)));
  const within = axes.map((axis) => { const one = spread(data, axis); return axes.map((other) => dot(one, other)); });
  const { values, turned } = eigen(within);
  const order = values.map((_, at) => at).sort((a, b) => values[b] - values[a]).slice(0, components);
  const coordinates = data.map((one) => axes.map((axis) => dot(one, axis)));
  return {
    points: coordinates.map((one) => order.map((at) => one.reduce((sum, value, axis) => sum + value * turned[axis][at], 0))),
    shares: order.map((at) => (total ? values[at] / total : 0)),
  };
}

/** Eigenvalues of a small symmetric matrix, and its eigenvectors as columns: Jacobi's rotations. */
function eigen(matrix, sweeps = 12) {
  const size = matrix.length, a = matrix.map((row) => [...row]);
  const turned = matrix.map((_, row) => matrix.map((_, column) => Number(row === column)));
  for (let sweep = 0; sweep < sweeps; sweep++) {
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) {
        if (Math.abs(a[p][q]) < 1e-15 * Math.sqrt(Math.abs(a[p][p] * a[q][q])) || a[p][q] === 0) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const c = 1 / Math.hypot(t, 1), s = t * c;
        for (let k = 0; k < size; k++) [a[k][p], a[k][q]] = [c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]];
        for (let k = 0; k < size; k++) [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
        for (const row of turned) [row[p], row[q]] = [c * row[p] - s * row[q], s * row[p] + c * row[q]];
      }
    }
  }
  return { values: a.map((row, at) => row[at]), turned };
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
