/**
 * Where the page is: the part of the address behind `#`. Owns its form. Pure.
 */

/** @typedef {{view: "runs" | "run" | "sessions" | "session" | "batches" | "batch" | "pool" | "nowhere", id: string, query: Record<string, string>}} Place */

const PAGES = new Set(["", "runs", "sessions", "batches", "pool"]);
/** What every address takes for a way up, so that nothing can be called so. */
const DOTS = new Set([".", ".."]);

/** @param {string} hash as the browser has it @returns {Place} */
export function placeOf(hash) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const [first, id = ""] = path.split("/").map(decoded);
  const place = { id, query: Object.fromEntries(new URLSearchParams(query)) };
  if (!PAGES.has(first) || DOTS.has(id)) return { ...place, view: "nowhere" };
  if (first === "runs" && id) return { ...place, view: "run" };
  if (first === "sessions") return { ...place, view: id ? "session" : "sessions" };
  if (first === "batches") return { ...place, view: id ? "batch" : "batches" };
  return { id: "", query: place.query, view: first === "pool" ? "pool" : "runs" };
}

/** The address of a run, with what is open in it. @param {string} run @param {Record<string, string>} [query] */
export function runAddress(run, query = {}) {
  const said = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#/runs/${encodeURIComponent(run)}${said ? `?${said}` : ""}`;
}

/** The address of a conversation. @param {string} session */
export const sessionAddress = (session) => `#/sessions/${encodeURIComponent(session)}`;

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a stray % in a hand-written address
  }
}
