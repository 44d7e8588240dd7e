import assert from "node:assert/strict";
import { test } from "node:test";

import { Pause, placeOf, SETTLES, Settling } from "../../backend/web/app/settling.js";

/** A question at a place that can be moved, and what was told of it. */
function question() {
  const at = { x: 10, y: 500, scrolled: 0 };
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

test("a key answers after a pause: not as the next letter of a text, however long that goes on", () => {
  const pause = new Pause();
  assert.ok(pause.end(100), "the first");
  for (let at = 200; at < 5000; at += SETTLES - 1) assert.ok(!pause.end(at), `letters at ${at}`);
  assert.ok(pause.end(9000));
  assert.ok(!pause.end(8900), "one that the page hears of late");
  assert.ok(!pause.end(9000 + SETTLES - 1));
  assert.ok(pause.end(9000 + 2 * SETTLES));
});

test("what is scrolled by hand is no move, nor is what stays in sight while that is done; what grows above it is", () => {
  const { settles, at } = question();
  settles.look(0);
  let now = 5000;
  const look = (change) => (Object.assign(at, change), settles.look(now));
  assert.ok(look({}));
  assert.ok(look({ y: 380, scrolled: 120 }), "it goes with the page");
  assert.ok(look({ y: 380, scrolled: 300 }), "it sticks to the edge");
  assert.ok(look({ y: 370, scrolled: 310 }));
  assert.ok(!look({ y: 380 }), "it is pushed");
  now += SETTLES;
  assert.ok(look({ y: 500, scrolled: 0 }), "it sticks for a part of the way");
  assert.ok(!look({ y: 520, scrolled: 40 }), "it went against the way");
});

test("all that scrolls around an element counts", () => {
  const page = { scrollTop: 5, parentElement: null };
  const cards = { scrollTop: 120, parentElement: page };
  const card = { scrollTop: 9, parentElement: cards, getBoundingClientRect: () => ({ left: 10, top: 180 }) };
  assert.deepEqual(placeOf(card), { x: 10, y: 180, scrolled: 125 });
});
