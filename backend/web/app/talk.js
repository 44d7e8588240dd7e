/**
 * A conversation as the page knows it: its messages, the answer that is being given, what is waited for. Owns how chunks
 * and pages of the history become that. Pure.
 *
 * The history is the truth. Chunks have no numbers and come again with each connection, so of them only the answer that is
 * still being given is kept; a chunk that ends a message says that the history has more.
 */

/**
 * @typedef {object} Message
 * @property {number} number
 * @property {string} role
 * @property {string} agent
 * @property {string} content
 * @property {string[]} images names
 * @property {string} thinking
 * @property {{id: string, name: string, arguments: Record<string, unknown>}[]} tool_calls
 * @property {string | null} tool_name
 * @property {string | null} tool_call_id
 * @property {boolean} ok
 * @property {number} upto
 * @property {string} turn that it began; empty where it began none
 * @property {string} at
 */
/** @typedef {{kind: string, agent: string, text: string, call: string, message: number, ok: boolean}} Chunk */
/** @typedef {{agent: string, text: string, thinking: string}} Live the answer that is being given */
/** @typedef {{approvals: any[], client_calls: any[]}} Waiting */
/**
 * @typedef {object} Talk
 * @property {Message[]} messages in their order, without a gap
 * @property {number | null | undefined} next `before` of the page before; null at the first message, undefined before any
 * @property {string} agent who speaks
 * @property {"unknown" | "open" | "none"} turn
 * @property {Live} live
 * @property {number} gone how often the live answer was begun anew
 * @property {Waiting} waiting
 * @property {{ok: boolean, text: string} | null} ended how the last turn that was watched ended
 * @property {string} follows the last turn that was known to have begun when the line to it was opened
 */

/** The kinds of chunks there are. */
export const CHUNKS = ["text", "thinking", "restarted", "tool_call", "tool_result", "approval", "client_call", "switch", "done", "failed"];

/** @returns {Talk} */
export function newTalk() {
  return {
    messages: [],
    next: undefined,
    agent: "",
    turn: "unknown",
    live: { agent: "", text: "", thinking: "" },
    gone: 0,
    waiting: { approvals: [], client_calls: [] },
    ended: null,
    follows: "",
  };
}

/** @param {Talk} talk */
export const lastOf = (talk) => talk.messages.at(-1)?.number ?? 0;
/** The turn that the last message began which began one. @param {Talk} talk */
const begunIn = (talk) => talk.messages.findLast((message) => message.turn)?.turn ?? "";

/**
 * Put pages of the history, newest first, over what is known.
 * @param {Talk} talk
 * @param {{messages: Message[], current_agent: string, next: number | null}} page
 */
export function put(talk, page) {
  const known = new Map(talk.messages.map((message) => [message.number, message]));
  const oldest = page.messages.at(-1)?.number ?? 0;
  if (talk.next === undefined || oldest <= (talk.next ?? 0)) talk.next = page.next;
  for (const message of page.messages) known.set(message.number, message);
  talk.messages = [...known.values()].sort((a, b) => a.number - b.number);
  talk.agent = page.current_agent;
}

/**
 * Whether pages are missing between one and what was known before it.
 * @param {number} last the last message known before
 * @param {{messages: Message[], next: number | null}} page
 */
export function leavesGap(last, page) {
  return last > 0 && page.next !== null && (page.messages.at(-1)?.number ?? 0) > last + 1;
}

/** A line is opened to the turn that is open. @param {Talk} talk @param {string} [turn] where that is known */
export function follow(talk, turn = begunIn(talk)) {
  again(talk);
  talk.follows = turn;
}

/** A connection is new: all chunks of the turn come again, or its end. @param {Talk} talk */
export function again(talk) {
  clear(talk);
  if (talk.turn === "none") talk.turn = "unknown";
}

/**
 * Take a chunk.
 * @param {Talk} talk
 * @param {Chunk} chunk
 * @returns {{history: boolean, waiting: boolean}} what is to be asked for
 */
export function fold(talk, chunk) {
  talk.turn = "open";
  talk.ended = null;
  const more = chunk.message > lastOf(talk);
  switch (chunk.kind) {
    case "text":
    case "thinking":
      if (chunk.message) {
        clear(talk);
        return { history: more, waiting: false };
      }
      talk.live.agent = chunk.agent;
      talk.live[chunk.kind] += chunk.text;
      break;
    case "restarted":
      clear(talk);
      break;
    case "tool_result":
      return { history: more, waiting: true };
    case "approval":
    case "client_call":
      return { history: false, waiting: true };
    case "switch":
      talk.agent = chunk.agent;
      break;
    case "done":
    case "failed":
      over(talk);
      talk.ended = { ok: chunk.kind === "done", text: chunk.text };
      return { history: true, waiting: true };
  }
  return { history: false, waiting: false };
}

/** No turn is open. @param {Talk} talk */
export function over(talk) {
  clear(talk);
  talk.turn = "none";
  talk.waiting = { approvals: [], client_calls: [] };
}

/** Whether another turn began behind the one that was followed: somebody was quick, in another window. @param {Talk} talk */
export function goesOn(talk) {
  return talk.turn === "none" && begunIn(talk) !== talk.follows;
}

/** @param {Talk} talk @returns {{word: string, tone: string}} */
export function standing({ turn, waiting }) {
  if (turn === "unknown") return { word: "…", tone: "dim" };
  if (turn === "none") return { word: "ready", tone: "dim" };
  if (waiting.approvals.length) return { word: "needs you", tone: "warn" };
  if (waiting.client_calls.length) return { word: "waits for a program", tone: "warn" };
  return { word: "at work", tone: "live" };
}

/**
 * Whether the last message waits for an answer that no turn gives. One that began no turn waits for none: the word that a
 * write was taken back, or the end of a fork.
 * @param {Talk} talk
 */
export function isUnanswered({ turn, messages }) {
  return turn === "none" && Boolean(messages.at(-1)?.turn);
}

/** The results there are, by their call. @param {Message[]} messages @returns {Map<string, Message>} */
export function resultsOf(messages) {
  return new Map(messages.flatMap((message) => (message.role === "tool" && message.tool_call_id ? [[message.tool_call_id, message]] : [])));
}

/** The messages that are shown by themselves: a result is shown with its call, where that is known. @param {Message[]} messages */
export function shownAlone(messages) {
  const called = new Set(messages.flatMap((message) => message.tool_calls.map((call) => call.id)));
  return messages.filter((message) => message.role !== "tool" || !called.has(message.tool_call_id ?? ""));
}

/**
 * A text taken apart into prose and blocks of code. A fence that is not closed holds the rest.
 * @param {string} text
 * @returns {{code: boolean, text: string, name: string}[]}
 */
export function partsOf(text) {
  /** @type {{code: boolean, name: string, fence: string, lines: string[]}[]} */
  const parts = [{ code: false, name: "", fence: "", lines: [] }];
  for (const line of text.replaceAll("\r\n", "\n").split("\n")) {
    const part = /** @type {(typeof parts)[number]} */ (parts.at(-1));
    const { fence, name } = fenceOf(line);
    if (fence && !part.code) parts.push({ code: true, name, fence, lines: [] });
    else if (fence && fence.startsWith(part.fence) && !name) parts.push({ code: false, name: "", fence: "", lines: [] });
    else part.lines.push(line);
  }
  return parts
    .map(({ code, name, lines }) => ({ code, name, text: code ? lines.join("\n") : lines.join("\n").replace(/^\n+/, "").trimEnd() }))
    .filter((part) => part.code || part.text);
}

/**
 * The lines of a text that is a diff, each with its sign, which those of its head do not have; none where it is no diff.
 * @param {string} text
 * @returns {{sign: string, text: string}[]}
 */
export function signedLines(text) {
  if (!/^--- .*\n\+\+\+ .*\n@@ /.test(text)) return [];
  const lines = text.split("\n");
  while (lines.length > 1 && !lines.at(-1)) lines.pop();
  return lines.map((line, at) => ({ sign: at < 2 ? "" : line.slice(0, 1), text: line }));
}

/**
 * The fence that a line is, and the name behind it. By hand, so that it takes a walk along the line and no more, whatever a
 * model wrote: a pattern that can give back what it took begins anew from each place.
 * @param {string} line
 * @returns {{fence: string, name: string}} empty where it is none
 */
function fenceOf(line) {
  let begin = 0;
  while (begin < 3 && line[begin] === " ") begin++;
  const sign = line[begin];
  let end = begin;
  while (sign !== undefined && "`~".includes(sign) && line[end] === sign) end++;
  const rest = line.slice(end);
  return end - begin < 3 || rest.includes("`") ? { fence: "", name: "" } : { fence: line.slice(begin, end), name: rest.trim() };
}

/** @param {Talk} talk */
function clear(talk) {
  talk.live = { agent: "", text: "", thinking: "" };
  talk.gone += 1;
}
