import assert from "node:assert/strict";
import { test } from "node:test";

import { placeOf, runAddress, sessionAddress } from "../../backend/web/app/address.js";
import { duration, prose, proseFrom, shortened, visible } from "../../backend/web/app/format.js";
import { isMeant } from "../../backend/web/app/keys.js";
import { newsOf } from "../../backend/web/app/news.js";
import { readPatch, sums } from "../../backend/web/app/patch.js";
import { isWanted, looksOf, merged } from "../../backend/web/app/runs.js";
import { taskOf } from "../../backend/web/app/start.js";
import { newRun } from "../../backend/web/app/state.js";
import { linesOf } from "../../backend/web/app/words.js";
import { story } from "./events.mjs";

const PATCH = `diff --git a/src/a.py b/src/a.py
index 1..2 100644
--- a/src/a.py
+++ b/src/a.py
@@ -1,3 +1,3 @@ def f():
 one
-two
+2
 three
\\ No newline at end of file
diff --git a/tests/test_a.py b/tests/test_a.py
new file mode 100644
--- /dev/null
+++ b/tests/test_a.py
@@ -0,0 +1,2 @@
+import a
+--- not a header
`;

test("a patch is read into files, hunks and numbered lines", () => {
  const [code, tests] = readPatch(PATCH);
  assert.deepEqual([code.path, code.change, code.test], ["src/a.py", "changed", false]);
  assert.equal(code.hunks[0].header, "def f():");
  assert.deepEqual(code.hunks[0].rows.map(({ kind, old, new: now }) => [kind, old, now]), [
    ["same", 1, 1],
    ["removed", 2, 0],
    ["added", 0, 2],
    ["same", 3, 3],
    ["note", 0, 0],
  ]);
  assert.deepEqual([tests.path, tests.change, tests.test], ["tests/test_a.py", "new", true]);
});

test("a line of a file that looks like a header is a line", () => {
  const [, tests] = readPatch(PATCH);
  assert.equal(tests.hunks[0].rows[1].text, "--- not a header");
  assert.deepEqual(sums(readPatch(PATCH)), { added: 3, removed: 1 });
});

test("a diff without git's headers is read as well", () => {
  const [first, second] = readPatch("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-c\n+d\n");
  assert.deepEqual([first.path, second.path, first.added, second.removed], ["x", "y", 1, 1]);
});

test("renamed, deleted and binary files are told apart", () => {
  const text = `diff --git a/old name b/new name
similarity index 100%
rename from old name
rename to new name
diff --git a/gone b/gone
deleted file mode 100644
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-x
diff --git a/i.png b/i.png
Binary files a/i.png and b/i.png differ
`;
  assert.deepEqual(readPatch(text).map((file) => [file.path, file.was, file.change, file.binary]), [
    ["new name", "old name", "renamed", false],
    ["gone", "gone", "deleted", false],
    ["i.png", "i.png", "changed", true],
  ]);
});

test("a patch says which mode a file has got, and which is not that of every file", () => {
  const text = `diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
diff --git a/link b/link
new file mode 120000
--- /dev/null
+++ b/link
@@ -0,0 +1 @@
+/etc/passwd
`;
  assert.deepEqual([...readPatch(text), ...readPatch(PATCH)].map((file) => file.mode), ["100644 → 100755", "120000", "", ""]);
});

test("any text is read as a patch of no files", () => {
  assert.deepEqual(readPatch("hello\n@@ -1 +1 @@\n+x\n"), []);
});

test("a hundred thousand lines are read in time that grows with their number", () => {
  const text = `--- a/x\n+++ b/x\n@@ -0,0 +1,100000 @@\n${"+a b c\n".repeat(100_000)}`;
  assert.equal(readPatch(text)[0].added, 100_000);
});

test("characters that hide or turn text around are shown by their number", () => {
  assert.equal(visible("a\u202eb\u0000c\u001b[31m\td\n"), "a\\u202eb\\u0000c\\u001b[31m\td\n");
  assert.equal(visible("naïve 日本 👩\u200d💻 ❤\ufe0f"), "naïve 日本 👩\u200d💻 ❤\ufe0f");
  assert.equal(visible("a\u3164b\u2800\u{e0100}"), "a\\u3164b\\u2800\\ue0100", "letters and marks without a shape");
});

test("the non-joiner stays in the words of people that are written with it, and nowhere else", () => {
  assert.equal(prose("می\u200cخواهم"), "می\u200cخواهم");
  assert.equal(prose("क्\u200cष"), "क्\u200cष", "behind a mark");
  assert.equal(visible("می\u200cخواهم"), "می\\u200cخواهم", "where a person is asked about it");
  assert.equal(prose("rm\u200cdir x\u200c \u200c می\u200c"), "rm\\u200cdir x\\u200c \\u200c می\\u200c", "here it only hides");
  assert.equal(prose("a\u202eb می\u200c\u202eخ"), "a\\u202eb می\\u200c\\u202eخ");
});

test("a text that grows reads as it will when it is whole", () => {
  const text = "می\u200cخواهم a\u202eb 👩 x\u200cy";
  for (let from = 0; from <= text.length; from += 1) {
    if (text[from - 1] === "\u200c" || /[\udc00-\udfff]/.test(text[from] ?? "")) continue; // not cut there
    const head = text.slice(0, from);
    assert.equal(prose(head) + proseFrom(text, from), prose(text), `${from}`);
  }
});

test("long text is cut, and times are said as people do", () => {
  assert.equal(shortened("a  b\nc"), "a b c");
  assert.equal(shortened("abcdef", 4), "abc…");
  assert.deepEqual([0.04, 9.96, 59.9, 61, 3700].map(duration), ["0.0 s", "10.0 s", "59 s", "1 min 1 s", "1 h 1 min"]);
});

test("an address says which run is open and what of it", () => {
  assert.deepEqual(placeOf("#/runs/0199-a?tab=diff"), { view: "run", id: "0199-a", query: { tab: "diff" } });
  assert.deepEqual(placeOf(runAddress("a/b%", { tab: "log", node: "" })), { view: "run", id: "a/b%", query: { tab: "log" } });
  assert.equal(placeOf("").view, "runs");
  assert.equal(placeOf("#/batches").view, "batches");
  assert.deepEqual(placeOf("#/batches/b1").id, "b1");
  assert.deepEqual(placeOf(sessionAddress("a/b")), { view: "session", id: "a/b", query: {} });
  assert.equal(placeOf("#/sessions").view, "sessions");
  assert.equal(placeOf("#/runs").view, "runs");
  assert.equal(placeOf("#/?again=r").view, "runs");
});

test("an address that is none of the page's leads nowhere", () => {
  for (const hash of ["#/nonsense", "#/%E0%A4%A", "#/runs/..", "#/sessions/.", "#/batches/%2e%2e"]) assert.equal(placeOf(hash).view, "nowhere", hash);
});

test("runs are found by every word, in any of their parts", () => {
  const run = { run: "0199", task: "Add --json", repo: "/home/x/cli", state: "finished", status: "done", created: "", reason: "" };
  assert.ok(isWanted(run, "JSON cli", "all"));
  assert.ok(!isWanted(run, "json yaml", "all"));
  assert.ok(isWanted(run, "", "ended"));
  assert.ok(!isWanted(run, "", "at work"));
});

test("a newer page of runs replaces what was known of them, newest first", () => {
  const run = (id, state) => ({ run: id, task: "", repo: "", state, status: "", created: "", reason: "" });
  const known = [run("2", "running"), run("1", "running")];
  assert.deepEqual(merged(known, [run("3", "queued"), run("2", "finished")]).map((each) => `${each.run} ${each.state}`), ["3 queued", "2 finished", "1 running"]);
});

test("a run's looks never rest on colour alone", () => {
  const signs = ["queued", "running", "waiting", "interrupted"].map((state) => looksOf({ state, status: "" }).sign);
  assert.equal(new Set(signs).size, 4);
  assert.notEqual(looksOf({ state: "finished", status: "done" }).sign, looksOf({ state: "finished", status: "failed" }).sign);
});

test("what was left open in the form is left to the settings", () => {
  const draft = { task: " t ", repo: "/r", model: "", test_command: "", candidates: "", approve: [] };
  assert.deepEqual(taskOf(draft), { task: "t", repo: "/r", client: "page" });
  assert.deepEqual(taskOf({ ...draft, candidates: "3", approve: ["patch"] }), { task: "t", repo: "/r", client: "page", candidates: 3, approve: ["patch"] });
  assert.equal(taskOf({ ...draft, candidates: "auto" }).candidates, "auto");
});

test("a key in a field or with a modifier is no command", () => {
  const press = (said, inside = null) => ({ ctrlKey: false, metaKey: false, altKey: false, defaultPrevented: false, repeat: false, target: { closest: () => inside }, ...said });
  assert.ok(isMeant(press({ key: "a" })));
  assert.ok(!isMeant(press({ key: "a" }, {})));
  assert.ok(!isMeant(press({ key: "a", ctrlKey: true })));
  assert.ok(!isMeant(press({ key: "a", repeat: true })));
});

test("streamed text is never said aloud, a question is", () => {
  const next = story();
  assert.equal(newsOf(newRun("r"), next("call.text", { call: "a", role: "coder", text: "x", thinking: false })), "");
  assert.match(newsOf(newRun("r"), next("approval.asked", { gate: "patch", approval: "patch:1", question: "" })), /asks you about the patch/);
});

test("the end of a run names what is still red, and how much more there is", () => {
  const red = [{ test: "t.py::a", says: "AssertionError: -1 != 3" }, { test: "t.py::b", says: "" }];
  const ended = { kind: "run.finished", status: "failed", red, red_total: 5 };
  assert.deepEqual(linesOf(ended).map((each) => each.text), [
    "finished: failed", "still red: t.py::a: AssertionError: -1 != 3", "still red: t.py::b", "and 3 more",
  ]);
  assert.deepEqual(linesOf({ kind: "run.finished", status: "done" }).map((each) => each.text), ["finished: done"], "an older event has no such list");
});

test("a budget is named as people say it", () => {
  const spent = (/** @type {string} */ budget) => linesOf({ kind: "run.budget_spent", budget, limit: 60 })[0].text;
  assert.equal(spent("gpu_seconds"), "the budget of 60 GPU seconds is spent; ending with the best so far");
  assert.equal(spent("calls"), "the budget of 60 calls is spent; ending with the best so far");
});
