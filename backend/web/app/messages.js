/**
 * How messages look: who said it, the words, what was thought, the calls of tools with what came of them. All of it is a
 * stranger's text and reaches the page as text; of a long one the beginning is shown, the rest when asked for. A block of
 * code is copied as it is shown: what cannot be seen in it does not reach a terminal.
 */

import { imagePath } from "./api.js";
import { fill, h, mark, say } from "./dom.js";
import { clock, grouped, prose, proseFrom, shortened, visible } from "./format.js";
import { partsOf } from "./talk.js";

/** @typedef {import("./talk.js").Message} Message */
/** @typedef {{results: Map<string, Message>, asked: Set<string>, open: boolean}} Around what is known beside a message: results, calls that wait for a person, whether a turn is open */
/** @typedef {{element: HTMLElement, update: (around: Around) => void}} Shown */

/** Characters of one text that are on the page unasked. */
export const CUT = 12_000;
/** Milliseconds that a button says so. */
const COPIED = 2000;

/** @param {Message} message @param {string} session @returns {Shown} */
export function messageShown(message, session) {
  if (message.role === "tool") return resultShown(message);
  if (message.role === "system") return summaryShown(message);
  const calls = message.tool_calls.map(callShown);
  const person = message.role === "user";
  const element = h(
    "article",
    { class: "said", "data-who": person ? "person" : "agent", "aria-label": `${person ? "you" : visible(message.agent)}, message ${message.number}` },
    headOf(person ? "you" : message.agent, message.at),
    message.thinking && h("details", { class: "thought" }, h("summary", {}, "thought"), cutText(message.thinking)),
    message.content && proseElement(message.content),
    ...message.images.map((name, at) => h("img", { src: imagePath(session, name), alt: `image ${at + 1} of message ${message.number}`, loading: "lazy" })),
    ...calls.map((call) => call.element),
  );
  return { element, update: (around) => calls.forEach((call) => call.update(around)) };
}

/** The answer that is being given; text is appended, never drawn again. */
export class LiveAnswer {
  constructor() {
    this.gone = -1;
    this.who = h("strong", {});
    this.thought = new Growing("pre");
    this.words = new Growing("div");
    this.thinking = h("details", { class: "thought", open: true }, h("summary", {}, "thinks…"), this.thought.element);
    this.element = h("article", { class: "said live", "data-who": "agent", "aria-label": "the answer that is being given", hidden: true }, h("header", {}, this.who, h("span", { class: "dim" }, "…")), this.thinking, this.words.element);
  }

  /** @param {import("./talk.js").Talk} talk */
  show({ live, gone, turn, waiting, agent }) {
    const busy = turn === "open" && !waiting.approvals.length && !waiting.client_calls.length;
    this.element.hidden = !busy && !live.text && !live.thinking;
    say(this.who, visible(live.agent || agent));
    if (gone !== this.gone) for (const each of [this.thought, this.words]) each.begin();
    this.gone = gone;
    this.thought.show(live.thinking);
    this.words.show(live.text);
    this.thinking.hidden = !live.thinking;
  }
}

/** A text that grows. */
class Growing {
  /** @param {string} tag */
  constructor(tag) {
    this.element = h(tag, { class: "prose" });
    this.begin();
  }

  begin() {
    this.length = 0;
    this.node = document.createTextNode("");
    fill(this.element, this.node);
  }

  /** @param {string} text all of it */
  show(text) {
    const end = text.length - (text.endsWith("\u200c") ? 1 : 0); // what it stands before shows how it is written
    if (end <= this.length) return;
    this.node.appendData(proseFrom(text.slice(0, end), this.length));
    this.length = end;
  }
}

/** Arguments as they are read: JSON, a line each. @param {unknown} given */
export const jsonOf = (given) => JSON.stringify(given, null, 2) ?? "";

/** A text, of a long one its beginning and a button for the rest. @param {string} text @param {string} [tag] @param {(text: string) => string} [shown] @returns {HTMLElement} */
export function cutText(text, tag = "pre", shown = visible) {
  if (text.length <= CUT) return h(tag, {}, shown(text));
  const element = h(tag, {}, shown(text.slice(0, CUT)));
  const more = h("button", { type: "button", class: "small", on: { click: () => (say(element, shown(text)), more.remove()) } }, `show the other ${grouped(text.length - CUT)} characters`);
  return h("div", {}, element, more);
}

/** @param {string} who @param {string} at */
function headOf(who, at) {
  return h("header", {}, h("strong", {}, visible(who)), h("time", { class: "dim", datetime: at, title: at }, clock(Date.parse(at))));
}

/** Prose, with blocks of code where fences are. @param {string} text */
function proseElement(text) {
  if (text.length > CUT) return cutText(text, "div", prose);
  return h(
    "div",
    { class: "prose" },
    ...partsOf(text).map((part) => (part.code ? codeElement(visible(part.text), visible(part.name)) : h("p", {}, prose(part.text)))),
  );
}

/** @param {string} text @param {string} name of its language, or what stands there */
function codeElement(text, name) {
  const code = h("pre", { class: "code", tabindex: "0", "aria-label": name ? `code: ${name}` : "code" }, text);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return getSelection()?.selectAllChildren(code); // no clipboard outside https and loopback
    }
    say(button, "copied");
    setTimeout(() => say(button, "copy"), COPIED);
  };
  const button = h("button", { type: "button", class: "small", on: { click: copy } }, "copy");
  return h("div", { class: "block" }, h("div", { class: "top" }, h("span", { class: "dim", "aria-hidden": "true" }, shortened(name, 40)), button), code);
}

/** @param {{id: string, name: string, arguments: Record<string, unknown>}} call @returns {Shown} */
function callShown(call) {
  const sign = h("span", { class: "sign", "aria-hidden": "true" });
  const word = h("span", { class: "word dim" });
  const came = h("div", {});
  const told = Object.entries(call.arguments).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const element = h(
    "details",
    { class: "used" },
    h("summary", {}, sign, h("code", { class: "tool" }, visible(call.name)), h("span", { class: "given" }, shortened(visible(told.join(" ")), 120)), word),
    h("div", { class: "inside" }, h("h3", {}, "asked for"), cutText(jsonOf(call.arguments)), came),
  );
  /** @type {Message | undefined} */
  let shown;
  const update = (/** @type {Around} */ { results, asked, open }) => {
    const result = results.get(call.id);
    const [signed, said, tone] = stateOf(result, asked.has(call.id), open);
    say(sign, signed);
    say(word, said);
    mark(element, "data-tone", tone);
    if (result && result !== shown) fill(came, h("h3", {}, result.ok ? "came of it" : "went wrong"), cutText(result.content || "(nothing)"));
    shown = result;
  };
  return { element, update };
}

/** @param {Message | undefined} result @param {boolean} asked @param {boolean} open @returns {[string, string, string]} sign, word, tone */
function stateOf(result, asked, open) {
  if (result) return result.ok ? ["✓", "done", "good"] : ["✕", "not done", "bad"];
  if (asked) return ["?", "waits for you", "warn"];
  return open ? ["◐", "under way", "live"] : ["·", "no result", "dim"];
}

/** A result whose call is on an earlier page. @param {Message} message @returns {Shown} */
function resultShown(message) {
  const element = h(
    "details",
    { class: "used", "data-tone": message.ok ? "good" : "bad" },
    h("summary", {}, h("span", { class: "sign", "aria-hidden": "true" }, message.ok ? "✓" : "✕"), h("code", { class: "tool" }, visible(message.tool_name ?? "")), h("span", { class: "given" }, shortened(visible(message.content), 120)), h("span", { class: "word dim" }, message.ok ? "done" : "not done")),
    h("div", { class: "inside" }, cutText(message.content)),
  );
  return { element, update: () => {} };
}

/** @param {Message} message @returns {Shown} */
function summaryShown(message) {
  const element = h(
    "details",
    { class: "thought summary" },
    h("summary", {}, `summary: what the agents are told of the messages up to ${message.upto}`),
    cutText(message.content, "div"),
  );
  return { element, update: () => {} };
}
