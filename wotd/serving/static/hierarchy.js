// The tree of IDs as the server gives it, kept once asked.

import { address, ask } from "./server.js";

const kept = new Map();

/** What lies below a prefix, so many levels deep or fewer. */
export function hierarchy(id, depth) {
  const path = address("hierarchy", { id, depth });
  if (!kept.has(path)) {
    const answer = ask(path);
    kept.set(path, answer);
    answer.catch(() => kept.delete(path));
  }
  return kept.get(path);
}
