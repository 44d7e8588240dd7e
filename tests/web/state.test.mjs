import assert from "node:assert/strict";
import { test } from "node:test";

import { rateOf, tokensOf } from "../../backend/web/app/calls.js";
import { chosenOf, baselineOf, turned, unguarded } from "../../backend/web/app/evidence.js";
import { taken } from "../../backend/web/app/lanes.js";
import { fold, newRun, workedFor } from "../../backend/web/app/state.js";
import { eachStep } from "../../backend/web/app/steps.js";
import { CANDIDATE_STEPS, STEPS } from "../../backend/web/app/shape.js";
import { counts, story, tests } from "./events.mjs";

const folded = (...events) => {
  const state = newRun("r");
  for (const event of events) fold(state, event);
  return state;
};
const textOf = (call) => call.parts.map((part) => part.text).join("");
const seen = (lane) => lane.visits.map((visit) => `${visit.node} ${visit.state}`);
const said = (state) => state.entries.filter((entry) => !entry.replaced && !entry.call).map((entry) => entry.text);

test("an event that is delivered twice is taken once", () => {
  const next = story();
  const text = next("call.text", { call: "a#0", role: "coder", text: "x", thinking: false });
  const state = folded(text, text);
  assert.equal(textOf(state.calls.get("a#0")), "x");
  assert.equal(fold(state, text), false);
});

test("an older event that comes late changes nothing", () => {
  const next = story();
  const [first, second] = [next("run.created", { task: "t", repo: "/r", simulated: false }), next("run.started", { resumed: false })];
  const state = folded(second, first);
  assert.equal(state.task, "");
  assert.equal(state.phase, "running");
});

test("streamed text is appended to its call, thinking apart", () => {
  const next = story();
  const piece = (call, text, thinking = false) => next("call.text", { call, role: "coder", text, thinking });
  const state = folded(piece("a#0", "hm", true), piece("b#0", "1"), piece("a#0", "m", true), piece("a#0", "yes"), piece("b#0", "2"));
  assert.deepEqual(state.calls.get("a#0").parts, [{ thinking: true, text: "hmm" }, { thinking: false, text: "yes" }]);
  assert.equal(textOf(state.calls.get("b#0")), "12");
});

test("a restarted call drops what was streamed of it", () => {
  const next = story();
  const state = folded(
    next("call.text", { call: "a#0", role: "coder", text: "half", thinking: false }),
    next("call.restarted", { call: "a#0", role: "coder", reason: "the stream broke" }),
    next("call.text", { call: "a#0", role: "coder", text: "whole", thinking: false }),
  );
  assert.equal(textOf(state.calls.get("a#0")), "whole");
  assert.equal(state.calls.get("a#0").characters, 5);
  assert.equal(state.calls.get("a#0").restarts, 1);
});

test("a call that moves up in the queue stays one call", () => {
  const next = story();
  const queued = (ahead) => next("call.queued", { call: "a#0", role: "coder", model: "m", ahead });
  const state = folded(queued(3), queued(1));
  assert.equal(state.entries.filter((entry) => entry.call).length, 1);
  assert.equal(state.calls.get("a#0").ahead, 1);
});

test("a call asked again by a later execution starts from nothing and replaces the one before", () => {
  const next = story();
  const state = folded(
    next("run.started", { resumed: false }),
    next("node.started", { node: "intent" }),
    next("call.queued", { node: "intent", call: "intent:0#0", role: "intent", model: "m", ahead: 0 }),
    next("call.text", { node: "intent", call: "intent:0#0", role: "intent", text: "old", thinking: false }),
    next("run.started", { resumed: true, execution: 2 }),
    next("node.started", { node: "intent" }),
    next("call.queued", { node: "intent", call: "intent:0#0", role: "intent", model: "m", ahead: 0 }),
    next("call.text", { node: "intent", call: "intent:0#0", role: "intent", text: "new", thinking: false }),
  );
  assert.equal(textOf(state.calls.get("intent:0#0")), "new");
  assert.equal(state.entries.filter((entry) => entry.call && !entry.replaced).length, 1);
  assert.deepEqual(seen(state.lane), ["intent running"]);
});

test("a recorded answer that is taken again keeps its text and counts its tokens once", () => {
  const next = story();
  const call = { node: "intent", call: "intent:0#0", role: "intent" };
  const done = { model: "m", server: "s", finish: "stop", prompt_tokens: 10, completion_tokens: 4, queued_seconds: 0, load_seconds: 0, prompt_seconds: 1, decode_seconds: 1 };
  const state = folded(
    next("run.started", { resumed: false }),
    next("node.started", { node: "intent" }),
    next("call.text", { ...call, text: "kept", thinking: false }),
    next("call.completed", { ...call, ...done }),
    next("run.started", { resumed: true, execution: 2 }),
    next("node.started", { node: "intent" }),
    next("call.replayed", { ...call, answer_sha: "x" }),
  );
  const known = state.calls.get("intent:0#0");
  assert.equal(textOf(known), "kept");
  assert.equal(known.state, "done");
  assert.equal(known.entry.replaced, false);
  assert.deepEqual(tokensOf(state), { prompt: 10, completion: 4, calls: 1 });
});

test("a step that runs again after a crash replaces its visit and what was said in it", () => {
  const next = story();
  const state = folded(
    next("run.started", { resumed: false }),
    next("node.started", { node: "take_snapshot" }),
    next("node.completed", { node: "take_snapshot", seconds: 1 }),
    next("node.started", { node: "intent" }),
    next("run.noted", { node: "intent", text: "first" }),
    next("run.started", { resumed: true, execution: 2 }),
    next("node.started", { node: "intent" }),
    next("run.noted", { node: "intent", text: "second" }),
    next("node.completed", { node: "intent", seconds: 2 }),
  );
  assert.deepEqual(seen(state.lane), ["take_snapshot done", "intent done"]);
  assert.deepEqual(said(state), ["going on", "note: second"]);
});

test("a step that was finished, and whose checkpoint was lost, is done again in its own place", () => {
  const next = story();
  const state = folded(
    next("run.started", { resumed: false }),
    next("node.started", { node: "write", candidate: 1, round: 1 }),
    next("node.completed", { node: "write", candidate: 1, round: 1, seconds: 1 }),
    next("run.started", { resumed: true, execution: 2 }),
    next("node.started", { node: "write", candidate: 1, round: 1 }),
  );
  assert.deepEqual(seen(state.candidates.get(1).lane), ["write running"]);
});

test("a later execution goes on behind what was finished", () => {
  const next = story();
  const step = (kind, node, said = {}) => next(kind, { node, candidate: 1, round: 1, seconds: 1, ...said });
  const state = folded(
    next("run.started", { resumed: false }),
    step("node.started", "write"),
    step("node.completed", "write"),
    step("node.started", "apply"),
    step("node.completed", "apply"),
    next("run.interrupted", { reason: "shutdown" }),
    next("run.started", { resumed: true, execution: 2 }),
    step("node.started", "run_tests"),
  );
  assert.deepEqual(seen(state.candidates.get(1).lane), ["write done", "apply done", "run_tests running"]);
});

test("a candidate's steps are visited again without replacing each other in one execution", () => {
  const next = story();
  const steps = ["write", "apply", "run_tests", "debugger", "write"].flatMap((node) => [
    next("node.started", { node, candidate: 1, round: 1 }),
    next("node.completed", { node, candidate: 1, round: 1, seconds: 1 }),
  ]);
  const { lane } = folded(...steps).candidates.get(1);
  assert.deepEqual(Object.fromEntries(eachStep(lane, CANDIDATE_STEPS)).write, { state: "done", visits: 2 });
  assert.deepEqual([...taken(lane)], ["write apply", "apply run_tests", "run_tests debugger", "debugger write"]);
});

test("candidates side by side are one visit of coder, done when the last is", () => {
  const next = story();
  const coder = (kind, candidate) => next(kind, { node: "coder", candidate, round: 1, seconds: 1 });
  const state = folded(next("node.started", { node: "tester", round: 1 }), coder("node.started", 1), coder("node.started", 2), coder("node.completed", 1));
  assert.deepEqual(seen(state.lane), ["tester running", "coder running"]);
  fold(state, coder("node.completed", 2));
  assert.deepEqual(seen(state.lane), ["tester running", "coder done"]);
});

test("an approval waits, is answered by a later execution, and its step is one visit", () => {
  const next = story();
  const state = folded(
    next("run.started", { resumed: false }),
    next("node.started", { node: "approve_patch", round: 1 }),
    next("node.waiting", { node: "approve_patch", round: 1 }),
    next("approval.asked", { node: "approve_patch", approval: "patch:1", gate: "patch", question: "diff" }),
  );
  assert.equal(state.phase, "waiting");
  assert.deepEqual(state.approval, { approval: "patch:1", gate: "patch", question: "diff", answers: [] });
  assert.deepEqual(Object.fromEntries(eachStep(state.lane, STEPS)).approve_patch, { state: "waiting", visits: 1 });
  fold(state, next("run.started", { resumed: true, execution: 2 }));
  fold(state, next("node.started", { node: "approve_patch", round: 1 }));
  fold(state, next("approval.given", { node: "approve_patch", approval: "patch:1", approved: true, reason: "" }));
  fold(state, next("node.completed", { node: "approve_patch", round: 1, seconds: 1 }));
  assert.equal(state.approval, null);
  assert.deepEqual(seen(state.lane), ["approve_patch done"]);
  assert.deepEqual(said(state), ["a person is asked about the patch", "answered yes"]);
});

test("an interruption stops what was under way", () => {
  const next = story();
  const state = folded(
    next("run.started", { resumed: false }),
    next("node.started", { node: "planner" }),
    next("call.queued", { node: "planner", call: "planner:0#0", role: "planner", model: "m", ahead: 0 }),
    next("run.interrupted", { reason: "stopped by its user" }),
  );
  assert.equal(state.phase, "interrupted");
  assert.deepEqual(seen(state.lane), ["planner stopped"]);
  assert.equal(state.calls.get("planner:0#0").state, "stopped");
});

test("time between two executions is not counted as work", () => {
  const next = story();
  const at = (second) => new Date(Date.UTC(2026, 0, 5, 10, 0, second)).toISOString();
  const state = folded(
    next("run.started", { resumed: false, at: at(0) }),
    next("run.interrupted", { reason: "shutdown", at: at(10) }),
    next("run.started", { resumed: true, execution: 2, at: at(100) }),
  );
  assert.equal(workedFor(state, Date.parse(at(105))), 15);
});

test("time in which a killed engine did nothing is not counted as work", () => {
  const next = story();
  const at = (second) => new Date(Date.UTC(2026, 0, 5, 10, 0, second)).toISOString();
  const state = folded(
    next("run.started", { resumed: false, at: at(0) }),
    next("node.started", { node: "intent", at: at(4) }),
    next("run.started", { resumed: true, execution: 2, at: at(1000) }),
  );
  assert.equal(workedFor(state, Date.parse(at(1001))), 5);
});

test("the rate is that of the last seconds, and 0 when nothing streams", () => {
  const next = story();
  const state = folded(
    next("call.text", { call: "a#0", role: "coder", text: "x".repeat(400), thinking: false }),
    next("call.text", { call: "a#0", role: "coder", text: "x".repeat(400), thinking: false }),
  );
  const call = state.calls.get("a#0");
  assert.equal(rateOf(call, state.at), 200);
  assert.equal(rateOf(call, state.at + 60_000), 0);
});

test("tests of a later try stand beside the earlier, and the same try replaces itself", () => {
  const next = story();
  const ran = (attempt, said) => next("work.tests_ran", tests({ candidate: attempt ? 1 : null, round: attempt ? 1 : 0, attempt, ...said }));
  const state = folded(
    ran(0, { counts: counts(1, 2), failing: ["a", "b"] }),
    ran(1, { counts: counts(2, 1), failing: ["b"] }),
    ran(1, { counts: counts(3), failing: [] }),
  );
  assert.equal(state.tests.size, 2);
  const after = [...state.tests.values()][1];
  assert.deepEqual(turned(baselineOf(state.tests, after), after), { green: ["a", "b"], red: [], broken: [] });
});

test("a test that passed before and fails now is told as broken", () => {
  const before = tests({ attempt: 0, counts: counts(1, 1), failing: ["a"] });
  const after = tests({ attempt: 1, counts: counts(1, 1), failing: ["b"] });
  assert.deepEqual(turned(before, after), { green: ["a"], red: [], broken: ["b"] });
});

test("nothing is compared with tests that crashed", () => {
  const before = tests({ attempt: 0, counts: counts(0), crashed: "cannot import" });
  const after = tests({ attempt: 1, counts: counts(1, 1), failing: ["b"] });
  assert.equal(turned(before, after), null);
  assert.equal(turned({ ...before, crashed: "" }, { ...after, crashed: "again" }), null);
});

test("the chosen candidate is the one that ended as the choice says", () => {
  const next = story();
  const ended = (candidate, outcome, reason) => next("work.candidate_ended", { node: "coder", candidate, round: 1, outcome, attempts: 1, reason });
  const state = folded(ended(1, "failed", "red"), ended(2, "done", "1 test turned green"), next("work.patch_chosen", { status: "done", reason: "1 test turned green" }));
  assert.equal(chosenOf(state), 2);
});

test("an event of an unknown kind is shown by its name and stops nothing", () => {
  const next = story();
  const state = folded(next("work.something_new"), next("run.started", { resumed: false }));
  assert.equal(state.phase, "running");
  assert.deepEqual(said(state), ["work.something_new"]);
});

test("tests that ran without a sandbox are told from those that were held", () => {
  const next = story();
  const ran = (attempt, sandbox) => next("work.tests_ran", tests({ candidate: 1, attempt, counts: counts(1), sandbox }));
  assert.equal(unguarded(folded().tests), false);
  assert.equal(unguarded(folded(ran(0, "bubblewrap"), ran(1, "landlock")).tests), false);
  assert.equal(unguarded(folded(ran(0, "bubblewrap"), ran(1, "none")).tests), true);
});
