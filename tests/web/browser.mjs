// The page as a person uses it, in Chromium: sign in, start a run, follow it live, reload, a second tab, approve, stop.
// `test_browser.py` starts the server and says in CORRAL_BROWSER where it is.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { faults, relayTo } from "./aids.mjs";

const told = JSON.parse(process.env.CORRAL_BROWSER);
const { chromium } = createRequire(`${told.modules}/`)("playwright-core");

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
const WAIT = 40_000;

let browser;
let context;
/** What no page may do: report to the console, break, ask another host, break the policy. */
const wrong = [];
const seen = new Set();

before(async () => {
  browser = await chromium.launch({ executablePath: told.chromium, args: FLAGS });
  context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(WAIT);
  context.on("weberror", (error) => wrong.push(`error ${error.error().stack}`));
  context.on("console", (message) => {
    if (message.type() === "error" || /Content.Security.Policy/i.test(message.text())) wrong.push(`console ${message.text()}`);
  });
  await context.route(/.*/, (route) => {
    seen.add(new URL(route.request().url()).origin);
    return route.continue();
  });
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`Content-Security-Policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
});

after(async () => {
  await browser?.close();
});

/** A new tab. @param {string} [hash] */
async function tab(hash = "#/") {
  const page = await context.newPage();
  await page.goto(`${told.address}/${hash}`);
  return page;
}

/** Start a run by its form; its id. */
async function start(page, task, { approve = [], candidates = "" } = {}) {
  await page.goto(`${told.address}/#/`);
  await page.fill("[name=task]", task);
  await page.fill("[name=repo]", told.repository);
  await page.fill("[name=candidates]", candidates);
  for (const gate of ["plan", "patch"]) await page.locator(`[name=approve][value=${gate}]`).setChecked(approve.includes(gate));
  await page.click("text=Start");
  await page.waitForURL(/#\/runs\//);
  return decodeURIComponent(page.url().split("#/runs/")[1].split("?")[0]);
}

/** What the prompts of the coder say. */
const CODER = "You are Corral's coder.";
/** Stop the model's answers to prompts with this text in their middle, until they are released. */
const hold = (text) => fetch(`${told.model}/hold?${encodeURIComponent(text)}`);
const release = (text) => fetch(`${told.model}/release?${encodeURIComponent(text)}`);

const status = (page) => page.locator(".chip.status");
/** The question is there, and has stood for long enough to be answered. */
const isAsked = async (page, what) => {
  await page.locator(".approval h2", { hasText: what }).waitFor();
  await page.locator('.approval .answers button[aria-disabled="false"]').first().waitFor();
};
const isStatus = (page, word) => page.locator(".chip.status", { hasText: new RegExp(`^${word}$`) }).waitFor();
/** Which steps are drawn, with their state and number of visits. */
const steps = (page) => page.locator(".graph.wide .step").evaluateAll((all) => all.map((step) => step.getAttribute("aria-label")));
/** The words of the log, without times. */
const log = (page) => page.locator(".log .entry > .text, .log .entry > summary > .text").allTextContents();

/** How far the log is from its end, in pixels; what cannot be scrolled is nowhere. */
const fromEnd = (page) => page.locator(".log").evaluate((box) => (box.scrollHeight > box.clientHeight ? box.scrollHeight - box.clientHeight - box.scrollTop : NaN));
/** Let the page have answered twice more what it asks again and again. */
const askedTwice = async (page, what) => {
  for (let times = 0; times < 2; times += 1) await page.waitForResponse((answer) => what.test(answer.url()));
};
/** A route that answers with what the server said, changed. */
const changed = (change) => async (route) => {
  const answer = await route.fetch();
  const json = await answer.json();
  change(json);
  await route.fulfill({ response: answer, json });
};

test("a stranger is told how to come in, and sees nothing", async () => {
  const stranger = await browser.newContext();
  const answer = await (await stranger.newPage()).goto(`${told.address}/api/v1/runs`);
  assert.equal(answer.status(), 401);
  const page = await stranger.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  await page.goto(`${told.address}/`);
  assert.equal(page.url(), `${told.address}/signin`);
  await page.getByText("corral serve", { exact: true }).waitFor();
  assert.equal(await page.locator("[type=password]").count(), 0, "this server has no password");
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1440, 390]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      assert.deepEqual(await faults(page, told.modules), [], `${colorScheme} ${width}`);
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `too wide at ${width}`);
    }
  }
  assert.equal(await page.locator(".card").evaluate((card) => getComputedStyle(card).borderTopWidth), "1px", "it is styled");
  assert.ok(await page.locator("img").evaluate((image) => image.complete && image.naturalWidth > 0), "its picture is there");
  assert.deepEqual(said, []);
  await stranger.close();
});

test("the one-time address signs in, once", async () => {
  const page = await context.newPage();
  await page.goto(told.signin);
  await page.waitForURL(`${told.address}/`);
  await page.getByText("Give a task, get a tested patch").waitFor();
  const stranger = await browser.newContext();
  const late = await stranger.newPage();
  assert.equal((await late.goto(told.signin)).status(), 401);
  await stranger.close();
  await page.close();
});

test("a run is started, reloaded half-way, followed in a second tab, approved there, and ends the same in both", async () => {
  const first = await tab();
  const run = await start(first, told.tasks[2], { approve: ["plan", "patch"], candidates: "2" });
  await first.locator(".banner").getByText("simulated").waitFor();
  await isAsked(first, "Go on with this plan?");
  const before = { steps: await steps(first), log: await log(first) };
  assert.ok(before.steps.includes("approve plan: waits for a person"));
  assert.ok(before.steps.includes("planner: done"));

  await first.reload();
  await isAsked(first, "Go on with this plan?");
  await first.waitForFunction((length) => document.querySelectorAll(".log .entry").length >= length, before.log.length);
  assert.deepEqual({ steps: await steps(first), log: await log(first) }, before);

  await hold(CODER);
  await first.keyboard.press("a");
  await first.locator(".graph.wide [data-node=coder][data-state=running]").waitFor();
  await first.locator(".entry.call[data-state=streaming] pre").first().waitFor();
  const second = await tab(`#/runs/${run}`);
  await second.locator(".entry.call[data-state=streaming] pre").first().waitFor();
  await release(CODER);
  await isAsked(second, "Do you want this patch?");
  await second.locator(".approval .added .code", { hasText: "def split(cents, people):" }).waitFor();
  await second.bringToFront();
  await second.locator(".approval").getByRole("button", { name: "Approve" }).click();
  for (const page of [second, first]) {
    await page.bringToFront();
    await isStatus(page, "done");
    await page.locator(".verdict .next").waitFor();
  }
  assert.deepEqual(await steps(first), await steps(second));
  assert.deepEqual(await log(first), await log(second));
  assert.ok((await steps(first)).includes("approve patch: done"));

  await first.setViewportSize({ width: 1440, height: 600 });
  await first.locator(".log").evaluate((box) => (box.scrollTop = box.scrollHeight));
  for (const [key, shown] of [["2", ".diff"], ["1", ".log"]]) {
    await first.keyboard.press(key);
    await first.locator(`#panel ${shown}`).waitFor();
  }
  await first.waitForFunction(() => document.querySelector(".log").scrollTop > 0);
  assert.ok((await fromEnd(first)) < 2, "the log goes on at its end");
  await first.locator(".log").evaluate((box) => (box.scrollTop = 40));
  for (const [key, shown] of [["3", ".tests"], ["1", ".log"]]) {
    await first.keyboard.press(key);
    await first.locator(`#panel ${shown}`).waitFor();
  }
  await first.waitForFunction(() => document.querySelector(".log").scrollTop === 40);

  await first.keyboard.press("2");
  await first.locator("#panel .diff .file").first().waitFor();
  assert.match(first.url(), /tab=diff/);
  await first.keyboard.press("3");
  await first.getByText("Before: the untouched code").waitFor();
  await first.locator(".testrun", { hasText: "chosen" }).getByText(/\d+ now pass/).first().waitFor();
  await first.keyboard.press("4");
  await first.locator(".timeline .visit").first().waitFor();
  await first.close();
  await second.close();
});

test("text of a person or a model is shown, never obeyed", async () => {
  const page = await tab();
  const persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645";
  const task = `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script> ${told.tasks[0]} ${persian} ${"and so on ".repeat(200)}to its END`;
  await start(page, task);
  await page.locator("h1.task", { hasText: "<img src=x onerror=" }).waitFor();
  await page.locator(".runs .task", { hasText: "<img" }).first().waitFor();
  assert.equal(await page.locator("main img, main script, .rail img").count(), 0);
  assert.doesNotMatch(await page.title(), /^broken/);
  await page.locator("h1.task", { hasText: persian }).waitFor();
  await page.getByRole("button", { name: "the whole task" }).click();
  assert.ok(await page.locator("h1.task").evaluate((title) => title.scrollHeight <= title.clientHeight && title.textContent.endsWith("to its END")), "all of it can be read");
  await isStatus(page, "done"); // its calls hold the slots that the next one needs
  await page.close();
});

test("what a person wrote in a conversation is shown as their script is written", async () => {
  const page = await tab();
  const written = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 rm\u200cdir";
  const answer = await page.request.post(`${told.address}/api/v1/sessions`, { data: {}, headers: { Origin: told.address } });
  const { session } = await answer.json();
  const said = { number: 1, role: "user", agent: "", content: written, images: [], thinking: "", tool_calls: [], tool_name: null, tool_call_id: null, ok: true, upto: 0, turn: "", at: "2026-01-05T10:00:00Z" };
  await page.route(/\/history\?/, changed((page) => (page.messages = [said])));
  await page.goto(`${told.address}/#/sessions/${session}`);
  await page.locator(".said p").waitFor();
  assert.equal(await page.locator(".said p").textContent(), written.replace("rm\u200c", "rm\\u200c"));
  await page.close();
});

test("the clock of a run is the server's, and goes on while nothing is said; what is drawn anew stays in place", async () => {
  const page = await context.newPage();
  await page.addInitScript(() => {
    const { now } = Date;
    Date.now = () => now() + 3_600_000; // this machine's clock is an hour ahead
  });
  const seconds = () => page.locator(".runhead .figures").evaluate((shown) => {
    const [, hours = 0, minutes = 0, rest = 0] = /^(?:(\d+) h )?(?:(\d+) min ?)?(?:([\d.]+) s)?/.exec(shown.textContent);
    return 3600 * hours + 60 * minutes + Number(rest);
  });
  await hold(CODER);
  await start(page, told.tasks[1]);
  await page.locator(".graph.wide [data-node=coder][data-state=running]").waitFor();
  await page.locator(".entry.call[data-state=streaming] pre").first().waitFor();
  await page.waitForFunction(() => /^([6-9]|\d\d)\b.* s/.test(document.querySelector(".runhead .figures").textContent));
  await page.reload();
  await page.locator(".entry.call[data-state=streaming] pre").first().waitFor();
  await page.waitForFunction(() => /^[\d.]+ s/.test(document.querySelector(".runhead .figures").textContent));
  assert.ok((await seconds()) >= 5, "the silence before was work, too");

  await page.keyboard.press("4");
  await page.locator("#panel .scroll").focus();
  const figure = await page.locator(".timeline .visit[data-state=running] .figure").first().textContent();
  await page.waitForFunction((was) => document.querySelector(".timeline .visit[data-state=running] .figure").textContent !== was, figure);
  assert.ok(await page.locator("#panel .scroll").evaluate((box) => box === document.activeElement), "the timeline keeps the focus");
  await release(CODER);
  await isStatus(page, "done");
  await page.close();
});

test("what happened long ago is not read aloud", async () => {
  const page = await tab("#/batches");
  await page.evaluate(() => {
    globalThis.said = [];
    new MutationObserver(() => globalThis.said.push(document.getElementById("aloud").textContent)).observe(document.getElementById("aloud"), { childList: true });
  });
  await page.fill("[type=search]", "receipt");
  await page.waitForFunction(() => document.querySelectorAll(".runs a").length === 1);
  await page.locator(".runs a").click();
  await page.locator(".verdict .next").waitFor();
  await askedTwice(page, /\/api\/v1\/pool/);
  assert.deepEqual(await page.evaluate(() => globalThis.said), []);
  await page.close();
});

test("a lost network loses nothing", async () => {
  const line = await relayTo(told.address);
  const page = await context.newPage();
  const direct = await tab();
  await hold(CODER);
  const run = await start(direct, told.tasks[1]);
  await page.goto(`${line.address}/#/runs/${run}`);
  await page.locator(".graph.wide [data-state=running]").first().waitFor();
  line.cut();
  await page.locator(".link[data-link=retrying]").waitFor();
  await release(CODER);
  await direct.locator(".verdict .next").waitFor();
  await line.mend();
  await page.locator(".verdict .next").waitFor();
  assert.deepEqual(await log(page), await log(direct));
  assert.deepEqual(await steps(page), await steps(direct));
  await page.close();
  await direct.close();
  line.cut();
  forget(/ERR_(CONNECTION|SOCKET|EMPTY|INCOMPLETE|NETWORK|CONTENT_LENGTH)/);
});

test("a run is paused, gone on with, and cancelled by the keyboard", async () => {
  const page = await tab();
  await start(page, told.tasks[0], { approve: ["plan"] });
  await isAsked(page, "Go on with this plan?");
  await page.keyboard.press(".");
  await page.locator("dialog").waitFor();
  await page.evaluate(() => (location.hash = "#/batches"));
  await page.getByText("164 of 164 jobs").waitFor();
  assert.equal(await page.locator("dialog").count(), 0, "what is asked about a run goes with it");
  await page.goBack();
  await isAsked(page, "Go on with this plan?");
  await page.keyboard.press(".");
  await page.keyboard.press("Enter"); // the first choice: pause
  await isStatus(page, "interrupted");
  await page.getByRole("button", { name: "Go on" }).click();
  await isAsked(page, "Go on with this plan?");
  await page.keyboard.press(".");
  await page.getByRole("button", { name: "Cancel" }).click();
  await isStatus(page, "cancelled");
  await page.close();
});

test("a declined patch ends the run, and the patch is kept", async () => {
  const page = await tab();
  await start(page, told.tasks[0], { approve: ["patch"] });
  await isAsked(page, "Do you want this patch?");
  await page.fill("[name=reason]", "an a and an n are letters here");
  await page.locator("main").focus();
  await page.locator("body:not([data-typing])").waitFor(); // a letter behind a text is none of a command
  await page.keyboard.press("n");
  await isStatus(page, "cancelled");
  await page.getByText("answered no: an a and an n are letters here", { exact: true }).waitFor();
  await page.keyboard.press("2");
  await page.locator("#panel .diff .file").first().waitFor();
  await page.close();
});

test("the list is searched and walked by the keyboard, and the sheet of keys opens", async () => {
  const page = await tab();
  await page.locator(".runs a").nth(2).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("receipt");
  await page.waitForFunction(() => document.querySelectorAll(".runs a").length === 1);
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(/#\/runs\//);
  await page.locator("h1.task", { hasText: "receipt" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("heading", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  await page.close();
});

test("a step of the graph shows its own part of the log, and the address says so", async () => {
  const page = await tab();
  await page.locator(".runs a").first().click();
  await page.locator(".graph.wide [data-node=planner]").click();
  await page.waitForURL(/node=planner/);
  await page.locator(".filter").getByText("only planner").waitFor();
  await page.waitForFunction(() => {
    const where = new Set([...document.querySelectorAll(".log .where")].map((each) => each.textContent));
    return where.size === 1 && where.has("planner");
  });
  await page.close();
});

test("batches and the pool are shown", async () => {
  const page = await tab("#/batches");
  await page.getByText("164 of 164 jobs").waitFor();
  await page.getByRole("link", { name: "humaneval" }).focus();
  await askedTwice(page, /\/api\/v1\/batches/);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "humaneval", "the focus stays");
  await page.getByRole("link", { name: "humaneval" }).click();
  await page.waitForURL(/#\/batches\/3f2c9a7be401/);
  await page.goto(`${told.address}/#/pool`);
  await page.getByRole("heading", { name: "simulated" }).waitFor();
  await page.locator(".strip .server", { hasText: "oracle" }).waitFor();
  let done = 0;
  await page.route(/\/api\/v1\/pool/, changed((pool) => (pool.calls.done = 1000 + (done += 1))));
  for (const place of [".strip", ".poolview .scroll"]) {
    await page.locator(place).first().focus();
    await askedTwice(page, /\/api\/v1\/pool/);
    await page.getByText(`${done} done`).waitFor();
    assert.ok(await page.locator(place).first().evaluate((element) => element === document.activeElement), `${place} keeps the focus`);
  }
  await page.close();
});

test("an address that leads nowhere, and what is gone, are said once", async () => {
  const page = await tab("#/nonsense");
  for (const [hash, said] of [["#/nonsense", "There is no such page"], ["#/sessions/..", "There is no such page"], ["#/runs/nope", "There is no such run"], ["#/batches/nope", "There is no such batch"]]) {
    await page.goto(`${told.address}/${hash}`);
    await page.locator("main h1", { hasText: said }).waitFor();
    await page.waitForFunction((title) => document.title === title, `${said} · Corral`);
  }
  let asked = 0;
  page.on("request", (request) => (asked += Number(request.url().includes("/batches/"))));
  await askedTwice(page, /\/api\/v1\/pool/);
  assert.equal(asked, 0, "it does not come back");
  assert.ok(await page.locator("#notice").isHidden());
  await page.close();
  forget(/404/);
});

test("a server that does not answer is asked once at a time, and what a proxy says for it is no news", async () => {
  const page = await context.newPage();
  /** @type {import("playwright-core").Route[]} */
  const held = [];
  await page.route(/\/api\/v1\/pool/, (route) => held.push(route));
  await page.goto(`${told.address}/#/batches`);
  await askedTwice(page, /\/api\/v1\/runs\?/);
  await askedTwice(page, /\/api\/v1\/runs\?/);
  assert.equal(held.length, 1);
  const unreached = (/** @type {import("playwright-core").Route} */ route) =>
    route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad Gateway</h1>" });
  await page.route(/\/api\/v1\/(?!pool)/, unreached); // whatever else is answered says that the server is back
  const reported = page.waitForEvent("console");
  await unreached(held.pop());
  await reported;
  await page.locator("[data-unreached]").waitFor();
  assert.ok(await page.locator("#notice").isHidden());
  await page.close();
  forget(/502/);
});

for (const [name, kind, id] of [["runs", "#/", "run"], ["sessions", "#/sessions", "session"]]) {
  test(`${name} that came while nobody looked are all in the list, and none that stays is drawn anew`, async () => {
    const page = await context.newPage();
    let newest = 60;
    const entry = (/** @type {number} */ number) => {
      const said = { task: `job ${number}`, title: `job ${number}`, repo: "/r", workspace: "/r", agent: "ask", last: 1, state: "finished", status: "done", reason: "" };
      const at = new Date(Date.UTC(2026, 0, 5, 10, 0, number)).toISOString();
      return { ...said, [id]: String(1000 + number), created: at, updated: at };
    };
    await page.route(new RegExp(`/api/v1/${name}\\?`), (route) => {
      const from = Number(new URL(route.request().url()).searchParams.get("before") ?? newest + 1) - 1;
      const page = Array.from({ length: Math.min(50, from) }, (_, at) => entry(from - at));
      return route.fulfill({ json: { [name]: page, next: from > 50 ? String(from - 49) : null } });
    });
    await page.goto(`${told.address}/${kind}`);
    const is = (/** @type {number} */ count) => page.waitForFunction((wanted) => document.querySelectorAll(".runs a").length === wanted, count);
    await is(50);
    await page.evaluate(() => (globalThis.was = document.querySelector(".runs a")));
    const look = (/** @type {number} */ now) => {
      newest = now;
      return page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    };
    await look(180);
    await is(170);
    assert.ok(await page.evaluate(() => globalThis.was.isConnected && globalThis.was.textContent.includes("job 60")));
    await page.getByRole("button", { name: "older" }).click();
    await is(180);
    await look(900); // too many to read for a list
    await is(500);
    await page.getByRole("button", { name: "older" }).click();
    await is(550);
    await page.close();
  });
}

test("a long patch is read on where it was, and says which file changes its mode", async () => {
  const page = await tab();
  await page.route(/\/api\/v1\/runs\/[^/?]+$/, changed((run) => {
    const lines = Array.from({ length: 1500 }, (_, at) => `+line ${at}\n`).join("");
    run.result.patch = `diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1,1500 @@\n${lines}diff --git a/y b/y\nold mode 100644\nnew mode 100755\n`;
  }));
  await page.fill("[type=search]", "receipt");
  await page.waitForFunction(() => document.querySelectorAll(".runs a").length === 1);
  await page.locator(".runs a").click();
  await page.locator(".verdict .next").waitFor();
  await page.keyboard.press("2");
  await page.getByText("mode 100644 → 100755").waitFor();
  await page.locator("#panel button.more").focus();
  await page.keyboard.press("Enter");
  await page.getByText("line 1499").waitFor();
  assert.match(await page.evaluate(() => document.activeElement.textContent), /line 999$/);
  await page.close();
});

for (const scheme of ["light", "dark"]) {
  for (const width of [1440, 390]) {
    test(`the page has no serious fault of accessibility and fits its width (${scheme}, ${width})`, async () => {
      const page = await tab();
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize({ width, height: 900 });
      await page.locator(".runs a", { hasText: "receipt" }).first().waitFor();
      const run = await page.locator(".runs a", { hasText: "receipt" }).first().getAttribute("href");
      for (const hash of ["#/", run, `${run}?tab=diff`, `${run}?tab=tests`, `${run}?tab=timeline`, "#/batches", "#/pool"]) {
        await page.goto(`${told.address}/${hash}`);
        await page.locator("main h1").first().waitFor();
        if (hash.startsWith(run)) await page.locator(".verdict .next").waitFor();
        assert.deepEqual(await faults(page, told.modules), [], `${hash} ${scheme} ${width}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${hash} is ${wide} pixels too wide at ${width}`);
      }
      await page.close();
    });
  }
}

test("who is signed out meanwhile is told how to come back in, and comes back to where they were", async () => {
  const page = await tab("#/pool");
  const cookies = await context.cookies();
  await context.clearCookies();
  await page.getByText("You are signed out").waitFor();
  await page.locator(".signedout").getByRole("link", { name: "Sign in again" }).click();
  await page.getByText("corral serve", { exact: true }).waitFor();
  assert.equal(await page.locator("[type=password]").count(), 0, "this server has no password");
  await context.addCookies(cookies);
  await page.goto(`${told.address}/`); // where every way in ends
  await page.waitForURL(`${told.address}/#/pool`);
  await page.getByRole("heading", { name: "simulated" }).waitFor();
  await page.goto(`${told.address}/`);
  await page.getByText("Give a task, get a tested patch").waitFor();
  await page.close();
  forget(/401/);
});

test("no page reported an error, broke the policy, or asked another host", () => {
  assert.deepEqual(wrong, []);
  assert.deepEqual([...seen].filter((origin) => new URL(origin).hostname !== new URL(told.address).hostname), []);
  assert.ok(seen.has(told.address));
});

/** Errors that a test made on purpose. @param {RegExp} expected */
function forget(expected) {
  wrong.splice(0, wrong.length, ...wrong.filter((each) => !expected.test(each)));
}
