// Draws a map apart from the page, which stays quick: gets vectors, tells progress, and answers points.

import { layout } from "./layout.js";

self.onmessage = ({ data }) => {
  const points = layout(data.vectors, { progress: (share) => self.postMessage({ share }) });
  self.postMessage({ points: points.map((one) => [one[0], one[1]]) });
};
