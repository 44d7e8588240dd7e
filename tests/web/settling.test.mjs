import assert from "node:assert/strict";
import { test } from "node:test";

import { SETTLES, Settling } from "../../backend/web/app/settling.js";

/** A question at a place that can be moved, and what was told of it. */
function question() {
  const at = { x: 10, y: 500 };
  const told = [];
  return { at, told, settles: new Settling(() => ({ ...at }), (settled) => told.push(settled)) };
}
const click = (timeStamp, detail = 1) => ({ timeStamp, detail });

test("a question is answered once it has stood for a while, and not by what was on its way when it came", () => {
  const { settles, told } = question();
  assert.ok(!settles.takes(click(1000), 1000), "the click that finds it first");
  assert.ok(!settles.takes(click(1000 + SETTLES - 1), 1000 + SETTLES - 1));
  assert.deepEqual(told, []);
  assert.ok(settles.takes(click(1000 + SETTLES), 1000 + SETTLES));
  assert.deepEqual(told, [true]);
});

test("what was pressed before it had stood so long is no answer, however late the page hears of it", () => {
  const { settles } = question();
  settles.look(1000);
  assert.ok(!settles.takes(click(1100), 9000), "the page was busy");
  assert.ok(settles.takes({ timeStamp: 9000 }, 9000), "a key has no detail");
});

test("the second click of a double click is none", () => {
  const { settles } = question();
  settles.look(0);
  assert.ok(!settles.takes(click(5000, 2), 5000));
  assert.ok(settles.takes(click(5000, 1), 5000));
  assert.ok(settles.takes(click(5000, 0), 5000), "a button pressed by a key");
});

test("a question that moves settles anew, also where nobody looked before the click", () => {
  const { settles, told, at } = question();
  settles.look(0);
  settles.look(SETTLES);
  at.y = 300;
  assert.ok(!settles.takes(click(5000), 5000));
  assert.deepEqual(told, [true, false]);
  at.y = 301; // a line that is a little thinner is no move
  assert.ok(settles.takes(click(5000 + SETTLES), 5000 + SETTLES));
});

test("one that takes the keys of another settles anew where it stands", () => {
  const { settles } = question();
  settles.look(0);
  settles.look(SETTLES);
  settles.begin();
  assert.ok(!settles.settled);
  assert.ok(!settles.takes(click(5000), 5000));
  assert.ok(settles.takes(click(5000 + SETTLES), 5000 + SETTLES));
});
