// Asks the server beside this page. Where it wants a key, the question waits until somebody has given one.

import { forgetKey, key, keyFromUser } from "./key.js";

/** Why there is no answer, in words; `retry` is after how many seconds it is worth another try, null if it is not. */
export class Problem extends Error {
  constructor(sentence, retry = null) {
    super(sentence.charAt(0).toUpperCase() + sentence.slice(1));
    this.retry = retry;
  }
}

/** The answer to a GET, or to a POST where there is a body. */
export async function ask(path, body) {
  for (;;) {
    const used = key();
    const response = await sent(path, body, used);
    if (response.status === 401) {
      forgetKey(used);
      await keyFromUser(used !== null);
      continue;
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const sentence = answer.detail ?? `the server answered ${response.status}.`;
    if (response.status !== 503) throw new Problem(sentence, response.status >= 500 ? 0 : null);
    throw new Problem(sentence, Number(response.headers.get("retry-after")) || 0);
  }
}

/** A path with a query; values that are empty are left out. */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

async function sent(path, body, used) {
  const headers = used === null ? {} : { Authorization: `Bearer ${used}` };
  const options = body === undefined ? { headers } : {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  try {
    return await fetch(path, options);
  } catch {
    throw new Problem("The server does not answer; is it still running?", 0);
  }
}
