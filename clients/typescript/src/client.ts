/** A typed client of Soko: every path, parameter, body and answer as the server's own API document says. */

import createFetchClient, { type Client, type Middleware } from "openapi-fetch";
import type { paths, Problem } from "./schema.ts";

export type * from "./schema.ts";

/** What the server says when it refuses: `code` is stable, `detail` is a sentence for a person. */
export class Refusal extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.name = "Refusal";
    this.problem = problem;
  }

  get code(): string {
    return this.problem.code;
  }
}

export interface SokoOptions {
  /** Where the server is, without a slash at the end. */
  baseUrl: string;
  /** Gives the access token of whoever is signed in, if somebody is; asked before every request. */
  token?: () => string | undefined;
  /** Does the requests; the platform's own `fetch` if left out. */
  fetch?: (request: Request) => Promise<Response>;
}

export type Soko = Client<paths>;

/** Make a client. Its methods take a path of the API and answer `{ data }` or `{ error }`; see `ok`. */
export function createSoko({ baseUrl, token, fetch }: SokoOptions): Soko {
  const client = createFetchClient<paths>(fetch ? { baseUrl, fetch } : { baseUrl });
  const signed: Middleware = {
    onRequest({ request }) {
      const word = token?.();
      if (word !== undefined) request.headers.set("authorization", `Bearer ${word}`);
      return request;
    },
  };
  client.use(signed);
  return client;
}

/** Return what was answered, or throw the `Refusal`. */
export async function ok<Data>(reply: Promise<{ data?: Data; error?: unknown; response: Response }>): Promise<Data> {
  const { data, error, response } = await reply;
  if (error !== undefined || !response.ok) throw new Refusal(error as Problem);
  return data as Data;
}
