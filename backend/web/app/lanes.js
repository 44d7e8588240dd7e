/**
 * A lane: the visits of steps that follow one another, of the run as a whole or of one candidate.
 *
 * Owns what becomes of a visit when its step runs again after a crash: a later execution replaces what it does again, and
 * goes on behind what was finished. Pure.
 */

import { leadsTo } from "./shape.js";

/** @typedef {"running" | "waiting" | "done" | "failed" | "stopped"} VisitState */
/**
 * @typedef {object} Visit
 * @property {string} node
 * @property {number} execution
 * @property {number} round
 * @property {VisitState} state
 * @property {number} at when it began, in milliseconds
 * @property {number} seconds how long it took; 0 until it ends
 * @property {import("./entries.js").Entry[]} entries what was said in it
 */
/** @typedef {{visits: Visit[], edges: import("./shape.js").Edge[]}} Lane */

/** @param {import("./shape.js").Edge[]} edges @returns {Lane} */
export function newLane(edges) {
  return { visits: [], edges };
}

/**
 * A step begins. Returns the visits that it replaces, which are no longer in the lane.
 *
 * 1. It waited for a person: the same visit goes on.
 * 2. The execution is the same, or the last step was finished and leads here: a new visit.
 * 3. Else the step is done again: it replaces its last visit and all that followed.
 * @param {Lane} lane
 * @param {{node: string, execution: number, round: number, at: number}} started
 * @returns {Visit[]}
 */
export function begin(lane, { node, execution, round, at }) {
  const last = lane.visits.at(-1);
  if (last && last.node === node && last.state === "waiting") {
    Object.assign(last, { execution, state: "running" });
    return [];
  }
  const replaced = last && last.execution !== execution ? lane.visits.splice(keptUpTo(lane, node)) : [];
  lane.visits.push({ node, execution, round, at, state: "running", seconds: 0, entries: [] });
  return replaced;
}

/** The step's last visit. @param {Lane} lane @param {string} node */
export function lastOf(lane, node) {
  return lane.visits.findLast((visit) => visit.node === node);
}

/** What still ran has stopped. @param {Lane} lane */
export function stop(lane) {
  for (const visit of lane.visits) if (visit.state === "running") visit.state = "stopped";
}

/** The pairs of steps that followed one another. @param {Lane} lane @returns {Set<string>} */
export function taken(lane) {
  const pairs = new Set();
  lane.visits.forEach((visit, at) => at && pairs.add(`${lane.visits[at - 1].node} ${visit.node}`));
  return pairs;
}

/** @param {Lane} lane @param {string} node */
function keptUpTo(lane, node) {
  const last = lane.visits[lane.visits.length - 1];
  if (last.state === "done" && leadsTo(lane.edges, last.node, node)) return lane.visits.length;
  const again = lane.visits.findLastIndex((visit) => visit.node === node);
  if (again >= 0) return again;
  return last.state === "done" ? lane.visits.length : lane.visits.length - 1;
}
