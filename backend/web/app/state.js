/**
 * A run as its events tell it. Owns the fold from events to what the page shows; the stream may deliver an event twice,
 * and a step may run twice, and neither shows. Pure: no page, no clock.
 */

import { begin, lastOf, newLane, stop } from "./lanes.js";
import { CANDIDATE_EDGES, EDGES } from "./shape.js";
import { linesOf } from "./words.js";
import * as calls from "./calls.js";
import { addEntry, visitOf } from "./entries.js";

/** @typedef {import("./words.js").RunEvent} RunEvent */
/** @typedef {import("./lanes.js").Visit} Visit */
/** @typedef {{passed: number, failed: number, errors: number, skipped: number}} Counts */
/** @typedef {"queued" | "running" | "waiting" | "interrupted" | "finished"} Phase */
/** @typedef {import("./entries.js").Entry} Entry */
/**
 * @typedef {object} Candidate
 * @property {number} number
 * @property {number} round
 * @property {import("./lanes.js").Lane} lane
 * @property {Visit["state"]} state
 * @property {string} outcome empty while it runs
 * @property {number} attempts
 * @property {string} reason
 */
/** @typedef {{candidate: number | null, round: number, attempt: number, suite: "judge" | "written", counts: Counts, failing: string[], crashed: string, seconds: number, sandbox: string}} TestRun */
/** @typedef {{approval: string, gate: "plan" | "patch" | "behaviour", question: string, answers: string[]}} Approval */
/**
 * @typedef {object} Run
 * @property {string} run
 * @property {number} seq the last event taken in
 * @property {number} version grows with every event
 * @property {number} execution
 * @property {string} task
 * @property {string} repo
 * @property {boolean} simulated
 * @property {Phase} phase
 * @property {string} reason
 * @property {RunEvent | null} finished the last event
 * @property {number} since when the present execution began, in milliseconds
 * @property {number} spent milliseconds of earlier executions
 * @property {number} at time of the newest event, in milliseconds
 * @property {number} heard time of the event before it
 * @property {import("./lanes.js").Lane} lane
 * @property {Map<number, Candidate>} candidates
 * @property {Map<string, calls.Call>} calls
 * @property {Entry[]} entries
 * @property {Map<string, TestRun>} tests
 * @property {Approval | null} approval
 * @property {string} answer
 * @property {{status: string, reason: string} | null} chosen
 * @property {RunEvent | null} review the reviewer's word on the chosen patch
 * @property {string} intent
 */

/** A run of which nothing is known. @param {string} run @returns {Run} */
export function newRun(run) {
  return {
    run,
    seq: 0,
    version: 0,
    execution: 0,
    task: "",
    repo: "",
    simulated: false,
    phase: "queued",
    reason: "",
    finished: null,
    since: 0,
    spent: 0,
    at: 0,
    heard: 0,
    lane: newLane(EDGES),
    candidates: new Map(),
    calls: new Map(),
    entries: [],
    tests: new Map(),
    approval: null,
    answer: "",
    chosen: null,
    review: null,
    intent: "",
  };
}

/**
 * Take an event in; false when it was taken in before.
 * @param {Run} state
 * @param {RunEvent} event
 */
export function fold(state, event) {
  if (event.seq <= state.seq) return false;
  state.seq = event.seq;
  state.version += 1;
  state.heard = state.at;
  state.at = Date.parse(event.at) || state.at;
  const answered = event.kind === "run.started" && state.phase === "waiting"; // it goes on, and the answer says so
  FOLDS[event.kind]?.(state, event);
  if (event.kind.startsWith("call.")) calls.take(state, event);
  if (!answered) for (const line of linesOf(event)) addEntry(state, event, line);
  return true;
}

/** How long the run has worked. @param {Run} state @param {number} now milliseconds, by the server's clock */
export function workedFor(state, now) {
  if (state.finished?.seconds) return state.finished.seconds;
  const running = state.phase === "running" && state.since ? Math.max(0, now - state.since) : 0;
  return (state.spent + running) / 1000;
}

/** @param {Run} state @param {number} number @param {number} [round] @returns {Candidate} */
function candidateOf(state, number, round = 0) {
  let candidate = state.candidates.get(number);
  if (!candidate) {
    candidate = { number, round, lane: newLane(CANDIDATE_EDGES), state: "running", outcome: "", attempts: 0, reason: "" };
    state.candidates.set(number, candidate);
  }
  return candidate;
}

/** @type {Record<string, (state: Run, event: RunEvent) => void>} */
const FOLDS = {
  "run.created": (state, e) => Object.assign(state, { task: e.task, repo: e.repo, simulated: e.simulated }),
  "run.started": (state, e) => {
    rest(state, "queued", "", state.heard); // an engine that was killed said nothing of its end
    Object.assign(state, { execution: e.execution, phase: "running", reason: "", since: state.at });
  },
  "run.interrupted": (state, e) => rest(state, "interrupted", e.reason),
  "run.finished": (state, e) => {
    rest(state, "finished", "");
    state.finished = e;
  },
  "node.started": nodeStarted,
  "node.completed": (state, e) => nodeEnded(state, e, "done"),
  "node.failed": (state, e) => nodeEnded(state, e, "failed"),
  "node.waiting": (state, e) => nodeEnded(state, e, "waiting"),
  "work.intent_read": (state, e) => (state.intent = e.intent),
  "work.answer_given": (state, e) => (state.answer = e.text),
  "work.candidate_started": (state, e) => {
    Object.assign(candidateOf(state, e.candidate ?? 1, e.round), { outcome: "", reason: "" });
  },
  "work.candidate_ended": (state, e) => {
    const { outcome, attempts, reason } = e;
    const candidate = candidateOf(state, e.candidate ?? 1, e.round);
    Object.assign(candidate, { outcome, attempts, reason });
    stop(candidate.lane);
  },
  "work.tests_ran": (state, e) => {
    const { candidate, round, attempt, suite, counts, failing, crashed, seconds, sandbox } = e;
    const key = `${candidate ?? ""} ${round} ${attempt} ${suite}`;
    state.tests.set(key, { candidate, round, attempt, suite, counts, failing, crashed, seconds, sandbox });
  },
  "work.patch_chosen": (state, e) => Object.assign(state, { chosen: { status: e.status, reason: e.reason }, review: null }),
  "work.patch_reviewed": (state, e) => (state.review = e),
  "approval.asked": (state, e) => {
    rest(state, "waiting", "");
    state.approval = { approval: e.approval, gate: e.gate, question: e.question, answers: e.answers ?? [] };
  },
  "approval.given": (state) => (state.approval = null),
};

/** @param {Run} state @param {Phase} phase @param {string} reason @param {number} [until] when it last worked */
function rest(state, phase, reason, until = state.at) {
  if (state.phase === "running") state.spent += Math.max(0, until - state.since);
  Object.assign(state, { phase, reason, approval: null });
  if (phase === "waiting") return;
  stop(state.lane);
  for (const candidate of state.candidates.values()) {
    stop(candidate.lane);
    if (candidate.state === "running") candidate.state = "stopped";
  }
  calls.stopAll(state);
}

/** @param {Run} state @param {RunEvent} event */
function nodeStarted(state, event) {
  const started = { node: event.node, execution: event.execution, round: event.round, at: state.at };
  if (event.candidate === null || event.candidate === undefined) return replace(state, begin(state.lane, started));
  const candidate = candidateOf(state, event.candidate, event.round);
  if (event.node !== "coder") return replace(state, begin(candidate.lane, started));
  candidate.state = "running";
  const last = state.lane.visits.at(-1);
  const beside = last?.node === "coder" && last.execution === event.execution && last.round === event.round;
  if (beside) last.state = "running";
  else replace(state, begin(state.lane, started));
}

/** @param {Run} state @param {RunEvent} event @param {Visit["state"]} ended */
function nodeEnded(state, event, ended) {
  let visit = visitOf(state, event);
  if (event.node === "coder" && event.candidate) {
    const candidate = candidateOf(state, event.candidate, event.round);
    candidate.state = ended;
    const beside = [...state.candidates.values()].filter((each) => each.round === candidate.round);
    if (beside.some((each) => each.state === "running")) return;
    visit = lastOf(state.lane, "coder");
  }
  if (visit) Object.assign(visit, { state: ended, seconds: event.seconds ?? (state.at - visit.at) / 1000 });
}

/** Take what was said in visits that are done again out of the log. @param {Run} state @param {Visit[]} visits */
function replace(state, visits) {
  for (const entry of visits.flatMap((visit) => visit.entries)) {
    Object.assign(entry, { replaced: true, version: state.version });
  }
}
