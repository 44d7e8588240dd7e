// Conversations on the page as a person has them, in Chromium: begin one, watch the answer, allow, change and refuse calls,
// lose the line, read far back, meet hostile text. `test_chat.py` starts the server and says in CORRAL_BROWSER where it is.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { faults, relayTo } from "./aids.mjs";

const told = JSON.parse(process.env.CORRAL_BROWSER);
const { chromium } = createRequire(`${told.modules}/`)("playwright-core");

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
const WAIT = Number(process.env.CORRAL_WAIT ?? 30_000);

let browser;
let context;
/** What no page may do: report to the console, break, open a dialog of the browser's, ask another host, break the policy. */
const wrong = [];
const seen = new Set();

before(async () => {
  browser = await chromium.launch({ executablePath: told.chromium, args: FLAGS });
  context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(WAIT);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  context.on("weberror", (error) => wrong.push(`error ${error.error().stack}`));
  context.on("dialog", (dialog) => (wrong.push(`dialog ${dialog.message()}`), dialog.dismiss()));
  context.on("console", (message) => {
    if (message.type() === "error" || /Content.Security.Policy/i.test(message.text())) wrong.push(`console ${message.text()}`);
  });
  context.on("request", (request) => seen.add(new URL(request.url()).hostname));
  const page = await context.newPage();
  await page.goto(told.signin);
  await page.waitForURL(`${told.address}/`);
  await page.close();
});

after(async () => {
  await browser?.close();
});

/** A new tab. */
async function tab(hash = "#/sessions", address = told.address) {
  const page = await context.newPage();
  await page.goto(`${address}/${hash}`);
  return page;
}

const hold = (text) => fetch(`${told.model}/hold?${encodeURIComponent(text)}`);
const release = (text) => fetch(`${told.model}/release?${encodeURIComponent(text)}`);

/** Begin a conversation by the form. */
async function begin(page, agent, text) {
  await page.locator(`option[value=${agent}]`).waitFor({ state: "attached" });
  await page.fill("[name=workspace]", told.folder);
  await page.selectOption("[name=agent]", agent);
  await page.fill(".box textarea", text);
  await page.locator(".box").getByRole("button", { name: "Send" }).click();
  await page.waitForURL(/#\/sessions\/./);
}

/** Say something in the one that is open. */
async function say(page, text) {
  await page.locator(".box [type=submit]:enabled").waitFor();
  await page.fill(".box textarea", text);
  await page.keyboard.press("Enter");
}

/** Wait for the pause that a key needs behind a text. */
const rested = (page) => page.locator("body:not([data-typing])").waitFor();
/** What has the focus. */
const focused = (page, selector) => page.waitForFunction((wanted) => document.activeElement.matches(wanted), selector);
/** As when a person comes back to the page: it looks what is new. */
const look = (page) => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
/** Ask the server past the page, as another window. */
async function ask(path, data) {
  const headers = { "Content-Type": "application/json", Origin: told.address };
  const answer = await (data ? context.request.post(`${told.address}/api/v1/${path}`, { data, headers }) : context.request.get(`${told.address}/api/v1/${path}`));
  return { status: answer.status(), said: await answer.json() };
}
const stands = (page, word) => page.locator(".chip.status", { hasText: new RegExp(`^${word}$`) }).waitFor();
const answered = (page, text) => page.locator('.messages .said[data-who="agent"]', { hasText: text }).last().waitFor();
const card = (page) => page.locator(".asked .approval");
/** Who said what, as it is read. */
const read = (page) => page.locator(".messages .said").evaluateAll((all) => all.map((each) => `${each.querySelector("header strong").textContent}: ${[...each.querySelectorAll(".prose")].map((part) => part.textContent).join(" ")}`));
const used = (page) => page.locator(".used > summary").evaluateAll((all) => all.map((each) => `${each.querySelector(".sign").textContent} ${each.querySelector(".tool").textContent}: ${each.querySelector(".word").textContent}`));

test("a conversation is begun, its answer is seen as it is given, in a second tab and after a reload too", async () => {
  const first = await tab();
  await begin(first, "ask", "What is this project?");
  await focused(first, ".session .box textarea"); // what is typed on is no key
  await answered(first, "It is a small project");
  assert.equal(await first.locator(".messages pre.code").textContent(), "def total(items):\n    return sum(items)");
  await first.locator(".messages .block").getByRole("button", { name: "copy" }).click();
  await first.locator(".messages .block").getByRole("button", { name: "copied" }).waitFor();
  assert.equal(await first.evaluate(() => navigator.clipboard.readText()), "def total(items):\n    return sum(items)");
  await hold("Tell me much");
  await say(first, "Tell me much");
  await first.locator(".said.live .prose", { hasText: "A list of" }).waitFor();
  await stands(first, "at work");
  assert.ok(await first.locator(".box [type=submit]").isDisabled(), "one turn at a time");
  const second = await tab(new URL(first.url()).hash);
  await second.locator(".said.live .prose", { hasText: "A list of" }).waitFor();
  await first.reload();
  await first.locator(".said.live .prose", { hasText: "A list of" }).waitFor();
  await release("Tell me much");
  for (const page of [first, second]) {
    await page.bringToFront();
    await answered(page, "word399");
    await stands(page, "ready");
  }
  assert.deepEqual(await read(first), await read(second));
  assert.equal((await read(first)).length, 4);
  await second.bringToFront();
  await say(second, "Never mind\nسلام");
  await first.bringToFront();
  await first.locator(".said", { hasText: "Never mind" }).first().waitFor(); // said elsewhere
  const ends = await first.locator(".said p", { hasText: "Never mind" }).evaluate((p) => {
    const range = document.createRange();
    const place = (/** @type {number} */ from, /** @type {number} */ to) => (range.setStart(p.firstChild, from), range.setEnd(p.firstChild, to), range.getBoundingClientRect());
    const { left, right } = p.getBoundingClientRect();
    return { left: place(0, 10).left - left, right: right - place(11, 15).right };
  });
  assert.ok(ends.left < 3 && ends.right < 3, "each line begins where its script does");
  await stands(first, "ready");
  await first.close();
  await second.close();
});

test("calls are allowed by a key, changed, turned down, answered in words, and what is dangerous wants a click", async () => {
  const page = await tab();
  await begin(page, "coder", "Write notes");
  await card(page).getByRole("heading", { name: "Allow write_file?" }).waitFor();
  await stands(page, "needs you");
  assert.deepEqual(await used(page), ["? write_file: waits for you"]);
  await card(page).getByRole("button", { name: "Edit" }).click();
  assert.ok(await card(page).getByRole("button", { name: "Approve" }).isHidden(), "a yes to which arguments?");
  const changed = card(page).getByRole("textbox", { name: "Arguments, as JSON" });
  await changed.fill("{");
  await card(page).getByRole("button", { name: "Do it so" }).click();
  await card(page).getByText("That is not JSON.").waitFor();
  await changed.fill('{"path": "notes.md", "content": "# Mine\\n"}');
  await card(page).getByRole("button", { name: "Do it so" }).click();
  await answered(page, "The notes are written.");
  assert.deepEqual(await used(page), ["✓ write_file: done"]);

  await say(page, "Run the tests");
  await card(page).getByRole("heading", { name: "Allow run_command?" }).waitFor();
  await card(page).getByRole("button", { name: "Respond" }).click();
  await card(page).getByText("Write what to answer first.").waitFor();
  await page.locator("main").focus();
  await rested(page);
  await page.keyboard.press("n");
  await answered(page, "It was not run then");
  assert.equal((await used(page))[1], "✕ run_command: not done");

  await say(page, "Push it");
  await card(page).locator(".chip", { hasText: "dangerous" }).waitFor();
  await card(page).getByText("git push --force origin main", { exact: true }).waitFor();
  assert.ok(await card(page).getByRole("combobox").isDisabled(), "no rule may cover it");
  await page.locator("main").focus();
  await rested(page);
  await page.keyboard.press("a"); // no answer to that
  await card(page).getByRole("button", { name: "Reject" }).click({ trial: true }); // it stands there to be answered
  assert.ok(await card(page).getByRole("button", { name: "Do it all the same" }).isDisabled(), "first it is read");
  await card(page).getByRole("textbox").fill("we do not push by force");
  await card(page).getByRole("button", { name: "Respond" }).click();
  await answered(page, "It was not pushed.");
  await page.locator(".used", { hasText: "git push" }).locator("summary").click();
  await page.locator(".used .inside pre", { hasText: "we do not push by force" }).waitFor();
  await page.close();
});

test("a yes may hold for later: the rule is shown, and the next call is not asked about", async () => {
  const page = await tab();
  await begin(page, "coder", "Write notes");
  await card(page).getByRole("heading", { name: "Allow write_file?" }).waitFor();
  await card(page).locator("select:enabled").selectOption("project");
  assert.equal(await card(page).getByLabel("Rules, one a line").inputValue(), "write_file: notes.md");
  await card(page).getByRole("button", { name: "Approve" }).click();
  await answered(page, "The notes are written.");
  await page.goto(`${told.address}/#/sessions`);
  await begin(page, "coder", "Write notes again");
  await answered(page, "The notes are written.");
  assert.deepEqual(await used(page), ["✓ write_file: done"]);
  await page.close();
});

/** Answer a question the moment it is drawn, as the second click or press of somebody who answered the one before. */
const hurry = () => {
  let seen = document.querySelector(".asked .approval");
  new MutationObserver(() => {
    const now = document.querySelector(".asked .approval");
    if (!now || now === seen) return;
    seen = now;
    for (const button of now.querySelectorAll("button")) if (/Approve|Do it|Reject/.test(button.textContent)) button.click();
    for (const key of ["a", "n"]) document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  }).observe(document.querySelector(".asked"), { childList: true });
};

test("a second click or key press answers no question that came meanwhile, and one that is dangerous is read first", async () => {
  const page = await tab(`#/sessions/${told.hurried}`);
  let answers = 0;
  page.on("request", (request) => (answers += request.method() === "POST" && /\/approvals\//.test(request.url())));
  await say(page, "Write them");
  await card(page).locator(".shown", { hasText: "one.md" }).waitFor();
  await page.evaluate(hurry);
  await page.locator("main").focus();
  await card(page).getByRole("button", { name: "Approve" }).click();
  await card(page).locator(".shown", { hasText: "Makefile" }).waitFor();
  await card(page).getByRole("button", { name: "Reject" }).click({ trial: true });
  assert.equal(answers, 1, "the second is open");
  await card(page).getByRole("button", { name: "Approve" }).dispatchEvent("click", { detail: 2 });
  assert.equal(answers, 1, "of a double click the second is none");
  await rested(page);
  await page.keyboard.press("a");
  await card(page).locator(".shown", { hasText: "pre-commit" }).waitFor();
  await card(page).getByRole("button", { name: "Reject" }).click({ trial: true });
  assert.equal(answers, 2, "the third is open");
  await card(page).getByRole("button", { name: "Do it all the same" }).click({ force: true });
  await card(page).getByText("Say first that you have read").waitFor();
  await card(page).getByRole("button", { name: "Edit" }).click();
  await card(page).getByRole("button", { name: "Back" }).click();
  await card(page).getByLabel("I have read what it would do").check();
  assert.equal(answers, 2);
  await card(page).getByRole("button", { name: "Do it all the same" }).click();
  await answered(page, "All three were asked about.");
  assert.equal(answers, 3);
  await page.close();
});

test("of several questions keys answer the first, once it is on screen, and a text that is written to one answers none", async () => {
  const page = await tab(`#/sessions/${told.paired}`);
  await page.setViewportSize({ width: 1280, height: 700 });
  const answers = [];
  page.on("request", (request) => request.method() === "POST" && /\/approvals\//.test(request.url()) && answers.push(request.url().split("/").at(-1)));
  const one = (number) => card(page).filter({ hasText: `part${number}.md` });
  await say(page, "Write all five");
  await one(5).waitFor();
  const ids = (await ask(`sessions/${told.paired}/waiting`)).said.approvals.map((each) => each.id);
  const elsewhere = async (number) => {
    const { nonce } = (await ask(`approvals/${ids[number - 1]}`)).said;
    const answer = { nonce, decision: { type: "reject" }, scope: "once", patterns: [] };
    assert.equal((await ask(`approvals/${ids[number - 1]}`, answer)).status, 200);
  };

  await page.locator("main").focus();
  assert.deepEqual(await page.locator(".asked kbd").evaluateAll((all) => all.map((each) => getComputedStyle(each).display !== "none")), [true, true, ...Array(8).fill(false)], "only the first shows keys");
  await page.locator(".asked").evaluate((box) => (box.scrollTop = box.scrollHeight));
  await one(5).getByRole("button", { name: "Reject" }).click({ trial: true });
  await rested(page);
  await page.keyboard.press("n");
  await page.waitForFunction(() => document.querySelector(".asked").scrollTop < 20); // the question comes
  assert.deepEqual(answers, [], "it was not on screen");
  await one(1).getByRole("button", { name: "Reject" }).click({ trial: true });
  await rested(page);
  await page.keyboard.press("n");
  await one(1).waitFor({ state: "detached" });
  assert.deepEqual(answers, [ids[0]]);

  await one(5).getByRole("button", { name: "Reject" }).click({ trial: true });
  let looks = () => {};
  await page.route(new RegExp(`/sessions/${told.paired}$`), (route) => (looks = () => route.continue())); // it does not find out by itself
  await look(page);
  await elsewhere(5);
  await one(5).getByRole("button", { name: "Approve" }).click(); // another answer, so it is refused
  await one(5).waitFor({ state: "detached" });
  assert.equal(await card(page).count(), 3);
  looks();
  await page.unroute(new RegExp(`/sessions/${told.paired}$`));

  const reason = one(3).getByRole("textbox", { name: "Reason" });
  await reason.click();
  await page.keyboard.type("no, ");
  await elsewhere(4);
  await look(page);
  await one(4).waitFor({ state: "detached" });
  assert.ok(await reason.evaluate((field) => field === document.activeElement), "a question that goes takes no focus along");
  await page.keyboard.type("a banana");
  assert.equal(await reason.inputValue(), "no, a banana");
  await elsewhere(3);
  await look(page);
  await one(3).waitFor({ state: "detached" });
  await focused(page, ".box textarea"); // its own question is gone: there is more to come of that text
  await page.keyboard.type(" and an ananas");
  assert.equal(await page.locator(".box textarea").inputValue(), " and an ananas");

  await one(2).getByRole("button", { name: "Reject" }).click({ trial: true });
  assert.equal(answers.length, 2);
  await page.locator(".asked").evaluate((box) => (box.scrollTop = 0)); // by hand: nothing settles anew
  await page.evaluate(() => {
    document.activeElement.blur();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true }));
  });
  assert.equal(answers.length, 2, "the next letter of a text, wherever it arrives");
  await rested(page);
  await page.keyboard.press("n");
  await answered(page, "All five were asked about.");
  assert.deepEqual(answers, [ids[0], ids[4], ids[1]]);
  await page.close();
  forget(/409/);
});

test("what another window says right behind an answer is followed", async () => {
  const page = await tab();
  await page.locator("option[value=ask]").waitFor({ state: "attached" });
  const session = (await ask("sessions", { title: "Two windows", agent: "ask" })).said.session;
  await page.goto(`${told.address}/#/sessions/${session}`);
  await stands(page, "ready");
  let quick = 0;
  await page.route(/\/history/, async (route) => { // the next message is there with the answer to the one before
    if (quick !== 202) quick = (await ask(`sessions/${session}/messages`, { text: "Quick" })).status; // 409 as long as that is given
    await route.continue();
  });
  await hold("Quick");
  await say(page, "Slow");
  await page.locator(".messages .said", { hasText: "Quick" }).waitFor();
  await page.unroute(/\/history/);
  await stands(page, "at work");
  await page.locator(".said.live .prose", { hasText: "A list of" }).waitFor();
  await release("Quick");
  await answered(page, "word399");
  await stands(page, "ready");

  await page.route(/\/messages$/, async (route) => { // left while it is sent
    const answer = await route.fetch();
    await page.evaluate(() => (location.hash = "#/pool"));
    await page.locator(".session").waitFor({ state: "detached" });
    page.on("request", (request) => /\/stream$/.test(request.url()) && wrong.push("a stream that nobody reads"));
    await route.fulfill({ response: answer });
  });
  await say(page, "Left");
  await page.waitForFunction((name) => location.hash === "#/pool" && !sessionStorage.getItem(name), `corral.draft.${session}`);
  await page.close();
});

test("another agent is given the word, and a turn is stopped by a key", async () => {
  const page = await tab();
  await begin(page, "ask", "Hello");
  await answered(page, "It is a small project");
  await page.getByLabel("Who answers the next message").selectOption("coder");
  await page.locator("main").focus();
  await page.keyboard.press("m");
  assert.ok(await page.locator(".box textarea").evaluate((box) => box === document.activeElement));
  await say(page, "Go on");
  await answered(page, "The notes are written.");
  assert.match((await read(page)).at(-1), /^coder: /);
  await say(page, "And the tests");
  await card(page).waitFor();
  await page.keyboard.press("Escape"); // out of the box: keys are commands again
  await page.keyboard.press(".");
  await page.getByText("The turn ended: cancelled by a person").waitFor();
  await stands(page, "ready");
  await page.locator(".used").last().locator(".sign", { hasText: "✕" }).waitFor();
  await page.close();
});

test("a turn that says nothing yet is at work, and can be stopped", async () => {
  const page = await tab();
  await begin(page, "ask", "Hello");
  await answered(page, "It is a small project");
  await page.route(/\/stream$/, (route) => setTimeout(() => route.continue().catch(() => {}), 300)); // what it says comes late
  await hold("Think long");
  await say(page, "Think long");
  await stands(page, "at work");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.locator(".note", { hasText: "cancelled by a person" }).or(page.locator(".note", { hasText: "has no answer" })).waitFor();
  await stands(page, "ready");
  await release("Think long");
  await page.close();
});

test("a line that breaks in the middle of an answer is mended, and nothing is shown twice", async () => {
  const line = await relayTo(told.address);
  const page = await tab("#/sessions", line.address);
  await page.goto(`${line.address}/#/sessions`);
  await begin(page, "ask", "Hello there");
  await answered(page, "It is a small project");
  await hold("Much, please");
  await say(page, "Much, please");
  await page.locator(".said.live .prose", { hasText: "A list of" }).waitFor();
  line.cut();
  await page.locator(".link[data-link=retrying]").waitFor();
  await release("Much, please");
  await line.mend();
  await answered(page, "word399");
  await stands(page, "ready");
  assert.equal((await read(page)).length, 4);
  assert.equal(await page.locator(".said.live").isVisible(), false);
  await page.close();
  line.cut();
  forget(/ERR_(CONNECTION|SOCKET|EMPTY|INCOMPLETE|NETWORK|CONTENT_LENGTH)/);
});

test("a message whose answer got lost stays in the box, and is said once when it is sent again", async () => {
  const page = await tab();
  await begin(page, "ask", "Hello");
  await answered(page, "It is a small project");
  let lost = 0;
  await page.route(/\/messages$/, async (route) => {
    if (lost++) return route.continue();
    await route.fetch(); // the server takes it
    return route.abort(); // and nobody hears that
  });
  await say(page, "Only once");
  await page.locator("#notice", { hasText: "cannot be reached" }).waitFor();
  assert.equal(await page.locator(".box textarea").inputValue(), "Only once");
  await answered(page, "word399"); // the page finds out by itself
  await stands(page, "ready");
  await page.locator(".box textarea").press("Enter");
  await page.waitForFunction(() => document.querySelector(".box textarea").value === "");
  assert.equal((await read(page)).filter((each) => each === "you: Only once").length, 1);
  assert.equal(lost, 2);
  await page.close();
  forget(/ERR_FAILED/);
});

test("a conversation whose beginning got lost is begun once when it is asked for again", async () => {
  const page = await tab();
  let lost = 0;
  await page.route(/\/api\/v1\/sessions$/, async (route) => {
    if (route.request().method() !== "POST" || lost++) return route.continue();
    await route.fetch(); // it is begun
    return route.abort(); // and nobody hears that
  });
  await page.locator("option[value=ask]").waitFor({ state: "attached" });
  await page.fill(".box textarea", "Begun only once");
  await page.locator(".box").getByRole("button", { name: "Send" }).click();
  await page.locator("#notice", { hasText: "cannot be reached" }).waitFor();
  await page.locator(".box").getByRole("button", { name: "Send" }).click();
  await page.waitForURL(/#\/sessions\/./);
  await page.locator(".said", { hasText: "Begun only once" }).first().waitFor();
  await page.locator(".runs .task", { hasText: "Begun only once" }).waitFor();
  assert.deepEqual([lost, await page.locator(".runs .task", { hasText: "Begun only once" }).count()], [2, 1]);
  await page.close();
  forget(/ERR_FAILED/);
});

test("a long conversation is read page by page, and the place is kept, also where nothing could be read at first", async () => {
  const page = await tab("#/sessions");
  await page.route(/\/sessions\/[^/]*$/, (route) => route.abort());
  await page.locator(".runs a", { hasText: "A long one" }).click();
  await page.locator("body[data-unreached]").waitFor();
  await page.unroute(/\/sessions\/[^/]*$/);
  forget(/ERR_FAILED/);
  await page.locator(".said", { hasText: "answer 65" }).waitFor();
  assert.equal((await read(page)).length, 50);
  await page.waitForFunction(() => {
    const log = document.querySelector(".talk");
    return log.scrollHeight - log.scrollTop - log.clientHeight < 5;
  });
  for (const length of [100, 130]) {
    await page.getByRole("button", { name: "earlier messages" }).click();
    await page.waitForFunction((many) => document.querySelectorAll(".messages .said").length === many, length);
    assert.ok(await page.locator(".talk").evaluate((log) => log.scrollTop > 0), "what was read stays in sight");
  }
  assert.ok(await page.getByRole("button", { name: "earlier messages" }).isHidden());
  assert.deepEqual((await read(page)).slice(0, 2), ["you: question 1", "ask: answer 1"]);
  await page.close();
});

test("a write that was taken back is no message without an answer", async () => {
  const page = await tab(`#/sessions/${told.undone}`);
  await page.locator(".said", { hasText: "I took back your last write" }).waitFor();
  await stands(page, "ready");
  assert.ok(await page.locator(".note").isHidden());
  await page.close();
});

test("an image is sent, seen in the message, and refused in words by an agent that cannot see", async () => {
  const page = await tab();
  const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
  const attach = () => page.locator("input[type=file]").setInputFiles({ name: "<b>dot.png", mimeType: "image/png", buffer: png });
  await attach();
  await page.locator(".attached").getByText("<b>dot.png").waitFor();
  await begin(page, "ask", "What is this?");
  await answered(page, "It is a small project");
  await page.waitForFunction(() => document.querySelector(".said img")?.naturalWidth === 1);
  await page.getByLabel("Who answers the next message").selectOption("coder");
  await attach();
  await say(page, "And this?");
  await page.locator("#notice", { hasText: "cannot see images" }).waitFor();
  assert.equal(await page.locator(".box textarea").inputValue(), "And this?");
  await page.getByRole("button", { name: "leave out" }).click();
  await page.locator(".box textarea").press("Enter");
  await answered(page, "The notes are written.");
  await page.close();
  forget(/422/);
});

test("a call for another program is answered by hand", async () => {
  const page = await tab(`#/sessions/${told.client}`);
  await say(page, "Open it");
  await card(page).getByRole("heading", { name: "open_tab" }).waitFor();
  await stands(page, "waits for a program");
  await card(page).getByLabel("What came of it").fill("opened by hand");
  await card(page).getByRole("button", { name: "It is done" }).click();
  await answered(page, "It is open.");
  assert.deepEqual(await used(page), ["✓ open_tab: done"]);
  await page.close();
});

test("hostile text stays text: in messages, calls, titles and the list, however wide the page", async () => {
  const page = await tab();
  await begin(page, "ask", `<img src=x onerror=alert(6)> ${"y".repeat(3000)}`);
  await answered(page, "It is a small project");
  await say(page, "Much");
  await answered(page, "word399");
  await say(page, "Break it");
  await answered(page, "link");
  const text = await page.locator(".messages .said").last().textContent();
  for (const part of ["<img src=x onerror=alert(1)>", "<script>alert(2)</script>", "<b onclick=alert(3)>bold</b>", "[link](javascript:alert(4))", "\\u001b[31mred", "\\u202eright to left"]) {
    assert.ok(text.includes(part), part);
  }
  assert.equal(await page.locator("main :is(img, script, b, iframe)").count(), 0);
  assert.equal(await page.locator("main a").count(), 0);
  assert.ok((await page.locator(".runs .task").first().textContent()).startsWith("<img src=x"));
  for (const width of [1440, 390]) {
    await page.setViewportSize({ width, height: 844 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${wide} pixels too wide at ${width}`);
  }
  await page.close();
});

test("conversations are found by what was said in them, and one that is not there says so", async () => {
  const page = await tab();
  await page.keyboard.press("/");
  await page.keyboard.type("answer 17");
  await page.locator(".runs a", { hasText: "A long one" }).locator(".excerpt", { hasText: "answer 17" }).waitFor();
  assert.equal(await page.locator(".runs a").count(), 1);
  await page.goto(`${told.address}/#/sessions/nobody`);
  await page.getByRole("heading", { name: "There is no such conversation" }).waitFor();
  await page.close();
  forget(/404/);
});

for (const scheme of ["light", "dark"]) {
  for (const width of [1440, 390]) {
    test(`it has no serious fault of accessibility and fits its width (${scheme}, ${width})`, async () => {
      const page = await tab();
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize({ width, height: 844 });
      await page.locator("form.box").waitFor();
      assert.deepEqual(await faults(page, told.modules), [], "begin");
      await begin(page, "coder", "Run it"); // the rule of before lets it write
      await answered(page, "The notes are written.");
      await say(page, "And the tests");
      await card(page).locator("select:enabled").selectOption("always");
      assert.deepEqual(await faults(page, told.modules), [], "asked");
      await card(page).getByRole("button", { name: "Edit" }).click();
      await page.locator(".used summary").first().click();
      assert.deepEqual(await faults(page, told.modules), [], "edited");
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${wide} pixels too wide`);
      await page.getByRole("button", { name: "Stop" }).click();
      await stands(page, "ready");
      await page.close();
    });
  }
}

test("no page reported an error, broke the policy, or asked another host", () => {
  assert.deepEqual(wrong, []);
  assert.deepEqual([...seen], [new URL(told.address).hostname]);
});

/** Errors that a test made on purpose. @param {RegExp} expected */
function forget(expected) {
  wrong.splice(0, wrong.length, ...wrong.filter((each) => !expected.test(each)));
}
