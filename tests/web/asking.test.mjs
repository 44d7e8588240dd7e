import assert from "node:assert/strict";
import { test } from "node:test";

import { newestPages, single } from "../../backend/web/app/asking.js";

/** Work that ends when it is told to. */
function slow() {
  const ends = [];
  return { ends, work: () => new Promise((resolve) => ends.push(resolve)) };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("what is asked by the clock is asked once at a time, however slow the line", async () => {
  const { ends, work } = slow();
  const ask = single(work);
  ask(true);
  for (let tick = 0; tick < 5; tick += 1) await ask(true);
  assert.equal(ends.length, 1);
  ends[0]();
  await turn();
  assert.equal(ends.length, 1, "the clock comes again");
  ask(true);
  assert.equal(ends.length, 2);
});

test("what is asked because something changed is asked once more behind the answer that is under way", async () => {
  const { ends, work } = slow();
  const ask = single(work);
  ask(true);
  ask();
  ask();
  assert.equal(ends.length, 1);
  ends[0]();
  await turn();
  assert.equal(ends.length, 2);
  ends[1]();
  await turn();
  assert.equal(ends.length, 2);
});

test("work that breaks does not end the asking", async () => {
  let asked = 0;
  const ask = single(async () => {
    asked += 1;
    throw new Error("broken");
  });
  await assert.rejects(ask());
  await assert.rejects(ask(true));
  assert.equal(asked, 2);
});

/** A list of entries by number, the newest first, in pages of ten. */
function listOf(newest) {
  const read = [];
  const page = async (before = String(newest + 1)) => {
    read.push(before);
    const from = Number(before) - 1;
    const entries = Array.from({ length: Math.min(10, from) }, (_, at) => from - at);
    return { entries, next: from > 10 ? String(from - 9) : null };
  };
  return { read, page };
}
const reaching = (known) => (page) => page.entries[page.entries.length - 1] <= known;

test("pages are read until one reaches what is known, so that no entry between is missed", async () => {
  const { read, page } = listOf(125);
  const { pages, next, gap } = await newestPages(page, reaching(100));
  assert.deepEqual(pages.flatMap((each) => each.entries), Array.from({ length: 30 }, (_, at) => 125 - at));
  assert.deepEqual([next, gap, read.length], ["96", false, 3]);
});

test("one page is read where it reaches what is known, and where nothing is", async () => {
  const { read, page } = listOf(125);
  await newestPages(page, reaching(125));
  await newestPages(page, () => true);
  assert.equal(read.length, 2);
});

test("a list that ends has no gap; one that goes on for too long has one", async () => {
  assert.deepEqual((({ gap, next }) => [gap, next])(await newestPages(listOf(15).page, reaching(0))), [false, null]);
  const { read, page } = listOf(1000);
  const { gap, next } = await newestPages(page, reaching(1));
  assert.deepEqual([gap, next, read.length], [true, "901", 10]);
});
