/** A text, an object of features, or any other JSON value that a model takes. */
export type Input = string | { [name: string]: unknown } | number[];

export interface Options {
  model?: string;
  version?: string;
  /** Which end of a text that is too long is cut; by default it is refused. */
  truncate?: "none" | "end" | "start";
  /** Fewer numbers, where the model was trained for it. */
  dimensions?: number;
  prompt?: string;
  /** The moment that ages are counted from: ISO 8601, or seconds since 1970. */
  now?: string | number;
}

export interface CallOptions extends Options {
  /** Milliseconds of the whole call, retries included; the server is told. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface ClientOptions extends Options {
  apiKey?: string;
  headers?: Record<string, string>;
  /** What vectors must be of; by default the space of the first answer. */
  space?: string;
  timeoutMs?: number;
  /** Requests at once of a call that is split; 4. */
  concurrency?: number;
  /** Most inputs, and characters of JSON, of a request; 512, and 524288. */
  batchItems?: number;
  batchChars?: number;
  retry?: { attempts?: number; baseMs?: number; longestMs?: number };
  /** In place of the global one. */
  fetch?: typeof fetch;
}

export interface Warning {
  /** Of the input, among all that were given. */
  index: number;
  [told: string]: unknown;
}

export interface Answer {
  model: string;
  version: string;
  space: string;
  dim: number;
  tokens: number;
  warnings: Warning[];
  vectors: Float32Array[];
}

export interface ScoreOptions extends CallOptions {
  candidatesModel?: string;
  topK?: number;
  /** From 0 to 1: how much words count beside vectors. */
  mix?: number;
}

export interface Score {
  index: number;
  score: number;
  cosine?: number;
  bm25?: number;
}

export interface Scores {
  model: string;
  version: string;
  space: string;
  metric: string;
  results: Score[];
  warnings: { param: string; [told: string]: unknown }[];
}

export class Client {
  constructor(url: string, options?: ClientOptions);
  /** The vectors of any number of inputs, in order. */
  encode(inputs: Input[], options?: CallOptions): Promise<Float32Array[]>;
  /** The same with everything that the server tells. */
  answer(inputs: Input[], options?: CallOptions): Promise<Answer>;
  /** The best of the candidates for one query, best first. */
  score(query: Input, candidates: Input[], options?: ScoreOptions): Promise<Scores>;
  models(): Promise<Record<string, unknown>>;
  model(name: string): Promise<Record<string, unknown>>;
  schema(name: string): Promise<Record<string, unknown>>;
  /** Accept whatever space the server gives next. */
  unpin(): void;
}

/** What every error of a server is; `code` is a stable word, `param` says which input. */
export class EncoderyError extends Error {
  status?: number;
  code?: string;
  param?: string;
  requestId?: string;
}
/** 4xx: the request must be another one. */
export class RequestRefused extends EncoderyError {}
/** The vectors would not be comparable with those from before. */
export class SpaceChanged extends RequestRefused {}
/** Busy, or not ready, at every try. */
export class Overloaded extends EncoderyError {
  retryAfterMs?: number;
}
/** The server erred; its log has the reason. */
export class ServerFailed extends EncoderyError {}
/** There is no connection, or it broke. */
export class ServerUnreachable extends EncoderyError {}
/** The time allowed was over before there was an answer. */
export class DeadlineExceeded extends EncoderyError {}
