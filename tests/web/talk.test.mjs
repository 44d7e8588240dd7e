import assert from "node:assert/strict";
import { test } from "node:test";

import { readPatch } from "../../backend/web/app/patch.js";
import { joined } from "../../backend/web/app/sessions.js";
import { again, fold, follow, goesOn, isUnanswered, leavesGap, newTalk, over, partsOf, put, resultsOf, shownAlone, signedLines, standing } from "../../backend/web/app/talk.js";

const message = (number, more = {}) => ({ number, role: "user", agent: "", content: `m${number}`, images: [], thinking: "", tool_calls: [], tool_name: null, tool_call_id: null, ok: true, upto: 0, turn: "", at: "2026-01-05T10:00:00Z", ...more });
/** A page of the history, newest first. */
const page = (numbers, { next = null, agent = "coder" } = {}) => ({ messages: numbers.map((each) => message(each)), current_agent: agent, next });
const chunk = (kind, more = {}) => ({ kind, agent: "coder", text: "", call: "", message: 0, ok: true, ...more });
const numbers = (talk) => talk.messages.map((each) => each.number);
const nothing = { history: false, waiting: false };

test("pages of the history come together in their order, and the oldest says where to go on", () => {
  const talk = newTalk();
  put(talk, page([6, 5, 4], { next: 4 }));
  assert.deepEqual([numbers(talk), talk.next, talk.agent], [[4, 5, 6], 4, "coder"]);
  put(talk, page([3, 2, 1]));
  assert.deepEqual([numbers(talk), talk.next], [[1, 2, 3, 4, 5, 6], null]);
  put(talk, page([8, 7, 6], { next: 6, agent: "debug" }));
  assert.deepEqual([numbers(talk), talk.next, talk.agent], [[1, 2, 3, 4, 5, 6, 7, 8], null, "debug"]);
});

test("a newest page that does not reach what is known leaves a gap", () => {
  assert.ok(leavesGap(3, page([9, 8, 7], { next: 7 })));
  assert.ok(!leavesGap(6, page([9, 8, 7], { next: 7 })));
  assert.ok(!leavesGap(0, page([9, 8, 7], { next: 7 })), "nothing was known");
  assert.ok(!leavesGap(3, page([2, 1])), "it was forked or deleted: the page is all there is");
});

test("pieces are the live answer until their message is complete, which the history then has", () => {
  const talk = newTalk();
  put(talk, page([1]));
  assert.deepEqual(fold(talk, chunk("thinking", { text: "hm" })), nothing);
  assert.deepEqual(fold(talk, chunk("text", { text: "It " })), nothing);
  fold(talk, chunk("text", { text: "adds" }));
  assert.deepEqual(talk.live, { agent: "coder", text: "It adds", thinking: "hm" });
  assert.deepEqual(fold(talk, chunk("text", { message: 2 })), { history: true, waiting: false });
  assert.equal(talk.live.text, "");
});

test("a turn that is told again asks for no message that is known", () => {
  const talk = newTalk();
  put(talk, page([2, 1]));
  over(talk);
  again(talk);
  assert.equal(talk.turn, "unknown");
  fold(talk, chunk("text", { text: "It adds" }));
  assert.deepEqual(fold(talk, chunk("text", { message: 2 })), nothing);
  assert.equal(talk.live.text, "");
});

test("what was taken back is forgotten, and drawn anew", () => {
  const talk = newTalk();
  fold(talk, chunk("text", { text: "no no no" }));
  const { gone } = talk;
  fold(talk, chunk("restarted"));
  assert.deepEqual([talk.live.text, talk.gone > gone], ["", true]);
});

test("a message has no answer where it began a turn and none is open; the word of an undo began none", () => {
  const talk = newTalk();
  put(talk, { ...page([1]), messages: [message(1, { turn: "t1" })] });
  assert.ok(!isUnanswered(talk), "a turn may be open");
  over(talk);
  assert.ok(isUnanswered(talk));
  put(talk, { ...page([2]), messages: [message(2, { content: "(I took back your last write: a.txt is as it was before.)" })] });
  assert.ok(!isUnanswered(talk));
  put(talk, { ...page([3]), messages: [message(3, { turn: "t2" })] });
  assert.ok(isUnanswered(talk));
  put(talk, { ...page([4]), messages: [message(4, { role: "assistant" })] });
  assert.ok(!isUnanswered(talk));
});

test("a turn that began behind the one that ended is seen by its message, and that which ended is not taken for it", () => {
  const talk = newTalk();
  const said = (number, turn) => put(talk, { ...page([number]), messages: [message(number, { turn })] });
  said(1, "t1");
  follow(talk);
  assert.ok(!goesOn(talk), "nobody knows yet whether it is open");
  fold(talk, chunk("done"));
  assert.ok(!goesOn(talk));
  follow(talk, "t2"); // it was said here, and its message is not read yet
  said(3, "t2");
  said(5, "t3"); // read before the line says that t2 is over
  assert.ok(!goesOn(talk));
  over(talk);
  assert.ok(goesOn(talk));
  follow(talk);
  assert.equal(talk.turn, "unknown", "until the line says whether it is open");
  over(talk);
  assert.ok(!goesOn(talk), "nor was that one open");
  said(6, "");
  assert.ok(!goesOn(talk), "the word of an undo begins none");
});

test("a diff is lines with signs, and nothing of it is lost; another text is none", () => {
  const diff = "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n x\n--- y\n+-z\n\n";
  const lines = signedLines(diff);
  assert.deepEqual(lines.map((each) => each.sign), ["", "", "@", " ", "-", "+"]);
  assert.equal(lines.map((each) => each.text).join("\n"), diff.trimEnd());
  for (const text of ["", "make test", "--- a.py\n+++ no diff", "first\n--- a.py\n+++ a.py\n@@ -1 +1 @@\n-x"]) assert.deepEqual(signedLines(text), []);
});

test("questions and results say what is to be asked for", () => {
  const talk = newTalk();
  for (const kind of ["approval", "client_call"]) assert.deepEqual(fold(talk, chunk(kind)), { history: false, waiting: true });
  assert.deepEqual(fold(talk, chunk("tool_result", { message: 3 })), { history: true, waiting: true });
});

test("where a turn stands is one word", () => {
  const talk = newTalk();
  assert.equal(standing(talk).word, "…");
  fold(talk, chunk("text", { text: "a" }));
  assert.equal(standing(talk).word, "at work");
  talk.waiting = { approvals: [], client_calls: [{}] };
  assert.equal(standing(talk).word, "waits for a program");
  talk.waiting.approvals.push({});
  assert.equal(standing(talk).word, "needs you");
  fold(talk, chunk("failed", { text: "cancelled" }));
  assert.deepEqual([standing(talk).word, talk.ended, talk.waiting.approvals.length], ["ready", { ok: false, text: "cancelled" }, 0]);
  fold(talk, chunk("text"));
  assert.equal(talk.ended, null, "another turn");
  over(talk);
  assert.equal(talk.turn, "none");
});

test("a result is shown with its call, and alone where that is on an earlier page", () => {
  const asks = message(2, { role: "assistant", tool_calls: [{ id: "c1", name: "read_file", arguments: {} }] });
  const result = message(3, { role: "tool", tool_call_id: "c1" });
  const stray = message(1, { role: "tool", tool_call_id: "c0" });
  const messages = [stray, asks, result];
  assert.deepEqual(shownAlone(messages).map((each) => each.number), [1, 2]);
  assert.equal(resultsOf(messages).get("c1"), result);
});

test("a text is taken apart at its fences, and one that is not closed holds the rest", () => {
  assert.deepEqual(partsOf("See:\n\n```python\na = 1\r\n\nb = 2\n```\n\nDone."), [
    { code: false, name: "", text: "See:" },
    { code: true, name: "python", text: "a = 1\n\nb = 2" },
    { code: false, name: "", text: "Done." },
  ]);
  assert.deepEqual(partsOf("````md\n```\nx\n```\n````"), [{ code: true, name: "md", text: "```\nx\n```" }]);
  assert.deepEqual(partsOf("a\n```\nb").at(-1), { code: true, name: "", text: "b" });
  assert.deepEqual(partsOf("inline ```code``` stays"), [{ code: false, name: "", text: "inline ```code``` stays" }]);
  assert.deepEqual(partsOf(""), []);
});

test("a fence is three signs or more, at most three spaces in, with no backtick behind it", () => {
  const fenced = (line) => partsOf(`${line}\nx`).at(-1)?.code ?? false;
  for (const line of ["```", "   ~~~", "~~~~ js", "```\tjs ", "```~~~"]) assert.ok(fenced(line), line);
  for (const line of ["``", "    ```", "```js`", "~~~`", "x```", "\t```", "``~"]) assert.ok(!fenced(line), line);
  assert.equal(partsOf("~~~  js  \nx\n~~~~  \ny").map((part) => part.name + part.text).join(), "jsx,y");
});

test("a text of a million characters is taken apart in one walk, whatever it is made to be", () => {
  const many = (unit) => unit.repeat(1_000_000);
  for (const text of [`${many("~")}\``, `\`\`\`${many(" ")}\``, `x${many(" ")}x`, `x${many("\n")}x`, `${many("\n")}x`]) {
    assert.equal(partsOf(text).length, 1);
  }
  assert.equal(signedLines(`--- a\n+++ b\n@@ x${many("\n")}x`).length, 1_000_003);
  assert.equal(readPatch(`diff --git a/${many(" b/")}\r\n--- ${many("\t")}\r`).length, 1);
});

test("the list has each conversation once, what changed last first", () => {
  const known = [{ session: "a", updated: "1" }, { session: "b", updated: "2" }];
  assert.deepEqual(joined(known, [{ session: "a", updated: "3" }]).map((each) => each.session), ["a", "b"]);
});
