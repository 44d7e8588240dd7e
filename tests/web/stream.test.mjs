import assert from "node:assert/strict";
import { test } from "node:test";

import { Stream, eventsOf, turnOf } from "../../backend/web/app/stream.js";

class Source extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.readyState = 0;
    this.closed = false;
  }

  close() {
    this.closed = true;
  }

  say(kind, data = {}) {
    this.dispatchEvent(Object.assign(new Event(kind), { data: JSON.stringify({ kind, ...data }) }));
  }

  fail(readyState) {
    this.readyState = readyState;
    this.dispatchEvent(new Event("error"));
  }
}

/** A stream in a world of our own: its sources, timers, what it told. */
function begun({ goesOn = true, followed = eventsOf("r1") } = {}) {
  const page = Object.assign(new EventTarget(), { hidden: false });
  const world = { sources: [], timers: [], page };
  const told = { events: [], links: [] };
  const stream = new Stream(
    followed,
    { event: (event) => told.events.push(event.seq), link: (link) => told.links.push(link), refused: async () => goesOn },
    {
      open: (url) => world.sources[world.sources.push(new Source(url)) - 1],
      later: (work, wait) => world.timers.push({ work, wait }),
      forget: () => {},
      page,
    },
  );
  const look = (hidden) => {
    page.hidden = hidden;
    page.dispatchEvent(new Event("visibilitychange"));
  };
  return { stream, world, told, look, last: () => world.sources.at(-1) };
}

test("a stream begins behind the start and goes on behind the last event after a break", () => {
  const { world, last } = begun();
  assert.equal(last().url, "/api/v1/runs/r1/events?after=0");
  last().say("node.started", { seq: 7 });
  last().fail(0);
  world.timers[0].work();
  assert.equal(last().url, "/api/v1/runs/r1/events?after=7");
});

test("a broken stream tries again later each time, and soon again once something came", () => {
  const { world, last } = begun();
  last().fail(0);
  world.timers[0].work();
  last().fail(0);
  world.timers[1].work();
  last().say("node.started", { seq: 1 });
  last().fail(0);
  assert.deepEqual(world.timers.map((timer) => timer.wait), [500, 1000, 500]);
});

test("an event that comes twice is told once", () => {
  const { told, last } = begun();
  last().say("node.started", { seq: 1 });
  last().say("node.started", { seq: 1 });
  assert.deepEqual(told.events, [1]);
});

test("the end closes the stream for good, and looking again opens none", () => {
  const { world, told, last, look } = begun();
  last().say("end");
  look(true);
  look(false);
  assert.equal(world.sources.length, 1);
  assert.ok(last().closed);
  assert.equal(told.links.at(-1), "ended");
});

test("a hidden tab holds no connection, and goes on where it was when it is looked at", () => {
  const { world, told, last, look } = begun();
  last().say("node.started", { seq: 3 });
  look(true);
  assert.ok(last().closed);
  assert.equal(told.links.at(-1), "hidden");
  look(false);
  assert.equal(world.sources.length, 2);
  assert.equal(last().url, "/api/v1/runs/r1/events?after=3");
});

test("a server that shuts down is asked again", () => {
  const { world, told, last } = begun();
  last().say("server-shutdown");
  assert.equal(told.links.at(-1), "restarting");
  assert.equal(world.timers.length, 1);
});

test("a refused stream is given up when its run is unknown or the browser signed out", async () => {
  const { world, told, last } = begun({ goesOn: false });
  last().fail(2);
  await new Promise(setImmediate);
  assert.equal(world.timers.length, 0);
  assert.equal(told.links.at(-1), "ended");
});

test("what an abandoned connection still says is not heard", () => {
  const { told, world, look } = begun();
  const first = world.sources[0];
  look(true);
  first.say("node.started", { seq: 9 });
  assert.deepEqual(told.events, []);
});

test("a closed stream is silent when the tab is looked at again", () => {
  const { stream, world, look } = begun();
  stream.close();
  look(true);
  look(false);
  assert.equal(world.sources.length, 1);
});

test("a turn's chunks have no numbers: each is told, and each connection begins anew", () => {
  const { world, told, last } = begun({ followed: turnOf("s 1") });
  assert.equal(last().url, "/api/v1/sessions/s%201/stream");
  for (const text of ["a", "a"]) last().say("text", { text });
  assert.equal(told.events.length, 2);
  last().fail(0);
  world.timers[0].work();
  assert.equal(last().url, "/api/v1/sessions/s%201/stream");
});
