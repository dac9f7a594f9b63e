// What the server tells about an input, in words.

const WORDS = {
  truncated: (cuts) => cuts.map((one) => `${one.field} was cut: ${one.length} ${one.unit}, the limit is ${one.limit}`).join("; "),
  unknown: (fields) => `a value that training never saw: ${fields.join(", ")}`,
  unknown_entries: (places) => `entries that are not known, and were skipped: ${counted(places)}`,
  new_entries: (places) => `entries that training never saw, encoded from their content: ${counted(places)}`,
  repeated_entries: (count) => `${count} entries repeat another one and were left out`,
  undated_entries: (places) => `entries without a time, taken for as old as the one before: ${counted(places)}`,
  future_entries: (places) => `entries in the future, taken for as old as the newest: ${counted(places)}`,
  empty_history: () => "the history holds nothing that the encoder can use",
  empty_item: () => "nothing is known of the item; its vector is that of no item in particular",
  other_language: () => "it seems to be in a language that the encoder was not trained for",
  respelt: (count) => `${count} ${count === 1 ? "word was" : "words were"} read as misspelt`,
  media_address: () => "it is nothing but the address of a file; its letters were encoded, nothing was fetched",
};

const counted = (places) => places.map((at) => at + 1).slice(0, 10).join(", ") + (places.length > 10 ? " …" : "");

/** Sentences for a warning of /encode or /score. */
export function sentences(warning) {
  const { index, param, ...told } = warning;
  return Object.entries(told).map(([name, value]) => WORDS[name]?.(value) ?? `${name}: ${JSON.stringify(value)}`);
}
