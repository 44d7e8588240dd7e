/**
 * Calls to a model: from the queue to the last token. Owns what the events of a call make of it. Pure.
 */

import { addEntry } from "./entries.js";

/** @typedef {import("./words.js").RunEvent} RunEvent */
/** @typedef {"queued" | "placed" | "waiting" | "streaming" | "done" | "failed" | "stopped"} CallState */
/**
 * @typedef {object} Call
 * @property {string} id
 * @property {string} role
 * @property {string} node
 * @property {number | null} candidate
 * @property {string} model
 * @property {string} server
 * @property {CallState} state
 * @property {number} ahead calls before it in the queue
 * @property {boolean} loading whether the server loads the model first
 * @property {boolean} replayed whether its recorded answer was taken again
 * @property {number} restarts
 * @property {{thinking: boolean, text: string}[]} parts
 * @property {number} characters
 * @property {[number, number][]} recent when how many characters came
 * @property {string} finish
 * @property {string} error
 * @property {number} at when it was asked, in milliseconds
 * @property {number} promptTokens
 * @property {number} completionTokens
 * @property {{queued: number, load: number, prompt: number, decode: number} | null} seconds of its phases, once it is done
 * @property {import("./entries.js").Entry} entry
 */

/** Characters of a token, about. */
const TOKEN = 4;
/** The rate is that of the last so many milliseconds. */
const RECENT = 2000;

/** Take an event of a call in. @param {import("./state.js").Run} state @param {RunEvent} event */
export function take(state, event) {
  const call = callOf(state, event);
  TAKES[event.kind]?.(call, event, state);
  call.entry.version = state.version;
}

/** Calls under way are not any more. @param {import("./state.js").Run} state */
export function stopAll(state) {
  for (const call of state.calls.values()) {
    if (isOver(call)) continue;
    call.state = "stopped";
    call.entry.version = state.version;
  }
}

/** @param {Call} call */
export function isOver(call) {
  return call.state === "done" || call.state === "failed" || call.state === "stopped";
}

/** Tokens a second, about; 0 when none stream. @param {Call} call @param {number} now milliseconds, by the server's clock */
export function rateOf(call, now) {
  if (call.state !== "streaming") return 0;
  const recent = call.recent.filter(([at]) => at > now - RECENT);
  if (!recent.length) return 0;
  const span = Math.max(500, Math.min(RECENT, now - recent[0][0]));
  return recent.reduce((sum, [, characters]) => sum + characters, 0) / TOKEN / (span / 1000);
}

/** Tokens of the run so far: those counted by the servers, and about how many stream now. @param {import("./state.js").Run} state */
export function tokensOf(state) {
  const sum = { prompt: 0, completion: 0, calls: 0 };
  for (const call of state.calls.values()) {
    sum.calls += 1;
    sum.prompt += call.promptTokens;
    sum.completion += call.state === "done" ? call.completionTokens : Math.round(call.characters / TOKEN);
  }
  return sum;
}

/** What a call is doing, in words. @param {Call} call */
export function doing(call) {
  const words = {
    queued: call.ahead ? `queued behind ${call.ahead}` : "queued",
    placed: `connecting to ${call.server}`,
    waiting: `${call.server} ${call.loading ? "loads the model" : "reads the prompt"}`,
    streaming: call.parts.at(-1)?.thinking ? "thinks" : "writes",
    done: call.replayed ? "recorded answer taken" : "done",
    failed: "failed",
    stopped: "stopped",
  };
  return words[call.state];
}

/** @param {import("./state.js").Run} state @param {RunEvent} event @returns {Call} */
function callOf(state, event) {
  const known = state.calls.get(event.call);
  if (known && !(event.kind === "call.queued" && asksAnew(known))) {
    if (known.entry.replaced) again(state, event, known);
    return known;
  }
  if (known) Object.assign(known.entry, { replaced: true, version: state.version });
  const call = /** @type {Call} */ (/** @type {unknown} */ ({
    id: event.call,
    role: event.role,
    node: event.node,
    candidate: event.candidate ?? null,
    model: "",
    server: "",
    state: "queued",
    ahead: 0,
    loading: false,
    replayed: false,
    restarts: 0,
    parts: [],
    characters: 0,
    recent: [],
    finish: "",
    error: "",
    at: state.at,
    promptTokens: 0,
    completionTokens: 0,
    seconds: null,
  }));
  call.entry = addEntry(state, event, { call });
  state.calls.set(event.call, call);
  return call;
}

/** A call that is over is asked again from nothing; one in the queue only moves up. @param {Call} call */
function asksAnew(call) {
  return isOver(call) || call.entry.replaced;
}

/** Its step is done again and takes the recorded answer: the text stays, at its new place. @param {import("./state.js").Run} state @param {RunEvent} event @param {Call} call */
function again(state, event, call) {
  call.entry = addEntry(state, event, { call });
}

/** @type {Record<string, (call: Call, event: RunEvent, state: import("./state.js").Run) => void>} */
const TAKES = {
  "call.queued": (call, e) => Object.assign(call, { state: "queued", model: e.model, ahead: e.ahead }),
  "call.placed": (call, e) => Object.assign(call, { state: "placed", server: e.server }),
  "call.waiting": (call, e) => Object.assign(call, { state: "waiting", server: e.server, loading: e.loading }),
  "call.text": streamed,
  "call.restarted": (call) => {
    Object.assign(call, { state: "queued", parts: [], characters: 0, recent: [], restarts: call.restarts + 1 });
  },
  "call.completed": (call, e) => {
    Object.assign(call, {
      state: "done",
      model: e.model,
      server: e.server,
      finish: e.finish,
      promptTokens: e.prompt_tokens,
      completionTokens: e.completion_tokens,
      seconds: { queued: e.queued_seconds, load: e.load_seconds, prompt: e.prompt_seconds, decode: e.decode_seconds },
      recent: [],
    });
  },
  "call.failed": (call, e) => Object.assign(call, { state: "failed", error: `${e.error_class}: ${e.error_message}` }),
  "call.replayed": (call) => Object.assign(call, { state: "done", replayed: true }),
};

/** @param {Call} call @param {RunEvent} event @param {import("./state.js").Run} state */
function streamed(call, event, state) {
  call.state = "streaming";
  call.characters += event.text.length;
  call.recent.push([state.at, event.text.length]);
  if (call.recent.length > 100) call.recent = call.recent.filter(([at]) => at > state.at - RECENT);
  const last = call.parts.at(-1);
  if (last && last.thinking === event.thinking) last.text += event.text;
  else call.parts.push({ thinking: event.thinking, text: event.text });
}
