/**
 * Every event as lines of text. Owns the words, which are those of the terminal, and the list of kinds there are;
 * a test holds that list and the catalogue of the engine equal. Pure.
 */

import { countedTests, grouped, named, shortened } from "./format.js";

/** @typedef {{text: string, tone: "" | "good" | "bad" | "warn" | "dim"}} Line */
/** @typedef {Record<string, any> & {kind: string, seq: number, at: string, execution: number, node: string, candidate: number | null, round: number}} RunEvent */

/** @type {Record<string, Line["tone"]>} */
export const TONES = {
  done: "good",
  unverified: "warn",
  failed: "bad",
  budget: "warn",
  needs_input: "warn",
  cancelled: "warn",
  error: "bad",
  lost: "dim",
};

/** @type {(text: string, tone?: Line["tone"]) => Line} */
const line = (text, tone = "") => ({ text, tone });
/** @type {() => Line[]} */
const nothing = () => [];

/** @type {Record<string, (event: RunEvent) => Line[]>} */
const LINES = {
  "run.created": (e) => [line(`task: ${shortened(e.task)}`), line(`repository: ${e.repo}`, "dim")],
  "run.started": (e) => (e.resumed ? [line("going on", "dim")] : []),
  "run.interrupted": (e) => [line(`stopped: ${e.reason}`, "warn")],
  "run.finished": (e) => [
    line(`finished: ${e.status}`, TONES[e.status] ?? "bad"),
    ...(e.error_message ? [line(`${e.error_class}: ${shortened(e.error_message)}`, "bad")] : []),
    ...(e.hint ? [line(`→ ${e.hint}`)] : []),
    ...stillRed(e),
  ],
  "run.budget_spent": (e) => [line(`the budget of ${e.limit} ${e.budget === "gpu_seconds" ? "GPU seconds" : e.budget} is spent; ending with the best so far`, "warn")],
  "run.noted": (e) => [line(`note: ${shortened(e.text)}`)],
  "node.started": nothing,
  "node.completed": nothing,
  "node.failed": (e) => [line(`${e.node}: ${e.error_class}: ${shortened(e.error_message)}`, "bad")],
  "node.waiting": nothing,
  "call.queued": nothing,
  "call.placed": nothing,
  "call.waiting": nothing,
  "call.began": nothing,
  "call.text": nothing,
  "call.restarted": (e) => [line(`${e.role}: ${shortened(e.reason)}`, "warn")],
  "call.trimmed": (e) => [line(`${e.role}: shown less, to fit the window: ${shortened(e.cuts.join("; "))}`)],
  "call.doubted": (e) => [
    line(
      `${e.role}: ${e.server} read ${grouped(e.prompt_tokens)} tokens of about ${grouped(e.estimated_tokens)};`
        + " it may have cut the prompt",
      "warn",
    ),
  ],
  "call.completed": nothing,
  "call.failed": (e) => [line(`${e.role}: ${e.error_class}: ${shortened(e.error_message)}`, "bad")],
  "call.replayed": nothing,
  "work.snapshot_taken": (e) => [
    e.repository
      ? line(`snapshot: ${grouped(e.files)} files${e.dirty ? ", with uncommitted changes" : ""}`)
      : line(`snapshot: ${grouped(e.files)} files of a folder that is no git repository, copied`, "warn"),
  ],
  "work.intent_read": (e) => [line(`intent: ${e.intent}: ${shortened(e.summary)}`)],
  "work.files_chosen": (e) => [line(`files that matter: ${named(e.files) || "none"}`)],
  "work.plan_drafted": (e) => [
    line(`plan: ${shortened(e.summary)}`),
    ...e.steps.map((/** @type {string} */ step, /** @type {number} */ at) => line(`${at + 1}. ${shortened(step)}`)),
  ],
  "work.tests_written": (e) => [line(`tests written from the plan: ${named(e.files)}`)],
  "work.candidate_started": () => [line("started", "dim")],
  "work.edits_applied": (e) => [line(`try ${e.attempt}: changed ${named(e.files)}`)],
  "work.edits_rejected": (e) => [line(`try ${e.attempt}: the answer could not be used: ${shortened(e.reason)}`, "warn")],
  "work.tests_ran": testsRan,
  "work.diagnosis_made": (e) => [line(`diagnosis: ${shortened(e.cause)}`), line(`fix: ${shortened(e.fix)}`)],
  "work.candidate_ended": (e) => [
    line(`${e.outcome}${e.reason ? `: ${shortened(e.reason)}` : ""}`, TONES[e.outcome] ?? "dim"),
  ],
  "work.candidates_compared": compared,
  "work.patch_chosen": (e) => [line(`chosen: ${e.status}: ${shortened(e.reason)}`)],
  "work.patch_reviewed": (e) => [
    line(`review: ${e.verdict}: ${shortened(e.summary)}`, e.verdict === "approve" ? "good" : "warn"),
    ...e.objections.map((/** @type {string} */ each) => line(`objection: ${shortened(each)}`, "warn")),
    ...(e.files ?? []).map((/** @type {string} */ each) => line(shortened(each), "dim")),
    ...(e.risks ?? []).map((/** @type {string} */ each) => line(`risk: ${shortened(each)}`)),
    ...(e.findings ?? []).map((/** @type {string} */ each) => line(`static check: ${shortened(each)}`, "warn")),
  ],
  "work.lesson_drawn": (e) => [line(`lesson: ${shortened(e.lesson)}`), line(`next: ${shortened(e.approach)}`)],
  "work.patch_delivered": (e) => [line(`patch: ${named(e.files)} (+${e.added} −${e.removed})`)],
  "work.patch_applied": (e) => [
    line(`applied ${e.branch ? `on the new branch ${e.branch}` : "in the folder"}: ${named(e.files)}${e.hunks?.length ? `, ${e.hunks.length === 1 ? "hunk" : "hunks"} ${e.hunks.join(", ")} of the patch` : ""}`, "good"),
  ],
  "work.answer_given": nothing,
  "approval.asked": (e) => [line(e.gate === "behaviour" ? `a person is asked: ${shortened(e.question)}` : `a person is asked about the ${e.gate}`, "warn")],
  "approval.given": (e) => [line(`answered ${e.approved ? "yes" : "no"}${e.reason ? `: ${shortened(e.reason)}` : ""}`)],
  "approval.decided": (e) => [
    line(`decided: ${e.decision}${e.by ? ` by ${e.by}` : ""}${e.reason ? `: ${shortened(e.reason)}` : ""}`),
  ],
  "message.added": nothing,
  "session.created": nothing,
  "session.updated": nothing,
  "session.deleted": () => [line("deleted", "dim")],
  "turn.ended": (e) => (e.outcome === "cancelled" ? [line("the turn was stopped", "warn")] : []),
  "agent.started": nothing,
  "agent.completed": nothing,
  "agent.failed": (e) => [line(`${e.agent}: ${e.error_class}: ${shortened(e.error_message)}`, "bad")],
  "agent.switched": (e) => [line(`${e.agent} goes on for ${e.previous}${e.reason ? `: ${shortened(e.reason)}` : ""}`)],
  "tool.requested": (e) => [line(`${e.tool} is wanted${e.danger ? `: ${e.danger}` : ""}`)],
  "tool.approval_required": (e) => [line(`${e.tool} waits for a yes${e.why ? `: ${shortened(e.why)}` : ""}`, "warn")],
  "tool.started": nothing,
  "tool.completed": (e) => [line(`${e.tool}: done in ${e.seconds.toFixed(1)} s`, "dim")],
  "tool.failed": (e) => [line(`${e.tool}: ${e.error_class}: ${shortened(e.error_message)}`, "bad")],
  "system.started": (e) => [line(`Corral ${e.version} began: ${e.verb}`, "dim")],
  "system.stopped": (e) => [line(`stopped${e.reason ? `: ${e.reason}` : ""}`, e.reason ? "warn" : "dim")],
  "config.reloaded": (e) => [line(`other settings hold: ${named(e.changed)}`)],
  "config.refused": (e) => [line(`the settings file cannot be used: ${shortened(e.problems.join("; "))}`, "bad")],
  "server.ejected": (e) => [line(`${e.server} gets no more calls: ${shortened(e.reason)}`, "warn")],
  "server.returned": (e) => [line(`${e.server} gets calls again`, "good")],
};

/** @param {RunEvent} event @returns {Line[]} */
function stillRed(event) {
  /** @type {{test: string, says: string}[]} */
  const red = event.red ?? [];
  const more = (event.red_total ?? 0) - red.length;
  return [
    ...red.map((each) => line(`still red: ${each.test}${each.says ? `: ${shortened(each.says)}` : ""}`, "bad")),
    ...(more > 0 ? [line(`and ${more} more`, "bad")] : []),
  ];
}

/** The kinds of events there are. */
export const KINDS = Object.keys(LINES);

/** What to print of an event; nothing for what the page shows in another way. @param {RunEvent} event */
export function linesOf(event) {
  const said = LINES[event.kind];
  return said ? said(event) : [line(event.kind, "dim")];
}

/** @param {RunEvent} event @returns {Line[]} */
function compared(event) {
  const groups = event.groups.map((/** @type {number[]} */ group) => group.join(", ")).join(" | ");
  const tried = event.inputs ? `, tried on ${event.inputs} inputs` : "";
  const sure = `${Math.round(100 * event.sure)}% sure${event.split ? ", split" : ""}`;
  const said = groups ? `compared${tried}: candidates ${groups}: ${event.chosen} is taken, ${sure}` : "compared: none is right";
  const dropped = named(event.dropped);
  return [
    line(said, event.split ? "warn" : ""),
    ...(dropped ? [line(`written tests left out as probably wrong: ${dropped}`, "dim")] : []),
  ];
}

/** @param {RunEvent} event @returns {Line[]} */
function testsRan(event) {
  const when = event.attempt === 0 ? "before" : `try ${event.attempt}`;
  const whose = event.suite === "judge" ? "tests" : "written tests";
  const red = event.crashed || event.counts.failed || event.counts.errors;
  const first = line(`${when}: ${whose}: ${event.crashed || countedTests(event.counts)}`, red ? "bad" : "good");
  return event.failing.length ? [first, line(`red: ${named(event.failing)}`, "bad")] : [first];
}
