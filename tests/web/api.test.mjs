import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { getPool, getRunTimed, Problem, skewOf, startRun } from "../../backend/web/app/api.js";

const { fetch: real } = globalThis;
afterEach(() => (globalThis.fetch = real));

/** Let the server answer this. */
const answers = (body, said = {}) => (globalThis.fetch = async () => new Response(body, said));
/** A body that breaks off. */
const broken = () =>
  new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"run": "01'));
      controller.error(new TypeError("network error"));
    },
  });
const problem = (status, message) => (/** @type {unknown} */ error) => error instanceof Problem && error.status === status && message.test(error.message);

test("an answer that breaks off is told, as one that does not come", async () => {
  answers(broken());
  await assert.rejects(getPool(), problem(0, /cannot be read/));
  answers(broken());
  await assert.rejects(startRun({}, "k"), (error) => problem(0, /cannot be read/)(error) && /done all the same/.test(error.hint));
  globalThis.fetch = async () => Promise.reject(new TypeError("failed to fetch"));
  await assert.rejects(getPool(), problem(0, /cannot be reached/));
});

test("an answer that is not the server's is none: half of it, a hotel's page, nothing", async () => {
  for (const body of ['{"run": "01', "<h1>log in to the hotel</h1>", ""]) {
    answers(body);
    await assert.rejects(getPool(), problem(0, /cannot be read/), body);
  }
  answers('{"run": "01');
  await assert.rejects(startRun({}, "k"), problem(0, /cannot be read/));
});

test("what has no answer to read is done: 202 has none", async () => {
  answers("", { status: 202 });
  assert.equal(await startRun({}, "k"), null);
});

test("a refusal keeps its status, also where its words cannot be read", async () => {
  answers('{"detail": "it is over", "hint": "look"}', { status: 409 });
  await assert.rejects(getPool(), (error) => problem(409, /it is over/)(error) && error.hint === "look");
  answers("<h1>502</h1>", { status: 502, statusText: "Bad Gateway" });
  await assert.rejects(getPool(), problem(502, /Bad Gateway/));
  answers('{"detail":', { status: 503 });
  await assert.rejects(getPool(), problem(503, /the answer was 503/));
});

test("what is read is given up after a while, what is asked for never", async () => {
  /** @type {(AbortSignal | null | undefined)[]} */
  const signals = [];
  globalThis.fetch = async (_, sent) => (signals.push(sent?.signal), new Response("{}"));
  await getPool();
  await startRun({}, "k");
  assert.ok(signals[0] instanceof AbortSignal);
  assert.equal(signals[1], null);
});

test("how far the clocks differ is measured by the server's own word", async () => {
  const at = Date.parse("2026-01-05T10:00:00Z");
  assert.equal(skewOf("Mon, 05 Jan 2026 10:00:00 GMT", at + 3_600_000, at + 3_601_000), 3_600_000);
  assert.equal(skewOf("Mon, 05 Jan 2026 10:00:00 GMT", at, at + 1000), 0);
  assert.equal(skewOf(null, at, at), 0);
  answers('{"run": "r"}', { headers: { Date: new Date(Date.now() + 3_600_000).toUTCString() } });
  const { view, skew } = await getRunTimed("r");
  assert.equal(view.run, "r");
  assert.ok(Math.abs(skew + 3_600_000) < 60_000);
});
