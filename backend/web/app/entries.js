/**
 * The places of a run's log. Owns where an entry belongs: to the visit of the step in which it was said. Pure.
 */

import { lastOf } from "./lanes.js";

/**
 * @typedef {object} Entry a line, or a call with its text
 * @property {number} version grows whenever it changes
 * @property {number} at milliseconds
 * @property {string} node
 * @property {number | null} candidate
 * @property {string} tone
 * @property {string} text
 * @property {import("./calls.js").Call | null} call
 * @property {boolean} replaced whether a later execution did it again
 */

/**
 * Put an entry at the end of the log.
 * @param {import("./state.js").Run} state
 * @param {import("./words.js").RunEvent} event
 * @param {{text?: string, tone?: string, call?: import("./calls.js").Call}} said
 * @returns {Entry}
 */
export function addEntry(state, event, { text = "", tone = "", call }) {
  const entry = {
    version: state.version,
    at: state.at,
    node: event.node,
    candidate: event.candidate ?? null,
    tone,
    text,
    call: call ?? null,
    replaced: false,
  };
  state.entries.push(entry);
  visitOf(state, event)?.entries.push(entry);
  return entry;
}

/**
 * The visit of its step in which an event happened.
 * @param {import("./state.js").Run} state
 * @param {import("./words.js").RunEvent} event
 */
export function visitOf(state, event) {
  if (event.candidate === null || event.candidate === undefined) return lastOf(state.lane, event.node);
  const candidate = state.candidates.get(event.candidate);
  return candidate && lastOf(candidate.lane, event.node);
}
