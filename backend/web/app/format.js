/**
 * Numbers, times and foreign text as people read them. Pure.
 */

/** Control and format characters, and the letters and marks without a shape that `infrastructure/danger/looks.py` names. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]/gu;
/** The last two are parts of ordinary emoji and scripts. */
const HARMLESS = new Set(["\n", "\t", "\u200d", "\ufe0f"]);
/** Persian and the scripts of India write words with it; between letters that never join it only hides. */
const JOINING = String.raw`(?![\p{sc=Latin}\p{sc=Greek}\p{sc=Cyrillic}])[\p{L}\p{M}]`;
const NON_JOINER = new RegExp(`(?<=${JOINING})\u200c(?=${JOINING})`, "gu");

/**
 * The text with every character that is not seen, or that turns the order of others around, written as its number.
 * @param {string} text
 */
export function visible(text) {
  return text
    .replaceAll("\r\n", "\n")
    .replace(UNSAFE, (char) => (HARMLESS.has(char) ? char : `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`));
}

/**
 * What people write to each other, as `visible` shows it but for the non-joiner inside a word. Not for what a person is asked
 * about: there each character counts.
 * @param {string} text
 */
export function prose(text) {
  return text.split(NON_JOINER).map(visible).join("\u200c");
}

/** What `prose` shows of a growing text, from a place on that is not behind a non-joiner. @param {string} text @param {number} from */
export function proseFrom(text, from) {
  const before = text.slice(Math.max(0, from - 2), from);
  return prose(before + text.slice(from)).slice(prose(before).length);
}

/** One line, cut where it is long. @param {string} text @param {number} [most] */
export function shortened(text, most = 300) {
  const one = text.split(/\s+/).join(" ").trim();
  return one.length <= most ? one : `${one.slice(0, most - 1)}…`;
}

/** The first few of many names, and how many more there are. @param {string[]} items @param {number} [few] */
export function named(items, few = 5) {
  const shown = items.slice(0, few).join(", ");
  return items.length <= few ? shown : `${shown} and ${items.length - few} more`;
}

/** @param {number} number */
export function grouped(number) {
  return Math.round(number).toLocaleString("en-GB").replaceAll(",", "\u202f");
}

/** @param {number} number @param {string} one @param {string} [many] */
export function counted(number, one, many = `${one}s`) {
  return `${grouped(number)} ${number === 1 ? one : many}`;
}

/** A length of time. @param {number} seconds */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long ago something was. @param {number} at milliseconds @param {number} now milliseconds */
export function ago(at, now) {
  const seconds = Math.max(0, (now - at) / 1000);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(at).toISOString().slice(0, 10);
}

/** The time of day. @param {number} at milliseconds */
export function clock(at) {
  return Number.isFinite(at) ? new Date(at).toTimeString().slice(0, 8) : "";
}

/** @param {number} bytes */
export function gibibytes(bytes) {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** Test counts as people say them. @param {import("./state.js").Counts} counts */
export function countedTests(counts) {
  const parts = [
    [counts.passed, "passed"],
    [counts.failed, "failed"],
    [counts.errors, "with errors"],
    [counts.skipped, "skipped"],
  ].filter(([number]) => number);
  return parts.map(([number, word]) => `${number} ${word}`).join(", ") || "no tests";
}
