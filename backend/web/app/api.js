/**
 * Asking the server. Owns the routes the page uses and what a refusal becomes.
 */

/** What the server, or the way to it, refused. */
export class Problem extends Error {
  /** @param {number} status 0 when no answer came @param {string} detail @param {string} [hint] */
  constructor(status, detail, hint = "") {
    super(detail);
    this.status = status;
    this.hint = hint;
  }

  /** Whether the browser must sign in again. */
  get signedOut() {
    return this.status === 401;
  }
}

/** What is read is given up after so long, and can be asked for again: a line that was cut while the computer slept says nothing. */
const GET_WAITS = 60_000;
/** @type {RequestInit} */
const GET = { headers: { Accept: "application/json" } };

/** @param {string} run */
const runPath = (run) => `/api/v1/runs/${encodeURIComponent(run)}`;

/** @param {string} [before] the `next` of the page before */
export const listRuns = (before = "") => get(`/api/v1/runs?limit=50${before ? `&before=${encodeURIComponent(before)}` : ""}`);
/** @param {string} run */
export const getRun = (run) => get(runPath(run));

/** A run, and how far this machine's clock is ahead of the server's, in milliseconds. @param {string} run */
export async function getRunTimed(run) {
  const asked = Date.now();
  const { said, headers } = await answered(runPath(run), GET);
  return { view: said, skew: skewOf(headers.get("Date"), asked, Date.now()) };
}

/**
 * How far this machine's clock is ahead of the server's, in milliseconds; 0 where the server does not say what time it is.
 * @param {string | null} date of the answer, in whole seconds @param {number} asked when @param {number} came when
 */
export function skewOf(date, asked, came) {
  const said = Date.parse(date ?? "");
  return Number.isFinite(said) ? (asked + came) / 2 - (said + 500) : 0;
}

export const getPool = () => get("/api/v1/pool");
export const listBatches = () => get("/api/v1/batches");
/** @param {string} batch */
export const getBatch = (batch) => get(`/api/v1/batches/${encodeURIComponent(batch)}`);
/** @param {string} run */
export const patchPath = (run) => `${runPath(run)}/patch`;
/** @param {string} run @param {"cancel" | "interrupt" | "resume"} what */
export const steer = (run, what) => post(`${runPath(run)}/${what}`, {});
/** @param {string} run @param {{approval: string, approved: boolean, reason: string}} answer */
export const answerApproval = (run, answer) => post(`${runPath(run)}/answer`, answer);
/** @param {Record<string, unknown>} task @param {string} key the same for the same wish, so that asking twice starts one run */
export const startRun = (task, key) => post("/api/v1/runs", task, { "Idempotency-Key": key });
export const signOut = () => post("/signout", {});

/** @param {string} session */
const sessionPath = (session) => `/api/v1/sessions/${encodeURIComponent(session)}`;
/** @param {{before?: string, search?: string}} [which] `search`: only where this text occurs */
export const listSessions = ({ before = "", search = "" } = {}) =>
  get(`/api/v1/sessions?limit=50${before ? `&before=${encodeURIComponent(before)}` : ""}${search ? `&search=${encodeURIComponent(search)}` : ""}`);
/** @param {string} session */
export const getSession = (session) => get(sessionPath(session));
/** @param {Record<string, unknown>} session @param {string} key the same for the same wish, so that asking twice begins one */
export const createSession = (session, key) => post("/api/v1/sessions", session, { "Idempotency-Key": key });
/** @param {string} session @param {Record<string, unknown>} change */
export const changeSession = (session, change) => post(sessionPath(session), change, {}, "PATCH");
/** Messages, newest first. @param {string} session @param {number | null} [before] the `next` of the page before */
export const readHistory = (session, before = null) => get(`${sessionPath(session)}/history?limit=50${before ? `&before=${before}` : ""}`);
/** @param {string} session */
export const readWaiting = (session) => get(`${sessionPath(session)}/waiting`);
/** @param {string} session @param {string} name of an image of one of its messages */
export const imagePath = (session, name) => `${sessionPath(session)}/images/${encodeURIComponent(name)}`;
/** @param {string} session @param {{text: string, images?: string[]}} message `images` in base64 @param {string} key the same for the same message, so that sending twice says it once */
export const sendMessage = (session, message, key) => post(`${sessionPath(session)}/messages`, message, { "Idempotency-Key": key });
/** @param {string} session */
export const cancelTurn = (session) => post(`${sessionPath(session)}/cancel`, {});
/** @param {string} session @param {string} call @param {{content: string, ok: boolean}} result */
export const postResult = (session, call, result) => post(`${sessionPath(session)}/tools/${encodeURIComponent(call)}/result`, result);
export const listAgents = () => get("/api/v1/agents");
/** What waits for a person, everywhere. */
export const listApprovals = () => get("/api/v1/approvals");
/** @param {string} approval @param {string[]} [patterns] rules to try instead of those proposed */
export const readApproval = (approval, patterns = []) =>
  get(`/api/v1/approvals/${encodeURIComponent(approval)}${patterns.length ? `?${new URLSearchParams(patterns.map((each) => ["pattern", each]))}` : ""}`);
/** @param {string} approval @param {Record<string, unknown>} answer */
export const decide = (approval, answer) => post(`/api/v1/approvals/${encodeURIComponent(approval)}`, answer);

/** A key that nobody else has. `crypto.randomUUID` wants https or loopback; this does not. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} path @returns {Promise<any>} */
async function get(path) {
  return (await answered(path, GET)).said;
}

/** @param {string} path @param {unknown} body @param {Record<string, string>} [headers] @param {string} [method] @returns {Promise<any>} */
async function post(path, body, headers = {}, method = "POST") {
  const sent = { method, body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } };
  return (await answered(path, sent)).said;
}

/** @param {string} path @param {RequestInit} sent @returns {Promise<{said: any, headers: Headers}>} `said`: null where the answer is empty */
async function answered(path, sent) {
  const signal = sent.method ? null : AbortSignal.timeout(GET_WAITS);
  let answer;
  let text = "";
  try {
    answer = await fetch(path, { ...sent, redirect: "manual", signal });
    text = await answer.text();
  } catch {
    throw answer ? unreadable(sent) : new Problem(0, "the server cannot be reached", "It may be restarting; this page tries again by itself.");
  }
  const said = read(text);
  if (!answer.ok && answer.type !== "opaqueredirect") throw problemOf(answer, said);
  if (said === undefined || (said === null && !sent.method)) throw unreadable(sent);
  return { said, headers: answer.headers };
}

/** An answer that broke off, or is not the server's: a network that wants to be signed in to answers for everybody. @param {RequestInit} sent */
function unreadable({ method }) {
  return new Problem(0, "the server's answer cannot be read", method ? "What you asked for may be done all the same." : "This page tries again by itself.");
}

/** @param {string} text @returns {any} null for none, undefined for what is no JSON */
function read(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return undefined;
  }
}

/** @param {Response} answer @param {any} said */
function problemOf({ status, statusText }, said) {
  const { detail, title, hint } = said ?? {};
  return new Problem(status, detail || title || statusText || `the answer was ${status}`, hint || "");
}
